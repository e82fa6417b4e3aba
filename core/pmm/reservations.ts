/**
 * Strategy `reservations`: the first page of each 2 MiB of a mapping sets aside a whole block of 2 MiB for it; the other pages
 * find their place in it. A block that is populated wholly can be mapped by one superpage.
 *
 * Sources: FreeBSD sys/vm/vm_reserv.c (vm_reserv_alloc_page, vm_reserv_populate, vm_reserv_depopulate, vm_reserv_reclaim_inactive);
 * Navarro, Iyer, Druschel, Cox: Practical, Transparent Operating System Support for Superpages, OSDI 2002. The queue: reserved-runs.ts.
 *
 * A page (order 0) that a neighbour in its 2 MiB has a frame for goes to its place beside it, if that is in a reservation of its owner
 * and free; if not, it gets a single frame, as in FreeBSD a page outside any reservation forbids one for its 2 MiB. A page without
 * neighbours gets a new reservation, if its 2 MiB lie within the mapping and the buddies have a block; else a single frame. When the buddies
 * have nothing, the partially populated reservation that has been unchanged for longest is broken, until there is something.
 * Frames reserved but not handed out are free, and are counted as such.
 * Not modelled: the time slop in the queue's order (PARTPOPSLOP), reservations kept for an object whose mapping has gone, free pools, and
 * sizes other than 2 MiB. `steps` counts nodes of the buddies' lists and changes of reservations.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { makeHeld } from './held.js';
import { afterOf, beforeOf, placeOf } from './near.js';
import { makeReservedRuns } from './reserved-runs.js';

const enum K {
  maxOrder = 10,
  order = 9,
  frames = 512,
}

function create({ map }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable]);
  const runs = makeReservedRuns(map, held, lists, K.order);
  const { runOf } = runs;
  const work = new Float64Array(16);

  function allocate(order: number, _kind: number, _cpu: number, near: number, owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    let frame = -1;
    if (order === 0 && near !== -1) {
      frame = near >= 0 ? beside(near, owner) : fresh(near, owner);
      if (frame >= 0) return frame;
    }
    frame = lists.take(order, 0);
    if (frame < 0) return runs.takeBlock(order);
    held.take(frame, order);
    return frame;
  }

  /** The wished-for frame, if it is a free one in a reservation of the owner; else -1. */
  function beside(near: number, owner: number): number {
    if (near >= map.frames || !runs.isOf(near, owner) || !held.isClear(near, 0)) return -1;
    runs.populate(near);
    return near;
  }

  /** The page's place in a new reservation, or -1. */
  function fresh(near: number, owner: number): number {
    const index = placeOf(near) % K.frames;
    if (index > beforeOf(near) || K.frames - index > afterOf(near)) return -1;
    const first = lists.take(K.order, 0);
    if (first < 0) return -1;
    runs.reserve(first, K.frames, owner);
    runs.populate(first + index);
    return first + index;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    if (order === 0 && runOf[frame >>> K.order] === 0) lists.give(frame, 0, 0);
    else runs.give(frame, order);
    return 0;
  }

  const steps = (): number => work[0]! + work[1]! + lists.steps() + runs.steps();

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    near: 'superpage',
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    isFree: held.isFree,
    validate: () => runs.validate('reservations'),
  };
}

export const reservations: PmmStrategy = {
  name: 'reservations',
  title: 'Superpage reservations of 2 MiB; the longest unchanged is broken first',
  source: 'FreeBSD sys/vm/vm_reserv.c; Navarro et al., OSDI 2002',
  create,
};
