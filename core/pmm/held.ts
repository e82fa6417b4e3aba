/**
 * A bit per frame: handed out or not. What strategies keep besides the structure they search, so that double and foreign
 * frees are caught whatever that structure is, and so that free blocks can be counted where the structure has none.
 *
 *     frame   31 ......... 10 9 ...... 5 4 ....... 0
 *             | region        | word      | bit     |
 *     bits[frame >>> 5]          bit = 1: frame handed out; 0: free, or in a hole
 *
 * Untouched memory is zero, so free memory that was never used costs nothing. Frames in holes stay 0 and so can never be
 * given back.
 */
import { MAX_ORDER } from './allocator.js';
import { makeFreeScan, popcount, refusedFree } from './free-frames.js';
import { isUsable, usableWord, type MemoryMap } from './memory-map.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** Orders up to this one lie within one word. */
  wordOrder = 4,
}

const enum Cell {
  /** Frames handed out. */
  held = 0,
  length = 32,
}

export type Held = ReturnType<typeof makeHeld>;

export function makeHeld(map: MemoryMap) {
  const frames = map.frames;
  const total = map.usableFrames;
  /** Whole pieces of 1024 frames, as the scan reads them. */
  const bits = reserveInt32(Math.ceil(frames / 1024) * 32);
  const cell = new Int32Array(Cell.length);
  /** 1 where a frame of the region was ever handed out: only there are the bits read to count free blocks. */
  const touched = reserveUint8(Math.ceil(frames / 1024));

  /** Marks a block that is free and aligned. */
  function take(frame: number, order: number): void {
    if (order === 0) {
      const word = frame >>> 5;
      bits[word] = bits[word]! | (1 << frame);
      cell[Cell.held] = (cell[Cell.held]! + 1) | 0;
      touched[frame >>> 10] = 1;
    } else takeRun(frame, order);
  }

  function takeRun(frame: number, order: number): void {
    const size = 1 << order;
    const word = frame >>> 5;
    if (order <= K.wordOrder) bits[word] = bits[word]! | (((1 << size) - 1) << (frame & 31));
    else for (let w = word; w < word + (size >>> 5); w = (w + 1) | 0) bits[w] = -1;
    cell[Cell.held] = (cell[Cell.held]! + size) | 0;
    touched[frame >>> 10] = 1;
  }

  /** Takes the mark off every frame of a block; 0, or the error code of a free that is to be refused: then nothing has changed. */
  function give(frame: number, order: number, maxOrder: number): number {
    if (order !== 0 || frame < 0 || frame >= frames) return giveRun(frame, order, maxOrder) | 0;
    const word = frame >>> 5;
    const bit = 1 << frame;
    const old = bits[word]!;
    if ((old & bit) === 0) return refusedFree(map, frame, order, maxOrder) | 0;
    bits[word] = old & ~bit;
    cell[Cell.held] = (cell[Cell.held]! - 1) | 0;
    return 0;
  }

  function giveRun(frame: number, order: number, maxOrder: number): number {
    const size = 2 ** order;
    if (!(order > 0 && order <= maxOrder) || frame < 0 || frame >= frames || frame % size !== 0 || !isHeld(frame, order))
      return refusedFree(map, frame, order, maxOrder);
    const word = frame >>> 5;
    if (order <= K.wordOrder) bits[word] = bits[word]! & ~(((1 << size) - 1) << (frame & 31));
    else for (let w = word; w < word + (size >>> 5); w = (w + 1) | 0) bits[w] = 0;
    cell[Cell.held] = (cell[Cell.held]! - size) | 0;
    return 0;
  }

  /** Every frame of the aligned block is handed out. */
  function isHeld(frame: number, order: number): boolean {
    const word = frame >>> 5;
    if (order <= K.wordOrder) {
      const mask = ((1 << (1 << order)) - 1) << (frame & 31);
      return (bits[word]! & mask) === mask;
    }
    for (let w = word; w < word + (1 << (order - 5)); w = (w + 1) | 0) if (bits[w]! !== -1) return false;
    return true;
  }

  /** Every frame of the aligned block is 0: free if the map calls it usable. */
  function isClear(frame: number, order: number): boolean {
    const word = frame >>> 5;
    if (order <= K.wordOrder) return (bits[word]! & (((1 << (1 << order)) - 1) << (frame & 31))) === 0;
    for (let w = word; w < word + (1 << (order - 5)); w = (w + 1) | 0) if (bits[w]! !== 0) return false;
    return true;
  }

  const isFree = (frame: number): number => (isUsable(map, frame) && ((bits[frame >>> 5]! >>> (frame & 31)) & 1) === 0 ? 1 : 0);
  const scan = makeFreeScan(map, bits, () => frames, touched);

  /** Throws when bits lie outside the usable ranges or their number is not `expected`, the one counted here unless the strategy counts itself. */
  function validate(name: string, expected = cell[Cell.held]!): void {
    let held = 0;
    let usable = 0;
    for (let region = 0; region < touched.length; region++) {
      if (touched[region] === 0) continue;
      for (let word = region * 32; word < region * 32 + 32; word++) {
        held += popcount(bits[word]!);
        usable += popcount(bits[word]! & usableWord(map, word));
      }
    }
    if (usable !== held) throw new Error(`${name}: ${held - usable} frames in holes are marked as handed out`);
    if (held !== expected) throw new Error(`${name}: ${held} frames are marked as handed out, ${expected} counted`);
  }

  return {
    bits,
    touched,
    take,
    give,
    isHeld,
    isClear,
    isFree,
    freeFrames: (): number => (total - cell[Cell.held]!) | 0,
    /** Maximal aligned free blocks of an order; `version` must differ whenever the bits do. */
    freeBlocks: (order: number, version: number): number => (order > MAX_ORDER ? 0 : scan.count(order, version)),
    validate,
  };
}
