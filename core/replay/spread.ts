/**
 * Which CPU an event runs on when several are simulated: the one that was recorded, or one a thread.
 *
 * `recorded`: the event's cpu modulo the number of CPUs. `threads`: the k-th thread that the trace names (k from 0) runs on CPU k modulo the number of
 * CPUs, all its life. Both are the same on any machine.
 */
import type { EventBlock, Trace } from '../../traces/event.js';

export type SpreadMode = 'auto' | 'recorded' | 'threads';
export type Spread = Exclude<SpreadMode, 'auto'>;

/** What `--spread auto` means for a trace: recorded, if any event names another CPU than 0. Reads the trace as far as that. */
export function resolveSpread(spread: SpreadMode, cpus: number, trace: Trace): Spread {
  if (cpus === 1) return 'recorded';
  if (spread !== 'auto') return spread;
  for (const block of trace.blocks()) for (let i = 0; i < block.length; i++) if (block.cpu[i] !== 0) return 'recorded';
  return 'threads';
}

/** In words, for people. */
export function spreadRule(spread: Spread, cpus: number): string {
  return spread === 'recorded' ? `each event on its recorded CPU modulo ${cpus}` : `the k-th thread of the trace, from 0, on CPU k modulo ${cpus}`;
}

/** The CPU of a row of the block. */
export function cpuOfRow(block: EventBlock, spread: Spread, cpus: number): (row: number) => number {
  const { cpu, tid } = block;
  if (spread === 'recorded') return (i) => cpu[i]! % cpus;
  const known = new Map<number, number>();
  return (i) => {
    const thread = tid[i]!;
    let at = known.get(thread);
    if (at === undefined) {
      at = known.size % cpus;
      known.set(thread, at);
    }
    return at;
  };
}
