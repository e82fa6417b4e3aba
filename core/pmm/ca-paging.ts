/**
 * Strategy `ca-paging`: contiguity-aware placement over binary buddies. The first page of a mapping chooses a place where all of it
 * may lie in one run; every later page is put at the same distance from its neighbour, if that frame is free.
 *
 * Source: Alverti, Psomadakis, Karakostas, Gandhi, Nikas, Goumas, Koziris: Enhancing and Exploiting Contiguity for Fast Memory
 * Virtualization, ISCA 2020, sections 4.1-4.3: the offset of a mapping, taken at its first fault and again where it leads to a frame that is
 * taken; next fit over clusters of free blocks of the largest order (top-blocks.ts). The offset comes as `near` here.
 *
 * Frames and huge pages (order 9) of mappings are placed so:
 *   1. at `near`, if it is free there;
 *   2. for the first page of a mapping of 2 MiB or more, in the next run of free 4 MiB blocks that is long enough (else the longest), with
 *      frames congruent to pages modulo 4 MiB; where `near` is taken, in the next free 4 MiB block;
 *   3. as the buddies choose: small mappings, everything else, and when no 4 MiB block is free.
 * What is left of a block that was broken for a placement is in lists of its own, from which requests without a wish take last: else the page
 * table of a mapping's first page would lie where its second page wants to be. (In Linux, per-CPU lists stand between them.)
 * Not modelled: several offsets kept for a mapping with the nearest one taken (the caller passes that of a neighbour or of the page placed
 * last), the file cache's read-ahead as one run.
 * `steps` counts nodes of the buddies' lists and blocks looked at for a place.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { makeHeld } from './held.js';
import { afterOf, beforeOf, placeOf } from './near.js';
import { makeTopBlocks } from './top-blocks.js';

const enum K {
  maxOrder = 10,
  hugeOrder = 9,
  topFrames = 1024,
  /** Pages below which a mapping is not placed. */
  smallest = 512,
  /** Group of what is left of blocks that were broken for a placement; 0 is all else. */
  placed = 1,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable, []]);
  const top = makeTopBlocks(map, lists);
  const work = new Float64Array(16);

  function allocate(order: number, _kind: number, _cpu: number, near: number, _owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    let frame = -1;
    if (near !== -1 && (order === 0 || order === K.hugeOrder)) {
      if (near >= 0 && near < map.frames && (near & ((1 << order) - 1)) === 0 && lists.takeAt(near, order, K.placed) === 1) frame = near;
      else frame = place(near, order);
    }
    if (frame < 0) frame = lists.take(order, 0);
    if (frame < 0) frame = lists.take(order, K.placed);
    if (frame >= 0) held.take(frame, order);
    return frame;
  }

  /** Takes a block in a place of its own, out of what the buddies have; -1 where there is no such place. */
  function place(near: number, order: number): number {
    let want = 1;
    let inRun = near & (K.topFrames - 1);
    let offset = inRun;
    if (near < 0) {
      const before = beforeOf(near);
      const pages = before + afterOf(near);
      if (pages < K.smallest) return -1;
      inRun = placeOf(near);
      const lead = (((inRun - before) % K.topFrames) + K.topFrames) % K.topFrames;
      want = Math.ceil((lead + pages) / K.topFrames);
      offset = lead + before;
    }
    top.search(want);
    const blocks = top.blockCount();
    if (blocks === 0) return -1;
    // Where the run is too short for the page's own place, the page begins it.
    if (offset >= blocks * K.topFrames) offset = inRun;
    const frame = (top.firstBlock() * K.topFrames + offset) & -(1 << order);
    if (lists.takeAt(frame, order, K.placed) === 0) throw new Error(`ca-paging: frame ${frame} is not in the free block that was found for it`);
    return frame;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code === 0) lists.give(frame, order, 0);
    return code;
  }

  function validate(): void {
    held.validate('ca-paging');
    const free = lists.validate('ca-paging', held);
    if (free !== held.freeFrames()) throw new Error(`ca-paging: the lists hold ${free} free frames, but ${held.freeFrames()} are free`);
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    near: 'mapping',
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: lists.freeBlocks,
    steps: () => work[0]! + work[1]! + lists.steps() + top.steps(),
    isFree: held.isFree,
    validate,
  };
}

export const caPaging: PmmStrategy = {
  name: 'ca-paging',
  title: 'Contiguity-aware paging: each mapping at one offset, placed by next fit over 4 MiB blocks',
  source: 'Alverti et al., ISCA 2020',
  create,
};
