/** Checks an allocator in a worker of its own, with a limit for what never returns. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { UserError } from '../../../traces/event.js';
import type { FrameRange } from '../memory-map.js';
import { givenAt, isGiveBack, type Step } from './play.js';
import { MEMORIES, type Finding, type Outcome } from './search.js';

/** What the thread is doing, in shared words. */
export const enum Cell {
  beat = 0,
  memory = 1,
  cpus = 2,
  length = 3,
  at = 4,
  steps = 8,
}
const CELLS = 4096;
const LOOK_MS = 100;

export interface CheckTask {
  readonly name: string;
  readonly seed: number;
  readonly cells: Int32Array;
}

export type CheckAnswer = Outcome | { readonly userError: string };

/** A request as people read it. */
export interface CheckStep {
  readonly action: 'allocate' | 'free';
  readonly order: number;
  /** First frame that was handed out, or that comes back; null where nothing was. */
  readonly frame: number | null;
  /** Of a free: the number of the request whose block comes back, counted from 1. */
  readonly of: number | null;
}

export interface CheckResult {
  /** A name of the registry or a file. */
  readonly pmm: string;
  readonly keeps: boolean;
  readonly sequences: number;
  readonly requests: number;
  readonly memories: number;
  readonly violation: {
    /** What the allocator does: "hands out frame 3, of which ...". */
    readonly what: string;
    readonly memory: readonly FrameRange[];
    readonly cpus: number;
    readonly steps: readonly CheckStep[];
    /** It shows after the steps, when everything that is still held comes back and all there is is asked for. */
    readonly afterwards: boolean;
  } | null;
}

export interface CheckOptions {
  readonly seed: number;
  /** Seconds that one request may take. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

function readable({ what, memory, cpus, steps, afterwards, answers }: Finding): NonNullable<CheckResult['violation']> {
  const frameOf = (at: number): number | null => {
    const frame = answers[at];
    return frame === undefined || frame === null || frame < 0 ? null : frame;
  };
  return {
    what,
    memory: MEMORIES[memory]!.usable,
    cpus,
    afterwards,
    steps: steps.map((step, i): CheckStep => {
      const at = isGiveBack(step) ? givenAt(step) : i;
      return { action: isGiveBack(step) ? 'free' : 'allocate', order: steps[at]!, frame: frameOf(at), of: at === i ? null : at + 1 };
    }),
  };
}

/** The sequence at which the thread stands. */
function standstill(cells: Int32Array): Finding {
  const length = Math.min(cells[Cell.length]!, CELLS - Cell.steps);
  const at = cells[Cell.at]!;
  const steps: Step[] = Array.from(cells.subarray(Cell.steps, Cell.steps + Math.min(length, at + 1)));
  const last = steps.at(-1);
  const afterwards = at >= length;
  const where = afterwards
    ? 'when everything comes back and all there is is asked for'
    : last !== undefined && isGiveBack(last)
      ? 'when a block comes back'
      : 'when a block is asked for';
  return { what: `never returns ${where}`, memory: cells[Cell.memory]!, cpus: Math.max(1, cells[Cell.cpus]!), steps, afterwards, answers: [] };
}

/** Checks the PMM of that name or file. UserError for one that cannot be loaded; an AbortError when the signal fires. */
export async function checkPmm(name: string, { seed, timeout, signal }: CheckOptions): Promise<CheckResult> {
  const cells = new Int32Array(new SharedArrayBuffer(CELLS * 4));
  const pool = new Piscina<CheckTask, CheckAnswer>({ filename: fileURLToPath(new URL('./thread.js', import.meta.url)), minThreads: 1, maxThreads: 1 });
  const stuck = new AbortController();
  let last = -1;
  let since = performance.now();
  const timer = setInterval(() => {
    const beat = Atomics.load(cells, Cell.beat);
    // Until its first beat the worker itself starts, which is not the allocator's time.
    if (beat !== last || beat === 0) since = performance.now();
    else if (performance.now() - since > timeout * 1000) stuck.abort();
    last = beat;
  }, LOOK_MS);
  try {
    const answer = await pool
      .run({ name, seed, cells }, { signal: signal === undefined ? stuck.signal : AbortSignal.any([signal, stuck.signal]) })
      .catch((error: unknown): CheckAnswer => {
        if (stuck.signal.aborted && signal?.aborted !== true) return { finding: standstill(cells), sequences: 0, requests: last };
        throw error;
      });
    if ('userError' in answer) throw new UserError(answer.userError);
    const { finding, sequences, requests } = answer;
    const violation = finding === null ? null : readable(finding);
    return { pmm: name, keeps: finding === null, sequences, requests, memories: MEMORIES.length, violation };
  } finally {
    clearInterval(timer);
    await pool.destroy();
  }
}
