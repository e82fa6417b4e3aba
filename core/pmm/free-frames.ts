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
    blocks[order]! += run;
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
 * never handed out and are counted by arithmetic, so that a terabyte costs only what was used of it; so are the regions of 1024 frames whose
 * byte in `regionsTouched` is 0, where a strategy keeps such.
 */
export function makeFreeScan(map: MemoryMap, bits: Int32Array, touched: () => number, regionsTouched?: Uint8Array): FreeScan {
  const blocks = new Int32Array(32);
  /** Aligned runs of 2^order free frames, each run's halves counted too: blocks of an order are its runs less the two in each run of the next. */
  const runs = new Int32Array(32);
  let seen = -1;

  /**
   * Counts the runs of a region. In a word, bit i of `pairs` stands for the aligned run of two at i, of `fours` for the run
   * of four, and so on; their set bits are summed by bytes over 16 words (at most 128 a byte) before the bytes are summed.
   */
  function addRegion(region: number, whole: boolean): void {
    const base = region * 32;
    let freeWords = 0;
    for (let from = 0; from < 32; from += 16) {
      let sum0 = 0;
      let sum1 = 0;
      let sum2 = 0;
      let sum3 = 0;
      let sum4 = 0;
      for (let i = from; i < from + 16; i++) {
        const used = bits[base + i]!;
        const free = whole ? ~used : ~used & usableWord(map, base + i);
        if (free === 0) continue;
        const pairs = free & (free >>> 1) & 0x55555555;
        const fours = pairs & (pairs >>> 2) & 0x11111111;
        const eights = fours & (fours >>> 4) & 0x01010101;
        const sixteens = eights & (eights >>> 8) & 0x00010001;
        const twos = free - ((free >>> 1) & 0x55555555);
        const nibbles = (twos & 0x33333333) + ((twos >>> 2) & 0x33333333);
        const pairNibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
        sum0 = (sum0 + ((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f)) | 0;
        sum1 = (sum1 + ((pairNibbles + (pairNibbles >>> 4)) & 0x0f0f0f0f)) | 0;
        sum2 = (sum2 + ((fours + (fours >>> 4)) & 0x0f0f0f0f)) | 0;
        sum3 = (sum3 + eights) | 0;
        sum4 = (sum4 + sixteens) | 0;
        if (free === -1) freeWords |= 1 << i;
      }
      runs[0]! += sumOfBytes(sum0);
      runs[1]! += sumOfBytes(sum1);
      runs[2]! += sumOfBytes(sum2);
      runs[3]! += sumOfBytes(sum3);
      runs[4]! += sumOfBytes(sum4);
    }
    let left = freeWords;
    for (let order = 5; left !== 0; order++) {
      runs[order]! += popcount(left);
      left = nextRuns(left, order - 5);
    }
  }

  function scan(): void {
    blocks.fill(0);
    runs.fill(0);
    const regions = Math.ceil(touched() / REGION_FRAMES);
    let next = 0;
    for (const { first, count } of map.usable) {
      const end = first + count;
      for (let r = Math.max(next, Math.floor(first / REGION_FRAMES)); r < regions && r * REGION_FRAMES < end; r++) {
        if (regionsTouched?.[r] === 0) {
          const from = Math.max(first, r * REGION_FRAMES);
          addAlignedBlocks(blocks, from, Math.min(end, (r + 1) * REGION_FRAMES) - from);
          continue;
        }
        addRegion(r, r * REGION_FRAMES >= first && (r + 1) * REGION_FRAMES <= end);
        next = r + 1;
      }
      const fresh = Math.max(first, regions * REGION_FRAMES);
      if (fresh < end) addAlignedBlocks(blocks, fresh, end - fresh);
    }
    for (let order = 0; order <= MAX_ORDER; order++) blocks[order]! += runs[order]! - 2 * runs[order + 1]!;
  }

  return {
    count(order, version) {
      if (version !== seen) {
        scan();
        seen = version;
      }
      return order >= 0 && order <= MAX_ORDER ? blocks[order]! : 0;
    },
  };
}

/** Set bits of an int32 (Warren, Hacker's Delight, 5-1). */
export function popcount(word: number): number {
  const a = word - ((word >>> 1) & 0x55555555);
  const b = (a & 0x33333333) + ((a >>> 2) & 0x33333333);
  return Math.imul((b + (b >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

const sumOfBytes = (word: number): number => (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24);

/** Where bits stand for aligned runs of 2^level things, those at which an aligned run of twice as many begins. */
export function nextRuns(word: number, level: number): number {
  const both = word & (word >>> (1 << level));
  switch (level) {
    case 0:
      return both & 0x55555555;
    case 1:
      return both & 0x11111111;
    case 2:
      return both & 0x01010101;
    case 3:
      return both & 0x00010001;
    case 4:
      return both & 1;
    default:
      return 0;
  }
}
