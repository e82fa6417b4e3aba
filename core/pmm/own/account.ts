/**
 * An account of its own of who holds what, between framewalk and the user's allocator: frames that are handed out twice, that no usable range holds or
 * that are misaligned are found at once, whatever the allocator believes, and wrong frees never reach it.
 *
 * An allocator gets back what it handed out, block by block. When a huge page is given back in parts, its block goes back with the last of them; until then
 * the parts are free for the ledger and cannot be had.
 *
 *     bits     a bit a frame: in use (held.ts)
 *     joint    a bit a frame: it was handed out in a block of several
 *     head     of those: first frame of the block
 *     left     by first frame: frames of the block that are still in use
 */
import { EINVAL } from '../../../arch/arch.js';
import { MAX_ORDER, type FrameAllocator } from '../allocator.js';
import { makeHeld } from '../held.js';
import { isUsable, usableIn, type MemoryMap } from '../memory-map.js';
import { reserveInt32, reserveUint8 } from '../reserve.js';
import { PmmViolation, type OwnAllocator } from './own.js';

const framesOf = (first: number, size: number): string => (size === 1 ? `frame ${first}` : `frames ${first} to ${first + size - 1}`);

export function keepAccount(own: OwnAllocator, map: MemoryMap): FrameAllocator {
  const { maxOrder } = own;
  const aligned = own.unaligned !== true;
  const held = makeHeld(map);
  const { bits } = held;
  const joint = reserveInt32(bits.length);
  const head = reserveInt32(map.frames);
  const left = reserveInt32(map.frames);
  const orderOf = reserveUint8(map.frames);
  const calls = new Float64Array(16);
  const total = own.freeFrames === undefined ? map.usableFrames : Math.trunc(own.freeFrames());
  if (!(total >= 0 && total <= map.usableFrames))
    throw new PmmViolation(`says that ${total} frames are free at the start, of a memory that has ${map.usableFrames}`);
  const { allocate: ownAllocate, free: ownFree } = own;
  const whole = map.usable.length === 1 && map.usable[0]!.first === 0;
  const { frames } = map;

  /** What is wrong with a block that was handed out. */
  function complain(first: number, order: number): never {
    const size = 2 ** order;
    const what = framesOf(first, size);
    if (!Number.isInteger(first)) throw new PmmViolation(`hands out ${first}, which is no frame number`);
    if (first >= frames) throw new PmmViolation(`hands out ${what}, beyond the end of memory (${frames} frames)`);
    if (aligned && first % size !== 0) throw new PmmViolation(`hands out ${what} for order ${order}, which are not aligned to their size`);
    if (usableIn(map, first, size) !== size) {
      let f = first;
      while (isUsable(map, f)) f++;
      throw new PmmViolation(
        f >= frames
          ? `hands out ${what}, which reach beyond the end of memory (${frames} frames)`
          : `hands out ${what}, of which frame ${f} is in no usable range`,
      );
    }
    let f = first;
    while (held.isFree(f) === 1) f++;
    throw new PmmViolation(`hands out ${what}, of which frame ${f} is in use`);
  }

  function allocate(order: number, kind: number, cpu: number, near: number, owner: number): number {
    calls[0]! += 1;
    if (order < 0 || order > maxOrder) return -1;
    const first = ownAllocate(order, kind, cpu, near, owner);
    if (first < 0) return -1;
    if (order !== 0) return takeBlock(first, order);
    if (first !== (first | 0) || first >= frames || ((bits[first >>> 5]! >>> first) & 1) !== 0 || (!whole && !isUsable(map, first))) complain(first, 0);
    held.take(first, 0);
    return first;
  }

  function takeBlock(first: number, order: number): number {
    const size = 2 ** order;
    if (!Number.isInteger(first) || first + size > frames || (aligned && first % size !== 0) || usableIn(map, first, size) !== size) complain(first, order);
    for (let f = first; f < first + size; f++) if (held.isFree(f) === 0) complain(first, order);
    for (let f = first; f < first + size; f++) held.take(f, 0);
    for (let f = first; f < first + size; f++) {
      joint[f >>> 5] = joint[f >>> 5]! | (1 << f);
      head[f] = first;
    }
    left[first] = size;
    orderOf[first] = order;
    return first;
  }

  function give(frame: number, order: number, cpu: number): void {
    const code = ownFree(frame, order, cpu);
    if (code !== 0) throw new PmmViolation(`answers ${code} when ${framesOf(frame, 2 ** order)}, which it handed out, ${order === 0 ? 'comes' : 'come'} back`);
  }

  function free(frame: number, order: number, cpu: number): number {
    calls[1]! += 1;
    if (order === 0) {
      const code = held.give(frame, 0, MAX_ORDER);
      if (code === 0) giveFrame(frame, cpu);
      return code;
    }
    // Whatever the caller joined or cut: every frame of it must be in use.
    if (order > maxOrder) return EINVAL;
    if (aligned || frame % 2 ** order === 0) {
      const code = held.give(frame, order, maxOrder);
      if (code !== 0) return code;
    } else {
      for (let f = frame; f < frame + 2 ** order; f++) if (!isUsable(map, f)) return EINVAL;
      for (let f = frame; f < frame + 2 ** order; f++) if (held.isFree(f) === 1) return -1;
      for (let f = frame; f < frame + 2 ** order; f++) held.give(f, 0, MAX_ORDER);
    }
    for (let f = frame; f < frame + 2 ** order; f++) giveFrame(f, cpu);
    return 0;
  }

  /** A frame that is marked as free by now goes back, or its block does if it was the last. */
  function giveFrame(frame: number, cpu: number): void {
    if (((joint[frame >>> 5]! >>> frame) & 1) === 0) {
      give(frame, 0, cpu);
      return;
    }
    const first = head[frame]!;
    const rest = left[first]! - 1;
    left[first] = rest;
    if (rest > 0) return;
    const order = orderOf[first]!;
    for (let f = first; f < first + 2 ** order; f++) joint[f >>> 5] = joint[f >>> 5]! & ~(1 << f);
    give(first, order, cpu);
  }

  const ownSteps = own.steps;
  const steps = (): number => calls[0]! + calls[1]! + (ownSteps === undefined ? 0 : ownSteps.call(own));

  return {
    ...(own.near === undefined ? {} : { near: own.near }),
    ...(own.sharedUses === undefined ? {} : { sharedUses: () => own.sharedUses!() }),
    allocate,
    free,
    freeFrames: () => (total - (map.usableFrames - held.freeFrames())) | 0,
    totalFrames: total,
    maxOrder,
    freeBlocks: (order) => held.freeBlocks(order, calls[0]! + calls[1]!),
    steps,
    isFree: held.isFree,
    validate() {
      held.validate('the account');
      own.validate?.();
    },
  };
}
