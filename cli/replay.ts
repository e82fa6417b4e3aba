/** Does what a request asks for: opens the traces and replays the matrix. What the command line and the library share. */
import { availableParallelism } from 'node:os';
import { runMatrix } from '../core/replay/matrix.js';
import type { RunResult } from '../core/replay/result.js';
import { nameTraces, openTrace, type Trace } from '../traces/index.js';
import type { RunRequest } from './run-request.js';
import { version } from './version.js';

export interface ReplayHooks {
  /** Ends the workers and makes the promise fail with an AbortError. */
  readonly signal?: AbortSignal | undefined;
  /** A trace begins to be read: called with its name, returns what hears of bytes read so far and in all (0 = unknown). */
  readonly onReading?: ((name: string) => (done: number, total: number) => void) | undefined;
  /** Something the user should know about a trace, which loses nothing. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Events replayed so far and in all, a few times a second. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Opens the traces of a request, each by a name of its own. Close them when done. */
export async function openTraces(request: RunRequest, hooks: ReplayHooks = {}): Promise<Trace[]> {
  const names = nameTraces(request.traces);
  const traces: Trace[] = [];
  try {
    for (const [i, path] of request.traces.entries()) {
      const { format, strict, traceMemoryBytes } = request;
      const onWarning = (message: string): void => hooks.onWarning?.(`${path}: ${message}`);
      traces.push(await openTrace(path, { name: names[i], format, strict, traceMemory: traceMemoryBytes, onProgress: hooks.onReading?.(names[i]), onWarning }));
    }
  } catch (error) {
    for (const trace of traces) trace.close();
    throw error;
  }
  return traces;
}

/** Replays open traces. `command` is for the record. */
export async function replayTraces(request: RunRequest, traces: readonly Trace[], command: string, hooks: ReplayHooks = {}): Promise<RunResult> {
  const { arch, pmm, heap, policy, without, touch, map, kernelHeap, onOom, tlb, cpus, spread, pids, window, seed, age, repeat, audit } = request;
  const { traceMemoryBytes, pmmTimeout } = request;
  const workers = request.workers ?? availableParallelism();
  const what = { arch, pmm, heap, policy, without, touch, map, kernelHeap, onOom, tlb, cpus, spread, pids, window, seed, age, repeat, audit };
  const { signal, onProgress } = hooks;
  return await runMatrix({ ...what, traces, workers, traceMemoryBytes, pmmTimeout, command, version: version(), signal, onProgress });
}
