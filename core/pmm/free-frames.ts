/**
 * What strategies share off the hot path: why a free is refused, and how many maximal aligned free blocks a bit per
 * frame amounts to (what a buddy allocator would hold in its lists if it had the same frames free: Knuth, The Art of
 * Computer Programming vol. 1, 2.5, "the buddy system"; Linux mm/page_alloc.c). It allocates nothing.
 */
import { EINVAL, EPERM } from '../../arch/arch.js';
import { MAX_ORDER } from './allocator.js';
import { usableIn, usableWord, type MemoryMap } from './memory-map.js';

/** Frames in the largest block, and in the pieces memory is summarised by: 32 words of 32 bits. */
const REGION_FRAMES = 1 << MAX_ORDER;

/** The code for a free that was refused: -EINVAL if no such block can exist, else -EPERM (some frame of it is free). */
export function refusedFree(map: MemoryMap, frame: number, order: number, maxOrder: number): number {
  if (!Number.isInteger(order) || order < 0 || order > maxOrder) return EINVAL;
  const size = 2 ** order;
  if (!Number.isInteger(frame) || frame < 0 || frame % size !== 0 || usableIn(map, frame, size) !== size) return EINVAL;
  return EPERM;
}

/** Adds the maximal aligned blocks that make up [first, first + count) to `blocks`, by order. */
export function addAlignedBlocks(blocks: Int32Array, first: number, count: number): void {
  let at = first;
  let left = count;
  while (left > 0) {
    let order = 0;
    while (order < MAX_ORDER && at % 2 ** (order + 1) === 0 && left >= 2 ** (order + 1)) order++;
    const run = order === MAX_ORDER ? Math.floor(left / REGION_FRAMES) : 1;
    blocks[order] = (blocks[order] ?? 0) + run;
    at += run * 2 ** order;
    left -= run * 2 ** order;
  }
}

export interface FreeScan {
  /** Maximal aligned free blocks of exactly this order. `version` must differ whenever the bits differ: one scan serves all orders. */
  count(order: number, version: number): number;
}

/**
 * Counts free blocks in a bit per frame: 0 = free if the map calls the frame usable. Frames from `touched()` on were
 * never handed out and are counted by arithmetic, so that a terabyte costs only what was used of it.
 */
export function makeFreeScan(map: MemoryMap, bits: Int32Array, touched: () => number): FreeScan {
  const blocks = new Int32Array(32);
  let seen = -1;

  /** Sorts the free runs of a region's words into blocks: orders 0-4 within words, 5-10 over the mask of whole free words. */
  function addRegion(region: number, whole: boolean): void {
    let wholeWords = 0;
    const base = region * 32;
    for (let i = 0; i < 32; i++) {
      const used = bits[base + i] ?? -1;
      const free = whole ? ~used : ~used & usableWord(map, base + i);
      if (free === -1) wholeWords |= 1 << i;
      else if (free !== 0) addWord(free, 0);
    }
    if (wholeWords !== 0) addWord(wholeWords, 5);
  }

  /** Each set bit is a free block of `order`; aligned pairs of them join upwards. A word of 32 frames is order 5, a word of 32 words order 10. */
  function addWord(word: number, order: number): void {
    const pairs = word & (word >>> 1) & 0x55555555;
    const fours = pairs & (pairs >>> 2) & 0x11111111;
    const eights = fours & (fours >>> 4) & 0x01010101;
    const sixteens = eights & (eights >>> 8) & 0x00010001;
    const all = sixteens & (sixteens >>> 16) & 1;
    const p1 = popcount(pairs);
    const p2 = popcount(fours);
    const p3 = popcount(eights);
    const p4 = popcount(sixteens);
    add(order, popcount(word) - 2 * p1);
    add(order + 1, p1 - 2 * p2);
    add(order + 2, p2 - 2 * p3);
    add(order + 3, p3 - 2 * p4);
    add(order + 4, p4 - 2 * all);
    add(order + 5, all);
  }

  function add(order: number, count: number): void {
    blocks[order] = (blocks[order] ?? 0) + count;
  }

  function scan(): void {
    blocks.fill(0);
    const regions = Math.ceil(touched() / REGION_FRAMES);
    let next = 0;
    for (const { first, count } of map.usable) {
      const end = first + count;
      for (let r = Math.max(next, Math.floor(first / REGION_FRAMES)); r < regions && r * REGION_FRAMES < end; r++) {
        addRegion(r, r * REGION_FRAMES >= first && (r + 1) * REGION_FRAMES <= end);
        next = r + 1;
      }
      const fresh = Math.max(first, regions * REGION_FRAMES);
      if (fresh < end) addAlignedBlocks(blocks, fresh, end - fresh);
    }
  }

  return {
    count(order, version) {
      if (version !== seen) {
        scan();
        seen = version;
      }
      return order >= 0 && order <= MAX_ORDER ? (blocks[order] ?? 0) : 0;
    },
  };
}

/** Set bits of an int32 (Warren, Hacker's Delight, 5-1). */
export function popcount(word: number): number {
  const a = word - ((word >>> 1) & 0x55555555);
  const b = (a & 0x33333333) + ((a >>> 2) & 0x33333333);
  return Math.imul((b + (b >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
