/**
 * results.json: every deterministic thing a run says, and how to read it back.
 *
 * Left out: the clock's values and what is specific to a machine in the command line. Keys stand in a fixed order and numbers are exact, so that equal
 * runs are equal bytes. Layout: one key a line, lists of numbers and flat records on one line each, which keeps the file both small and comparable line by line.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metric } from '../core/metrics/metric.js';
import { RESULT_SCHEMA } from '../core/replay/result.js';
import type { Blame, MemoryPicture } from '../core/replay/result.js';
import { UserError } from '../traces/event.js';
import { assertDescribed, deterministic, metricValue } from './cells.js';
import type { StoredCell, StoredRun } from './cells.js';
import { portableCommand } from './command.js';
import { exact as exactText } from './format.js';

export const RESULTS_FILE = 'results.json';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const isScalar = (value: Json): value is string | number | boolean | null => value === null || typeof value !== 'object';
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

function inline(value: Json): string {
  if (typeof value === 'number') return exactText(value);
  if (isScalar(value)) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(inline).join(',')}]`;
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}: ${inline(member)}`);
  return `{${members.join(', ')}}`;
}

/** Flat: holds no list or record that itself holds lists or records. */
function isFlat(value: Json): boolean {
  if (isScalar(value)) return true;
  const inner = isList(value) ? value : Object.values(value);
  return inner.every((member) => isScalar(member) || (isList(member) && member.every(isScalar)));
}

/** Text of a JSON value: keys in the order given, flat members of lists on one line. */
export function stableJson(value: Json, indent = ''): string {
  if (isScalar(value)) return inline(value);
  const deeper = `${indent}  `;
  if (isList(value)) {
    if (value.every(isScalar)) return inline(value);
    const members = value.map((member) => deeper + (isFlat(member) ? inline(member) : stableJson(member, deeper)));
    return `[\n${members.join(',\n')}\n${indent}]`;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  return `{\n${entries.map(([key, member]) => `${deeper}${JSON.stringify(key)}: ${stableJson(member, deeper)}`).join(',\n')}\n${indent}}`;
}

const ascii = (a: readonly [string, unknown], b: readonly [string, unknown]): number => (a[0] < b[0] ? -1 : 1);

function sorted<V extends Json>(record: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(record).sort(ascii));
}

function picture(p: MemoryPicture): Json {
  return { event: p.event, framesPerPiece: p.framesPerPiece, pieces: p.pieces };
}

function blame(b: Blame): Json {
  return {
    event: b.event,
    broken_blocks: b.broken_blocks,
    free_frames: b.free_frames,
    pinned_blocks: b.pinned_blocks,
    kinds: b.kinds.map(({ kind, movable, blocks, alone, frames }) => ({ kind, movable, blocks, alone, frames })),
    holders: b.holders,
    rows: b.rows.map((r) => ({
      pid: r.pid,
      command: r.command,
      mapping: r.mapping,
      kind: r.kind,
      movable: r.movable,
      blocks: r.blocks,
      alone: r.alone,
      frames: r.frames,
      first_event: r.first_event,
    })),
  };
}

const pair = ([a, b]: readonly [number, number]): Json => [a, b];

function cellJson(cell: StoredCell, columns: readonly Metric[]): Json {
  const c = cell.config;
  return {
    config: {
      trace: c.trace,
      traceHash: c.traceHash,
      arch: c.arch,
      pmm: c.pmm,
      pmmHash: c.pmmHash,
      heap: c.heap,
      policy: c.policy,
      without: c.without,
      tlb: c.tlb,
      touch: c.touch,
      memoryBytes: c.memoryBytes,
      memmap: c.memmap.map(({ first, count }) => ({ first, count })),
      kernelHeap: c.kernelHeap,
      onOom: c.onOom,
      cpus: c.cpus,
      spread: c.spread,
      seed: c.seed,
      pids: c.pids,
      window: c.window === null ? null : pair(c.window),
    },
    confidence: { level: cell.confidence.level, reason: cell.confidence.reason },
    metrics: Object.fromEntries(columns.map((metric) => [metric.name, metricValue(cell, metric)])),
    absent: sorted(Object.fromEntries(Object.entries(cell.absent).filter(([name]) => columns.some((metric) => metric.name === name)))),
    timeline: { columns: cell.timeline.columns, rows: cell.timeline.rows },
    processes: cell.processes.map((p) => ({
      pid: p.pid,
      command: p.command,
      parent: p.parent,
      rss_peak_bytes: p.rss_peak_bytes,
      anonymous_peak_bytes: p.anonymous_peak_bytes,
      file_peak_bytes: p.file_peak_bytes,
      shared_peak_bytes: p.shared_peak_bytes,
      vm_size_peak_bytes: p.vm_size_peak_bytes,
      table_bytes_peak: p.table_bytes_peak,
      vmas_peak_count: p.vmas_peak_count,
      minor_faults_count: p.minor_faults_count,
      cow_breaks_count: p.cow_breaks_count,
    })),
    fragmentation: cell.fragmentation.map(({ event, freeBlocks, unusableIndex, fragmentationIndex }) => ({
      event,
      freeBlocks,
      unusableIndex,
      fragmentationIndex,
    })),
    blame: { peak: blame(cell.blame.peak), end: blame(cell.blame.end) },
    contiguity: cell.contiguity.map(({ pid, command, event, pages, ranges, toCover, covered }) => ({ pid, command, event, pages, ranges, toCover, covered })),
    pictures: { peak: picture(cell.pictures.peak), end: picture(cell.pictures.end) },
    tables: {
      peak: cell.tables.peak.map(({ level, name, tables, entries }) => ({ level, name, tables, entries })),
      end: cell.tables.end.map(({ level, name, tables, entries }) => ({ level, name, tables, entries })),
    },
    distributions: cell.distributions.map(({ name, unit, bins }) => ({ name, unit, bins: bins.map(pair) })),
    cpus: cell.cpus.map(({ cpu, allocations, frees, remote_frees, shared_uses, hand_overs }) => ({
      cpu,
      allocations,
      frees,
      remote_frees,
      shared_uses,
      hand_overs,
    })),
    kernelHeap: cell.kernelHeap.map(({ name, objectBytes, live, slabs }) => ({ name, objectBytes, live, slabs })),
    samples: cell.samples.map(({ event, time, pid, quantity, measured, predicted, racy }) => ({ event, time, pid, quantity, measured, predicted, racy })),
    sampleSummary: cell.sampleSummary.map(({ quantity, samples, racy, exact, max_error }) => ({ quantity, samples, racy, exact, max_error })),
    rejections: cell.rejections.map(({ cause, count, first }) => ({ cause, count, first })),
    losses: cell.losses.map(({ cause, count, first }) => ({ cause, count, first })),
    oom: cell.oom,
  };
}

/** Text of results.json. */
export function resultsJson(run: StoredRun, metrics: readonly Metric[]): string {
  assertDescribed(run, metrics);
  const columns = deterministic(metrics);
  const value: Json = {
    framewalk: 'run',
    schema: run.schema,
    version: run.version,
    command: portableCommand(run.command),
    traces: run.traces.map(({ name, hash, rows, source, counts, provenance }) => ({
      name,
      hash,
      rows,
      source,
      counts: sorted(counts),
      provenance: sorted(provenance),
    })),
    cells: run.cells.map((cell) => cellJson(cell, columns)),
  };
  return `${stableJson(value)}\n`;
}

const REMEDY = 'RUN is a directory that `framewalk run --out DIR` wrote';

function textOf(path: string, dir: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    throw new UserError(missing ? `${dir}: not the result of a run (no ${RESULTS_FILE} in it); ${REMEDY}` : `${path}: cannot be read (${code})`);
  }
}

function parsed(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path}: not JSON (${(error as Error).message}); run again to write it anew`);
  }
}

/**
 * Reads back what `framewalk run` wrote. Throws UserError when `dir` holds no run, when results.json is damaged, or when
 * its results mean something else (another schema version).
 */
export async function readRun(dir: string): Promise<StoredRun> {
  const path = join(dir, RESULTS_FILE);
  const value = parsed(path, textOf(path, dir));
  const head = value as { framewalk?: unknown; schema?: unknown } | null;
  if (typeof value !== 'object' || head === null || head.framewalk !== 'run') throw new UserError(`${path}: not the result of a run; ${REMEDY}`);
  if (head.schema !== RESULT_SCHEMA) {
    throw new UserError(`${path}: results of schema ${JSON.stringify(head.schema)}, this version reads schema ${RESULT_SCHEMA}; run again with this version`);
  }
  const { checkRun } = await import('./schema.js');
  return checkRun(path, value);
}
