/**
 * Strategy `tlsf`: two-level segregated fit. Free runs of any length lie in lists by size: the first level is the power of
 * two, the second divides it into 16. Bitmaps of both levels find the first list whose runs are all large enough in constant time.
 *
 * Source: Masmano, Ripoll, Crespo, Real: TLSF: A New Dynamic Memory Allocator for Real-Time Systems, ECRTS 2004, sections 4 and 5
 * (mapping_insert, mapping_search with its rounding up, immediate coalescing by boundary tags). The unit is a frame, not a byte.
 *
 *     size 460 = 1 1100 1100b    first level 8 (256-511), second level 12: 448-463
 *                  ^^^^
 *     sizes below 16 have a list each, in row 0
 *
 * A block of a physical memory manager begins at a multiple of its size, which TLSF knows only as an aligned request. So a request
 * for 2^k frames looks, in this order, at: the first run of the list that mapping_search names, if an aligned block fits into it; the first
 * run of the list for 2 * 2^k - 1 frames, into which one always fits; and at last, so that no block that is there is missed, at all
 * runs of at least 2^k frames. Single frames never need more than the first look.
 * Not modelled: mobility, per-CPU caches, the wished-for frame. `steps` counts bitmap words and runs examined.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeFreeRuns } from './free-runs.js';
import { makeHeld } from './held.js';
import { reserveInt32 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** log2 of the lists of a power of two: the paper's SLI. */
  sli = 4,
  second = 16,
  /** Rows: 0 for sizes below 16, then one for each power of two from 2^4 to 2^30. */
  rows = 28,
  none = -1,
}

/** List of a run of this many frames: row * 16 + column (mapping_insert). */
export function listOf(size: number): number {
  if (size < K.second) return size;
  const first = 31 - Math.clz32(size);
  return ((first - K.sli + 1) << K.sli) + ((size >>> (first - K.sli)) & (K.second - 1));
}

/** First list all of whose runs have at least this many frames (mapping_search). */
export function listFor(size: number): number {
  return size < K.second ? size : listOf(size + (1 << (31 - Math.clz32(size) - K.sli)) - 1);
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const runs = makeFreeRuns(map);
  const next = reserveInt32(map.frames);
  const prev = reserveInt32(map.frames);
  const heads = new Int32Array(K.rows * K.second).fill(K.none);
  /** [0]: rows that have a run. */
  const rows = new Int32Array(32);
  /** Per row: columns that have a run. */
  const columns = new Int32Array(32);
  const work = new Float64Array(16);
  for (const { first, count } of [...map.usable].reverse()) insert(first, first + count - 1);

  function insert(first: number, last: number): void {
    runs.add(first, last);
    const list = listOf((last - first + 1) | 0);
    const head = heads[list]!;
    next[first] = head;
    prev[first] = K.none;
    if (head !== K.none) prev[head] = first;
    heads[list] = first;
    columns[list >>> 4] = columns[list >>> 4]! | (1 << (list & 15));
    rows[0] = rows[0]! | (1 << (list >>> 4));
  }

  function remove(first: number, last: number): void {
    runs.remove(first, last);
    const before = prev[first]!;
    const after = next[first]!;
    if (after !== K.none) prev[after] = before;
    if (before !== K.none) {
      next[before] = after;
      return;
    }
    const list = listOf((last - first + 1) | 0);
    heads[list] = after;
    if (after !== K.none) return;
    const left = columns[list >>> 4]! & ~(1 << (list & 15));
    columns[list >>> 4] = left;
    if (left === 0) rows[0] = rows[0]! & ~(1 << (list >>> 4));
  }

  /** The first list with a run at or behind a list, or -1: in the same row, else the lowest of the next row that has one. */
  function search(list: number): number {
    const row = list >>> 4;
    const here = columns[row]! & (-1 << (list & 15));
    if (here !== 0) {
      work[0]! += 1;
      return (row << 4) + 31 - Math.clz32(here & -here);
    }
    work[0]! += 2;
    const above = rows[0]! & (-2 << row);
    if (above === 0) return -1;
    const found = 31 - Math.clz32(above & -above);
    const there = columns[found]!;
    return (found << 4) + 31 - Math.clz32(there & -there);
  }

  /** First frame of an aligned block in a run, or -1. */
  function fitIn(run: number, size: number): number {
    work[0]! += 1;
    const at = (run + size - 1) & -size;
    return at + size - 1 <= runs.lastOf(run) ? at : -1;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    const size = 1 << order;
    let list = search(listFor(size));
    let run = list < 0 ? -1 : heads[list]!;
    let at = run < 0 ? -1 : fitIn(run, size);
    if (at < 0 && order > 0) {
      list = search(listFor(2 * size - 1));
      run = list < 0 ? -1 : heads[list]!;
      at = run < 0 ? -1 : fitIn(run, size);
      for (list = search(listOf(size)); at < 0 && list >= 0; list = search(list + 1))
        for (run = heads[list]!; run !== K.none && (at = fitIn(run, size)) < 0; ) run = next[run]!;
    }
    if (at < 0) return -1;
    const last = runs.lastOf(run);
    remove(run, last);
    if (at > run) insert(run, at - 1);
    if (at + size - 1 < last) insert(at + size, last);
    held.take(at, order);
    return at;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    let first = frame;
    let last = frame + (1 << order) - 1;
    const left = runs.endingAt(first - 1);
    const right = runs.beginningAt(last + 1);
    if (left >= 0) {
      remove(left, first - 1);
      first = left;
    }
    if (right >= 0) {
      remove(last + 1, right);
      last = right;
    }
    insert(first, last);
    return 0;
  }

  const steps = (): number => work[0]! + work[1]!;

  function validate(): void {
    held.validate('tlsf');
    let free = 0;
    for (let list = 0; list < heads.length; list++) {
      for (let run = heads[list]!, before = K.none as number; run !== K.none; before = run, run = next[run]!) {
        const last = runs.lastOf(run);
        if (prev[run] !== before) throw new Error(`tlsf: run ${run} does not point back at ${before}`);
        runs.validateRun('tlsf', held, run, last);
        if (listOf(last - run + 1) !== list) throw new Error(`tlsf: run ${run}-${last} is in list ${list}`);
        free += last - run + 1;
        if (free > map.usableFrames) throw new Error(`tlsf: list ${list} is circular`);
      }
      const marked = ((columns[list >>> 4]! >>> (list & 15)) & 1) === 1;
      if (marked !== (heads[list] !== K.none)) throw new Error(`tlsf: the bit of list ${list} is wrong`);
    }
    for (let row = 0; row < K.rows; row++)
      if ((((rows[0]! >>> row) & 1) === 1) !== (columns[row] !== 0)) throw new Error(`tlsf: the bit of row ${row} is wrong`);
    if (free !== held.freeFrames()) throw new Error(`tlsf: the lists hold ${free} frames, but ${held.freeFrames()} are free`);
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    isFree: held.isFree,
    validate,
  };
}

export const tlsf: PmmStrategy = {
  name: 'tlsf',
  title: 'Two-level segregated fit: runs in lists by size, found by two bitmaps',
  source: 'Masmano et al., TLSF, ECRTS 2004',
  create,
};
