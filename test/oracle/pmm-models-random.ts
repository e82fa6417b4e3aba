/** The naive twin of `random`: draws a usable frame and looks at one frame after the other from there on. */
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { framesOf, usableFrames, type Twin } from './pmm-twin.js';

export function randomTwin(map: MemoryMap, _cpus: number, seed: number): Twin {
  const usable = usableFrames(map);
  const free = new Set(usable);
  let state = BigInt(seed);
  const low32 = (n: bigint): bigint => n & 0xffffffffn;
  const draw = (): number => {
    state = low32(state ^ (state << 13n));
    state ^= state >> 17n;
    state = low32(state ^ (state << 5n));
    return Number(state);
  };
  return {
    allocate(order) {
      if (order > 10) return -1;
      const size = 2 ** order;
      const start = usable[draw() % usable.length] ?? 0;
      const isFree = (frame: number): boolean => frame % size === 0 && free.has(frame) && framesOf(frame, order).every((f) => free.has(f));
      const from = start - (start % size);
      const first = usable.find((frame) => frame >= from && isFree(frame)) ?? usable.find(isFree) ?? -1;
      if (first >= 0) for (const f of framesOf(first, order)) free.delete(f);
      return first;
    },
    free: (frame, order) => {
      for (const f of framesOf(frame, order)) free.add(f);
    },
  };
}
