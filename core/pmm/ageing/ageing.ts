/**
 * Ageing: memory that others use, and have broken into pieces, before a trace begins. Two ways: a history that is drawn from a seed, or the free blocks
 * that a machine's /proc/buddyinfo and /proc/pagetypeinfo tell of.
 *
 * The requests come before the trace, through the strategy, and are the same for every strategy: where blocks lie is its own work, and what it is judged by.
 */
import type { DrawnAgeing } from './history.js';
import { makeHistory } from './history.js';
import { takeMachine } from './machine.js';
import type { MachineLayout } from './machine.js';

/** Plain data: it travels to workers. `label` says it as the user did, `hash` is of the files that were read. */
export type Ageing = (DrawnAgeing | MachineLayout) & { readonly label: string; readonly hash: string };

/** What ageing needs of the ledger of frames (core/vmm/frames.ts). */
export interface AgedFrames {
  /** First frame of a block of 2^order frames, or -1. `kind`: a FrameKind. */
  take(order: number, kind: number): number;
  /** Gives back a block or an aligned part of one. */
  release(frame: number, order: number): void;
  freeFrames(): number;
}

/** Memory that was aged, which goes on living between two rounds of a trace. */
export interface Aged {
  /** Fills half of what is free with new lives. */
  grow(): void;
  /** Ends lives until as much is in use as at the start. */
  shrink(): void;
}

/** Ages memory; `usableFrames` of the memory map, `seed` for what a machine's files do not tell. UserError when it does not fit. */
export function ageMemory(ageing: Ageing, frames: AgedFrames, usableFrames: number, seed: number): Aged {
  if (ageing.kind === 'drawn') return makeHistory(ageing, frames, usableFrames);
  takeMachine(ageing, frames, usableFrames, seed);
  // Who holds a machine's memory, and when it goes, is not in its files.
  return { grow: () => undefined, shrink: () => undefined };
}
