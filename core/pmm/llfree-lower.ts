/**
 * The lower half of LLFree: a bit field and a counter for each 2 MiB of memory ("child"), and the search for a free block
 * in the eight children of a tree.
 *
 * Source: Wrenger et al., LLFree: Scalable and Optionally-Persistent Page-Frame Allocation, USENIX ATC 2023, section 4 (lower
 * allocator); github.com/luhsra/llfree-rs core/src/lower.rs, bitfield.rs. There, rows are 64 bits wide; here, 32.
 *
 *     frame   31 ............ 12 11 .. 9 8 ...... 5 4 ....... 0
 *             | tree            | child | row       | bit     |
 */
import { nextRuns } from './free-frames.js';
import type { Held } from './held.js';
import { usableIn, usableWord, type MemoryMap } from './memory-map.js';
import { reserveUint16, reserveUint8 } from './reserve.js';

const enum K {
  childFrames = 512,
  childOrder = 9,
  children = 8,
  rows = 16,
  rowOrder = 5,
}

export function makeLower(map: MemoryMap, held: Held) {
  const { bits } = held;
  const trees = Math.ceil(map.frames / (K.childFrames * K.children));
  /** Free frames of each child; 2 bytes for 2 MiB, so a terabyte's fit into one. */
  const childFree = reserveUint16(trees * K.children);
  /** 1 where a child holds usable frames and holes. */
  const mixed = reserveUint8(trees * K.children);
  /** By child: bit set = no frame of the row is free. */
  const fullRows = reserveUint16(trees * K.children);
  /** Rows, children and counters examined. */
  const work = new Float64Array(16);
  for (const { first, count } of map.usable) {
    for (let child = first >>> K.childOrder; child <= (first + count - 1) >>> K.childOrder; child++) {
      childFree[child] = usableIn(map, child * K.childFrames, K.childFrames);
      if (childFree[child] === K.childFrames) continue;
      mixed[child] = 1;
      for (let row = child * K.rows; row < (child + 1) * K.rows; row++) closeIfFull(row);
    }
  }

  function freeIn(row: number): number {
    const free = ~bits[row]!;
    return mixed[row >>> 4]! === 0 ? free : free & usableWord(map, row);
  }

  function closeIfFull(row: number): void {
    if (freeIn(row) === 0) fullRows[row >>> 4] = fullRows[row >>> 4]! | (1 << (row & 15));
  }

  /** First frame of a free block below order 9 in a child, from a row on and round to it; -1 if there is none. */
  function findInChild(child: number, from: number, order: number): number {
    const base = child << 4;
    const start = from | 0;
    if (order < K.rowOrder) {
      const levels = order | 0;
      const open = ~fullRows[child]! & 0xffff;
      // Bit i: the i-th row from the start on, round to it.
      for (let rows = ((open >>> start) | (open << (16 - start))) & 0xffff; rows !== 0; rows &= rows - 1) {
        const i = (31 - Math.clz32(rows & -rows)) | 0;
        const row = (base + ((start + i) & 15)) | 0;
        let free = freeIn(row);
        for (let level = 0; level < levels; level = (level + 1) | 0) free = nextRuns(free, level);
        if (free !== 0) {
          work[0]! += i + 2;
          return ((row << 5) + 31 - Math.clz32(free & -free)) | 0;
        }
      }
      work[0]! += K.rows + 1;
      return -1;
    }
    const rows = 1 << (order - K.rowOrder);
    for (let i = 0; i < K.rows; i = (i + rows) | 0) {
      const first = (base + (((from & -rows) + i) & 15)) | 0;
      let row = first;
      while (row < first + rows && freeIn(row) === -1) row = (row + 1) | 0;
      work[0]! += row - first + 1;
      if (row === first + rows) return first << 5;
    }
    return -1;
  }

  /**
   * Takes a block out of a tree: from the child and row of `start` (a row number of the tree) on, round to it; each further
   * child is searched from its first row on. First frame, or -1.
   */
  function get(tree: number, start: number, order: number): number {
    const size = 1 << order;
    const startChild = start >>> 4;
    const step = order > K.childOrder ? 2 : 1;
    const base = tree << 3;
    const away = ((startChild & -step) - base) | 0;
    for (let i = 0; i < K.children; i = (i + step) | 0) {
      const child = (base + ((away + i) & 7)) | 0;
      if (order < K.childOrder && childFree[child]! < size) continue;
      let frame = -1;
      if (order < K.childOrder) frame = findInChild(child, i === 0 ? start & 15 : 0, order) | 0;
      else {
        work[0]! += 1;
        if (childFree[child]! === K.childFrames && (step === 1 || childFree[child + 1]! === K.childFrames)) frame = child << K.childOrder;
      }
      if (frame < 0) continue;
      held.take(frame, order);
      count(frame, order, -1);
      if (order < K.rowOrder) closeIfFull(frame >>> 5);
      else markRows(frame, order, -1);
      return frame;
    }
    return -1;
  }

  /** Adds a block's frames to (sign 1) or takes them from (-1) the counters of its children. */
  function count(frame: number, order: number, sign: number): void {
    const child = frame >>> K.childOrder;
    if (order <= K.childOrder) childFree[child] = childFree[child]! + sign * (1 << order);
    else {
      childFree[child] = childFree[child]! + sign * K.childFrames;
      childFree[child + 1] = childFree[child + 1]! + sign * K.childFrames;
    }
  }

  /** Sets the marks of the rows of a block to full (-1) or not (0). */
  function markRows(frame: number, order: number, full: number): void {
    const child = frame >>> K.childOrder;
    if (order >= K.childOrder) fullRows.fill(full, child, child + (1 << (order - K.childOrder)));
    else {
      const rows = order < K.rowOrder ? 1 : 1 << (order - K.rowOrder);
      const mask = ((1 << rows) - 1) << ((frame >>> 5) & 15);
      fullRows[child] = (fullRows[child]! & ~mask) | (full & mask);
    }
  }

  /** Counts a block that is free again. */
  function give(frame: number, order: number): void {
    count(frame, order, 1);
    markRows(frame, order, 0);
  }

  /** Free frames of a tree, by its children. */
  function freeInTree(tree: number): number {
    let sum = 0;
    for (let child = tree * K.children; child < (tree + 1) * K.children; child++) sum += childFree[child]!;
    return sum;
  }

  function validate(): void {
    for (const { first, count: length } of map.usable) {
      for (let child = first >>> K.childOrder; child <= (first + length - 1) >>> K.childOrder; child++) {
        let free = 0;
        for (let frame = child * K.childFrames; frame < (child + 1) * K.childFrames; frame++) free += held.isFree(frame);
        if (free !== childFree[child]!) throw new Error(`llfree: child ${child} has ${free} free frames, ${childFree[child]} counted`);
        for (let row = child * K.rows; row < (child + 1) * K.rows; row++)
          if ((freeIn(row) === 0) !== (((fullRows[child]! >>> (row & 15)) & 1) === 1)) throw new Error(`llfree: the mark of row ${row} as full is wrong`);
      }
    }
  }

  return { trees, childFree, fullRows, mixed, get, give, freeInTree, steps: (): number => work[0]!, validate };
}
