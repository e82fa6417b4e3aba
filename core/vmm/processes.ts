/**
 * Who uses which address space: tid -> process -> space. A space is shared by CLONE_VM (threads, vfork) and counted; it ends with its last user.
 * fork copies it: every VMA, every table, private pages write-protected in both (copy-on-write).
 *
 * A process keeps one slot per pid for the whole run, so that its peaks outlive it; a pid that is used again continues the slot.
 */
import { reserveFloat64, reserveInt32 } from '../../arch/reserve.js';
import { ENOMEM } from '../../arch/arch.js';
import { UserError } from '../../traces/event.js';
import { KernelCache } from '../heap/kernel-heap-contract.js';
import { IntMap } from '../int-map.js';
import type { ProcessPeaks } from '../replay/result.js';
import { Use } from './frames.js';
import type { LinuxFork } from './linux-fork.js';
import { HugeCell, MAX_PROCESSES, MAX_SPACES, VmmCounter } from './machine.js';
import type { Machine } from './machine.js';
import type { Objects } from './objects.js';
import { VmaFlag } from './mappings.js';
import type { Mappings } from './mappings.js';

/** What else hangs on a space: the process heap copies and forgets its blocks. */
export interface SpaceFollower {
  forked(from: number, to: number): void;
  destroyed(space: number): void;
}

export type Processes = ReturnType<typeof makeProcesses>;

/** `linuxFork` is the linux policy's (unused by plain). */
export function makeProcesses(machine: Machine, objects: Objects, mappings: Mappings, follower: SpaceFollower, linuxFork: LinuxFork) {
  const { tables, lookup, vmas, kernelHeap, users, tree, spaceHandle, lockFuture, leafTablesPeak, tablesPeak, vmasPeak } = machine;
  const { vmPages, vmPagesPeak, brk, brkStart, mmapCursor, rss, rssPeak, dropping, counters } = machine;
  const { heap, object, flags, start, end } = vmas;
  const linux = machine.rules.linux;
  const sharesMm = linux === 0 || machine.rules['shared-mm'] !== 0;

  const slots = new IntMap(256);
  const pidOf = reserveFloat64(MAX_PROCESSES);
  /** Space of a live process + 1; 0 = not alive. */
  const space = reserveInt32(MAX_PROCESSES);
  const threads = reserveInt32(MAX_PROCESSES);
  const parentPid = reserveFloat64(MAX_PROCESSES);
  const handle = reserveInt32(MAX_PROCESSES);
  const commands = new Map<number, string>();
  /** Peaks by slot: rss, anonymous, file, shared pages; tables; VMAs. */
  const peaks = reserveFloat64(MAX_PROCESSES * 8);
  const cells = new Int32Array(32); // [0] slots in use, [1] free space list head, [2] highest space used, [3] live processes, [4] their peak, [5] live spaces
  const nextFree = new Int32Array(MAX_SPACES);

  function slotOf(pid: number): number {
    return slots.get(pid, -1);
  }
  function makeSlot(pid: number): number {
    let p = slots.get(pid, -1);
    if (p >= 0) return p;
    p = cells[0]!;
    if (p >= MAX_PROCESSES)
      throw new UserError(`more than ${MAX_PROCESSES} process ids in one trace: replay fewer processes (--pid) or a part of the trace (--window)`);
    cells[0] = p + 1;
    slots.set(pid, p);
    pidOf[p] = pid;
    parentPid[p] = -1;
    return p;
  }

  /** An empty space with the given tree of VMAs (0 = a fresh one): its index or -ENOMEM. */
  function createSpace(inherited: number): number {
    const h = kernelHeap.alloc(KernelCache.space);
    if (h === 0) return ENOMEM;
    let s = cells[1]!;
    if (s !== 0) cells[1] = nextFree[s]!;
    else {
      s = cells[2]! + 1;
      if (s >= MAX_SPACES)
        throw new UserError(`more than ${MAX_SPACES} address spaces live at once: replay fewer processes (--pid) or a part of the trace (--window)`);
      cells[2] = s;
    }
    if (tables.createSpace(s) !== 0) {
      kernelHeap.free(h);
      nextFree[s] = cells[1]!;
      cells[1] = s;
      return ENOMEM;
    }
    spaceHandle[s] = h;
    lookup.flushSpace(s);
    users[s] = 0;
    tree[s] = inherited === 0 ? vmas.createTree() : inherited;
    lockFuture[s] = 0;
    leafTablesPeak[s] = 0;
    tablesPeak[s] = 1;
    vmasPeak[s] = 0;
    vmPages[s] = 0;
    vmPagesPeak[s] = 0;
    brk[s] = -1;
    brkStart[s] = -1;
    mmapCursor[s] = 0;
    const b = s << 3;
    for (let u = 0; u < 8; u++) {
      rss[b | u] = 0;
      rssPeak[b | u] = 0;
    }
    cells[5]! += 1;
    return s;
  }

  function releaseVma(v: number): void {
    if ((flags[v]! & VmaFlag.blocks) !== 0) mappings.accountHeap(start[v]! - end[v]!);
    kernelHeap.free(heap[v]!);
    if (object[v] !== 0) objects.releaseMap(object[v]!);
  }

  function destroySpace(s: number): void {
    follower.destroyed(s);
    dropping[0] = -2;
    if (tables.destroySpace(s) !== 0) throw new Error(`address space ${s} has no tables`);
    // The deposited tables of its huge leaves went with it.
    machine.huge[HugeCell.dropped] = 0;
    const t = tree[s]!;
    for (let v = vmas.first(t); v !== 0; v = vmas.next(t, v)) releaseVma(v);
    vmas.destroyTree(t, 1);
    kernelHeap.free(spaceHandle[s]!);
    users[s] = 0;
    nextFree[s] = cells[1]!;
    cells[1] = s;
    cells[5]! -= 1;
  }

  /** Adds a space's peaks to those of a process that leaves it. */
  function foldPeaks(p: number, s: number): void {
    const b = s << 3;
    const q = p << 3;
    for (let u = 0; u <= Use.shared; u++) if (rssPeak[b | u]! > peaks[q | u]!) peaks[q | u] = rssPeak[b | u]!;
    if (tablesPeak[s]! > peaks[q | 4]!) peaks[q | 4] = tablesPeak[s]!;
    if (vmasPeak[s]! > peaks[q | 5]!) peaks[q | 5] = vmasPeak[s]!;
    if (vmPagesPeak[s]! > peaks[q | 6]!) peaks[q | 6] = vmPagesPeak[s]!;
  }

  /** The process stops using its space. */
  function leave(p: number): void {
    const s = space[p]! - 1;
    foldPeaks(p, s);
    space[p] = 0;
    users[s]! -= 1;
    if (users[s] === 0) destroySpace(s);
  }

  function attach(p: number, s: number): void {
    space[p] = s + 1;
    users[s]! += 1;
  }

  function born(p: number, parent: number, h: number): void {
    handle[p] = h;
    threads[p] = 1;
    parentPid[p] = parent;
    cells[3]! += 1;
    if (cells[3]! > cells[4]!) cells[4] = cells[3]!;
  }

  /** A process that the trace never showed being born, with an empty space. Slot or -ENOMEM. */
  function createProcess(pid: number, parent: number): number {
    const h = kernelHeap.alloc(KernelCache.process);
    if (h === 0) return ENOMEM;
    const s = createSpace(0);
    if (s < 0) {
      kernelHeap.free(h);
      return ENOMEM;
    }
    const p = makeSlot(pid);
    born(p, parent, h);
    attach(p, s);
    return p;
  }

  /** Copies space `from` for a child. Index of the copy or -ENOMEM (nothing remains). */
  function copySpace(from: number): number {
    const t = vmas.clone(tree[from]!);
    const leftOut = linux !== 0 ? linuxFork.leaveOut(t) : 0;
    const s = createSpace(t);
    if (s < 0) {
      vmas.destroyTree(t, 1);
      return ENOMEM;
    }
    vmPages[s] = vmPages[from]! - leftOut;
    vmPagesPeak[s] = vmPages[s]!;
    vmasPeak[s] = vmas.count(t);
    brk[s] = brk[from]!;
    brkStart[s] = brkStart[from]!;
    mmapCursor[s] = mmapCursor[from]!;
    let done = 0;
    let blockPages = 0;
    for (let v = vmas.first(t); v !== 0; v = vmas.next(t, v)) {
      const h = kernelHeap.alloc(KernelCache.vma);
      heap[v] = h;
      if (h === 0) break;
      done++;
      if (object[v] !== 0) objects.acquire(object[v]!);
      if ((flags[v]! & VmaFlag.blocks) !== 0) blockPages += end[v]! - start[v]!;
    }
    const complete = done === vmas.count(t);
    dropping[0] = s;
    const b = s << 3;
    const a = from << 3;
    for (let u = 0; u < 8; u++) {
      rss[b | u] = rss[a | u]!;
      rssPeak[b | u] = rss[a | u]!;
    }
    if (complete && (linux !== 0 ? linuxFork.copyTables(from, s) : tables.copySpace(from, s)) === 0) {
      // Both may hold writable translations of pages that are shared from now on.
      lookup.flushSpace(from);
      const n = tables.spaceTables;
      leafTablesPeak[s] = n[b | 1]!;
      let sum = 0;
      for (let l = 1; l < 8; l++) sum += n[b | l]!;
      tablesPeak[s] = sum;
      if (blockPages > 0) mappings.accountHeap(blockPages);
      follower.forked(from, s);
      return s;
    }
    let v = vmas.first(t);
    for (let k = 0; k < done; k++, v = vmas.next(t, v)) {
      kernelHeap.free(heap[v]!);
      if (object[v] !== 0) objects.releaseMap(object[v]!);
    }
    vmas.destroyTree(t, 1);
    tree[s] = vmas.createTree();
    destroySpace(s);
    return ENOMEM;
  }

  /** fork / vfork of process `p`: the child's slot or -ENOMEM. `shareVm`: CLONE_VM. */
  function fork(p: number, childPid: number, shareVm: boolean): number {
    const h = kernelHeap.alloc(KernelCache.process);
    if (h === 0) return ENOMEM;
    const from = space[p]! - 1;
    const s = shareVm && sharesMm ? from : copySpace(from);
    if (s < 0) {
      kernelHeap.free(h);
      return ENOMEM;
    }
    const c = makeSlot(childPid);
    born(c, pidOf[p]!, h);
    attach(c, s);
    const name = commands.get(p);
    if (name !== undefined) commands.set(c, name);
    counters[VmmCounter.forks]! += 1;
    return c;
  }

  /** exec: the process leaves its space for an empty one; its other threads are gone. 0 or -ENOMEM. */
  function exec(p: number, command: string | undefined): number {
    const s = createSpace(0);
    if (s < 0) return ENOMEM;
    leave(p);
    attach(p, s);
    threads[p] = 1;
    if (command !== undefined) commands.set(p, command);
    counters[VmmCounter.execs]! += 1;
    return 0;
  }

  /** A thread ends, or with `group` all of them; the last one ends the process. */
  function exit(p: number, group: boolean): void {
    const n = group ? 0 : threads[p]! - 1;
    threads[p] = n;
    if (n > 0) return;
    leave(p);
    kernelHeap.free(handle[p]!);
    handle[p] = 0;
    cells[3]! -= 1;
    counters[VmmCounter.exits]! += 1;
  }

  /** Ends every process that is alive, in order of their slots. */
  function exitAll(): void {
    for (let p = 0; p < cells[0]!; p++) if (space[p] !== 0) exit(p, true);
  }

  function listPeaks(): ProcessPeaks[] {
    const out: ProcessPeaks[] = [];
    for (let p = 0; p < cells[0]!; p++) {
      if (space[p] !== 0) foldPeaks(p, space[p]! - 1);
      const q = p << 3;
      out.push({
        pid: pidOf[p]!,
        command: commands.get(p) ?? '',
        parent: parentPid[p]!,
        rss_peak_bytes: peaks[q]! * 4096,
        anonymous_peak_bytes: peaks[q | Use.anonymous]! * 4096,
        file_peak_bytes: peaks[q | Use.file]! * 4096,
        shared_peak_bytes: peaks[q | Use.shared]! * 4096,
        vm_size_peak_bytes: peaks[q | 6]! * 4096,
        table_bytes_peak: peaks[q | 4]! * 4096,
        vmas_peak_count: peaks[q | 5]!,
        minor_faults_count: machine.processFaults[p]!,
        cow_breaks_count: machine.processBreaks[p]!,
      });
    }
    return out;
  }

  return { slotOf, makeSlot, space, threads, commands, pidOf, cells, createProcess, fork, exec, exit, exitAll, listPeaks, createSpace, destroySpace };
}
