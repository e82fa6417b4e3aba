/** x86-64 paging: entries as the manual draws them, one index per level, canonical edges, large pages, the kernel's half. */
import { describe, expect, it } from 'vitest';
import { Attr, EEXIST, EINVAL, ENOMEM, EPERM, ESRCH, type PageTables } from '../../arch/arch.js';
import { entryHex, x86_64 } from '../../arch/x86-64.js';
import { CountingFrames, splitPage, zappedPages } from '../oracle/page-table-rig.js';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PAGE = 4 * KIB;
/** PML4 entry 5, PDPT entry 4, PD entry 3, PT entry 2. */
const DISTINCT = 0x5 * 2 ** 39 + 0x4 * 2 ** 30 + 0x3 * 2 ** 21 + 0x2 * 2 ** 12;
const TOP = 2 ** 47;

function make(frames = 100): { tables: PageTables; source: CountingFrames; dropped: number[][]; copied: number[][] } {
  const source = new CountingFrames(frames);
  const dropped: number[][] = [];
  const copied: number[][] = [];
  const tables = x86_64.create({
    frames: source,
    totalFrames: 4096,
    maxSpaces: 8,
    maxTables: 4096,
    observer: { dropped: (...leaf) => dropped.push(leaf), copied: (...leaf) => copied.push(leaf) },
  });
  return { tables, source, dropped, copied };
}

function withSpace(frames?: number): ReturnType<typeof make> {
  const made = make(frames);
  expect(made.tables.createSpace(0)).toBe(0);
  return made;
}

describe('entries', () => {
  // SDM vol. 3A, tables 4-15 (PML4E), 4-16 (1 GiB PDPTE), 4-18 (2 MiB PDE), 4-20 (PTE): the named bit alone.
  const bits: [string, number, string][] = [
    ['P, bit 0', 1 << 0, '0000000000000001'],
    ['R/W, bit 1', 1 << 1, '0000000000000002'],
    ['U/S, bit 2', 1 << 2, '0000000000000004'],
    ['PWT, bit 3', 1 << 3, '0000000000000008'],
    ['PCD, bit 4', 1 << 4, '0000000000000010'],
    ['A, bit 5', 1 << 5, '0000000000000020'],
    ['D, bit 6', 1 << 6, '0000000000000040'],
    ['PS, bit 7', 1 << 7, '0000000000000080'],
    ['G, bit 8', 1 << 8, '0000000000000100'],
    ['AVL, bits 11:9', 7 << 9, '0000000000000e00'],
    ['AVL, bits 58:52', 0x7f << 12, '07f0000000000000'],
    ['protection key, bits 62:59', 15 << 19, '7800000000000000'],
    ['XD, bit 63', 1 << 23, '8000000000000000'],
    ['frame bits 39:32 in bits 51:44', 0xff << 24, '000ff00000000000'],
  ];
  it.each(bits)('%s', (_, word0, hex) => {
    expect(entryHex(word0, 0)).toBe(hex);
  });

  it('frame bits 31:0 in bits 43:12', () => {
    expect(entryHex(0, -1)).toBe('00000ffffffff000');
    for (let b = 0; b < 32; b++) expect(BigInt('0x' + entryHex(0, 1 << b))).toBe(1n << BigInt(b + 12));
  });

  it('every stored bit has a place of its own', () => {
    const seen = new Set<bigint>();
    for (let b = 0; b < 32; b++) {
      seen.add(BigInt('0x' + entryHex(1 << b, 0)));
      seen.add(BigInt('0x' + entryHex(0, 1 << b)));
    }
    expect(seen.size).toBe(64);
    expect([...seen].reduce((a, b) => a | b)).toBe(2n ** 64n - 1n);
  });

  it('a user data page, a user text page and a 2 MiB kernel page look as Linux prints them', () => {
    const { tables } = withSpace();
    tables.vmap(0, 0x1_2345_6000, 0x1000, PAGE, Attr.write | Attr.user | Attr.accessed | Attr.dirty | Attr.noExecute);
    tables.vmap(0, 0x7_6543_2000, 0x2000, PAGE, Attr.user | Attr.accessed);
    tables.vmap(-1, 0x4000_0000, -2 * GIB, 2 * MIB, Attr.write | Attr.global | Attr.large | Attr.accessed | Attr.dirty | Attr.noExecute);
    const leaf = (pid: number, va: number): string => tables.walkLevels(pid, va).at(-1)!.entry;
    expect(leaf(0, 0x1000)).toBe('8000000123456067');
    expect(leaf(0, 0x2000)).toBe('0000000765432025');
    expect(leaf(-1, -2 * GIB)).toBe('80000000400001e3');
  });
});

describe('a distinct index per level', () => {
  it('walks PML4[5], PDPT[4], PD[3], PT[2]', () => {
    const { tables } = withSpace();
    expect(tables.vmap(0, 0xabc000, DISTINCT, PAGE)).toBe(0);
    const steps = tables.walkLevels(0, DISTINCT);
    expect(steps.map((s) => [s.level, s.index, s.present, s.leaf])).toEqual([
      [4, 5, true, false],
      [3, 4, true, false],
      [2, 3, true, false],
      [1, 2, true, true],
    ]);
    const hex = (frame: number, flags: number): string => (frame * PAGE + flags).toString(16).padStart(16, '0');
    for (const k of [0, 1, 2]) expect(steps[k]!.entry).toBe(hex(steps[k + 1]!.tableFrame, 7));
    expect(steps[3]!.entry).toBe(hex(0xabc, 7));
    expect(new Set(steps.map((s) => s.tableFrame)).size).toBe(4);
  });

  it('in the kernel half: PML4[507], PDPT[508], PD[509], PT[510]', () => {
    const { tables } = withSpace();
    const va = DISTINCT - 2 ** 48 + 502 * 2 ** 39 + 504 * 2 ** 30 + 506 * 2 ** 21 + 508 * 2 ** 12;
    expect(tables.vmap(-1, 0x5000, va, PAGE)).toBe(0);
    expect(tables.walkLevels(-1, va).map((s) => s.index)).toEqual([507, 508, 509, 510]);
    expect(tables.walkLevels(0, va).map((s) => s.index)).toEqual([507, 508, 509, 510]);
    // Kernel tables and leaves are supervisor's.
    for (const step of tables.walkLevels(0, va)) expect(BigInt('0x' + step.entry) & 7n).toBe(3n);
  });

  it('the policy functions split addresses alike', () => {
    const { tables } = withSpace();
    const [hi, lo] = splitPage(tables, DISTINCT / PAGE);
    expect(tables.mapLeaf(0, hi, lo, Attr.write | Attr.user, 77)).toBe(0);
    expect(tables.vgetmapping(0, DISTINCT + 123)).toBe(77 * PAGE + 123);
    const handles = [1, 2, 3, 4].map((level) => tables.tableAt(0, hi, lo, level));
    expect(tables.findLeaf(0, hi, lo)).toBe(handles[0]! + 2 * 2);
    expect(handles[3]).toBe(tables.root[0]);
    expect(handles.map((t) => tables.pt[t + tables.layout.level])).toEqual([1, 2, 3, 4]);
    expect(handles.map((t) => tables.tableOf[tables.pt[t + tables.layout.frame]!])).toEqual(handles);
    // The address before and the one after are other entries.
    for (const d of [-1, 1, 512, -512, 512 * 512, -512 * 512]) expect(tables.findLeaf(0, ...splitPage(tables, DISTINCT / PAGE + d))).toBe(-1);
  });
});

describe('the canonical space', () => {
  it.each([
    ['the first page', 0, 0, PAGE],
    ['the last page of the lower half', 0, TOP - PAGE, PAGE],
    ['the first page of the upper half', -1, -TOP, PAGE],
    ['the last page of all', -1, -PAGE, PAGE],
    ['the last page of the lower half for the kernel', -1, TOP - PAGE, PAGE],
    ['the last 2 GiB in large pages', -1, -2 * GIB, 2 * GIB],
  ])('%s can be mapped', (_, pid, va, size) => {
    const { tables } = withSpace();
    expect(tables.vmap(pid, 0, va, size, size > PAGE ? Attr.write | Attr.large : undefined)).toBe(0);
    expect(tables.vgetmapping(pid, va)).toBe(0);
    expect(tables.vgetmapping(pid, va + size - 1)).toBe(size - 1);
    expect(tables.vgetmapping(pid, va - 1)).toBe(-1);
    expect(tables.vgetmapping(pid, va + size)).toBe(-1);
    tables.validate();
    expect(tables.vunmap(pid, va, size)).toBe(0);
    expect(tables.vgetmapping(pid, va)).toBe(-1);
  });

  it.each([
    ['beyond the lower half', 0, TOP, PAGE],
    ['out of the lower half', 0, TOP - PAGE, 2 * PAGE],
    ['out of the lower half by one byte', -1, TOP - PAGE, PAGE + 1],
    ['before the upper half', -1, -TOP - PAGE, PAGE],
    ['around the end of the address space', -1, -PAGE, 2 * PAGE],
    ['across the hole', -1, TOP - PAGE, 2 ** 48],
    ['a process in the upper half', 0, -TOP, PAGE],
    ['a process in the last page', 0, -PAGE, PAGE],
    ['unaligned va', 0, 0x1001, PAGE],
    ['a fraction of a byte', 0, 0.5, PAGE],
    ['negative size', 0, 0, -1],
    ['endless size', 0, 0, Infinity],
    ['no number as size', 0, 0, NaN],
    ['no number as va', 0, NaN, PAGE],
  ])('%s is -EINVAL', (_, pid, va, size) => {
    const { tables, source } = withSpace();
    expect(tables.vmap(pid, 0, va, size)).toBe(EINVAL);
    expect(tables.vunmap(pid, va, size)).toBe(EINVAL);
    expect(source.taken.size).toBe(2);
  });

  it.each([
    ['unaligned', 0x1001],
    ['negative', -PAGE],
    ['above 52 bits', 2 ** 52],
    ['no number', NaN],
  ])('a physical address that is %s is -EINVAL', (_, pa) => {
    const { tables } = withSpace();
    expect(tables.vmap(0, pa, 0, PAGE)).toBe(EINVAL);
    expect(tables.vismappedto(0, 0, pa)).toBe(0);
  });

  it('maps the last physical page', () => {
    const { tables } = withSpace();
    expect(tables.vmap(0, 2 ** 52 - PAGE, 0, PAGE)).toBe(0);
    expect(tables.vgetmapping(0, 4095)).toBe(2 ** 52 - 1);
    expect(tables.walkLevels(0, 0).at(-1)!.entry).toBe('000ffffffffff007');
    expect(tables.vmap(0, 2 ** 52 - PAGE, PAGE, 2 * PAGE)).toBe(EINVAL);
  });

  it.each([1, 7, 8, 99, -2, 0.5, NaN])('pid %s is unknown', (pid) => {
    const { tables } = withSpace();
    expect(tables.vmap(pid, 0, 0, PAGE)).toBe(ESRCH);
    expect(tables.vunmap(pid, 0, PAGE)).toBe(ESRCH);
    expect(tables.vgetmapping(pid, 0)).toBe(-1);
    expect(tables.vismappedto(pid, 0, 0)).toBe(0);
  });
});

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
    expect(tables.mapLeaf(0, -1, 0, 7, 1)).toBe(EINVAL);
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
    expect(source.taken.size).toBe(3);
    tables.validate();
    expect(tables.destroySpace(-1)).toBe(EPERM);
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
