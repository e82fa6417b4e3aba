/** The program break (brk(2); Linux mm/mmap.c): a mapping that grows and shrinks at its end. What growing and shrinking do is the policy's. */
import { EINVAL } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import type { Machine } from './machine.js';
import { Reject } from './rejections.js';
import { VmaFlag } from './vma-flags.js';

export interface BreakActions {
  map(s: number, from: number, to: number, f: number, obj: number, off: number): number;
  unmap(s: number, from: number, to: number): number;
}

export function makeProgramBreak(machine: Machine, userPages: number, actions: BreakActions) {
  const { brk, brkStart, lockFuture } = machine;
  const { reject } = machine.rejections;
  const { map, unmap } = actions;

  /** brk: the first after exec sets the start (bytes). 0, -EINVAL, -ENOMEM. */
  function setBreak(s: number, to: number): number {
    if (!(to >= 0 && to <= userPages * 4096)) {
      reject(Reject.badRange);
      return EINVAL;
    }
    if (brkStart[s]! < 0) {
      brkStart[s] = to;
      brk[s] = to;
      return 0;
    }
    if (to < brkStart[s]!) {
      reject(Reject.noBreak);
      return EINVAL;
    }
    const oldPage = Math.ceil(brk[s]! / 4096);
    const newPage = Math.ceil(to / 4096);
    if (newPage > oldPage) {
      const v = map(s, oldPage, newPage, Flag.r | Flag.w | Flag.fixed | VmaFlag.heap | lockFuture[s]!, 0, 0);
      if (v < 0) return v;
    } else if (newPage < oldPage) {
      const code = unmap(s, newPage, oldPage);
      if (code !== 0) return code;
    }
    brk[s] = to;
    return 0;
  }
  return setBreak;
}
