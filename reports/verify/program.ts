/**
 * What `verify` says about one recording, as plain data: the shape of its `--json`. Nothing is judged here; core/replay/limits.ts does.
 */
import type { Divergence, FaultCheck, ProcessSamples, RecordingLimit, Verdict, Verification } from '../../core/replay/result.js';
import type { Loss } from '../../traces/event.js';
import type { StoredCell } from '../cells.js';

/** Samples compared (racy ones are not among them), those that were met exactly, and the largest error over all. */
export interface QuantityResult {
  readonly samples: number;
  readonly exact: number;
  readonly max_error: number;
}

export interface VerifiedProgram {
  /** As it was given. */
  readonly file: string;
  readonly label: string;
  /** Every sample of every quantity, and at least one of each. */
  readonly exact: boolean;
  /** The exit code follows this: exact and limited are fine. */
  readonly verdict: Verdict;
  readonly kernel: Readonly<Record<string, string>>;
  readonly policy: string;
  readonly without: readonly string[];
  readonly events: number;
  /** Moments at which a process was asked, over all processes, and how many of them were racy. */
  readonly samples: number;
  readonly racy_samples: number;
  readonly quantities: Readonly<Record<string, QuantityResult>>;
  readonly verdicts: Readonly<Record<string, Verdict>>;
  /** The first of each quantity that is not exact. */
  readonly divergences: readonly Divergence[];
  readonly processes: readonly ProcessSamples[];
  readonly address_spaces: Verification['address_spaces'];
  readonly unmatched_samples: Verification['unmatched'];
  readonly not_predicted: readonly string[];
  readonly faults: FaultCheck | null;
  readonly limits: readonly RecordingLimit[];
  readonly not_covered: readonly string[];
  readonly losses: readonly Loss[];
  readonly rejections: readonly Loss[];
}

/** `verify --json`. */
export interface VerifyResult {
  readonly programs: readonly VerifiedProgram[];
}

export function verificationOf(cell: StoredCell): Verification {
  if (cell.verification === undefined) throw new Error(`${cell.config.trace} was replayed without being verified`);
  return cell.verification;
}

export function verifiedProgram(file: string, cell: StoredCell): VerifiedProgram {
  const { quantities, processes, ...found } = verificationOf(cell);
  const moments = (count: (one: ProcessSamples) => number): number => {
    const byPid = new Map<number, number>();
    for (const one of processes) byPid.set(one.pid, Math.max(byPid.get(one.pid) ?? 0, count(one)));
    return [...byPid.values()].reduce((sum, n) => sum + n, 0);
  };
  return {
    file,
    label: cell.config.trace,
    exact: found.verdict === 'exact',
    verdict: found.verdict,
    kernel: found.kernel,
    policy: cell.config.policy,
    without: cell.config.without,
    events: cell.metrics['events_count'] ?? 0,
    samples: moments(({ samples, racy }) => samples - racy),
    racy_samples: moments(({ racy }) => racy),
    quantities: Object.fromEntries(quantities.map(({ quantity, samples, exact, max_error }) => [quantity, { samples, exact, max_error }])),
    verdicts: Object.fromEntries(quantities.map(({ quantity, verdict }) => [quantity, verdict])),
    divergences: found.divergences,
    processes,
    address_spaces: found.address_spaces,
    unmatched_samples: found.unmatched,
    not_predicted: found.not_predicted,
    faults: found.faults,
    limits: found.limits,
    not_covered: found.not_covered,
    losses: cell.losses,
    rejections: cell.rejections,
  };
}

/** 0 when every sample is met or explained by what the recording cannot tell, else 1. */
export const verifyExitCode = (programs: readonly VerifiedProgram[]): 0 | 1 =>
  programs.every(({ verdict }) => verdict === 'exact' || verdict === 'limited') ? 0 : 1;
