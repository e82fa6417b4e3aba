/**
 * What several CPUs make of a strategy: which CPU asks, which gives back what another one took, and how often the state that they share goes from
 * one to the next. Stands in front of the strategy while there is more than one CPU, and changes nothing that it does.
 *
 * A use of what is shared is the taking of a lock (or, without locks, an update of shared words): `sharedUses` of the strategy says how many an
 * operation made, or it is one an operation. When the CPU that made the last use is another one, the lock's cache line changes hands: a hand-over. One
 * lock is taken to be all there is; a strategy with a lock per zone hands over less.
 */
import type { FrameAllocator } from './allocator.js';
import { reserveUint8 } from './reserve.js';

/** Counts of one CPU; the row of CPU c begins at c * length. */
export const enum CpuCount {
  allocations = 0,
  frees = 1,
  /** Frees of a block that another CPU had taken. */
  remoteFrees = 2,
  sharedUses = 3,
  /** Operations that used what is shared after another CPU did. */
  handOvers = 4,
  length = 5,
}

export interface CpuUse {
  readonly pmm: FrameAllocator;
  /** cpus x CpuCount.length, row-major. */
  readonly counts: Float64Array;
}

/** `frames`: of the memory map, holes included; `cpus`: at most 256, the CPU that took a frame being a byte. */
export function watchCpus(strategy: FrameAllocator, frames: number, cpus: number): CpuUse {
  const counts = new Float64Array(cpus * CpuCount.length);
  /** The CPU that took a frame. */
  const taker = reserveUint8(frames);
  const sharedUses = strategy.sharedUses === undefined ? null : () => strategy.sharedUses!();
  let seen = sharedUses === null ? 0 : sharedUses();
  let last = 0;

  function noteShared(cpu: number): void {
    let n = 1;
    if (sharedUses !== null) {
      const now = sharedUses();
      n = now - seen;
      seen = now;
      if (n === 0) return;
    }
    counts[cpu * CpuCount.length + CpuCount.sharedUses]! += n;
    if (last !== cpu) counts[cpu * CpuCount.length + CpuCount.handOvers]! += 1;
    last = cpu;
  }

  const pmm: FrameAllocator = {
    ...(strategy.near === undefined ? {} : { near: strategy.near }),
    totalFrames: strategy.totalFrames,
    maxOrder: strategy.maxOrder,
    allocate(order, kind, cpu, near, owner) {
      const first = strategy.allocate(order, kind, cpu, near, owner);
      noteShared(cpu);
      if (first >= 0) {
        counts[cpu * CpuCount.length + CpuCount.allocations]! += 1;
        taker.fill(cpu, first, first + 2 ** order);
      }
      return first;
    },
    free(frame, order, cpu) {
      const code = strategy.free(frame, order, cpu);
      noteShared(cpu);
      if (code === 0) {
        counts[cpu * CpuCount.length + CpuCount.frees]! += 1;
        if (taker[frame] !== cpu) counts[cpu * CpuCount.length + CpuCount.remoteFrees]! += 1;
      }
      return code;
    },
    freeFrames: () => strategy.freeFrames(),
    freeBlocks: (order) => strategy.freeBlocks(order),
    steps: () => strategy.steps(),
    isFree: (frame) => strategy.isFree(frame),
    validate: () => strategy.validate(),
  };
  return { pmm, counts };
}
