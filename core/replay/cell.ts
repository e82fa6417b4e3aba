/**
 * One cell: a trace replayed on one configuration, from nothing to its result. Synchronous, alone in its isolate (core/replay/replayer.ts says why).
 */
import { readFileSync } from 'node:fs';
import { OutOfMemoryError } from '../../arch/arch.js';
import { architectures } from '../../arch/registry.js';
import { UserError } from '../../traces/event.js';
import { Op } from '../../traces/event.js';
import type { Trace, TraceHeader } from '../../traces/event.js';
import { HeapCount, HeapLive } from '../heap/process-heap.js';
import { heaps } from '../heap/registry.js';
import type { LookupConfig } from '../lookup/lookup-contract.js';
import { LookupCounter } from '../lookup/lookup-contract.js';
import type { CellReading } from '../metrics/reading.js';
import { metrics } from '../metrics/registry.js';
import { ageMemory, type Ageing } from '../pmm/ageing/ageing.js';
import type { Aged } from '../pmm/ageing/contract.js';
import { CpuCount, watchCpus } from '../pmm/cpu-use.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import type { PmmStrategy } from '../pmm/allocator.js';
import { PmmViolation } from '../pmm/own/own.js';
import { pmms } from '../pmm/registry.js';
import { FrameCell, STEP_BINS } from '../vmm/frames.js';
import { VmmCounter } from '../vmm/machine.js';
import { policies, rulesOf } from '../vmm/policies.js';
import { makeVmm } from '../vmm/vmm.js';
import type { Vmm, VmmOptions } from '../vmm/vmm.js';
import { makeObserver } from './observe.js';
import type { Observer } from './observe.js';
import { confidence, PAGE_TRACE, resolveTouch, touchesKnown, type TouchMode } from './confidence.js';
import { judgeQuantities, notCovered, overallVerdict, recordingLimits } from './limits.js';
import type { CellConfig, CellResult, CpuRow, Distribution, Verification } from './result.js';
import { rulesNotOf } from './kernel-rules.js';
import { play, SAMPLE_POINTS, uncounted } from './rounds.js';
import { resolveSpread, type SpreadMode } from './spread.js';
import { makeSampleLog } from './sample-log.js';
import type { SampleLog } from './sample-log.js';
import { auditAt } from './trouble.js';
import { makeVerifyWatch } from './verify-watch.js';
import type { VerifyWatch } from './verify-watch.js';

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
  /** Memory that others have used before; default: fresh. */
  readonly age?: Ageing | null;
  /** Times that the trace is replayed, one after the other in the same memory; default 1. */
  readonly repeat?: number;
  readonly pids: readonly number[];
  readonly window: readonly [number, number] | null;
  /** Check the whole state every so many events; 0 = never. */
  readonly audit: number;
  /** Sample points of the timeline (default 240). */
  readonly samplePoints?: number;
  /** Checks recorded faults and finds out where predictions leave what was measured (`CellResult.verification`). Slower. */
  readonly verify?: boolean;
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
  /** Called now and then while memory is aged, when no event is replayed. */
  readonly onAlive?: () => void;
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
  const { vmm, cpuCounts } = build(spec, strategy, trace.header);
  const { machine, processes } = vmm;
  const aged = agedMemory(spec, vmm, cpuCounts, hooks.onAlive);
  const pages = hasPages(trace);
  const observer = makeObserver(vmm, { aged: aged !== null, pages, rounds: (spec.repeat ?? 1) > 1 });
  const watch = spec.verify === true ? makeVerifyWatch(vmm) : null;
  const log = makeSampleLog(vmm, () => machine.rejections.event[0]!, watch);
  const startup = (performance.now() - began) / 1000;
  const played = play({
    trace,
    vmm,
    observer,
    options: {
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
    },
    map: spec.map,
    rounds: spec.repeat ?? 1,
    aged: aged?.memory ?? null,
    stepsBefore: aged?.steps ?? 0,
    cpuCounts,
    samplePoints: spec.samplePoints ?? SAMPLE_POINTS,
    audit: spec.audit,
    onProgress: (events) => hooks.onProgress?.(events),
  });
  const { lastEvent, oom } = played;
  const endPicture = observer.endPicture(lastEvent);
  const endBlame = observer.endBlame(lastEvent);
  const endTables = observer.tableLevels();
  const kernelHeap = machine.kernelHeap.caches();
  const processRows = processes.listPeaks();
  const { rows: rounds, stepsBefore } = played.finish();
  vmm.settle();
  if (spec.audit > 0) auditAt(vmm, lastEvent);
  const wall = (performance.now() - began) / 1000;
  const cpuEnded = threadCpu();

  const reading = read(vmm, observer, {
    events: played.replayed,
    framesStart: played.framesStart,
    agedFrames: aged === null ? null : observer.agedFrames(),
    everyAccess: captured.touches === 'all' && touch === 'recorded',
    touches: touchesKnown(captured, touch),
    heap: hasHeap(trace),
    stepsBefore,
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
    age: spec.age?.label ?? '',
    ageHash: spec.age?.hash ?? '',
    repeat: spec.repeat ?? 1,
    pids: spec.pids,
    window: spec.window,
  };
  return {
    config,
    confidence: pages ? PAGE_TRACE : confidence(captured, touch),
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
    rounds,
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
      events_per_s: played.replayed / Math.max(1e-9, wall - startup),
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
function build(spec: CellSpec, pmmStrategy: PmmStrategy, { captured, kernel }: TraceHeader): { vmm: Vmm; cpuCounts: Float64Array | null } {
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
  return { vmm, cpuCounts: counts };
}

/** Requests of ageing between two signs of life. */
const REQUESTS_ALIVE = 2 ** 10;

/** Ages the memory of a cell as it asks for, with the steps of the PMM that this took; null: it stays fresh. */
function agedMemory(
  { age, map, seed }: CellSpec,
  vmm: Vmm,
  cpuCounts: Float64Array | null,
  onAlive: () => void = () => undefined,
): { memory: Aged; steps: number } | null {
  if (age === undefined || age === null) return null;
  const { frames, rejections } = vmm.machine;
  rejections.event[0] = -1;
  let requests = 0;
  const take = (order: number, kind: number): number => {
    if (++requests % REQUESTS_ALIVE === 0) onAlive();
    return frames.takeAged(order, kind);
  };
  let memory: Aged | undefined;
  const steps = uncounted(frames, cpuCounts, () => {
    memory = ageMemory(age, { take, release: frames.releaseAged, freeFrames: frames.pmm.freeFrames }, map.usableFrames, seed);
  });
  rejections.event[0] = 0;
  return { memory: memory!, steps };
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

/** A recording of the page allocator. */
function hasPages({ counts }: Trace): boolean {
  return counts[Op.page_alloc]! + counts[Op.page_free]! > 0;
}

function hasHeap(trace: Trace): boolean {
  return trace.header.captured.heap;
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
  facts: {
    events: number;
    framesStart: number;
    agedFrames: number | null;
    everyAccess: boolean;
    touches: boolean;
    heap: boolean;
    stepsBefore: number;
    cpus: readonly CpuRow[];
  },
): CellReading {
  const { machine, processes, heap } = vmm;
  const { frames, lookup, counters } = machine;
  lookup.spill();
  frames.spill();
  return {
    events: facts.events,
    rejectedEvents: machine.rejections.total(),
    framesStart: facts.framesStart,
    agedFrames: facts.agedFrames,
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
    pmmSteps: frames.pmm.steps() - facts.stepsBefore,
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
