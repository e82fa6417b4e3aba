/** The kernel's half of every space, fork, and what is told for invalidation. */
import { describe, expect, it } from 'vitest';
import { Attr, EEXIST, EINVAL, ENOMEM, EPERM } from '../../arch/arch.js';
import { x86_64 } from '../../arch/x86-64.js';
import { CountingFrames, splitPage, zappedPages } from '../oracle/page-table-rig.js';
import { GIB, MIB, PAGE, TOP, withSpace, type Machine } from './machine.js';

describe("the kernel's half", () => {
  it('a new kernel PML4 entry reaches every process, before and after it was made, and leaves with its last page', () => {
    const { tables, source } = withSpace();
    tables.vmap(-1, 0x7000, -TOP, PAGE);
    expect(tables.createSpace(1)).toBe(0);
    tables.vmap(-1, 0x9000, -PAGE, PAGE);
    for (const pid of [0, 1, -1]) {
      expect(tables.vgetmapping(pid, -TOP + 5)).toBe(0x7005);
      expect(tables.vismappedto(pid, -1, 0x9fff)).toBe(1);
    }
    // The shared entries are no property of the process: none of its counts knows them.
    expect([...tables.spaceTables.subarray(0, 5)]).toEqual([0, 0, 0, 0, 1]);
    expect([...tables.kernelTables.subarray(0, 5)]).toEqual([0, 2, 2, 2, 1]);
    expect(source.taken.size).toBe(9);
    tables.validate();
    expect(tables.vunmap(-1, -PAGE, PAGE)).toBe(0);
    for (const pid of [0, 1]) {
      expect(tables.vgetmapping(pid, -1)).toBe(-1);
      expect(tables.walkLevels(pid, -1)[0]!.entry).toBe('0000000000000000');
    }
    tables.validate();
  });

  it('processes neither copy nor drop it, and cannot change it through their own pid', () => {
    const { tables, source, dropped, copied } = withSpace();
    tables.vmap(-1, 4 * MIB, -4 * MIB, 2 * MIB, Attr.write | Attr.large);
    tables.vmap(0, 0x5000, 0x1000, PAGE);
    expect(tables.createSpace(1)).toBe(0);
    expect(tables.copySpace(0, 1)).toBe(0);
    expect(copied).toEqual([[5, Attr.present | Attr.user, 1]]);
    tables.mapLeaf(-1, ...splitPage(tables, -1), Attr.write, 9);
    for (const page of [-1, -2, -262144]) expect(tables.mapLeaf(0, ...splitPage(tables, page), 7, 1)).toBe(EINVAL);
    expect(tables.ensureTable(0, -1, 0, 1)).toBe(EINVAL);
    expect(tables.unmapRange(0, -(2 ** 35), 0, 0)).toBe(0);
    expect(tables.unmapRange(0, -1023, -513, 0)).toBe(0);
    expect(tables.protectRange(0, -1023, -513, Attr.write, 0)).toBe(0);
    expect(tables.freeTables(0, -(2 ** 35), 0, -(2 ** 35), 0)).toBe(0);
    expect(tables.vgetmapping(0, -4 * MIB)).toBe(4 * MIB);
    expect(tables.destroySpace(0)).toBe(0);
    expect(tables.destroySpace(1)).toBe(0);
    expect(dropped.length).toBe(2);
    expect(tables.vgetmapping(-1, -4 * MIB)).toBe(4 * MIB);
    expect(tables.vgetmapping(-1, -1)).toBe(9 * PAGE + PAGE - 1);
    expect(source.taken.size).toBe(4);
    tables.validate();
    expect(tables.destroySpace(-1)).toBe(EPERM);
  });

  it('the accessed bit of a PML4 entry belongs to each process', () => {
    const { tables } = withSpace();
    tables.vmap(-1, 0x7000, -TOP, PAGE);
    tables.pt[tables.kernelRoot() + 2 * 256]! |= Attr.accessed;
    expect(tables.createSpace(1)).toBe(0);
    expect(tables.pt[tables.root[1]! + 2 * 256]).toBe(Attr.present | Attr.write);
    tables.pt[tables.root[1]! + 2 * 256]! |= Attr.accessed;
    tables.validate();
  });

  it('the lower half of the kernel belongs to it alone', () => {
    const { tables } = withSpace();
    expect(tables.vmap(-1, 0, 0x1000, PAGE)).toBe(0);
    expect(tables.vgetmapping(0, 0x1000)).toBe(-1);
    expect(tables.createSpace(1)).toBe(0);
    expect(tables.vgetmapping(1, 0x1000)).toBe(-1);
    tables.validate();
  });

  it('a range over both halves is cleared in order', () => {
    const { tables } = withSpace();
    for (const page of [-3, -1, 0, 2]) expect(tables.mapLeaf(-1, ...splitPage(tables, page), 3, 9)).toBe(0);
    expect(tables.protectRange(-1, -(2 ** 40), 2 ** 40, 2, 0)).toBe(4);
    expect(zappedPages(tables)).toEqual({ count: 4, pages: [-3, -1, 0, 2] });
    expect(tables.unmapRange(-1, -2, 3, 0)).toBe(3);
    expect(zappedPages(tables)).toEqual({ count: 3, pages: [-1, 0, 2] });
    expect(tables.zapped[1]).toBe(1);
  });
});

describe('fork', () => {
  it('write-protects private leaves in both spaces, leaves shared ones, clears accessed in the copy', () => {
    const { tables, source, copied } = withSpace();
    const w = Attr.present | Attr.write | Attr.user | Attr.accessed | Attr.dirty;
    tables.mapLeaf(0, 0, 0x1000, w, 11);
    tables.mapLeaf(0, 0, 0x2000, w | Attr.shared, 12);
    tables.mapLeaf(0, 0x1ffff, 0x3000, Attr.user | Attr.accessed, 13);
    tables.mapLarge(0, 2, 0, 2, w, 512);
    expect(tables.createSpace(1)).toBe(0);
    const before = source.taken.size;
    expect(tables.copySpace(0, 1)).toBe(0);
    expect(source.taken.size - before).toBe(7);
    const flags = (pid: number, hi: number, lo: number): number => tables.pt[tables.findLeaf(pid, hi, lo)]!;
    const readOnly = w & ~Attr.write;
    expect([flags(0, 0, 0x1000), flags(0, 0, 0x2000), flags(0, 2, 0)]).toEqual([readOnly, w | Attr.shared, readOnly | Attr.large]);
    expect([flags(1, 0, 0x1000), flags(1, 0, 0x2000), flags(1, 2, 0)]).toEqual(
      [readOnly, w | Attr.shared, readOnly | Attr.large].map((f) => f & ~Attr.accessed),
    );
    expect(copied.map(([frame, , level]) => [frame, level])).toEqual([
      [11, 1],
      [12, 1],
      [512, 2],
      [13, 1],
    ]);
    tables.validate();
  });

  it('without frames for all tables nothing changes', () => {
    const { tables, source, copied, dropped } = withSpace();
    for (let k = 0; k < 5; k++) tables.mapLeaf(0, k, 0, 7, 10 + k);
    tables.createSpace(1);
    const taken = source.taken.size;
    source.limit = taken + 10;
    expect(tables.copySpace(0, 1)).toBe(ENOMEM);
    expect([source.taken.size, copied.length, dropped.length]).toEqual([taken, 0, 0]);
    expect(tables.pt[tables.findLeaf(0, 0, 0)]! & Attr.write).toBe(Attr.write);
    expect([...tables.spaceTables.subarray(8, 13)]).toEqual([0, 0, 0, 0, 1]);
    source.limit++;
    expect(tables.copySpace(0, 1)).toBe(0);
    tables.validate();
  });
});

describe('copies of a range', () => {
  const copyInto = (target: (tables: Machine['tables']) => void): number => {
    const { tables, source, copied } = withSpace();
    tables.createSpace(1);
    tables.mapLeaf(0, 1, 5 * PAGE, 7, 42);
    target(tables);
    const taken = source.taken.size;
    const code = tables.copyRange(0, 1, 0, 2 ** 35);
    tables.validate();
    if (code < 0) expect([source.taken.size, copied.length]).toEqual([taken, 0]);
    return code;
  };

  it('go beside what stands there, never over it', () => {
    expect(copyInto((tables) => tables.mapLeaf(1, 1, 6 * PAGE, 7, 43))).toBe(0);
    expect(copyInto((tables) => tables.mapLeaf(1, 1, 5 * PAGE, 7, 43))).toBe(EEXIST);
    expect(copyInto((tables) => tables.mapLarge(1, 1, 0, 2, 7, 512))).toBe(EEXIST);
    expect(copyInto((tables) => tables.mapLarge(1, 1, 0, 3, 7, 2 ** 18))).toBe(EEXIST);
  });

  it('a large leaf needs a place free of tables', () => {
    const { tables } = withSpace();
    tables.createSpace(1);
    tables.mapLarge(0, 1, 0, 2, 7, 512);
    expect(tables.ensureTable(1, 1, 0, 1)).toBeGreaterThan(0);
    expect(tables.copyRange(0, 1, 0, 2 ** 35)).toBe(EEXIST);
    expect(tables.freeTables(1, 2 ** 18, 2 ** 18 + 1, 2 ** 18, 2 ** 18 + 512)).toBe(1);
    expect(tables.copyRange(0, 1, 0, 2 ** 35)).toBe(0);
    tables.validate();
  });
});

describe('moves', () => {
  const large = (): Machine => {
    const made = withSpace();
    expect(made.tables.mapLarge(0, 1, 0, 2, 7, 512)).toBe(0);
    return made;
  };
  const from = 2 ** 18;
  const counts = (tables: Machine['tables']): number[] => tables.occupancy().map((o) => o.entries);

  it('a large leaf goes whole to an aligned target', () => {
    const { tables, source } = large();
    const taken = source.taken.size;
    expect(tables.moveRange(0, from, from + 1024, 512, 0)).toBe(1);
    expect(zappedPages(tables)).toEqual({ count: 1, pages: [from] });
    expect([tables.vgetmapping(0, GIB), tables.vgetmapping(0, GIB + 4 * MIB + 5)]).toEqual([-1, 512 * PAGE + 5]);
    expect([counts(tables), source.taken.size]).toEqual([[0, 1, 1, 1], taken]);
    tables.validate();
  });

  it.each([
    ['is not aligned', 1024 + 3, 3],
    ['holds an empty table', 2048, 1],
  ])('and in pages to a target that %s', (_, by, leafTables) => {
    const { tables } = large();
    tables.ensureTable(0, 1, 4 * 2 * MIB, 1);
    expect(tables.moveRange(0, from, from + by, 512, 0)).toBe(512);
    for (const i of [0, 1, 511]) expect(tables.vgetmapping(0, GIB + (by + i) * PAGE)).toBe((512 + i) * PAGE);
    expect(tables.vgetmapping(0, GIB)).toBe(-1);
    expect(counts(tables)[0]).toBe(512);
    expect(tables.tableCount[1]).toBe(leafTables);
    tables.validate();
  });

  it('1 GiB that would fall into pages needs more tables than there are, unless something is in the way', () => {
    const source = new CountingFrames(60);
    const observer = { dropped: () => undefined, copied: () => undefined };
    const tables = x86_64.create({ frames: source, totalFrames: 256, maxSpaces: 1, maxTables: 100, observer });
    tables.createSpace(0);
    tables.mapLarge(0, 1, 0, 3, 7, from);
    const taken = source.taken.size;
    const target = 2 ** 30 + 3;
    expect(tables.moveRange(0, from, target, from, 0)).toBe(ENOMEM);
    expect(source.taken.size).toBe(taken);
    tables.mapLeaf(0, ...splitPage(tables, target + from - 1), 7, 5);
    expect(tables.moveRange(0, from, target, from, 0)).toBe(EEXIST);
    tables.unmapRange(0, target + from - 1, target + from, 0);
    tables.mapLeaf(0, ...splitPage(tables, target + from), 7, 5);
    tables.mapLeaf(0, ...splitPage(tables, target - 1), 7, 5);
    expect(tables.moveRange(0, from, target, from, 0)).toBe(ENOMEM);
    // By 2 MiB it stays large: one table for the pieces here, two there.
    expect(tables.moveRange(0, from, target + 509, from, 0)).toBe(EEXIST);
    expect(tables.moveRange(0, from, 2 ** 31 + 512, from, 0)).toBe(512);
    expect(tables.vgetmapping(0, 2 ** 43 + 2 * MIB)).toBe(GIB);
    tables.validate();
  });

  it('without frames, over something or over itself nothing changes', () => {
    const { tables, source } = large();
    const taken = source.taken.size;
    source.limit = taken + 1;
    // Cut at page 3 (one table), but none for the target.
    expect(tables.moveRange(0, from + 3, 2 ** 27, 5, 0)).toBe(ENOMEM);
    source.limit = 100;
    expect(tables.moveRange(0, from + 3, from + 100, 5, 0)).toBe(EEXIST);
    expect(tables.moveRange(0, from, from + 511, 512, 0)).toBe(EINVAL);
    expect(tables.moveRange(0, from, from - 511, 512, 0)).toBe(EINVAL);
    expect(tables.moveRange(0, from, 2 ** 35 - 511, 512, 0)).toBe(EINVAL);
    expect(tables.moveRange(0, from, -512, 512, 0)).toBe(EINVAL);
    expect(zappedPages(tables).count).toBe(0);
    expect([counts(tables), source.taken.size]).toEqual([[0, 1, 1, 1], taken]);
    tables.validate();
  });
});

describe('invalidation', () => {
  it('names the first 32 pages and counts the rest', () => {
    const { tables } = withSpace();
    tables.vmap(0, 0, 0x1000, 600 * PAGE);
    expect(tables.unmapRange(0, 0, 600, 0)).toBe(599);
    expect(zappedPages(tables)).toEqual({ count: 599, pages: Array.from({ length: 32 }, (_, k) => k + 1) });
    expect(tables.zapped[1]).toBe(1);
    expect(tables.unmapRange(0, 600, 601, 1)).toBe(1);
    expect([tables.zapped[0], tables.zapped[1]]).toEqual([1, 0]);
    expect(tables.freeTables(0, 0, 1000, 0, 2 ** 35)).toBe(3);
    expect(tables.zapped[1]).toBe(1);
  });
});
