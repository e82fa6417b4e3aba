/**
 * page_alloc and page_free events: recordings of a kernel's own page allocator drive the PMM directly. The recorded frame number names the block; the
 * strategy under test places it anew.
 *
 * A kernel may give a block back in parts (split_page), so what is left of a block is kept as smaller ones, and looked up by the part's place.
 */
import { FrameKind } from '../../arch/arch.js';
import { Flag, Op } from '../../traces/event.js';
import type { Trace } from '../../traces/event.js';
import { IntMap } from '../int-map.js';
import { FrameSet } from './frame-set.js';
import { Use } from '../vmm/frames.js';
import type { Machine } from '../vmm/machine.js';

/** Largest order of a recorded block that is looked at. */
const MOST = 20;

/** Blocks that are live in a recording, disjoint: recorded first frame -> order. Those aligned to their size, as a kernel's are, can be cut. */
export class RecordedBlocks {
  private readonly orders = new IntMap(256);
  private readonly frames = new FrameSet();

  /** Order of the live block that begins at a frame, or -1. */
  orderAt(frame: number): number {
    return this.orders.get(frame, -1);
  }

  /** A block of frames none of which is live. */
  put(frame: number, order: number): void {
    this.orders.set(frame, order);
    this.frames.add(frame, order);
  }

  /** Lets `give` take what is live of a block that is handed out: all of it was freed, though no event says so. */
  vacate(frame: number, order: number, give: (frame: number, order: number) => void): void {
    if (!this.frames.hasAny(frame, order)) return;
    give(frame, order);
    if (!this.frames.hasAny(frame, order)) return;
    // Blocks that are not aligned, or this one is not: they reach into each other.
    for (const block of this.list()) if (block.frame < frame + 2 ** order && frame < block.frame + 2 ** block.order) give(block.frame, block.order);
  }

  /** Every live block, by ascending frame. */
  list(): EarlierBlock[] {
    const out: EarlierBlock[] = [];
    this.orders.forEach((frame, order) => out.push({ frame, order }));
    return out.sort((a, b) => a.frame - b.frame);
  }

  /**
   * Takes a block out of the live one around it, which is cut into halves as often as it takes; each half that stays is told. First frame of what was cut, or -1
   * when no live block holds it.
   */
  take(frame: number, order: number, kept: (half: number, head: number) => void): number {
    // As it was handed out, aligned or not.
    if (this.orderAt(frame) === order) {
      this.orders.delete(frame);
      this.frames.delete(frame, order);
      return frame;
    }
    for (let k = frame % 2 ** order === 0 ? order : MOST + 1; k <= MOST; k++) {
      const head = frame - (frame % 2 ** k);
      const whole = this.orderAt(head);
      if (whole < k) continue;
      this.orders.delete(head);
      let at = head;
      for (let half = whole - 1; half >= order; half--) {
        const upper = at + 2 ** half;
        const stays = frame >= upper ? at : upper;
        if (frame >= upper) at = upper;
        this.orders.set(stays, half);
        kept(stays, head);
      }
      this.frames.delete(frame, order);
      return head;
    }
    return -1;
  }

  /** The live blocks that begin in a block. */
  partsOf(frame: number, order: number): EarlierBlock[] {
    const parts: EarlierBlock[] = [];
    if (order === 0 || !this.frames.hasAny(frame, order)) return parts;
    for (let f = frame; f < frame + 2 ** order; f++) if (this.orderAt(f) >= 0) parts.push({ frame: f, order: this.orderAt(f) });
    return parts;
  }
}

export function makePageBlocks(machine: Machine) {
  const { frames } = machine;
  const live = new RecordedBlocks();
  /** Recorded first frame of a live block -> first frame here. */
  const places = new IntMap(256);

  /** Blocks that the strategy could not serve: their frees have nothing to give back. */
  const refused = new IntMap(64);

  function keep(half: number, head: number): void {
    if (half !== head) places.set(half, places.get(head, 0) + half - head);
  }

  /** 1, or 0 without a block of that order. */
  function allocate(recorded: number, order: number, flags: number): number {
    const kind = (flags & Flag.movable) !== 0 ? FrameKind.movable : (flags & Flag.reclaimable) !== 0 ? FrameKind.reclaimable : FrameKind.unmovable;
    if (!(order >= 0 && order <= MOST)) return 0;
    const first = frames.takeBlock(order, kind === FrameKind.movable ? Use.movable : Use.kernel, kind, -1);
    refused.delete(recorded);
    live.vacate(recorded, order, release);
    if (first < 0) {
      refused.set(recorded, order);
      return 0;
    }
    places.set(recorded, first);
    live.put(recorded, order);
    return 1;
  }

  /** Takes a block that was in use before; where there is none of that order, in halves. False without as many frames. */
  function takeEarlier({ frame, order }: EarlierBlock): boolean {
    const first = order <= frames.pmm.maxOrder ? frames.takeBlock(order, Use.movable, FrameKind.movable, -1) : -1;
    if (first >= 0) {
      places.set(frame, first);
      live.put(frame, order);
      return true;
    }
    return order > 0 && takeEarlier({ frame, order: order - 1 }) && takeEarlier({ frame: frame + 2 ** (order - 1), order: order - 1 });
  }

  /** Gives back every block that is live. */
  function releaseAll(): void {
    for (const { frame, order } of live.list()) release(frame, order);
    refused.clear();
  }

  /** 1, or 0 when no allocation of that block was seen. */
  function release(recorded: number, order: number): number {
    if (refused.delete(recorded)) return 1;
    const head = live.take(recorded, order, keep);
    if (head < 0) return releaseParts(recorded, order);
    const first = places.get(head, 0) + recorded - head;
    if (live.orderAt(head) < 0) places.delete(head);
    frames.releaseBlock(first, order);
    return 1;
  }

  /** A block whose frames are live in smaller ones. */
  function releaseParts(recorded: number, order: number): number {
    const parts = live.partsOf(recorded, order);
    for (const part of parts) release(part.frame, part.order);
    return parts.length > 0 ? 1 : 0;
  }

  return { allocate, release, takeEarlier, releaseAll };
}

/** A block that was in use when a recording began. */
export interface EarlierBlock {
  readonly frame: number;
  readonly order: number;
}

/**
 * What was in use before the first event, as far as a recording tells: every block that is freed and was not seen allocated. In ascending order of recorded frames.
 * Reads the whole trace; null for one without events of the page allocator.
 */
export function earlierBlocks(trace: Trace): readonly EarlierBlock[] | null {
  if (trace.counts[Op.page_free] === 0 && trace.counts[Op.page_alloc] === 0) return null;
  const live = new RecordedBlocks();
  const earlier: EarlierBlock[] = [];
  /** Frames that an event named before: a later free of them, of which no allocation was seen, tells of a lost event instead. */
  const seen = new FrameSet();
  const nothing = (): void => undefined;
  /** Takes what is live of a block; false when nothing is. */
  const take = (frame: number, order: number): boolean => {
    if (live.take(frame, order, nothing) >= 0) return true;
    const parts = live.partsOf(frame, order);
    for (const part of parts) live.take(part.frame, part.order, nothing);
    return parts.length > 0;
  };
  for (const { length, op, addrHi, addrLo, arg } of trace.blocks()) {
    for (let i = 0; i < length; i++) {
      if (op[i] !== Op.page_alloc && op[i] !== Op.page_free) continue;
      const frame = addrHi[i]! * 1073741824 + addrLo[i]!;
      const order = arg[i]!;
      if (!(order >= 0 && order <= MOST)) continue;
      if (op[i] === Op.page_alloc) {
        live.vacate(frame, order, take);
        live.put(frame, order);
      } else if (!take(frame, order) && !seen.hasAny(frame, order)) earlier.push({ frame, order });
      seen.add(frame, order);
    }
  }
  return earlier.sort((a, b) => a.frame - b.frame);
}
