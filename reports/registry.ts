/**
 * Report formats: one line each. A format turns a run into the text of one file.
 */
import { join } from 'node:path';
import { makeRegistry } from '../arch/registry-core.js';
import type { Metric } from '../core/metrics/metric.js';
import type { RunResult } from '../core/replay/result.js';
import { blameCsv, contiguityCsv, fragmentationCsv, processesCsv, resultsCsv, roundsCsv, timelineCsv, timingCsv } from './csv.js';
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

/** In the order `--help` shows. No two share a file: the tests see to it. */
export const REPORT_FORMATS: readonly ReportFormat[] = [
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
    name: 'fragmentation',
    file: 'fragmentation.csv',
    about: 'one row a cell, sample point and order',
    deterministic: true,
    render: (run) => fragmentationCsv(run),
  },
  { name: 'blame', file: 'blame.csv', about: 'who keeps 2 MiB blocks broken', deterministic: true, render: (run) => blameCsv(run) },
  { name: 'contiguity', file: 'contiguity.csv', about: 'contiguous ranges of each process', deterministic: true, render: (run) => contiguityCsv(run) },
  { name: 'rounds', file: 'rounds.csv', about: 'one row a cell and round, with --repeat', deterministic: true, render: (run) => roundsCsv(run) },
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
  {
    name: 'html',
    file: 'report.html',
    about: 'all of it for the eye, in one file that needs no server',
    deterministic: false,
    render: async (run, { metrics, repeats }) => (await import('./html/page.js')).reportHtml(run, metrics, repeats),
  },
];

/** The same by name. */
export const reportFormats = makeRegistry('report format', REPORT_FORMATS, (format) => format.name);

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
