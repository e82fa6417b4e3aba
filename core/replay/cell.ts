/**
 * One cell: a trace replayed on one configuration, from nothing to its result. Synchronous, alone in its isolate (core/replay/replayer.ts says why).
 */
import { readFileSync } from 'node:fs';
import { OutOfMemoryError } from '../../arch/arch.js';
import { architectures } from '../../arch/registry.js';
import { UserError } from '../../traces/event.js';
import type { Captured, Trace, TraceHeader } from '../../traces/event.js';
import { HeapCount, HeapLive } from '../heap/process-heap.js';
import { heaps } from '../heap/registry.js';
import type { LookupConfig } from '../lookup/lookup-contract.js';
import { LookupCounter } from '../lookup/lookup-contract.js';
import type { CellReading } from '../metrics/reading.js';
import { metrics } from '../metrics/registry.js';
import { CpuCount, watchCpus } from '../pmm/cpu-use.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import type { PmmStrategy } from '../pmm/allocator.js';
import { PmmViolation } from '../pmm/own/own.js';
import { pmms } from '../pmm/registry.js';
import { FrameCell, STEP_BINS, Use } from '../vmm/frames.js';
import { VmmCounter } from '../vmm/machine.js';
import { policies, rulesOf } from '../vmm/policies.js';
import { makeVmm } from '../vmm/vmm.js';
import type { Vmm, VmmOptions } from '../vmm/vmm.js';
import { makeObserver } from './observe.js';
import type { Observer } from './observe.js';
import { OutOfFrames } from './out-of-frames.js';
import { earlierBlocks, type EarlierBlock } from './page-blocks.js';
import { makeReplayer } from './replayer.js';
import { judgeQuantities, notCovered, overallVerdict, recordingLimits } from './limits.js';
import type { CellConfig, CellResult, CpuRow, Distribution, Verification } from './result.js';
import { rulesNotOf } from './kernel-rules.js';
import { resolveSpread, type SpreadMode } from './spread.js';
import { makeSampleLog } from './sample-log.js';
import type { SampleLog } from './sample-log.js';
import { makeVerifyWatch } from './verify-watch.js';
import type { VerifyWatch } from './verify-watch.js';

export type TouchMode = 'auto' | 'recorded' | 'alloc' | 'all';

/** A cell to be replayed: names resolved against the registries here, in the isolate that replays it. */
export interface CellSpec {
  readonly arch: string;
  /** A name, or the path of a module of the user's (core/pmm/own/load.ts). */
  readonly pmm: string;
  readonly heap: string;
  readonly policy: string;
  /** Rules of the policy that are left out; default none. */
  readonly without?: readonly string[];
  readonly touch: TouchMode;
  readonly tlb: LookupConfig;
  readonly map: MemoryMap;
  readonly kernelHeap: boolean;
  readonly onOom: 'kill' | 'fail' | 'stop';
  readonly cpus: number;
  /** Which CPU an event runs on; default auto. */
  readonly spread?: SpreadMode;
  readonly seed: number;
  readonly pids: readonly number[];
  readonly window: readonly [number, number] | null;
  /** Check the whole state every so many events; 0 = never. */
  readonly audit: number;
  /** Sample points of the timeline (default 240). */
  readonly samplePoints?: number;
  /** Checks recorded faults and finds out where predictions leave what was measured (`CellResult.verification`). Slower. */
  readonly verify?: boolean;
}

/** Sample points of a timeline, besides the first and the last. */
export const SAMPLE_POINTS = 240;

/** What `--touch auto` means for a trace. */
export function resolveTouch(touch: TouchMode, captured: Captured): 'recorded' | 'alloc' | 'all' {
  if (touch !== 'auto') return touch;
  return captured.touches === 'none' ? 'alloc' : 'recorded';
}

/** False for a trace of mappings alone: neither it nor the mode says what is touched. */
const touchesKnown = (captured: Captured, touch: string): boolean => touch !== 'alloc' || captured.heap;

function confidence(captured: Captured, touch: string): CellResult['confidence'] {
  if (!captured.mappings && touch !== 'recorded')
    return { level: 'bound', reason: 'the trace holds neither mappings nor accesses: each block is taken to be written whole' };
  if (!captured.mappings) return { level: 'bound', reason: 'the trace holds no mappings: every page accessed is taken to be anonymous memory' };
  if (!touchesKnown(captured, touch))
    return {
      level: 'bound',
      reason: 'which pages were touched was not recorded, and none is taken to be: a lower bound of memory; --touch all gives an upper one',
    };
  if (captured.touches === 'none' && touch === 'all')
    return { level: 'bound', reason: 'which pages were touched was not recorded, and all are taken to be: an upper bound of memory' };
  if (touch !== 'recorded') return { level: 'estimate', reason: `the trace holds no accesses or they were left out: --touch ${touch}` };
  if (captured.touches === 'user-faults')
    return {
      level: 'estimate',
      reason: "first touches were recorded by the software event: not those by the kernel on a program's behalf, nor whether a page was read or written",
    };
  return {
    level: 'exact',
    reason: captured.touches === 'all' ? 'every mapping and every access is replayed' : 'every mapping and every page fault is replayed',
  };
}

/** A recording of the page allocator. */
const PAGE_TRACE: CellResult['confidence'] = {
  level: 'estimate',
  reason: 'every recorded request to the page allocator is replayed, but memory that was in use before and is not freed meanwhile is not known',
};

function tooSmall(trace: string, earlier: readonly EarlierBlock[], map: MemoryMap): UserError {
  const frames = earlier.reduce((sum, { order }) => sum + 2 ** order, 0);
  return new UserError(
    `${trace}: what it frees was in use before it began, ${frames} frames (${Math.ceil(frames / 256)} MiB): that does not fit into ${map.usableFrames} frames; give more --memory`,
  );
}

/** Nanoseconds this thread has run, from the scheduler (Linux), or null elsewhere. */
function threadCpu(): number | null {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]);
  } catch {
    return null; // no procfs: the caller falls back on the wall clock
  }
}

export interface CellHooks {
  /** The strategy that `pmm` names; without it, it is looked up in the registry. */
  readonly strategy?: PmmStrategy;
  /** Called between segments with the events replayed so far. */
  readonly onProgress?: (events: number) => void;
}

/** Replays a trace on a configuration. Throws UserError for what the user can mend, Error for a broken invariant (with the event's number). */
export function runCell(trace: Trace, spec: CellSpec, hooks: CellHooks = {}): CellResult {
  const strategy = hooks.strategy ?? pmms.get(spec.pmm);
  try {
    return replayedOn(strategy, trace, spec, hooks);
  } catch (error) {
    if (!(error instanceof PmmViolation)) throw error;
    const remedy = `framewalk check-pmm ${spec.pmm} looks for the shortest sequence that shows it`;
    throw new UserError(`${trace.name} on ${strategy.name}: ${error.message}; ${remedy}`, { cause: error });
  }
}

function replayedOn(strategy: PmmStrategy, trace: Trace, spec: CellSpec, hooks: CellHooks): CellResult {
  const began = performance.now();
  const cpuBegan = threadCpu();
  const captured = trace.header.captured;
  const touch = resolveTouch(spec.touch, captured);
  if (captured.heap && !captured.freePointers && spec.heap === 'recorded')
    throw new UserError(
      `${trace.name}: its frees name no pointers, so blocks cannot stay where they were recorded; record with pointers (heaptrack --raw) or give another --heap`,
    );
  const spread = resolveSpread(spec.spread ?? 'auto', spec.cpus, trace);
  const { vmm, observer, cpuCounts } = build(spec, strategy, trace.header);
  const { machine, processes } = vmm;
  let framesStart = machine.frames.cells[FrameCell.used]!;
  machine.frames.cells[FrameCell.usedPeak] = framesStart;
  /** Steps of the PMM before counting began. */
  let stepsStart = 0;
  const watch = spec.verify === true ? makeVerifyWatch(vmm) : null;
  const log = makeSampleLog(vmm, () => machine.rejections.event[0]!, watch);
  const startup = (performance.now() - began) / 1000;

  const step = Math.max(1, Math.ceil(trace.rows / (spec.samplePoints ?? SAMPLE_POINTS)));
  let nextSample = step;
  let nextAudit = spec.audit > 0 ? spec.audit : Infinity;
  let base = 0;
  let replayed = 0;
  let time = 0;
  let oom: string | null = null;
  let replayer: ReturnType<typeof makeReplayer> | undefined;
  let stopped = false;
  const earlier = earlierBlocks(trace);
  const blocks = trace.blocks()[Symbol.iterator]();
  let block = blocks.next();
  const first = block.done === true ? undefined : block.value;
  if (first !== undefined) {
    replayer = makeReplayer(vmm, first, {
      cpus: spec.cpus,
      spread,
      touches: touch === 'recorded',
      touchBlocks: touch !== 'recorded',
      touchMappings: touch === 'all',
      onOom: spec.onOom,
      pids: spec.pids,
      window: spec.window,
      onSample: log.note,
      watch,
    });
    if (earlier !== null) {
      if (!replayer.takeEarlier(earlier)) throw tooSmall(trace.name, earlier, spec.map);
      framesStart = machine.frames.cells[FrameCell.used]!;
      stepsStart = machine.frames.startCounting();
    }
  }
  observer.sample(0, 0);
  while (block.done !== true && replayer !== undefined && !stopped) {
    if (block.value !== first) throw new Error('a trace must hand out one block again and again');
    const n = block.value.length;
    let row = 0;
    while (row < n) {
      const due = Math.min(n, nextSample - base, nextAudit - base);
      try {
        replayed += replayer.run(row, due, base);
      } catch (error) {
        if (!(error instanceof OutOfFrames)) throw atEvent(error, machine.rejections.event[0]!);
        stopped = true;
      }
      row = due;
      time = block.value.time[row - 1]!;
      if (oom === null && machine.frames.totals[2]! + machine.frames.cells[FrameCell.failures]! > 0) oom = whoHeldWhat(vmm, observer);
      if (stopped) break;
      if (base + row >= nextSample) {
        observer.sample(base + row, time);
        nextSample += step;
        hooks.onProgress?.(base + row);
      }
      if (base + row >= nextAudit) {
        auditAt(vmm, machine.rejections.event[0]!);
        nextAudit += spec.audit;
      }
    }
    base += n;
    block = blocks.next();
  }
  const lastEvent = stopped ? machine.rejections.event[0]! : base;
  observer.sample(lastEvent, time);
  hooks.onProgress?.(base);
  const endPicture = observer.endPicture(lastEvent);
  const endBlame = observer.endBlame(lastEvent);
  const endTables = observer.tableLevels();
  const kernelHeap = machine.kernelHeap.caches();
  const processRows = processes.listPeaks();
  vmm.settle();
  if (spec.audit > 0) auditAt(vmm, lastEvent);
  const wall = (performance.now() - began) / 1000;
  const cpuEnded = threadCpu();

  const reading = read(vmm, observer, {
    events: replayed,
    framesStart,
    everyAccess: captured.touches === 'all' && touch === 'recorded',
    touches: touchesKnown(captured, touch),
    heap: hasHeap(trace),
    stepsStart,
    cpus: cpusOf(cpuCounts),
  });
  const values: Record<string, number | null> = {};
  const absent: Record<string, string> = {};
  for (const metric of metrics.all()) {
    const value = metric.read(reading);
    values[metric.name] = value;
    if (value === null) absent[metric.name] = metric.absent ?? 'the trace cannot give it';
  }
  const config: CellConfig = {
    trace: trace.name,
    traceHash: trace.hash,
    arch: spec.arch,
    pmm: strategy.name,
    pmmHash: strategy.hash ?? '',
    heap: spec.heap,
    policy: spec.policy,
    without: spec.without ?? [],
    tlb: spec.tlb.name,
    touch,
    memoryBytes: spec.map.usableFrames * 4096,
    memmap: spec.map.usable.map(({ first: f, count }) => ({ first: f, count })),
    kernelHeap: spec.kernelHeap,
    onOom: spec.onOom,
    cpus: spec.cpus,
    spread,
    seed: spec.seed,
    pids: spec.pids,
    window: spec.window,
  };
  return {
    config,
    confidence: earlier === null ? confidence(captured, touch) : PAGE_TRACE,
    metrics: values,
    absent,
    timeline: observer.timeline(),
    processes: processRows,
    fragmentation: observer.fragmentation,
    blame: { peak: observer.peakBlame(), end: endBlame },
    contiguity: observer.contiguity(),
    pictures: { peak: observer.peakPicture(), end: endPicture },
    tables: { peak: observer.peak.tables, end: endTables },
    distributions: distributions(vmm),
    cpus: reading.cpus,
    kernelHeap,
    samples: log.kept(),
    sampleSummary: log.summary(),
    rejections: machine.rejections.list(),
    losses: trace.losses,
    oom,
    ...(watch === null ? {} : { verification: verificationOf(trace, spec, log, watch) }),
    timing: {
      wall_s: wall,
      cpu_s: cpuBegan === null || cpuEnded === null ? wall : (cpuEnded - cpuBegan) / 1e9,
      max_rss_bytes: process.resourceUsage().maxRSS * 1024,
      events_per_s: replayed / Math.max(1e-9, wall - startup),
      startup_s: startup,
    },
  };
}

function verificationOf(trace: Trace, spec: CellSpec, log: SampleLog, { evidence, faults, spaces }: VerifyWatch): Verification {
  const processes = log.byProcess();
  // Only a policy that follows the kernel, with all its rules, may put its misses down to the recording.
  const follows = policies.get(spec.policy).rules.length > 0 && (spec.without ?? []).length === 0;
  const limits = follows ? recordingLimits(trace.header, processes, evidence) : [];
  const quantities = judgeQuantities(log.summary(), limits);
  return {
    verdict: overallVerdict(quantities, log.unmatched.count),
    kernel: trace.header.kernel,
    quantities,
    divergences: log.divergences(),
    processes,
    address_spaces: { ...spaces },
    unmatched: { ...log.unmatched },
    not_predicted: log.unpredicted(),
    faults: faults(),
    limits,
    not_covered: notCovered(trace.header, trace.losses, evidence),
  };
}

/** The simulated machine of a cell, watched. */
function build(spec: CellSpec, pmmStrategy: PmmStrategy, { captured, kernel }: TraceHeader): { vmm: Vmm; observer: Observer; cpuCounts: Float64Array | null } {
  const strategy = pmmStrategy.create({ map: spec.map, cpus: spec.cpus, seed: spec.seed });
  const { pmm, counts } = spec.cpus > 1 ? watchCpus(strategy, spec.map.frames, spec.cpus) : { pmm: strategy, counts: null };
  const vmm = vmmOf({
    arch: architectures.get(spec.arch),
    pmm,
    map: spec.map,
    lookup: spec.tlb,
    cpus: spec.cpus,
    kernelHeap: spec.kernelHeap,
    heapLayout: heaps.get(spec.heap),
    implicitMappings: !captured.mappings,
    rules: rulesOf(spec.policy, [...(spec.without ?? []), ...(policies.get(spec.policy).rules.length > 0 ? rulesNotOf(kernel) : [])]),
  });
  return { vmm, observer: makeObserver(vmm), cpuCounts: counts };
}

/** The VMM, or the user's mistake when not even the kernel's root table fits. */
function vmmOf(options: VmmOptions): Vmm {
  try {
    return makeVmm(options);
  } catch (error) {
    if (error instanceof OutOfMemoryError) throw new UserError('--memory is too small for the first page table: give at least 64KiB', { cause: error });
    throw error;
  }
}

/** A row a CPU; none for a single one. */
function cpusOf(counts: Float64Array | null): CpuRow[] {
  const rows: CpuRow[] = [];
  for (let base = 0; counts !== null && base < counts.length; base += CpuCount.length) {
    rows.push({
      cpu: base / CpuCount.length,
      allocations: counts[base + CpuCount.allocations]!,
      frees: counts[base + CpuCount.frees]!,
      remote_frees: counts[base + CpuCount.remoteFrees]!,
      shared_uses: counts[base + CpuCount.sharedUses]!,
      hand_overs: counts[base + CpuCount.handOvers]!,
    });
  }
  return rows;
}

function hasHeap(trace: Trace): boolean {
  return trace.header.captured.heap;
}

function atEvent(error: unknown, event: number): unknown {
  if (error instanceof PmmViolation) return new PmmViolation(`at event ${event}: ${error.message}`, { cause: error });
  if (error instanceof UserError || !(error instanceof Error)) return error;
  return new Error(`at event ${event}: ${error.message}`, { cause: error });
}

function auditAt(vmm: Vmm, event: number): void {
  try {
    vmm.audit();
  } catch (error) {
    throw atEvent(error, event);
  }
}

/** The line of the first failed allocation: who held what, free blocks per order. */
function whoHeldWhat(vmm: Vmm, observer: Observer): string {
  const { cells, pmm } = vmm.machine.frames;
  const held = (use: Use): number => cells[FrameCell.byUse + use]!;
  const blocks = observer.freeBlocks().map((n, order) => `${order}:${n}`);
  return (
    `out of frames near event ${vmm.machine.rejections.event[0]}: anonymous ${held(Use.anonymous)}, file ${held(Use.file)}, shared ${held(Use.shared)}, ` +
    `page tables ${held(Use.table)}, kernel ${held(Use.kernel)}, free ${pmm.freeFrames()} of ${pmm.totalFrames} frames; free blocks by order ${blocks.join(' ')}`
  );
}

function distributions(vmm: Vmm): Distribution[] {
  const { frames, lookup } = vmm.machine;
  const steps = (name: string, bins: Float64Array): Distribution => {
    const out: [number, number][] = [];
    for (let b = 0; b < STEP_BINS; b++) if (bins[b]! > 0) out.push([b < 1024 ? b : 2 ** (10 + b - 1024), bins[b]!]);
    return { name, unit: 'steps', bins: out };
  };
  const walks: [number, number][] = [];
  for (let n = 0; n < lookup.walkLengths.length; n++) if (lookup.walkLengths[n]! > 0) walks.push([n, lookup.walkLengths[n]!]);
  return [steps('pmm_allocate_steps', frames.allocSteps), steps('pmm_free_steps', frames.freeSteps), { name: 'walk_refs_per_walk', unit: 'refs', bins: walks }];
}

function read(
  vmm: Vmm,
  observer: Observer,
  facts: { events: number; framesStart: number; everyAccess: boolean; touches: boolean; heap: boolean; stepsStart: number; cpus: readonly CpuRow[] },
): CellReading {
  const { machine, processes, heap } = vmm;
  const { frames, lookup, counters } = machine;
  lookup.spill();
  frames.spill();
  return {
    events: facts.events,
    rejectedEvents: machine.rejections.total(),
    framesStart: facts.framesStart,
    framesPeak: frames.cells[FrameCell.usedPeak]!,
    framesEnd: frames.cells[FrameCell.used]!,
    userFramesPeak: frames.cells[FrameCell.userPeak]!,
    tableFramesPeak: frames.cells[FrameCell.tablePeak]!,
    kernelFramesPeak: frames.cells[FrameCell.kernelPeak]!,
    minorFaults: counters[VmmCounter.minorFaults]!,
    majorFaults: counters[VmmCounter.majorFaults]!,
    cowBreaks: counters[VmmCounter.cowBreaks]!,
    copiedFrames: counters[VmmCounter.copiedFrames]!,
    reuses: counters[VmmCounter.reuses]!,
    zeroMaps: counters[VmmCounter.zeroMaps]!,
    demandZero: counters[VmmCounter.demandZero]!,
    forks: counters[VmmCounter.forks]!,
    processesPeak: processes.cells[4]!,
    vmasPeak: observer.vmasPeak(),
    implicitMappings: counters[VmmCounter.implicitMappings]! + heap.counts[HeapCount.implicitMappings]!,
    implicitProcesses: counters[VmmCounter.implicitProcesses]!,
    lookup: lookup.counters.slice(0, LookupCounter.length),
    lookupCycles: lookup.cycles(),
    everyAccess: facts.everyAccess,
    touches: facts.touches,
    pmmAllocs: frames.totals[0]!,
    pmmFrees: frames.totals[1]!,
    pmmSteps: frames.pmm.steps() - facts.stepsStart,
    allocFailures: frames.totals[2]!,
    peakUnusableIndex9: observer.peak.unusable,
    peakFreeHugeScore: observer.peak.freeHuge,
    endUnusableIndex9: observer.end.unusable,
    endFreeHugeScore: observer.end.freeHuge,
    hugeFailures: observer.hugeFailures(),
    firstHugeFailure: frames.totals[6]!,
    brokenBlocks: observer.peak.blame.blame.broken_blocks,
    pinnedBlocks: observer.peak.blame.blame.pinned_blocks,
    contiguity: observer.contiguity(),
    contiguityRanges: observer.peak.ranges,
    heap: facts.heap
      ? {
          liveBytesPeak: heap.liveBytes[HeapLive.bytesPeak]!,
          heldBytesPeak: machine.heapPages[1]! * 4096,
          steps: heap.counts[HeapCount.steps]!,
          operations: heap.counts[HeapCount.allocations]! + heap.counts[HeapCount.frees]!,
        }
      : null,
    cpus: facts.cpus,
    kernelHeapHeldBytesPeak: frames.cells[FrameCell.kernelPeak]! * 4096,
  };
}
