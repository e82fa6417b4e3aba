/** Naive twins of the strategies that place by mapping: `reservations`, `ca-paging`, `eager`. */
import { afterOf, beforeOf, placeOf } from '../../core/pmm/near.js';
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { framesOf, NaiveBuddy, type Twin } from './pmm-twin.js';

/** A buddy of which certain blocks can be taken, and the contiguity map over its blocks of order 10. */
class PlacingBuddy extends NaiveBuddy {
  private rover = 0;
  private readonly blocks: number;

  constructor(map: MemoryMap) {
    super(map);
    this.blocks = Math.ceil(map.frames / 1024);
  }

  /** The rest of the block goes to the ends of the lists of a group. */
  takeAt(frame: number, order: number, rest = 0): boolean {
    for (let k = order; k <= 10; k++) {
      let head = frame - (frame % 2 ** k);
      if (!this.remove(head, k)) continue;
      for (let half = k - 1; half >= order; half--) {
        const upper = head + 2 ** half;
        this.list(half, rest).unshift(frame >= upper ? head : upper);
        if (frame >= upper) head = upper;
      }
      return true;
    }
    return false;
  }

  /** First block and length of the first run of that many free blocks from the rover on, or of the longest. */
  findTop(want: number): { first: number; length: number } {
    const free = new Set(this.list(10).map((frame) => frame / 1024));
    if (free.size === 0) return { first: 0, length: 0 };
    const runs = Array.from({ length: this.blocks }, (_, i) => {
      const first = (this.rover + i) % this.blocks;
      let length = 0;
      while (first + length < this.blocks && free.has(first + length)) length++;
      return { first, length: Math.min(length, want) };
    });
    const longest = Math.max(...runs.map((run) => run.length));
    const run = runs.find(({ length }) => length === longest) ?? { first: 0, length: 0 };
    this.rover = run.first + run.length;
    return run;
  }
}

interface Run {
  readonly first: number;
  readonly count: number;
  readonly owner: number;
  readonly used: Set<number>;
}

/** Runs set aside; those partly used are in the order of their last change, the longest unchanged first. */
class Runs {
  private readonly all: Run[] = [];
  private queue: Run[] = [];

  constructor(private readonly buddy: PlacingBuddy) {}

  at = (frame: number): Run | undefined => this.all.find((run) => frame >= run.first && frame < run.first + run.count);

  reserve(first: number, count: number, owner: number): Run {
    const run = { first, count, owner, used: new Set<number>() };
    this.all.push(run);
    return run;
  }

  private changed(run: Run): void {
    this.queue = this.queue.filter((other) => other !== run);
    if (run.used.size === 0) this.dissolve(run);
    else if (run.used.size < run.count) this.queue.push(run);
  }

  private dissolve(run: Run): void {
    this.all.splice(this.all.indexOf(run), 1);
    for (let frame = run.first; frame < run.first + run.count; ) {
      let order = 0;
      const fits = (k: number): boolean => frame % 2 ** k === 0 && frame + 2 ** k <= run.first + run.count && framesOf(frame, k).every((f) => !run.used.has(f));
      while (order < 10 && fits(order + 1)) order++;
      if (fits(0)) this.buddy.give(frame, order);
      frame += 2 ** order;
    }
  }

  populate(run: Run, frame: number): number {
    run.used.add(frame);
    this.changed(run);
    return frame;
  }

  take(order: number): number {
    for (;;) {
      if (this.buddy.has(order)) return this.buddy.take(order);
      const oldest = this.queue.shift();
      if (oldest === undefined) return -1;
      this.dissolve(oldest);
    }
  }

  free(frame: number, order: number): void {
    if (framesOf(frame, order).every((f) => this.at(f) === undefined)) {
      this.buddy.give(frame, order);
      return;
    }
    for (let f = frame; f < frame + 2 ** order; ) {
      const run = this.at(f);
      if (run === undefined) this.buddy.give(f++, 0);
      else {
        while (f < frame + 2 ** order && f < run.first + run.count) run.used.delete(f++);
        this.changed(run);
      }
    }
  }
}

export function reservationsTwin(map: MemoryMap): Twin {
  const buddy = new PlacingBuddy(map);
  const runs = new Runs(buddy);
  return {
    allocate(order, _kind, _cpu, near, owner) {
      if (order > 10) return -1;
      if (order === 0 && near >= 0) {
        const run = runs.at(near);
        if (run !== undefined && run.owner === owner && !run.used.has(near)) return runs.populate(run, near);
      } else if (order === 0 && near < -1) {
        const index = placeOf(near) % 512;
        const isWithin = index <= beforeOf(near) && 512 - index <= afterOf(near);
        const first = isWithin ? buddy.take(9) : -1;
        if (first >= 0) return runs.populate(runs.reserve(first, 512, owner), first + index);
      }
      return runs.take(order);
    },
    free: (frame, order) => runs.free(frame, order),
  };
}

export function eagerTwin(map: MemoryMap): Twin {
  const buddy = new PlacingBuddy(map);
  const runs = new Runs(buddy);

  function fresh(near: number, owner: number): number {
    const before = beforeOf(near);
    const pages = before + afterOf(near);
    if (pages <= 1024) {
      for (let size = 1024; size > 1; size /= 2) {
        if (size >= 2 * pages || before >= size) continue;
        const first = buddy.take(Math.log2(size));
        if (first >= 0) return runs.populate(runs.reserve(first, size, owner), first + before);
      }
      return -1;
    }
    const { first, length } = buddy.findTop(Math.ceil(pages / 1024));
    if (before >= length * 1024) return -1;
    for (let block = first; block < first + length; block++) buddy.takeAt(block * 1024, 10);
    return runs.populate(runs.reserve(first * 1024, length * 1024, owner), first * 1024 + before);
  }

  return {
    allocate(order, _kind, _cpu, near, owner) {
      if (order > 10) return -1;
      if (order === 0 && near >= 0) {
        const run = runs.at(near);
        if (run !== undefined && run.owner === owner && !run.used.has(near)) return runs.populate(run, near);
        if (run === undefined && buddy.takeAt(near, 0)) return near;
      } else if (order === 0 && near < -1) {
        const frame = fresh(near, owner);
        if (frame >= 0) return frame;
      }
      return runs.take(order);
    },
    free: (frame, order) => runs.free(frame, order),
  };
}

export function caTwin(map: MemoryMap): Twin {
  const buddy = new PlacingBuddy(map);
  const PLACED = 1;
  const take = (order: number): number => (buddy.has(order) ? buddy.take(order) : buddy.take(order, PLACED));

  function place(near: number, order: number): number {
    let want = 1;
    let offset = near % 1024;
    let place = offset;
    if (near < 0) {
      const pages = beforeOf(near) + afterOf(near);
      if (pages < 512) return -1;
      place = placeOf(near);
      // The mapping's first page keeps its place in 4 MiB, and so do all others.
      let lead = 0;
      while ((lead + beforeOf(near)) % 1024 !== place) lead++;
      want = Math.ceil((lead + pages) / 1024);
      offset = lead + beforeOf(near);
    }
    const { first, length } = buddy.findTop(want);
    if (length === 0) return -1;
    const frame = first * 1024 + (offset < length * 1024 ? offset : place);
    return frame - (frame % 2 ** order);
  }

  return {
    allocate(order, _kind, _cpu, near) {
      if (order > 10) return -1;
      if (near === -1 || (order !== 0 && order !== 9)) return take(order);
      if (near >= 0 && near % 2 ** order === 0 && buddy.takeAt(near, order, PLACED)) return near;
      const frame = place(near, order);
      if (frame < 0) return take(order);
      buddy.takeAt(frame, order, PLACED);
      return frame;
    },
    free: (frame, order) => buddy.give(frame, order),
  };
}
