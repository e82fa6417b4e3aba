/**
 * Free blocks of orders 0-10 in lists, what the buddy strategies share: a list for each order of each group (a zone, a
 * migrate type, or all of memory), joining of buddies, splitting, and taking a certain block out of a larger one.
 *
 * Source: Linux mm/page_alloc.c (__rmqueue_smallest, expand, __free_one_page); Knuth, The Art of Computer Programming
 * vol. 1, 2.5. Every list is last in, first out, but for what is moved from group to group or left by a placement; the tail that Linux'
 * buddy_merge_likely uses is not modelled.
 *
 * Memory that was never handed out is not in the lists: each wholly usable, aligned block of 1024 frames is fresh until
 * its byte in `opened` is set, and fresh blocks come in ascending order behind the order-10 list of their group. Only the
 * ragged ends of ranges are put into lists at creation.
 *
 * `state` holds one byte per frame, 0 unless the frame heads a free block in a list:
 *
 *      7     4  3       0
 *     +-------+-----------+
 *     | group | order + 1 |
 *     +-------+-----------+
 */
import { makeListCheck } from './block-lists-check.js';
import { usableIn, type FrameRange, type MemoryMap } from './memory-map.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** Frames in a block of the largest order. */
  top = 1024,
  none = -1,
  orderMask = 15,
}

/** Words of `fresh`, from group * 8 on. */
const enum Fresh {
  /** First frame that may head a fresh block, the last such frame of its range, the range, and how many there are in all. */
  at = 0,
  rangeLast = 1,
  range = 2,
  left = 3,
}

export type BlockLists = ReturnType<typeof makeBlockLists>;

/** `groups[g]`: the ranges whose free memory starts in group g; ascending, together the usable ranges of the map, cut at multiples of 1024 frames. */
export function makeBlockLists(map: MemoryMap, groups: readonly (readonly FrameRange[])[]) {
  const frames = map.frames;
  const size = Math.ceil(frames / K.top) * K.top;
  const state = reserveUint8(size);
  /** Neighbours in the list of a free head; `prev` of the first is not kept: it is known by heads. */
  const next = reserveInt32(size);
  const prev = reserveInt32(size);
  const opened = reserveUint8(size / K.top);
  /** By group * 16 + order. */
  const heads = new Int32Array(256).fill(K.none);
  const tails = new Int32Array(256).fill(K.none);
  const counts = new Int32Array(256);
  /** By group: bit k set = list k is not empty. */
  const masks = new Int32Array(32);
  /** By group: frames in lists and in fresh blocks. */
  const freeIn = new Int32Array(32);
  const fresh = new Int32Array(256);
  /** Nodes examined by takes [0] and gives [1]; two counters, so that neither waits for the other's store. */
  const work = new Float64Array(16);

  groups.forEach((ranges, group) => {
    for (const { first, count } of [...ranges].reverse()) seedRange(first, first + count, group);
    enterRange(group, 0);
  });

  /** The parts of a range outside its aligned 1024-frame blocks go into the lists, so that lower frames come first. */
  function seedRange(first: number, end: number, group: number): void {
    freeIn[group]! += end - first;
    const low = Math.ceil(first / K.top) * K.top;
    const high = Math.floor(end / K.top) * K.top;
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
      fresh[group * 8 + Fresh.left]! += (high - low) / K.top;
      cut(first, low);
      cut(high, end);
    } else cut(first, end);
    for (const [at, order] of pieces.reverse()) push(at, order, group);
    if (low > first) opened[low / K.top - 1] = 1;
    if (high < end) opened[high / K.top] = 1;
  }

  /** Sets a group's watermark to the first whole block in range `index` or a later one. */
  function enterRange(group: number, index: number): void {
    const ranges = groups[group] ?? [];
    for (let i = index; i < ranges.length; i++) {
      const range = ranges[i]!;
      const low = Math.ceil(range.first / K.top) * K.top;
      const high = Math.floor((range.first + range.count) / K.top) * K.top;
      if (low >= high) continue;
      fresh[group * 8 + Fresh.range] = i;
      fresh[group * 8 + Fresh.at] = low;
      fresh[group * 8 + Fresh.rangeLast] = high - K.top;
      return;
    }
  }

  /** The lowest fresh block of a group, or -1. */
  function takeFresh(group: number): number {
    const base = group << 3;
    const left = fresh[base + Fresh.left]!;
    if (left === 0) return -1;
    fresh[base + Fresh.left] = left - 1;
    for (;;) {
      const frame = fresh[base + Fresh.at]!;
      if (frame === fresh[base + Fresh.rangeLast]!) enterRange(group, fresh[base + Fresh.range]! + 1);
      else fresh[base + Fresh.at] = frame + K.top;
      if (opened[frame >>> K.maxOrder] === 0) {
        opened[frame >>> K.maxOrder] = 1;
        return frame;
      }
      work[0]! += 1;
    }
  }

  function push(frame: number, order: number, group: number): void {
    const list = (group << 4) | order;
    const head = heads[list]!;
    next[frame] = head;
    if (head !== K.none) prev[head] = frame;
    else {
      masks[group] = masks[group]! | (1 << order);
      tails[list] = frame;
    }
    heads[list] = frame;
    state[frame] = (list + 1) | 0;
    counts[list] = (counts[list]! + 1) | 0;
  }

  /** Takes a head out of its list; the group it was in is the caller's to know. */
  function unlink(frame: number, order: number, group: number): void {
    const list = (group << 4) | order;
    const after = next[frame]!;
    if (heads[list]! === frame) {
      heads[list] = after;
      if (after === K.none) masks[group] = masks[group]! & ~(1 << order);
    } else {
      const before = prev[frame]!;
      next[before] = after;
      if (after !== K.none) prev[after] = before;
      else tails[list] = before;
    }
    state[frame] = 0;
    counts[list] = (counts[list]! - 1) | 0;
  }

  /** Puts a block below order 10 at the end of its list. */
  function append(frame: number, order: number, group: number): void {
    const list = (group << 4) | order;
    if (heads[list] === K.none) {
      push(frame, order, group);
      return;
    }
    const last = tails[list]!;
    next[last] = frame;
    prev[frame] = last;
    next[frame] = K.none;
    tails[list] = frame;
    state[frame] = list + 1;
    counts[list] = (counts[list]! + 1) | 0;
  }

  /** Moves a free block below order 10 to the end of the list of another group (move_to_free_list). */
  function moveToTail(frame: number, order: number, from: number, to: number): void {
    unlink(frame, order, from);
    freeIn[from] = (freeIn[from]! - (1 << order)) | 0;
    append(frame, order, to);
    freeIn[to] = (freeIn[to]! + (1 << order)) | 0;
    work[0]! += 1;
  }

  /** First block of a list of exactly this order (for order 10 the fresh ones after it), out of the list; -1 if there is none. */
  function pop(order: number, group: number): number {
    const frame = heads[(group << 4) | order]!;
    if (frame === K.none) return order === K.maxOrder ? takeFresh(group) : -1;
    unlink(frame, order, group);
    return frame;
  }

  /** Gives back the upper halves of a block of order `high`, so that one of order `low` is left. */
  function expand(frame: number, low: number, high: number, group: number): void {
    let at = high;
    while (at > low) {
      at = (at - 1) | 0;
      push((frame + (1 << at)) | 0, at, group);
    }
    work[0]! += high - low;
  }

  /** First frame of a block of the group, out of the lowest order that has one, or -1. */
  function take(order: number, group: number): number {
    const fits = masks[group]! >>> order;
    let at = K.maxOrder as number;
    let frame = -1;
    if (fits !== 0) {
      at = (order + 31 - Math.clz32(fits & -fits)) | 0;
      frame = heads[(group << 4) | at]!;
      unlink(frame, at, group);
    } else {
      frame = takeFresh(group);
      if (frame < 0) {
        work[0]! += 1;
        return -1;
      }
    }
    let examined = 1;
    while (at > order) {
      at = (at - 1) | 0;
      push((frame + (1 << at)) | 0, at, group);
      examined = (examined + 1) | 0;
    }
    freeIn[group] = (freeIn[group]! - (1 << order)) | 0;
    work[0]! += examined;
    return frame;
  }

  /** Puts a block into the lists of a group, joined with its buddies as long as they are free, whatever their group. */
  function give(frame: number, order: number, group: number): void {
    let examined = 1;
    let at = frame;
    let to = order;
    while (to < K.maxOrder) {
      const buddy = at ^ (1 << to);
      const s = state[buddy]!;
      examined = (examined + 1) | 0;
      if ((s & K.orderMask) !== ((to + 1) | 0)) break;
      const other = s >>> 4;
      unlink(buddy, to, other);
      if (other !== group) {
        freeIn[other] = (freeIn[other]! - (1 << to)) | 0;
        freeIn[group] = (freeIn[group]! + (1 << to)) | 0;
      }
      at &= buddy;
      to = (to + 1) | 0;
    }
    push(at, to, group);
    freeIn[group] = (freeIn[group]! + (1 << order)) | 0;
    work[1]! += examined;
  }

  const isFresh = (frame: number): boolean => opened[frame >>> K.maxOrder] === 0 && usableIn(map, frame & -K.top, K.top) === K.top;

  /** Order of the free block that holds all of the aligned block [frame, frame + 2^order), or -1; `frame` is below `frames`. */
  function blockAround(frame: number, order: number): number {
    for (let k = order; k <= K.maxOrder; k = (k + 1) | 0) {
      work[0]! += 1;
      if ((state[frame & -(1 << k)]! & K.orderMask) === ((k + 1) | 0)) return k;
    }
    return isFresh(frame) ? K.maxOrder : -1;
  }

  /**
   * Takes a certain aligned block out of the lists, splitting what it is part of: 1, or 0 if not all of it is there. The other parts go to the
   * ends of the lists of group `rest`.
   */
  function takeAt(frame: number, order: number, rest: number): number {
    let at = blockAround(frame, order);
    if (at < 0) return 0;
    let head = frame & -(1 << at);
    let group = 0;
    if (state[head] === 0) {
      opened[head >>> K.maxOrder] = 1;
      while (!(groups[group] ?? []).some(({ first, count }) => first <= head && head < first + count)) group++;
      fresh[(group << 3) + Fresh.left]! -= 1;
    } else {
      group = state[head]! >>> 4;
      unlink(head, at, group);
    }
    freeIn[group] = (freeIn[group]! - (1 << at)) | 0;
    freeIn[rest] = (freeIn[rest]! + (1 << at) - (1 << order)) | 0;
    while (at > order) {
      at = (at - 1) | 0;
      const upper = (head + (1 << at)) | 0;
      if (frame >= upper) {
        append(head, at, rest);
        head = upper;
      } else append(upper, at, rest);
      work[0]! += 1;
    }
    return 1;
  }

  const count = (order: number, group: number): number => counts[(group << 4) | order]! + (order === K.maxOrder ? fresh[(group << 3) + Fresh.left]! : 0);

  /** The 1024 frames of block number `block` are one free block. */
  const isTop = (block: number): boolean => (state[block << K.maxOrder]! & K.orderMask) === K.maxOrder + 1 || isFresh(block << K.maxOrder);

  /** The group has a free block of this order or a larger one. */
  const has = (order: number, group: number): boolean => masks[group]! >>> order !== 0 || fresh[(group << 3) + Fresh.left]! !== 0;

  /** Free blocks of exactly this order in all groups. */
  function freeBlocks(order: number): number {
    let sum = 0;
    if (order >= 0 && order <= K.maxOrder) for (let g = 0; g < groups.length; g++) sum += count(order, g);
    return sum;
  }

  return {
    state,
    freeIn,
    push,
    unlink,
    moveToTail,
    /** First block of a list below order 10, or -1. */
    peek: (order: number, group: number): number => heads[(group << 4) | order]!,
    pop,
    expand,
    take,
    give,
    takeAt,
    blockAround,
    count,
    has,
    isTop,
    freeBlocks,
    steps: (): number => work[0]! + work[1]!,
    validate: makeListCheck({ map, groups: groups.length, state, next, prev, opened, heads, tails, counts, masks, freeIn, fresh }),
  };
}
