/** LLFree's trees: who reserves which, and what happens to frees from elsewhere. */
import { describe, expect, it } from 'vitest';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { llfree } from '../../../core/pmm/llfree.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';

const TREE = 4096;
const make = (trees: number, cpus: number): FrameAllocator => llfree.create({ map: memoryMapFromSize(trees * TREE * 4096), cpus, seed: 1 });
const take = (pmm: FrameAllocator, cpu: number, order = 0): number => pmm.allocate(order, 1, cpu, -1, 0);
const run = (pmm: FrameAllocator, cpu: number, n: number): number[] => Array.from({ length: n }, () => take(pmm, cpu));
const treeOf = (frame: number): number => Math.floor(frame / TREE);

describe('llfree', () => {
  it('each CPU allocates from a tree of its own, the first at its share of memory', () => {
    const pmm = make(64, 2);
    expect(run(pmm, 0, 3)).toEqual([0, 1, 2]);
    expect(run(pmm, 1, 3)).toEqual([32 * TREE, 32 * TREE + 1, 32 * TREE + 2]);
    // Both trees are used up before another one is touched.
    expect(new Set(run(pmm, 0, TREE - 3).map(treeOf))).toEqual(new Set([0]));
    expect(treeOf(take(pmm, 0))).toBe(63);
    pmm.validate();
  });

  it('takes huge frames whole by their counters, beside single ones in the same tree', () => {
    const pmm = make(4, 1);
    expect(take(pmm, 0)).toBe(0);
    expect(take(pmm, 0, 9)).toBe(512);
    expect(take(pmm, 0, 10)).toBe(1024);
    // The search goes on at the row of the last allocation.
    expect(take(pmm, 0)).toBe(2048);
    expect(pmm.free(512, 9, 0)).toBe(0);
    // 512-1023, and 2560-3071 behind the one frame that is used.
    expect(pmm.freeBlocks(9)).toBe(2);
    pmm.validate();
  });

  it('finds what another CPU freed in its tree once its own count is used up', () => {
    const pmm = make(8, 2);
    const mine = run(pmm, 0, TREE);
    expect(new Set(mine.map(treeOf))).toEqual(new Set([0]));
    expect(pmm.free(100, 0, 1)).toBe(0);
    expect(pmm.free(200, 0, 1)).toBe(0);
    // From the row of the last allocation on and round: 100 is found first.
    expect(run(pmm, 0, 2)).toEqual([100, 200]);
    expect(treeOf(take(pmm, 0))).not.toBe(0);
  });

  it('reserves the tree it frees into after four frees, if a sixteenth of it is free', () => {
    const pmm = make(32, 2);
    run(pmm, 0, 2 * TREE);
    expect(take(pmm, 1)).toBe(16 * TREE);
    // CPU 0 holds the tree it filled last. CPU 1 frees 256 frames of tree 0, one more than a sixteenth makes it its own.
    for (let frame = 0; frame < 256; frame++) expect(pmm.free(frame, 0, 1)).toBe(0);
    expect(take(pmm, 1)).toBe(16 * TREE + 1);
    expect(pmm.free(256, 0, 1)).toBe(0);
    expect(take(pmm, 1)).toBe(0);
    pmm.validate();
  });

  it('prefers a half-full tree nearby to an untouched one', () => {
    const pmm = make(64, 1);
    const frames = run(pmm, 0, 5 * TREE);
    const order = [...new Set(frames.map(treeOf))];
    // Untouched memory: any tree, alternately after and before the last one, aligned to 16 trees.
    expect(order).toEqual([0, 63, 48, 47, 32]);
    const other = frames.filter((frame) => treeOf(frame) === 47);
    // A third of tree 47, freed in turns with tree 63, so that neither is reserved for being freed into.
    const third = other.slice(0, 1400);
    third.forEach((frame, i) => {
      expect(pmm.free(frame, 0, 0)).toBe(0);
      if (i % 4 === 3) expect(pmm.free(63 * TREE + i, 0, 0)).toBe(0);
    });
    // Fifteen trees after 32: further than half-full trees are looked for, near enough for partly free ones.
    expect(treeOf(take(pmm, 0))).toBe(47);
    pmm.validate();
  });

  it('gives up all reservations before it fails', () => {
    const pmm = make(2, 2);
    const a = run(pmm, 0, TREE);
    expect(take(pmm, 1)).toBe(TREE);
    // CPU 0's tree is full and the other one is reserved.
    expect(treeOf(take(pmm, 0))).toBe(1);
    run(pmm, 0, TREE - 2);
    expect(take(pmm, 0)).toBe(-1);
    expect(take(pmm, 1)).toBe(-1);
    expect(pmm.free(a[7] ?? -1, 0, 0)).toBe(0);
    expect(take(pmm, 1)).toBe(7);
    pmm.validate();
  });
});
