/**
 * The replay loop: events of a trace against the VMM.
 *
 * The loop runs over columns of a block, in segments that end where something is due (a sample point, an audit), so that nothing is checked per
 * event. A touch is handled in the loop itself, everything else in `slow`. One replayer per isolate: its closures over typed arrays are constants of
 * the compiled code (a second one in the same isolate runs at half the speed).
 */
import { reserveInt32 } from '../../arch/reserve.js';
import { addrHi, addrLo } from '../../arch/address.js';
import { Flag, Op } from '../../traces/event.js';
import type { EventBlock } from '../../traces/event.js';
import { Access } from '../lookup/lookup-contract.js';
import { FrameCell } from '../vmm/frames.js';
import { ObjectKind } from '../vmm/objects.js';
import { MAX_PAGE } from '../vmm/page-index.js';
import { Reject } from '../vmm/rejections.js';
import type { Vmm } from '../vmm/vmm.js';
import { makePageBlocks, type EarlierBlock } from './page-blocks.js';
import { cpuOfRow, type Spread } from './spread.js';
import { OutOfFrames } from './out-of-frames.js';

/** Hears of every event, right before and after it is replayed. */
export interface ReplayWatch {
  before(block: EventBlock, row: number): void;
  after(block: EventBlock, row: number): void;
}

export interface ReplayOptions {
  readonly cpus: number;
  /** Which of them an event runs on. */
  readonly spread: Spread;
  /** Replay recorded accesses. */
  readonly touches: boolean;
  /** Write every page of a block when it is allocated. */
  readonly touchBlocks: boolean;
  /** Touch every page of a mapping when it is made. */
  readonly touchMappings: boolean;
  readonly onOom: 'kill' | 'fail' | 'stop';
  /** Replay only events of these pids (empty = all). */
  readonly pids: readonly number[];
  /** Replay only events with from <= number < to, numbers counted from 0 in every round, or null. */
  readonly window: readonly [number, number] | null;
  /** A `sample` event: what the kernel said, with the process slot (or -1). */
  readonly onSample: (slot: number, pid: number, time: number, quantity: number, value: number, racy: boolean) => void;
  /** Replays one event at a time and tells of each; a slower loop. */
  readonly watch?: ReplayWatch | null;
}

export type Replayer = ReturnType<typeof makeReplayer>;

/** pids below this are found by index, others by a hash. */
const DIRECT_PIDS = 1 << 22;

/** Rows of the usual loop per call. */
const STRETCH = 512;

/** Pages that one `cache` event may name: 1 TiB. More is a mistake, and would take minutes. */
const MAX_CACHE_PAGES = 2 ** 28;

export function makeReplayer(vmm: Vmm, block: EventBlock, options: ReplayOptions) {
  const { machine, processes, heap, faults, objects } = vmm;
  const { frames, rejections, lookup, current } = machine;
  const { space } = processes;
  const { touch, resolve } = faults;
  const { access } = lookup;
  const { reject, event } = rejections;
  const follow = heap.follow;
  const place = heap.place;
  const heapAllocate = heap.allocate;
  const heapRelease = heap.release;
  const { op: ops, pid: pids, addrHi: his, addrLo: los, size: sizes, addr2: addr2s, arg: args, flags: flagsOf, time: times } = block;
  const places = heap.places ? 1 : 0;
  const manyCpus = options.cpus > 1 ? 1 : 0;
  const cpuOf = cpuOfRow(block, options.spread, options.cpus);
  const replayTouches = options.touches ? 1 : 0;
  const watch = options.watch ?? null;
  /** The loop may handle touches, malloc and free itself. */
  const inLoop = places === 0 && manyCpus === 0 && watch === null ? 1 : 0;
  const touchBlocks = options.touchBlocks ? 1 : 0;
  const touchMappings = options.touchMappings ? 1 : 0;
  const onOom = options.onOom;
  const filter = options.pids.length > 0 ? new Set(options.pids) : null;
  const window = options.window;
  const cells = frames.cells;
  /** Process slot + 1 by pid, which a pid keeps for the whole run; 0 = not looked up yet. */
  const direct = reserveInt32(DIRECT_PIDS);
  const runningSpace = new Int32Array(Math.max(32, options.cpus)).fill(-2);
  const pageBlocks = makePageBlocks(machine);
  const kernelBlocks = new Map<number, number>();
  /** Number of the first event of the round. */
  let roundStart = 0;
  const directPids: number = DIRECT_PIDS;
  /** An address lies in the user half when its `hi` has no bits from here up; others would alias in the lookup unit. */
  const userBits = machine.tables.geometry.vaBits - 31;

  /** Slot of the live process of a pid; a pid never heard of comes to life empty. -1 for the kernel or without frames. */
  function slotOf(pid: number): number {
    if (pid < 0) return -1;
    const p = liveSlot(pid);
    return p >= 0 ? p : vmm.processOf(pid);
  }

  /** Slot of a process that is alive, or -1: for events that make no sense for one that is not. */
  function liveSlot(pid: number): number {
    if (!(pid >= 0 && pid < directPids)) return lookedUp(pid);
    const known = direct[pid]!;
    return known === 0 ? lookedUp(pid) : space[known - 1] !== 0 ? known - 1 : -1;
  }
  function lookedUp(pid: number): number {
    const p = processes.slotOf(pid);
    if (p >= 0 && pid >= 0 && pid < directPids) direct[pid] = p + 1;
    return p >= 0 && space[p] !== 0 ? p : -1;
  }

  /** One refused operation ran out of frames: what the user asked for happens. */
  function outOfFrames(p: number): void {
    cells[FrameCell.failed] = 0;
    if (onOom === 'stop') throw new OutOfFrames(event[0]!);
    if (onOom === 'kill' && p >= 0) vmm.kill(p);
  }

  /** Accesses of more than one page, translated or with a cpu: the long way. 1 or 0. */
  function touchRange(p: number, s: number, hi: number, lo: number, bytes: number, kind: number, cpu: number): number {
    let done = 1;
    let left = bytes > 0 ? bytes : 1;
    let h = hi;
    let l = lo;
    while (left > 0) {
      if (h >>> userBits !== 0) return reject(Reject.notMapped);
      const step = Math.min(left, 4096 - (l & 4095));
      if (places === 0) done &= touch(s, h, l, kind, cpu);
      else if (follow(s, h, l) !== 0) done &= touch(s, place[0]!, place[1]!, kind, cpu);
      left -= step;
      l += step;
      if (l >= 1073741824) {
        l -= 1073741824;
        h += 1;
      }
      if (done === 0) {
        // The program gets no further than the first page that is refused.
        if (cells[FrameCell.failed] !== 0) outOfFrames(p);
        return 0;
      }
    }
    return done;
  }

  /** Writes every page of a range (`--touch alloc|all`). */
  function touchPages(p: number, s: number, hi: number, lo: number, bytes: number, kind: number): void {
    const first = hi * 262144 + (lo >>> 12);
    const last = Math.floor((hi * 1073741824 + lo + Math.max(bytes, 1) - 1) / 4096);
    for (let page = first; page <= last; page++) {
      const h = Math.floor(page / 262144);
      if (touch(s, h, (page - h * 262144) << 12, kind, cells[FrameCell.cpu]!) === 0) {
        if (cells[FrameCell.failed] !== 0) outOfFrames(p);
        return;
      }
    }
  }

  function allocated(p: number, s: number, hi: number, lo: number, bytes: number, align: number): void {
    if (hi === 0 && lo === 0) return; // the recorded call returned NULL
    if (heapAllocate(s, hi, lo, bytes, align) === 0) return;
    if (touchBlocks !== 0) touchPages(p, s, place[0]!, place[1]!, bytes, Access.write);
  }

  /** What gives something back, which only a live process can. */
  function ending(op: Op, pid: number, hi: number, lo: number, bytes: number, f: number): void {
    const p = liveSlot(pid);
    if (p < 0) {
      if (op !== Op.free || (hi | lo) !== 0) reject(Reject.unknownProcess);
      return;
    }
    current[0] = p;
    const s = (space[p]! - 1) | 0;
    if (op === Op.exit) processes.exit(p, (f & Flag.group) !== 0);
    else if (op === Op.munmap) vmm.munmap(s, hi * 1073741824 + lo, bytes);
    else if ((hi | lo) !== 0) heapRelease(s, hi, lo);
  }

  /** Everything but plain touches. */
  function slow(i: number): void {
    const op = ops[i]! as Op;
    const pid = pids[i]!;
    const hi = his[i]!;
    const lo = los[i]!;
    const addr = hi * 1073741824 + lo;
    const bytes = sizes[i]!;
    const f = flagsOf[i]!;
    if (op === Op.exit || op === Op.munmap || op === Op.free) {
      ending(op, pid, hi, lo, bytes, f);
      return;
    }
    // Read when it is needed: a column that is looked at now and then is far away.
    const arg = args[i]!;
    switch (op) {
      case Op.object:
        if (objects.announce(arg, bytes, (f & Flag.file) !== 0 ? ObjectKind.file : ObjectKind.shm, (f & Flag.remove) !== 0, block.text.get(i)) !== 0)
          reject(Reject.outOfMemory);
        return;
      case Op.cache: {
        const id = arg % 281474976710656; // the folio order is in the bits above 2^48
        const o = objects.byId.get(id, 0);
        const first = Math.floor(addr2s[i]! / 4096);
        const count = Math.ceil(bytes / 4096);
        if (o === 0) reject(Reject.unknownObject);
        else if (!(first >= 0 && first + count <= MAX_PAGE && count <= MAX_CACHE_PAGES)) reject(Reject.badRange);
        else if (objects.cache(o, first, count, (f & Flag.present) !== 0, Math.floor(arg / 281474976710656)) !== 0) reject(Reject.outOfMemory);
        return;
      }
      case Op.sample:
        options.onSample(liveSlot(pid), pid, times[i]!, arg, bytes, (f & Flag.racy) !== 0);
        return;
      case Op.page_alloc:
        if (pageBlocks.allocate(addr, arg, f) === 0) reject(Reject.outOfMemory);
        return;
      case Op.page_free:
        if (pageBlocks.release(addr, arg) === 0) reject(Reject.wildPageFree);
        return;
      case Op.kmalloc: {
        if (addr === 0) return; // the recorded call returned NULL
        const old = kernelBlocks.get(addr);
        if (old !== undefined) {
          // The trace missed its free.
          kernelBlocks.delete(addr);
          machine.kernelHeap.free(old);
          reject(Reject.doubleAllocation);
        }
        const h = machine.kernelHeap.allocBytes(bytes);
        if (h === 0) reject(Reject.outOfMemory);
        else kernelBlocks.set(addr, h);
        return;
      }
      case Op.kfree: {
        if (addr === 0) return;
        const h = kernelBlocks.get(addr);
        if (h === undefined) reject(Reject.wildKfree);
        else {
          kernelBlocks.delete(addr);
          machine.kernelHeap.free(h);
        }
        return;
      }
      case Op.kunmap:
        vmm.kunmapPage(pid, Math.floor(addr / 4096));
        return;
      default:
        break;
    }
    const p = slotOf(pid);
    if (p < 0) {
      reject(Reject.unknownProcess);
      return;
    }
    current[0] = p;
    const s = space[p]! - 1;
    switch (op) {
      case Op.fork:
      case Op.vfork: {
        if (liveSlot(arg) >= 0 || arg < 0) {
          reject(arg < 0 ? Reject.unknownProcess : Reject.existingProcess);
          return;
        }
        const c = processes.fork(p, arg, (f & Flag.vm) !== 0);
        if (c < 0) reject(Reject.outOfMemory);
        return;
      }
      case Op.thread:
        processes.threads[p]! += 1;
        return;
      case Op.exec:
        if (processes.exec(p, block.text.get(i)) !== 0) reject(Reject.outOfMemory);
        return;
      case Op.mmap:
        if (
          vmm.mmap(s, addr, bytes, f, arg, arg !== 0 || (f & Flag.shared) !== 0 ? addr2s[i]! : 0) !== 0 &&
          touchMappings !== 0 &&
          (f & (Flag.r | Flag.w)) !== 0
        ) {
          touchPages(p, s, hi, lo, bytes, (f & Flag.w) !== 0 ? Access.write : Access.read);
        }
        return;
      case Op.mremap:
        vmm.mremap(s, addr, bytes, addr2s[i]!, arg, f);
        return;
      case Op.mprotect:
        vmm.mprotect(s, addr, bytes, f);
        return;
      case Op.madvise:
        vmm.advice.advise(s, Math.floor(addr / 4096), Math.floor(addr / 4096) + Math.ceil(bytes / 4096), arg);
        return;
      case Op.mlock:
        vmm.advice.lock(s, Math.floor(addr / 4096), Math.ceil((addr + bytes) / 4096), f);
        return;
      case Op.munlock:
        vmm.advice.unlock(s, Math.floor(addr / 4096), Math.ceil((addr + bytes) / 4096));
        return;
      case Op.brk:
        vmm.brk(s, addr);
        return;
      case Op.malloc:
      case Op.calloc:
        allocated(p, s, hi, lo, bytes, 16);
        return;
      case Op.memalign:
        allocated(p, s, hi, lo, bytes, arg > 0 ? arg : 16);
        return;
      case Op.realloc: {
        const old = addr2s[i]!;
        if (old !== 0) heapRelease(s, addrHi(old), addrLo(old));
        if (bytes > 0 || addr !== 0) allocated(p, s, hi, lo, bytes, 16);
        return;
      }
      case Op.share: {
        const other = liveSlot(arg);
        if (other < 0) {
          reject(Reject.unknownProcess);
          return;
        }
        const from = Math.floor(addr / 4096);
        const code = vmm.sharing.share(
          s,
          from,
          Math.ceil((addr + bytes) / 4096) - from,
          space[other]! - 1,
          addr2s[i] === 0 ? -1 : Math.floor(addr2s[i]! / 4096),
          f,
        );
        vmm.outcome(code, Reject.badRange);
        return;
      }
      case Op.kmap:
        vmm.kmapPage(pid, s, Math.floor(addr / 4096));
        return;
      case Op.read:
      case Op.write:
      case Op.fetch: {
        if (replayTouches === 0) return;
        const kind = op === Op.read ? Access.read : op === Op.write ? Access.write : Access.fetch;
        if ((f & Flag.args) !== 0) {
          // exec's argument pages are put there by the kernel before the program runs: pages appear, nothing is looked up.
          faults.execArgs(s, Math.floor(addr / 4096), Math.floor((addr + Math.max(bytes, 1) - 1) / 4096) + 1);
          return;
        }
        touchRange(p, s, hi, lo, bytes, kind, cells[FrameCell.cpu]!);
        return;
      }
      default:
        throw new Error(`event ${event[0]} has an operation that does not exist: ${String(op)}`);
    }
  }

  function watched(by: ReplayWatch, i: number): void {
    by.before(block, i);
    slow(i);
    by.after(block, i);
  }

  /** A CPU runs another space than before. */
  function switchTo(cpu: number, s: number): void {
    runningSpace[cpu] = s;
    lookup.switchSpace(s, cpu);
    cells[FrameCell.cpu] = cpu;
  }

  function wanted(i: number, number: number): boolean {
    if (filter !== null && !filter.has(pids[i]!)) return false;
    return window === null || (number >= window[0] && number < window[1]);
  }

  /** Replays rows [from, to) of the block; `base` is the number of its first event. Returns the rows replayed (less than to - from with a filter). */
  function run(from: number, to: number, base: number): number {
    if (filter !== null || window !== null) return runFiltered(from, to, base);
    // Nothing is computed after the loop: code that is compiled while the loop runs knows no types there and would be thrown away at its end, every time.
    const rows = to - from;
    if (inLoop === 0) {
      for (let i = from; i < to; i = (i + 1) | 0) {
        event[0] = base + i;
        if (manyCpus !== 0 || watch !== null) switchCpu(i);
        if (watch === null) slow(i);
        else watched(watch, i);
        if (cells[FrameCell.failed] !== 0) outOfFrames(liveSlot(pids[i]!));
      }
      return rows;
    }
    for (let i = from; i < to; i = (i + STRETCH) | 0) stretch(i, i + STRETCH < to ? (i + STRETCH) | 0 : to, base);
    return rows;
  }

  /**
   * The usual case: one CPU, blocks where they were. Touches, malloc and free of the running process are handled here. Called for few rows at a time:
   * code that V8 compiles while a long loop runs (OSR) reads every captured variable again and again, code compiled between calls takes them as constants.
   */
  function stretch(from: number, to: number, base: number): void {
    let pid = -2;
    let s = -1;
    let p = -1;
    const end = to | 0;
    // Int32 from the start: a loop variable that begins as an argument would be boxed and unboxed every turn.
    for (let i = from | 0; i < end; i = (i + 1) | 0) {
      const op = ops[i]!;
      const id = pids[i]!;
      if (id !== pid) {
        // Nearly every event is another process': the usual way to its space is written out.
        const known = id >= 0 && id < directPids ? direct[id]! : 0;
        s = known === 0 ? -1 : (space[(known - 1) | 0]! - 1) | 0;
        p = (known - 1) | 0;
        if (s < 0) {
          p = liveSlot(id) | 0;
          if (p < 0) {
            pid = -2;
            event[0] = base + i;
            slow(i);
            if (cells[FrameCell.failed] !== 0) outOfFrames(liveSlot(id));
            continue;
          }
          s = (space[p]! - 1) | 0;
        }
        pid = id;
        current[0] = p;
        if (runningSpace[0] !== s) switchTo(0, s);
      }
      const hi = his[i]!;
      const lo = los[i]!;
      if (op >= Op.read && op <= Op.fetch) {
        if (replayTouches === 0) continue;
        if ((lo & 4095) + sizes[i]! <= 4096 && (flagsOf[i]! & Flag.args) === 0 && hi >>> userBits === 0) {
          const kind = (op - Op.read) | 0;
          if (access(s, hi, lo, kind, 0) !== 0) continue;
          event[0] = base + i;
          if (resolve(s, hi, lo, kind, 0) !== 0 || cells[FrameCell.failed] === 0) continue;
          outOfFrames(p);
          pid = -2;
          continue;
        }
      }
      event[0] = base + i;
      if (op === Op.free) {
        if ((hi | lo) !== 0) heapRelease(s, hi, lo);
      } else if (op === Op.malloc) {
        allocated(p, s, hi, lo, sizes[i]!, 16);
      } else {
        slow(i);
        if (op <= Op.exit) pid = -2; // who runs where may have changed
      }
      if (cells[FrameCell.failed] !== 0) {
        outOfFrames(liveSlot(id));
        pid = -2;
      }
    }
  }

  /** With several CPUs: the event's CPU runs the event's process. */
  function switchCpu(i: number): void {
    const cpu = cpuOf(i);
    cells[FrameCell.cpu] = cpu;
    const p = liveSlot(pids[i]!);
    if (p >= 0 && runningSpace[cpu] !== space[p]! - 1) switchTo(cpu, space[p]! - 1);
  }

  function runFiltered(from: number, to: number, base: number): number {
    let n = 0;
    for (let i = from; i < to; i++) {
      if (!wanted(i, base + i - roundStart)) continue;
      event[0] = base + i;
      if (manyCpus !== 0 || watch !== null) switchCpu(i);
      if (watch === null) slow(i);
      else watched(watch, i);
      if (cells[FrameCell.failed] !== 0) outOfFrames(liveSlot(pids[i]!));
      n++;
    }
    return n;
  }

  /** Takes what was in use before the first event; false when there are not as many frames. */
  function takeEarlier(blocks: readonly EarlierBlock[]): boolean {
    return blocks.every(pageBlocks.takeEarlier);
  }

  /** Everything that the trace took and still holds is given back, but what the page cache and shared memory that nobody removed keep. `next`: number of the next event. */
  function endRound(next: number): void {
    pageBlocks.releaseAll();
    for (const handle of kernelBlocks.values()) machine.kernelHeap.free(handle);
    kernelBlocks.clear();
    vmm.endAll();
    roundStart = next;
  }

  return { run, takeEarlier, endRound };
}
