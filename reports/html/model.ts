/**
 * What the sections of the report read: a run's cells by trace, with their timelines as arrays.
 *
 * Timelines are read by the names of their columns; a column that is not there leaves its charts out. Values the reports derive for a picture (a rate between
 * two sample points, the share of a level) are never metrics.
 */
import type { Metric } from '../../core/metrics/metric.js';
import type { CellTiming } from '../../core/replay/result.js';
import { groupByTrace } from '../cells.js';
import type { ReportCell, ReportRun } from '../cells.js';

/** Order of the smallest block that counts as whole: 2 MiB of 4 KiB frames. */
export const HUGE_ORDER = 9;
const PAGE_SIZE = 4096;

export interface Series {
  readonly event: readonly number[];
  readonly anonymous: readonly number[];
  readonly file: readonly number[];
  readonly shared: readonly number[];
  readonly table: readonly number[];
  readonly kernel: readonly number[];
  /** Movable pages of a page allocator's recording. */
  readonly movable: readonly number[];
  /** Memory that was aged before the trace; not among what is used. */
  readonly aged: readonly number[];
  readonly used: readonly number[];
  readonly free: readonly number[];
  /** Free frames in wholly free 2 MiB blocks. */
  readonly whole: readonly number[];
}

export interface ReportStrategy {
  /** Position among the trace's strategies: decides marker and dash. */
  readonly index: number;
  readonly label: string;
  readonly cell: ReportCell;
  readonly series: Series;
  /** Timings of repeats, one when there were none, empty when nobody looked at a clock. */
  readonly timings: readonly CellTiming[];
}

export interface ReportTrace {
  readonly index: number;
  readonly name: string;
  readonly strategies: readonly ReportStrategy[];
  readonly events: number;
  readonly pageSize: number;
  /** Usable frames, and those of them that aged memory held at most. */
  readonly totalFrames: number;
  readonly agedFrames: number;
  /** The trace is a recording of a page allocator: it has frames, but no processes, page tables or lookups. */
  readonly pages: boolean;
  /** Row of the timelines with most frames in use, and where the last exits begin (or -1). */
  readonly peak: number;
  readonly exits: { readonly row: number; readonly count: number } | null;
}

export interface ReportModel {
  readonly run: ReportRun;
  readonly metrics: readonly Metric[];
  readonly traces: readonly ReportTrace[];
  /** Most strategies of a trace. */
  readonly width: number;
}

/** A column of the timeline with gaps as 0, or null when the timeline does not have it. */
export function columnOf(cell: ReportCell, ...names: readonly string[]): number[] | null {
  const index = cell.timeline.columns.findIndex((name) => names.includes(name));
  return index < 0 ? null : cell.timeline.rows.map((row) => row[index] ?? 0);
}

/** The sum of two columns, or null when one is missing. */
export function sumOf(cell: ReportCell, one: string, other: string): number[] | null {
  const [a, b] = [columnOf(cell, one), columnOf(cell, other)];
  return a === null || b === null ? null : a.map((value, i) => value + b[i]);
}

/** Usable frames of the cell's memory. */
export function framesOf(cell: ReportCell): number {
  const usable = cell.config.memmap.reduce((sum, range) => sum + range.count, 0);
  return usable > 0 ? usable : Math.floor(cell.config.memoryBytes / PAGE_SIZE);
}

export function pageSizeOf(cell: ReportCell): number {
  const tableBytes = cell.metrics['table_bytes_peak'] ?? 0;
  const tableFrames = cell.metrics['table_frames_peak'] ?? 0;
  return tableBytes > 0 && tableFrames > 0 ? tableBytes / tableFrames : PAGE_SIZE;
}

function wholeFromBlocks(cell: ReportCell, events: readonly number[]): number[] {
  let at = 0;
  return events.map((event) => {
    while (at + 1 < cell.fragmentation.length && (cell.fragmentation[at + 1]?.event ?? Infinity) <= event) at++;
    const blocks = cell.fragmentation[at]?.freeBlocks ?? [];
    return blocks.reduce((sum, count, order) => (order < HUGE_ORDER ? sum : sum + count * 2 ** order), 0);
  });
}

function seriesOf(cell: ReportCell): Series {
  const event = columnOf(cell, 'event') ?? [];
  const zeros = event.map(() => 0);
  const read = (...names: string[]): number[] => columnOf(cell, ...names) ?? zeros;
  const [anonymous, file, shared, table, kernel, movable, aged] = [
    read('anonymous_frames'),
    read('file_frames'),
    read('shared_frames'),
    read('table_frames'),
    read('kernel_frames'),
    read('movable_frames'),
    read('aged_frames'),
  ];
  const used = event.map((_, i) => anonymous[i] + file[i] + shared[i] + table[i] + kernel[i] + movable[i]);
  const total = framesOf(cell);
  const free = columnOf(cell, 'free_frames') ?? used.map((frames) => Math.max(0, total - frames));
  return {
    event,
    anonymous,
    file,
    shared,
    table,
    kernel,
    movable,
    aged,
    used,
    free,
    whole: columnOf(cell, 'free_huge_frames') ?? wholeFromBlocks(cell, event),
  };
}

function indexOfMax(values: readonly number[]): number {
  let best = 0;
  values.forEach((value, i) => {
    if (value > values[best]) best = i;
  });
  return best;
}

/** The tail of the run in which processes only go: worth a wash when at least three go and it takes a visible part of the run. */
function exitPhase(cell: ReportCell): ReportTrace['exits'] {
  const processes = columnOf(cell, 'processes_count');
  if (processes === null || processes.length < 10) return null;
  let row = processes.length - 1;
  while (row > 0 && processes[row - 1] >= processes[row]) row--;
  while (row + 1 < processes.length && processes[row + 1] === processes[row]) row++;
  const count = processes[row] - processes[processes.length - 1];
  const long = processes.length - row;
  return count >= 3 && long >= processes.length * 0.04 && long <= processes.length * 0.6 ? { row, count } : null;
}

export type Repeats = readonly (readonly CellTiming[])[];

export function buildModel(run: ReportRun, metrics: readonly Metric[], repeats?: Repeats): ReportModel {
  const position = new Map(run.cells.map((cell, i) => [cell, i]));
  const timingsOf = (cell: ReportCell): readonly CellTiming[] => {
    const given = repeats?.[position.get(cell) ?? -1] ?? [];
    return given.length > 0 ? given : cell.timing === undefined ? [] : [cell.timing];
  };
  const traces = groupByTrace(run.cells).map((group, index): ReportTrace => {
    const strategies = group.cells.map((cell, i) => ({ index: i, label: group.labels[i], cell, series: seriesOf(cell), timings: timingsOf(cell) }));
    const first = strategies[0];
    const ends = strategies.map((strategy) => strategy.series.event[strategy.series.event.length - 1] ?? 0);
    return {
      index,
      name: group.trace,
      strategies,
      events: Math.max(1, ...ends),
      pageSize: pageSizeOf(first.cell),
      totalFrames: Math.max(...group.cells.map(framesOf)),
      agedFrames: Math.max(0, ...strategies.flatMap(({ series }) => series.aged)),
      pages: columnOf(first.cell, 'movable_frames') !== null,
      peak: indexOfMax(first.series.used),
      exits: exitPhase(first.cell),
    };
  });
  return { run, metrics, traces, width: Math.max(1, ...traces.map((trace) => trace.strategies.length)) };
}

/** What frames of the kernel are in a trace. */
export const kernelName = (trace: ReportTrace): string => (trace.pages ? 'kernel pages' : 'kernel heap');

/** Strategies that share a value, in the order of their first: charts that would be equal are drawn once. */
export function sharing<T>(
  strategies: readonly ReportStrategy[],
  valueOf: (strategy: ReportStrategy) => T,
): { readonly value: T; readonly strategies: readonly ReportStrategy[] }[] {
  const groups = new Map<string, { value: T; strategies: ReportStrategy[] }>();
  for (const strategy of strategies) {
    const value = valueOf(strategy);
    const text = JSON.stringify(value);
    const group = groups.get(text);
    if (group === undefined) groups.set(text, { value, strategies: [strategy] });
    else group.strategies.push(strategy);
  }
  return [...groups.values()];
}
