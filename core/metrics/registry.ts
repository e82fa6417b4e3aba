/** The metrics, in the order of the columns of results.csv. Formulas that are not plain counts are cited in `about`. */
import { makeRegistry } from '../../arch/registry-core.js';
import { LookupCounter } from '../lookup/lookup-contract.js';
import type { CellMetric } from './metric.js';
import type { CpuRow } from '../replay/result.js';
import type { CellReading } from './reading.js';

const PAGE = 4096;
/** Ratios are rounded to nine digits after the point: enough for any use, and the same text everywhere. */
const ratio = (a: number, b: number): number | null => (b === 0 ? null : Math.round((a / b) * 1e9) / 1e9);
const perLookup = (r: CellReading, n: number): number | null => (r.everyAccess ? ratio(n, r.lookup[LookupCounter.lookups]!) : null);

const overCpus = (r: CellReading, read: (row: CpuRow) => number): number | null =>
  r.cpus.length === 0 ? null : r.cpus.reduce((sum, row) => sum + read(row), 0);

const ONE_CPU = 'a single CPU shares nothing (--cpus)';
const FIRST_TOUCHES = 'the trace holds no access or only first touches, which say nothing about hits';
const NO_TOUCHES = 'which pages were touched was not recorded (--touch all takes every one)';
const NO_HEAP = 'the trace holds no heap events';
const NO_PAGES = 'no process had a page at a sample point';

/** Share of the processes' pages in their longest ranges; `which`: index into LARGEST_RANGES (core/replay/result.ts). */
const covered = (r: CellReading, which: number): number | null =>
  ratio(
    r.contiguity.reduce((sum, process) => sum + process.covered[which]!, 0),
    r.contiguity.reduce((sum, process) => sum + process.pages, 0),
  );

type Entry = Omit<CellMetric, 'deterministic' | 'headline' | 'better'> & Partial<Pick<CellMetric, 'headline' | 'better'>>;
const metric = (entry: Entry): CellMetric => ({ better: 'lower', headline: false, deterministic: true, ...entry });

const ENTRIES: readonly CellMetric[] = [
  metric({
    name: 'events_count',
    title: 'Events replayed',
    unit: 'count',
    better: 'none',
    about: 'Events of the trace that were replayed.',
    read: (r) => r.events,
  }),
  metric({
    name: 'events_rejected_count',
    title: 'Events refused',
    unit: 'count',
    about: 'Events of which the simulated kernel refused something; the report lists the causes.',
    read: (r) => r.rejectedEvents,
  }),
  metric({
    name: 'frames_start',
    title: 'Frames before the first event',
    unit: 'frames',
    about: "The kernel's own tables, window and zero page.",
    read: (r) => r.framesStart,
  }),
  metric({
    name: 'aged_frames',
    title: 'Frames in use by others',
    unit: 'frames',
    better: 'none',
    about: 'Frames that --age holds, which no other count of frames in use includes.',
    read: (r) => r.agedFrames,
    absent: 'memory was fresh (--age)',
  }),
  metric({
    name: 'frames_peak',
    title: 'Frames at the peak',
    unit: 'frames',
    headline: true,
    about: 'Most frames in use at once, over the whole run.',
    read: (r) => r.framesPeak,
  }),
  metric({
    name: 'frames_end',
    title: 'Frames at the end',
    unit: 'frames',
    about: 'Frames in use after the last event, page cache and unmapped objects dropped, empty slabs reaped.',
    read: (r) => r.framesEnd,
  }),
  metric({
    name: 'user_frames_peak',
    title: 'User frames at the peak',
    unit: 'frames',
    about: 'Most anonymous, file and shared frames at once.',
    read: (r) => r.userFramesPeak,
  }),
  metric({
    name: 'table_frames_peak',
    title: 'Page tables at the peak',
    unit: 'frames',
    headline: true,
    about: 'Most frames holding page tables at once, all levels.',
    read: (r) => r.tableFramesPeak,
  }),
  metric({
    name: 'table_bytes_peak',
    title: 'Page-table bytes at the peak',
    unit: 'bytes',
    about: 'table_frames_peak in bytes.',
    read: (r) => r.tableFramesPeak * PAGE,
  }),
  metric({
    name: 'table_overhead_ratio',
    title: 'Page tables per user frame',
    unit: 'ratio',
    about: 'table_frames_peak / user_frames_peak.',
    read: (r) => ratio(r.tableFramesPeak, r.userFramesPeak),
    absent: 'no user frame was ever in use',
  }),
  metric({
    name: 'kernel_frames_peak',
    title: 'Kernel heap at the peak',
    unit: 'frames',
    about: 'Most frames of the kernel at once: slabs of its own objects, kmalloc, the zero page.',
    read: (r) => r.kernelFramesPeak,
  }),
  metric({
    name: 'minor_faults_count',
    title: 'Minor faults',
    unit: 'count',
    headline: true,
    about: 'Faults resolved without I/O: demand-zero, zero page, file and shared pages, copy-on-write, reuse.',
    read: (r) => (r.touches ? r.minorFaults : null),
    absent: NO_TOUCHES,
  }),
  metric({
    name: 'major_faults_count',
    title: 'Major faults',
    unit: 'count',
    about: 'Faults on file pages that the trace says were not in the page cache.',
    read: (r) => r.majorFaults,
  }),
  metric({
    name: 'cow_breaks_count',
    title: 'Copy-on-write breaks',
    unit: 'count',
    about: 'Write faults on a present, read-only page that took a new frame.',
    read: (r) => (r.touches ? r.cowBreaks : null),
    absent: NO_TOUCHES,
  }),
  metric({
    name: 'copied_frames_count',
    title: 'Frames copied',
    unit: 'count',
    about: 'Frames whose content was copied.',
    read: (r) => (r.touches ? r.copiedFrames : null),
    absent: NO_TOUCHES,
  }),
  metric({
    name: 'reused_frames_count',
    title: 'Write faults that reused the frame',
    unit: 'count',
    better: 'none',
    about: 'Write faults on a present, read-only page that nobody else mapped.',
    read: (r) => (r.touches ? r.reuses : null),
    absent: NO_TOUCHES,
  }),
  metric({
    name: 'processes_peak_count',
    title: 'Processes at once',
    unit: 'count',
    better: 'none',
    about: 'Most processes alive at once.',
    read: (r) => r.processesPeak,
  }),
  metric({
    name: 'vmas_peak_count',
    title: 'VMAs at once',
    unit: 'count',
    about: 'Most VMAs over all address spaces at a sample point.',
    read: (r) => r.vmasPeak,
  }),
  metric({
    name: 'lookups_count',
    title: 'Lookups',
    unit: 'count',
    better: 'none',
    about: 'Page accesses looked up, one a page touched.',
    read: (r) => r.lookup[LookupCounter.lookups]!,
  }),
  metric({
    name: 'tlb_miss_ratio',
    title: 'TLB miss ratio',
    unit: 'ratio',
    headline: true,
    about: 'Lookups that missed every TLB level / lookups.',
    read: (r) => perLookup(r, r.lookup[LookupCounter.misses]!),
    absent: FIRST_TOUCHES,
  }),
  metric({ name: 'walk_refs', title: 'Table reads', unit: 'refs', about: 'Page-table entries read by walks.', read: (r) => r.lookup[LookupCounter.walkRefs]! }),
  metric({
    name: 'walk_refs_per_lookup',
    title: 'Table reads per lookup',
    unit: 'refs',
    about: 'walk_refs / lookups_count.',
    read: (r) => perLookup(r, r.lookup[LookupCounter.walkRefs]!),
    absent: FIRST_TOUCHES,
  }),
  metric({
    name: 'lookup_cycles_per_lookup',
    title: 'Cycles per lookup',
    unit: 'cycles',
    about: "By the cost table of the chosen TLB: hits, walks, reads (an estimate: the table's, not a measured machine's).",
    read: (r) => perLookup(r, r.lookupCycles),
    absent: FIRST_TOUCHES,
  }),
  metric({ name: 'pmm_allocs_count', title: 'PMM allocations', unit: 'count', better: 'none', about: 'Blocks the PMM handed out.', read: (r) => r.pmmAllocs }),
  metric({ name: 'pmm_frees_count', title: 'PMM frees', unit: 'count', better: 'none', about: 'Blocks given back to the PMM.', read: (r) => r.pmmFrees }),
  metric({
    name: 'pmm_steps_per_op',
    title: 'PMM steps per operation',
    unit: 'ratio',
    headline: true,
    about: 'Words and nodes the PMM examined per allocation or free.',
    read: (r) => ratio(r.pmmSteps, r.pmmAllocs + r.pmmFrees + r.allocFailures),
    absent: 'the PMM was never asked',
  }),
  metric({
    name: 'alloc_failures_count',
    title: 'Allocations that failed',
    unit: 'count',
    about: 'Requests the PMM could not serve.',
    read: (r) => r.allocFailures,
  }),
  metric({
    name: 'remote_frees_count',
    title: 'Frees on another CPU',
    unit: 'count',
    better: 'none',
    about: 'Blocks given back by another CPU than the one that took them.',
    read: (r) => overCpus(r, (row) => row.remote_frees),
    absent: ONE_CPU,
  }),
  metric({
    name: 'pmm_shared_uses_count',
    title: 'Locks taken',
    unit: 'count',
    about: 'Times an operation of the PMM took a lock, or without locks updated words, that all CPUs share.',
    read: (r) => overCpus(r, (row) => row.shared_uses),
    absent: ONE_CPU,
  }),
  metric({
    name: 'pmm_hand_overs_count',
    title: 'Lock hand-overs',
    unit: 'count',
    about: 'Operations of the PMM that used what all CPUs share after another CPU had: its cache line moves.',
    read: (r) => overCpus(r, (row) => row.hand_overs),
    absent: ONE_CPU,
  }),
  metric({
    name: 'unusable_free_index_order_9',
    title: 'Unusable free space at 2 MiB',
    unit: 'index',
    headline: true,
    about:
      'Share of free memory in blocks too small for order 9, 0 to 1, at the sample point with most frames in use (Gorman; Linux mm/vmstat.c unusable_free_index).',
    read: (r) => r.peakUnusableIndex9 / 1000,
  }),
  metric({
    name: 'free_huge_score',
    title: 'Free memory in whole 2 MiB blocks',
    unit: 'ratio',
    better: 'higher',
    about: "LLFree's score: wholly free 2 MiB blocks / those that the free frames could make at best, at the sample point with most frames in use.",
    read: (r) => r.peakFreeHugeScore,
  }),
  metric({
    name: 'unusable_free_index_order_9_end',
    title: 'Unusable free space at 2 MiB, at the end',
    unit: 'index',
    about: 'unusable_free_index_order_9 at the last sample point.',
    read: (r) => r.endUnusableIndex9 / 1000,
  }),
  metric({
    name: 'free_huge_score_end',
    title: 'Free memory in whole 2 MiB blocks, at the end',
    unit: 'ratio',
    better: 'higher',
    about: 'free_huge_score at the last sample point.',
    read: (r) => r.endFreeHugeScore,
  }),
  metric({
    name: 'huge_failures_count',
    title: 'Requests for 2 MiB that failed',
    unit: 'count',
    about: 'Requests of order 9 that the PMM could not serve, of huge pages (which small pages replace) and of page_alloc events.',
    read: (r) => r.hugeFailures,
  }),
  metric({
    name: 'first_huge_failure_event',
    title: 'First request for 2 MiB that failed',
    unit: 'event',
    better: 'none',
    about: 'Number of the event whose request of order 9 was the first that the PMM could not serve.',
    read: (r) => (r.firstHugeFailure < 0 ? null : r.firstHugeFailure),
    absent: 'no request for 2 MiB failed',
  }),
  metric({
    name: 'broken_blocks_count',
    title: 'Broken 2 MiB blocks',
    unit: 'count',
    about: '2 MiB blocks with both free and taken frames near the peak (the report and blame.csv say who holds them).',
    read: (r) => r.brokenBlocks,
  }),
  metric({
    name: 'pinned_blocks_count',
    title: 'Broken 2 MiB blocks that cannot be compacted',
    unit: 'count',
    about: 'Those of broken_blocks_count with frames that cannot be moved: page tables, the kernel heap.',
    read: (r) => r.pinnedBlocks,
  }),
  metric({
    name: 'contiguity_ranges_80',
    title: 'Ranges that cover 80 %',
    unit: 'count',
    about: 'Contiguous virtual-to-physical ranges, longest first, that cover 80 % of the pages mapped near the peak.',
    read: (r) => r.contiguityRanges[0]!,
  }),
  metric({ name: 'contiguity_ranges_90', title: 'Ranges that cover 90 %', unit: 'count', about: 'The same for 90 %.', read: (r) => r.contiguityRanges[1] }),
  metric({
    name: 'contiguity_ranges_99',
    title: 'Ranges that cover 99 %',
    unit: 'count',
    headline: true,
    about: 'The same for 99 %.',
    read: (r) => r.contiguityRanges[2]!,
  }),
  metric({
    name: 'contiguity_largest_32_ratio',
    title: 'Covered by the 32 largest ranges',
    unit: 'ratio',
    better: 'higher',
    about: 'Pages in the 32 longest ranges of each process / its pages, both summed over the processes (Alverti et al., ISCA 2020).',
    read: (r) => covered(r, 0),
    absent: NO_PAGES,
  }),
  metric({
    name: 'contiguity_largest_128_ratio',
    title: 'Covered by the 128 largest ranges',
    unit: 'ratio',
    better: 'higher',
    about: 'The same for 128.',
    read: (r) => covered(r, 2),
    absent: NO_PAGES,
  }),
  metric({
    name: 'heap_fragmentation_ratio',
    title: 'Heap fragmentation',
    unit: 'ratio',
    about: '1 - most live block bytes / most bytes of mappings that hold blocks (Wilson et al. 1995, their fourth measure).',
    read: (r) => (r.heap === null || r.heap.heldBytesPeak === 0 ? null : ratio(Math.max(0, r.heap.heldBytesPeak - r.heap.liveBytesPeak), r.heap.heldBytesPeak)),
    absent: NO_HEAP,
  }),
  metric({
    name: 'heap_live_bytes_peak',
    title: 'Live heap bytes at the peak',
    unit: 'bytes',
    better: 'none',
    about: 'Most bytes asked for by live blocks at once.',
    read: (r) => r.heap?.liveBytesPeak ?? null,
    absent: NO_HEAP,
  }),
  metric({
    name: 'implicit_mappings_count',
    title: 'Implicit mappings',
    unit: 'count',
    better: 'none',
    about: 'Mappings made for blocks or accesses that no recorded mapping holds.',
    read: (r) => r.implicitMappings,
  }),
];

export const metrics = makeRegistry<CellMetric>('metric', ENTRIES, (m) => m.name);
