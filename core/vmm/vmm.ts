/**
 * The virtual memory manager: address spaces of the kernel and of every process, built from its parts. One call per kind of event; a call answers 1
 * (done) or 0 (refused: counted by cause in `rejections`), never throws for what a program did.
 */
import { EINVAL, ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import type { ProcessHeap, ProcessHeapLayout } from '../heap/process-heap.js';
import { makeAdvice } from './advice.js';
import { audit } from './audit.js';
import { makeFaults } from './fault.js';
import { makeKmap } from './kmap.js';
import { makeLinuxFork } from './linux-fork.js';
import { makeHuge } from './linux-huge.js';
import { makeLineage } from './linux-lineage.js';
import { makeLinuxMappings } from './linux-mappings.js';
import { makeMachine, VmmCounter } from './machine.js';
import type { MachineOptions } from './machine.js';
import { makeMappings } from './mappings.js';
import { makeObjects, ObjectKind } from './objects.js';
import { makeProcesses } from './processes.js';
import { Reject } from './rejections.js';
import { makeSharing } from './share.js';

export interface VmmOptions extends MachineOptions {
  readonly heapLayout: ProcessHeapLayout;
  /** The trace did not record mappings: accesses make them (counted). */
  readonly implicitMappings: boolean;
}

export type Vmm = ReturnType<typeof makeVmm>;

export function makeVmm(options: VmmOptions) {
  const machine = makeMachine(options);
  const { rejections, counters, vmas, tree } = machine;
  const { reject } = rejections;
  const objects = makeObjects(machine);
  const lineages = makeLineage(machine);
  const huge = makeHuge(machine);
  const base = makeMappings(machine, objects);
  const { rules } = machine;
  const mappings = rules.linux !== 0 ? makeLinuxMappings(machine, objects, base, lineages, huge) : base;
  const kmap = makeKmap(machine);
  const heap: ProcessHeap = options.heapLayout.create(machine, mappings);
  const processes = makeProcesses(machine, objects, mappings, heap, makeLinuxFork(machine, mappings.userPages, lineages));
  const faults = makeFaults(machine, objects, mappings, kmap, options, lineages, huge);
  const sharing = makeSharing(machine, objects, mappings, faults, kmap, lineages);
  const advice = makeAdvice(machine, objects, mappings, faults);
  const { space } = processes;

  /** Slot of a live process; unknown ones come to life with an empty space (counted). -1 without frames. */
  function processOf(pid: number): number {
    const p = processes.slotOf(pid);
    if (p >= 0 && space[p] !== 0) return p;
    const made = processes.createProcess(pid, -1);
    if (made < 0) {
      reject(Reject.outOfMemory);
      return -1;
    }
    counters[VmmCounter.implicitProcesses]! += 1;
    return made;
  }

  /** Turns a code of the parts into done (1) or refused (0, counted). */
  function outcome(code: number, invalid: number): number {
    if (code >= 0) return 1;
    return reject(code === ENOMEM ? Reject.outOfMemory : code === EINVAL ? invalid : Reject.badRange);
  }

  function pagesUp(bytes: number): number {
    return Math.ceil(bytes / 4096);
  }

  /** mmap of `bytes` at byte address `addr`; `id` names the object (0 = anonymous; with `shared` a new shared object). */
  function mmap(s: number, addr: number, bytes: number, flags: number, id: number, offset: number): number {
    const from = Math.floor(addr / 4096);
    const to = from + pagesUp(bytes + (addr - from * 4096));
    if (!(bytes > 0) || !mappings.inUserHalf(from, to)) return reject(Reject.badRange);
    if (heap.places) heap.recordedRange(s, from, to);
    let o = 0;
    if (id !== 0) o = objects.find(id);
    else if ((flags & Flag.shared) !== 0) o = objects.create(ObjectKind.transient, 0, -1);
    else if ((flags & Flag.vdso) !== 0 && rules.vdso !== 0) o = objects.vdso();
    if (o < 0) return reject(Reject.outOfMemory);
    // Held while what lies there goes, which may be the object's last mapping.
    if (o !== 0) objects.acquire(o);
    const v = mappings.map(s, from, to, flags | machine.lockFuture[s]!, o, id === 0 ? 0 : Math.floor(offset / 4096));
    if (o !== 0) objects.releaseMap(o);
    if (v < 0) return outcome(v, Reject.badRange);
    if (((flags & (Flag.populate | Flag.locked)) | machine.lockFuture[s]!) !== 0)
      faults.populate(s, from, to, (flags & Flag.shared) === 0 || (flags & Flag.w) !== 0);
    return 1;
  }

  function munmap(s: number, addr: number, bytes: number): number {
    const from = Math.floor(addr / 4096);
    const to = from + pagesUp(bytes + (addr - from * 4096));
    if (!(bytes > 0) || !mappings.inUserHalf(from, to)) return reject(Reject.badRange);
    if (heap.places) heap.recordedRange(s, from, to);
    return outcome(mappings.unmap(s, from, to), Reject.badRange);
  }

  function mremap(s: number, to: number, newBytes: number, from: number, oldBytes: number, flags: number): number {
    const locked = rules.linux !== 0 && newBytes > oldBytes && mappings.locked(s, Math.floor(from / 4096));
    const code = mappings.remap(s, Math.floor(from / 4096), pagesUp(oldBytes), Math.floor(to / 4096), pagesUp(newBytes), (flags & Flag.dontunmap) !== 0);
    if (code === 0 && locked) faults.populate(s, Math.floor(to / 4096) + pagesUp(oldBytes), Math.floor(to / 4096) + pagesUp(newBytes), true);
    return outcome(code, Reject.badMremap);
  }

  function mprotect(s: number, addr: number, bytes: number, prot: number): number {
    const from = Math.floor(addr / 4096);
    const to = from + pagesUp(bytes);
    const locked = rules.linux !== 0 && (prot & Flag.w) !== 0 && mappings.inUserHalf(from, to) ? lockedReadOnly(s, from, to) : [];
    const code = mappings.protect(s, from, to, prot);
    if (code === 0) for (const [a, b] of locked) faults.populate(s, a, b, true);
    return outcome(code, Reject.badRange);
  }
  /** Parts of [from, to) that are locked, private and not writable: when they become so, Linux writes them at once (mm/mprotect.c mprotect_fixup). */
  function lockedReadOnly(s: number, from: number, to: number): (readonly [number, number])[] {
    const out: (readonly [number, number])[] = [];
    for (let v = vmas.findFrom(tree[s]!, from); v !== 0 && vmas.start[v]! < to; v = vmas.next(tree[s]!, v)) {
      if ((vmas.flags[v]! & (Flag.w | Flag.shared | Flag.locked)) === Flag.locked) out.push([Math.max(from, vmas.start[v]!), Math.min(to, vmas.end[v]!)]);
    }
    return out;
  }

  function brk(s: number, to: number): number {
    if (heap.places) {
      heap.recordedBreak(s, to);
      return 1;
    }
    const before = machine.brk[s]!;
    const code = mappings.setBreak(s, to);
    if (code < 0) return code === EINVAL ? 0 : outcome(code, Reject.badRange);
    if (machine.lockFuture[s] !== 0 && before >= 0 && to > before) faults.populate(s, Math.ceil(before / 4096), pagesUp(to), true);
    return 1;
  }

  /** Pages of process `pid` the kernel maps temporarily: slots by (process slot, page). */
  const kmapped = new Map<string, number>();
  function kmapPage(pid: number, s: number, page: number): number {
    if (!mappings.inUserHalf(page, page + 1)) return reject(Reject.notMapped);
    const hi = Math.floor(page / 262144);
    const lo = (page - hi * 262144) * 4096;
    if (machine.tables.findLeaf(s, hi, lo) < 0 && faults.fault(s, hi, lo, 0) === 0) return 0;
    const q = machine.tables.findLeaf(s, hi, lo);
    if (q < 0 || kmapped.has(`${pid}:${page}`)) return reject(Reject.kmapWindow);
    if (mappings.flatten(s, page, page + 1) === 0) return reject(Reject.outOfMemory);
    const f = machine.tables.pt[machine.tables.findLeaf(s, hi, lo) + 1]!;
    const slot = kmap.map(f);
    if (slot < 0) return reject(Reject.kmapWindow);
    kmap.pin(slot);
    // The kernel's mapping keeps the page when the process lets it go.
    machine.frames.ref[f]! += 1;
    kmapped.set(`${pid}:${page}`, slot);
    return 1;
  }
  function kunmapPage(pid: number, page: number): number {
    const slot = kmapped.get(`${pid}:${page}`);
    if (slot === undefined) return reject(Reject.kmapWindow);
    kmapped.delete(`${pid}:${page}`);
    kmap.unpin(slot);
    const f = kmap.frameOf(slot);
    kmap.unmap(slot);
    machine.frames.put(f);
    return 1;
  }

  /** Kills the process that ran out of frames (`--on-oom kill`). */
  function kill(p: number): void {
    if (space[p] !== 0) processes.exit(p, true);
  }

  /** Ends what programs hold: temporary mappings, processes. Caches stay. */
  function endAll(): void {
    for (const key of [...kmapped.keys()]) {
      const [pid, page] = key.split(':');
      kunmapPage(Number(pid), Number(page));
    }
    processes.exitAll();
  }

  /** Drops what only caches keep: page cache, named objects nobody maps, empty slabs. */
  function settle(): void {
    objects.dropUnmapped();
    machine.kernelHeap.reap();
    huge.shrink();
  }

  return {
    machine,
    objects,
    mappings,
    kmap,
    heap,
    processes,
    faults,
    sharing,
    advice,
    processOf,
    outcome,
    mmap,
    munmap,
    mremap,
    mprotect,
    brk,
    kmapPage,
    kunmapPage,
    kill,
    endAll,
    settle,
    audit: () => {
      audit(machine, objects, processes.cells[2]!, [...kmapped.values()].map(kmap.frameOf));
      heap.validate();
    },
    vmaCount: (s: number) => vmas.count(tree[s]!),
  };
}
