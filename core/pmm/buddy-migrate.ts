/**
 * Strategy `buddy-migrate`: binary buddies whose free blocks are grouped by mobility. Each 2 MiB pageblock belongs to a
 * migrate type (movable at first), and its free blocks are in the lists of that type. A request whose type has nothing left
 * takes from another type: the largest block, with as much of its pageblock as may be claimed.
 *
 * Source: Linux 6.12 mm/page_alloc.c (__rmqueue, __rmqueue_fallback, find_suitable_fallback, can_steal_fallback,
 * steal_suitable_fallback, __move_freepages_block, __free_one_page, split_large_buddy, the table `fallbacks`). In 6.15 the
 * same rules are spread over __rmqueue_claim, try_to_claim_block and __rmqueue_steal.
 *
 * The rules, for a request of type T and order o:
 *   1. the lowest order of T's own lists that fits;
 *   2. else from order 10 down to o, the first type in fallbacks[T] with a block of that order:
 *      - of order 9 or 10: the pageblocks change to T, what is left of the block goes to T's lists;
 *      - if T is movable, and the order below 4: not this one, but the smallest block from order o upwards, which is split without a claim;
 *      - else the whole pageblock is claimed if at least half of it is free or alike (frames handed out as movable, if T is
 *        movable; frames that are not, if T is not and the block was movable): all its free blocks move to T's lists, and rule 1 is tried;
 *      - else the block is split, and what is left stays with its type.
 * A free goes to the lists of its pageblock's type. Buddies of order 9 of different types join, and the type of the one freed last holds for both.
 *
 * FrameKind movable is MIGRATE_MOVABLE, reclaimable MIGRATE_RECLAIMABLE, all else MIGRATE_UNMOVABLE.
 * Not modelled: high-atomic and CMA pageblocks, isolation, watermark boosts, compaction, per-CPU lists, zones, and that Linux
 * does not group at all below 12 MiB of memory (page_group_by_mobility_disabled).
 * `steps` counts nodes of lists, and blocks and words read when a pageblock is claimed.
 */
import { FrameKind } from '../../arch/arch.js';
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { popcount } from './free-frames.js';
import { makeHeld } from './held.js';
import { usableIn } from './memory-map.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

/** Groups of the lists. Movable is 0: what no pageblock was ever changed to. */
const enum Type {
  movable = 0,
  unmovable = 1,
  reclaimable = 2,
}

const enum K {
  maxOrder = 10,
  blockOrder = 9,
  blockFrames = 512,
  /** From pageblock_order / 2 on, a movable request may claim a pageblock. */
  claimOrder = 4,
  none = -1,
}

function create({ map }: PmmOptions): FrameAllocator {
  const total = map.usableFrames;
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable, [], []]);
  const { freeIn, state } = lists;
  /** Type of each pageblock. */
  const types = reserveUint8(Math.ceil(map.frames / 1024) * 2);
  /** Bit set: handed out as movable; says nothing about free frames. */
  const movable = reserveInt32(Math.ceil(map.frames / 1024) * 32);
  const lowest = map.usable[0]?.first ?? 0;
  /** By type * 2: the other types, in the order they are robbed. */
  const fallbacks = new Int32Array(32);
  fallbacks.set([Type.reclaimable, Type.unmovable, Type.reclaimable, Type.movable, Type.unmovable, Type.movable]);
  const work = new Float64Array(16);

  function typeOf(kind: number): number {
    return kind === FrameKind.movable ? Type.movable : kind === FrameKind.reclaimable ? Type.reclaimable : Type.unmovable;
  }

  function allocate(order: number, kind: number, _cpu: number, _near: number, _owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    const type = typeOf(kind);
    let frame = lists.take(order, type);
    if (frame < 0) {
      frame = fallback(order, type);
      if (frame < 0) return -1;
    }
    held.take(frame, order);
    mark(frame, order, type);
    return frame;
  }

  /** Notes whether the frames of a block are movable. */
  function mark(frame: number, order: number, type: number): void {
    const word = frame >>> 5;
    if (order <= 4) {
      const bits = order === 0 ? 1 << frame : ((1 << (1 << order)) - 1) << (frame & 31);
      movable[word] = type === Type.movable ? movable[word]! | bits : movable[word]! & ~bits;
    } else for (let w = word; w < word + (1 << (order - 5)); w = (w + 1) | 0) movable[w] = type === Type.movable ? -1 : 0;
  }

  /** The first type in the order of fallback that has a block of exactly this order, or -1 (find_suitable_fallback). */
  function suitable(order: number, type: number): number {
    work[0]! += 1;
    const first = fallbacks[type * 2]!;
    const second = fallbacks[type * 2 + 1]!;
    return lists.count(order, first) > 0 ? first : lists.count(order, second) > 0 ? second : K.none;
  }

  function fallback(order: number, type: number): number {
    let at = K.maxOrder as number;
    let other = suitable(at, type);
    while (other === K.none && at > order) {
      at = (at - 1) | 0;
      other = suitable(at, type);
    }
    if (other === K.none) return -1;
    if (at >= K.blockOrder) return takeWhole(at, order, type, other);
    if (type === Type.movable && at < K.claimOrder) {
      at = order;
      for (other = suitable(at, type); other === K.none; other = suitable(at, type)) at = (at + 1) | 0;
    } else if (claim(lists.peek(at, other), type, other)) return lists.take(order, type);
    const frame = lists.pop(at, other);
    freeIn[other] = (freeIn[other]! - (1 << order)) | 0;
    lists.expand(frame, order, at, other);
    return frame;
  }

  /** A block of whole pageblocks changes its type; the rest of it after the request is of that type. */
  function takeWhole(at: number, order: number, type: number, other: number): number {
    const frame = lists.pop(at, other);
    for (let block = frame >>> K.blockOrder; block < (frame + (1 << at)) >>> K.blockOrder; block++) types[block] = type;
    freeIn[other] = (freeIn[other]! - (1 << at)) | 0;
    freeIn[type] = (freeIn[type]! + (1 << at) - (1 << order)) | 0;
    lists.expand(frame, order, at, type);
    return frame;
  }

  /** Moves the pageblock of a frame to a type if enough of it is free or alike. */
  function claim(frame: number, type: number, other: number): boolean {
    const block = frame >>> K.blockOrder;
    const first = block << K.blockOrder;
    // A zone begins and ends with its memory; a pageblock that is cut off there is never claimed.
    if (first < lowest || first + K.blockFrames > map.frames) return false;
    let used = 0;
    let usedMovable = 0;
    for (let word = first >>> 5; word < (first + K.blockFrames) >>> 5; word = (word + 1) | 0) {
      const bits = held.bits[word]!;
      used += popcount(bits);
      usedMovable += popcount(bits & movable[word]!);
    }
    work[0]! += K.blockFrames / 32;
    const free = usableIn(map, first, K.blockFrames) - used;
    const alike = type === Type.movable ? usedMovable : other === Type.movable ? K.blockFrames - (free + usedMovable) : 0;
    if (free + alike < K.blockFrames / 2) return false;
    for (let at = first; at < first + K.blockFrames; ) {
      const s = state[at]!;
      if (s === 0) at = (at + 1) | 0;
      else {
        const order = ((s & 15) - 1) | 0;
        lists.moveToTail(at, order, other, type);
        at = (at + (1 << order)) | 0;
      }
    }
    types[block] = type;
    return true;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    if (order > K.blockOrder) {
      giveBack(frame, K.blockOrder);
      giveBack(frame + K.blockFrames, K.blockOrder);
    } else giveBack(frame, order);
    return 0;
  }

  function giveBack(frame: number, order: number): void {
    const block = frame >>> K.blockOrder;
    const type = types[block]!;
    lists.give(frame, order, type);
    if (types[block ^ 1] !== type && (state[frame & -1024]! & 15) === K.maxOrder + 1) types[block ^ 1] = type;
  }

  function validate(): void {
    held.validate('buddy-migrate');
    const free = lists.validate('buddy-migrate', held);
    if (free !== held.freeFrames()) throw new Error(`buddy-migrate: the lists hold ${free} free frames, but ${held.freeFrames()} are free`);
    for (const { first, count } of map.usable) {
      for (let frame = first; frame < first + count; frame++) {
        const s = state[frame]!;
        if (s === 0) continue;
        const last = (frame + 2 ** ((s & 15) - 1) - 1) >>> K.blockOrder;
        for (let block = frame >>> K.blockOrder; block <= last; block++)
          if (types[block] !== s >>> 4)
            throw new Error(`buddy-migrate: free block ${frame} is in the lists of type ${s >>> 4}, its pageblock is of type ${types[block]}`);
      }
    }
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: total,
    maxOrder: MAX_ORDER,
    freeBlocks: lists.freeBlocks,
    steps: () => work[0]! + work[1]! + lists.steps(),
    isFree: held.isFree,
    validate,
  };
}

export const buddyMigrate: PmmStrategy = {
  name: 'buddy-migrate',
  title: 'Binary buddies grouped by mobility in 2 MiB pageblocks, with fallback stealing',
  source: 'Linux 6.12 mm/page_alloc.c (__rmqueue_fallback, steal_suitable_fallback)',
  create,
};
