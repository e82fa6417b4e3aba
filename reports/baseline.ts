/**
 * The baseline: the deterministic metrics of a run that somebody has looked at and accepted, as a file for version control.
 *
 * One line a metric, cells sorted by their configuration and metrics by name, so that a blessed change reads as a diff of exactly what changed.
 * It records the hash of each trace and the full configuration: numbers of other events or another machine are never compared.
 */
import { readFileSync } from 'node:fs';
import type { Metric } from '../core/metrics/metric.js';
import { RESULT_SCHEMA } from '../core/replay/result.js';
import type { CellConfig } from '../core/replay/result.js';
import { UserError } from '../traces/event.js';
import { assertDescribed, deterministic, metricValue } from './cells.js';
import type { StoredCell, StoredRun } from './cells.js';
import { stableJson } from './json.js';
import { writeFiles } from './write.js';

/** Layout of the baseline file; RESULT_SCHEMA is the meaning of the numbers in it. */
export const BASELINE_FORMAT = 1;

/** A configuration by the names the command line uses; everything that decides a cell's numbers but the trace's content. */
export type CellKey = Readonly<Record<string, string | number | boolean>>;

export interface BaselineCell {
  readonly key: CellKey;
  readonly trace_hash: string;
  readonly metrics: Readonly<Record<string, number | null>>;
}

export interface Baseline {
  readonly format: number;
  readonly schema: number;
  /** Version of framewalk that was blessed; for people, not compared. */
  readonly version: string;
  readonly cells: readonly BaselineCell[];
}

export function cellKey(config: CellConfig): CellKey {
  return {
    trace: config.trace,
    arch: config.arch,
    // Another file of the same name is another strategy.
    pmm: config.pmmHash === '' ? config.pmm : `${config.pmm} ${config.pmmHash.slice(0, 16)}`,
    heap: config.heap,
    // A policy without some of its rules is another one.
    policy: [config.policy, ...config.without.map((rule) => `-${rule}`)].join(' '),
    tlb: config.tlb,
    touch: config.touch,
    memory_bytes: config.memoryBytes,
    memmap: config.memmap.map(({ first, count }) => `${first}+${count}`).join(' '),
    kernel_heap: config.kernelHeap,
    on_oom: config.onOom,
    // Which CPU an event ran on matters where there are several.
    cpus: config.cpus === 1 ? 1 : `${config.cpus} ${config.spread}`,
    seed: config.seed,
    age: `${config.age} ${config.ageHash.slice(0, 16)}`.trim(),
    repeat: config.repeat,
    pids: config.pids.join(' '),
    window: config.window === null ? '' : `${config.window[0]}..${config.window[1]}`,
  };
}

/** One text for a key, for maps and for sorting. */
export function keyText(key: CellKey): string {
  return Object.values(key).map(String).join('\u0000');
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

function baselineCell(cell: StoredCell, columns: readonly Metric[]): BaselineCell {
  const values = columns.map((metric) => [metric.name, metricValue(cell, metric)] as const);
  return { key: cellKey(cell.config), trace_hash: cell.config.traceHash, metrics: Object.fromEntries([...values].sort(byName)) };
}

/** The baseline that accepts this run. */
export function blessBaseline(run: StoredRun, metrics: readonly Metric[]): Baseline {
  assertDescribed(run, metrics);
  const columns = deterministic(metrics);
  const cells = new Map<string, BaselineCell>();
  for (const cell of run.cells) {
    const blessed = baselineCell(cell, columns);
    const text = keyText(blessed.key);
    if (cells.has(text))
      throw new UserError(`two cells of the run have the same configuration (${cell.config.trace}, ${cell.config.pmm}); a baseline needs each once`);
    cells.set(text, blessed);
  }
  const sorted = [...cells].sort(byName).map(([, cell]) => cell);
  return { format: BASELINE_FORMAT, schema: run.schema, version: run.version, cells: sorted };
}

/** Text of the baseline file. */
export function baselineText(baseline: Baseline): string {
  const cells = baseline.cells.map(({ key, trace_hash, metrics }) => ({ ...key, trace_hash, metrics }));
  return `${stableJson({ framewalk: 'baseline', format: baseline.format, schema: baseline.schema, version: baseline.version, cells })}\n`;
}

/** Writes the baseline file, whole or not at all. */
export function writeBaseline(path: string, baseline: Baseline): void {
  writeFiles(new Map([[path, baselineText(baseline)]]));
}

const REMEDY = '`framewalk bless --baseline FILE RUN` writes one';

type Fields = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string, complain: (what: string) => never): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return complain((error as Error).message);
  }
}

function readMetrics(value: unknown, complain: (what: string) => never): Record<string, number | null> {
  if (!isRecord(value)) complain('"metrics" of a cell is not a record');
  const metrics: Record<string, number | null> = {};
  for (const [name, number] of Object.entries(value)) {
    if (number !== null && typeof number !== 'number') complain(`metric ${name} is not a number`);
    metrics[name] = number;
  }
  return metrics;
}

function readCell(value: unknown, complain: (what: string) => never): BaselineCell {
  if (!isRecord(value)) complain('a cell is not a record');
  const { trace_hash, metrics, ...rest } = value;
  if (typeof trace_hash !== 'string') complain('a cell has no "trace_hash"');
  const key: Record<string, string | number | boolean> = {};
  for (const [name, field] of Object.entries(rest)) {
    if (typeof field !== 'string' && typeof field !== 'number' && typeof field !== 'boolean') complain(`"${name}" of a cell is neither a word nor a number`);
    key[name] = field;
  }
  return { key, trace_hash, metrics: readMetrics(metrics, complain) };
}

/** Reads the text of a baseline file; `path` is for the message. UserError when it is none or of another format. */
export function parseBaseline(text: string, path: string): Baseline {
  const complain = (what: string): never => {
    throw new UserError(`${path}: not a baseline (${what}); ${REMEDY}`);
  };
  const value = parsed(text, complain);
  if (!isRecord(value) || value['framewalk'] !== 'baseline') return complain('"framewalk": "baseline" is missing');
  const { format, schema, version, cells } = value;
  if (format !== BASELINE_FORMAT)
    throw new UserError(`${path}: baseline of format ${JSON.stringify(format)}, this version reads ${BASELINE_FORMAT}; bless it anew`);
  if (typeof schema !== 'number' || typeof version !== 'string' || !Array.isArray(cells)) return complain('"schema", "version" or "cells" is missing');
  return { format, schema, version, cells: cells.map((cell: unknown) => readCell(cell, complain)) };
}

/** Reads a baseline file. UserError when there is none or it is damaged. */
export function readBaseline(path: string): Baseline {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new UserError(code === 'ENOENT' ? `${path}: no baseline there; ${REMEDY}` : `${path}: cannot be read (${code}); ${REMEDY}`);
  }
  return parseBaseline(text, path);
}

/** Whether numbers of that meaning can be compared by this version. */
export function comparable(schema: number): boolean {
  return schema === RESULT_SCHEMA;
}
