/**
 * Report formats: one line each. A format turns a run into the text of one file.
 */
import { join } from 'node:path';
import type { Metric } from '../core/metrics/metric.js';
import type { RunResult } from '../core/replay/result.js';
import { UserError } from '../traces/event.js';
import { processesCsv, resultsCsv, timelineCsv, timingCsv } from './csv.js';
import type { Repeats } from './csv.js';
import { RESULTS_FILE, resultsJson } from './json.js';
import { makeFolder, writeFiles } from './write.js';

/** What a format is given beside the run. */
export interface ReportContext {
  /** The registry of metrics; its order is the order of columns and rows. */
  readonly metrics: readonly Metric[];
  /** Timings of repeated cells, parallel to the run's cells. */
  readonly repeats?: Repeats;
}

export interface ReportFormat {
  readonly name: string;
  /** File name in the run's folder. */
  readonly file: string;
  readonly about: string;
  /** Byte-identical for the same traces, configuration and version. */
  readonly deterministic: boolean;
  render(run: RunResult, context: ReportContext): string | Promise<string>;
}

/** In the order `--help` shows. */
export const REPORT_FORMATS: readonly ReportFormat[] = unique([
  {
    name: 'csv',
    file: 'results.csv',
    about: 'one row a cell, every deterministic metric',
    deterministic: true,
    render: (run, { metrics }) => resultsCsv(run, metrics),
  },
  { name: 'timeline', file: 'timeline.csv', about: 'one row a cell and sample point', deterministic: true, render: (run) => timelineCsv(run) },
  { name: 'processes', file: 'processes.csv', about: 'peaks of each process', deterministic: true, render: (run) => processesCsv(run) },
  {
    name: 'json',
    file: RESULTS_FILE,
    about: 'all deterministic results with the configuration',
    deterministic: true,
    render: (run, { metrics }) => resultsJson(run, metrics),
  },
  {
    name: 'timing',
    file: 'timing.csv',
    about: 'what a clock said; differs from run to run',
    deterministic: false,
    render: (run, { metrics, repeats }) => timingCsv(run, metrics, repeats),
  },
]);

/** The formats unless two share a name or a file, which is a defect. */
export function unique(formats: readonly ReportFormat[]): readonly ReportFormat[] {
  for (const key of ['name', 'file'] as const) {
    const seen = new Set<string>();
    for (const format of formats) {
      if (seen.has(format[key])) throw new Error(`two report formats share the ${key} ${format[key]}`);
      seen.add(format[key]);
    }
  }
  return formats;
}

/** Levenshtein distance, for "did you mean". */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The format of that name; UserError with the known ones and the closest match otherwise. */
export function reportFormat(name: string): ReportFormat {
  const found = REPORT_FORMATS.find((format) => format.name === name);
  if (found !== undefined) return found;
  const names = REPORT_FORMATS.map((format) => format.name);
  const closest = [...names].sort((a, b) => distance(name, a) - distance(name, b))[0] ?? '';
  throw new UserError(`report format ${name}: unknown; known: ${names.join(', ')}; did you mean ${closest}?`);
}

/**
 * Renders the formats and writes their files into `dir`, which is made if need be: all of them or, on failure, none.
 * Returns the paths written. UserError when the folder or a file cannot be written.
 */
export async function writeRun(run: RunResult, dir: string, formats: readonly ReportFormat[], context: ReportContext): Promise<string[]> {
  makeFolder(dir);
  const files = new Map<string, string>();
  for (const format of formats) files.set(join(dir, format.file), await format.render(run, context));
  writeFiles(files);
  return [...files.keys()];
}
