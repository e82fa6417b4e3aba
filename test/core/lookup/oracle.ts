/**
 * The lookup unit once more, as plainly as it can be said: lists of objects, youngest first, and a walker over a map of mappings. It shares nothing with
 * the code it checks but the counters' names. Numbers of spaces: -1 is the kernel; upper-half pages belong to it.
 */
import { LookupCounter } from '../../../core/lookup/lookup-contract.js';
import type { LookupConfig } from '../../../core/lookup/lookup-contract.js';

export interface Leaf {
  write: boolean;
  execute: boolean;
  accessed: boolean;
  dirty: boolean;
}

interface TlbEntry {
  owner: string;
  size: number;
  number: number;
  write: boolean;
  execute: boolean;
}
interface WalkEntry {
  owner: string;
  number: number;
}

class Sets<E extends { owner: string; number: number; size?: number }> {
  private readonly sets: E[][];
  constructor(
    entries: number,
    private readonly ways: number,
  ) {
    this.sets = Array.from({ length: entries / ways }, () => []);
  }
  private set(number: number): E[] {
    if (this.sets.length === 0) return [];
    const low = ((number % 2 ** 32) + 2 ** 32) % 2 ** 32;
    return this.sets[low % this.sets.length]!;
  }
  find(owner: string, number: number, size = 0): E | undefined {
    return this.set(number).find((e) => e.owner === owner && e.number === number && (e.size ?? 0) === size);
  }
  use(e: E): void {
    const set = this.set(e.number);
    set.splice(set.indexOf(e), 1);
    set.unshift(e);
  }
  insert(e: E): void {
    if (this.sets.length === 0) return;
    const set = this.set(e.number);
    set.unshift(e);
    if (set.length > this.ways) set.pop();
  }
  remove(owner: string, number: number, size = 0): void {
    const set = this.set(number);
    for (let i = set.length - 1; i >= 0; i--) {
      const e = set[i]!;
      if (e.owner === owner && e.number === number && (e.size ?? 0) === size) set.splice(i, 1);
    }
  }
  isEmpty(): boolean {
    return this.sets.length === 0;
  }
}

const unit = (page: number, level: number): number => Math.floor(page / 512 ** (level - 1));

export class OracleLookup {
  readonly counters = new Array<number>(LookupCounter.length).fill(0);
  readonly walkLengths: number[];
  /** Leaves by `space:level:number`, and tables by the level they are at and the number of what they cover. */
  readonly leaves = new Map<string, Leaf>();
  readonly tables = new Set<string>();
  private readonly tlbs: Sets<TlbEntry>[][];
  private readonly walkCaches: Map<number, Sets<WalkEntry>>[];
  private readonly generation = new Map<string, number>();
  private readonly walkGeneration = new Map<string, number>();
  private readonly running: number[];
  private fresh = 0;

  constructor(
    private readonly config: LookupConfig,
    private readonly cpus: number,
    private readonly levels: number,
  ) {
    this.walkLengths = new Array<number>(levels + 1).fill(0);
    this.running = new Array<number>(cpus).fill(-1);
    // The kernel's half of the root has all its tables from the start, shared by every space.
    for (let i = 1; i <= 256; i++) this.tables.add(`-1:${levels - 1}:${-i}`);
    const { pde, pdpte, pml4e } = config.walkCaches;
    this.tlbs = Array.from({ length: cpus }, () => config.tlb.map((l) => new Sets<TlbEntry>(l.entries, l.ways)));
    this.walkCaches = Array.from({ length: cpus }, () => {
      const caches = new Map<number, Sets<WalkEntry>>();
      [pde, pdpte, pml4e].forEach((c, i) => {
        if (i + 2 <= levels) caches.set(i + 2, new Sets<WalkEntry>(c.entries, c.ways));
      });
      return caches;
    });
  }

  // ---- mappings
  private home(space: number, page: number): number {
    return page < 0 ? -1 : space;
  }
  private key(space: number, page: number, level: number): string {
    return `${this.home(space, page)}:${level}:${unit(page, level)}`;
  }
  leaf(space: number, page: number, level: number): Leaf | undefined {
    return this.leaves.get(this.key(space, page, level));
  }
  /** The level of the leaf that maps the page, or 0. */
  leafLevel(space: number, page: number): number {
    return [1, 2, 3].find((l) => this.leaves.has(this.key(space, page, l))) ?? 0;
  }
  /** Key of the table at `level` on the page's path. */
  table(space: number, page: number, level: number): string {
    return `${this.home(space, page)}:${level}:${unit(page, level + 1)}`;
  }
  map(space: number, page: number, level: number, leaf: Leaf): void {
    for (let l = this.levels - 1; l >= level; l--) this.tables.add(this.table(space, page, l));
    this.leaves.set(this.key(space, page, level), leaf);
  }
  unmap(space: number, page: number, level: number): void {
    this.leaves.delete(this.key(space, page, level));
  }

  // ---- who owns entries
  private place(space: number, page: number, cpu: number): string {
    return this.config.pcid ? `${this.home(space, page)}` : `${this.home(space, page)}@${cpu}`;
  }
  private owner(space: number, page: number, cpu: number): string {
    const p = this.place(space, page, cpu);
    return `${p}#${this.generation.get(p) ?? 0}`;
  }
  private walkOwner(space: number, page: number, cpu: number): string {
    const p = this.place(space, page, cpu);
    return `${this.owner(space, page, cpu)}/${this.walkGeneration.get(p) ?? 0}`;
  }

  // ---- what the unit does
  access(space: number, page: number, kind: number, cpu: number): number {
    const owner = this.owner(space, page, cpu);
    this.counters[LookupCounter.lookups]!++;
    let insufficient = false;
    const tlbs = this.tlbs[cpu]!;
    search: for (let level = 0; level < tlbs.length; level++) {
      for (const size of [0, 1, 2]) {
        const number = unit(page, size + 1);
        const e = tlbs[level]!.find(owner, number, size);
        if (e === undefined) continue;
        if ((kind === 1 && !e.write) || (kind === 2 && !e.execute)) {
          for (const t of tlbs) t.remove(owner, number, size);
          insufficient = true;
          break search;
        }
        tlbs[level]!.use(e);
        this.counters[level === 0 ? LookupCounter.l1Hits : LookupCounter.l2Hits]!++;
        if (level === 1) tlbs[0]!.insert({ ...e });
        return 1;
      }
    }
    this.counters[insufficient ? LookupCounter.permissionWalks : LookupCounter.misses]!++;
    return this.translate(space, page, kind, cpu);
  }

  translate(space: number, page: number, kind: number, cpu: number): number {
    let level = this.levels;
    const owner = this.walkOwner(space, page, cpu);
    const caches = this.walkCaches[cpu]!;
    for (const l of [2, 3, 4]) {
      const e = caches.get(l)?.find(owner, unit(page, l));
      if (e === undefined) continue;
      caches.get(l)!.use(e);
      this.counters[[LookupCounter.pdeHits, LookupCounter.pdpteHits, LookupCounter.pml4eHits][l - 2]!]!++;
      level = l - 1;
      break;
    }
    let refs = 0;
    let leaf: Leaf | undefined;
    for (; ; level--) {
      refs++;
      leaf = this.leaf(space, page, level);
      if (leaf !== undefined || level === 1 || !this.tables.has(this.table(space, page, level - 1))) break;
      caches.get(level)?.insert({ owner, number: unit(page, level) });
    }
    this.counters[LookupCounter.walks]!++;
    this.counters[LookupCounter.walkRefs]! += refs;
    this.walkLengths[refs]!++;
    if (leaf === undefined || (kind === 1 && !leaf.write) || (kind === 2 && !leaf.execute)) {
      this.counters[LookupCounter.faults]!++;
      return 0;
    }
    leaf.accessed = true;
    if (kind === 1) leaf.dirty = true;
    const entry = { owner: this.owner(space, page, cpu), size: level - 1, number: unit(page, level), write: leaf.write && leaf.dirty, execute: leaf.execute };
    for (const t of this.tlbs[cpu]!) t.insert({ ...entry });
    return 1;
  }

  invalidatePage(space: number, page: number): void {
    this.counters[LookupCounter.pageInvalidations]!++;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      for (const t of this.tlbs[cpu]!) for (const size of [0, 1, 2]) t.remove(this.owner(space, page, cpu), unit(page, size + 1), size);
      if (this.config.invalidation === 'path') {
        for (const [l, c] of this.walkCaches[cpu]!) c.remove(this.walkOwner(space, page, cpu), unit(page, l));
      }
    }
    if (this.config.invalidation === 'space') {
      for (let cpu = 0; cpu < this.cpus; cpu++) this.walkGeneration.set(this.place(space, page, cpu), ++this.fresh);
    }
  }

  flushSpace(space: number): void {
    this.counters[LookupCounter.spaceFlushes]!++;
    for (let cpu = 0; cpu < this.cpus; cpu++) this.generation.set(this.place(space, 0, cpu), ++this.fresh);
  }

  switchSpace(space: number, cpu: number): void {
    if (this.config.pcid || space < 0 || this.running[cpu] === space) return;
    this.running[cpu] = space;
    this.counters[LookupCounter.spaceFlushes]!++;
    this.generation.set(this.place(space, 0, cpu), ++this.fresh);
  }
}
