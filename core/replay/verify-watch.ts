/**
 * What `verify` looks at beside the samples, event by event: each recorded page fault against the model's own page tables at that moment, what a process did
 * last, and what the recording shows of things that the model does not do.
 *
 * A recorded fault says which access faulted and (bit 0 of x86's error code, Intel SDM vol. 3A, 4.7) whether the page was present. Right before it the model
 * has its page absent (it will fault), mapped without the right to write (a write will fault, to copy or to reuse the page) or mapped with the right (no
 * fault). A recording of first touches names only accesses that did fault: a fault of the model's at another access cannot be seen.
 *
 * `run` does not use this. Nothing is allocated per event but for the few places that are kept.
 */
import { Attr } from '../../arch/arch.js';
import { joinAddr } from '../../arch/address.js';
import { reserveFloat64, reserveInt32 } from '../../arch/reserve.js';
import { Flag, Op, OP_NAMES, Quantity } from '../../traces/event.js';
import type { EventBlock } from '../../traces/event.js';
import { mappingName } from '../vmm/mapping-name.js';
import { MAX_PROCESSES, VmmCounter } from '../vmm/machine.js';
import { ObjectKind } from '../vmm/objects.js';
import type { Vmm } from '../vmm/vmm.js';
import type { Divergence, FaultCheck, FaultPlace, FaultSurprise, MappedArea } from './result.js';

/** Places kept of each kind of surprise. */
const MAX_PLACES = 3;

/** Advice of madvise(2) that leads to what the model does not do. */
export const enum Advice {
  mergeable = 12,
  hugepage = 14,
  pageout = 21,
  collapse = 25,
}

/** What the model holds at the address of an access, right before it. */
const enum Held {
  nothing = 0,
  readOnly = 1,
  permitted = 2,
}

const enum Surprise {
  none = -1,
  permitted = 0,
  presentInRecord = 1,
  presentInModel = 2,
  refused = 3,
  length = 4,
}

const CAUSES: readonly string[] = [
  'the model has the page mapped and allows the access: no fault expected',
  'recorded on a present page, in the model nothing maps the page',
  'recorded on an absent page, in the model the page is mapped and write-protected',
  'the model refuses the access',
];
const ACCESSES: readonly string[] = ['read', 'write', 'fetch'];

/** Of a process's address space: made before the recording or somebody else's, or without or with a sample. */
const enum Seen {
  foreign = 0,
  unsampled = 1,
  sampled = 2,
}

const enum Count {
  recorded = 0,
  predicted = 1,
  presentRecorded = 2,
  breaksRecorded = 3,
  breaksPredicted = 4,
  copied = 5,
  reused = 6,
  length = 7,
}

/** What the recording shows of a process that limits what can be said about it. */
export interface Evidence {
  /** Times at which the error of rss_file_kb changed although the process neither had fault-around map file pages nor changed its mappings. */
  fileJumps(pid: number): number;
  /** Bytes advised MADV_HUGEPAGE, in which khugepaged may have collapsed pages. */
  advisedHuge(pid: number): number;
  /** The recording follows what comes to the page cache. */
  readonly pageCacheFollowed: boolean;
  adviceSeen(advice: number): boolean;
  /** Time of the last event. */
  readonly durationNs: number;
  /** End of the highest mapping. */
  readonly highestAddress: number;
}

export type VerifyWatch = ReturnType<typeof makeVerifyWatch>;

export function makeVerifyWatch(vmm: Vmm) {
  const { machine, processes, objects } = vmm;
  const { tables, vmas, tree, rejections, counters } = machine;
  const { space } = processes;
  const lastEvent = reserveFloat64(MAX_PROCESSES);
  const lastAddress = reserveFloat64(MAX_PROCESSES);
  const lastOp = reserveInt32(MAX_PROCESSES);
  /** Of rss_file_kb: the last error, and what happened of which it may come, by then and until now. */
  const fileError = reserveFloat64(MAX_PROCESSES);
  const fileCausesThen = reserveInt32(MAX_PROCESSES);
  const fileCauses = reserveInt32(MAX_PROCESSES);
  const fileJumps = reserveInt32(MAX_PROCESSES);
  const advised = reserveFloat64(MAX_PROCESSES);
  const seen = reserveInt32(MAX_PROCESSES);
  const spaces = { count: 0, sampled: 0 };
  const counts = new Float64Array(Count.length);
  const surprises = new Float64Array(Surprise.length * ACCESSES.length);
  const places = new Map<number, FaultPlace[]>();
  const advice = new Uint8Array(256);
  let cachePresent = false;
  let highest = 0;
  let duration = 0;
  /** Of the access that is being replayed. */
  let held = Held.nothing;
  let breaks = 0;
  let reuses = 0;

  const slotOf = (pid: number): number => {
    const p = pid < 0 ? -1 : processes.slotOf(pid);
    return p >= 0 && space[p] !== 0 ? p : -1;
  };

  function areaAt(slot: number, address: number): MappedArea | null {
    if (space[slot] === 0) return null;
    const v = vmas.find(tree[space[slot]! - 1]!, Math.floor(address / 4096));
    if (v === 0) return null;
    const f = vmas.flags[v]!;
    const bit = (flag: number, letter: string): string => ((f & flag) !== 0 ? letter : '-');
    const protection = bit(Flag.r, 'r') + bit(Flag.w, 'w') + bit(Flag.x, 'x') + ((f & Flag.shared) !== 0 ? 's' : 'p');
    return { start: vmas.start[v]! * 4096, end: vmas.end[v]! * 4096, protection, name: mappingName(vmas, objects.names, v) };
  }

  const isFault = (block: EventBlock, row: number): boolean => {
    const op = block.op[row]!;
    return op >= Op.read && op <= Op.fetch && (block.flags[row]! & (Flag.fault | Flag.args)) === Flag.fault;
  };

  function before(block: EventBlock, row: number): void {
    if (!isFault(block, row)) return;
    const slot = slotOf(block.pid[row]!);
    held = Held.nothing;
    if (slot >= 0) {
      const q = tables.findLeaf(space[slot]! - 1, block.addrHi[row]!, block.addrLo[row]!);
      if (q >= 0) held = block.op[row] === Op.write && (tables.pt[q]! & Attr.write) === 0 ? Held.readOnly : Held.permitted;
    }
    breaks = counters[VmmCounter.cowBreaks]!;
    reuses = counters[VmmCounter.reuses]!;
  }

  function after(block: EventBlock, row: number): void {
    const op = block.op[row]!;
    duration = block.time[row]!;
    if (op === Op.sample) return;
    const flags = block.flags[row]!;
    if (op === Op.object) return;
    if (op === Op.cache) {
      if ((flags & Flag.present) !== 0) cachePresent = true;
      return;
    }
    const slot = slotOf(block.pid[row]!);
    if (slot < 0) return;
    if (isFault(block, row)) {
      judge(block, row, slot);
      if (mapsFilePages(block, row, slot)) fileCauses[slot]! += 1;
    } else if (op <= Op.mremap || op === Op.madvise) fileCauses[slot]! += 1;
    const address = joinAddr(block.addrHi[row]!, block.addrLo[row]!);
    lastEvent[slot] = rejections.event[0]!;
    lastAddress[slot] = address;
    lastOp[slot] = op;
    if (op === Op.madvise) {
      const number = block.arg[row]!;
      if (number >= 0 && number < advice.length) advice[number] = 1;
      if (number === Advice.hugepage) advised[slot]! += block.size[row]!;
    } else if (op === Op.mmap) highest = Math.max(highest, address + block.size[row]!);
    else if (op === Op.exec) {
      advised[slot] = 0;
      begin(slot);
    } else if (op === Op.fork || op === Op.vfork) {
      const child = slotOf(block.arg[row]!);
      if (child < 0) return;
      advised[child] = advised[slot]!;
      fileCauses[child]! += 1;
      if (space[child] === space[slot]) seen[child] = Seen.foreign;
      else begin(child);
    }
  }

  /** The process has an address space of its own from now on. */
  function begin(slot: number): void {
    seen[slot] = Seen.unsampled;
    spaces.count++;
  }

  function judge(block: EventBlock, row: number, slot: number): void {
    const write = block.op[row] === Op.write;
    const present = (block.flags[row]! & Flag.present) !== 0;
    counts[Count.recorded]! += 1;
    if (present) counts[Count.presentRecorded]! += 1;
    if (present && write) counts[Count.breaksRecorded]! += 1;
    if (rejections.event[1] === rejections.event[0]) {
      surprise(Surprise.refused, block, row, slot);
      return;
    }
    if (held === Held.permitted) {
      surprise(Surprise.permitted, block, row, slot);
      return;
    }
    counts[Count.predicted]! += 1;
    if (held === Held.readOnly) {
      counts[Count.breaksPredicted]! += 1;
      counts[Count.copied]! += counters[VmmCounter.cowBreaks]! - breaks;
      counts[Count.reused]! += counters[VmmCounter.reuses]! - reuses;
      if (!present) surprise(Surprise.presentInModel, block, row, slot);
    } else if (present) surprise(Surprise.presentInRecord, block, row, slot);
  }

  /** A read or fetch fault on a file maps what of its window is in the page cache. */
  function mapsFilePages(block: EventBlock, row: number, slot: number): boolean {
    if (block.op[row] === Op.write) return false;
    const v = vmas.find(tree[space[slot]! - 1]!, block.addrHi[row]! * 262144 + (block.addrLo[row]! >>> 12));
    return v !== 0 && vmas.object[v] !== 0 && objects.kind[vmas.object[v]!] === ObjectKind.file;
  }

  function compared(slot: number, quantity: number, error: number): void {
    if (seen[slot] === Seen.unsampled) {
      seen[slot] = Seen.sampled;
      spaces.sampled++;
    }
    if (quantity !== Quantity.RssFile) return;
    if (error !== fileError[slot] && fileCauses[slot] === fileCausesThen[slot]) fileJumps[slot]! += 1;
    fileError[slot] = error;
    fileCausesThen[slot] = fileCauses[slot]!;
  }

  function surprise(cause: Surprise, block: EventBlock, row: number, slot: number): void {
    const key = cause * ACCESSES.length + (block.op[row]! - Op.read);
    surprises[key]! += 1;
    let kept = places.get(key);
    if (kept === undefined) places.set(key, (kept = []));
    if (kept.length >= MAX_PLACES) return;
    const pid = block.pid[row]!;
    const address = joinAddr(block.addrHi[row]!, block.addrLo[row]!);
    const [event, time, command] = [rejections.event[0]!, block.time[row]!, processes.commands.get(slot) ?? ''];
    kept.push({ event, time, pid, command, address, area: areaAt(slot, address) });
  }

  /** Without error codes (no fault is recorded on a present page) only faults that the model would not have had, or refuses, are surprises. */
  function faults(): FaultCheck | null {
    if (counts[Count.recorded] === 0) return null;
    const errorCodes = counts[Count.presentRecorded]! > 0;
    const listed: FaultSurprise[] = [];
    for (let key = 0; key < surprises.length; key++) {
      const cause = Math.floor(key / ACCESSES.length) as Surprise;
      if (surprises[key] === 0 || (cause === Surprise.presentInModel && !errorCodes)) continue;
      listed.push({ access: ACCESSES[key % ACCESSES.length]!, cause: CAUSES[cause]!, count: surprises[key]!, places: places.get(key) ?? [] });
    }
    return {
      recorded: counts[Count.recorded]!,
      predicted: counts[Count.predicted]!,
      breaks_recorded: counts[Count.breaksRecorded]!,
      breaks_predicted: counts[Count.breaksPredicted]!,
      breaks_copied: counts[Count.copied]!,
      breaks_reused: counts[Count.reused]!,
      error_codes: errorCodes,
      unexpected: listed.reduce((sum, { count }) => sum + count, 0),
      surprises: listed,
    };
  }

  /** What a process did last. */
  function leadingTo(slot: number): Divergence['after'] {
    if (lastOp[slot] === 0) return null;
    const address = lastAddress[slot]!;
    return { event: lastEvent[slot]!, op: OP_NAMES[lastOp[slot]!]!, address, area: areaAt(slot, address) };
  }

  const evidence: Evidence = {
    fileJumps: (pid) => valueOf(fileJumps, pid),
    advisedHuge: (pid) => valueOf(advised, pid),
    adviceSeen: (number) => advice[number] === 1,
    get pageCacheFollowed() {
      return cachePresent;
    },
    get durationNs() {
      return duration;
    },
    get highestAddress() {
      return highest;
    },
  };
  const valueOf = (column: Int32Array | Float64Array, pid: number): number => {
    const slot = processes.slotOf(pid);
    return slot < 0 ? 0 : column[slot]!;
  };

  return { before, after, faults, compared, leadingTo, evidence, spaces };
}
