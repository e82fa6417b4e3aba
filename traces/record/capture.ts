/**
 * The command under its recorders: started held back, let go when they record, followed to the end of the last process that it started.
 */
import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../event.js';
import { buildHelper, startTruth, type Truth } from './helper.js';
import { hold, type Held } from './held.js';
import type { Machine } from './machine.js';
import { INTERRUPTED, startPerf, type PerfRecording } from './perf.js';
import { LARGE_BUFFERS, pagesArguments, recordArguments, SOFTWARE_FAULTS, straceArguments, tracepointArguments } from './perf-arguments.js';
import type { Plan } from './plan.js';

/** Between two looks at a process, at first (truth.c makes it longer as the recording does): short, for most programs that are recorded live some 100 ms. */
const READING_INTERVAL_US = 250;
const LOOK_AT_SIZE_MS = 500;
/** A recorder that goes on for longer than this after the command's end follows something that the command started. */
const RECORDER_ENDS_WITHIN_MS = 3000;
/** A recorder that leaves less than this behind may have written less than it wanted to, and not every one says so. */
const FULL_BELOW_BYTES = 1 << 16;

export interface RecordHooks {
  /** A line for the user, which is no error. */
  warn(line: string): void;
  /** Bytes on disk while the command runs, then bytes imported and in all. */
  growing(bytes: number): void;
  importing(done: number, total: number): void;
  /** Aborted: the recording ends and is kept, whatever still runs. `command` gets the signals that framewalk got. */
  readonly stop: AbortSignal;
  /** Called with a way to pass a signal on to the command. */
  started(signal: (name: NodeJS.Signals) => void): void;
}

export const perfData = (folder: string): string => join(folder, 'perf.data');

/** perf prints numbers and messages as the locale has them. */
export const perfEnvironment = (machine: Machine): NodeJS.ProcessEnv => ({ ...machine.env, LC_ALL: 'C' });

/** The page allocator's, of the whole machine. */
export const pagesData = (folder: string): string => join(folder, 'pages.data');
export const straceText = (folder: string): string => join(folder, 'strace.txt');

/** What is known when the command has ended. */
export interface Captured {
  readonly code: number;
  readonly pid: number;
  readonly truth: Truth | null;
}

/** Runs the command under the recorders. */
export async function capture(command: readonly string[], plan: Plan, machine: Machine, folder: string, hooks: RecordHooks): Promise<Captured> {
  const kernel = plan.method === 'kernel';
  // A process has one tracer: beside strace, what the kernel says is read without stopping anything.
  const helper = plan.compiler === null ? null : buildHelper(kernel ? 'truth' : 'watch', folder, plan.compiler);
  // strace starts the command itself: some systems let no process trace one that it did not start (kernel.yama.ptrace_scope 1).
  const under = kernel ? [] : [plan.strace, ...straceArguments(straceText(folder), plan.method === 'faults')];
  const held = await hold(command, under);
  let perf: PerfRecording | null = null;
  let pages: PerfRecording | null = null;
  let truth: Truth | null = null;
  try {
    if (plan.pageTracepoints.length > 0) pages = await startPerf(plan.perf, pagesArguments(pagesData(folder), plan.pageTracepoints), perfEnvironment(machine));
    if (plan.method !== 'calls') perf = await startPerf(plan.perf, perfArguments(plan, held.pid, folder), perfEnvironment(machine));
    if (helper !== null) truth = await startTruth(helper, held.pid, join(folder, 'truth.csv'), kernel ? 'monotonic' : 'realtime', READING_INTERVAL_US);
  } catch (error) {
    held.signal('SIGKILL');
    perf?.end();
    pages?.end();
    throw error;
  }
  hooks.started(held.signal);
  held.go();
  try {
    return { code: await followed(held, perf, truth, folder, hooks), pid: held.pid, truth };
  } finally {
    pages?.end();
    await pages?.ended;
  }
}

function perfArguments(plan: Plan, pid: number, folder: string): string[] {
  return plan.method === 'kernel'
    ? recordArguments(pid, perfData(folder), tracepointArguments(plan.tracepoints), 'CLOCK_MONOTONIC', LARGE_BUFFERS)
    : recordArguments(pid, perfData(folder), SOFTWARE_FAULTS, 'CLOCK_REALTIME');
}

/** Waits for the whole tree, or until told to stop. */
async function followed(held: Held, perf: PerfRecording | null, truth: Truth | null, folder: string, hooks: RecordHooks): Promise<number> {
  const timer = setInterval(() => hooks.growing([perfData, straceText, pagesData].reduce((sum, file) => sum + sizeOf(file(folder)), 0)), LOOK_AT_SIZE_MS);
  const stopped = new Promise<'stopped'>((resolve) => hooks.stop.addEventListener('abort', () => resolve('stopped'), { once: true }));
  const recorded = perf?.ended ?? held.ended;
  try {
    const first = await Promise.race([held.ended, stopped, recorded.then(() => 'recorder' as const)]);
    if (first === 'recorder' && perf !== null && isFine(await perf.ended) && (await Promise.race([held.ended, pause(1000)])) === undefined)
      hooks.warn('perf ended before the command; what came after is not recorded');
    if (typeof first === 'number' && (await Promise.race([recorded, stopped, pause(RECORDER_ENDS_WITHIN_MS)])) === undefined)
      hooks.warn('the command has ended; what it started is recorded until it ends as well; Ctrl-C ends the recording');
    if ((await Promise.race([Promise.all([held.ended, recorded]), stopped])) === 'stopped') {
      perf?.end();
      held.leave();
    }
    if (perf !== null && !isFine(await perf.ended)) {
      truth?.end();
      throw new UserError(`perf record failed: ${isFull(folder) ? FULL : perf.complaint() || 'it ended without a word'}`);
    }
    truth?.end();
    await truth?.ended;
    if (isFull(folder)) throw new UserError(`the recording is not whole: ${FULL}`);
    return (await Promise.race([held.ended, pause(200)])) ?? INTERRUPTED;
  } finally {
    clearInterval(timer);
  }
}

/** perf's own code, or that of the interrupt which ends it. */
const isFine = (code: number): boolean => code === 0 || code === INTERRUPTED;

const FULL = 'no space left on the device; choose another disk with -o';

function isFull(folder: string): boolean {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize < FULL_BELOW_BYTES;
}

const pause = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
