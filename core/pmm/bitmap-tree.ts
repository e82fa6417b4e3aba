/**
 * Strategy `bitmap-tree`: a hierarchical bitmap. It makes the choice of `bitmap-first-fit`, the lowest aligned free block of
 * any order, but finds it at once: above the bit per frame stand levels of words that say what is full, so that a search
 * reads one word a level.
 *
 * Sources: hierarchical bitmaps as in Linux' old priority arrays and in TAOCP 7.1.3 (broadword trees); see bit-tree.ts.
 *
 * The tree's leaves are, in this order: a leaf per word of 32 frames, closed when the word has no free frame; and for each
 * order from 1 to 10 a leaf per region of 1024 frames, closed when a search found no block of that order there. A free in
 * the region opens all of its leaves again: a leaf may be open in vain, never closed in vain.
 *
 *     leaf   0 ........ words | order 1: regions | ... | order 10: regions
 *
 * Not modelled: mobility, per-CPU caches, the wished-for frame. `steps` counts words examined.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBitTree } from './bit-tree.js';
import { nextRuns } from './free-frames.js';
import { makeHeld } from './held.js';
import { usableIn, usableWord } from './memory-map.js';
import { reserveUint16, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  wordOrder = 4,
  regionFrames = 1024,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const { bits } = held;
  const regions = Math.ceil(map.frames / K.regionFrames);
  const words = regions * 32;
  const tree = makeBitTree(words + K.maxOrder * regions);
  /** 1 where a region holds usable frames and holes. */
  const mixed = reserveUint8(regions);
  /** Bit k set: the region's leaf of order k is closed, and a free will open it. */
  const searched = reserveUint16(regions);
  const work = new Float64Array(16);
  closeHoles();

  function closeHoles(): void {
    let open = 0;
    for (const { first, count } of map.usable) {
      const last = first + count - 1;
      sealRegions(open, first >>> 10);
      for (const region of [first >>> 10, last >>> 10]) {
        if (mixed[region] === 1 || usableIn(map, region * K.regionFrames, K.regionFrames) === K.regionFrames) continue;
        mixed[region] = 1;
        for (let word = region * 32; word < region * 32 + 32; word++) if (usableWord(map, word) === 0) tree.close(word);
      }
      open = (last >>> 10) + 1;
    }
    sealRegions(open, regions);
  }

  function sealRegions(from: number, to: number): void {
    if (from >= to) return;
    tree.seal(from * 32, to * 32);
    for (let order = 1; order <= K.maxOrder; order++) tree.seal(leafOf(order, from), leafOf(order, to));
  }

  function leafOf(order: number, region: number): number {
    return words + (order - 1) * regions + region;
  }

  /** The bits of a word's free frames. */
  function openFrames(word: number): number {
    const free = ~bits[word]!;
    return mixed[word >>> 5]! === 0 ? free : free & usableWord(map, word);
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    if (order !== 0) return allocateRun(order);
    work[0]! += 1;
    const word = tree.next(0);
    if (word < 0 || word >= words) return -1;
    const open = openFrames(word);
    const frame = ((word << 5) + 31 - Math.clz32(open & -open)) | 0;
    held.take(frame, 0);
    if ((open & (open - 1)) === 0) tree.close(word);
    return frame;
  }

  function allocateRun(order: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    const base = leafOf(order, 0);
    for (let leaf = tree.next(base); leaf >= 0 && leaf < base + regions; leaf = tree.next(leaf + 1)) {
      const region = leaf - base;
      const frame = findIn(region, order);
      if (frame >= 0) {
        held.take(frame, order);
        const word = frame >>> 5;
        const last = (frame + (1 << order) - 1) >>> 5;
        for (let w = word; w <= last; w++) if (openFrames(w) === 0) tree.close(w);
        return frame;
      }
      tree.close(leaf);
      searched[region] = searched[region]! | (1 << order);
    }
    return -1;
  }

  /** First frame of the lowest aligned free run in a region, or -1. */
  function findIn(region: number, order: number): number {
    const from = region << 5;
    let free = 0;
    for (let i = 0; i < 32; i = (i + 1) | 0) {
      const word = (from + i) | 0;
      work[0]! += 1;
      let runs = openFrames(word);
      if (order > K.wordOrder) {
        if (runs === -1) free |= 1 << i;
        continue;
      }
      for (let level = 0; level < order; level = (level + 1) | 0) runs = nextRuns(runs, level);
      if (runs !== 0) return (word << 5) + 31 - Math.clz32(runs & -runs);
    }
    for (let level = 5; level < order; level = (level + 1) | 0) free = nextRuns(free, level - 5);
    return free === 0 ? -1 : (from + 31 - Math.clz32(free & -free)) << 5;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    if (order === 0 && frame >= 0 && frame < map.frames) {
      const word = frame >>> 5;
      const before = openFrames(word);
      const code = held.give(frame, 0, K.maxOrder);
      if (code !== 0) return code;
      if (before === 0) tree.open(word);
    } else {
      const code = held.give(frame, order, K.maxOrder);
      if (code !== 0) return code;
      for (let word = frame >>> 5; word <= (frame + (1 << order) - 1) >>> 5; word++) tree.open(word);
    }
    const region = frame >>> 10;
    const closed = searched[region]!;
    if (closed !== 0) {
      for (let k = 1; k <= K.maxOrder; k++) if ((closed >>> k) & 1) tree.open(leafOf(k, region));
      searched[region] = 0;
    }
    return 0;
  }

  const steps = (): number => work[0]! + work[1]! + tree.steps();

  function validate(): void {
    held.validate('bitmap-tree');
    tree.validate('bitmap-tree');
    for (const { first, count } of map.usable) {
      for (let word = first >>> 5; word <= (first + count - 1) >>> 5; word++) {
        const full = openFrames(word) === 0;
        if (full !== (tree.isClosed(word) === 1)) throw new Error(`bitmap-tree: word ${word} is ${full ? 'full' : 'not full'}, but its leaf says otherwise`);
      }
      for (let region = first >>> 10; region <= (first + count - 1) >>> 10; region++) {
        for (let order = 1; order <= K.maxOrder; order++) {
          const closed = tree.isClosed(leafOf(order, region)) === 1;
          if (closed !== (((searched[region]! >>> order) & 1) === 1)) throw new Error(`bitmap-tree: leaf ${order} of region ${region} is wrong`);
          if (closed && findIn(region, order) >= 0) throw new Error(`bitmap-tree: region ${region} has a block of order ${order}, but its leaf is closed`);
        }
      }
    }
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

export const bitmapTree: PmmStrategy = {
  name: 'bitmap-tree',
  title: 'Hierarchical bitmap: the lowest free block, found through a tree of full words',
  source: 'Knuth, The Art of Computer Programming vol. 4A, 7.1.3; Linux 2.6 kernel/sched.c (sched_find_first_bit)',
  create,
};
