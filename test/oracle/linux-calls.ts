/** What system calls do to the oracle's spaces: mmap, munmap, mremap, mprotect, madvise, mlock, brk, fork, exec, exit, and sharing between processes. */
import { Flag } from '../../traces/event.js';
import { LinuxModel } from './linux-model.js';
import { newFrame } from './linux-objects.js';
import type { SharedObject } from './linux-objects.js';
import { copyTables, drop, freeEmpty, freeTables, moveOnlyPages, movePageTables, pagesIn, put, reclaimPts, splitAt, zap } from './linux-pages.js';
import { emptySpace } from './linux-space.js';
import type { Space, Vma } from './linux-space.js';
import { cutAt, isAnonymous, isShared, isSpecial, joinNeighbours, KEPT, RWX, Vm, vmaAt, vmasIn } from './linux-vmas.js';

/** Bits of vm_flags that a madvise clears and sets (mm/madvise.c madvise_vma_behavior). */
const ADVICE: ReadonlyMap<number, readonly [number, number]> = new Map([
  [0, [Vm.sequential | Vm.random, 0]],
  [1, [Vm.sequential, Vm.random]],
  [2, [Vm.random, Vm.sequential]],
  [10, [0, Vm.dontCopy]],
  [11, [Vm.dontCopy, 0]],
  [14, [Vm.noHuge, Vm.huge]],
  [15, [Vm.huge, Vm.noHuge]],
  [16, [0, Vm.dontDump]],
  [17, [Vm.dontDump, 0]],
  [18, [0, Vm.wipeOnFork]],
  [19, [Vm.wipeOnFork, 0]],
]);

export class LinuxCalls extends LinuxModel {
  // ---- mmap, munmap, brk

  /** vms_clear_ptes and free_pgtables: what lies in [from, to) goes, before anything new is there. */
  unmap(s: Space, from: number, to: number, pinned: SharedObject | null = null): void {
    cutAt(s, from, to);
    splitAt(s, from, to);
    const gone = vmasIn(s, from, to);
    s.vmas = s.vmas.filter((v) => !gone.includes(v));
    for (const v of gone) this.zap(s, v.from, v.to);
    if (this.has('free-tables'))
      freeTables(
        s,
        gone.map((v) => [v.from, v.to] as const),
      );
    this.collect(pinned);
  }

  private zap(s: Space, from: number, to: number): void {
    zap(s, from, to);
    if (!this.has('free-tables')) freeEmpty(s, from, to);
  }

  private fresh(from: number, to: number, flags: number, object: SharedObject | null, pgoff: number): Vma {
    // accountable_mapping
    const accounted = (flags & (Flag.noreserve | Flag.shared | Flag.w)) === Flag.w;
    return { from, to, flags, vm: accounted ? Vm.account : 0, object, pgoff, anon: null, forked: false };
  }

  mmap(s: Space, addr: number, bytes: number, flags: number, id: number, offset: number): void {
    const from = Math.floor(addr / 4096);
    const to = Math.ceil((addr + bytes) / 4096);
    let object: SharedObject | null = null;
    if (id !== 0) object = this.objects.named(id) ?? this.objects.make('transient', id, -1);
    else if ((flags & Flag.shared) !== 0) object = this.objects.make('transient', 0, -1);
    else if ((flags & Flag.vdso) !== 0 && this.has('vdso')) object = this.objects.vdso();
    this.unmap(s, from, to, object);
    const locked = s.lockFuture ? Flag.locked : 0;
    const pgoff = object === null ? from : id === 0 ? 0 : Math.floor(offset / 4096);
    const v = this.fresh(from, to, (flags & KEPT) | locked, object, pgoff);
    this.add(s, v, { fresh: true });
    if ((flags & Flag.populate) !== 0 || (v.flags & Flag.locked) !== 0) this.populate(s, from, to, 'touch');
  }

  /** do_brk_flags, and its shrinking. */
  setBreak(s: Space, to: number): void {
    if (s.brkStart < 0) s.brkStart = s.brk = to;
    if (to < s.brkStart) return;
    const a = Math.ceil(s.brk / 4096);
    const b = Math.ceil(to / 4096);
    const locked = s.lockFuture ? Flag.locked : 0;
    if (b > a) {
      this.unmap(s, a, b);
      this.add(s, this.fresh(a, b, Flag.r | Flag.w | locked, null, a), { fresh: true, justExpand: true });
    } else if (b < a) this.unmap(s, b, a);
    s.brk = to;
    if (b > a && locked !== 0) this.populate(s, a, b, 'touch');
  }

  // ---- calls that change VMAs in place

  /** vma_modify: each VMA's part in the range gets other flags and merges with its neighbours; `after` sees the part itself. */
  private modify(s: Space, from: number, to: number, change: (v: Vma) => Pick<Vma, 'flags' | 'vm'>, after: (v: Vma, a: number, b: number) => void): void {
    for (const whole of vmasIn(s, from, to)) {
      const { flags, vm } = change(whole);
      if (flags === whole.flags && vm === whole.vm) continue;
      const a = Math.max(from, whole.from);
      const b = Math.min(to, whole.to);
      cutAt(s, a, b);
      splitAt(s, a, b);
      const part = vmaAt(s, a)!;
      part.flags = flags;
      part.vm = vm;
      after(joinNeighbours(s, part, this.rules, { fresh: false }), a, b);
    }
  }

  /** mprotect_fixup. */
  protect(s: Space, from: number, to: number, prot: number): void {
    const accountable = (v: Vma): boolean => (v.flags & (Flag.w | Flag.shared | Flag.noreserve)) === 0;
    const change = (v: Vma): Pick<Vma, 'flags' | 'vm'> => {
      const flags = (v.flags & ~RWX) | (prot & RWX);
      let { vm } = v;
      if ((prot & Flag.w) !== 0) vm |= accountable(v) ? Vm.account : 0;
      else if (isAnonymous(v) && v.anon === null) vm &= ~Vm.account;
      return { flags, vm };
    };
    const before = new Map(vmasIn(s, from, to).map((v) => [Math.max(from, v.from), v.flags]));
    this.modify(s, from, to, change, (v, a, b) => {
      this.reprotect(s, v, a, b);
      // Locked private memory that becomes writable is written at once, so that it need not be copied later.
      const old = before.get(a)!;
      if ((old & (Flag.w | Flag.shared | Flag.locked)) === Flag.locked && (v.flags & Flag.w) !== 0) this.populate(s, a, b, 'touch');
    });
  }

  /** mlock, mlock2 and mlockall (from = to = 0). A failure ends mlock; mlockall goes on with the next VMA. */
  lock(s: Space, from: number, to: number, f: number): void {
    const all = from === 0 && to === 0;
    if (all && (f & Flag.future) !== 0) s.lockFuture = true;
    if (all && (f & Flag.future) !== 0 && (f & Flag.current) === 0) return;
    const end = all ? Infinity : to;
    const onFault = (f & Flag.onfault) !== 0 ? Vm.lockOnFault : 0;
    this.setLock(s, from, end, Flag.locked, onFault);
    // Without any right nothing can be brought: Linux fails there, and a call that failed is no event.
    for (const v of vmasIn(s, from, end)) {
      if ((v.flags & RWX) === 0) continue;
      if (!this.populate(s, Math.max(from, v.from), Math.min(end, v.to), 'touch') && !all) return;
    }
  }
  unlock(s: Space, from: number, to: number): void {
    const all = from === 0 && to === 0;
    if (all) s.lockFuture = false;
    this.setLock(s, from, all ? Infinity : to, 0, 0);
  }
  /** mlock_fixup; special mappings are left alone. */
  private setLock(s: Space, from: number, to: number, flags: number, vm: number): void {
    const change = (v: Vma): Pick<Vma, 'flags' | 'vm'> => (isSpecial(v) ? v : { flags: (v.flags & ~Flag.locked) | flags, vm: (v.vm & ~Vm.lockOnFault) | vm });
    this.modify(s, from, to, change, () => undefined);
  }

  advise(s: Space, from: number, to: number, advice: number): void {
    const bits = ADVICE.get(advice);
    if (bits !== undefined) {
      this.modify(
        s,
        from,
        to,
        (v) => ({ flags: v.flags, vm: (v.vm & ~bits[0]) | bits[1] }),
        () => undefined,
      );
    } else if (advice === 4 || advice === 24) {
      for (const v of vmasIn(s, from, to)) {
        const a = Math.max(from, v.from);
        const b = Math.min(to, v.to);
        this.zap(s, a, b);
        if (this.has('pt-reclaim')) reclaimPts(s, a, b);
      }
    } else if (advice === 3) this.willNeed(s, from, to);
    else if (advice === 22) this.populate(s, from, to, 'read');
    else if (advice === 23) this.populate(s, from, to, 'write');
  }
  /** Reads files ahead into the page cache. */
  private willNeed(s: Space, from: number, to: number): void {
    for (const v of vmasIn(s, from, to)) {
      if (v.object?.kind !== 'file') continue;
      const first = v.pgoff + Math.max(from, v.from) - v.from;
      const end = v.pgoff + Math.min(to, v.to) - v.from;
      const last = v.object.bytes >= 0 ? Math.min(end, Math.ceil(v.object.bytes / 4096)) : end;
      this.objects.cache(v.object, first, last - first, true, 0);
      this.objects.needsIo = false;
    }
  }

  // ---- mremap

  remap(s: Space, from: number, oldPages: number, to: number, newPages: number, keepOld: boolean): void {
    const v = vmaAt(s, from)!;
    if (to === from) {
      if (newPages < oldPages) this.unmap(s, from + newPages, from + oldPages);
      else if (newPages > oldPages) this.extend(s, v, newPages - oldPages);
      return;
    }
    this.unmap(s, to, to + newPages);
    if (newPages < oldPages) this.unmap(s, from + newPages, from + oldPages);
    const count = Math.min(oldPages, newPages);
    const old = vmaAt(s, from)!;
    // copy_vma: anonymous memory that was never written is as if it were new there.
    const pgoff = isAnonymous(old) && old.anon === null ? to : old.pgoff + from - old.from;
    const copy: Vma = { ...old, from: to, to: to + newPages, pgoff };
    const made = this.add(s, copy, { fresh: false });
    const whole = made !== old && old.from === from && old.to === from + count;
    if (this.has('move-tables')) movePageTables(s, old, from, made, to, count);
    else moveOnlyPages(s, from, to, count);
    if (!keepOld) this.unmap(s, from, from + count);
    else {
      // dontunmap_complete; the copy may have taken the old one in.
      const left = vmaAt(s, from)!;
      left.flags &= ~Flag.locked;
      left.vm &= ~Vm.lockOnFault;
      if (whole) {
        left.anon = null;
        left.forked = false;
      }
    }
    if (newPages > oldPages && (made.flags & Flag.locked) !== 0) this.populate(s, to + oldPages, to + newPages, 'touch');
  }
  /** vma_merge_extend. */
  private extend(s: Space, v: Vma, pages: number): void {
    const more: Vma = { ...v, from: v.to, to: v.to + pages, pgoff: v.pgoff + v.to - v.from };
    this.add(s, more, { fresh: true });
    if ((v.flags & Flag.locked) !== 0) this.populate(s, more.from, more.to, 'touch');
  }

  // ---- processes

  /** dup_mmap. */
  fork(parent: number, child: number, shareVm: boolean): void {
    const from = this.process(parent).space;
    if (this.processes.has(child)) return;
    const space = shareVm && this.has('shared-mm') ? from : this.copySpace(from);
    space.users++;
    this.processes.set(child, { space, threads: 1 });
  }
  private copySpace(from: Space): Space {
    const space: Space = { ...emptySpace(), brk: from.brk, brkStart: from.brkStart };
    for (const v of from.vmas) {
      if ((v.vm & Vm.dontCopy) !== 0) continue;
      const wiped = (v.vm & Vm.wipeOnFork) !== 0;
      const lineage = wiped || v.anon === null ? null : ({ lineage: true } as const);
      space.vmas.push({ ...v, flags: v.flags & ~Flag.locked, vm: v.vm & ~Vm.lockOnFault, anon: lineage, forked: lineage !== null });
      // vma_needs_copy
      if (!wiped && (v.anon !== null || (v.flags & Flag.vvar) !== 0 || !this.has('lazy-fork'))) this.copyRange(from, space, v);
    }
    if (!this.has('fork-tables')) freeEmpty(space, 0, Infinity);
    return space;
  }
  private copyRange(from: Space, space: Space, v: Vma): void {
    copyTables(from, space, v.from, v.to);
    for (const page of pagesIn(from, v.from, v.to)) {
      const known = from.pages.get(page)!;
      if (!isShared(v)) known.write = false;
      if (known.frame?.kind === 'anonymous') known.frame.exclusive = false;
      put(space, page, known.frame, known.write, known.dirty);
    }
  }
  private leave(s: Space): void {
    s.users--;
    if (s.users === 0) for (const page of s.pages.keys()) drop(s, page);
    this.collect();
  }
  exec(pid: number): void {
    const p = this.process(pid);
    const old = p.space;
    p.space = emptySpace();
    p.space.users = 1;
    p.threads = 1;
    this.leave(old);
  }
  exit(pid: number, group: boolean): void {
    const p = this.processes.get(pid);
    if (p === undefined) return;
    p.threads = group ? 0 : p.threads - 1;
    if (p.threads > 0) return;
    this.processes.delete(pid);
    this.leave(p.space);
  }

  // ---- sharing between processes (the project's own: docs/policies.md)

  /** Pages of [from, to) of space `s` become an object's, which space `t` maps too. */
  share(s: Space, from: number, to: number, t: Space, at: number, rights: number): void {
    cutAt(s, from, to);
    for (const v of vmasIn(s, from, to)) {
      if (!isShared(v)) this.convert(s, v);
      this.unmap(t, at + v.from - from, at + v.to - from, v.object);
      const flags = (rights & (Flag.r | Flag.w)) | Flag.shared;
      this.add(t, this.fresh(at + v.from - from, at + v.to - from, flags, v.object, v.pgoff), { fresh: true });
    }
  }
  private convert(s: Space, v: Vma): void {
    splitAt(s, v.from, v.to);
    for (const slot of [...s.huge.keys()]) if (slot * 512 >= v.from && slot * 512 < v.to) splitAt(s, slot * 512 + 1, slot * 512 + 1);
    const object = this.objects.make('transient', 0, -1);
    for (let page = v.from; page < v.to; page++) {
      const known = s.pages.get(page);
      if (known === undefined && v.object === null) continue;
      if (known !== undefined && known.frame === null) {
        this.zap(s, page, page + 1);
        continue;
      }
      // The file's content comes along; without any right it cannot be had.
      if (known === undefined && ((v.flags & RWX) === 0 || !this.fault(s, v, page, false))) continue;
      const { write, dirty } = s.pages.get(page)!;
      drop(s, page);
      const frame = newFrame('shared');
      object.pages.set(page - v.from, frame);
      put(s, page, frame, write, dirty);
    }
    v.object = object;
    v.pgoff = 0;
    v.anon = null;
    v.forked = false;
    v.flags |= Flag.shared;
  }
}
