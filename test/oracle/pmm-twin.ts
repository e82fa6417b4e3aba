/** What the naive twins of PMM strategies are made of. */
import { MAX_ORDER } from '../../core/pmm/allocator.js';
import type { MemoryMap } from '../../core/pmm/memory-map.js';

/** Which block a strategy picks, or -1; `free` is told about frees that are known to be right. */
export interface Twin {
  allocate(order: number, kind: number, cpu: number, near: number, owner: number): number;
  free(frame: number, order: number, cpu: number): void;
}

export type MakeTwin = (map: MemoryMap, cpus: number, seed: number) => Twin;

export function usableFrames(map: MemoryMap): number[] {
  return map.usable.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
}

export const framesOf = (first: number, order: number): number[] => Array.from({ length: 2 ** order }, (_, i) => first + i);

/** Free blocks in arrays, per group and order; the last element of an array is the first to go. At first the lowest block of a group goes first. */
export class NaiveBuddy {
  readonly lists = new Map<string, number[]>();

  /** `groupOf`: the group that a block of free memory starts in. */
  constructor(map: MemoryMap, groupOf: (frame: number) => number = () => 0) {
    for (const { first, count } of map.usable) {
      for (let frame = first; frame < first + count; ) {
        let order = MAX_ORDER;
        while (frame % 2 ** order !== 0 || frame + 2 ** order > first + count) order--;
        this.list(order, groupOf(frame)).unshift(frame);
        frame += 2 ** order;
      }
    }
  }

  list(order: number, group = 0): number[] {
    const key = `${group}/${order}`;
    const list = this.lists.get(key) ?? [];
    this.lists.set(key, list);
    return list;
  }

  /** Frames in the lists of a group. */
  free(group = 0): number {
    return Array.from({ length: MAX_ORDER + 1 }, (_, order) => this.list(order, group).length * 2 ** order).reduce((a, b) => a + b);
  }

  has(order: number, group = 0): boolean {
    for (let k = order; k <= MAX_ORDER; k++) if (this.list(k, group).length > 0) return true;
    return false;
  }

  take(order: number, group = 0): number {
    let from = order;
    while (from <= MAX_ORDER && this.list(from, group).length === 0) from++;
    const frame = this.list(from, group).pop();
    return frame === undefined ? -1 : this.split(frame, order, from, group);
  }

  /** Keeps the lowest 2^order frames of a block that is in no list, and gives the rest back. */
  split(frame: number, order: number, from: number, group = 0): number {
    for (let k = from - 1; k >= order; k--) this.list(k, group).push(frame + 2 ** k);
    return frame;
  }

  give(frame: number, order: number, group = 0): void {
    let at = frame;
    let to = order;
    for (; to < MAX_ORDER; to++) {
      const buddy = at % 2 ** (to + 1) === 0 ? at + 2 ** to : at - 2 ** to;
      if (!this.remove(buddy, to)) break;
      at = Math.min(at, buddy);
    }
    this.list(to, group).push(at);
  }

  /** Takes a block out of whatever list of that order it is in; false if it is in none. */
  remove(frame: number, order: number): boolean {
    for (const [key, list] of this.lists) {
      const index = list.indexOf(frame);
      if (index < 0 || key.split('/')[1] !== String(order)) continue;
      list.splice(index, 1);
      return true;
    }
    return false;
  }
}
