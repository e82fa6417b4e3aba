/**
 * Naive twins of the PMM strategies: the same choices, made frame by frame with Sets and arrays, slow and easy to check
 * by eye. They share no code and no data structure with core/pmm.
 */
import { MAX_ORDER } from '../../core/pmm/allocator.js';
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { migrateTwin, zonesTwin } from './pmm-models-linux.js';
import { llfreeTwin } from './pmm-models-llfree.js';
import { pcpTwin } from './pmm-models-pcp.js';
import { caTwin, eagerTwin, reservationsTwin } from './pmm-models-places.js';
import { randomTwin } from './pmm-models-random.js';
import { tlsfTwin } from './pmm-models-tlsf.js';
import { framesOf, usableFrames, type MakeTwin, type Twin } from './pmm-twin.js';

/** A stack filled from the highest frame down. */
export function stackTwin(map: MemoryMap): Twin {
  const stack = usableFrames(map).reverse();
  return {
    allocate: (order) => (order === 0 ? (stack.pop() ?? -1) : -1),
    free: (frame) => void stack.push(frame),
  };
}

/** Next fit over words of 32 frames: from the word of the last allocation, going round once. */
export function bitmapTwin(map: MemoryMap): Twin {
  const free = new Set(usableFrames(map));
  /** Words that hold a usable frame, ascending. */
  const words = [...new Set(usableFrames(map).map((frame) => Math.floor(frame / 32)))];
  let cursor = 0;
  return {
    allocate(order) {
      const size = 2 ** order;
      for (let i = 0; i < words.length; i++) {
        const word = words[(cursor + i) % words.length] ?? 0;
        for (let frame = word * 32; frame < word * 32 + 32; frame++) {
          if (frame % size !== 0 || !free.has(frame) || !framesOf(frame, order).every((f) => free.has(f))) continue;
          for (const f of framesOf(frame, order)) free.delete(f);
          cursor = (cursor + i) % words.length;
          return frame;
        }
      }
      return -1;
    },
    free: (frame, order) => {
      for (const f of framesOf(frame, order)) free.add(f);
    },
  };
}

/** The lowest aligned run of free frames. */
export function lowestTwin(map: MemoryMap): Twin {
  const usable = usableFrames(map);
  const free = new Set(usable);
  return {
    allocate(order) {
      const size = 2 ** order;
      const first = usable.find((frame) => frame % size === 0 && free.has(frame) && framesOf(frame, order).every((f) => free.has(f))) ?? -1;
      if (first >= 0) for (const f of framesOf(first, order)) free.delete(f);
      return first;
    },
    free: (frame, order) => {
      for (const f of framesOf(frame, order)) free.add(f);
    },
  };
}

/** Lists of free blocks per order, the last element is the first to go; at first the lowest block goes first. */
export function buddyTwin(map: MemoryMap): Twin {
  const lists: number[][] = Array.from({ length: MAX_ORDER + 1 }, () => []);
  const list = (order: number): number[] => lists[order] ?? [];
  const usable = new Set(usableFrames(map));
  for (const { first, count } of map.usable) {
    for (let frame = first; frame < first + count; ) {
      let order = MAX_ORDER;
      while (!(frame % 2 ** order === 0 && framesOf(frame, order).every((f) => usable.has(f)))) order--;
      list(order).unshift(frame);
      frame += 2 ** order;
    }
  }
  return {
    allocate(order) {
      let from = order;
      while (from <= MAX_ORDER && list(from).length === 0) from++;
      const frame = list(from).pop();
      if (frame === undefined) return -1;
      while (from > order) {
        from--;
        list(from).push(frame + 2 ** from);
      }
      return frame;
    },
    free(frame, order) {
      let at = frame;
      let to = order;
      for (; to < MAX_ORDER; to++) {
        const buddy = at % 2 ** (to + 1) === 0 ? at + 2 ** to : at - 2 ** to;
        const index = list(to).indexOf(buddy);
        if (index < 0) break;
        list(to).splice(index, 1);
        at = Math.min(at, buddy);
      }
      list(to).push(at);
    },
  };
}

/** By strategy name; a strategy without a twin is held to the contract only. */
export const TWINS: Readonly<Record<string, MakeTwin>> = {
  bitmap: bitmapTwin,
  'free-stack': stackTwin,
  buddy: buddyTwin,
  'bitmap-first-fit': lowestTwin,
  'bitmap-tree': lowestTwin,
  'buddy-pcp': pcpTwin,
  llfree: llfreeTwin,
  random: randomTwin,
  'address-list': lowestTwin,
  tlsf: tlsfTwin,
  reservations: reservationsTwin,
  'ca-paging': caTwin,
  eager: eagerTwin,
  'buddy-zones': zonesTwin,
  'buddy-migrate': migrateTwin,
};
