/**
 * A made-up but plausible run for the tests of the reports: a few traces on a few PMMs, with everything a real run holds.
 *
 * The numbers of a cell agree with each other (pictures add up to the timeline, peaks to the metrics), strategies share what a PMM cannot change,
 * and the same options give the same run. It models nothing: shapes are drawn, not simulated.
 */
import type { Metric } from '../../core/metrics/metric.js';
import { COVER_PERCENTS, FRAME_USES, LARGEST_RANGES, RESULT_SCHEMA } from '../../core/replay/result.js';
import type {
  Blame,
  BlameRow,
  CellResult,
  Distribution,
  FragmentationPoint,
  MemoryPicture,
  ProcessContiguity,
  RunResult,
  SamplePoint,
  SampleSummary,
  TableLevel,
  Timeline,
} from '../../core/replay/result.js';

const metric = (
  name: string,
  title: string,
  unit: Metric['unit'],
  better: Metric['better'],
  headline: boolean,
  about: string,
  deterministic = true,
): Metric => ({
  name,
  title,
  unit,
  better,
  deterministic,
  headline,
  about,
});

export const sampleMetrics: readonly Metric[] = [
  metric('events_count', 'Events replayed', 'count', 'none', false, 'Events of the trace that were replayed.'),
  metric('events_rejected_count', 'Events rejected', 'count', 'lower', false, 'Events that could not be carried out.'),
  metric('frames_peak', 'Frames at the peak', 'frames', 'lower', true, 'Most frames in use at once, page tables and kernel heap included.'),
  metric('frames_end', 'Frames at the end', 'frames', 'lower', false, 'Frames in use after the last event.'),
  metric('user_frames_peak', 'User frames at the peak', 'frames', 'lower', false, 'Most frames that hold user pages at once.'),
  metric('table_frames_peak', 'Table frames at the peak', 'frames', 'lower', false, 'Most frames that hold page tables at once.'),
  metric('table_bytes_peak', 'Table bytes at the peak', 'bytes', 'lower', false, 'Most bytes in page tables at once.'),
  metric('table_overhead_ratio', 'Page tables per user byte', 'ratio', 'lower', true, 'Table bytes over user bytes, both at the peak.'),
  metric('kernel_frames_peak', 'Kernel-heap frames at the peak', 'frames', 'lower', false, 'Most frames the kernel heap held at once.'),
  metric('minor_faults_count', 'Minor faults', 'count', 'lower', false, 'Faults resolved without I/O.'),
  metric('cow_breaks_count', 'Copy-on-write breaks', 'count', 'lower', false, 'Write faults that took a new frame.'),
  metric('lookups_count', 'Lookups', 'count', 'none', false, 'Pages looked up by touches.'),
  metric('tlb_miss_ratio', 'TLB misses per lookup', 'ratio', 'lower', false, 'Lookups that missed both TLB levels.'),
  metric('walk_refs_per_lookup', 'Table reads per lookup', 'refs', 'lower', true, 'Page-table reads over lookups.'),
  metric('lookup_cycles_per_lookup', 'Cycles per lookup', 'cycles', 'lower', true, 'By the cost table of the TLB model.'),
  metric('pmm_allocs_count', 'PMM allocations', 'count', 'none', false, 'Blocks asked of the PMM.'),
  metric('pmm_steps_per_op', 'PMM steps per operation', 'refs', 'lower', true, 'Words or nodes examined over allocations and frees.'),
  metric('unusable_free_index_order_9', 'Unusable at order 9, end', 'index', 'lower', true, 'Share of free memory a 2 MiB request could not use.'),
  metric('free_huge_score', 'Free in whole 2 MiB, end', 'ratio', 'higher', true, 'Free frames in whole free 2 MiB blocks over free frames.'),
  metric('contiguity_ranges_99', 'Ranges that cover 99 %, peak', 'count', 'lower', true, 'Contiguous ranges that cover 99 % of the footprint.'),
  metric('heap_fragmentation_ratio', 'Heap fragmentation', 'ratio', 'lower', false, 'Heap bytes over live bytes, minus one.'),
  metric('pmm_ns_per_op', 'PMM time per operation', 'ns', 'lower', false, 'By the clock.', false),
];

export interface SampleOptions {
  readonly traces?: number;
  readonly pmms?: readonly string[];
  readonly points?: number;
  readonly memoryMiB?: number;
}

const TRACE_NAMES = ['server-mix', 'pyfork', 'gcc', 'bash', 'madv', 'shm', 'interpreter', 'lackey'];
const PIECES = 512;
const MAX_ORDER = 10;
const HUGE = 512;

/** Park and Miller's minimal standard generator (CACM 31/10): small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = (seed % 2147483646) + 1;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

/** What the trace decides, whatever the PMM. */
interface Shape {
  readonly events: number;
  readonly total: number;
  readonly at: readonly {
    event: number;
    anonymous: number;
    file: number;
    shared: number;
    table: number;
    kernel: number;
    processes: number;
    tables: number[];
  }[];
}

const used = (p: Shape['at'][number]): number => p.anonymous + p.file + p.shared + p.table + p.kernel;

function shapeOf(trace: number, points: number, total: number): Shape {
  const random = generator(trace * 7919 + 5);
  const events = 40_000 * (trace + 1) * 25;
  const at = Array.from({ length: points }, (_, i) => {
    const x = i / (points - 1);
    const rise = Math.min(1, x * 12);
    const leave = x < 0.84 ? 1 : Math.max(0, 1 - (x - 0.84) / 0.16);
    const processes = Math.max(1, Math.round(rise * leave * (8 + trace * 6)));
    const anonymous = Math.round(total * rise * leave * (0.3 + 0.08 * trace) * (0.8 + 0.35 * random()));
    const file = Math.round(total * rise * 0.09);
    const shared = Math.round(total * rise * leave * 0.02 * (0.5 + random()));
    const tables = [Math.ceil((anonymous + file) / 400) + processes, processes * 2, processes * 2, processes];
    const kernel = Math.round(40 + processes * 6);
    return { event: Math.round(x * events), anonymous, file, shared, table: tables.reduce((a, b) => a + b), kernel, processes, tables };
  });
  return { events, total, at };
}

/** How badly a strategy scatters: 0 packs, 1 sprinkles. */
function scatterOf(pmm: string): number {
  if (pmm.startsWith('bitmap')) return 0.15;
  return pmm === 'free-stack' ? 0.95 : 0.55;
}

function fragmentationAt(shape: Shape, index: number, pmm: string): FragmentationPoint {
  const point = shape.at[index];
  const free = shape.total - used(point);
  const age = index / shape.at.length;
  const broken = Math.min(0.98, scatterOf(pmm) * (0.2 + 0.8 * age));
  const freeBlocks: number[] = [];
  let left = free;
  let whole = Math.floor((free * (1 - broken)) / 1024);
  for (let order = MAX_ORDER; order >= 0; order--) {
    const count = order === MAX_ORDER ? whole : order === 0 ? left : Math.floor((left * 0.4) / 2 ** order);
    freeBlocks[order] = count;
    left -= count * 2 ** order;
    whole = 0;
  }
  const unusableIndex = freeBlocks.map((_, order) => {
    let usable = 0;
    for (let o = order; o <= MAX_ORDER; o++) usable += freeBlocks[o] * 2 ** o;
    return free === 0 ? 0 : Math.round(((free - usable) * 1000) / free);
  });
  const fragmentationIndex = freeBlocks.map((_, order) => (freeBlocks.slice(order).some((count) => count > 0) ? -1000 : 1000 - order));
  return { event: point.event, freeBlocks, unusableIndex, fragmentationIndex };
}

const hugeFree = (point: FragmentationPoint): number => point.freeBlocks[9] * HUGE + point.freeBlocks[10] * 2 * HUGE;

function timelineOf(shape: Shape, fragmentation: readonly FragmentationPoint[], pmm: string): Timeline {
  const now = ['event', 'time_ns', 'processes_count', 'anonymous_frames', 'file_frames', 'shared_frames', 'table_frames', 'kernel_frames', 'free_frames'];
  const perLevel = ['table_frames_level_', 'table_entries_level_'].flatMap((name) => [1, 2, 3, 4].map((level) => name + level));
  const counters = ['minor_faults_count', 'lookups_count', 'tlb_misses_count', 'walk_refs', 'pmm_allocs_count', 'pmm_frees_count', 'pmm_steps_count'];
  const columns = now.concat('free_huge_frames', perLevel, counters, 'unusable_free_index_order_9', 'free_huge_ratio');
  const steps = 1 + scatterOf(pmm) * (pmm === 'free-stack' ? 0 : 2);
  const rows = shape.at.map((p, i) => {
    const allocs = Math.round(p.event * 0.8);
    const frees = Math.max(0, allocs - used(p));
    const reads = Math.round(p.event * 0.7 + shape.events * 0.004 * Math.sin(i / 9));
    const frames = [p.event, p.event * 850, p.processes, p.anonymous, p.file, p.shared, p.table, p.kernel, shape.total - used(p), hugeFree(fragmentation[i])];
    const entries = [p.anonymous + p.file, p.tables[0], p.tables[1], p.tables[2]];
    const counts = [Math.round(p.event * 0.4), p.event * 3, Math.round(p.event * 0.4), reads, allocs, frees, Math.round((allocs + frees) * steps)];
    return frames.concat(p.tables, entries, counts, fragmentation[i].unusableIndex[9] / 1000, hugeFree(fragmentation[i]) / Math.max(1, shape.total - used(p)));
  });
  return { columns, rows };
}

function pictureOf(shape: Shape, index: number, pmm: string): MemoryPicture {
  const point = shape.at[index];
  const size = shape.total / PIECES;
  const random = generator(index + pmm.length);
  const left = [0, point.anonymous, point.file, point.shared, point.table, point.kernel];
  const pieces: number[] = [];
  for (let piece = 0; piece < PIECES; piece++) {
    const row = FRAME_USES.map(() => 0);
    let room = size;
    const wanted = used(point) / shape.total / (1 - 0.5 * scatterOf(pmm));
    const fill = piece === PIECES - 1 ? 0 : Math.min(1, wanted * (scatterOf(pmm) > 0.5 ? 1 : 2 * random()));
    for (let use = 1; use <= 5; use++) {
      const share =
        piece < PIECES - 40 ? Math.min(left[use], Math.floor(size * fill * (use === 1 ? 0.85 : random() < 0.1 ? 1 : 0.02)), room) : Math.min(left[use], room);
      row[use] = share;
      left[use] -= share;
      room -= share;
    }
    row[0] = room;
    pieces.push(...row);
  }
  return { event: point.event, framesPerPiece: size, pieces };
}

/** Holders of broken blocks: processes and files, more of them than a report shows. */
function blameOf(shape: Shape, index: number, pmm: string): Blame {
  const { event, anonymous, kernel } = shape.at[index];
  const broken = Math.round(PIECES * scatterOf(pmm) * 0.8);
  const mappings = ['[anonymous]', '[heap]', '/usr/lib/x86_64-linux-gnu/libc.so.6', '/srv/a "quoted", path', 'page table (PT)', 'slab vma'];
  const rows = Array.from({ length: 18 }, (_, i): BlameRow => {
    const which = i % mappings.length;
    const kind = which < 2 ? 'anonymous' : which < 4 ? 'file' : which === 4 ? 'table' : 'kernel';
    const nobody = which === 5;
    const blocks = Math.max(1, Math.round(broken / (i + 1)));
    return {
      pid: nobody ? null : 15203 + (i % 5),
      command: nobody ? '' : `worker-${i % 5}`,
      mapping: mappings[which],
      kind,
      movable: which < 4,
      blocks,
      alone: Math.round(blocks / (3 + i)),
      frames: blocks * 3,
      first_event: i === 5 ? -1 : i * 40,
    };
  });
  const kinds = [
    { kind: 'anonymous', movable: true, blocks: broken, alone: Math.round(broken / 2), frames: Math.min(anonymous, broken * 200) },
    { kind: 'kernel', movable: false, blocks: Math.round(broken / 4), alone: 1, frames: Math.min(kernel, broken) },
  ];
  return { event, broken_blocks: broken, free_frames: broken * 250, pinned_blocks: Math.round(broken / 4), kinds, holders: 61, rows };
}

function contiguityOf(shape: Shape, index: number, pmm: string): ProcessContiguity[] {
  return Array.from({ length: 14 }, (_, i) => {
    const pages = Math.max(1, Math.round(shape.at[index].anonymous / (i + 2)));
    const ranges = Math.max(1, Math.round(pages * scatterOf(pmm)));
    const covered = LARGEST_RANGES.map((n) => Math.min(pages, Math.round((pages * n) / Math.max(n, ranges))));
    return {
      pid: 15203 + i,
      command: i === 3 ? 'sh -c "a, b"' : `worker-${i}`,
      event: shape.at[index].event,
      pages,
      ranges,
      toCover: COVER_PERCENTS.map((percent) => Math.ceil((ranges * percent) / 100)),
      covered,
    };
  });
}

function tablesOf(shape: Shape, index: number): TableLevel[] {
  const p = shape.at[index];
  const entries = [p.anonymous + p.file, p.tables[0], p.tables[1], p.tables[2]];
  return ['PT', 'PD', 'PDPT', 'PML4'].map((name, i) => ({ level: i + 1, name, tables: p.tables[i], entries: entries[i] }));
}

function distributionsOf(shape: Shape, pmm: string): Distribution[] {
  const ops = shape.events;
  const tail = (longest: number): [number, number][] =>
    Array.from({ length: longest }, (_, i): [number, number] => [i + 1, Math.max(1, Math.round(ops / 10 ** (i * (6 / longest))))]);
  return [
    { name: 'pmm_allocate_steps', unit: 'steps', bins: pmm === 'free-stack' ? [[1, ops]] : tail(pmm === 'buddy' ? 11 : 63) },
    { name: 'pmm_free_steps', unit: 'steps', bins: pmm === 'buddy' ? tail(11) : [[1, ops]] },
    {
      name: 'walk_refs_per_walk',
      unit: 'refs',
      bins: [
        [1, ops],
        [2, Math.round(ops / 400)],
        [4, Math.round(ops / 500)],
      ],
    },
  ];
}

function samplesOf(trace: number, shape: Shape): SamplePoint[] {
  if (trace !== 1) return [];
  const wrong = (quantity: string, i: number): number => (quantity === 'rss_anon_kb' && i > shape.at.length * 0.7 ? 512 : 0);
  const quantities = [
    ['vm_size_kb', (p: Shape['at'][number]) => (p.anonymous + p.file) * 5],
    ['vm_pte_kb', (p: Shape['at'][number]) => p.table * 4],
    ['rss_anon_kb', (p: Shape['at'][number]) => p.anonymous * 4],
    ['rss_file_kb', (p: Shape['at'][number]) => p.file * 4],
  ] as const;
  return shape.at.flatMap((p, i) =>
    quantities.map(([quantity, read]) => {
      const predicted = read(p);
      return { event: p.event, time: p.event * 850, pid: 15203, quantity, measured: predicted + wrong(quantity, i), predicted, racy: i === 7 };
    }),
  );
}

function summaryOf(samples: readonly SamplePoint[]): SampleSummary[] {
  return [...new Set(samples.map((s) => s.quantity))].map((quantity) => {
    const own = samples.filter((s) => s.quantity === quantity);
    const steady = own.filter((s) => !s.racy);
    const errors = steady.map((s) => Math.abs(s.predicted - s.measured));
    return { quantity, samples: own.length, racy: own.length - steady.length, exact: errors.filter((e) => e === 0).length, max_error: Math.max(...errors) };
  });
}

function cellOf(trace: number, pmm: string, options: Required<SampleOptions>): CellResult {
  const total = options.memoryMiB * 256;
  const shape = shapeOf(trace, options.points, total);
  const uses = shape.at.map(used);
  const peak = uses.indexOf(Math.max(...uses));
  const last = shape.at.length - 1;
  const fragmentation = shape.at.map((_, i) => fragmentationAt(shape, i, pmm));
  const atPeak = shape.at[peak];
  const atEnd = fragmentation[last];
  const noHeap = trace !== 0;
  const metrics: Record<string, number | null> = {
    events_count: shape.events,
    events_rejected_count: trace === 0 ? 12 : 0,
    frames_peak: uses[peak],
    frames_end: uses[last],
    user_frames_peak: atPeak.anonymous + atPeak.file + atPeak.shared,
    table_frames_peak: Math.max(...shape.at.map((p) => p.table)),
    table_bytes_peak: Math.max(...shape.at.map((p) => p.table)) * 4096,
    table_overhead_ratio: atPeak.table / (atPeak.anonymous + atPeak.file + atPeak.shared),
    kernel_frames_peak: Math.max(...shape.at.map((p) => p.kernel)),
    minor_faults_count: Math.round(shape.events * 0.4),
    cow_breaks_count: Math.round(shape.events * 0.02),
    lookups_count: shape.events * 3,
    tlb_miss_ratio: trace === 2 ? null : 0.4 / 3,
    walk_refs_per_lookup: trace === 2 ? null : 0.7 / 3,
    lookup_cycles_per_lookup: trace === 2 ? null : 11.25,
    pmm_allocs_count: Math.round(shape.events * 0.8),
    pmm_steps_per_op: 1 + scatterOf(pmm) * (pmm === 'free-stack' ? 0 : 2),
    unusable_free_index_order_9: atEnd.unusableIndex[9] / 1000,
    free_huge_score: hugeFree(atEnd) / (shape.total - uses[last]),
    contiguity_ranges_99: Math.round(40 + uses[peak] * scatterOf(pmm) * scatterOf(pmm) * 0.6),
    heap_fragmentation_ratio: noHeap ? null : 0.1734,
    pmm_ns_per_op: 12 + scatterOf(pmm) * 10,
  };
  const wall = 0.4 + scatterOf(pmm) * 0.3 + trace * 0.1;
  return {
    config: {
      trace: TRACE_NAMES[trace],
      traceHash: `${trace}c84a7c26${'0'.repeat(55)}`,
      arch: 'x86-64',
      pmm,
      pmmHash: '',
      heap: 'recorded',
      policy: 'plain',
      without: [],
      tlb: 'default',
      touch: trace === 0 ? 'all' : 'recorded',
      memoryBytes: total * 4096,
      memmap: [{ first: 0, count: total }],
      kernelHeap: true,
      onOom: 'kill',
      cpus: 1,
      spread: 'recorded',
      seed: 1,
      age: '',
      ageHash: '',
      repeat: 1,
      pids: [],
      window: null,
    },
    confidence: { level: trace === 2 ? 'estimate' : 'exact', reason: trace === 2 ? 'the trace holds only first touches' : 'every touch was recorded' },
    metrics,
    absent: {
      ...(noHeap ? { heap_fragmentation_ratio: 'the trace holds no heap calls' } : {}),
      ...(trace === 2
        ? {
            tlb_miss_ratio: 'the trace holds only first touches',
            walk_refs_per_lookup: 'the trace holds only first touches',
            lookup_cycles_per_lookup: 'the trace holds only first touches',
          }
        : {}),
    },
    timeline: timelineOf(shape, fragmentation, pmm),
    processes: Array.from({ length: 5 }, (_, i) => ({
      pid: 15203 + i,
      command: i === 3 ? 'sh -c "a, b"' : `worker-${i}`,
      parent: i === 0 ? 1 : 15203,
      rss_peak_bytes: atPeak.anonymous * (500 + i),
      anonymous_peak_bytes: atPeak.anonymous * (400 + i),
      file_peak_bytes: atPeak.file * 90,
      shared_peak_bytes: atPeak.shared * 10,
      vm_size_peak_bytes: atPeak.anonymous * 4096,
      table_bytes_peak: atPeak.table * 500,
      vmas_peak_count: 31 + i,
      minor_faults_count: 1000 * (i + 1),
      cow_breaks_count: 10 * i,
    })),
    fragmentation,
    blame: { peak: blameOf(shape, peak, pmm), end: blameOf(shape, last, pmm) },
    contiguity: contiguityOf(shape, peak, pmm),
    pictures: { peak: pictureOf(shape, peak, pmm), end: pictureOf(shape, last, pmm) },
    tables: { peak: tablesOf(shape, peak), end: tablesOf(shape, last) },
    distributions: distributionsOf(shape, pmm),
    cpus: [],
    rounds: [],
    kernelHeap: [
      { name: 'vm_area', objectBytes: 200, live: 812, slabs: 41 },
      { name: 'process', objectBytes: 640, live: 5, slabs: 1 },
    ],
    samples: samplesOf(trace, shape),
    sampleSummary: summaryOf(samplesOf(trace, shape)),
    rejections: trace === 0 ? [{ cause: 'free of a pointer never allocated', count: 12, first: 'server-mix.csv:1841' }] : [],
    losses: trace === 1 ? [{ cause: 'kmem:rss_stat, a counter and no event', count: 2309, first: 'pyfork/events.perf.txt.gz:254' }] : [],
    oom: trace === 0 && pmm === 'buddy' ? 'event 731204: order 0 for pid 7; user 196 211 frames, tables 1 221; free blocks per order: none' : null,
    timing: { wall_s: wall, cpu_s: wall * 1.04, max_rss_bytes: 180_000_000 + trace * 1_000_000, events_per_s: shape.events / wall, startup_s: 0.031 },
  };
}

export function sampleRun(options: SampleOptions = {}): RunResult {
  const full: Required<SampleOptions> = {
    traces: options.traces ?? 2,
    pmms: options.pmms ?? ['bitmap', 'free-stack', 'buddy'],
    points: options.points ?? 200,
    memoryMiB: options.memoryMiB ?? 1024,
  };
  const traces = Array.from({ length: full.traces }, (_, i) => i);
  const cells = traces.flatMap((trace) => full.pmms.map((pmm) => cellOf(trace, pmm, full)));
  return {
    schema: RESULT_SCHEMA,
    version: '0.1.0',
    command: `framewalk run ${traces.map((i) => `/home/somebody/traces/${TRACE_NAMES[i]}.fwt`).join(' ')} --pmm ${full.pmms.join(',')} --memory ${full.memoryMiB}MiB --workers 2 --out out/x`,
    cells,
    traces: traces.map((i) => ({
      name: TRACE_NAMES[i],
      hash: `${i}c84a7c26${'0'.repeat(55)}`,
      rows: 40_000 * (i + 1) * 25,
      source: i === 0 ? 'synth' : 'perf',
      counts: { write: 600_000, mmap: 1_200, fork: 64, exit: 64 },
      provenance: { machine: 'Linux 6.18, x86-64', command: `${TRACE_NAMES[i]} --run` },
    })),
  };
}

/** The run with one metric of one cell changed, for tests that must notice. */
export function withMetric(run: RunResult, cell: number, name: string, change: (value: number) => number | null): RunResult {
  const cells = run.cells.map((c, i) => (i === cell ? { ...c, metrics: { ...c.metrics, [name]: change(c.metrics[name] ?? 0) } } : c));
  return { ...run, cells };
}
