/**
 * Strategy `free-stack`: a stack of free single frames, last freed first used. Frames that were never handed out are not
 * on the stack but lie behind a watermark, in ascending order: what a stack filled from the top of memory downwards
 * would hand out, without filling it.
 *
 * Source: the free list of teaching kernels (xv6 kernel/kalloc.c, OSDev wiki "Page Frame Allocation"), as an array.
 * It cannot find neighbouring frames: orders above 0 are never served.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeFreeScan, refusedFree } from './free-frames.js';
import { isUsable } from './memory-map.js';
import { reserveInt32 } from './reserve.js';

/** Operations so far, as doubles; one counter each, so that neither waits for the other's store. */
const enum Work {
  allocates = 0,
  frees = 1,
}

const enum Cell {
  /** Frames on the stack. */
  depth = 0,
  /** The next frame never handed out, the last one of its range, the range, and how many such frames there are in all. */
  fresh = 1,
  rangeLast = 2,
  range = 3,
  freshLeft = 4,
  length = 32,
}

function create({ map }: PmmOptions): FrameAllocator {
  const frames = map.frames;
  const total = map.usableFrames;
  const stack = reserveInt32(total);
  /** Bit set = handed out. Frames in holes stay 0 and so can never be freed. Whole pieces of 1024 frames, as the scan reads them. */
  const used = reserveInt32(Math.ceil(frames / 1024) * 32);
  const cell = new Int32Array(Cell.length);
  const work = new Float64Array(16);
  cell[Cell.freshLeft] = map.usableFrames;
  enterRange(0);

  function enterRange(index: number): void {
    const range = map.usable[index];
    if (range === undefined) return;
    cell[Cell.range] = index;
    cell[Cell.fresh] = range.first;
    cell[Cell.rangeLast] = range.first + range.count - 1;
  }

  function takeFresh(): number {
    const left = cell[Cell.freshLeft]!;
    if (left === 0) return -1;
    cell[Cell.freshLeft] = left - 1;
    const frame = cell[Cell.fresh]!;
    if (frame === cell[Cell.rangeLast]!) enterRange(cell[Cell.range]! + 1);
    else cell[Cell.fresh] = frame + 1;
    used[frame >>> 5]! |= 1 << frame;
    return frame;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    work[Work.allocates]! += 1;
    if (order !== 0) return -1;
    const depth = (cell[Cell.depth]! - 1) | 0;
    if (depth < 0) return takeFresh() | 0;
    cell[Cell.depth] = depth;
    const frame = stack[depth]!;
    used[frame >>> 5]! |= 1 << frame;
    return frame;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[Work.frees]! += 1;
    if (order !== 0 || frame < 0 || frame >= frames) return refusedFree(map, frame, order, 0) | 0;
    const word = frame >>> 5;
    const bit = 1 << frame;
    const old = used[word]!;
    if ((old & bit) === 0) return refusedFree(map, frame, order, 0) | 0;
    used[word] = old & ~bit;
    const depth = cell[Cell.depth]!;
    stack[depth] = frame;
    cell[Cell.depth] = (depth + 1) | 0;
    return 0;
  }

  const freeFrames = (): number => (cell[Cell.depth]! + cell[Cell.freshLeft]!) | 0;
  const steps = (): number => work[Work.allocates]! + work[Work.frees]!;
  const isFree = (frame: number): number => (isUsable(map, frame) && ((used[frame >>> 5]! >>> (frame & 31)) & 1) === 0 ? 1 : 0);
  /** Frames below this one may have been handed out. */
  const touched = (): number => (cell[Cell.freshLeft] === 0 ? frames : cell[Cell.fresh]!);
  const scan = makeFreeScan(map, used, touched);

  function validate(): void {
    const depth = cell[Cell.depth]!;
    const seen = new Set<number>();
    for (let i = 0; i < depth; i++) {
      const frame = stack[i]!;
      if (seen.has(frame)) throw new Error(`free-stack: frame ${frame} is on the stack twice`);
      seen.add(frame);
      if (isFree(frame) === 0) throw new Error(`free-stack: frame ${frame} is on the stack but marked as used or lies in a hole`);
      if (frame >= touched()) throw new Error(`free-stack: frame ${frame} is on the stack but was never handed out`);
    }
    let free = cell[Cell.freshLeft]!;
    for (const { first, count } of map.usable) {
      for (let frame = first; frame < Math.min(first + count, touched()); frame++) free += isFree(frame);
    }
    if (free !== depth + cell[Cell.freshLeft]!)
      throw new Error(`free-stack: ${free} frames are free, but stack and fresh frames are ${depth + cell[Cell.freshLeft]!}`);
  }

  return {
    allocate,
    free,
    freeFrames,
    totalFrames: total,
    maxOrder: 0,
    freeBlocks: (order) => (order > MAX_ORDER ? 0 : scan.count(order, steps())),
    steps,
    isFree,
    validate,
  };
}

export const freeStack: PmmStrategy = {
  name: 'free-stack',
  title: 'Stack of free frames, last freed first used',
  source: 'xv6 kernel/kalloc.c; OSDev wiki, Page Frame Allocation',
  create,
};
