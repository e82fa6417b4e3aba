/**
 * How the reports see a run: cells with or without the clock's part, which of them are compared with each other, and what they are called.
 *
 * Cells of the same trace are compared; what tells them apart is their strategy's name: the PMM, plus whatever else differs between
 * cells of that trace (architecture, heap, policy, ...). Nothing here computes a metric.
 */
import type { CellConfig, CellResult, CellTiming, RunResult } from '../core/replay/result.js';
import type { Metric } from '../core/metrics/metric.js';

/** A cell without what the clock said: all that results.json holds. Every `CellResult` is one. */
export type StoredCell = Omit<CellResult, 'timing'>;

/** A run as results.json keeps it. Every `RunResult` is one. */
export interface StoredRun extends Omit<RunResult, 'cells'> {
  readonly cells: readonly StoredCell[];
}

/** A cell for the eye: with the clock's part if there is one. */
export type ReportCell = StoredCell & { readonly timing?: CellTiming };

export interface ReportRun extends Omit<RunResult, 'cells'> {
  readonly cells: readonly ReportCell[];
}

/** The cells of one trace, in the run's order, each with the name that tells it apart. */
export interface TraceGroup<C extends StoredCell> {
  readonly trace: string;
  readonly cells: readonly C[];
  readonly labels: readonly string[];
}

type Word = (config: CellConfig) => string;

/** Beyond the PMM, what can tell two cells of a trace apart, and how it is said. Every field of CellConfig but the trace is here or is the PMM. */
const DISTINCTIONS: readonly Word[] = [
  (c) => c.arch,
  (c) => c.heap,
  (c) => c.policy,
  (c) => (c.without.length === 0 ? 'all rules' : `without ${c.without.join(',')}`),
  (c) => c.tlb,
  (c) => c.touch,
  (c) => `${c.memoryBytes} B`,
  (c) => `map ${c.memmap.map((range) => `${range.first}+${range.count}`).join(',')}`,
  (c) => (c.kernelHeap ? 'kernel heap' : 'no kernel heap'),
  (c) => `on oom ${c.onOom}`,
  (c) => `${c.cpus} cpus`,
  (c) => `cpus ${c.spread}`,
  (c) => `seed ${c.seed}`,
  (c) => (c.age === '' ? 'fresh memory' : `aged ${c.age} ${c.ageHash.slice(0, 8)}`.trim()),
  (c) => `${c.repeat} rounds`,
  (c) => (c.pids.length === 0 ? 'all pids' : `pid ${c.pids.join(',')}`),
  (c) => (c.window === null ? 'whole trace' : `window ${c.window[0]}..${c.window[1]}`),
];

/** Names of the cells, unique within the list unless two configurations are equal. */
export function strategyLabels(configs: readonly CellConfig[]): string[] {
  const differing = DISTINCTIONS.filter((word) => new Set(configs.map(word)).size > 1);
  return configs.map((config) => [config.pmm, ...differing.map((word) => word(config))].join(' · '));
}

/** Cells by trace, traces in the order of their first cell. */
export function groupByTrace<C extends StoredCell>(cells: readonly C[]): TraceGroup<C>[] {
  const groups = new Map<string, C[]>();
  for (const cell of cells) {
    const group = groups.get(cell.config.trace);
    if (group === undefined) groups.set(cell.config.trace, [cell]);
    else group.push(cell);
  }
  return [...groups].map(([trace, members]) => ({ trace, cells: members, labels: strategyLabels(members.map((cell) => cell.config)) }));
}

/** What a cell has for a metric; null when the trace cannot give it (or the run is older than the metric). */
export function metricValue(cell: StoredCell, metric: Metric): number | null {
  return cell.metrics[metric.name] ?? null;
}

/** Deterministic metrics in the order of the registry. */
export function deterministic(metrics: readonly Metric[]): Metric[] {
  return metrics.filter((metric) => metric.deterministic);
}

/** Every metric of a cell has a descriptor, else nobody knows whether it may be written: a defect, not the user's mistake. */
export function assertDescribed(run: StoredRun, metrics: readonly Metric[]): void {
  const known = new Set(metrics.map((metric) => metric.name));
  for (const cell of run.cells) {
    for (const name of Object.keys(cell.metrics)) {
      if (!known.has(name)) throw new Error(`metric ${name} of trace ${cell.config.trace} has no descriptor`);
    }
  }
}
