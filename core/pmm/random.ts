/**
 * Strategy `random`: a free block anywhere. No kernel wants this; it is a bound. What a strategy gains by placing frames
 * well is what it is better than this.
 *
 * Source: none as an allocator; nearest is the shuffled free list of Linux' mm/shuffle.c. The generator (xorshift.ts) is seeded by --seed.
 *
 * A request draws one of the usable frames and takes the first free aligned block from there on, going round. Words without
 * a free frame are skipped through a tree (bit-tree.ts), so that a nearly full memory is not scanned; a block behind a
 * long full stretch is likelier than others there.
 * Not modelled: mobility, per-CPU caches, the wished-for frame. `steps` counts words examined.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBitTree } from './bit-tree.js';
import { nextRuns } from './free-frames.js';
import { makeHeld } from './held.js';
import { usableIn, usableWord } from './memory-map.js';
import { reserveUint8 } from './reserve.js';
import { seeded, xorshift } from './xorshift.js';

const enum K {
  maxOrder = 10,
  wordOrder = 4,
}

function create({ map, seed }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const { bits } = held;
  const words = Math.ceil(map.frames / 1024) * 32;
  /** A leaf per word, closed when it has no free frame. */
  const tree = makeBitTree(words);
  /** 1 where a region of 1024 frames holds usable frames and holes. */
  const mixed = reserveUint8(words >>> 5);
  const ranges = map.usable.length;
  const rangeFirst = Int32Array.from(map.usable, ({ first }) => first);
  /** Usable frames before each range. */
  const before = new Int32Array(ranges + 1);
  const random = new Int32Array(32);
  const work = new Float64Array(16);
  random[0] = seeded(seed);
  closeHoles();

  function closeHoles(): void {
    let open = 0;
    map.usable.forEach(({ first, count }, i) => {
      before[i + 1] = before[i]! + count;
      const from = first >>> 5;
      const to = (first + count - 1) >>> 5;
      if (open < from) tree.seal(open, from);
      for (const word of [from, to]) if (usableIn(map, (word >>> 5) * 1024, 1024) !== 1024) mixed[word >>> 5] = 1;
      open = to + 1;
    });
    tree.seal(open, words);
  }

  /** A usable frame, each as likely. */
  function draw(): number {
    const x = xorshift(random[0]!);
    random[0] = x;
    const n = (x >>> 0) % map.usableFrames;
    let low = 0;
    let high = ranges - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (before[middle]! <= n) low = middle;
      else high = middle - 1;
    }
    return rangeFirst[low]! + (n - before[low]!);
  }

  function openFrames(word: number): number {
    const free = ~bits[word]!;
    return mixed[word >>> 5]! === 0 ? free : free & usableWord(map, word);
  }

  /** First frame of the first free block that begins at `from` or later, and below `to`; -1 if there is none. */
  function find(from: number, to: number, order: number): number {
    const blockWords = order > K.wordOrder ? 1 << (order - 5) : 1;
    let frame = from & -(1 << order);
    while (frame < to) {
      const word = tree.next(frame >>> 5);
      if (word < 0 || word << 5 >= to) return -1;
      work[0]! += 1;
      if (blockWords === 1) {
        let free = openFrames(word);
        if (word === frame >>> 5) free &= -1 << (frame & 31);
        for (let level = 0; level < order; level = (level + 1) | 0) free = nextRuns(free, level);
        if (free !== 0) {
          const found = ((word << 5) + 31 - Math.clz32(free & -free)) | 0;
          return found < to ? found : -1;
        }
        frame = (word + 1) << 5;
      } else {
        const first = word & -blockWords;
        let w = first;
        while (w < first + blockWords && openFrames(w) === -1) w = (w + 1) | 0;
        work[0]! += w - first;
        // A word in a hole has no bit set either.
        const isThere = w === first + blockWords && usableIn(map, first << 5, 1 << order) === 1 << order;
        if (isThere) return first << 5 < to ? first << 5 : -1;
        frame = (first + blockWords) << 5;
      }
    }
    return -1;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    work[1]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    const start = draw();
    let frame = find(start, map.frames, order);
    if (frame < 0) frame = find(0, start, order);
    if (frame < 0) return -1;
    held.take(frame, order);
    for (let word = frame >>> 5; word <= (frame + (1 << order) - 1) >>> 5; word = (word + 1) | 0) if (openFrames(word) === 0) tree.close(word);
    return frame;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code === 0) for (let word = frame >>> 5; word <= (frame + (1 << order) - 1) >>> 5; word = (word + 1) | 0) tree.open(word);
    return code;
  }

  const steps = (): number => work[0]! + work[1]! + tree.steps();

  function validate(): void {
    held.validate('random');
    tree.validate('random');
    for (const { first, count } of map.usable)
      for (let word = first >>> 5; word <= (first + count - 1) >>> 5; word++)
        if ((openFrames(word) === 0) !== (tree.isClosed(word) === 1)) throw new Error(`random: the leaf of word ${word} is wrong`);
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

export const random: PmmStrategy = {
  name: 'random',
  title: 'A free block anywhere, seeded: a bound to compare with',
  source: 'Marsaglia, Xorshift RNGs, 2003 (the generator); Linux mm/shuffle.c is the nearest in a kernel',
  create,
};
