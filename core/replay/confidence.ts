/** What is touched, and how far the results of a cell can be trusted: what the recording tells, and what `--touch` adds or leaves out. */
import type { Captured } from '../../traces/event.js';
import type { CellResult } from './result.js';

export type TouchMode = 'auto' | 'recorded' | 'alloc' | 'all';

/** What `--touch auto` means for a trace. */
export function resolveTouch(touch: TouchMode, captured: Captured): 'recorded' | 'alloc' | 'all' {
  if (touch !== 'auto') return touch;
  return captured.touches === 'none' ? 'alloc' : 'recorded';
}

/** False for a trace of mappings alone: neither it nor the mode says what is touched. */
export const touchesKnown = (captured: Captured, touch: string): boolean => touch !== 'alloc' || captured.heap;

export function confidence(captured: Captured, touch: string): CellResult['confidence'] {
  if (!captured.mappings && touch !== 'recorded')
    return { level: 'bound', reason: 'the trace holds neither mappings nor accesses: each block is taken to be written whole' };
  if (!captured.mappings) return { level: 'bound', reason: 'the trace holds no mappings: every page accessed is taken to be anonymous memory' };
  if (!touchesKnown(captured, touch))
    return {
      level: 'bound',
      reason: 'which pages were touched was not recorded, and none is taken to be: a lower bound of memory; --touch all gives an upper one',
    };
  if (captured.touches === 'none' && touch === 'all')
    return { level: 'bound', reason: 'which pages were touched was not recorded, and all are taken to be: an upper bound of memory' };
  if (touch !== 'recorded') return { level: 'estimate', reason: `the trace holds no accesses or they were left out: --touch ${touch}` };
  if (captured.touches === 'user-faults')
    return {
      level: 'estimate',
      reason: "first touches were recorded by the software event: not those by the kernel on a program's behalf, nor whether a page was read or written",
    };
  return {
    level: 'exact',
    reason: captured.touches === 'all' ? 'every mapping and every access is replayed' : 'every mapping and every page fault is replayed',
  };
}

/** A recording of the page allocator. */
export const PAGE_TRACE: CellResult['confidence'] = {
  level: 'estimate',
  reason: 'every recorded request to the page allocator is replayed, but memory that was in use before and is not freed meanwhile is not known',
};
