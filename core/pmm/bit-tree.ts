/**
 * A bitmap of bitmaps: leaves that are open (0) or closed (1), and above them levels in which a bit says that all 32 bits
 * below are closed. Opening, closing and finding the next open leaf look at one word a level: five for a terabyte's frames.
 *
 * Sources: the priority bitmap of schedulers (Linux 2.6 sched_find_first_bit) carried on over more levels, which is the
 * van Emde Boas tree of TAOCP 7.1.3 with 32-bit nodes ("broadword trees").
 *
 *     leaf i   . . . 20 ... 15 . . . 10 ... 5 4 ... 0
 *              level 2 bit     level 1 bit    level 0 bit within word i >>> 5
 */
import { reserveInt32 } from './reserve.js';

export interface BitTree {
  close(leaf: number): void;
  open(leaf: number): void;
  /** Closes leaves [from, to) for good; none of them may be opened later. The work does not grow with their number. */
  seal(from: number, to: number): void;
  /** First open leaf at or after `from`, or -1. */
  next(from: number): number;
  /** 1 if the leaf, or a level above it, is closed. */
  isClosed(leaf: number): number;
  /** Words examined. */
  steps(): number;
  /** Throws an Error when a level does not say what the one below it amounts to. */
  validate(name: string): void;
}

export function makeBitTree(leaves: number): BitTree {
  /** First word of each level in `words`. */
  const offset = new Int32Array(32);
  const wordsAt = new Int32Array(32);
  let levels = 0;
  let length = 0;
  for (let bits = leaves; levels === 0 || bits > 1; levels++) {
    offset[levels] = length;
    wordsAt[levels] = Math.ceil(bits / 32);
    bits = Math.ceil(bits / 32);
    length += bits;
  }
  const top = levels - 1;
  const words = reserveInt32(length);
  const work = new Float64Array(16);
  for (let level = 0, bits = leaves; level < levels; level++, bits = wordsAt[level - 1]!) sealAt(level, bits, wordsAt[level]! * 32);

  function closeAt(from: number, leaf: number): void {
    let level = from;
    let i = leaf;
    for (;;) {
      const w = (offset[level]! + (i >>> 5)) | 0;
      const now = words[w]! | (1 << i);
      words[w] = now;
      if (now !== -1 || level === top) return;
      level = (level + 1) | 0;
      i >>>= 5;
    }
  }

  function open(leaf: number): void {
    let level = 0;
    let i = leaf;
    for (;;) {
      const w = (offset[level]! + (i >>> 5)) | 0;
      const old = words[w]!;
      words[w] = old & ~(1 << i);
      if (old !== -1 || level === top) return;
      level = (level + 1) | 0;
      i >>>= 5;
    }
  }

  function sealAt(level: number, from: number, to: number): void {
    let i = from;
    for (; i < to && i % 32 !== 0; i++) closeAt(level, i);
    const end = to - (to % 32);
    if (end > i) {
      if (level < top) sealAt(level + 1, i / 32, end / 32);
      else words.fill(-1, offset[level]! + i / 32, offset[level]! + end / 32);
      i = end;
    }
    for (; i < to; i++) closeAt(level, i);
  }

  function next(from: number): number {
    // From the highest level that closes the leaf: what is sealed there is not written below. Leaf 0 is found from the top down.
    let level = top;
    if (from !== 0) while (level > 0 && !bitAt(level, from)) level = (level - 1) | 0;
    let i = from >>> (5 * level);
    let examined = (top - level) | 0;
    let found = -1;
    while (level <= top) {
      const w = i >>> 5;
      if (w >= wordsAt[level]!) break;
      examined = (examined + 1) | 0;
      const open = ~words[(offset[level]! + w) | 0]! & (-1 << (i & 31));
      if (open !== 0) {
        found = ((w << 5) + 31 - Math.clz32(open & -open)) | 0;
        while (level > 0) {
          level = (level - 1) | 0;
          const below = ~words[(offset[level]! + found) | 0]!;
          examined = (examined + 1) | 0;
          found = ((found << 5) + 31 - Math.clz32(below & -below)) | 0;
        }
        break;
      }
      i = (w + 1) | 0;
      level = (level + 1) | 0;
    }
    work[0]! += examined;
    return found;
  }

  /** The bit of a level that stands for the leaf is 1. */
  function bitAt(level: number, leaf: number): boolean {
    const i = leaf >>> (5 * level);
    return ((words[(offset[level]! + (i >>> 5)) | 0]! >>> (i & 31)) & 1) === 1;
  }

  function isClosed(leaf: number): number {
    for (let level = 0; level <= top; level++) if (bitAt(level, leaf)) return 1;
    return 0;
  }

  function validate(name: string): void {
    for (let level = 1; level <= top; level++) {
      for (let i = 0; i < wordsAt[level - 1]!; i++) {
        const closed = ((words[offset[level]! + (i >>> 5)]! >>> (i & 31)) & 1) === 1;
        const full = words[offset[level - 1]! + i]! === -1;
        // What is sealed at one level is not written below.
        if (full && !closed) throw new Error(`${name}: level ${level} of the tree shows word ${i} open, but it is full`);
        if (closed && !full && words[offset[level - 1]! + i]! !== 0)
          throw new Error(`${name}: level ${level} of the tree shows word ${i} closed, but it is open`);
      }
    }
  }

  return { close: (leaf) => closeAt(0, leaf), open, seal: (from, to) => sealAt(0, from, to), next, isClosed, steps: () => work[0]!, validate };
}
