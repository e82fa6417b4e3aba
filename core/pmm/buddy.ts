/**
 * Strategy `buddy`: binary buddies of orders 0-10 as Linux keeps them in one zone. An allocation takes the first block
 * of the lowest order that fits and gives the upper halves back one order at a time; a free joins the block with its
 * buddy as long as that is free at the same order; every list is last in, first out.
 *
 * Sources: Linux mm/page_alloc.c (__rmqueue_smallest, expand, __free_one_page, buddy list heads per order); Knuth, The
 * Art of Computer Programming vol. 1, 2.5. Blocks that Linux adds at boot go to the tails of the lists in ascending order
 * (__free_pages_core, FPI_TO_TAIL), so memory that was never handed out is simply the end of the order-10 list: a
 * watermark over the aligned 1024-frame blocks of each usable range. Only the ragged ends of ranges are put into lists at
 * creation. Blocks never span a hole.
 * Not modelled: zones, watermarks, migrate types, per-CPU lists, the preference for a block whose next larger buddy is
 * free (Linux' buddy_merge_likely puts other blocks at the tail).
 *
 * `state` holds one byte per frame, 0 unless the frame heads a block:
 *
 *      7    5   4    3       0
 *     +------+----+-----------+
 *     |  0   |used| order + 1 |     free head: 1..11, used head: 17..27
 *     +------+----+-----------+
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { refusedFree } from './free-frames.js';
import { isUsable, usableIn } from './memory-map.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** Frames in a block of the largest order. */
  top = 1024,
  /** State byte of the head of a used block, minus its order. */
  used = 17,
  none = -1,
}

const enum Cell {
  /** Bit k set: list k is not empty. */
  mask = 0,
  freeFrames = 1,
  /** First frame of the next fresh block, the last one in its range, the range, and how many fresh blocks there are in all. */
  fresh = 2,
  rangeLast = 3,
  range = 4,
  freshLeft = 5,
  length = 32,
}

function create({ map }: PmmOptions): FrameAllocator {
  const frames = map.frames;
  const size = Math.ceil(frames / K.top) * K.top;
  const state = reserveUint8(size);
  /** Neighbours in the list of a free head; `prev` of the first and `next` of the last: see push and unlink. */
  const next = reserveInt32(size);
  const prev = reserveInt32(size);
  const heads = new Int32Array(32).fill(K.none);
  const counts = new Int32Array(32);
  const cell = new Int32Array(Cell.length);
  /** Nodes examined by allocate [0] and free [1]; two counters, so that neither waits for the other's store. */
  const work = new Float64Array(16);
  cell[Cell.freeFrames] = map.usableFrames;
  for (const { first, count } of [...map.usable].reverse()) seedRange(first, first + count);
  enterRange(0);

  /** The parts of a range outside its aligned 1024-frame blocks go into the lists, so that lower frames come first. */
  function seedRange(first: number, end: number): void {
    const low = Math.ceil(first / K.top) * K.top;
    const high = Math.floor(end / K.top) * K.top;
    if (low < high) cell[Cell.freshLeft]! += (high - low) / K.top;
    const pieces: [number, number][] = [];
    const cut = (from: number, to: number): void => {
      for (let at = from; at < to; ) {
        let order = 0;
        while (at % 2 ** (order + 1) === 0 && at + 2 ** (order + 1) <= to) order++;
        pieces.push([at, order]);
        at += 2 ** order;
      }
    };
    if (low < high) {
      cut(first, low);
      cut(high, end);
    } else cut(first, end);
    for (const [at, order] of pieces.reverse()) push(at, order);
  }

  /** Sets the watermark to the first whole block in range `index` or a later one. */
  function enterRange(index: number): void {
    for (let i = index; i < map.usable.length; i++) {
      const range = map.usable[i]!;
      const low = Math.ceil(range.first / K.top) * K.top;
      const high = Math.floor((range.first + range.count) / K.top) * K.top;
      if (low >= high) continue;
      cell[Cell.range] = i;
      cell[Cell.fresh] = low;
      cell[Cell.rangeLast] = high - K.top;
      return;
    }
  }

  function takeFresh(): number {
    const left = cell[Cell.freshLeft]!;
    if (left === 0) return -1;
    cell[Cell.freshLeft] = left - 1;
    const frame = cell[Cell.fresh]!;
    if (frame === cell[Cell.rangeLast]!) enterRange(cell[Cell.range]! + 1);
    else cell[Cell.fresh] = frame + K.top;
    return frame;
  }

  /** The first of a list has no valid `prev`: it is known by heads[order]. */
  function push(frame: number, order: number): void {
    const head = heads[order]!;
    next[frame] = head;
    if (head !== K.none) prev[head] = frame;
    else cell[Cell.mask]! |= 1 << order;
    heads[order] = frame;
    state[frame] = (order + 1) | 0;
    counts[order] = (counts[order]! + 1) | 0;
  }

  function unlink(frame: number, order: number): void {
    const after = next[frame]!;
    if (heads[order]! === frame) {
      heads[order] = after;
      if (after === K.none) cell[Cell.mask]! &= ~(1 << order);
    } else {
      const before = prev[frame]!;
      next[before] = after;
      if (after !== K.none) prev[after] = before;
    }
    state[frame] = 0;
    counts[order] = (counts[order]! - 1) | 0;
  }

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    let examined = 1;
    let frame = -1;
    if (order >= 0 && order <= K.maxOrder) {
      const fits = cell[Cell.mask]! >>> order;
      let at = K.maxOrder as number;
      if (fits !== 0) {
        at = (order + 31 - Math.clz32(fits & -fits)) | 0;
        frame = heads[at]!;
        unlink(frame, at);
      } else frame = takeFresh();
      if (frame >= 0) {
        while (at > order) {
          at = (at - 1) | 0;
          push((frame + (1 << at)) | 0, at);
          examined = (examined + 1) | 0;
        }
        state[frame] = (K.used + order) | 0;
        cell[Cell.freeFrames] = (cell[Cell.freeFrames]! - (1 << order)) | 0;
      }
    }
    work[0]! += examined;
    return frame;
  }

  function free(frame: number, order: number, _cpu: number): number {
    if (order < 0 || order > K.maxOrder || frame < 0 || frame >= frames || state[frame]! !== ((K.used + order) | 0)) {
      const refused = cutOut(frame, order);
      if (refused !== 0) return refused;
    }
    let examined = 1;
    let at = frame;
    let to = order;
    state[at] = 0;
    while (to < K.maxOrder) {
      const buddy = at ^ (1 << to);
      examined = (examined + 1) | 0;
      if (state[buddy]! !== ((to + 1) | 0)) break;
      unlink(buddy, to);
      at &= buddy;
      to = (to + 1) | 0;
    }
    push(at, to);
    cell[Cell.freeFrames] = (cell[Cell.freeFrames]! + (1 << order)) | 0;
    work[1]! += examined;
    return 0;
  }

  /**
   * Makes [frame, frame + 2^order) a used block of its own where it is part of a larger used block or made of smaller
   * ones. 0, or the code of the refused free; then nothing has changed.
   */
  function cutOut(frame: number, order: number): number {
    work[1]! += 1;
    const end = frame + 2 ** order;
    const refused = refusedFree(map, frame, order, K.maxOrder);
    if (refused !== 0 && !(refused === -1 && allUsed(frame, end))) return refused;
    for (let k = order + 1; k <= K.maxOrder; k++) {
      const head = frame - (frame % 2 ** k);
      if (state[head]! !== K.used + k) continue;
      for (let at = head, half = k - 1; half >= order; half--) {
        const upper = at + 2 ** half;
        state[at] = K.used + half;
        state[upper] = K.used + half;
        if (frame >= upper) at = upper;
      }
      return 0;
    }
    state.fill(0, frame, end);
    state[frame] = K.used + order;
    return 0;
  }

  function allUsed(first: number, end: number): boolean {
    for (let frame = first; frame < end; frame++) if (isFree(frame) === 1) return false;
    return true;
  }

  /** Order of the block the frame belongs to, plus 1, plus 16 if it is used; 0 = in a fresh block or a hole. */
  function blockOf(frame: number): number {
    for (let k = 0; k <= K.maxOrder; k++) {
      const s = state[frame - (frame % 2 ** k)]!;
      if (s !== 0 && (s & 15) - 1 >= k) return s;
    }
    return 0;
  }

  const isFree = (frame: number): number => (isUsable(map, frame) && blockOf(frame) < K.used ? 1 : 0);

  function validate(): void {
    let free = cell[Cell.freshLeft]! * K.top;
    let listed = 0;
    for (let order = 0; order <= K.maxOrder; order++) {
      let length = 0;
      for (let frame = heads[order]!, before = K.none as number; frame !== K.none; before = frame, frame = next[frame]!) {
        if (state[frame]! !== order + 1) throw new Error(`buddy: frame ${frame} is in list ${order} but its state is ${state[frame]}`);
        if (frame % 2 ** order !== 0) throw new Error(`buddy: frame ${frame} in list ${order} is misaligned`);
        if (usableIn(map, frame, 2 ** order) !== 2 ** order) throw new Error(`buddy: free block ${frame} of order ${order} covers a hole`);
        if (before !== K.none && prev[frame]! !== before) throw new Error(`buddy: list ${order} is broken before frame ${frame}`);
        if (order < K.maxOrder && state[(frame ^ (1 << order)) | 0]! === order + 1)
          throw new Error(`buddy: frame ${frame} and its buddy are both free at order ${order}`);
        length++;
        if (length > map.usableFrames) throw new Error(`buddy: list ${order} is circular`);
      }
      if (length !== counts[order]!) throw new Error(`buddy: list ${order} holds ${length} blocks, ${counts[order]} counted`);
      if (length > 0 !== (((cell[Cell.mask]! >>> order) & 1) === 1)) throw new Error(`buddy: mask bit of order ${order} is wrong`);
      listed += length;
      free += length * 2 ** order;
    }
    if (free !== cell[Cell.freeFrames]!) throw new Error(`buddy: lists hold ${free} free frames, ${cell[Cell.freeFrames]} counted`);
    validateStates(listed);
  }

  /** Blocks tile the usable frames outside the fresh blocks exactly. */
  function validateStates(listed: number): void {
    let heads = 0;
    for (const { first, count } of map.usable) {
      for (let frame = first; frame < first + count; ) {
        const s = state[frame]!;
        if (s === 0 && isFresh(frame) && frame % K.top === 0) frame += K.top;
        else if (s === 0) throw new Error(`buddy: frame ${frame} belongs to no block`);
        else {
          if (s < K.used) heads++;
          const end = frame + 2 ** ((s & 15) - 1);
          for (let inner = frame + 1; inner < end; inner++)
            if (state[inner]! !== 0) throw new Error(`buddy: frame ${inner} heads a block inside that of ${frame}`);
          frame = end;
        }
      }
    }
    if (heads !== listed) throw new Error(`buddy: ${heads} free heads, ${listed} in lists`);
  }

  function isFresh(frame: number): boolean {
    return cell[Cell.freshLeft] !== 0 && frame >= cell[Cell.fresh]!;
  }

  return {
    allocate,
    free,
    freeFrames: () => cell[Cell.freeFrames]!,
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => (order >= 0 && order <= K.maxOrder ? counts[order]! + (order === K.maxOrder ? cell[Cell.freshLeft]! : 0) : 0),
    steps: () => work[0]! + work[1]!,
    isFree,
    validate,
  };
}

export const buddy: PmmStrategy = {
  name: 'buddy',
  title: 'Binary buddies, orders 0-10, as Linux keeps them in a zone',
  source: 'Linux mm/page_alloc.c; Knuth, The Art of Computer Programming vol. 1, 2.5',
  create,
};
