/**
 * A history drawn from a seed: lives (a process' pages, files in the page cache, objects of the kernel) that grow side by side and end one by one, so that
 * what is left over lies scattered. How sizes and kinds are spread is made up, in orders of magnitude after what machines show; it is not measured.
 *
 * A life is user memory (two of three: 1 to 4096 frames, one by one, movable) or the kernel's (1 to 512 frames in blocks of order 0 to 3, four of seven
 * unmovable, the others reclaimable), sizes drawn evenly by order of magnitude. A block that is not to be had is taken in halves, and goes as a whole again: the
 * history is the same for every strategy.
 */
import { FrameKind } from '../../../arch/arch.js';
import { seeded, xorshift } from '../xorshift.js';
import type { Aged, AgedFrames } from './contract.js';

export interface DrawnAgeing {
  readonly kind: 'drawn';
  readonly seed: number;
  /** Share of memory in use, 0 to 1. */
  readonly utilisation: number;
  /** Rounds of filling half of the rest and ending lives until that share is in use again. */
  readonly churn: number;
}

/** Lives that grow at the same time. */
const AT_ONCE = 8;
/** Blocks that a life grows by before another one's turn: 1, 2, 4, 8 or 16. */
const BATCHES = 5;
/** Sizes of lives: 1, 2, 4, ... frames, so many of them; and orders of the kernel's blocks. */
const USER_SIZES = 13;
const KERNEL_SIZES = 10;
const KERNEL_ORDERS = 4;
/** Marks the second half of a block that was taken in halves. */
const PART = 128;

interface Life {
  readonly kind: number;
  /** Frames that it still wants. */
  wanted: number;
  /** Its last block, an index into the blocks; -1 = none. */
  last: number;
}

export function makeHistory({ seed, utilisation, churn }: DrawnAgeing, frames: AgedFrames, usableFrames: number): Aged {
  const goal = Math.floor(utilisation * usableFrames);
  let state = seeded(seed);
  let held = 0;
  const lives: Life[] = [];
  const growing: Life[] = [];
  // Blocks that are held, each behind the one that its life took before.
  let first = new Int32Array(1 << 12);
  /** Its order; with PART, it was asked for together with the one before. */
  let order = new Uint8Array(1 << 12);
  let before = new Int32Array(1 << 12);
  let blocks = 0;
  /** Head of the list of places that are empty, through `before`; -1 = none. */
  let empty = -1;

  /** A number from 0 to n - 1. */
  function draw(n: number): number {
    state = xorshift(state);
    return (state >>> 0) % n;
  }

  function begin(): Life {
    const kernel = draw(20) >= 13;
    const kind = !kernel ? FrameKind.movable : draw(7) < 4 ? FrameKind.unmovable : FrameKind.reclaimable;
    const life = { kind, wanted: 1 << draw(kernel ? KERNEL_SIZES : USER_SIZES), last: -1 };
    lives.push(life);
    return life;
  }

  function place(): number {
    if (empty >= 0) {
      const at = empty;
      empty = before[at]!;
      return at;
    }
    if (blocks === first.length) {
      first = longer(first, new Int32Array(2 * blocks));
      order = longer(order, new Uint8Array(2 * blocks));
      before = longer(before, new Int32Array(2 * blocks));
    }
    return blocks++;
  }

  /** One more block for a life, or two halves of it; `part`: PART for a second half. False when there is not even a frame. */
  function take(life: Life, wished: number, part: number): boolean {
    const frame = frames.take(wished, life.kind);
    if (frame < 0) return wished > 0 && take(life, wished - 1, part) && take(life, wished - 1, PART);
    const at = place();
    first[at] = frame;
    order[at] = wished | part;
    before[at] = life.last;
    life.last = at;
    life.wanted -= 1 << wished;
    held += 1 << wished;
    return true;
  }

  /** Gives back what a life took last, all parts of it. */
  function drop(life: Life): void {
    for (let part = PART; part !== 0; ) {
      const at = life.last;
      part = order[at]! & PART;
      const o = order[at]! & ~PART;
      frames.release(first[at]!, o);
      held -= 1 << o;
      life.last = before[at]!;
      before[at] = empty;
      empty = at;
    }
  }

  /** One life grows by a few blocks, up to so many frames held by all; false when there is not even a frame. */
  function growSome(until: number): boolean {
    const turn = draw(AT_ONCE);
    let life = growing[turn];
    if (life === undefined || life.wanted <= 0) {
      life = begin();
      growing[turn] = life;
    }
    for (let batch = 1 << draw(BATCHES); batch > 0 && life.wanted > 0 && held < until; batch--) {
      const most = Math.min(life.wanted, until - held);
      const wished = life.kind === FrameKind.movable ? 0 : Math.min(draw(KERNEL_ORDERS), 31 - Math.clz32(most));
      if (!take(life, wished, 0)) return false;
    }
    return true;
  }

  /** Lets lives grow until so many frames are held, or none is to be had. */
  function fill(until: number): void {
    while (held < until && growSome(until));
  }

  /** Ends lives, each as likely, until so many frames are held; the last one only in part. */
  function end(until: number): void {
    while (held > until) {
      const which = draw(lives.length);
      const life = lives[which]!;
      life.wanted = 0;
      while (life.last >= 0 && held > until) drop(life);
      if (life.last >= 0) return;
      lives[which] = lives[lives.length - 1]!;
      lives.pop();
    }
  }

  const grow = (): void => fill(held + Math.floor(frames.freeFrames() / 2));
  const shrink = (): void => end(goal);

  fill(goal);
  for (let round = 0; round < churn; round++) {
    grow();
    shrink();
  }
  return { grow, shrink };
}

function longer<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
