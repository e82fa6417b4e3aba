/**
 * Strategy `bitmap`: a bit per frame and next fit. A cursor stays at the word of the last allocation; a request takes the
 * lowest free frame (or aligned run of frames) in that word, else in the next word that has one, going round once.
 *
 * Sources: the bitmap allocator of teaching kernels (OSDev wiki, Page Frame Allocation); next fit: Knuth, The Art of
 * Computer Programming vol. 1, 2.5 (the roving pointer). Two levels of summary say which words are full, so that a
 * nearly full memory is not scanned; a third bitmap says which words are wholly free, for blocks of 32 frames and more.
 * Not modelled: mobility, per-CPU caches, the wished-for frame.
 *
 * All bits are inverted (0 = free), so that untouched memory is free memory and costs nothing:
 *
 *     frame   31 ......... 10 9 ...... 5 4 ....... 0
 *             | region        | word      | bit     |
 *     bits[frame >>> 5]          bit = 1: frame handed out, or in a hole
 *     full[region]               bit = 1: no free frame in the word
 *     dirty[region]              bit = 1: some used frame in the word
 *     fullRegions[region >>> 5]  bit = 1: no free frame in the region; regions wholly in holes have only this bit set
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeFreeScan, nextRuns, popcount, refusedFree } from './free-frames.js';
import { isUsable, usableIn, usableWord } from './memory-map.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** Orders up to this one lie within one word. */
  wordOrder = 4,
  regionShift = 10,
  regionFrames = 1024,
}

/**
 * Counters, as doubles. Allocations and frees of single frames have one each, so that neither waits for the other's store;
 * what is free and what was examined is computed from them when asked for.
 */
const enum Work {
  allocates = 0,
  frees = 1,
  /** Single allocates that found no frame. */
  failed = 2,
  /** Words examined by searches, everything that operations on blocks examined, refused frees. */
  extra = 3,
}

const enum Cell {
  /** Word the search starts at. It alone may be full without its bit in `full`: that is set when the cursor leaves it. */
  cursor = 0,
  /** Highest region that a frame was ever handed out from. */
  highest = 1,
  /** Frames handed out less frames taken back by orders above 0. */
  inBlocks = 2,
  length = 32,
}

function create({ map }: PmmOptions): FrameAllocator {
  const frames = map.frames;
  const total = map.usableFrames;
  const regions = Math.ceil(frames / K.regionFrames);
  const summaryWords = Math.ceil(regions / 32);
  const bits = reserveInt32(regions * 32);
  const full = reserveInt32(regions);
  const dirty = reserveInt32(regions);
  const fullRegions = reserveInt32(summaryWords);
  /** 1 where a region holds usable frames and holes: there a set bit may be a hole. */
  const mixed = reserveUint8(regions);
  /** False: every frame below `frames` is usable. */
  const holey = map.usableFrames !== frames;
  const cell = new Int32Array(Cell.length);
  const work = new Float64Array(16);
  cell[Cell.cursor] = (map.usable[0]?.first ?? 0) >>> 5;
  cell[Cell.highest] = cell[Cell.cursor]! >>> 5;
  closeHoles();

  /** Marks what is not usable; the work grows with the number of ranges, and by one bit per region of a hole. */
  function closeHoles(): void {
    let region = 0;
    for (const { first, count } of map.usable) {
      const from = first >>> K.regionShift;
      const to = (first + count - 1) >>> K.regionShift;
      closeRegions(region, from);
      markMixed(from);
      markMixed(to);
      region = to + 1;
    }
    closeRegions(region, summaryWords * 32);
  }

  function closeRegions(from: number, to: number): void {
    for (let r = from; r < to; ) {
      if (r % 32 === 0 && r + 32 <= to) {
        fullRegions[r >>> 5] = -1;
        r += 32;
      } else {
        fullRegions[r >>> 5]! |= 1 << r;
        r++;
      }
    }
  }

  function markMixed(region: number): void {
    if (mixed[region] === 1 || usableIn(map, region * K.regionFrames, K.regionFrames) === K.regionFrames) return;
    mixed[region] = 1;
    for (let word = region * 32; word < region * 32 + 32; word++) {
      const holes = ~usableWord(map, word);
      bits[word] = holes;
      if (holes !== 0) dirty[region]! |= 1 << word;
      if (holes === -1) setFull(word);
    }
  }

  function setFull(word: number): void {
    const region = word >>> 5;
    const mask = full[region]! | (1 << word);
    full[region] = mask;
    if (mask === -1) fullRegions[region >>> 5]! |= 1 << region;
  }

  function clearFull(word: number): void {
    const region = word >>> 5;
    full[region]! &= ~(1 << word);
    fullRegions[region >>> 5]! &= ~(1 << region);
  }

  const freeFrames = (): number => total - cell[Cell.inBlocks]! - (work[Work.allocates]! - work[Work.failed]! - work[Work.frees]!);

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    if (order !== 0) return allocateRun(order) | 0;
    let word = cell[Cell.cursor]!;
    let used = bits[word]!;
    if (used === -1) {
      // The next word of the region that is not full, if there is one.
      const region = word >>> 5;
      const closed = full[region]! | (1 << word);
      full[region] = closed;
      const open = ~closed & (-2 << word);
      if (open !== 0) {
        word = ((region << 5) + 31 - Math.clz32(open & -open)) | 0;
        work[Work.extra]! += 1;
        cell[Cell.cursor] = word;
      } else {
        word = leaveRegion(region) | 0;
        if (word < 0) return -1;
      }
      used = bits[word]!;
    }
    if (used === 0) dirty[word >>> 5]! |= 1 << word;
    const now = used | (used + 1);
    bits[word] = now;
    work[Work.allocates]! += 1;
    return ((word << 5) + 31 - Math.clz32(used ^ now)) | 0;
  }

  /** The first word that has a free frame in another region, going round to this one, or -1 when nothing is free. Moves the cursor there. */
  function leaveRegion(from: number): number {
    if (full[from] === -1) fullRegions[from >>> 5]! |= 1 << from;
    if (freeFrames() === 0) {
      work[Work.failed]! += 1;
      work[Work.allocates]! += 1;
      return -1;
    }
    let summary = from >>> 5;
    let candidates = ~fullRegions[summary]! & (-2 << from);
    let examined = 2;
    while (candidates === 0) {
      summary = (summary + 1) | 0;
      if (summary === summaryWords) summary = 0;
      candidates = ~fullRegions[summary]!;
      examined = (examined + 1) | 0;
      if (examined > summaryWords + 2) throw new Error(`bitmap: ${freeFrames()} frames are free but the summary shows none`);
    }
    const region = ((summary << 5) + 31 - Math.clz32(candidates & -candidates)) | 0;
    const open = ~full[region]!;
    const found = ((region << 5) + 31 - Math.clz32(open & -open)) | 0;
    work[Work.extra]! += examined;
    cell[Cell.cursor] = found;
    if (region > cell[Cell.highest]!) cell[Cell.highest] = region;
    return found;
  }

  function refuse(frame: number, order: number): number {
    work[Work.extra]! += 1;
    return refusedFree(map, frame, order, K.maxOrder);
  }

  function free(frame: number, order: number, _cpu: number): number {
    if (order !== 0 || frame < 0 || frame >= frames) return freeRun(frame, order) | 0;
    const word = frame >>> 5;
    const bit = 1 << frame;
    const used = bits[word]!;
    if ((used & bit) === 0 || (holey && mixed[frame >>> K.regionShift]! !== 0 && !isUsable(map, frame))) return refuse(frame, order) | 0;
    const now = used ^ bit;
    bits[word] = now;
    const region = word >>> 5;
    const mask = full[region]!;
    full[region] = mask & ~(1 << word);
    if (mask === -1) fullRegions[region >>> 5]! &= ~(1 << region);
    if (now === 0) dirty[word >>> 5]! &= ~(1 << word);
    work[Work.frees]! += 1;
    return 0;
  }

  // ---- orders 1-10

  /** Bits at which an aligned run of 2^order set bits starts. */
  function runs(word: number, order: number): number {
    let found = word;
    for (let level = 0; level < order; level++) found = nextRuns(found, level);
    return found;
  }

  function allocateRun(order: number): number {
    work[Work.extra]! += 1;
    if (order < 0 || order > K.maxOrder || freeFrames() < 1 << order) return -1;
    const cursor = cell[Cell.cursor]!;
    const start = cursor >>> 5;
    const ahead = -1 << (cursor & 31);
    let frame = findInRegion(start, ahead, order);
    for (let region = start + 1; frame < 0 && region < regions; region++) frame = findInRegion(region, -1, order);
    for (let region = 0; frame < 0 && region < start; region++) frame = findInRegion(region, -1, order);
    if (frame < 0) frame = findInRegion(start, ~ahead, order);
    if (frame < 0) return -1;
    if (bits[cursor]! === -1) setFull(cursor);
    const size = 1 << order;
    const word = frame >>> 5;
    if (order <= K.wordOrder) {
      const used = bits[word]! | (((1 << size) - 1) << (frame & 31));
      bits[word] = used;
      dirty[word >>> 5]! |= 1 << word;
      if (used === -1) setFull(word);
    } else {
      bits.fill(-1, word, word + (size >>> 5));
      for (let w = word; w < word + (size >>> 5); w++) setFull(w);
      dirty[word >>> 5]! |= wordMask(word, order);
    }
    cell[Cell.cursor] = word;
    if (word >>> 5 > cell[Cell.highest]!) cell[Cell.highest] = word >>> 5;
    cell[Cell.inBlocks] = (cell[Cell.inBlocks]! + size) | 0;
    return frame;
  }

  /** The bits of a region's masks that stand for the words of a block of 32 frames or more. */
  function wordMask(word: number, order: number): number {
    return order === K.maxOrder ? -1 : ((1 << (1 << (order - 5))) - 1) << (word & 31);
  }

  /** First frame of the first aligned free run that starts in one of the region's words named by the mask, or -1. */
  function findInRegion(region: number, words: number, order: number): number {
    work[Work.extra]! += 1;
    if ((fullRegions[region >>> 5]! >>> (region & 31)) & 1) return -1;
    if (order > K.wordOrder) {
      const found = runs(~dirty[region]!, order - 5) & words;
      return found === 0 ? -1 : (region << K.regionShift) + ((31 - Math.clz32(found & -found)) << 5);
    }
    let open = ~full[region]! & words;
    while (open !== 0) {
      const word = (region << 5) + 31 - Math.clz32(open & -open);
      const found = runs(~bits[word]!, order);
      work[Work.extra]! += 1;
      if (found !== 0) return (word << 5) + 31 - Math.clz32(found & -found);
      open &= open - 1;
    }
    return -1;
  }

  function freeRun(frame: number, order: number): number {
    const size = 2 ** order;
    if (!(order > 0 && order <= K.maxOrder) || frame < 0 || frame % size !== 0 || usableIn(map, frame, size) !== size) return refuse(frame, order);
    const word = frame >>> 5;
    if (order <= K.wordOrder) {
      const mask = ((1 << size) - 1) << (frame & 31);
      const used = bits[word]!;
      if ((used & mask) !== mask) return refuse(frame, order);
      bits[word] = used & ~mask;
      clearFull(word);
      if ((used & ~mask) === 0) dirty[word >>> 5]! &= ~(1 << word);
    } else {
      const end = word + (size >>> 5);
      for (let w = word; w < end; w++) if (bits[w]! !== -1) return refuse(frame, order);
      bits.fill(0, word, end);
      for (let w = word; w < end; w++) clearFull(w);
      dirty[word >>> 5]! &= ~wordMask(word, order);
    }
    cell[Cell.inBlocks] = (cell[Cell.inBlocks]! - size) | 0;
    work[Work.extra]! += 1 + (size >>> 5);
    return 0;
  }

  // ---- for checks and pictures

  const steps = (): number => work[Work.allocates]! + work[Work.frees]! + work[Work.extra]!;
  const isFree = (frame: number): number => (isUsable(map, frame) && ((bits[frame >>> 5]! >>> (frame & 31)) & 1) === 0 ? 1 : 0);
  const scan = makeFreeScan(map, bits, () => (cell[Cell.highest]! + 1) * K.regionFrames);

  function validate(): void {
    let free = 0;
    for (let region = 0; region < regions; region++) {
      const hole = usableIn(map, region * K.regionFrames, K.regionFrames) === 0;
      let fullWords = 0;
      let dirtyWords = 0;
      for (let i = 0; i < 32; i++) {
        const word = region * 32 + i;
        const used = bits[word]!;
        if (used === -1) fullWords |= 1 << i;
        if (used !== 0) dirtyWords |= 1 << i;
        const holes = mixed[region] === 1 ? ~usableWord(map, word) : 0;
        if (!hole && (used & holes) !== holes) throw new Error(`bitmap: word ${word} calls a hole free`);
        if (!hole) free += 32 - popcount(used);
        if (used !== holes && region > cell[Cell.highest]!)
          throw new Error(`bitmap: word ${word} is used but lies above the highest region ${cell[Cell.highest]}`);
      }
      const cursor = cell[Cell.cursor]!;
      if (cursor >>> 5 === region && ((full[region]! >>> (cursor & 31)) & 1) === 0) fullWords &= ~(1 << cursor);
      if (fullWords !== full[region]!) throw new Error(`bitmap: the mask of full words of region ${region} is wrong`);
      if (dirtyWords !== dirty[region]!) throw new Error(`bitmap: the mask of dirty words of region ${region} is wrong`);
      const closed = hole || fullWords === -1;
      if (closed !== (((fullRegions[region >>> 5]! >>> (region & 31)) & 1) === 1)) throw new Error(`bitmap: the summary bit of region ${region} is wrong`);
    }
    if (free !== freeFrames()) throw new Error(`bitmap: ${free} free bits, ${freeFrames()} counted`);
  }

  return {
    allocate,
    free,
    freeFrames,
    totalFrames: total,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => scan.count(order, steps()),
    steps,
    isFree,
    validate,
  };
}

export const bitmap: PmmStrategy = {
  name: 'bitmap',
  title: 'Bitmap, next fit',
  source: 'Knuth, The Art of Computer Programming vol. 1, 2.5; OSDev wiki, Page Frame Allocation',
  create,
};
