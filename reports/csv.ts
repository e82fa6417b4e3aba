/**
 * The CSV files of a run: results.csv, timeline.csv, processes.csv, fragmentation.csv, blame.csv, contiguity.csv, rounds.csv (deterministic) and timing.csv (a clock).
 *
 * RFC 4180 quoting (only where a field needs it), lines end in LF, the first line names the columns. Numbers are exact; an empty field is a
 * value the trace cannot give, never a zero. Columns beyond the identifying ones come from metric descriptors and from the timeline's own names.
 */
import type { Metric } from '../core/metrics/metric.js';
import { COVER_PERCENTS, LARGEST_RANGES } from '../core/replay/result.js';
import type { CellConfig, CellResult, CellTiming, ProcessPeaks, RoundRow, RunResult } from '../core/replay/result.js';
import { quantileSorted } from 'simple-statistics';
import { assertDescribed, deterministic, metricValue } from './cells.js';
import type { StoredRun } from './cells.js';
import { exact } from './format.js';

type Field = string | number | null;

function field(value: Field): string {
  if (value === null) return '';
  if (typeof value === 'number') return exact(value);
  return /[",\r\n]/.test(value) || value.trim() !== value ? `"${value.replaceAll('"', '""')}"` : value;
}

function table(header: readonly string[], rows: Iterable<readonly Field[]>): string {
  const lines = [header.map(field).join(',')];
  for (const row of rows) lines.push(row.map(field).join(','));
  return `${lines.join('\n')}\n`;
}

const CELL_COLUMNS = ['trace', 'arch', 'pmm', 'heap'] as const;

function cellFields(config: CellConfig): Field[] {
  return [config.trace, config.arch, config.pmm, config.heap];
}

/** results.csv: one row a cell; null = empty. */
export function resultsCsv(run: StoredRun, metrics: readonly Metric[]): string {
  assertDescribed(run, metrics);
  const columns = deterministic(metrics);
  const header = [
    ...CELL_COLUMNS,
    'policy',
    'tlb',
    'touch',
    'memory_bytes',
    'cpus',
    'seed',
    'age',
    'repeat',
    'confidence',
    ...columns.map((metric) => metric.name),
  ];
  const rows = run.cells.map((cell) => {
    const { config } = cell;
    const identity = [config.policy, config.tlb, config.touch, config.memoryBytes, config.cpus, config.seed, config.age, config.repeat, cell.confidence.level];
    return [...cellFields(config), ...identity, ...columns.map((metric) => metricValue(cell, metric))];
  });
  return table(header, rows);
}

/** timeline.csv: one row a cell and sample point; columns that only some cells have (levels of another architecture) are empty elsewhere. */
export function timelineCsv(run: StoredRun): string {
  const columns = [...new Set(run.cells.flatMap((cell) => cell.timeline.columns))];
  function* rows(): Generator<Field[]> {
    for (const cell of run.cells) {
      const at = columns.map((name) => cell.timeline.columns.indexOf(name));
      const identity = cellFields(cell.config);
      for (const row of cell.timeline.rows) yield [...identity, ...at.map((index) => (index < 0 ? null : (row[index] ?? null)))];
    }
  }
  return table([...CELL_COLUMNS, ...columns], rows());
}

const PEAK_COLUMNS = [
  'rss_peak_bytes',
  'anonymous_peak_bytes',
  'file_peak_bytes',
  'shared_peak_bytes',
  'vm_size_peak_bytes',
  'table_bytes_peak',
  'vmas_peak_count',
  'minor_faults_count',
  'cow_breaks_count',
] as const satisfies readonly (keyof ProcessPeaks)[];

/** processes.csv: one row a cell and process. */
export function processesCsv(run: StoredRun): string {
  function* rows(): Generator<Field[]> {
    for (const cell of run.cells) {
      for (const process of cell.processes) {
        yield [...cellFields(cell.config), process.pid, process.parent, process.command, ...PEAK_COLUMNS.map((name) => process[name])];
      }
    }
  }
  return table([...CELL_COLUMNS, 'pid', 'parent', 'command', ...PEAK_COLUMNS], rows());
}

/** fragmentation.csv: one row a cell, sample point and order; the indices as Linux prints them, in thousandths: 0 to 1, and -1 = would be served. */
export function fragmentationCsv(run: StoredRun): string {
  function* rows(): Generator<Field[]> {
    for (const cell of run.cells) {
      for (const { event, freeBlocks, unusableIndex, fragmentationIndex } of cell.fragmentation) {
        for (const [order, blocks] of freeBlocks.entries())
          yield [...cellFields(cell.config), event, order, blocks, (unusableIndex[order] ?? 0) / 1000, (fragmentationIndex[order] ?? 0) / 1000];
      }
    }
  }
  return table([...CELL_COLUMNS, 'event', 'order', 'free_blocks_count', 'unusable_free_index', 'fragmentation_index'], rows());
}

/** blame.csv: the worst holders of broken 2 MiB blocks near the peak and at the end, one row each, worst first. */
export function blameCsv(run: StoredRun): string {
  function* rows(): Generator<Field[]> {
    for (const cell of run.cells) {
      for (const moment of ['peak', 'end'] as const) {
        const { event, rows: worst } = cell.blame[moment];
        for (const [i, row] of worst.entries()) {
          const holder = [row.pid, row.command, row.mapping, row.kind, row.movable ? 'yes' : 'no'];
          yield [...cellFields(cell.config), moment, event, i + 1, ...holder, row.blocks, row.alone, row.frames, row.first_event];
        }
      }
    }
  }
  const holder = ['pid', 'command', 'mapping', 'kind', 'movable'];
  return table([...CELL_COLUMNS, 'moment', 'event', 'rank', ...holder, 'blocks_count', 'blocks_alone_count', 'held_frames', 'first_event'], rows());
}

/** contiguity.csv: one row a cell and process. */
export function contiguityCsv(run: StoredRun): string {
  function* rows(): Generator<Field[]> {
    for (const cell of run.cells) {
      for (const { pid, command, event, pages, ranges, toCover, covered } of cell.contiguity)
        yield [...cellFields(cell.config), pid, command, event, pages, ranges, ...toCover, ...covered.map((part) => share(part, pages))];
    }
  }
  const toCover = COVER_PERCENTS.map((percent) => `ranges_${percent}_count`);
  const covered = LARGEST_RANGES.map((n) => `largest_${n}_ratio`);
  return table([...CELL_COLUMNS, 'pid', 'command', 'event', 'pages_count', 'ranges_count', ...toCover, ...covered], rows());
}

const ROUND_COLUMNS = [
  'round',
  'frames_start',
  'frames_peak',
  'frames_end',
  'unusable_free_index_order_9',
  'unusable_free_index_order_9_end',
  'free_huge_score',
  'free_huge_score_end',
  'largest_free_block_frames_end',
  'contiguity_ranges_99',
  'pmm_steps_per_op',
  'alloc_failures_count',
  'huge_failures_count',
] as const satisfies readonly (keyof RoundRow)[];

/** rounds.csv: one row a cell and round of `--repeat`; only the header without it. */
export function roundsCsv(run: StoredRun): string {
  const rows = run.cells.flatMap((cell) => cell.rounds.map((row) => [...cellFields(cell.config), ...ROUND_COLUMNS.map((name) => row[name])]));
  return table([...CELL_COLUMNS, ...ROUND_COLUMNS], rows);
}

/** As ratios of metrics: nine digits, null without pages. */
const share = (part: number, whole: number): number | null => (whole === 0 ? null : Math.round((part / whole) * 1e9) / 1e9);

const CLOCK_COLUMNS = ['wall_s', 'cpu_s', 'max_rss_bytes', 'events_per_s', 'startup_s'] as const satisfies readonly (keyof CellTiming)[];

/** Timings of the repeats of each cell, parallel to the run's cells; without them each cell was timed once. */
export type Repeats = readonly (readonly CellTiming[])[];

/** Median of what a repeated measurement gave; the value itself when there is one. */
export function median(values: readonly number[]): number {
  return quantileSorted([...values].sort(ascending), 0.5);
}
const ascending = (a: number, b: number): number => a - b;

function clockFields(values: readonly number[]): Field[] {
  const sorted = [...values].sort(ascending);
  const repeated = sorted.length > 1;
  const spread = (sorted[sorted.length - 1] ?? 0) - (sorted[0] ?? 0);
  const quantile = (p: number): Field => (repeated ? quantileSorted(sorted, p) : null);
  return [quantileSorted(sorted, 0.5), quantile(0.95), quantile(0.99), repeated ? spread : null];
}

function timingsOf(cell: CellResult, index: number, repeats: Repeats | undefined): readonly CellTiming[] {
  const given = repeats?.[index];
  return given === undefined || given.length === 0 ? [cell.timing] : given;
}

/**
 * timing.csv: medians by the clock's names, each with `_p95`, `_p99` and `_spread` (largest minus smallest) when there were repeats, then the
 * timed metrics of the registry. Not deterministic.
 */
export function timingCsv(run: RunResult, metrics: readonly Metric[], repeats?: Repeats): string {
  const timed = metrics.filter((metric) => !metric.deterministic && !CLOCK_COLUMNS.some((name) => name === metric.name));
  const header = [...CELL_COLUMNS, 'repeats', ...CLOCK_COLUMNS.flatMap((name) => [name, `${name}_p95`, `${name}_p99`, `${name}_spread`])];
  const rows = run.cells.map((cell, index) => {
    const timings = timingsOf(cell, index, repeats);
    const clocks = CLOCK_COLUMNS.flatMap((name) => clockFields(timings.map((timing) => timing[name])));
    return [...cellFields(cell.config), timings.length, ...clocks, ...timed.map((metric) => metricValue(cell, metric))];
  });
  return table([...header, ...timed.map((metric) => metric.name)], rows);
}
