import type { CpuRow, ProcessContiguity } from '../replay/result.js';

/** What a cell's replay counted, as plain numbers: the source of every metric. */
export interface CellReading {
  readonly events: number;
  readonly rejectedEvents: number;
  /** Frames in use: before the first event, at most, after the last event with caches dropped. */
  readonly framesStart: number;
  readonly framesPeak: number;
  readonly framesEnd: number;
  /** Frames in use by aged memory, at the end; null in a fresh one. */
  readonly agedFrames: number | null;
  readonly userFramesPeak: number;
  readonly tableFramesPeak: number;
  readonly kernelFramesPeak: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  readonly cowBreaks: number;
  readonly copiedFrames: number;
  readonly reuses: number;
  readonly zeroMaps: number;
  readonly demandZero: number;
  readonly forks: number;
  readonly processesPeak: number;
  readonly vmasPeak: number;
  readonly implicitMappings: number;
  readonly implicitProcesses: number;
  /** By LookupCounter; cycles by the cost table. */
  readonly lookup: ArrayLike<number>;
  readonly lookupCycles: number;
  /** The trace holds every access, so that hit and miss counts mean something. */
  readonly everyAccess: boolean;
  /** Something says which pages are touched: the trace, its blocks, or --touch all. Otherwise none is touched, and faults mean nothing. */
  readonly touches: boolean;
  readonly pmmAllocs: number;
  readonly pmmFrees: number;
  readonly pmmSteps: number;
  readonly allocFailures: number;
  /** At the sample point with most frames in use. */
  readonly peakUnusableIndex9: number;
  readonly peakFreeHugeScore: number;
  /** At the last sample point. */
  readonly endUnusableIndex9: number;
  readonly endFreeHugeScore: number;
  /** Requests of 2 MiB that the PMM could not serve, and the event of the first; -1 = none. */
  readonly hugeFailures: number;
  readonly firstHugeFailure: number;
  /** 2 MiB blocks near the peak with free and taken frames, and those of them with frames that cannot be moved. */
  readonly brokenBlocks: number;
  readonly pinnedBlocks: number;
  readonly contiguity: readonly ProcessContiguity[];
  readonly contiguityRanges: readonly number[];
  /** Process heaps; null without heap events. */
  readonly heap: { readonly liveBytesPeak: number; readonly heldBytesPeak: number; readonly steps: number; readonly operations: number } | null;
  /** Empty with a single CPU. */
  readonly cpus: readonly CpuRow[];
  readonly kernelHeapHeldBytesPeak: number;
}
