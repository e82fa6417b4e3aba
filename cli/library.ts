/**
 * The library: `import { replay } from 'framewalk'`. The same powers as the command line, typed.
 *
 *     const run = await replay({ traces: ['gcc.fwt'], pmm: ['bitmap', 'buddy'], memory: '1GiB' });
 *     for (const cell of run.cells) console.log(cell.config.pmm, cell.metrics.frames_peak);
 *     await writeResults(run, 'out');
 *
 * Errors: UserError is the caller's mistake or bad input, one line that says how to mend it; an AbortError follows `signal`; anything else is a defect.
 */
import { metrics } from '../core/metrics/registry.js';
import type { RunResult } from '../core/replay/result.js';
import { reportFormats, writeRun } from '../reports/registry.js';
import { renderTable, type TableOptions } from '../reports/table.js';
import type { Trace } from '../traces/index.js';
import { policies } from '../core/vmm/policies.js';
import type { AblationResult } from '../reports/verify/ablation.js';
import type { VerifyResult } from '../reports/verify/program.js';
import { openTraces, replayTraces } from './replay.js';
import { runRequest, type RunRequest } from './run-request.js';
import type { RunKey } from './run-options.js';
import { ablateTraces, ablationSteps, verifyFlags, verifyTraces } from './verify.js';

/** What to replay, on what. Lists make the matrix of cells; presets are those of `framewalk run --help`. */
export interface ReplayOptions {
  /** Paths of traces in any format. */
  readonly traces: readonly string[];
  readonly arch?: string | readonly string[];
  readonly pmm?: string | readonly string[];
  /** Seconds that a PMM of your own may take without any progress. */
  readonly pmmTimeout?: number;
  readonly heap?: string | readonly string[];
  readonly policy?: string;
  /** Rules of the policy to leave out. */
  readonly without?: string | readonly string[];
  readonly touch?: 'auto' | 'recorded' | 'alloc' | 'all';
  /** Bytes, or text such as '4GiB'. */
  readonly memory?: number | string;
  /** Path of a memory map (e820 lines), instead of `memory`. */
  readonly memmap?: string;
  readonly kernelHeap?: boolean;
  readonly onOom?: 'kill' | 'fail' | 'stop';
  /** Name of a lookup unit, or path of a file that describes one. */
  readonly tlb?: string;
  readonly cpus?: number;
  /** Which of several CPUs an event runs on. */
  readonly spread?: 'auto' | 'recorded' | 'threads';
  /** Replay only these processes. */
  readonly pid?: readonly number[];
  /** Replay only these events of each trace, counted from 0, the second not included. */
  readonly window?: readonly [number, number];
  readonly workers?: number;
  readonly seed?: number;
  /** Memory before a trace: 'fresh', 'SEED:UTILISATION:CHURN', or the paths of a machine's buddyinfo and pagetypeinfo, with a comma. */
  readonly age?: string | readonly string[];
  /** Times that each trace is replayed, one after the other in the same memory. */
  readonly repeat?: number;
  /** Bytes of a trace that workers share in memory, or text such as '128MiB'. */
  readonly traceMemory?: number | string;
  /** Format of the traces where their content does not tell. */
  readonly format?: string;
  /** The first line of a trace that is not understood is an error. */
  readonly strict?: boolean;
  /** Check the whole state every so many events; 0 = never. */
  readonly audit?: number;
  /** Ends the workers; the promise then fails with an AbortError. */
  readonly signal?: AbortSignal;
  /** Events replayed so far and in all, a few times a second. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Something to know about a trace, which loses nothing. */
  readonly onWarning?: (message: string) => void;
}

/** Replays every cell of the matrix on worker threads. Results are in the matrix' order and do not depend on `workers`. */
export async function replay(options: ReplayOptions): Promise<RunResult> {
  const request = await runRequest(options.traces, (key) => optionText(options, key), undefined, '');
  const traces = await openTraces(request, options);
  try {
    return await replayTraces(request, traces, 'framewalk (library)', options);
  } finally {
    for (const trace of traces) trace.close();
  }
}

/** What to verify: recordings with samples of what the kernel reported (files, or directories with truth.csv), and how; presets as `framewalk verify --help`. */
export type VerifyOptions = Pick<
  ReplayOptions,
  'policy' | 'without' | 'memory' | 'workers' | 'traceMemory' | 'format' | 'strict' | 'signal' | 'onProgress' | 'onWarning'
> & {
  readonly recordings: readonly string[];
  /** One physical memory manager; no prediction depends on it. */
  readonly pmm?: string;
};

/**
 * Compares predictions with what the kernel measured, sample by sample, with the rules in `without` switched off. `verifyExitCode` says what the command line
 * would end with, `verifyText` what it would print.
 */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  return await withRecordings(options, async (request, traces) => (await verifyTraces(request, traces, 'framewalk (library)', false, options)).result);
}

/** What each rule of the policy matters on each recording: verified with all, then without each. */
export async function ablate(options: Omit<VerifyOptions, 'without'>): Promise<AblationResult> {
  return await withRecordings(
    options,
    async (request, traces) => await ablateTraces(request, traces, ablationSteps(request.policy, 'ablate'), 'framewalk (library)', options),
  );
}

async function withRecordings<T>(options: VerifyOptions, work: (request: RunRequest, traces: readonly Trace[]) => Promise<T>): Promise<T> {
  const { recordings, ...rest } = options;
  const request = await runRequest(
    recordings,
    verifyFlags((key) => optionText({ ...rest, traces: recordings }, key)),
    undefined,
    '',
  );
  const traces = await openTraces(request, options);
  try {
    return await work(request, traces);
  } finally {
    for (const trace of traces) trace.close();
  }
}

/** An option as the text that a flag would have. */
function optionText(options: ReplayOptions, key: RunKey): string | undefined {
  switch (key) {
    case 'kernel-heap':
      return options.kernelHeap === undefined ? undefined : options.kernelHeap ? 'on' : 'off';
    case 'on-oom':
      return options.onOom;
    case 'trace-memory':
      return options.traceMemory?.toString();
    case 'window':
      return options.window === undefined ? undefined : `${options.window[0]}..${options.window[1]}`;
    case 'pmm-timeout':
      return options.pmmTimeout?.toString();
    case 'matrix':
    case 'out':
    case 'json':
      return undefined;
    case 'arch':
    case 'pmm':
    case 'heap':
    case 'without':
    case 'age':
    case 'pid': {
      const list = options[key];
      return list === undefined || list.length === 0 ? undefined : [list].flat().join(',');
    }
    case 'policy':
    case 'touch':
    case 'memory':
    case 'memmap':
    case 'tlb':
    case 'cpus':
    case 'spread':
    case 'workers':
    case 'seed':
    case 'repeat':
    case 'format':
    case 'strict':
    case 'audit':
      return options[key]?.toString();
    default:
      return unreachable(key);
  }
}

function unreachable(value: never): never {
  throw new Error(`unexpected option ${String(value)}`);
}

/** Writes every report of a run into a folder, which is made if need be; the paths. All files or none. */
export async function writeResults(run: RunResult, folder: string): Promise<string[]> {
  return await writeRun(run, folder, reportFormats.all(), { metrics: metrics.all() });
}

/** The table that the command line prints. */
export function resultsTable(run: RunResult, options: TableOptions = {}): string {
  return renderTable(run, metrics.all(), options);
}

export type { Trace, TableOptions };
export type * from '../core/replay/result.js';
export type { Metric } from '../core/metrics/metric.js';
export type { LookupConfig } from '../core/lookup/lookup-contract.js';
export type { FrameAllocator, PmmOptions, PmmStrategy } from '../core/pmm/allocator.js';
export type { FrameRange, MemoryMap } from '../core/pmm/memory-map.js';
export type { ArchOptions, Architecture, PageTables } from '../arch/arch.js';
export { RESULT_SCHEMA, FRAME_USES } from '../core/replay/result.js';
export { architectures } from '../arch/registry.js';
export { pmms } from '../core/pmm/registry.js';
export { heaps } from '../core/heap/registry.js';
export { policies };
export { lookupConfigs } from '../core/lookup/configs.js';
export { memoryMapFromRanges, memoryMapFromSize, parseE820 } from '../core/pmm/memory-map.js';
export { metrics, reportFormats };
export { ablationMarkdown, ablationText } from '../reports/verify/ablation.js';
export type { AblatedQuantity, AblatedRecording, AblatedRule, AblationResult } from '../reports/verify/ablation.js';
export { verifyExitCode } from '../reports/verify/program.js';
export type { QuantityResult, VerifiedProgram, VerifyResult } from '../reports/verify/program.js';
export { verifyText } from '../reports/verify/text.js';
export { readRun } from '../reports/json.js';
export { blessBaseline, readBaseline, writeBaseline } from '../reports/baseline.js';
export { checkBaseline, gateText } from '../reports/gate.js';
export { exportCsv, FLAG_NAMES, FwtWriter, importTrace, OP_NAMES, openTrace, QUANTITY_NAMES, TRACE_FORMATS, traceInfo, UserError } from '../traces/index.js';
export type { Captured, ConvertOptions, Converted, EventBlock, EventSink, Loss, OpenOptions, TraceFormat, TraceHeader, TraceInfo } from '../traces/index.js';
export { version } from './version.js';
