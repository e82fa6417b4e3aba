/**
 * Predicted against measured: `sample` events say what the kernel reported about a process; this compares it with the model at that moment.
 * Every sample counts in the summary; points are kept for the picture of the busiest process only.
 */
import { Quantity, QUANTITY_NAMES } from '../../traces/event.js';
import { Use } from '../vmm/frames.js';
import type { Vmm } from '../vmm/vmm.js';
import type { SamplePoint, SampleSummary } from './result.js';

/** Points kept per quantity. */
const MAX_POINTS = 400;

export function makeSampleLog(vmm: Vmm, eventNumber: () => number) {
  const { machine, processes } = vmm;
  const { rss, vmPages, tables } = machine;
  const { space } = processes;
  const summaries = new Map<number, { samples: number; racy: number; exact: number; maxError: number }>();
  const points = new Map<number, SamplePoint[]>();

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
    if (slot < 0) return;
    const value = predicted(slot, quantity);
    if (value === null) return;
    let sum = summaries.get(quantity);
    if (sum === undefined) summaries.set(quantity, (sum = { samples: 0, racy: 0, exact: 0, maxError: 0 }));
    sum.samples++;
    if (racy) sum.racy++;
    const error = Math.abs(value - measured);
    if (error === 0) sum.exact++;
    if (error > sum.maxError && !racy) sum.maxError = error;
    const key = pid * 16 + quantity;
    let list = points.get(key);
    if (list === undefined) points.set(key, (list = []));
    list.push({ event: eventNumber(), time, pid, quantity: QUANTITY_NAMES[quantity]!, measured, predicted: value, racy });
  }

  function summary(): SampleSummary[] {
    return [...summaries]
      .sort((a, b) => a[0] - b[0])
      .map(([quantity, s]) => ({ quantity: QUANTITY_NAMES[quantity]!, samples: s.samples, racy: s.racy, exact: s.exact, max_error: s.maxError }));
  }

  /** Points of the process with most samples, thinned evenly. */
  function kept(): SamplePoint[] {
    const byPid = new Map<number, number>();
    for (const [key, list] of points) byPid.set(Math.floor(key / 16), (byPid.get(Math.floor(key / 16)) ?? 0) + list.length);
    const busiest = [...byPid].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
    if (busiest === undefined) return [];
    const out: SamplePoint[] = [];
    for (const key of [...points.keys()].sort((a, b) => a - b)) {
      if (Math.floor(key / 16) !== busiest[0]) continue;
      const list = points.get(key)!;
      const step = Math.max(1, Math.ceil(list.length / MAX_POINTS));
      out.push(...list.filter((_, i) => i % step === 0 || i === list.length - 1));
    }
    return out;
  }

  return { note, summary, kept };
}
