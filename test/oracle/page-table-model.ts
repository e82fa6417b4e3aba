/**
 * The state behind the page-table oracle: a space is a map from the first page of each leaf to the leaf, and the tables that exist; memory
 * is a number of free frames. Every operation works on a copy and keeps it only when nothing failed, so roll-back needs no code of its own.
 */
import { ENOMEM, ESRCH, type ArchGeometry } from '../../arch/arch.js';

const LARGE = 128;

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

/** What an operation that fails throws inside the model. */
export class Failure extends Error {
  constructor(readonly code: number) {
    super(`code ${code}`);
  }
}

export class PageTableModel {
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

  protected key(level: number, page: number): string {
    return `${level}:${Math.floor(page / this.span(level + 1))}`;
  }

  protected addTable(space: Space, level: number, page: number): void {
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

  protected leavesIn(space: Space, start: number, end: number): [number, Leaf][] {
    if (start >= end) return [];
    return [...space.leaves].filter(([first, leaf]) => first < end && first + this.span(leaf.level) > start).sort((a, b) => a[0] - b[0]);
  }

  protected attempt(pid: number, act: (space: Space) => number): number {
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

  protected pay(frames: number): void {
    if (frames > this.free) throw new Failure(ENOMEM);
    this.free -= frames;
  }

  /** Makes the tables missing on the way to a leaf of `level` at `page`, to be paid for; their number. */
  protected addMissing(space: Space, page: number, level: number): number {
    let added = 0;
    for (let l = level; l < this.levels; l++) {
      if (space.tables.has(this.key(l, page))) continue;
      this.addTable(space, l, page);
      added++;
    }
    return added;
  }

  protected split(space: Space, first: number, leaf: Leaf): void {
    this.pay(1);
    const small = leaf.level - 1;
    this.addTable(space, small, first);
    space.leaves.delete(first);
    const flags = small === 1 ? leaf.flags & ~LARGE : leaf.flags;
    for (let i = 0; i < this.entries; i++) {
      space.leaves.set(first + i * this.span(small), { frame: leaf.frame + i * this.span(small), flags, level: small });
    }
  }

  protected cutAt(space: Space, page: number): void {
    for (;;) {
      const at = this.leafAt(space, page);
      if (at === undefined || at.first === page) return;
      this.split(space, at.first, at.leaf);
    }
  }

  protected cut(space: Space, start: number, end: number): void {
    if (start >= end) return;
    this.cutAt(space, start);
    this.cutAt(space, end);
  }

  protected freeEmpty(space: Space, start: number, end: number, floor: number, ceiling: number): number {
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

  protected clamp(pid: number, start: number, end: number): [number, number] {
    return [Math.max(start, pid < 0 ? -this.half : 0), Math.min(end, this.half)];
  }
}
