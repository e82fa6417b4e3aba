/**
 * Cells, such as those of the matrix trace x architecture x PMM x heap x age, spread over worker threads. Every cell gets a worker of its own, so that its core is the only one in its
 * isolate; results come back in the order asked for whatever finishes first, and do not depend on the number of workers.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { OP_NAMES } from '../../traces/event.js';
import { UserError } from '../../traces/event.js';
import type { Trace } from '../../traces/event.js';
import { shareTrace } from '../../traces/index.js';
import type { LookupConfig } from '../lookup/lookup-contract.js';
import type { Ageing } from '../pmm/ageing/ageing.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import { isOwnFile } from '../pmm/own/names.js';
import type { CellSpec } from './cell.js';
import type { TouchMode } from './confidence.js';
import type { SpreadMode } from './spread.js';
import { RESULT_SCHEMA } from './result.js';
import type { CellResult, RunResult } from './result.js';
import type { CellOutcome, CellTask } from './worker.js';

/** What is to be replayed on what: a trace by its index, and a configuration. */
export interface CellPlan {
  readonly trace: number;
  readonly spec: CellSpec;
}

export interface PoolOptions {
  readonly traces: readonly Trace[];
  /** Worker threads; default: as many as the machine runs at once. */
  readonly workers?: number | undefined;
  /** Bytes of a trace that workers may share in memory; larger ones each streams from its file. */
  readonly traceMemoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Events replayed so far over all cells, and in all; called a few times a second. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Seconds that a PMM of the user's may take without any progress; default 60. */
  readonly pmmTimeout?: number | undefined;
  /** For the record: the command line and framewalk's version. */
  readonly command: string;
  readonly version: string;
}

export interface MatrixOptions extends PoolOptions {
  readonly arch: readonly string[];
  readonly pmm: readonly string[];
  readonly heap: readonly string[];
  readonly policy: string;
  /** Rules of the policy that are left out. */
  readonly without: readonly string[];
  readonly touch: TouchMode;
  readonly map: MemoryMap;
  readonly kernelHeap: boolean;
  readonly onOom: 'kill' | 'fail' | 'stop';
  readonly tlb: LookupConfig;
  readonly cpus: number;
  readonly spread: SpreadMode;
  readonly pids: readonly number[];
  readonly window: readonly [number, number] | null;
  readonly seed: number;
  readonly age: readonly (Ageing | null)[];
  readonly repeat: number;
  readonly audit: number;
}

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));
const PROGRESS_MS = 200;
/** Progress of a cell whose worker still loads its modules. */
const NOT_STARTED = -1;
const START_MS = 10;
/** Seconds; see PoolOptions.pmmTimeout. */
export const PMM_TIMEOUT = 60;

/** Cells of a matrix, in its fixed order: by trace, then architecture, PMM, heap, age. */
export function matrixCells(options: Omit<MatrixOptions, keyof PoolOptions> & Pick<MatrixOptions, 'traces'>): CellPlan[] {
  const out: CellPlan[] = [];
  options.traces.forEach((_, trace) => {
    for (const arch of options.arch)
      for (const pmm of options.pmm)
        for (const [heap, age] of options.heap.flatMap((one) => options.age.map((before) => [one, before] as const))) {
          const { policy, without, touch, tlb, map, kernelHeap, onOom, cpus, spread, seed, pids, window, repeat, audit } = options;
          out.push({
            trace,
            spec: { arch, pmm, heap, policy, without, touch, tlb, map, kernelHeap, onOom, cpus, spread, seed, pids, window, age, repeat, audit },
          });
        }
  });
  return out;
}

/** Replays every cell of the matrix, as `runCells` does. */
export async function runMatrix(options: MatrixOptions): Promise<RunResult> {
  return await runCells(matrixCells(options), options);
}

/** Replays every cell. UserError for what the user can mend; an AbortError when the signal fires; Error for a worker that died. */
export async function runCells(todo: readonly CellPlan[], options: PoolOptions): Promise<RunResult> {
  const shared = options.traces.map((trace) => shareTrace(trace, options.traceMemoryBytes));
  const lanes = Math.max(1, Math.min(options.workers ?? availableParallelism(), todo.length));
  const trials = ownLater(todo, lanes);
  const progress = new Int32Array(new SharedArrayBuffer(Math.max(1, todo.length + trials.length) * 4)).fill(NOT_STARTED);
  const alive = new Int32Array(new SharedArrayBuffer(progress.byteLength));
  const total = todo.reduce((sum, cell) => sum + options.traces[cell.trace]!.rows * (cell.spec.repeat ?? 1), 0);
  const report = (): void => {
    let done = 0;
    for (const thousands of progress) done += Math.max(0, thousands) * 1000;
    options.onProgress?.(Math.min(done, total), total);
  };
  const timer = options.onProgress === undefined ? undefined : setInterval(report, PROGRESS_MS);
  const results = new Array<CellResult>(todo.length);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < todo.length && !signal.aborted) {
      const index = next++;
      const { trace, spec } = todo[index]!;
      const task = { trace: shared[trace]!, spec, progress, alive, index };
      results[index] = (await watched(task, describe(options.traces[trace]!, spec), signal, options.pmmTimeout ?? PMM_TIMEOUT))!;
    }
  };
  try {
    for (const [i, { trace, spec }] of trials.entries()) {
      const task = { trace: null, spec, progress, alive, index: todo.length + i };
      await watched(task, describe(options.traces[trace]!, spec), signal, options.pmmTimeout ?? PMM_TIMEOUT);
    }
    const ends = await Promise.allSettled(
      Array.from({ length: lanes }, () =>
        lane().catch((error: unknown) => {
          stop.abort(); // the other lanes end as well; the first error is the one that counts
          throw error;
        }),
      ),
    );
    options.signal?.throwIfAborted();
    const failed = ends.flatMap((end): unknown[] => (end.status === 'rejected' ? [end.reason] : []));
    const cause = failed.find((error) => !(error instanceof Error && error.name === 'AbortError'));
    if (cause !== undefined) throw cause;
    report();
  } finally {
    clearInterval(timer);
  }
  return {
    schema: RESULT_SCHEMA,
    version: options.version,
    command: options.command,
    cells: results,
    traces: options.traces.map((trace) => ({
      name: trace.name,
      hash: trace.hash,
      rows: trace.rows,
      source: trace.header.source,
      counts: Object.fromEntries(OP_NAMES.flatMap((name, op) => (trace.counts[op]! > 0 ? [[name, trace.counts[op]!]] : []))),
      provenance: trace.header.provenance,
    })),
  };
}

/** Cells on PMMs of the user's that would be the first to try theirs, and have to wait until others are replayed: what is wrong with a PMM is said before that. */
function ownLater(todo: readonly CellPlan[], lanes: number): readonly CellPlan[] {
  const alike = (a: CellSpec, b: CellSpec): boolean => a.pmm === b.pmm && a.map === b.map && a.cpus === b.cpus;
  return todo.filter(({ spec }, i) => i >= lanes && isOwnFile(spec.pmm) && todo.findIndex((other) => alike(other.spec, spec)) === i);
}

function describe(trace: Trace, spec: CellSpec): string {
  return `${trace.name} on ${spec.arch}, ${spec.pmm}, ${spec.heap}`;
}

/** Runs a cell; one on a PMM of the user's ends when it makes no progress, for that may never return. */
async function watched(task: CellTask, what: string, signal: AbortSignal, seconds: number): Promise<CellResult | null> {
  if (!isOwnFile(task.spec.pmm)) return await runInWorker(task, what, signal);
  const stuck = new AbortController();
  let last = NOT_STARTED;
  let beats = 0;
  let since = performance.now();
  const timer = setInterval(() => {
    const now = Atomics.load(task.progress, task.index);
    const beat = Atomics.load(task.alive, task.index);
    if (now !== last || beat !== beats) since = performance.now();
    else if (performance.now() - since > seconds * 1000) stuck.abort();
    last = now;
    beats = beat;
  }, PROGRESS_MS);
  try {
    return await runInWorker(task, what, AbortSignal.any([signal, stuck.signal]));
  } catch (error) {
    if (stuck.signal.aborted && !signal.aborted)
      throw new UserError(
        `${what}: no progress for ${seconds} s near event ${Math.max(last, 0) * 1000}; the PMM may never return (framewalk check-pmm ${task.spec.pmm}), or give a longer --pmm-timeout`,
        { cause: error },
      );
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** A defect of framewalk's that a worker met. */
class Defect extends Error {
  override readonly name = 'Defect';
}

/**
 * Aborted after `signal` is, but not while the worker loads its modules: a thread that is ended then takes the whole process with it (Node 20.20, require of an ES
 * module: "IsGraphAsync must be used on an instantiated module").
 */
function onceStarted(signal: AbortSignal, { progress, index }: CellTask): { readonly signal: AbortSignal; readonly release: () => void } {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const check = (): void => {
    if (Atomics.load(progress, index) !== NOT_STARTED) late.abort();
    else timer = setTimeout(check, START_MS);
  };
  signal.addEventListener('abort', check, { once: true });
  const release = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', check);
  };
  return { signal: late.signal, release };
}

async function runInWorker(task: CellTask, what: string, signal: AbortSignal): Promise<CellResult | null> {
  signal.throwIfAborted();
  const pool = new Piscina<CellTask, CellOutcome>({ filename: WORKER, minThreads: 1, maxThreads: 1 });
  const late = onceStarted(signal, task);
  try {
    const outcome = await pool.run(task, { signal: late.signal });
    if ('userError' in outcome) throw new UserError(outcome.userError);
    if ('defect' in outcome) throw new Defect(`${what}: ${outcome.defect.message}`, { cause: outcome.defect });
    return outcome.result;
  } catch (error) {
    if (error instanceof UserError || error instanceof Defect || signal.aborted) throw error;
    const said = error instanceof Error ? error.message : String(error);
    if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') throw new Error(`${what}: ${said}`, { cause: error });
    throw new UserError(`${what}: its worker ended before the replay did (${said}); if the machine is short of memory, give fewer --workers`, { cause: error });
  } finally {
    late.release();
    await pool.destroy();
  }
}
