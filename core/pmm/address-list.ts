/**
 * Strategy `address-list`: a list of the free runs of frames in the order of their addresses, searched from its start for the
 * first run that holds the block. A free joins its run with the neighbours, or finds its place in the order.
 *
 * Sources: Knuth, The Art of Computer Programming vol. 1, 2.5, algorithms A (first fit) and B (liberation with a sorted list);
 * Wilson et al., Dynamic Storage Allocation: A Survey and Critical Review, 1995 (address-ordered first fit). The books walk the
 * list to find the place of a freed block; with a million frames that is milliseconds a free, so the run before it is found
 * in an ordered set of runs (bit-set.ts) here. The order, and so every choice, is the same.
 *
 * What it costs: a request for one frame reads the first run; one for a block of 2^k reads all runs before it that are too short or
 * lie badly, at worst half as many as there are frames. Small requests leave splinters at the start of the list, which all larger ones
 * have to pass. It makes the choices of `bitmap-first-fit`.
 * Not modelled: mobility, per-CPU caches, the wished-for frame, the roving pointer (`bitmap`). `steps` counts runs and words examined.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBitSet } from './bit-set.js';
import { makeFreeRuns } from './free-runs.js';
import { makeHeld } from './held.js';
import { reserveInt32 } from './reserve.js';

const enum K {
  maxOrder = 10,
  none = -1,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const runs = makeFreeRuns(map);
  /** First frames of runs. */
  const firsts = makeBitSet(map.frames);
  const next = reserveInt32(map.frames);
  const prev = reserveInt32(map.frames);
  /** [0] First run of the list. */
  const head = new Int32Array(32).fill(K.none);
  const work = new Float64Array(16);
  for (const { first, count } of [...map.usable].reverse()) insert(first, first + count - 1, K.none);

  /** Puts a run into the list behind another one, or first. */
  function insert(first: number, last: number, before: number): void {
    const after = before === K.none ? head[0]! : next[before]!;
    runs.add(first, last);
    firsts.add(first);
    next[first] = after;
    prev[first] = before;
    if (after !== K.none) prev[after] = first;
    if (before === K.none) head[0] = first;
    else next[before] = first;
  }

  function unlink(first: number, last: number): void {
    runs.remove(first, last);
    firsts.remove(first);
    const before = prev[first]!;
    const after = next[first]!;
    if (before === K.none) head[0] = after;
    else next[before] = after;
    if (after !== K.none) prev[after] = before;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    if (order < 0 || order > K.maxOrder) {
      work[0]! += 1;
      return -1;
    }
    const size = 1 << order;
    let examined = 1;
    let frame = -1;
    for (let run = head[0]!; run !== K.none; run = next[run]!) {
      examined = (examined + 1) | 0;
      const last = runs.lastOf(run);
      const at = (run + size - 1) & -size;
      if (at + size - 1 > last) continue;
      cut(run, last, at, at + size - 1);
      held.take(at, order);
      frame = at;
      break;
    }
    work[0]! += examined;
    return frame;
  }

  /** Takes [from, to] out of a run; what is left before and behind it stays in the list. */
  function cut(first: number, last: number, from: number, to: number): void {
    const before = prev[first]!;
    unlink(first, last);
    if (from > first) insert(first, from - 1, before);
    if (to < last) insert(to + 1, last, from > first ? first : before);
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    let first = frame;
    let last = frame + (1 << order) - 1;
    const left = runs.endingAt(first - 1);
    const right = runs.beginningAt(last + 1);
    let before = K.none as number;
    if (left >= 0) {
      before = prev[left]!;
      unlink(left, first - 1);
      first = left;
    } else before = right >= 0 ? prev[last + 1]! : firsts.before(first);
    if (right >= 0) {
      unlink(last + 1, right);
      last = right;
    }
    insert(first, last, before);
    return 0;
  }

  const steps = (): number => work[0]! + work[1]! + firsts.steps();

  function validate(): void {
    held.validate('address-list');
    let free = 0;
    for (let run = head[0]!, before = K.none as number; run !== K.none; before = run, run = next[run]!) {
      if (run <= before) throw new Error(`address-list: run ${run} comes after run ${before}`);
      if (prev[run] !== before) throw new Error(`address-list: run ${run} does not point back at ${before}`);
      if (!firsts.has(run)) throw new Error(`address-list: run ${run} is not in the ordered set`);
      runs.validateRun('address-list', held, run, runs.lastOf(run));
      free += runs.lastOf(run) - run + 1;
    }
    if (free !== held.freeFrames()) throw new Error(`address-list: the runs hold ${free} frames, but ${held.freeFrames()} are free`);
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

export const addressList: PmmStrategy = {
  name: 'address-list',
  title: 'Free runs in the order of their addresses, first fit',
  source: 'Knuth, The Art of Computer Programming vol. 1, 2.5, algorithms A and B; Wilson et al. 1995',
  create,
};
