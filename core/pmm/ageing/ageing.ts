/**
 * Ageing: memory that others use, and have broken into pieces, before a trace begins. Two ways: a history that is drawn from a seed, or the free blocks
 * that a machine's /proc/buddyinfo and /proc/pagetypeinfo tell of.
 *
 * The requests come before the trace, through the strategy, and are the same for every strategy: where blocks lie is its own work, and what it is judged by.
 */
import type { Aged, AgedFrames } from './contract.js';
import type { DrawnAgeing } from './history.js';
import { makeHistory } from './history.js';
import { takeMachine } from './machine.js';
import type { MachineLayout } from './machine.js';

/** Plain data: it travels to workers. `label` says it as the user did, `hash` is of the files that were read. */
export type Ageing = (DrawnAgeing | MachineLayout) & { readonly label: string; readonly hash: string };

/** Ages memory; `usableFrames` of the memory map, `seed` for what a machine's files do not tell. UserError when it does not fit. */
export function ageMemory(ageing: Ageing, frames: AgedFrames, usableFrames: number, seed: number): Aged {
  if (ageing.kind === 'drawn') return makeHistory(ageing, frames, usableFrames);
  takeMachine(ageing, frames, usableFrames, seed);
  // Who holds a machine's memory, and when it goes, is not in its files.
  return { grow: () => undefined, shrink: () => undefined };
}
