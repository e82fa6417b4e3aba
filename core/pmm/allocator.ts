/**
 * The contract of a physical memory manager (PMM) strategy.
 *
 * A strategy hands out blocks of 2^order frames, first frame aligned to the block's size, from the usable ranges of a
 * memory map. No frame is handed out twice; what was handed out comes back through `free` with the same order, in parts
 * that are themselves aligned blocks, or joined to a larger one: all that counts is that every frame of it is handed out. All state lives in typed arrays whose untouched parts cost no memory, so
 * that terabytes start in milliseconds. One instance per isolate: closures over its arrays compile to constants.
 */
import type { FrameSource } from '../../arch/arch.js';
import type { MemoryMap } from './memory-map.js';

/** Largest order of a block (4 MiB), as Linux' MAX_PAGE_ORDER. */
export const MAX_ORDER = 10;

export interface FrameAllocator extends FrameSource {
  /**
   * First frame of the block or -1 (no block of that order, or an order the strategy cannot serve). `kind` is a FrameKind, `cpu` is below
   * PmmOptions.cpus, `owner` an address space or -1, `near` where the block would best lie (near.ts: a frame, nothing, or a page's place in
   * its mapping). A strategy ignores what it has no use for.
   */
  allocate(order: number, kind: number, cpu: number, near: number, owner: number): number;
  /**
   * 0; -EINVAL for a block that reaches outside the usable ranges, a misaligned one or an order the strategy cannot serve; -EPERM if any
   * frame of it is free already. Nothing changes on error.
   */
  free(frame: number, order: number, cpu: number): number;
  freeFrames(): number;
  /**
   * Which neighbours' frames a wish may follow from: pages of the same 2 MiB of a mapping, or of the whole mapping. Without it, `near`
   * decides nothing, and who asks does not work it out.
   */
  readonly near?: 'superpage' | 'mapping';
  /** Usable frames of the memory map. */
  readonly totalFrames: number;
  /** Largest order `allocate` can serve (0 for a stack of single frames). */
  readonly maxOrder: number;
  /** Free blocks at exactly this order: the strategy's own lists for a buddy; otherwise the maximal aligned free blocks, as a buddy would hold them. */
  freeBlocks(order: number): number;
  /** Words and nodes examined since creation: the deterministic cost. Grows by at least 1 with every allocate and free. */
  steps(): number;
  /**
   * Times since creation that an operation locked, or without locks updated, what all CPUs share, for strategies that keep state per CPU: most
   * operations do not. Without it each operation takes the one lock there is, once.
   */
  sharedUses?(): number;
  /** 1 if the frame is free, 0 if allocated or not usable. For checks and pictures, not for speed. */
  isFree(frame: number): number;
  /** Throws an Error naming the first broken invariant. */
  validate(): void;
}

export interface PmmOptions {
  readonly map: MemoryMap;
  readonly cpus: number;
  readonly seed: number;
}

/** A registry entry: one file, one line in core/pmm/registry.ts. */
export interface PmmStrategy {
  readonly name: string;
  readonly title: string;
  /** Kernel file, paper or book the strategy follows. */
  readonly source: string;
  /** sha256 of the file that the strategy came from, in hex; of none that is built in. */
  readonly hash?: string;
  create(options: PmmOptions): FrameAllocator;
}
