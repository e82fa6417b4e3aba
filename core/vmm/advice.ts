/** madvise, mlock and munlock: calls that say how memory will be used (Linux mm/madvise.c, mm/mlock.c). */
import { ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import type { Faults } from './fault.js';
import type { Machine } from './machine.js';
import type { Mappings } from './mappings.js';
import { ObjectKind } from './objects.js';
import type { Objects } from './objects.js';
import { Reject } from './rejections.js';

/** Advice numbers of Linux (include/uapi/asm-generic/mman-common.h). */
export const enum Advice {
  normal = 0,
  random = 1,
  sequential = 2,
  willneed = 3,
  dontneed = 4,
  free = 8,
  remove = 9,
  dontfork = 10,
  dofork = 11,
  mergeable = 12,
  unmergeable = 13,
  hugepage = 14,
  nohugepage = 15,
  dontdump = 16,
  dodump = 17,
  wipeonfork = 18,
  keeponfork = 19,
  cold = 20,
  pageout = 21,
  populateRead = 22,
  populateWrite = 23,
  dontneedLocked = 24,
  collapse = 25,
}

export type Advices = ReturnType<typeof makeAdvice>;

export function makeAdvice(machine: Machine, objects: Objects, mappings: Mappings, faults: Faults) {
  const { vmas, tree, rejections, lockFuture } = machine;
  const { start, end, flags, object, offset } = vmas;
  const { reject } = rejections;

  /** Reads the file pages behind [from, to) into the page cache. */
  function willNeed(s: number, from: number, to: number): number {
    for (let v = vmas.findFrom(tree[s]!, from); v !== 0 && start[v]! < to; v = vmas.next(tree[s]!, v)) {
      const o = object[v]!;
      if (o === 0 || objects.kind[o] !== ObjectKind.file) continue;
      const first = offset[v]! + (Math.max(from, start[v]!) - start[v]!);
      let last = offset[v]! + (Math.min(to, end[v]!) - start[v]!);
      if (objects.size[o]! >= 0) last = Math.min(last, Math.ceil(objects.size[o]! / 4096));
      if (last > first && objects.cache(o, first, last - first, true) !== 0) return reject(Reject.outOfMemory);
    }
    return 1;
  }

  /**
   * 1, or 0 when refused. MADV_FREE keeps its pages: they go when memory is reclaimed, which is not modelled. Advice that changes neither mappings
   * nor frames in this model (access patterns, dumps, KSM, huge pages) is accepted and does nothing.
   */
  function advise(s: number, from: number, to: number, advice: number): number {
    if (!mappings.inUserHalf(from, to)) return reject(Reject.badRange);
    switch (advice as Advice) {
      case Advice.dontneed:
      case Advice.dontneedLocked:
        for (let v = vmas.findFrom(tree[s]!, from); v !== 0 && start[v]! < to; v = vmas.next(tree[s]!, v)) {
          mappings.zap(s, Math.max(from, start[v]!), Math.min(to, end[v]!));
        }
        return 1;
      case Advice.willneed:
        return willNeed(s, from, to);
      case Advice.populateRead:
        return faults.populate(s, from, to, false);
      case Advice.populateWrite:
        return faults.populate(s, from, to, true);
      case Advice.remove:
      case Advice.wipeonfork:
      case Advice.keeponfork:
      case Advice.dontfork:
      case Advice.dofork:
        return reject(Reject.unsupportedAdvice);
      case Advice.normal:
      case Advice.random:
      case Advice.sequential:
      case Advice.free:
      case Advice.mergeable:
      case Advice.unmergeable:
      case Advice.hugepage:
      case Advice.nohugepage:
      case Advice.dontdump:
      case Advice.dodump:
      case Advice.cold:
      case Advice.pageout:
      case Advice.collapse:
        return 1;
      default:
        return reject(Reject.unsupportedAdvice);
    }
  }

  /**
   * mlock / mlockall: marks the VMAs and faults their pages in (not with `onfault`). from = to = 0: the whole space. 1 or 0.
   * A page that cannot be had ends mlock; mlockall goes on with the next VMA (Linux: ignore_errors of __mm_populate).
   */
  function lock(s: number, from: number, to: number, f: number): number {
    const all = from === 0 && to === 0;
    if (all && (f & Flag.future) !== 0) lockFuture[s] = Flag.locked;
    if (all && (f & Flag.future) !== 0 && (f & Flag.current) === 0) return 1;
    const a = all ? 0 : from;
    const b = all ? mappings.userPages : to;
    const code = mappings.changeFlags(s, a, b, 0, Flag.locked);
    if (code !== 0) return reject(code === ENOMEM ? Reject.outOfMemory : Reject.badRange);
    if ((f & Flag.onfault) !== 0) return 1;
    let done = 1;
    for (let v = vmas.findFrom(tree[s]!, a); v !== 0 && start[v]! < b; v = vmas.next(tree[s]!, v)) {
      if ((flags[v]! & (Flag.r | Flag.w | Flag.x)) === 0) continue;
      done &= faults.populate(s, Math.max(a, start[v]!), Math.min(b, end[v]!), (flags[v]! & Flag.shared) === 0);
      if (done === 0 && !all) return 0;
    }
    return done;
  }

  function unlock(s: number, from: number, to: number): number {
    const all = from === 0 && to === 0;
    if (all) lockFuture[s] = 0;
    const code = mappings.changeFlags(s, all ? 0 : from, all ? mappings.userPages : to, Flag.locked, 0);
    return code === 0 ? 1 : reject(code === ENOMEM ? Reject.outOfMemory : Reject.badRange);
  }

  return { advise, lock, unlock };
}
