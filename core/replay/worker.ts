/** The worker that replays one cell: it gets names and a trace to open, returns plain data. One cell per worker (core/replay/replayer.ts says why). */
import { openShared } from '../../traces/index.js';
import type { SharedTrace } from '../../traces/index.js';
import { strategyOf } from '../pmm/own/load.js';
import { runCell } from './cell.js';
import { inlineDeeply } from './compiler.js';
import type { CellSpec } from './cell.js';
import type { CellResult } from './result.js';
import { UserError } from '../../traces/event.js';

inlineDeeply();

export interface CellTask {
  /** null: the cell's PMM is made and nothing replayed, to find out what is wrong with it. */
  readonly trace: SharedTrace | null;
  readonly spec: CellSpec;
  /** Events replayed so far, by cell, as int32 thousands, -1 before the worker has loaded its modules; workers store, the pool reads. */
  readonly progress: Int32Array;
  /** Signs of life, by cell, counted: while memory is aged no event is replayed. */
  readonly alive: Int32Array;
  readonly index: number;
}

/** Errors cross threads as plain data: a user's mistake must stay one. */
export type CellOutcome = { readonly result: CellResult | null } | { readonly userError: string } | { readonly defect: Error };

export default async function replayCell(task: CellTask): Promise<CellOutcome> {
  Atomics.store(task.progress, task.index, 0);
  try {
    const strategy = await strategyOf(task.spec.pmm);
    if (task.trace === null) {
      const { map, cpus, seed } = task.spec;
      strategy.create({ map, cpus, seed });
      return { result: null };
    }
    const trace = await openShared(task.trace);
    try {
      return {
        result: runCell(trace, task.spec, {
          strategy,
          onProgress: (events) => {
            Atomics.store(task.progress, task.index, Math.floor(events / 1000));
          },
          onAlive: () => {
            Atomics.add(task.alive, task.index, 1);
          },
        }),
      };
    } finally {
      trace.close();
    }
  } catch (error) {
    if (error instanceof UserError) return { userError: error.message };
    // Returned, not thrown: what the pool throws then means that the worker itself ended.
    return { defect: error instanceof Error ? error : new Error(String(error)) };
  }
}
