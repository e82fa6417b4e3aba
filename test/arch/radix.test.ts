/** What the radix tables do when their surroundings fail them: memory, slab, frame source, callers; and that their own check can fail. */
import { describe, expect, it } from 'vitest';
import { OutOfMemoryError, type PageTables } from '../../arch/arch.js';
import { makeRadix } from '../../arch/radix.js';
import { x86_64 } from '../../arch/x86-64.js';
import { CountingFrames } from '../oracle/page-table-rig.js';

const observer = { dropped: () => undefined, copied: () => undefined };
const make = (frames: number, maxTables = 64): { tables: PageTables; source: CountingFrames } => {
  const source = new CountingFrames(frames);
  return { source, tables: x86_64.create({ frames: source, totalFrames: 256, maxSpaces: 4, maxTables, observer }) };
};

describe('limits', () => {
  it('a memory without a frame for the root is refused', () => {
    expect(() => make(0)).toThrow(OutOfMemoryError);
    expect(() => make(0)).toThrow('memory too small for one page table');
  });

  it('a full slab is a limit of the simulator and stops, with nothing taken', () => {
    const { tables, source } = make(200, 5);
    expect(tables.createSpace(0)).toBe(0);
    expect(tables.mapLeaf(0, 0, 0, 7, 1)).toBe(0);
    const taken = source.taken.size;
    expect(() => tables.mapLeaf(0, 1, 0, 7, 1)).toThrow(/simulator limit: all 5 page tables .* maxTables/);
    expect(source.taken.size).toBe(taken);
    expect(tables.destroySpace(0)).toBe(0);
    tables.validate();
  });

  it('blocks of freed tables are used again', () => {
    const { tables } = make(200, 5);
    for (let k = 0; k < 50; k++) {
      expect(tables.createSpace(0)).toBe(0);
      expect(tables.mapLeaf(0, k, 0, 7, 1)).toBe(0);
      expect(tables.destroySpace(0)).toBe(0);
    }
    tables.validate();
  });

  it('a frame source that refuses to take a frame back, or hands out one that does not exist, is a broken invariant', () => {
    const { tables, source } = make(200);
    tables.createSpace(0);
    source.taken.clear();
    expect(() => tables.destroySpace(0)).toThrow(/refused to take back frame 1 .*\(-22\)/);
    const beyond = { allocate: () => 256, free: () => 0 };
    expect(() => x86_64.create({ frames: beyond, totalFrames: 256, maxSpaces: 4, maxTables: 8, observer })).toThrow(/frame 256 of a memory of 256 frames/);
  });

  it('policies that name a space that does not exist are stopped', () => {
    const { tables } = make(200);
    tables.createSpace(0);
    expect(() => tables.mapLeaf(1, 0, 0, 7, 1)).toThrow('address space 1 does not exist');
    expect(() => tables.copySpace(0, 1)).toThrow('address space 1 does not exist');
    expect(() => tables.copySpace(0, 0)).toThrow(/another, empty process space/);
    expect(() => tables.unmapRange(1, 0, 1, 0)).toThrow('address space 1 does not exist');
    expect(() => tables.protectRange(1, 0, 1, 2, 0)).toThrow('address space 1 does not exist');
    expect(tables.findLeaf(1, 0, 0)).toBe(-1);
    tables.mapLeaf(0, 0, 0, 1, 1);
    expect(() => tables.protectRange(0, 0, 1, 1, 0)).toThrow(/must leave a flag bit/);
  });

  it('a space does not end while a withdrawn table is in nobody’s place', () => {
    const { tables } = make(200);
    tables.createSpace(0);
    expect(tables.deposit(0)).toBeGreaterThan(0);
    const table = tables.withdraw(0);
    expect(() => tables.destroySpace(0)).toThrow(/withdrawn/);
    tables.releaseTable(0, table);
    expect(tables.destroySpace(0)).toBe(0);
    tables.validate();
  });

  it('frames are asked for and given back on the CPU that runs', () => {
    const asked: number[] = [];
    const frames = {
      allocate: (_order: number, _kind: number, cpu: number) => asked.push(cpu),
      free: (_frame: number, _order: number, cpu: number) => {
        asked.push(-cpu);
        return 0;
      },
    };
    const tables = x86_64.create({ frames, totalFrames: 256, maxSpaces: 4, maxTables: 8, observer });
    tables.setCpu(3);
    tables.createSpace(0);
    tables.destroySpace(0);
    expect(asked).toEqual([0, 3, -3]);
  });

  it('tables of more than 1024 entries share summary bits between bitmap words', () => {
    const geometry = { name: '16 KiB', pageShift: 14, levels: 4, indexBits: 11, vaBits: 48, tableNames: ['', '1', '2', '3', '4'], leafLevels: [1, 2] };
    const options = { frames: new CountingFrames(99), totalFrames: 256, maxSpaces: 4, maxTables: 64, observer };
    const tables = makeRadix({ geometry, paBits: 52, encode: () => '' }, options);
    tables.createSpace(0);
    for (const page of [0, 32, 2047]) expect(tables.mapLeaf(0, 0, page << 14, 7, page)).toBe(0);
    // Entries 0 and 32 stand in two words of one group: the bit stays until both are gone.
    for (const [page, left] of [
      [32, 2],
      [0, 1],
    ]) {
      expect(tables.moveRange(0, page!, 4096 + page!, 1, 0)).toBe(1);
      tables.validate();
      expect(tables.pt[tables.tableAt(0, 0, 0, 1) + tables.layout.count]).toBe(left);
    }
    for (const page of [0, 32]) expect(tables.unmapRange(0, 4096 + page, 4096 + page + 1, 1)).toBe(1);
    tables.validate();
  });

  it('refuses geometries it cannot hold', () => {
    const geometry = { ...x86_64.geometry, levels: 2 };
    const options = { frames: new CountingFrames(9), totalFrames: 256, maxSpaces: 4, maxTables: 8, observer };
    expect(() => makeRadix({ geometry, paBits: 52, encode: () => '' }, options)).toThrow(/geometry of x86-64/);
  });
});

describe('validate notices', () => {
  const broken: [string, (tables: PageTables, leaf: number, t: number) => void, RegExp][] = [
    ['an entry the bitmap does not know', (x, q) => (x.pt[q + 2] = 7), /bitmap and entry 1 disagree/],
    ['a bitmap bit without entry', (x, q) => (x.pt[q] = 0), /bitmap and entry 0 disagree/],
    ['a wrong count', (x, _, t) => x.pt[t + x.layout.count]!++, /counts 2 entries but holds 1/],
    ['a wrong summary', (x, _, t) => (x.pt[t + x.layout.summary] = 3), /wrong summary/],
    ['a wrong level', (x, _, t) => (x.pt[t + x.layout.level] = 2), /says it is level 2/],
    ['a wrong owner of a frame', (x, _, t) => (x.tableOf[x.pt[t + x.layout.frame]!] = 0), /level-1 table 0/],
    ['a frame in an unused entry', (x, q) => (x.pt[q + 5] = 9), /unused entry 2 holds a frame/],
    ['a wrong sum', (x) => x.tableCount[1]!++, /2 level-1 tables are counted in all/],
    ['a wrong sum of a space', (x) => x.spaceTables[1]!++, /space 0 counts 2 level-1 tables/],
    ["a process' own idea of the kernel's half", (x) => (x.pt[x.root[0]! + 2 * 511] = 3), /differs from the kernel's root in entry 511/],
    ['a table in two places', (x) => (x.pt[x.root[1]!] = x.pt[x.root[0]!]!), /disagree/],
  ];
  it.each(broken)('%s', (_, damage, message) => {
    const { tables } = make(100);
    tables.createSpace(0);
    tables.createSpace(1);
    tables.mapLeaf(0, 0, 0, 7, 1);
    tables.validate();
    damage(tables, tables.findLeaf(0, 0, 0), tables.tableAt(0, 0, 0, 1));
    expect(() => tables.validate()).toThrow(message);
  });

  it('a large leaf that is not aligned, and dirt in a free table', () => {
    const { tables } = make(100);
    tables.createSpace(0);
    tables.mapLarge(0, 0, 0, 2, 7, 512);
    const q = tables.findLeaf(0, 0, 0);
    tables.pt[q + 1]!++;
    expect(() => tables.validate()).toThrow(/large leaf 0 is not aligned/);
    tables.pt[q + 1]!--;
    tables.validate();
    const t = tables.tableAt(0, 0, 0, 2);
    tables.unmapRange(0, 0, 512, 0);
    tables.validate();
    tables.pt[t + 6] = 1;
    expect(() => tables.validate()).toThrow(/free table .* is not empty/);
  });
});
