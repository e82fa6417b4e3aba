/** vmap and vunmap, and large pages: what they take, what they leave, and what an error leaves. */
import { describe, expect, it } from 'vitest';
import { Attr, EEXIST, EINVAL, ENOMEM } from '../../arch/arch.js';
import { zappedPages } from '../oracle/page-table-rig.js';
import { GIB, MIB, PAGE, TOP, withSpace } from './machine.js';

describe('vmap and vunmap', () => {
  it('round the size up to pages, and size 0 maps nothing', () => {
    const { tables } = withSpace();
    expect(tables.vmap(0, 0x8000, 0x1000, 0)).toBe(0);
    expect(tables.vgetmapping(0, 0x1000)).toBe(-1);
    expect(tables.vmap(0, 0x8000, 0x1000, 1)).toBe(0);
    expect(tables.vmap(0, 0x9000, 0x2000, PAGE + 1)).toBe(0);
    expect([0x1000, 0x2000, 0x3000, 0x4000].map((va) => tables.vgetmapping(0, va))).toEqual([0x8000, 0x9000, 0xa000, -1]);
    expect(tables.vunmap(0, 0x1000, 0)).toBe(0);
    expect(tables.vunmap(0, 0x1000, PAGE + 1)).toBe(0);
    expect([0x1000, 0x2000, 0x3000].map((va) => tables.vgetmapping(0, va))).toEqual([-1, -1, 0xa000]);
  });

  it('default attributes: user data for processes, supervisor data for the kernel', () => {
    const { tables } = withSpace();
    const attr = new Int32Array(1);
    tables.vmap(0, 0, 0, PAGE);
    tables.vgetmapping(0, 0, attr);
    expect(attr[0]).toBe(Attr.present | Attr.write | Attr.user);
    tables.vmap(-1, 0, 0, PAGE);
    tables.vgetmapping(-1, 0, attr);
    expect(attr[0]).toBe(Attr.present | Attr.write);
    tables.vmap(0, 0, PAGE, PAGE, 0);
    tables.vgetmapping(0, PAGE, attr);
    expect(attr[0]).toBe(Attr.present);
  });

  it('a mapped page anywhere in the range is -EEXIST and nothing changes', () => {
    const { tables, source } = withSpace();
    expect(tables.vmap(0, 0, 3 * GIB, PAGE)).toBe(0);
    const taken = source.taken.size;
    expect(tables.vmap(0, 0, 3 * GIB - 600 * PAGE, 601 * PAGE)).toBe(EEXIST);
    expect(tables.vmap(0, 0, 2 * GIB, 2 * GIB, Attr.large)).toBe(EEXIST);
    expect(source.taken.size).toBe(taken);
    expect(tables.vgetmapping(0, 3 * GIB - PAGE)).toBe(-1);
    tables.validate();
  });

  it('without frames for every table it is -ENOMEM, and every frame is back', () => {
    for (let frames = 2; frames < 10; frames++) {
      const { tables, source, dropped } = withSpace(frames);
      // Two pages either side of a PML4 boundary: 2 x 3 tables.
      const code = tables.vmap(0, 0, 2 ** 39 - PAGE, 2 * PAGE);
      expect(code).toBe(frames < 8 ? ENOMEM : 0);
      expect(source.taken.size).toBe(frames < 8 ? 2 : 8);
      expect([...tables.spaceTables.subarray(0, 5)]).toEqual(frames < 8 ? [0, 0, 0, 0, 1] : [0, 2, 2, 2, 1]);
      tables.validate();
      expect(tables.vunmap(0, 0, TOP)).toBe(0);
      expect(source.taken.size).toBe(2);
      expect(dropped).toEqual([]);
    }
  });

  it('an emptied table goes back, one that still holds a page stays', () => {
    const { tables, source } = withSpace();
    tables.vmap(0, 0, 0, 2 * PAGE);
    expect(source.taken.size).toBe(5);
    tables.vunmap(0, 0, PAGE);
    expect(source.taken.size).toBe(5);
    tables.vunmap(0, PAGE, TOP - PAGE);
    expect(source.taken.size).toBe(2);
  });
});

describe('large pages', () => {
  const attr = Attr.write | Attr.user | Attr.large;
  it('take the largest leaves that alignment and size allow', () => {
    const { tables } = withSpace();
    // 2 MiB before a 1 GiB boundary to 4 MiB after the next one.
    expect(tables.vmap(0, 3 * GIB - 2 * MIB, GIB - 2 * MIB, GIB + 6 * MIB, attr)).toBe(0);
    expect(tables.occupancy().map((o) => [o.tables, o.entries])).toEqual([
      [0, 0],
      [2, 3],
      [1, 3],
      [2, 1],
    ]);
    const level = (va: number): number => tables.walkLevels(0, va).at(-1)!.level;
    expect([level(GIB - MIB), level(GIB), level(2 * GIB - 1), level(2 * GIB), level(2 * GIB + 3 * MIB)]).toEqual([2, 3, 3, 2, 2]);
    expect(tables.vgetmapping(0, GIB + 12345)).toBe(3 * GIB + 12345);
    expect(tables.vgetmapping(0, 2 * GIB + 4 * MIB - 1)).toBe(4 * GIB + 4 * MIB - 1);
    expect(tables.vgetmapping(0, 2 * GIB + 4 * MIB)).toBe(-1);
    tables.validate();
  });

  it('1 GiB of virtual on 2 MiB-aligned physical memory takes 2 MiB leaves', () => {
    const { tables } = withSpace();
    expect(tables.vmap(0, GIB + 2 * MIB, GIB, GIB, attr)).toBe(0);
    expect(tables.occupancy().map((o) => o.entries)).toEqual([0, 512, 1, 1]);
  });

  it.each([
    ['va', 0, PAGE, 2 * MIB],
    ['pa', PAGE, 0, 2 * MIB],
    ['size', 0, 0, 2 * MIB + PAGE],
    ['small size', 0, 0, PAGE],
  ])('%s that is not aligned to 2 MiB is -EINVAL', (_, pa, va, size) => {
    const { tables } = withSpace();
    expect(tables.vmap(0, pa, va, size, attr)).toBe(EINVAL);
  });

  it('ranges beyond any memory fail at once', () => {
    const { tables, source } = withSpace();
    expect(tables.vmap(0, 0, 0, TOP)).toBe(ENOMEM);
    expect(tables.vmap(-1, 0, -TOP, TOP)).toBe(ENOMEM);
    // With 1 GiB leaves 256 tables are enough.
    expect(tables.vmap(0, 0, 0, TOP, attr)).toBe(ENOMEM);
    source.limit = 300;
    expect(tables.vmap(0, 0, 0, TOP, attr)).toBe(0);
    expect(source.taken.size).toBe(2 + 256);
    expect(tables.vgetmapping(0, TOP - 1)).toBe(TOP - 1);
    expect(tables.vunmap(0, 0, TOP)).toBe(0);
    expect(source.taken.size).toBe(2);
    tables.validate();
  });

  it('replace tables that were kept empty', () => {
    const { tables, source } = withSpace();
    tables.vmap(0, 0, 0, 2 * PAGE);
    expect(tables.unmapRange(0, 0, 512, 1)).toBe(2);
    expect(source.taken.size).toBe(5);
    expect(tables.mapLarge(0, 0, 0, 2, 7, 512)).toBe(EEXIST);
    expect(tables.vmap(0, 0, 0, GIB, attr)).toBe(0);
    expect(source.taken.size).toBe(3);
    tables.validate();
  });

  it('unmapping a page of 1 GiB leaves 511 pages, 511 large pages and the attributes', () => {
    const { tables, source } = withSpace();
    expect(tables.vmap(0, 4 * GIB, GIB, GIB, attr | Attr.dirty | Attr.noExecute)).toBe(0);
    expect(source.taken.size).toBe(3);
    expect(tables.vunmap(0, GIB + 3 * 2 * MIB + 5 * PAGE, PAGE)).toBe(0);
    expect(tables.occupancy().map((o) => [o.tables, o.entries])).toEqual([
      [1, 511],
      [1, 512],
      [1, 1],
      [2, 1],
    ]);
    expect(source.taken.size).toBe(5);
    expect(tables.vgetmapping(0, GIB + 6 * MIB + 5 * PAGE)).toBe(-1);
    const got = new Int32Array(1);
    expect(tables.vgetmapping(0, GIB + 6 * MIB + 4 * PAGE + 7, got)).toBe(4 * GIB + 6 * MIB + 4 * PAGE + 7);
    // Bit 7 of a PTE is PAT, not PS: it must be gone.
    expect(got[0]).toBe(Attr.present | Attr.write | Attr.user | Attr.dirty | Attr.noExecute);
    expect(tables.vgetmapping(0, GIB + 8 * MIB, got)).toBe(4 * GIB + 8 * MIB);
    expect(got[0]! & Attr.large).toBe(Attr.large);
    tables.validate();
  });

  it('a split without a frame is -ENOMEM and the large page stays', () => {
    const { tables, source } = withSpace(4);
    expect(tables.vmap(0, GIB, GIB, GIB, attr)).toBe(0);
    expect(tables.vunmap(0, GIB, PAGE)).toBe(ENOMEM);
    expect(tables.unmapRange(0, 2 ** 18 + 1, 2 ** 18 + 2, 0)).toBe(ENOMEM);
    expect(tables.protectRange(0, 2 ** 18 + 1, 2 ** 18 + 2, Attr.write, 0)).toBe(ENOMEM);
    expect(zappedPages(tables)).toEqual({ count: 0, pages: [] });
    expect(tables.occupancy().map((o) => o.entries)).toEqual([0, 0, 1, 1]);
    expect(source.taken.size).toBe(3);
    // One frame is enough when the cut falls on 2 MiB.
    expect(tables.vunmap(0, GIB, 2 * MIB)).toBe(0);
    expect(tables.occupancy().map((o) => o.entries)).toEqual([0, 511, 1, 1]);
  });

  it('a range inside one large page shares the tables of both cuts', () => {
    const { tables, source } = withSpace(5);
    expect(tables.vmap(0, GIB, GIB, GIB, attr)).toBe(0);
    // Pages 5..8 of one 2 MiB part: a PD and one PT, not two.
    expect(tables.protectRange(0, 2 ** 18 + 5, 2 ** 18 + 9, Attr.write, 0)).toBe(4);
    expect(zappedPages(tables)).toEqual({ count: 4, pages: [5, 6, 7, 8].map((p) => 2 ** 18 + p) });
    expect(source.taken.size).toBe(5);
    tables.validate();
  });

  it('one 2 MiB leaf that is dropped whole is told as one', () => {
    const { tables, dropped } = withSpace();
    expect(tables.mapLarge(0, 1, 0, 2, Attr.write | Attr.user, 1024)).toBe(0);
    expect(tables.unmapRange(0, 2 ** 18, 2 ** 18 + 512, 0)).toBe(1);
    expect(dropped).toEqual([[1024, Attr.present | Attr.write | Attr.user | Attr.large, 2]]);
    expect(zappedPages(tables).pages).toEqual([2 ** 18]);
  });

  it('mapLarge refuses other levels and what is not aligned', () => {
    const { tables } = withSpace();
    expect(tables.mapLarge(0, 0, 0, 1, 7, 0)).toBe(EINVAL);
    expect(tables.mapLarge(0, 0, 0, 4, 7, 0)).toBe(EINVAL);
    expect(tables.mapLarge(0, 0, PAGE, 2, 7, 0)).toBe(EINVAL);
    expect(tables.mapLarge(0, 0, 0, 2, 7, 1)).toBe(EINVAL);
    expect(tables.mapLarge(0, 0, 2 * MIB, 3, 7, 0)).toBe(EINVAL);
    expect(tables.mapLarge(0, -1, 0, 3, 7, 0)).toBe(EINVAL);
    expect(tables.mapLarge(-1, -1, 0, 3, 3, 0)).toBe(0);
    expect(tables.mapLeaf(-1, -1, 0, 3, 0)).toBe(EEXIST);
  });
});

describe('what a policy that keeps tables needs', () => {
  it('freeTables up to a level leaves the tables above it', () => {
    const { tables } = withSpace();
    for (let i = 0; i < 3; i++) tables.mapLeaf(0, 3, i * 2 * MIB, Attr.present, 7);
    const first = (3 * GIB) / PAGE;
    tables.unmapRange(0, first, first + 3 * 512, 1);
    const levels = (): number[] => [1, 2, 3].map((level) => tables.spaceTables[level]!);
    expect(levels()).toEqual([3, 1, 1]);
    expect(tables.freeTables(0, first, first + 3 * 512, first + 512, first + 1024, 1)).toBe(1);
    expect(levels()).toEqual([2, 1, 1]);
    expect(tables.freeTables(0, first, first + 3 * 512, 0, TOP / PAGE, 1)).toBe(2);
    expect(levels()).toEqual([0, 1, 1]);
    expect(tables.freeTables(0, first, first + 3 * 512, 0, TOP / PAGE)).toBe(2);
    expect(levels()).toEqual([0, 0, 0]);
    tables.validate();
  });

  it('moveLeafTable takes a PT and its leaves to another slot, once there is a PD and nothing stands there', () => {
    const { tables, dropped } = withSpace();
    const from = (3 * GIB) / PAGE;
    const to = (5 * GIB + 4 * MIB) / PAGE;
    tables.mapLeaf(0, 3, 9 * PAGE, Attr.present | Attr.write, 7);
    expect(tables.moveLeafTable(0, from, to)).toBe(0);
    expect(tables.ensureTable(0, 5, 4 * MIB, 2)).toBeGreaterThan(0);
    expect(tables.moveLeafTable(0, from, to)).toBe(1);
    expect([tables.vgetmapping(0, 3 * GIB + 9 * PAGE), tables.vgetmapping(0, 5 * GIB + 4 * MIB + 9 * PAGE)]).toEqual([-1, 7 * PAGE]);
    expect(tables.moveLeafTable(0, from, to)).toBe(0);
    tables.mapLeaf(0, 3, 0, Attr.present, 8);
    expect(tables.moveLeafTable(0, from, to)).toBe(0);
    expect(dropped).toEqual([]);
    tables.validate();
  });

  it('copyRange makes the tables that the source has, even where they hold nothing', () => {
    const { tables, copied } = withSpace();
    expect(tables.createSpace(1)).toBe(0);
    expect(tables.ensureTable(0, 3, 0, 1)).toBeGreaterThan(0);
    expect(tables.ensureTable(0, 3, 4 * MIB, 1)).toBeGreaterThan(0);
    const first = (3 * GIB) / PAGE;
    expect(tables.copyRange(0, 1, first, first + 1)).toBe(0);
    expect([1, 2, 3].map((level) => tables.spaceTables[8 + level])).toEqual([1, 1, 1]);
    expect(copied).toEqual([]);
    tables.validate();
  });
});
