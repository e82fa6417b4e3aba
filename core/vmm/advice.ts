/** madvise, mlock and munlock: calls that say how memory will be used (Linux mm/madvise.c, mm/mlock.c). */
import { ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import type { Faults } from './fault.js';
import type { Machine } from './machine.js';
import type { Mappings } from './mappings.js';
import { ObjectKind } from './objects.js';
import type { Objects } from './objects.js';
import { Reject } from './rejections.js';
import { VmaFlag } from './vma-flags.js';

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

/** Pages of one PT. */
const PT_PAGES = 512;

export type Advices = ReturnType<typeof makeAdvice>;

export function makeAdvice(machine: Machine, objects: Objects, mappings: Mappings, faults: Faults) {
  const { vmas, tree, rejections, lockFuture } = machine;
  const { start, end, flags, object, offset } = vmas;
  const { reject } = rejections;
  const { rules } = machine;

  /** Takes the pages out of [from, to); the linux policy frees the PT of each 2 MiB slot that lies wholly in one VMA's part (mm/pt_reclaim.c). */
  function dontNeed(s: number, from: number, to: number): number {
    // A huge page that is covered wholly is dropped whole, with its deposited table.
    const fits = (at: number, page: number): boolean => at % PT_PAGES === 0 || mappings.flatten(s, page, page + 1) !== 0;
    if (!fits(from, from) || !fits(to, to - 1)) return reject(Reject.outOfMemory);
    for (let v = vmas.findFrom(tree[s]!, from); v !== 0 && start[v]! < to; v = vmas.next(tree[s]!, v)) {
      const a = Math.max(from, start[v]!);
      const b = Math.min(to, end[v]!);
      mappings.zap(s, a, b);
      const floor = Math.ceil(a / PT_PAGES) * PT_PAGES;
      const ceiling = Math.floor(b / PT_PAGES) * PT_PAGES;
      if (rules['pt-reclaim'] !== 0 && floor < ceiling && machine.tables.freeTables(s, floor, ceiling, floor, ceiling, 1) > 0) machine.lookup.flushSpace(s);
    }
    return 1;
  }

  /** Advice that Linux keeps in the VMA's flags, so that it splits and merges VMAs (madvise_update_vma). */
  function remember(s: number, from: number, to: number, clear: number, set: number): number {
    const code = mappings.changeFlags(s, from, to, clear, set);
    return code === 0 ? 1 : reject(code === ENOMEM ? Reject.outOfMemory : Reject.badRange);
  }

  /** The advice that the linux policy understands beyond the others; -1 for the rest. */
  function linuxAdvice(s: number, from: number, to: number, advice: number): number {
    const access = VmaFlag.sequential | VmaFlag.random;
    switch (advice as Advice) {
      case Advice.normal:
        return remember(s, from, to, access, 0);
      case Advice.random:
        return remember(s, from, to, access, VmaFlag.random);
      case Advice.sequential:
        return remember(s, from, to, access, VmaFlag.sequential);
      case Advice.hugepage:
        return remember(s, from, to, VmaFlag.noHuge, VmaFlag.huge);
      case Advice.nohugepage:
        return remember(s, from, to, VmaFlag.huge, VmaFlag.noHuge);
      case Advice.dontfork:
        return remember(s, from, to, 0, VmaFlag.dontFork);
      case Advice.dofork:
        return remember(s, from, to, VmaFlag.dontFork, 0);
      case Advice.wipeonfork:
        return remember(s, from, to, 0, VmaFlag.wipeOnFork);
      case Advice.keeponfork:
        return remember(s, from, to, VmaFlag.wipeOnFork, 0);
      case Advice.dontdump:
        return remember(s, from, to, 0, VmaFlag.dontDump);
      case Advice.dodump:
        return remember(s, from, to, VmaFlag.dontDump, 0);
      case Advice.mergeable:
        return remember(s, from, to, 0, VmaFlag.mergeable);
      case Advice.unmergeable:
        return remember(s, from, to, VmaFlag.mergeable, 0);
      default:
        return -1;
    }
  }

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
    const known = rules.linux !== 0 ? linuxAdvice(s, from, to, advice) : -1;
    if (known >= 0) return known;
    switch (advice as Advice) {
      case Advice.dontneed:
      case Advice.dontneedLocked:
        return dontNeed(s, from, to);
      case Advice.willneed:
        return willNeed(s, from, to);
      case Advice.populateRead:
        return faults.populate(s, from, to, false, true);
      case Advice.populateWrite:
        return faults.populate(s, from, to, true, true);
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
    const onFault = rules.linux !== 0 ? VmaFlag.lockOnFault : 0;
    const code = mappings.changeFlags(s, a, b, onFault, Flag.locked | ((f & Flag.onfault) !== 0 ? onFault : 0));
    if (code !== 0) return reject(code === ENOMEM ? Reject.outOfMemory : Reject.badRange);
    // Linux brings pages all the same, but for what was marked just now: the vdso, which is never marked.
    if ((f & Flag.onfault) !== 0 && rules.linux === 0) return 1;
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
    const code = mappings.changeFlags(s, all ? 0 : from, all ? mappings.userPages : to, rules.linux !== 0 ? Flag.locked | VmaFlag.lockOnFault : Flag.locked, 0);
    return code === 0 ? 1 : reject(code === ENOMEM ? Reject.outOfMemory : Reject.badRange);
  }

  return { advise, lock, unlock };
}
