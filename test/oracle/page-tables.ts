/**
 * Page tables as sets and maps: the plain model that the radix tables must agree with, operation by operation.
 */
import { EEXIST, EINVAL, ENOMEM, EPERM, ESRCH } from '../../arch/arch.js';
import { Failure, PageTableModel, Space, type Leaf } from './page-table-model.js';

const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const ACCESSED = 32;
const LARGE = 128;
const SHARED = 512;

export class PageTableOracle extends PageTableModel {
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
      for (const [first, leaf] of this.leavesIn(space, start, end)) {
        if (this.leavesIn(space, first - start + target, first - start + target + this.span(leaf.level)).length > 0) throw new Failure(EEXIST);
      }
      for (let again = true; again; ) {
        again = false;
        for (const [first, leaf] of this.leavesIn(space, start, end)) {
          if (fits(first - start + target, leaf.level)) continue;
          this.split(space, first, leaf);
          again = true;
        }
      }
      const moving = this.leavesIn(space, start, end);
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
