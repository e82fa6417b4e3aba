/**
 * Page tables as sets and maps: the plain model that the radix tables must agree with. A space is a map from the first page of each leaf
 * to the leaf, and a set of the tables that exist; memory is a number of free frames. Every operation works on a copy and keeps it only
 * when nothing failed, so roll-back needs no code of its own.
 */
import { EEXIST, EINVAL, ENOMEM, EPERM, ESRCH, type ArchGeometry } from '../../arch/arch.js';

const WRITE = 2;
const USER = 4;
const ACCESSED = 32;
const LARGE = 128;
const SHARED = 512;
const PRESENT = 1;

export interface Leaf {
  /** First frame, up to 40 bits. */
  readonly frame: number;
  readonly flags: number;
  readonly level: number;
}

export interface Told {
  readonly what: 'dropped' | 'copied';
  readonly frame: number;
  readonly flags: number;
  readonly level: number;
}

/** A table and the pages that it covers. */
export interface Table {
  readonly level: number;
  readonly first: number;
  readonly end: number;
  readonly key: string;
}

export class Space {
  constructor(
    readonly pid: number,
    /** By first page. */
    readonly leaves: Map<number, Leaf> = new Map(),
    /** By `level:n`, where n numbers the tables of that level from page 0 on; the root is not among them. */
    readonly tables: Map<string, Table> = new Map(),
    public deposited = 0,
    public withdrawn = 0,
  ) {}
  copy(): Space {
    return new Space(this.pid, new Map(this.leaves), new Map(this.tables), this.deposited, this.withdrawn);
  }
}

class Failure extends Error {
  constructor(readonly code: number) {
    super(`code ${code}`);
  }
}

export class PageTableOracle {
  readonly spaces = new Map<number, Space>();
  /** What the observer must have been told, in order, since the last take. */
  told: Told[] = [];
  /** First pages of the leaves that the last range operation touched. */
  zapped: number[] = [];
  readonly levels: number;
  readonly entries: number;
  readonly pageSize: number;
  readonly half: number;
  readonly maxLeaf: number;
  private readonly spans: number[];

  constructor(
    readonly geometry: ArchGeometry,
    readonly maxSpaces: number,
    public free: number,
    readonly paBits: number,
  ) {
    this.levels = geometry.levels;
    this.entries = 2 ** geometry.indexBits;
    this.spans = Array.from({ length: this.levels + 1 }, (_, k) => this.entries ** k);
    this.pageSize = 2 ** geometry.pageShift;
    this.half = 2 ** (geometry.vaBits - geometry.pageShift - 1);
    this.maxLeaf = Math.max(...geometry.leafLevels);
    this.free--;
    this.spaces.set(-1, new Space(-1));
  }

  /** Pages that an entry of `level` covers. */
  span(level: number): number {
    return this.spans[level - 1]!;
  }

  private key(level: number, page: number): string {
    return `${level}:${Math.floor(page / this.span(level + 1))}`;
  }

  private addTable(space: Space, level: number, page: number): void {
    const span = this.span(level + 1);
    const n = Math.floor(page / span);
    const key = `${level}:${n}`;
    space.tables.set(key, { level, first: n * span, end: (n + 1) * span, key });
  }

  leafAt(space: Space, page: number): { first: number; leaf: Leaf } | undefined {
    for (let level = 1; level <= this.maxLeaf; level++) {
      const first = Math.floor(page / this.span(level)) * this.span(level);
      const leaf = space.leaves.get(first);
      if (leaf !== undefined && leaf.level === level) return { first, leaf };
    }
    return undefined;
  }

  private leavesIn(space: Space, start: number, end: number): [number, Leaf][] {
    if (start >= end) return [];
    return [...space.leaves].filter(([first, leaf]) => first < end && first + this.span(leaf.level) > start).sort((a, b) => a[0] - b[0]);
  }

  private attempt(pid: number, act: (space: Space) => number): number {
    const space = this.spaces.get(pid);
    if (space === undefined) return ESRCH;
    const trial = space.copy();
    const { free } = this;
    this.zapped = [];
    try {
      const result = act(trial);
      this.spaces.set(pid, trial);
      return result;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.free = free;
      this.zapped = [];
      return error.code;
    }
  }

  private pay(frames: number): void {
    if (frames > this.free) throw new Failure(ENOMEM);
    this.free -= frames;
  }

  /** Makes the tables missing on the way to a leaf of `level` at `page`, to be paid for; their number. */
  private addMissing(space: Space, page: number, level: number): number {
    let added = 0;
    for (let l = level; l < this.levels; l++) {
      if (space.tables.has(this.key(l, page))) continue;
      this.addTable(space, l, page);
      added++;
    }
    return added;
  }

  private split(space: Space, first: number, leaf: Leaf): void {
    this.pay(1);
    const small = leaf.level - 1;
    this.addTable(space, small, first);
    space.leaves.delete(first);
    const flags = small === 1 ? leaf.flags & ~LARGE : leaf.flags;
    for (let i = 0; i < this.entries; i++) {
      space.leaves.set(first + i * this.span(small), { frame: leaf.frame + i * this.span(small), flags, level: small });
    }
  }

  private cutAt(space: Space, page: number): void {
    for (;;) {
      const at = this.leafAt(space, page);
      if (at === undefined || at.first === page) return;
      this.split(space, at.first, at.leaf);
    }
  }

  private cut(space: Space, start: number, end: number): void {
    if (start >= end) return;
    this.cutAt(space, start);
    this.cutAt(space, end);
  }

  private freeEmpty(space: Space, start: number, end: number, floor: number, ceiling: number): number {
    let freed = 0;
    for (let level = 1; level < this.levels; level++) {
      for (const table of space.tables.values()) {
        if (table.level !== level || table.first >= end || table.end <= start || table.first < floor || table.end > ceiling) continue;
        const holdsTable = [...space.tables.values()].some((t) => t.level === level - 1 && t.first >= table.first && t.end <= table.end);
        if (holdsTable || this.leavesIn(space, table.first, table.end).length > 0) continue;
        space.tables.delete(table.key);
        this.free++;
        freed++;
      }
    }
    return freed;
  }

  private clamp(pid: number, start: number, end: number): [number, number] {
    return [Math.max(start, pid < 0 ? -this.half : 0), Math.min(end, this.half)];
  }

  // ---- the four functions

  private checkRange(pid: number, va: number, size: number): [number, number] {
    if (!(size >= 0) || va % this.pageSize !== 0) throw new Failure(EINVAL);
    const pages = Math.ceil(size / this.pageSize);
    const first = va / this.pageSize;
    if (pid >= 0 ? first < 0 || first + pages > this.half || first >= this.half : false) throw new Failure(EINVAL);
    if (first < -this.half || first >= this.half) throw new Failure(EINVAL);
    if (first < 0 ? first + pages > 0 : first + pages > this.half) throw new Failure(EINVAL);
    return [first, pages];
  }

  vmap(pid: number, pa: number, va: number, size: number, attr?: number): number {
    try {
      const [first, pages] = this.checkRange(pid, va, size);
      if (pa < 0 || pa % this.pageSize !== 0 || pa / this.pageSize + pages > 2 ** this.paBits / this.pageSize) return EINVAL;
      const frame = pa / this.pageSize;
      const large = attr !== undefined && (attr & LARGE) !== 0;
      if (large && (first % this.span(2) !== 0 || frame % this.span(2) !== 0 || pages % this.span(2) !== 0)) return EINVAL;
      return this.attempt(pid, (space) => {
        const flags = attr === undefined ? PRESENT | WRITE | (pid < 0 ? 0 : USER) : (attr & 0xffffff & ~LARGE) | PRESENT;
        const pieces: [number, Leaf][] = [];
        for (let p = first; p < first + pages; ) {
          let level = 1;
          const fits = (l: number): boolean => p % this.span(l) === 0 && (frame + p - first) % this.span(l) === 0 && p + this.span(l) <= first + pages;
          if (large) while (level < this.maxLeaf && fits(level + 1)) level++;
          pieces.push([p, { frame: frame + p - first, flags: level > 1 ? flags | LARGE : flags, level }]);
          p += this.span(level);
        }
        if (this.leavesIn(space, first, first + pages).length > 0) throw new Failure(EEXIST);
        let needed = 0;
        for (const [p, leaf] of pieces) needed += this.addMissing(space, p, leaf.level);
        this.pay(needed);
        for (const [p, leaf] of pieces) {
          for (const table of leaf.level > 1 ? [...space.tables.values()] : []) {
            if (table.level < leaf.level && table.first >= p && table.end <= p + this.span(leaf.level)) {
              space.tables.delete(table.key);
              this.free++;
            }
          }
          space.leaves.set(p, leaf);
        }
        return 0;
      });
    } catch (error) {
      if (error instanceof Failure) return error.code;
      throw error;
    }
  }

  vunmap(pid: number, va: number, size: number): number {
    try {
      const [first, pages] = this.checkRange(pid, va, size);
      const before = this.told.length;
      const result = this.unmapRange(pid, first, first + pages, 0);
      this.told.length = before;
      return Math.min(result, 0);
    } catch (error) {
      if (error instanceof Failure) return error.code;
      throw error;
    }
  }

  /** A process sees the kernel's upper half through its own root. */
  private seen(pid: number, page: number): { first: number; leaf: Leaf } | undefined {
    const own = this.spaces.get(pid);
    if (own === undefined || page < -this.half || page >= this.half) return undefined;
    const space = page < 0 ? this.spaces.get(-1) : own;
    const at = space === undefined ? undefined : this.leafAt(space, page);
    return at !== undefined && (at.leaf.flags & PRESENT) !== 0 ? at : undefined;
  }

  vgetmapping(pid: number, va: number): { pa: number; attr: number } | undefined {
    const page = Math.floor(va / this.pageSize);
    const at = this.seen(pid, page);
    if (at === undefined) return undefined;
    return { pa: (at.leaf.frame + page - at.first) * this.pageSize + (va - page * this.pageSize), attr: at.leaf.flags };
  }

  findLeaf(pid: number, page: number): Leaf | undefined {
    return this.seen(pid, page)?.leaf;
  }

  // ---- spaces

  createSpace(pid: number): number {
    if (!Number.isInteger(pid) || pid < 0 || pid >= this.maxSpaces) return EINVAL;
    if (this.spaces.has(pid)) return EEXIST;
    if (this.free < 1) return ENOMEM;
    this.free--;
    this.spaces.set(pid, new Space(pid));
    return 0;
  }

  destroySpace(pid: number): number {
    if (pid === -1) return EPERM;
    const space = this.spaces.get(pid);
    if (space === undefined) return ESRCH;
    for (const [, leaf] of this.leavesIn(space, -Infinity, Infinity)) this.tell('dropped', leaf);
    this.free += 1 + space.tables.size + space.deposited;
    this.spaces.delete(pid);
    return 0;
  }

  private tell(what: 'dropped' | 'copied', leaf: Leaf): void {
    this.told.push({ what, frame: leaf.frame, flags: leaf.flags, level: leaf.level });
  }

  // ---- single leaves and tables

  /** True when a large leaf stands where a table of `level` would have to be. */
  private blocked(space: Space, page: number, level: number): boolean {
    const at = this.leafAt(space, page);
    return at !== undefined && at.leaf.level > level;
  }

  mapLeaf(pid: number, page: number, flags: number, frame: number): number {
    if (page < 0 && pid >= 0) return EINVAL;
    return this.attempt(pid, (space) => {
      this.makeTable(space, page, 1);
      space.leaves.set(page, { frame, flags: flags | PRESENT, level: 1 });
      return 0;
    });
  }

  private makeTable(space: Space, page: number, level: number): void {
    if (this.blocked(space, page, level)) throw new Failure(EEXIST);
    this.pay(this.addMissing(space, page, level));
  }

  mapLarge(pid: number, page: number, level: number, flags: number, frame: number): number {
    if (level < 2 || level > this.maxLeaf || page % this.span(level) !== 0 || frame % this.span(level) !== 0) return EINVAL;
    if (page < 0 && pid >= 0) return EINVAL;
    return this.attempt(pid, (space) => {
      this.makeTable(space, page, level);
      if (space.tables.has(this.key(level - 1, page)) || space.leaves.get(page)?.level === level) throw new Failure(EEXIST);
      space.leaves.set(page, { frame, flags: flags | PRESENT | LARGE, level });
      return 0;
    });
  }

  /** 1 when the table exists afterwards, or an error. */
  ensureTable(pid: number, page: number, level: number): number {
    if (page < 0 && pid >= 0) return EINVAL;
    return this.attempt(pid, (space) => {
      this.makeTable(space, page, level);
      return 1;
    });
  }

  tableExists(pid: number, page: number, level: number): boolean {
    if (level === this.levels) return this.spaces.has(pid);
    const space = page < 0 ? this.spaces.get(-1) : this.spaces.get(pid);
    return this.spaces.has(pid) && space !== undefined && space.tables.has(this.key(level, page));
  }

  splitLarge(pid: number, page: number, useWithdrawn: boolean): number {
    return this.attempt(pid, (space) => {
      const at = this.leafAt(space, page);
      if (at === undefined || at.leaf.level === 1) throw new Failure(EINVAL);
      if (useWithdrawn && at.leaf.level === 2) {
        space.withdrawn--;
        this.free++;
      }
      this.split(space, at.first, at.leaf);
      return 0;
    });
  }

  deposit(pid: number): number {
    return this.attempt(pid, (space) => {
      this.pay(1);
      space.deposited++;
      return 1;
    });
  }

  withdraw(pid: number): number {
    return this.attempt(pid, (space) => {
      if (space.deposited === 0) return 0;
      space.deposited--;
      space.withdrawn++;
      return 1;
    });
  }

  attachTable(pid: number, page: number): number {
    return this.attempt(pid, (space) => {
      this.makeTable(space, page, 2);
      if (space.tables.has(this.key(1, page)) || this.blocked(space, page, 1)) throw new Failure(EEXIST);
      space.withdrawn--;
      this.addTable(space, 1, page);
      return 0;
    });
  }

  releaseTable(pid: number): void {
    this.attempt(pid, (space) => {
      space.withdrawn--;
      this.free++;
      return 0;
    });
  }

  // ---- ranges

  unmapRange(pid: number, start: number, end: number, keepTables: number): number {
    const [from, to] = this.clamp(pid, start, end);
    return this.attempt(pid, (space) => {
      this.cut(space, from, to);
      if (from >= to) return 0;
      for (const [first, leaf] of this.leavesIn(space, from, to)) {
        this.tell('dropped', leaf);
        this.zapped.push(first);
        space.leaves.delete(first);
      }
      if (keepTables === 0) this.freeEmpty(space, from, to, -Infinity, Infinity);
      return this.zapped.length;
    });
  }

  protectRange(pid: number, start: number, end: number, clear: number, set: number): number {
    const [from, to] = this.clamp(pid, start, end);
    return this.attempt(pid, (space) => {
      this.cut(space, from, to);
      for (const [first, leaf] of from < to ? this.leavesIn(space, from, to) : []) {
        const flags = (leaf.flags & ~(clear & ~LARGE)) | (set & ~LARGE);
        if (flags === leaf.flags) continue;
        this.zapped.push(first);
        space.leaves.set(first, { ...leaf, flags });
      }
      return this.zapped.length;
    });
  }

  freeTables(pid: number, start: number, end: number, floor: number, ceiling: number): number {
    const [from, to] = this.clamp(pid, start, end);
    return this.attempt(pid, (space) => (from < to ? this.freeEmpty(space, from, to, floor, ceiling) : 0));
  }

  // ---- fork and mremap

  copyRange(from: number, to: number, start: number, end: number): number {
    const [a, b] = this.clamp(from, start, end);
    const target = this.spaces.get(to)?.copy();
    if (target === undefined) return ESRCH;
    const result = this.attempt(from, (source) => {
      this.cut(source, a, b);
      if (a >= b) return 0;
      const leaves = this.leavesIn(source, a, b);
      for (const [first, leaf] of leaves) {
        const table = leaf.level > 1 && target.tables.has(this.key(leaf.level - 1, first));
        if (table || this.leafAt(target, first) !== undefined) throw new Failure(EEXIST);
      }
      const tables = [...source.tables.values()].filter((t) => t.first < b && t.end > a);
      for (const table of tables) if (this.blocked(target, table.first, table.level)) throw new Failure(EEXIST);
      const missing = tables.filter((t) => !target.tables.has(t.key));
      this.pay(missing.length);
      for (const table of missing) target.tables.set(table.key, table);
      for (const [first, leaf] of leaves) {
        const flags = (leaf.flags & SHARED) !== 0 ? leaf.flags : leaf.flags & ~WRITE;
        const copy = { ...leaf, flags: flags & ~ACCESSED };
        source.leaves.set(first, { ...leaf, flags });
        target.leaves.set(first, copy);
        this.tell('copied', copy);
      }
      return 0;
    });
    if (result === 0) this.spaces.set(to, target);
    return result;
  }

  copySpace(from: number, to: number): number {
    return this.copyRange(from, to, 0, this.half);
  }

  moveRange(pid: number, start: number, target: number, pages: number, keepTables: number): number {
    const end = start + pages;
    const low = pid < 0 ? -this.half : 0;
    this.zapped = [];
    for (const a of [start, target]) if (a < low || a + pages > this.half || (a < 0 && a + pages > 0)) return EINVAL;
    if (!(pages >= 0) || (target < end && start < target + pages)) return EINVAL;
    return this.attempt(pid, (space) => {
      this.cut(space, start, end);
      if (pages === 0) return 0;
      const fits = (first: number, level: number): boolean => level === 1 || (first % this.span(level) === 0 && !space.tables.has(this.key(level - 1, first)));
      // Tables for the splits are paid for together with the target's, after it is known that nothing is in the way.
      const { free } = this;
      this.free = Infinity;
      const before = space.tables.size;
      for (let again = true; again; ) {
        again = false;
        for (const [first, leaf] of this.leavesIn(space, start, end)) {
          if (fits(first - start + target, leaf.level)) continue;
          this.split(space, first, leaf);
          again = true;
        }
      }
      this.free = free;
      const moving = this.leavesIn(space, start, end);
      for (const [first, leaf] of moving) {
        if (this.leavesIn(space, first - start + target, first - start + target + this.span(leaf.level)).length > 0) throw new Failure(EEXIST);
      }
      this.pay(space.tables.size - before);
      for (const [first, leaf] of moving) {
        this.zapped.push(first);
        space.leaves.delete(first);
        this.makeTable(space, first - start + target, leaf.level);
        space.leaves.set(first - start + target, leaf);
      }
      if (keepTables === 0) this.freeEmpty(space, start, end, -Infinity, Infinity);
      return moving.length;
    });
  }
}
