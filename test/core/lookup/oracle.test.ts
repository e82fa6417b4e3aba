/** The lookup unit against its oracle: generated command sequences over many shapes, everything compared after every command. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Attr } from '../../../arch/arch.js';
import { lookupConfig } from '../../../core/lookup/configs.js';
import { Access } from '../../../core/lookup/lookup-contract.js';
import type { Lookup, LookupConfig, TlbLevel, WalkCache } from '../../../core/lookup/lookup-contract.js';
import { makeLookup } from '../../../core/lookup/lookup.js';
import { OracleLookup } from './oracle.js';
import { makeTinyTables } from './tables.js';
import type { TinyTables } from './tables.js';

const SPACES = 3;
const counterNames = [
  'lookups',
  'l1Hits',
  'l2Hits',
  'misses',
  'permissionWalks',
  'walks',
  'walkRefs',
  'pdeHits',
  'pdpteHits',
  'pml4eHits',
  'invalidations',
  'flushes',
  'faults',
];

interface Real {
  lookup: Lookup;
  tables: TinyTables;
}

const hiOf = (page: number): number => Math.floor(page / 262144);
const loOf = (page: number): number => (page - hiOf(page) * 262144) * 4096;
const flagsOf = (write: boolean, execute: boolean): number => Attr.user | (write ? Attr.write : 0) | (execute ? 0 : Attr.noExecute);

function compare(m: OracleLookup, r: Real): void {
  r.lookup.spill();
  const { counters, walkLengths } = r.lookup;
  // Naming what differs is slow, and nothing does.
  if (m.counters.every((n, i) => n === counters[i]) && m.walkLengths.every((n, i) => n === walkLengths[i])) return;
  const named = (values: ArrayLike<number>): Record<string, number | undefined> => Object.fromEntries(counterNames.map((name, i) => [name, values[i]]));
  expect(named(counters)).toEqual(named(m.counters));
  expect([...walkLengths]).toEqual(m.walkLengths);
}

/** The leaf's flag word in the tables says what the oracle's leaf says. */
function compareLeaf(m: OracleLookup, r: Real, space: number, page: number): void {
  const level = m.leafLevel(space, page);
  if (level === 0) return;
  const leaf = m.leaf(space, page, level)!;
  const word = r.tables.pt[r.tables.entry(space, page, level)]!;
  expect(word & (Attr.accessed | Attr.dirty)).toBe((leaf.accessed ? Attr.accessed : 0) | (leaf.dirty ? Attr.dirty : 0));
}

let executed = 0;
abstract class Command implements fc.Command<OracleLookup, Real> {
  constructor(
    readonly space: number,
    readonly page: number,
    readonly cpu: number,
    readonly choice: number,
  ) {}
  check(_m: OracleLookup): boolean {
    return true;
  }
  run(m: OracleLookup, r: Real): void {
    executed++;
    this.act(m, r);
    compare(m, r);
  }
  abstract act(m: OracleLookup, r: Real): void;
  toString(): string {
    return `${this.constructor.name}(space ${this.space}, page ${this.page}, cpu ${this.cpu}, ${this.choice})`;
  }
  protected at(): [number, number, number] {
    return [this.space, hiOf(this.page), loOf(this.page)];
  }
  protected home(): number {
    return this.page < 0 ? -1 : this.space;
  }
}

/** choice: kind + 3 * (resolve a fault and retry). */
class Touch extends Command {
  act(m: OracleLookup, r: Real): void {
    const kind = this.choice % 3;
    const expected = m.access(this.space, this.page, kind, this.cpu);
    expect(r.lookup.access(...this.at(), kind, this.cpu)).toBe(expected);
    if (expected === 0 && this.choice >= 3) {
      const level = m.leafLevel(this.space, this.page);
      if (level === 0) {
        m.map(this.space, this.page, 1, { write: kind === Access.write, execute: kind === Access.fetch, accessed: false, dirty: false });
        r.tables.map(this.home(), this.page, 1, flagsOf(kind === Access.write, kind === Access.fetch));
      } else {
        m.leaf(this.space, this.page, level)![kind === Access.write ? 'write' : 'execute'] = true;
        const q = r.tables.entry(this.space, this.page, level);
        r.tables.pt[q] = kind === Access.write ? r.tables.pt[q]! | Attr.write : r.tables.pt[q]! & ~Attr.noExecute;
      }
      expect(r.lookup.retry(...this.at(), kind, this.cpu)).toBe(m.translate(this.space, this.page, kind, this.cpu));
    }
    compareLeaf(m, r, this.space, this.page);
  }
}

/** choice: rights + 4 * (leaf level - 1). */
class Map extends Command {
  override check(m: OracleLookup): boolean {
    const level = 1 + (this.choice >> 2);
    if (m.leafLevel(this.space, this.page) !== 0) return false;
    return level === 1 || !m.tables.has(m.table(this.space, this.page, level - 1));
  }
  act(m: OracleLookup, r: Real): void {
    const level = 1 + (this.choice >> 2);
    const write = (this.choice & 1) !== 0;
    const execute = (this.choice & 2) !== 0;
    m.map(this.space, this.page, level, { write, execute, accessed: false, dirty: false });
    r.tables.map(this.home(), this.page, level, flagsOf(write, execute));
  }
}

class Unmap extends Command {
  override check(m: OracleLookup): boolean {
    return m.leafLevel(this.space, this.page) !== 0;
  }
  act(m: OracleLookup, r: Real): void {
    const level = m.leafLevel(this.space, this.page);
    m.unmap(this.space, this.page, level);
    r.tables.clear(this.home(), this.page, level);
    m.invalidatePage(this.space, this.page);
    r.lookup.invalidatePage(...this.at());
  }
}

/** New rights (bits 0 and 1 of choice) and a clean leaf (bit 2), as mprotect and write-back do; invalidated unless nothing was taken away. */
class Protect extends Command {
  override check(m: OracleLookup): boolean {
    return m.leafLevel(this.space, this.page) !== 0;
  }
  act(m: OracleLookup, r: Real): void {
    const level = m.leafLevel(this.space, this.page);
    const leaf = m.leaf(this.space, this.page, level)!;
    const write = (this.choice & 1) !== 0;
    const execute = (this.choice & 2) !== 0;
    const clean = (this.choice & 4) !== 0 && leaf.dirty;
    const less = (leaf.write && !write) || (leaf.execute && !execute) || clean;
    leaf.write = write;
    leaf.execute = execute;
    if (clean) leaf.dirty = false;
    const q = r.tables.entry(this.space, this.page, level);
    const kept = r.tables.pt[q]! & ~(Attr.write | Attr.noExecute | (clean ? Attr.dirty : 0));
    r.tables.pt[q] = kept | (write ? Attr.write : 0) | (execute ? 0 : Attr.noExecute);
    if (!less) return;
    m.invalidatePage(this.space, this.page);
    r.lookup.invalidatePage(...this.at());
  }
}

/** The leaf table of the page goes with all its leaves (choice 0, as munmap frees it) or is replaced by a large leaf (1); the space is flushed. */
class FreeTable extends Command {
  override check(m: OracleLookup): boolean {
    return this.choice < 2 && m.tables.has(m.table(this.space, this.page, 1));
  }
  act(m: OracleLookup, r: Real): void {
    const first = Math.floor(this.page / 512) * 512;
    for (let p = first; p < first + 512; p++) m.unmap(this.space, p, 1);
    m.tables.delete(m.table(this.space, this.page, 1));
    r.tables.clear(this.home(), this.page, 2);
    if (this.choice === 1) {
      m.map(this.space, this.page, 2, { write: true, execute: true, accessed: false, dirty: false });
      r.tables.map(this.home(), this.page, 2, flagsOf(true, true));
    }
    m.flushSpace(this.home());
    r.lookup.flushSpace(this.home());
  }
}

/** A 2 MiB leaf becomes a table with one leaf. */
class Split extends Command {
  override check(m: OracleLookup): boolean {
    return m.leafLevel(this.space, this.page) === 2;
  }
  act(m: OracleLookup, r: Real): void {
    m.unmap(this.space, this.page, 2);
    r.tables.clear(this.home(), this.page, 2);
    m.map(this.space, this.page, 1, { write: true, execute: false, accessed: false, dirty: false });
    r.tables.map(this.home(), this.page, 1, flagsOf(true, false));
    m.invalidatePage(this.space, this.page);
    r.lookup.invalidatePage(...this.at());
  }
}

class Invalidate extends Command {
  act(m: OracleLookup, r: Real): void {
    m.invalidatePage(this.space, this.page);
    r.lookup.invalidatePage(...this.at());
  }
}
class Flush extends Command {
  override check(): boolean {
    return this.choice === 0;
  }
  act(m: OracleLookup, r: Real): void {
    m.flushSpace(this.space);
    r.lookup.flushSpace(this.space);
  }
}
class Switch extends Command {
  act(m: OracleLookup, r: Real): void {
    m.switchSpace(this.space, this.cpu);
    r.lookup.switchSpace(this.space, this.cpu);
  }
}

// Most pages lie in one dense run, mapped from the start, so that sets overflow and hits reorder them; the others in small clusters that share upper
// tables, so that walk caches overflow.
const DENSE = 48;
const pageOf = (top: number): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: DENSE - 1 }) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.constantFrom(0, 512 * 5, 262144 - 8, 262144 * 3, 2 ** 27 - 4, top - 40, -top, -(2 ** 27), -20),
          fc.integer({ min: 0, max: 19 }),
          fc.constantFrom(1, 1, 8, 512, 262144),
        )
        .map(([base, n, stride]) => {
          const page = base + n * stride;
          return base < 0 ? Math.max(-top, Math.min(page, -1)) : Math.min(page, top - 1);
        }),
    },
  );

/** The machine and its oracle with the dense run mapped in space 0, every third page read-only, every fifth not executable. */
function start(config: LookupConfig, cpus: number, levels: number, vaBits: number): { model: OracleLookup; real: Real } {
  const tables = makeTinyTables(SPACES, levels, vaBits);
  const real = { tables, lookup: makeLookup({ config, tables, cpus, maxSpaces: SPACES }) };
  const model = new OracleLookup(config, cpus, levels);
  for (let page = 0; page < DENSE; page++) {
    const write = page % 3 !== 0;
    const execute = page % 5 !== 0;
    model.map(0, page, 1, { write, execute, accessed: false, dirty: false });
    tables.map(0, page, 1, flagsOf(write, execute));
  }
  return { model, real };
}

function commands(cpus: number, top: number) {
  type Make = new (space: number, page: number, cpu: number, choice: number) => Command;
  const page = pageOf(top);
  const of = (C: Make, choices: number): fc.Arbitrary<Command> =>
    fc
      .tuple(fc.constantFrom(0, 0, 0, 0, 1, 2, -1), page, fc.integer({ min: 0, max: cpus - 1 }), fc.integer({ min: 0, max: choices - 1 }))
      .map((a) => new C(...a));
  const touch = of(Touch, 6);
  const others = [of(Map, 12), of(Unmap, 1), of(Protect, 8), of(FreeTable, 8), of(Split, 1), of(Invalidate, 1), of(Flush, 4), of(Switch, 1)];
  return fc.commands([...Array.from({ length: 24 }, () => touch), ...others], { maxCommands: 400, size: 'max' });
}

const tlb = (...shapes: [number, number][]): TlbLevel[] => shapes.map(([entries, ways], i) => ({ entries, ways, hitCycles: 1 + i * 8 }));
const walkCaches = (pde: [number, number], pdpte: [number, number], pml4e: [number, number]): LookupConfig['walkCaches'] => {
  const of = ([entries, ways]: [number, number]): WalkCache => ({ entries, ways });
  return { pde: of(pde), pdpte: of(pdpte), pml4e: of(pml4e) };
};
const absent: [number, number] = [0, 1];
const standard = lookupConfig('default');

interface Shape {
  title: string;
  config: Partial<LookupConfig>;
  cpus?: number;
  levels?: number;
}
const shapes: Shape[] = [
  { title: 'the default sizes', config: {} },
  { title: 'small power-of-two sets', config: { tlb: tlb([8, 4], [24, 12]), walkCaches: walkCaches([8, 4], [4, 4], [2, 2]) } },
  { title: '3 ways in 7 sets before 5 ways in 3 sets', config: { tlb: tlb([21, 3], [15, 5]), walkCaches: walkCaches([9, 3], [3, 1], [1, 1]) } },
  { title: 'direct-mapped before 16 ways', config: { tlb: tlb([4, 1], [32, 16]), walkCaches: walkCaches([2, 1], [2, 2], [2, 1]) } },
  { title: '8 ways before 9 ways, Intel invalidation', config: { tlb: tlb([8, 8], [18, 9]), invalidation: 'space' } },
  { title: 'fully associative 20 ways before 12 ways', config: { tlb: tlb([20, 20], [48, 12]), walkCaches: walkCaches([18, 18], [6, 6], [3, 3]) } },
  { title: 'a 12-way first level before 2 sets of 17', config: { tlb: tlb([12, 12], [34, 17]), walkCaches: walkCaches([5, 5], [4, 4], [2, 2]) } },
  { title: 'one level', config: { tlb: tlb([6, 2]) } },
  { title: 'no walk caches', config: { tlb: tlb([8, 4], [24, 12]), walkCaches: walkCaches(absent, absent, absent) } },
  { title: 'only a PDPTE cache', config: { tlb: tlb([8, 4]), walkCaches: walkCaches(absent, [2, 2], absent) } },
  { title: 'no TLB', config: { tlb: [] } },
  { title: '3 CPUs', config: { tlb: tlb([8, 4], [24, 12]), walkCaches: walkCaches([8, 4], [4, 4], [2, 2]) }, cpus: 3 },
  { title: '3 CPUs without PCIDs', config: { tlb: tlb([8, 4], [24, 12]), pcid: false }, cpus: 3 },
  { title: '2 CPUs without PCIDs, Intel invalidation', config: { tlb: tlb([9, 3], [14, 7]), pcid: false, invalidation: 'space' }, cpus: 2 },
  { title: '3 levels of tables', config: { tlb: tlb([8, 4], [24, 12]) }, levels: 3 },
  { title: '5 levels of tables', config: { tlb: tlb([8, 4], [24, 12]), invalidation: 'space' }, levels: 5 },
];

describe('lookup unit against the oracle', () => {
  for (const shape of shapes) {
    it(shape.title, () => {
      const config = { ...standard, ...shape.config };
      const cpus = shape.cpus ?? 1;
      const levels = shape.levels ?? 4;
      const vaBits = 12 + 9 * levels;
      const before = executed;
      fc.assert(
        fc.property(commands(cpus, 2 ** (vaBits - 13)), (cmds) => {
          fc.modelRun(() => start(config, cpus, levels, vaBits), cmds);
        }),
        { numRuns: 10 },
      );
      // The sequences are long enough to fill and evict; a generator that went quiet would make this suite worthless.
      expect(executed - before).toBeGreaterThan(600);
    });
  }
});
