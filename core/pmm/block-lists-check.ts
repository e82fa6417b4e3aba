/** The invariants of the buddies' lists (block-lists.ts), apart from the code that keeps them. */
import type { Held } from './held.js';
import { usableIn, type MemoryMap } from './memory-map.js';

const enum K {
  maxOrder = 10,
  top = 1024,
  none = -1,
  orderMask = 15,
}

/** Word of a group's eight in `fresh`: how many fresh blocks it has. */
const FRESH_LEFT = 3;

/** The arrays of block-lists.ts. */
export interface ListArrays {
  readonly map: MemoryMap;
  readonly groups: number;
  readonly state: Uint8Array;
  readonly next: Int32Array;
  readonly prev: Int32Array;
  readonly opened: Uint8Array;
  readonly heads: Int32Array;
  readonly tails: Int32Array;
  readonly counts: Int32Array;
  readonly masks: Int32Array;
  readonly freeIn: Int32Array;
  readonly fresh: Int32Array;
}

export function makeListCheck({ map, groups, state, next, prev, opened, heads, tails, counts, masks, freeIn, fresh }: ListArrays) {
  /** Throws an Error naming the first broken invariant of the lists. What is in them must be marked as free in `held`. Answers the number of free frames. */
  function validate(name: string, held: Held): number {
    let free = 0;
    for (let group = 0; group < groups; group++) {
      let inGroup = fresh[group * 8 + FRESH_LEFT]! * K.top;
      for (let order = 0; order <= K.maxOrder; order++) inGroup += validateList(name, held, order, group) * 2 ** order;
      if (inGroup !== freeIn[group]!) throw new Error(`${name}: the lists of group ${group} hold ${inGroup} free frames, ${freeIn[group]} counted`);
      free += inGroup;
    }
    validateStates(name);
    return free;
  }

  /** Length of a list. */
  function validateList(name: string, held: Held, order: number, group: number): number {
    const list = group * 16 + order;
    let length = 0;
    for (let frame = heads[list]!, before = K.none as number; frame !== K.none; before = frame, frame = next[frame]!) {
      const what = `${name}: free block ${frame} of order ${order} in group ${group}`;
      if (state[frame]! !== list + 1) throw new Error(`${what} has state ${state[frame]}`);
      if (frame % 2 ** order !== 0) throw new Error(`${what} is misaligned`);
      if (usableIn(map, frame, 2 ** order) !== 2 ** order) throw new Error(`${what} covers a hole`);
      if (!held.isClear(frame, order)) throw new Error(`${what} covers a frame that is handed out`);
      if (opened[frame >>> K.maxOrder] === 0) throw new Error(`${what} lies in a fresh block`);
      if (before !== K.none && prev[frame]! !== before) throw new Error(`${what} does not point back at ${before}`);
      if (order < K.maxOrder && (state[frame ^ (1 << order)]! & K.orderMask) === order + 1) throw new Error(`${what} has a free buddy`);
      length++;
      if (length > map.usableFrames) throw new Error(`${name}: list ${order} of group ${group} is circular`);
      if (next[frame] === K.none && tails[list] !== frame) throw new Error(`${what} ends its list, not ${tails[list]}`);
    }
    if (length !== counts[list]!) throw new Error(`${name}: list ${order} of group ${group} holds ${length} blocks, ${counts[list]} counted`);
    if (length > 0 !== (((masks[group]! >>> order) & 1) === 1)) throw new Error(`${name}: mask bit ${order} of group ${group} is wrong`);
    return length;
  }

  /** Heads are in lists, and none lies inside another's block. */
  function validateStates(name: string): void {
    let listed = 0;
    for (let group = 0; group < groups; group++) for (let order = 0; order <= K.maxOrder; order++) listed += counts[group * 16 + order]!;
    for (const { first, count: length } of map.usable) {
      for (let frame = first; frame < first + length; ) {
        if (frame % K.top === 0 && opened[frame >>> K.maxOrder] === 0) {
          frame += K.top;
          continue;
        }
        const s = state[frame]!;
        const end = frame + (s === 0 ? 1 : 2 ** ((s & K.orderMask) - 1));
        if (s !== 0) listed--;
        for (let inner = frame + 1; inner < end; inner++)
          if (state[inner]! !== 0) throw new Error(`${name}: frame ${inner} heads a block inside that of ${frame}`);
        frame = end;
      }
    }
    if (listed !== 0) throw new Error(`${name}: ${listed} more blocks in lists than heads`);
  }

  return validate;
}
