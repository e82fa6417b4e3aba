/**
 * What `framewalk info` tells about a trace, from one pass over its events.
 */
import { Flag, Op, OP_COUNT, OP_NAMES, type Captured, type EventBlock, type Loss, type Trace } from './event.js';
import { FwtTrace } from './fwt.js';
import { joinAddr } from '../arch/address.js';

export interface TraceInfo {
  name: string;
  /** Importer of the source (TraceHeader.source). */
  format: string;
  events_count: number;
  /** Events by op; ops that do not occur are left out. */
  events: Record<string, number>;
  /** Processes and threads with at least one event; the kernel (pid -1) is none. */
  processes: number;
  threads: number;
  /** From the first event to the last, as the trace's clock says. */
  duration_ns: number;
  /**
   * The most bytes that malloc, calloc, memalign and realloc had handed out and free had not taken back, over all processes. A block that fork gave to a child counts
   * once, in the parent. null when the trace has no heap events, or its frees no pointers.
   */
  peak_live_bytes: number | null;
  losses: readonly Loss[];
  captured: Captured;
  clock: string;
  page_size: number;
  kernel: Record<string, string>;
  provenance: Record<string, string>;
  /** sha256 of the events. */
  hash: string;
  /** Of the container (an imported trace is unpacked in memory: none). */
  codec: string;
  objects_count: number;
}

/** Reads the whole trace once. */
export function traceInfo(trace: Trace): TraceInfo {
  const steps = traceInfoSteps(trace);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** The same step by step: yields the rows read so far after each block, so that the caller can look after other things in between. */
export function* traceInfoSteps(trace: Trace): Generator<number, TraceInfo, undefined> {
  const people = new People();
  const heap = new LiveHeap();
  let first = Infinity;
  let last = -Infinity;
  let rows = 0;
  for (const block of trace.blocks()) {
    people.read(block);
    heap.read(block);
    for (let i = 0; i < block.length; i++) {
      const time = block.time[i] as number;
      if (time < first) first = time;
      if (time > last) last = time;
    }
    rows += block.length;
    yield rows;
  }
  const events: Record<string, number> = {};
  for (let op = 1; op < OP_COUNT; op++) if ((trace.counts[op] as number) > 0) events[OP_NAMES[op] as string] = trace.counts[op] as number;
  const { header } = trace;
  return {
    name: trace.name,
    format: header.source,
    events_count: trace.rows,
    events,
    processes: people.pids.size,
    threads: people.threads.size,
    duration_ns: trace.rows === 0 ? 0 : last - first,
    peak_live_bytes: header.captured.heap && header.captured.freePointers ? heap.peak : null,
    losses: trace.losses,
    captured: header.captured,
    clock: header.clock,
    page_size: header.pageSize,
    kernel: header.kernel,
    provenance: header.provenance,
    hash: trace.hash,
    codec: trace instanceof FwtTrace ? trace.codec : 'none',
    objects_count: trace instanceof FwtTrace ? trace.objects.length : 0,
  };
}

class People {
  readonly pids = new Set<number>();
  readonly threads = new Set<number>();
  private lastPid = -1;
  private lastTid = -1;

  read(block: EventBlock): void {
    for (let i = 0; i < block.length; i++) {
      const pid = block.pid[i] as number;
      const tid = block.tid[i] as number;
      if (pid < 0 || (pid === this.lastPid && tid === this.lastTid)) continue;
      this.lastPid = pid;
      this.lastTid = tid;
      this.pids.add(pid);
      this.threads.add(pid * 4294967296 + tid);
    }
  }
}

/** Sizes of the blocks that each address space holds. */
class LiveHeap {
  peak = 0;
  private live = 0;
  private readonly spaces = new Map<number, Map<number, number>>();

  read(b: EventBlock): void {
    for (let i = 0; i < b.length; i++) {
      const op = b.op[i] as Op;
      const pid = b.pid[i] as number;
      if (op >= Op.malloc && op <= Op.free) {
        const blocks = this.space(pid);
        const addr = joinAddr(b.addrHi[i] as number, b.addrLo[i] as number);
        if (op === Op.realloc) this.drop(blocks, b.addr2[i] as number);
        if (op === Op.free) this.drop(blocks, addr);
        else if (addr !== 0) {
          this.drop(blocks, addr);
          blocks.set(addr, b.size[i] as number);
          this.live += b.size[i] as number;
          if (this.live > this.peak) this.peak = this.live;
        }
      } else if ((op === Op.fork || op === Op.vfork) && ((b.flags[i] as number) & Flag.vm) !== 0) this.spaces.set(b.arg[i] as number, this.space(pid));
      else if (op === Op.exec || (op === Op.exit && (b.tid[i] === pid || ((b.flags[i] as number) & Flag.group) !== 0))) this.leave(pid);
    }
  }

  private space(pid: number): Map<number, number> {
    let blocks = this.spaces.get(pid);
    if (blocks === undefined) this.spaces.set(pid, (blocks = new Map<number, number>()));
    return blocks;
  }

  private drop(blocks: Map<number, number>, addr: number): void {
    const size = blocks.get(addr);
    if (size === undefined) return;
    blocks.delete(addr);
    this.live -= size;
  }

  /** The last process that leaves a space gives its blocks back. */
  private leave(pid: number): void {
    const blocks = this.spaces.get(pid);
    if (blocks === undefined) return;
    this.spaces.delete(pid);
    for (const other of this.spaces.values()) if (other === blocks) return;
    for (const size of blocks.values()) this.live -= size;
  }
}
