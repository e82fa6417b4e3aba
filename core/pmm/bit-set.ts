/**
 * A set of small integers that knows its order: bits, and above them levels in which a bit says that some bit below is set.
 * Adding, removing and finding the member before a number look at one or two words a level.
 *
 * Source: TAOCP 7.1.3 (broadword trees), as bit-tree.ts, which asks the opposite question: whether all bits below are set.
 */
import { reserveInt32 } from './reserve.js';

export function makeBitSet(size: number) {
  /** First word of each level in `words`. */
  const offset = new Int32Array(32);
  let levels = 0;
  let length = 0;
  for (let bits = size; levels === 0 || bits > 1; levels++) {
    offset[levels] = length;
    bits = Math.ceil(bits / 32);
    length += bits;
  }
  const top = levels - 1;
  const words = reserveInt32(length);
  const work = new Float64Array(16);

  function add(member: number): void {
    for (let level = 0, i = member; level <= top; level = (level + 1) | 0, i >>>= 5) {
      const w = (offset[level]! + (i >>> 5)) | 0;
      const old = words[w]!;
      words[w] = old | (1 << i);
      if (old !== 0) return;
    }
  }

  function remove(member: number): void {
    for (let level = 0, i = member; level <= top; level = (level + 1) | 0, i >>>= 5) {
      const w = (offset[level]! + (i >>> 5)) | 0;
      const now = words[w]! & ~(1 << i);
      words[w] = now;
      if (now !== 0) return;
    }
  }

  /** Largest member below `limit`, or -1. */
  function before(limit: number): number {
    let i = limit;
    for (let level = 0; level <= top; level = (level + 1) | 0) {
      work[0]! += 1;
      // Bits below i within its word; none if i begins a word.
      const below = words[(offset[level]! + (i >>> 5)) | 0]! & ~(-1 << (i & 31));
      if (below !== 0) {
        let found = ((i & -32) + 31 - Math.clz32(below)) | 0;
        while (level > 0) {
          level = (level - 1) | 0;
          work[0]! += 1;
          found = ((found << 5) + 31 - Math.clz32(words[(offset[level]! + found) | 0]!)) | 0;
        }
        return found;
      }
      i >>>= 5;
    }
    return -1;
  }

  const has = (member: number): boolean => ((words[member >>> 5]! >>> (member & 31)) & 1) === 1;

  return { add, remove, before, has, steps: (): number => work[0]! };
}
