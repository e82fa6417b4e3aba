/**
 * Regions of int32 words whose sizes are powers of two, carved from one reserved array: the storage of heap tables that grow and are copied at fork.
 * Regions that are about to be overwritten whole (a fork's copies) come as they are; others are emptied when they are taken.
 */

import { UserError } from '../../traces/event.js';

/** Words reserved at most; untouched words cost nothing. */
const MAX_WORDS = 2 ** 28;
const MIN_WORDS = 2 ** 16;

/** Reserves what the machine lends. */
function reserve(): Int32Array {
  for (let words = MAX_WORDS; ; words /= 2) {
    try {
      return new Int32Array(words);
    } catch (error) {
      if (!(error instanceof RangeError) || words <= MIN_WORDS) throw error;
    }
  }
}

export type Arena = ReturnType<typeof makeArena>;

export function makeArena() {
  const words = reserve();
  /** [l] first free region of 2^l words, [40] the next word never used. */
  const cells = new Int32Array(64);
  cells[40] = 64;

  /** Offset (> 0) of a region of 2^l words with whatever it held before. Throws when the arena is used up. */
  function take(l: number): number {
    const head = cells[l]!;
    if (head !== 0) {
      cells[l] = words[head]!;
      return head;
    }
    const at = cells[40]!;
    const end = at + (1 << l);
    if (end > words.length)
      throw new UserError(
        `the tables of live heap blocks take more than ${words.length * 4} bytes: replay fewer processes (--pid) or a part of the trace (--window)`,
      );
    cells[40] = end;
    return at;
  }

  /** The same, all words 0. */
  function takeEmpty(l: number): number {
    const recycled = cells[l] !== 0;
    const at = take(l);
    if (recycled) words.fill(0, at, at + (1 << l));
    return at;
  }

  function give(at: number, l: number): void {
    words[at] = cells[l]!;
    cells[l] = at;
  }

  return { words, take, takeEmpty, give };
}
