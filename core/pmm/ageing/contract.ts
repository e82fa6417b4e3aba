/** What ageing needs, and what it leaves. */

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
