/**
 * Fragmentation of physical memory, by the field's formulas: the unusable free space index and the fragmentation index
 * (Gorman and Whitcroft, "The What, the Why and the Where To of Anti-Fragmentation", OLS 2006; Linux mm/vmstat.c:
 * fill_contig_page_info, unusable_free_index, __fragmentation_index, in the same integers), the share of free memory
 * that huge frames can use (LLFree), and how few contiguous ranges cover a footprint.
 * Pure functions of numbers of blocks and lengths; where those come from is the caller's business.
 */

/** Free blocks by order: index = order, value = blocks of exactly that order. */
export type FreeBlocks = ArrayLike<number>;

/** What is free, and of the wished order and above. As Linux counts it: mm/vmstat.c, fill_contig_page_info. */
interface Summary {
  freeFrames: number;
  blocks: number;
  /** Blocks of the wished order that the free blocks of that order and above could be cut into. */
  suitable: number;
}

function summarise(freeBlocks: FreeBlocks, order: number): Summary {
  const sum: Summary = { freeFrames: 0, blocks: 0, suitable: 0 };
  for (let o = 0; o < freeBlocks.length; o++) {
    const blocks = freeBlocks[o] ?? 0;
    sum.blocks += blocks;
    sum.freeFrames += blocks * 2 ** o;
    if (o >= order) sum.suitable += blocks * 2 ** (o - order);
  }
  return sum;
}

/**
 * The part of free memory that cannot serve a request of 2^order frames, in thousandths rounded down, 0 (all of it can) to
 * 1000 (none can; also when nothing is free). Linux mm/vmstat.c, unusable_free_index; /sys/kernel/debug/extfrag/unusable_index.
 */
export function unusableFreeIndex(freeBlocks: FreeBlocks, order: number): number {
  return unusableOf(summarise(freeBlocks, order), order);
}

function unusableOf({ freeFrames, suitable }: Summary, order: number): number {
  if (freeFrames === 0) return 1000;
  return Math.floor(((freeFrames - suitable * 2 ** order) * 1000) / freeFrames);
}

/**
 * Why a request of 2^order frames would fail, in thousandths: towards 0 for lack of memory, towards 1000 because of
 * fragmentation; -1000 when it would not fail, 0 when nothing is free. Linux mm/vmstat.c, __fragmentation_index;
 * /sys/kernel/debug/extfrag/extfrag_index.
 */
export function fragmentationIndex(freeBlocks: FreeBlocks, order: number): number {
  return fragmentationOf(summarise(freeBlocks, order), order);
}

function fragmentationOf({ freeFrames, blocks, suitable }: Summary, order: number): number {
  if (blocks === 0) return 0;
  if (suitable > 0) return -1000;
  return 1000 - Math.floor((1000 + Math.floor((freeFrames * 1000) / 2 ** order)) / blocks);
}

/** Both indices of every order. */
export function indices(freeBlocks: FreeBlocks): { unusableIndex: number[]; fragmentationIndex: number[] } {
  const result = { unusableIndex: new Array<number>(freeBlocks.length), fragmentationIndex: new Array<number>(freeBlocks.length) };
  const sum = summarise(freeBlocks, freeBlocks.length);
  for (let order = freeBlocks.length - 1; order >= 0; order--) {
    sum.suitable = sum.suitable * 2 + freeBlocks[order]!;
    result.unusableIndex[order] = unusableOf(sum, order);
    result.fragmentationIndex[order] = fragmentationOf(sum, order);
  }
  return result;
}

/** Frames of the largest free block; 0 when nothing is free. */
export function largestFreeBlock(freeBlocks: FreeBlocks): number {
  for (let order = freeBlocks.length - 1; order >= 0; order--) if (freeBlocks[order]! > 0) return 2 ** order;
  return 0;
}

/** Frames in a huge frame: 2 MiB of 4 KiB frames, order 9. */
export const HUGE_FRAMES = 512;
const HUGE_ORDER = 9;

/**
 * LLFree's free-huge score at one moment: wholly free, aligned huge frames (2 MiB) over the number that the free frames
 * could make at best, 0 (all broken up) to 1 (also while fewer than 512 frames are free: nothing is broken up). Wrenger, Rommel, Halbuer, Dietrich,
 * Lohmann: "LLFree", USENIX ATC 2023; the formula is that of its replay (llfree-rs, bench/src/bin/replay.rs:
 * free_huge / (free_frames >> 9)), which averages it over samples equally spaced in time and prints percent.
 */
export function freeHugeScore(freeBlocks: FreeBlocks): number {
  const { freeFrames, suitable } = summarise(freeBlocks, HUGE_ORDER);
  const best = Math.floor(freeFrames / HUGE_FRAMES);
  return best === 0 ? 1 : suitable / best;
}

/** How few ranges cover a footprint, and how much of it a few cover. */
export interface Coverage {
  /** Sum of all lengths. */
  readonly total: number;
  /** The fewest ranges, longest first, whose lengths sum up to at least each percentage of the total; 0 without ranges. */
  readonly toCover: readonly number[];
  /** Sum of the lengths of so many longest ranges. */
  readonly covered: readonly number[];
}

/**
 * Coverage by the longest of the ranges. `percents` (integers 1-100) and `counts` ascend; `lengths` is left sorted.
 * As in Alverti et al., "Enhancing and Exploiting Contiguity for Fast Memory Virtualization", ISCA 2020 (ranges for 99 % of the footprint, coverage by the 32
 * and 128 largest) and Karakostas et al., "Redundant Memory Mappings", ISCA 2015.
 */
export function coverage(lengths: Float64Array, percents: readonly number[], counts: readonly number[]): Coverage {
  lengths.sort();
  let total = 0;
  for (const length of lengths) total += length;
  const toCover: number[] = [];
  const covered: number[] = [];
  let sum = 0;
  for (let n = 0; n <= lengths.length; n++) {
    if (n > 0) sum += lengths[lengths.length - n]!;
    while (toCover.length < percents.length && sum * 100 >= total * percents[toCover.length]!) toCover.push(n);
    while (covered.length < counts.length && (n === counts[covered.length] || n === lengths.length)) covered.push(sum);
  }
  return { total, toCover, covered };
}
