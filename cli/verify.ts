/**
 * Does what `verify` asks for: replays recordings on the policy that follows the kernel and compares with what the kernel said. What the command line and the
 * library share.
 */
import { availableParallelism } from 'node:os';
import { matrixCells, runCells, type CellPlan } from '../core/replay/matrix.js';
import type { RunResult } from '../core/replay/result.js';
import { policies } from '../core/vmm/policies.js';
import { ablationResult, type AblationResult } from '../reports/verify/ablation.js';
import { verifiedProgram, type VerifyResult } from '../reports/verify/program.js';
import { UserError } from '../traces/event.js';
import type { Trace } from '../traces/index.js';
import type { ReplayHooks } from './replay.js';
import type { RunRequest } from './run-request.js';
import type { RunKey } from './run-options.js';
import { version } from './version.js';

/** Options of `run` that `verify` has as well, with what holds without them. */
export const VERIFY_PRESETS = {
  policy: 'linux',
  without: undefined,
  pmm: 'buddy',
  memory: '4GiB',
  workers: undefined,
  'trace-memory': undefined,
  format: undefined,
  strict: undefined,
  out: undefined,
  json: undefined,
} as const satisfies Partial<Record<RunKey, string | undefined>>;

/** What else a verification holds fixed: every recorded access is replayed, and blocks are where they were. */
const FIXED: Partial<Record<RunKey, string>> = { touch: 'recorded', heap: 'recorded' };

const isVerifyKey = (key: RunKey): key is keyof typeof VERIFY_PRESETS => key in VERIFY_PRESETS;

/** The flags of a verification as those of a run. */
export const verifyFlags =
  (given: (key: RunKey) => string | undefined) =>
  (key: RunKey): string | undefined =>
    isVerifyKey(key) ? (given(key) ?? VERIFY_PRESETS[key]) : FIXED[key];

/** Cells that replay each trace once on the request's configuration. */
function plans(request: RunRequest, traces: readonly Trace[], without: readonly string[], samplePoints: number | undefined): CellPlan[] {
  return matrixCells({ ...request, traces, without }).map(({ trace, spec }) => ({
    trace,
    spec: { ...spec, verify: true, ...(samplePoints === undefined ? {} : { samplePoints }) },
  }));
}

/** Points of a timeline that nobody draws: as often as the progress line should move. */
const FEW_POINTS = 40;

async function replayPlans(todo: readonly CellPlan[], request: RunRequest, traces: readonly Trace[], command: string, hooks: ReplayHooks): Promise<RunResult> {
  const { traceMemoryBytes, pmmTimeout, workers = availableParallelism() } = request;
  const { signal, onProgress } = hooks;
  return await runCells(todo, { traces, workers, traceMemoryBytes, pmmTimeout, command, version: version(), signal, onProgress });
}

export interface Verified {
  readonly result: VerifyResult;
  /** The replay itself, for its report. */
  readonly run: RunResult;
}

/** Verifies open traces, those of `request.traces`. `drawn`: the timeline is wanted too. */
export async function verifyTraces(request: RunRequest, traces: readonly Trace[], command: string, drawn: boolean, hooks: ReplayHooks = {}): Promise<Verified> {
  const run = await replayPlans(plans(request, traces, request.without, drawn ? undefined : FEW_POINTS), request, traces, command, hooks);
  return { run, result: { programs: run.cells.map((cell, i) => verifiedProgram(request.traces[i], cell)) } };
}

/** What an ablation replays: all rules of a policy, and then without each. */
export type AblationStep = { readonly name: string | null; readonly title: string };

/** UserError for a policy in which nothing can be switched off. */
export function ablationSteps(policy: string, flag = '--ablation'): AblationStep[] {
  const { rules } = policies.get(policy);
  if (rules.length === 0) throw new UserError(`${flag}: policy ${policy} has no rules that can be switched off`);
  return [{ name: null, title: 'all rules' }, ...rules];
}

/** Verifies open traces once for each step. */
export async function ablateTraces(
  request: RunRequest,
  traces: readonly Trace[],
  rules: readonly AblationStep[],
  command: string,
  hooks: ReplayHooks = {},
): Promise<AblationResult> {
  const todo = rules.flatMap(({ name }) => plans(request, traces, name === null ? [] : [name], FEW_POINTS));
  const { cells } = await replayPlans(todo, request, traces, command, hooks);
  const runs = rules.map(({ name, title }, i) => ({ rule: name, title, cells: cells.slice(i * traces.length, (i + 1) * traces.length) }));
  return ablationResult(request.policy, request.traces, runs);
}
