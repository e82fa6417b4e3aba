/**
 * Runs of free frames that are set aside for the pages of one mapping, and the queue that says which run is broken first when
 * memory is short.
 *
 * Source: FreeBSD sys/vm/vm_reserv.c (vm_reserv_populate, vm_reserv_depopulate, vm_reserv_break, the queue of partially populated
 * reservations); Navarro, Iyer, Druschel, Cox: Practical, Transparent Operating System Support for Superpages, OSDI 2002, section 4.
 *
 * A frame handed out from a run populates it. The queue holds the runs that are neither empty nor full, the one changed last at its end;
 * a full one is promoted and leaves the queue, an empty one is given back whole. Breaking a run gives its free frames back to the
 * buddies; those handed out are ordinary frames from then on.
 *
 *     runOf[frame >>> shift]     1 + first unit of the run, 0 = in none
 *     by first unit:             frames, populated frames, owner, neighbours in the queue
 */
import type { BlockLists } from './block-lists.js';
import type { Held } from './held.js';
import type { MemoryMap } from './memory-map.js';
import { reserveInt32 } from './reserve.js';

const enum Cell {
  /** Ends of the queue: first units, -1 = none. */
  head = 0,
  tail = 1,
  /** Free frames in runs. */
  free = 2,
  runs = 3,
}

export type ReservedRuns = ReturnType<typeof makeReservedRuns>;

/** Runs begin and end at multiples of 2^shift frames. */
export function makeReservedRuns(map: MemoryMap, held: Held, lists: BlockLists, shift: number) {
  const units = (map.frames >>> shift) + 1;
  const runOf = reserveInt32(units);
  const frames = reserveInt32(units);
  const populated = reserveInt32(units);
  const owners = reserveInt32(units);
  const next = reserveInt32(units);
  const prev = reserveInt32(units);
  const cell = new Int32Array(32);
  const work = new Float64Array(16);
  cell[Cell.head] = -1;
  cell[Cell.tail] = -1;

  /** Sets [first, first + count) aside, which no list holds any more. It is not in the queue before it is populated. */
  function reserve(first: number, count: number, owner: number): void {
    const run = first >>> shift;
    runOf.fill(run + 1, run, run + (count >>> shift));
    frames[run] = count;
    populated[run] = 0;
    owners[run] = owner;
    cell[Cell.free]! += count;
    cell[Cell.runs]! += 1;
    work[0]! += 1;
  }

  const isQueued = (run: number): boolean => populated[run] !== 0 && populated[run] !== frames[run];

  function unqueue(run: number): void {
    const before = prev[run]!;
    const after = next[run]!;
    if (before < 0) cell[Cell.head] = after;
    else next[before] = after;
    if (after < 0) cell[Cell.tail] = before;
    else prev[after] = before;
  }

  function queue(run: number): void {
    const last = cell[Cell.tail]!;
    prev[run] = last;
    next[run] = -1;
    if (last < 0) cell[Cell.head] = run;
    else next[last] = run;
    cell[Cell.tail] = run;
  }

  /** Frames of the run handed out or given back, one by one or many: its place in the queue is the last one now. */
  function change(run: number, by: number): void {
    work[0]! += 1;
    if (isQueued(run)) unqueue(run);
    populated[run] = (populated[run]! + by) | 0;
    cell[Cell.free] = (cell[Cell.free]! - by) | 0;
    if (isQueued(run)) queue(run);
    else if (populated[run] === 0) dissolve(run);
  }

  /** Gives the free frames of a run back to the buddies; the run is no more. */
  function dissolve(run: number): void {
    const first = run << shift;
    const end = first + frames[run]!;
    cell[Cell.free]! -= frames[run]! - populated[run]!;
    cell[Cell.runs]! -= 1;
    runOf.fill(0, run, run + (frames[run]! >>> shift));
    for (let at = first; at < end; ) {
      let order = 0;
      if (!held.isClear(at, 0)) {
        at = (at + 1) | 0;
        continue;
      }
      while (order < 10 && at % (2 << order) === 0 && at + (2 << order) <= end && held.isClear(at, order + 1)) order = (order + 1) | 0;
      lists.give(at, order, 0);
      at = (at + (1 << order)) | 0;
    }
  }

  /** Takes a frame of a run that is free. */
  function populate(frame: number): void {
    held.take(frame, 0);
    change(runOf[frame >>> shift]! - 1, 1);
  }

  /** Breaks the run that has been unchanged for longest; false if there is none. */
  function breakOldest(): boolean {
    const run = cell[Cell.head]!;
    if (run < 0) return false;
    work[0]! += 1;
    unqueue(run);
    dissolve(run);
    return true;
  }

  /** First frame of a block that the buddies have once enough runs are broken; -1 if they have not even then. */
  function takeBlock(order: number): number {
    let frame = lists.take(order, 0);
    while (frame < 0 && breakOldest()) if (lists.has(order, 0)) frame = lists.take(order, 0);
    if (frame >= 0) held.take(frame, order);
    return frame;
  }

  /** Takes back a block whose marks are off already. */
  function give(frame: number, order: number): void {
    if (order === 0) {
      const run = runOf[frame >>> shift]!;
      if (run === 0) lists.give(frame, 0, 0);
      else change(run - 1, -1);
      return;
    }
    let inRuns = 0;
    if (cell[Cell.runs] !== 0) for (let unit = frame >>> shift; unit <= (frame + (1 << order) - 1) >>> shift; unit = (unit + 1) | 0) inRuns |= runOf[unit]!;
    if (inRuns === 0) lists.give(frame, order, 0);
    else giveParts(frame, frame + (1 << order));
  }

  /** A block that lies in runs: each run gets its part, in one change; what lies in none goes to the buddies. */
  function giveParts(from: number, to: number): void {
    for (let at = from; at < to; ) {
      const run = runOf[at >>> shift]! - 1;
      if (run < 0) {
        lists.give(at, 0, 0);
        at = (at + 1) | 0;
        continue;
      }
      const end = Math.min(to, (run << shift) + frames[run]!);
      change(run, at - end);
      at = end;
    }
  }

  /** The frame lies in a run of this owner. */
  const isOf = (frame: number, owner: number): boolean => {
    const run = runOf[frame >>> shift]!;
    return run !== 0 && owners[run - 1] === owner;
  };

  /** Throws an Error naming the first broken invariant. */
  function validate(name: string): void {
    held.validate(name);
    let free = 0;
    let runs = 0;
    let queued = 0;
    for (let unit = 0; unit < units; unit++) {
      if (runOf[unit] !== unit + 1) continue;
      runs++;
      let used = 0;
      for (let frame = unit << shift; frame < (unit << shift) + frames[unit]!; frame++) {
        if (runOf[frame >>> shift] !== unit + 1) throw new Error(`${name}: frame ${frame} does not know its run ${unit << shift}`);
        if (lists.blockAround(frame, 0) >= 0) throw new Error(`${name}: frame ${frame} is in a run and with the buddies`);
        used += held.isClear(frame, 0) ? 0 : 1;
      }
      if (used !== populated[unit] || used === 0) throw new Error(`${name}: run ${unit << shift} has ${used} frames handed out, ${populated[unit]} counted`);
      free += frames[unit]! - used;
      if (isQueued(unit)) queued++;
    }
    for (let run = cell[Cell.head]!, before = -1; run >= 0; before = run, run = next[run]!) {
      if (prev[run] !== before || !isQueued(run)) throw new Error(`${name}: run ${run << shift} is in the queue by mistake`);
      queued--;
    }
    if (queued !== 0) throw new Error(`${name}: ${queued} more runs are partly populated than in the queue`);
    if (free !== cell[Cell.free] || runs !== cell[Cell.runs])
      throw new Error(`${name}: ${runs} runs with ${free} free frames, ${cell[Cell.runs]} and ${cell[Cell.free]} counted`);
    const inLists = lists.validate(name, held);
    if (inLists + free !== held.freeFrames())
      throw new Error(`${name}: ${inLists} frames with the buddies and ${free} in runs, but ${held.freeFrames()} are free`);
  }

  return { runOf, reserve, populate, takeBlock, give, isOf, steps: (): number => work[0]!, validate };
}
