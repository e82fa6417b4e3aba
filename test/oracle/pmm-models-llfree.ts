/** The naive twin of `llfree`: a Set of free frames, and which tree of 4096 frames each CPU has reserved. */
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { framesOf, usableFrames, type Twin } from './pmm-twin.js';

const TREE = 4096;
const CHILD = 512;
const ROW = 32;

export function llfreeTwin(map: MemoryMap, cpus: number): Twin {
  const free = new Set(usableFrames(map));
  const trees = Math.ceil(map.frames / TREE);
  const near = Math.min(Math.max(Math.floor(trees / cpus / 4), 4), 32);
  const tree: (number | undefined)[] = Array.from({ length: cpus }, () => undefined);
  const lastFrame: number[] = Array.from({ length: cpus }, () => 0);
  const freed: { tree: number; before: number }[] = Array.from({ length: cpus }, () => ({ tree: -1, before: 0 }));

  const freeIn = (t: number): number => [...free].filter((frame) => Math.floor(frame / TREE) === t).length;
  const isFree = (first: number, order: number): boolean => framesOf(first, order).every((frame) => free.has(frame));

  /** Takes a block of a tree, searched from the row (or the row-aligned start of a larger block) of a frame on. */
  function takeIn(t: number, from: number, order: number): number {
    const size = 2 ** order;
    const unit = Math.max(size, ROW);
    const firstChild = Math.floor(from / CHILD) - t * 8;
    const step = Math.max(size / CHILD, 1);
    for (let i = 0; i < 8; i += step) {
      const child = t * 8 + ((Math.floor(firstChild / step) * step + i) % 8);
      const origin = i === 0 && order < 9 ? Math.floor((from % CHILD) / unit) * unit : 0;
      for (let k = 0; k < CHILD * step; k++) {
        // Row by row from the origin, round the child; within a row from its lowest frame on.
        const frame = child * CHILD + ((origin + k) % (CHILD * step));
        if (frame % size !== 0 || !free.has(frame) || !isFree(frame, order)) continue;
        for (const f of framesOf(frame, order)) free.delete(f);
        return frame;
      }
    }
    return -1;
  }

  function search(cpu: number, order: number, start: number, from: number, to: number, low: number, high: number): number {
    for (let i = from; i < to; i++) {
      const away = i % 2 === 0 ? i / 2 : -Math.ceil(i / 2);
      const t = (start + away + 1000 * trees) % trees;
      const n = tree.includes(t) ? -1 : freeIn(t);
      if (n < Math.max(low, 2 ** order) || n > high) continue;
      const frame = takeIn(t, t * TREE, order);
      if (frame < 0) continue;
      tree[cpu] = t;
      lastFrame[cpu] = frame;
      return frame;
    }
    return -1;
  }

  return {
    allocate(order, _kind, cpu) {
      if (order > 10) return -1;
      const mine = tree[cpu];
      if (mine !== undefined) {
        const frame = takeIn(mine, lastFrame[cpu] ?? 0, order);
        if (frame >= 0) {
          lastFrame[cpu] = frame;
          return frame;
        }
      }
      const from = mine ?? Math.floor(trees / cpus) * cpu;
      const start = Math.floor(from / 16) * 16;
      let frame = search(cpu, order, start, 1, near, TREE / 16, TREE / 2);
      if (frame < 0) frame = search(cpu, order, start, 1, 2 * near, TREE / 64, (TREE * 15) / 16);
      if (frame < 0) frame = search(cpu, order, start, 0, trees, 0, TREE);
      if (frame < 0 && tree.some((t) => t !== undefined)) {
        tree.fill(undefined);
        frame = search(cpu, order, start, 0, trees, 0, TREE);
      }
      return frame;
    },
    free(frame, order, cpu) {
      for (const f of framesOf(frame, order)) free.add(f);
      const t = Math.floor(frame / TREE);
      const last = freed[cpu];
      if (last === undefined) return;
      const enough = last.tree === t && last.before >= 4;
      last.before = last.tree === t ? Math.min(last.before + 1, 4) : 0;
      last.tree = t;
      if (!enough || tree.includes(t) || freeIn(t) <= TREE / 16) return;
      tree[cpu] = t;
      lastFrame[cpu] = t * TREE;
    },
  };
}
