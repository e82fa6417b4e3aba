/**
 * What the user's own allocator owes framewalk: less than FrameAllocator (core/pmm/allocator.ts), which `account.ts` makes of it. A JavaScript or
 * TypeScript module returns this from `create`; of a WebAssembly module `wasm.ts` makes it.
 */
import { UserError } from '../../../traces/event.js';

export interface OwnAllocator {
  /** Largest order that `allocate` serves, 0 to 10. */
  readonly maxOrder: number;
  /** First frame of a free block of 2^order frames, or a negative number. The other arguments are those of FrameAllocator.allocate. */
  allocate(order: number, kind: number, cpu: number, near: number, owner: number): number;
  /** Takes back a block that `allocate` handed out, with its order; 0. Never called with anything else. */
  free(frame: number, order: number, cpu: number): number;

  // ---- all that follows is optional
  /** Frames that can still be handed out. At the start it may be less than the memory has: the allocator may keep some for itself. */
  freeFrames?(): number;
  /** Words and nodes examined since creation; without it each call counts as one. */
  steps?(): number;
  /** Throws an Error that names the first broken invariant; called by --audit and check-pmm. */
  validate?(): void;
  /** Blocks need not be aligned to their size. */
  readonly unaligned?: boolean;
  /** `allocate` throws PmmFull where others answer a negative number. */
  readonly trapsWhenFull?: boolean;
  /** See FrameAllocator. */
  readonly near?: 'superpage' | 'mapping';
  sharedUses?(): number;
}

/** The user's allocator broke its contract; the message says how, without the file's name. */
export class PmmViolation extends UserError {
  override readonly name = 'UserError';
}

/** An allocator that panics when it is out of memory, as it says of itself (flag 4), did so. It must not be called again. */
export class PmmFull extends PmmViolation {}
