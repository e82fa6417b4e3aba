/**
 * Contract of a process-heap layout: where the blocks that a trace allocates live in the simulated address space.
 *
 * `recorded` leaves them where the trace says; others place them anew. Addresses come split (arch/address.ts); a space is its index.
 */
import type { Machine } from '../vmm/machine.js';
import type { Mappings } from '../vmm/mappings.js';

export interface ProcessHeap {
  /** A block of `bytes` that the trace saw at hi:lo. 1, or 0 when refused (counted); its place is then in `place`. */
  allocate(space: number, hi: number, lo: number, bytes: number, align: number): number;
  /** The block at hi:lo goes: 1, or 0 when no such block lives (counted). */
  release(space: number, hi: number, lo: number): number;
  /** Bytes of the live block the trace saw at hi:lo, or -1. */
  blockBytes(space: number, hi: number, lo: number): number;
  /**
   * Where a recorded address lies now: 1 and the address in `place`, or 0 when it lies in memory of the recorded heap that does not exist here
   * (the recorded allocator's own headers): the access is left out and counted.
   */
  follow(space: number, hi: number, lo: number): number;
  /** [0] hi, [1] lo of the last allocate or follow. */
  readonly place: Int32Array;
  /** The layout places blocks itself: recorded brk calls, and mappings that hold blocks, are left out. */
  readonly places: boolean;
  /** The recorded break of the space moves (only told to layouts that place). */
  recordedBreak(space: number, to: number): void;
  /** Recorded pages [from, to) are mapped or unmapped (only told to layouts that place). */
  recordedRange(space: number, from: number, to: number): void;
  /** The space was forked, or is about to go. */
  forked(from: number, to: number): void;
  destroyed(space: number): void;
  /** Bytes asked for by live blocks, their peak, live blocks; calls. */
  readonly liveBytes: Float64Array;
  /** Touches left out because of `follow`, recorded mappings left out, implicit mappings made. */
  readonly counts: Float64Array;
  validate(): void;
}

/** Indices into `liveBytes`. */
export const enum HeapLive {
  bytes = 0,
  bytesPeak = 1,
  blocks = 2,
  blocksPeak = 3,
}

/** Indices into `counts`. */
export const enum HeapCount {
  allocations = 0,
  frees = 1,
  skippedTouches = 2,
  leftOutMappings = 3,
  implicitMappings = 4,
  steps = 5,
}

export interface ProcessHeapLayout {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  create(machine: Machine, mappings: Mappings): ProcessHeap;
}
