/**
 * Predicted against measured: `sample` events say what the kernel reported about a process; this compares it with the model at that moment.
 * Every sample counts in the summaries, and the first one of each quantity that the model did not meet is kept with what led to it. Racy samples (the
 * process went on while it was read) are counted apart and never judged. Points are kept for the picture of the busiest process only.
 */
import { Quantity, QUANTITY_NAMES } from '../../traces/event.js';
import { Use } from '../vmm/frames.js';
import type { Vmm } from '../vmm/vmm.js';
import type { Divergence, ProcessSamples, SamplePoint, SampleSummary } from './result.js';

/** Points kept per quantity. */
const MAX_POINTS = 400;

/** One quantity of one process. */
interface Series {
  readonly pid: number;
  readonly slot: number;
  readonly quantity: number;
  readonly points: SamplePoint[];
  racy: number;
  exact: number;
  lowest: number;
  highest: number;
  /** Event of the last sample that was exact, -1 before the first. */
  lastExact: number;
}

export type SampleLog = ReturnType<typeof makeSampleLog>;

/** Who wants to know more of a comparison. */
export interface SampleListener {
  /** A sample that is not racy was compared; `error` is predicted minus measured. */
  compared(slot: number, quantity: number, error: number): void;
  /** What a process did last, for the report of a divergence. */
  leadingTo(slot: number): Divergence['after'];
}

export function makeSampleLog(vmm: Vmm, eventNumber: () => number, listener: SampleListener | null = null) {
  const { machine, processes } = vmm;
  const { rss, vmPages, tables } = machine;
  const { space } = processes;
  const series = new Map<number, Series>();
  const first = new Map<number, Divergence>();
  const notPredicted = new Set<number>();
  const unmatched = { count: 0, first_event: null as number | null };

  /** The model's value of a quantity for a process slot, or null when it has none. */
  function predicted(slot: number, quantity: number): number | null {
    const s = space[slot]! - 1;
    const n = tables.spaceTables;
    switch (quantity as Quantity) {
      case Quantity.VmSize:
        return vmPages[s]! * 4;
      case Quantity.VmPTE: {
        let sum = 0;
        for (let l = 1; l < tables.geometry.levels; l++) sum += n[s * 8 + l]!;
        return sum * 4;
      }
      case Quantity.RssAnon:
        return rss[s * 8 + Use.anonymous]! * 4;
      case Quantity.RssFile:
        return rss[s * 8 + Use.file]! * 4;
      case Quantity.RssShmem:
        return rss[s * 8 + Use.shared]! * 4;
      case Quantity.minorFaults:
        return machine.processFaults[slot]!;
      case Quantity.threads:
        return processes.threads[slot]!;
      case Quantity.majorFaults:
        return null;
      default:
        return null;
    }
  }

  function note(slot: number, pid: number, time: number, quantity: number, measured: number, racy: boolean): void {
    if (slot < 0) {
      if (racy) return;
      if (unmatched.first_event === null) unmatched.first_event = eventNumber();
      unmatched.count++;
      return;
    }
    const value = predicted(slot, quantity);
    if (value === null) {
      notPredicted.add(quantity);
      return;
    }
    const key = pid * 16 + quantity;
    let own = series.get(key);
    if (own === undefined) series.set(key, (own = { pid, slot, quantity, points: [], racy: 0, exact: 0, lowest: 0, highest: 0, lastExact: -1 }));
    own.points.push({ event: eventNumber(), time, pid, quantity: QUANTITY_NAMES[quantity]!, measured, predicted: value, racy });
    if (racy) {
      own.racy++;
      return;
    }
    const error = value - measured;
    listener?.compared(slot, quantity, error);
    if (error === 0) {
      own.exact++;
      own.lastExact = eventNumber();
      return;
    }
    own.lowest = Math.min(own.lowest, error);
    own.highest = Math.max(own.highest, error);
    if (!first.has(quantity)) first.set(quantity, divergence(own, time, measured, value));
  }

  function divergence(own: Series, time: number, measured: number, value: number): Divergence {
    return {
      quantity: QUANTITY_NAMES[own.quantity]!,
      event: eventNumber(),
      time,
      pid: own.pid,
      command: processes.commands.get(own.slot) ?? '',
      measured,
      predicted: value,
      since: own.lastExact < 0 ? null : own.lastExact,
      after: listener === null ? null : listener.leadingTo(own.slot),
    };
  }

  function summary(): SampleSummary[] {
    const sums = new Map<number, SampleSummary>();
    for (const own of series.values()) {
      const sum = sums.get(own.quantity);
      sums.set(own.quantity, {
        quantity: QUANTITY_NAMES[own.quantity]!,
        samples: (sum?.samples ?? 0) + own.points.length,
        racy: (sum?.racy ?? 0) + own.racy,
        exact: (sum?.exact ?? 0) + own.exact,
        max_error: Math.max(sum?.max_error ?? 0, own.highest, -own.lowest),
      });
    }
    return [...sums].sort((a, b) => a[0] - b[0]).map(([, sum]) => sum);
  }

  /** First divergences in the order of quantities. */
  const divergences = (): Divergence[] => [...first].sort((a, b) => a[0] - b[0]).map(([, one]) => one);

  /** Every quantity of every process, in the order in which they were first sampled. */
  function byProcess(): ProcessSamples[] {
    return [...series.values()].map(({ pid, slot, quantity, points, racy, exact, lowest, highest }) => ({
      pid,
      command: processes.commands.get(slot) ?? '',
      quantity: QUANTITY_NAMES[quantity]!,
      samples: points.length,
      racy,
      exact,
      lowest_error: lowest,
      highest_error: highest,
    }));
  }

  /** Points of the process with most samples, thinned evenly. */
  function kept(): SamplePoint[] {
    const byPid = new Map<number, number>();
    for (const { pid, points } of series.values()) byPid.set(pid, (byPid.get(pid) ?? 0) + points.length);
    const busiest = [...byPid].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
    if (busiest === undefined) return [];
    const own = [...series.values()].filter(({ pid }) => pid === busiest[0]).sort((a, b) => a.quantity - b.quantity);
    return own.flatMap(({ points }) => {
      const step = Math.max(1, Math.ceil(points.length / MAX_POINTS));
      return points.filter((_, i) => i % step === 0 || i === points.length - 1);
    });
  }

  const unpredicted = (): string[] => [...notPredicted].sort((a, b) => a - b).map((quantity) => QUANTITY_NAMES[quantity] ?? `quantity ${quantity}`);

  return { note, summary, divergences, byProcess, kept, unmatched, unpredicted };
}
