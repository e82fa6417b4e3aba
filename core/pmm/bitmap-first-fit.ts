/**
 * Strategy `bitmap-first-fit`: a bit per frame, and every request searches from the first frame of memory on, a word at a
 * time. Nothing is remembered between requests.
 *
 * Sources: the bitmap allocator of teaching kernels (OSDev wiki, Page Frame Allocation; Tanenbaum and Bos, Modern Operating
 * Systems 3.2.3, "Memory Management with Bitmaps": "searching a bitmap for a run of a given length is a slow operation").
 *
 * Warning: the cost of a request grows with the memory in use below the frame it finds, so that filling n frames examines
 * about n^2/64 words. In a nearly full memory of 4 GiB a request reads some 30 000 words. It is here as the floor to
 * measure against; `bitmap` (next fit) and `bitmap-tree` (the same choice, found at once) show what a summary is worth.
 * Holes cost nothing: the search goes over the usable ranges. Not modelled: mobility, per-CPU caches, the wished-for frame.
 *
 * `steps` counts the words examined.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { nextRuns } from './free-frames.js';
import { makeHeld } from './held.js';
import { usableWord } from './memory-map.js';

const enum K {
  maxOrder = 10,
  wordOrder = 4,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const { bits } = held;
  const work = new Float64Array(16);
  const ranges = map.usable.length;
  /** First and last word of each range, and its bits that are usable in them. */
  const firstWord = Int32Array.from(map.usable, ({ first }) => first >>> 5);
  const lastWord = Int32Array.from(map.usable, ({ first, count }) => (first + count - 1) >>> 5);
  const firstMask = Int32Array.from(firstWord, (word) => usableWord(map, word));
  const lastMask = Int32Array.from(lastWord, (word) => usableWord(map, word));

  /** Lowest aligned run of 2^order free frames, or -1. */
  function find(order: number): number {
    let examined = 0;
    let found = -1;
    /** Free words in a row up to here, for runs of several words. */
    let run = 0;
    const runWords = order > K.wordOrder ? 1 << (order - 5) : 0;
    for (let r = 0; r < ranges && found < 0; r = (r + 1) | 0) {
      const last = lastWord[r]!;
      const first = firstWord[r]!;
      for (let word = first; word <= last; word = (word + 1) | 0) {
        examined = (examined + 1) | 0;
        let free = ~bits[word]!;
        if (free === 0) {
          run = 0;
          continue;
        }
        if (word === first) free &= firstMask[r]!;
        if (word === last) free &= lastMask[r]!;
        if (runWords === 0) {
          for (let level = 0; level < order; level = (level + 1) | 0) free = nextRuns(free, level);
          if (free !== 0) {
            found = ((word << 5) + 31 - Math.clz32(free & -free)) | 0;
            break;
          }
        } else {
          // A run begins at a multiple of its length: elsewhere the count starts anew.
          if (free !== -1) run = 0;
          else if (run > 0 || (word & (runWords - 1)) === 0) run = (run + 1) | 0;
          if (run === runWords) {
            found = (word - runWords + 1) << 5;
            break;
          }
        }
      }
      run = 0;
    }
    work[0]! += examined;
    return found;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    work[1]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    const frame = find(order);
    if (frame >= 0) held.take(frame, order);
    return frame;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    return held.give(frame, order, K.maxOrder);
  }

  const steps = (): number => work[0]! + work[1]!;

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    isFree: held.isFree,
    validate: () => held.validate('bitmap-first-fit'),
  };
}

export const bitmapFirstFit: PmmStrategy = {
  name: 'bitmap-first-fit',
  title: 'Bitmap, first fit from the start of memory: quadratic when nearly full',
  source: 'Tanenbaum and Bos, Modern Operating Systems 3.2.3; OSDev wiki, Page Frame Allocation',
  create,
};
