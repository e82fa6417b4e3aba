/**
 * Strategy `eager`: eager paging. The first page of a mapping sets aside a run for all of it, 2^n frames up to 4 MiB and a row of 4 MiB
 * blocks beyond, and the mapping's other pages find their frames there.
 *
 * Source: Karakostas, Gandhi, Ayar, Cristal, Hill, McKinley, Nemirovsky, Swift, Unsal: Redundant Memory Mappings for Fast Access to Large
 * Memories, ISCA 2015, section 4.3 (eager paging allocates at request time, rounded up to a power of two, with an enlarged largest order).
 *
 * What is modelled is the placement and that the run is out of others' reach, as far as one call a page allows it: frames of the run
 * that were never touched are reserved, but count as free; RMM maps them at once, and they count as used there (what that costs is the
 * size of the mappings, `frames_peak` does not show it). A mapping that grows continues behind its run while frames are free there. A
 * run whose frames have all come back is dissolved. When memory is short, the partly used run that was unchanged for longest is broken
 * (reserved-runs.ts); RMM would return to demand paging.
 * When no such run is free: for up to 4 MiB the largest power of two that still holds the page, beyond that the longest row of blocks.
 * `steps` counts nodes of the buddies' lists, blocks looked at for a place, and changes of runs.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { makeHeld } from './held.js';
import { afterOf, beforeOf } from './near.js';
import { makeReservedRuns } from './reserved-runs.js';
import { makeTopBlocks } from './top-blocks.js';

const enum K {
  maxOrder = 10,
  topFrames = 1024,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable]);
  const runs = makeReservedRuns(map, held, lists, 0);
  const top = makeTopBlocks(map, lists);
  const work = new Float64Array(16);

  function allocate(order: number, _kind: number, _cpu: number, near: number, owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    if (order === 0 && near !== -1) {
      const frame = near >= 0 ? beside(near, owner) : fresh(near, owner);
      if (frame >= 0) return frame;
    }
    return runs.takeBlock(order);
  }

  /** The wished-for frame, in the owner's run or free behind it; else -1. */
  function beside(near: number, owner: number): number {
    if (near >= map.frames || !held.isClear(near, 0)) return -1;
    if (runs.isOf(near, owner)) runs.populate(near);
    else if (lists.takeAt(near, 0, 0) === 1) held.take(near, 0);
    else return -1;
    return near;
  }

  /** The page's place in a new run, or -1. */
  function fresh(near: number, owner: number): number {
    const before = beforeOf(near);
    const pages = before + afterOf(near);
    let first = -1;
    let count = 0;
    if (pages <= K.topFrames) {
      for (let order = pages <= 1 ? 0 : 32 - Math.clz32(pages - 1); first < 0 && order > 0 && before < 1 << order; order--) {
        first = lists.take(order, 0);
        count = 1 << order;
      }
    } else {
      const want = Math.ceil(pages / K.topFrames);
      top.search(want);
      const blocks = Math.min(top.blockCount(), want);
      if (before < blocks * K.topFrames) {
        first = top.firstBlock() * K.topFrames;
        count = blocks * K.topFrames;
        for (let block = first; block < first + count; block += K.topFrames)
          if (lists.takeAt(block, K.maxOrder, 0) === 0) throw new Error(`eager: block ${block} is not free, but was found to be`);
      }
    }
    if (first < 0) return -1;
    runs.reserve(first, count, owner);
    runs.populate(first + before);
    return first + before;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code === 0) runs.give(frame, order);
    return code;
  }

  const steps = (): number => work[0]! + work[1]! + lists.steps() + runs.steps() + top.steps();

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    near: 'mapping',
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    isFree: held.isFree,
    validate: () => runs.validate('eager'),
  };
}

export const eager: PmmStrategy = {
  name: 'eager',
  title: 'Eager paging: the first page of a mapping sets its whole run aside',
  source: 'Karakostas et al., Redundant Memory Mappings, ISCA 2015',
  create,
};
