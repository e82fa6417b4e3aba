/** x86-64 paging: entries as the manual draws them, one index per level, canonical edges. */
import { describe, expect, it } from 'vitest';
import { Attr, EINVAL, ESRCH } from '../../arch/arch.js';
import { entryHex } from '../../arch/x86-64.js';
import { splitPage } from '../oracle/page-table-rig.js';
import { GIB, MIB, PAGE, TOP, withSpace } from './machine.js';

/** PML4 entry 5, PDPT entry 4, PD entry 3, PT entry 2. */
const DISTINCT = 0x5 * 2 ** 39 + 0x4 * 2 ** 30 + 0x3 * 2 ** 21 + 0x2 * 2 ** 12;

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
