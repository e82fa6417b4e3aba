/**
 * Replays the events of a trace from the first to the last, once or in several rounds in the same memory, with sample points and audits in between.
 *
 * After a round, what its programs still hold is given back; the page cache and shared memory that nobody removed stay, as in a kernel. Memory that was aged
 * lives on: half of what is free is taken by new lives while the round's programs are still there, and as many lives end once those are gone.
 */
import type { Trace } from '../../traces/event.js';
import type { Aged } from '../pmm/ageing/contract.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import { FrameCell, type Frames } from '../vmm/frames.js';
import type { Vmm } from '../vmm/vmm.js';
import type { Observer } from './observe.js';
import { OutOfFrames } from './out-of-frames.js';
import { earlierBlocks, type EarlierBlock } from './page-blocks.js';
import { makeReplayer, type ReplayOptions } from './replayer.js';
import type { RoundRow } from './result.js';
import { atEvent, auditAt, tooSmall, whoHeldWhat } from './trouble.js';

/** Sample points of a timeline, besides the first and the last. */
export const SAMPLE_POINTS = 240;
/** Of each of several rounds, at least. */
const LEAST_POINTS = 12;

export interface Play {
  readonly trace: Trace;
  readonly vmm: Vmm;
  readonly observer: Observer;
  readonly options: ReplayOptions;
  readonly map: MemoryMap;
  readonly rounds: number;
  /** Memory that was aged, or null. */
  readonly aged: Aged | null;
  /** Steps of the PMM that were not counted so far. */
  readonly stepsBefore: number;
  /** What each of several CPUs asked for (core/pmm/cpu-use.ts), or null. */
  readonly cpuCounts: Float64Array | null;
  readonly samplePoints: number;
  /** Check the whole state every so many events; 0 = never. */
  readonly audit: number;
  readonly onProgress: (events: number) => void;
}

export interface Played {
  readonly replayed: number;
  /** Number of the last event, over all rounds. */
  readonly lastEvent: number;
  readonly framesStart: number;
  /** First out-of-frames moment in words, or null. */
  readonly oom: string | null;
  /** Ends the last of several rounds: a row a round, and how many steps of the PMM do not count. */
  finish(): { readonly rows: readonly RoundRow[]; readonly stepsBefore: number };
}

/** Does work that is no part of the trace, and counts nothing of it. Steps of the PMM that it took. */
export function uncounted(frames: Frames, cpuCounts: Float64Array | null, work: () => void): number {
  const kept = cpuCounts?.slice();
  const steps = frames.uncounted(work);
  if (kept !== undefined) cpuCounts?.set(kept);
  return steps;
}

export function play({ trace, vmm, observer, options, map, rounds, aged, cpuCounts, audit, onProgress, ...rest }: Play): Played {
  const { machine } = vmm;
  const { frames, rejections } = machine;
  const { cells, totals } = frames;
  const earlier = earlierBlocks(trace);
  const iterator = trace.blocks()[Symbol.iterator]();
  const head = iterator.next();
  const block = head.done === true ? undefined : head.value;
  let round = 1;
  // What the kernel said it said once.
  const onSample: ReplayOptions['onSample'] = (...sample) => round === 1 && options.onSample(...sample);
  const replayer = block === undefined ? undefined : makeReplayer(vmm, block, rounds === 1 ? options : { ...options, onSample });
  const points = rounds === 1 ? rest.samplePoints : Math.max(LEAST_POINTS, Math.ceil(rest.samplePoints / rounds));
  const step = Math.max(1, Math.ceil(trace.rows / points));
  const rows: RoundRow[] = [];
  let { stepsBefore } = rest;
  let framesStart = cells[FrameCell.used]!;
  cells[FrameCell.usedPeak] = framesStart;
  let nextSample = step;
  let nextAudit = audit > 0 ? audit : Infinity;
  let base = 0;
  let replayed = 0;
  let time = 0;
  /** Nanoseconds of the rounds before. */
  let timeBase = 0;
  let oom: string | null = null;
  let stopped = false;
  /** What was counted before the round. */
  let before = { frames: framesStart, steps: 0, operations: 0, failures: 0, huge: 0 };

  function takeEarlier(blocks: readonly EarlierBlock[]): void {
    if (replayer?.takeEarlier(blocks) === false) throw tooSmall(trace.name, blocks, map);
  }

  function apart(work: () => void): void {
    stepsBefore += uncounted(frames, cpuCounts, work);
  }

  function counts(): typeof before {
    frames.spill();
    return {
      frames: cells[FrameCell.used]!,
      steps: frames.pmm.steps() - stepsBefore,
      operations: totals[0]! + totals[1]! + totals[2]!,
      failures: totals[2]!,
      huge: observer.hugeFailures(),
    };
  }

  /** Replays rows of the block up to where something is due; the row behind them. */
  function advance(from: number, length: number): number {
    const due = Math.min(length, nextSample - base, nextAudit - base);
    try {
      replayed += replayer!.run(from, due, base);
    } catch (error) {
      if (!(error instanceof OutOfFrames)) throw atEvent(error, rejections.event[0]!);
      stopped = true;
    }
    time = block!.time[due - 1]!;
    if (oom === null && totals[2]! + cells[FrameCell.failures]! > 0) oom = whoHeldWhat(vmm, observer);
    if (stopped) return due;
    if (base + due >= nextSample) {
      observer.sample(base + due, timeBase + time);
      nextSample += step;
      onProgress(base + due);
    }
    if (base + due >= nextAudit) {
      auditAt(vmm, rejections.event[0]!);
      nextAudit += audit;
    }
    return due;
  }

  if (earlier !== null) {
    takeEarlier(earlier);
    framesStart = cells[FrameCell.used]!;
    stepsBefore = frames.startCounting();
    cpuCounts?.fill(0);
    before = counts();
  }
  observer.sample(0, 0);
  for (; block !== undefined && !stopped; round++) {
    // The first block of the first round is there already.
    const blocks = round === 1 ? iterator : trace.blocks(block)[Symbol.iterator]();
    for (let next = round === 1 ? head : blocks.next(); next.done !== true && !stopped; next = blocks.next()) {
      if (next.value !== block) throw new Error('a trace must hand out one block again and again');
      const { length } = next.value;
      for (let row = 0; row < length && !stopped; ) row = advance(row, length);
      base += length;
    }
    if (round === rounds || stopped) break;
    observer.sample(base, timeBase + time);
    endRound();
    if (earlier !== null) apart(() => takeEarlier(earlier));
    before = counts();
    cells[FrameCell.usedPeak] = before.frames;
    observer.startRound();
    // Each round is looked at after the same events.
    nextSample = base + step;
    timeBase += time;
  }
  const lastEvent = stopped ? rejections.event[0]! : base;
  observer.sample(lastEvent, timeBase + time);
  onProgress(base);

  function endRound(): void {
    const now = counts();
    const peak = { ...observer.round };
    apart(() => aged?.grow());
    replayer?.endRound(base);
    apart(() => aged?.shrink());
    const free = observer.freeNow();
    const operations = now.operations - before.operations;
    rows.push({
      round,
      frames_start: before.frames,
      frames_peak: cells[FrameCell.usedPeak]!,
      frames_end: cells[FrameCell.used]!,
      unusable_free_index_order_9: peak.unusable / 1000,
      unusable_free_index_order_9_end: free.unusable / 1000,
      free_huge_score: peak.freeHuge,
      free_huge_score_end: free.freeHuge,
      largest_free_block_frames_end: free.largest,
      contiguity_ranges_99: peak.ranges[2]!,
      pmm_steps_per_op: operations === 0 ? null : Math.round(((now.steps - before.steps) / operations) * 1e9) / 1e9,
      alloc_failures_count: now.failures - before.failures,
      huge_failures_count: now.huge - before.huge,
    });
  }

  function finish(): { rows: readonly RoundRow[]; stepsBefore: number } {
    if (rounds > 1) endRound();
    cells[FrameCell.usedPeak] = Math.max(cells[FrameCell.usedPeak]!, ...rows.map((row) => row.frames_peak));
    return { rows, stepsBefore };
  }

  return { replayed, lastEvent, framesStart, oom, finish };
}
