/**
 * Fragmentation of physical memory, by the field's formulas: the unusable free space index and the fragmentation index
 * (Gorman and Whitcroft, "The What, the Why and the Where To of Anti-Fragmentation", OLS 2006; Linux mm/vmstat.c:
 * fill_contig_page_info, unusable_free_index, __fragmentation_index, in the same integers), the share of free memory
 * that huge frames can use (LLFree), and how few contiguous ranges cover a footprint.
 * Pure functions of numbers of blocks and lengths; where those come from is the caller's business.
 */

/** Free blocks by order: index = order, value = blocks of exactly that order. */
export type FreeBlocks = ArrayLike<number>;

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
  const { freeFrames, suitable } = summarise(freeBlocks, order);
  if (freeFrames === 0) return 1000;
  return Math.floor(((freeFrames - suitable * 2 ** order) * 1000) / freeFrames);
}

/**
 * Why a request of 2^order frames would fail, in thousandths: towards 0 for lack of memory, towards 1000 because of
 * fragmentation; -1000 when it would not fail, 0 when nothing is free. Linux mm/vmstat.c, __fragmentation_index;
 * /sys/kernel/debug/extfrag/extfrag_index.
 */
export function fragmentationIndex(freeBlocks: FreeBlocks, order: number): number {
  const { freeFrames, blocks, suitable } = summarise(freeBlocks, order);
  if (blocks === 0) return 0;
  if (suitable > 0) return -1000;
  return 1000 - Math.floor((1000 + Math.floor((freeFrames * 1000) / 2 ** order)) / blocks);
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

/**
 * Lengths in pages of the maximal ranges in which consecutive virtual pages map to consecutive frames. `pages` ascends;
 * `frames[i]` is what `pages[i]` maps to.
 */
export function contiguousRanges(pages: ArrayLike<number>, frames: ArrayLike<number>): number[] {
  const lengths: number[] = [];
  let length = 0;
  for (let i = 0; i < pages.length; i++) {
    if (i > 0 && pages[i] === (pages[i - 1] ?? NaN) + 1 && frames[i] === (frames[i - 1] ?? NaN) + 1) length++;
    else {
      if (length > 0) lengths.push(length);
      length = 1;
    }
  }
  if (length > 0) lengths.push(length);
  return lengths;
}

/**
 * The fewest ranges whose lengths sum up to at least `percent` (1-100, an integer) of all lengths: longest first. 0 without ranges.
 * As in Alverti et al., "Enhancing and Exploiting Contiguity for Fast Memory Virtualization", ISCA 2020 (ranges for 99 % of
 * the footprint) and Karakostas et al., "Redundant Memory Mappings", ISCA 2015.
 */
export function rangesToCover(lengths: ArrayLike<number>, percent: number): number {
  const sorted = Float64Array.from(lengths).sort();
  const total = sorted.reduce((sum, length) => sum + length, 0);
  let covered = 0;
  let count = 0;
  for (let i = sorted.length - 1; i >= 0 && covered * 100 < total * percent; i--) {
    covered += sorted[i] ?? 0;
    count++;
  }
  return count;
}
