/**
 * Results as plain data: what a cell (one trace replayed on one configuration) yields. Workers return it, reports print it.
 * Everything but `timing` is deterministic: byte-identical for any number of workers, on any machine.
 */
import type { Loss } from '../../traces/event.js';
import type { Spread } from './spread.js';

export const RESULT_SCHEMA = 3;

/** Uses of a frame, in the order of every `byUse` array. */
export const FRAME_USES = ['free', 'anonymous', 'file', 'shared', 'table', 'kernel', 'reserved', 'movable', 'aged', 'aged_pinned'] as const;

/** Whether frames of a use can be moved, by compaction, to make room: page tables and the kernel's own cannot. */
export const KIND_MOVES: Readonly<Record<(typeof FRAME_USES)[number], boolean>> = {
  free: true,
  anonymous: true,
  file: true,
  shared: true,
  table: false,
  kernel: false,
  reserved: false,
  movable: true,
  aged: true,
  aged_pinned: false,
};

/** Percentages of `ProcessContiguity.toCover`, and numbers of ranges of `covered`. */
export const COVER_PERCENTS = [80, 90, 99] as const;
export const LARGEST_RANGES = [32, 64, 128, 256] as const;

export interface CellConfig {
  readonly trace: string;
  readonly traceHash: string;
  readonly arch: string;
  readonly pmm: string;
  /** sha256 of the file of a PMM of the user's; '' for one that is built in. */
  readonly pmmHash: string;
  readonly heap: string;
  readonly policy: string;
  /** Rules of the policy that were left out. */
  readonly without: readonly string[];
  readonly tlb: string;
  /** As resolved from --touch: recorded, alloc or all. */
  readonly touch: string;
  readonly memoryBytes: number;
  readonly memmap: readonly { first: number; count: number }[];
  readonly kernelHeap: boolean;
  readonly onOom: 'kill' | 'fail' | 'stop';
  readonly cpus: number;
  /** Which CPU an event ran on (core/replay/spread.ts); means nothing with a single one. */
  readonly spread: Spread;
  readonly seed: number;
  /** How memory was aged before the trace, as `--age` says it; '' = not. Of a machine's files, `ageHash` is the sha256. */
  readonly age: string;
  readonly ageHash: string;
  /** Times that the trace was replayed, one after the other. */
  readonly repeat: number;
  readonly pids: readonly number[];
  /** Events replayed: from the first number up to, not including, the second; null = all. */
  readonly window: readonly [number, number] | null;
}

/** What one of several CPUs asked of the PMM (core/pmm/cpu-use.ts). */
export interface CpuRow {
  readonly cpu: number;
  readonly allocations: number;
  readonly frees: number;
  readonly remote_frees: number;
  readonly shared_uses: number;
  readonly hand_overs: number;
}

/** One of several rounds of a trace in the same memory. */
export interface RoundRow {
  /** From 1. */
  readonly round: number;
  /** In use before its first event, at most, and once its processes ended and the page cache alone is left; without aged memory. */
  readonly frames_start: number;
  readonly frames_peak: number;
  readonly frames_end: number;
  /** At its sample point with most frames in use, and after its end. */
  readonly unusable_free_index_order_9: number;
  readonly unusable_free_index_order_9_end: number;
  readonly free_huge_score: number;
  readonly free_huge_score_end: number;
  readonly largest_free_block_frames_end: number;
  readonly contiguity_ranges_99: number;
  readonly pmm_steps_per_op: number | null;
  readonly alloc_failures_count: number;
  readonly huge_failures_count: number;
}

/** Columns by name, equally long; the first is always `event` (events replayed so far). */
export interface Timeline {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (number | null)[])[];
}

/** The picture of memory: frames by use in each of equally large pieces of physical memory. */
export interface MemoryPicture {
  /** Event number the picture was taken after. */
  readonly event: number;
  readonly framesPerPiece: number;
  /** pieces x FRAME_USES.length, row-major; free counted under 'free', holes under 'reserved'. */
  readonly pieces: readonly number[];
}

export interface ProcessPeaks {
  readonly pid: number;
  readonly command: string;
  readonly parent: number;
  readonly rss_peak_bytes: number;
  readonly anonymous_peak_bytes: number;
  readonly file_peak_bytes: number;
  readonly shared_peak_bytes: number;
  readonly vm_size_peak_bytes: number;
  readonly table_bytes_peak: number;
  readonly vmas_peak_count: number;
  readonly minor_faults_count: number;
  readonly cow_breaks_count: number;
}

/** Frames per order / work per operation. */
export interface Distribution {
  readonly name: string;
  readonly unit: string;
  /** [value, occurrences], ascending values. */
  readonly bins: readonly (readonly [number, number])[];
}

/** Per level of the page tables, at one moment. */
export interface TableLevel {
  readonly level: number;
  readonly name: string;
  readonly tables: number;
  readonly entries: number;
}

export interface FragmentationPoint {
  readonly event: number;
  /** Free blocks by order 0..MAX_ORDER. */
  readonly freeBlocks: readonly number[];
  /** Unusable free space index by order, in thousandths (Linux prints it so). */
  readonly unusableIndex: readonly number[];
  /** Fragmentation index by order, in thousandths: -1000 = a request would be served. */
  readonly fragmentationIndex: readonly number[];
}

/** Who holds frames of broken 2 MiB blocks; a row is a process (null = nobody's), a mapping and a kind. */
export interface BlameRow {
  readonly pid: number | null;
  readonly command: string;
  /** Path, [anonymous], [heap], [stack], ... or what it is: a page table, a slab cache. */
  readonly mapping: string;
  readonly kind: string;
  readonly movable: boolean;
  /** Broken blocks that it holds frames of, and those of them that nobody else does. */
  readonly blocks: number;
  readonly alone: number;
  readonly frames: number;
  /** Event that took the oldest of these frames; -1 = before the first. */
  readonly first_event: number;
}

/** The same over all holders of a kind; `alone`: blocks that no other kind holds frames of. */
export interface BlameKind {
  readonly kind: string;
  readonly movable: boolean;
  blocks: number;
  alone: number;
  frames: number;
}

/** Broken 2 MiB blocks (with free and taken frames, without holes) at one moment, and who keeps them from being whole. */
export interface Blame {
  readonly event: number;
  readonly broken_blocks: number;
  /** Free frames in broken blocks. */
  readonly free_frames: number;
  /** Broken blocks with frames that cannot be moved. */
  readonly pinned_blocks: number;
  readonly kinds: readonly Readonly<BlameKind>[];
  /** Rows there would be; `rows` are the worst of them. */
  readonly holders: number;
  readonly rows: readonly BlameRow[];
}

/** Contiguous virtual-to-physical ranges of a process near the most pages it had at a sample point. */
export interface ProcessContiguity {
  readonly pid: number;
  readonly command: string;
  readonly event: number;
  /** Pages mapped, the zero page left out. */
  readonly pages: number;
  readonly ranges: number;
  /** Ranges, longest first, that cover 80, 90 and 99 % of the pages. */
  readonly toCover: readonly number[];
  /** Pages in the 32, 64, 128 and 256 longest ranges. */
  readonly covered: readonly number[];
}

/** Predicted against measured: a `sample` event and what the model said then. */
export interface SamplePoint {
  readonly event: number;
  readonly time: number;
  readonly pid: number;
  readonly quantity: string;
  readonly measured: number;
  readonly predicted: number;
  readonly racy: boolean;
}

/** Over all samples of a quantity; `exact` and `max_error` (KiB, or faults) are of those that are not racy. */
export interface SampleSummary {
  readonly quantity: string;
  readonly samples: number;
  readonly racy: number;
  readonly exact: number;
  readonly max_error: number;
}

/** A mapping, as a line of /proc/PID/maps shows it. */
export interface MappedArea {
  readonly start: number;
  readonly end: number;
  /** Such as rw-p. */
  readonly protection: string;
  /** Path, [stack], [heap], [vdso], ... or empty for anonymous memory. */
  readonly name: string;
}

/** The first sample of a quantity that the model did not meet. */
export interface Divergence {
  readonly quantity: string;
  readonly event: number;
  readonly time: number;
  readonly pid: number;
  readonly command: string;
  readonly measured: number;
  readonly predicted: number;
  /** Event of the process's last sample before it that was exact, null when there was none. */
  readonly since: number | null;
  /** The last thing the process did before the sample, and the mapping at its address. */
  readonly after: { readonly event: number; readonly op: string; readonly address: number; readonly area: MappedArea | null } | null;
}

/** Samples of one quantity of one process; errors are predicted minus measured over those that are not racy. */
export interface ProcessSamples {
  readonly pid: number;
  readonly command: string;
  readonly quantity: string;
  readonly samples: number;
  readonly racy: number;
  readonly exact: number;
  readonly lowest_error: number;
  readonly highest_error: number;
}

/** Where a recorded fault was not what the model expected. */
export interface FaultPlace {
  readonly event: number;
  readonly time: number;
  readonly pid: number;
  readonly command: string;
  readonly address: number;
  readonly area: MappedArea | null;
}

export interface FaultSurprise {
  readonly access: string;
  readonly cause: string;
  readonly count: number;
  /** The first few. */
  readonly places: readonly FaultPlace[];
}

/** Recorded page faults against what the model would have done at the same accesses. */
export interface FaultCheck {
  readonly recorded: number;
  /** Those of them at which the model faulted as well. */
  readonly predicted: number;
  /** Writes to a present page: recorded (error code bits 0 and 1), and at which the model found its page write-protected. */
  readonly breaks_recorded: number;
  readonly breaks_predicted: number;
  /** How the model resolved the predicted ones. */
  readonly breaks_copied: number;
  readonly breaks_reused: number;
  /** The recording says whether pages were present; without that only unexpected faults are found. */
  readonly error_codes: boolean;
  readonly unexpected: number;
  readonly surprises: readonly FaultSurprise[];
}

/** Why samples of a quantity cannot be expected to be exact: something happened that the recording does not tell. */
export interface RecordingLimit {
  readonly quantity: string;
  readonly pids: readonly number[];
  /** Inexact samples that it explains. */
  readonly samples: number;
  readonly reason: string;
}

/** exact: every sample · limited: every other sample is explained by a limit of the recording · differs: some are not · unsampled: nothing to compare with. */
export type Verdict = 'exact' | 'limited' | 'differs' | 'unsampled';

export interface QuantityCheck {
  readonly quantity: string;
  readonly verdict: Verdict;
  /** Samples compared; racy ones are not among them. */
  readonly samples: number;
  readonly racy: number;
  readonly exact: number;
  readonly max_error: number;
}

/** Predicted against measured, in full (`verify`). */
export interface Verification {
  readonly verdict: Verdict;
  /** What the trace says of the kernel it was recorded on. */
  readonly kernel: Readonly<Record<string, string>>;
  readonly quantities: readonly QuantityCheck[];
  readonly divergences: readonly Divergence[];
  readonly processes: readonly ProcessSamples[];
  /** Address spaces that fork and exec made, and how many of them a sample that is not racy was taken of. */
  readonly address_spaces: { readonly count: number; readonly sampled: number };
  /** Samples of processes that are not alive in the model. */
  readonly unmatched: { readonly count: number; readonly first_event: number | null };
  /** Quantities that were recorded and that the model has no value for. */
  readonly not_predicted: readonly string[];
  /** null: the recording holds no page faults. */
  readonly faults: FaultCheck | null;
  readonly limits: readonly RecordingLimit[];
  /** What the recording shows and the model does not do. */
  readonly not_covered: readonly string[];
}

export interface CellTiming {
  readonly wall_s: number;
  readonly cpu_s: number;
  readonly max_rss_bytes: number;
  readonly events_per_s: number;
  readonly startup_s: number;
}

export interface CellResult {
  readonly config: CellConfig;
  /** exact | estimate | bound, and why. */
  readonly confidence: { readonly level: 'exact' | 'estimate' | 'bound'; readonly reason: string };
  /** By metric name (core/metrics); null = the trace cannot give it. */
  readonly metrics: Readonly<Record<string, number | null>>;
  /** Why a metric is null. */
  readonly absent: Readonly<Record<string, string>>;
  readonly timeline: Timeline;
  readonly processes: readonly ProcessPeaks[];
  readonly fragmentation: readonly FragmentationPoint[];
  readonly blame: { readonly peak: Blame; readonly end: Blame };
  readonly contiguity: readonly ProcessContiguity[];
  readonly pictures: { readonly peak: MemoryPicture; readonly end: MemoryPicture };
  readonly tables: { readonly peak: readonly TableLevel[]; readonly end: readonly TableLevel[] };
  readonly distributions: readonly Distribution[];
  /** A row a CPU; empty with a single one. */
  readonly cpus: readonly CpuRow[];
  /** A row a round; empty when the trace was replayed once. */
  readonly rounds: readonly RoundRow[];
  readonly kernelHeap: readonly { name: string; objectBytes: number; live: number; slabs: number }[];
  /** Points of the process with most samples, thinned for the picture. */
  readonly samples: readonly SamplePoint[];
  readonly sampleSummary: readonly SampleSummary[];
  /** Rejected events by cause. */
  readonly rejections: readonly Loss[];
  /** What the trace's importer could not use. */
  readonly losses: readonly Loss[];
  /** First out-of-frames moment in words (who held what, free blocks per order), or null. */
  readonly oom: string | null;
  /** Only when it was asked for. */
  readonly verification?: Verification;
  readonly timing: CellTiming;
}

export interface RunResult {
  readonly schema: number;
  readonly version: string;
  readonly command: string;
  readonly cells: readonly CellResult[];
  readonly traces: readonly { name: string; hash: string; rows: number; source: string; counts: Record<string, number>; provenance: Record<string, string> }[];
}
