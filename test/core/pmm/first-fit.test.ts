/** What the lowest free frame costs: searched for word by word (`bitmap-first-fit`), and found through a tree (`bitmap-tree`). */
import { describe, expect, it } from 'vitest';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { makeBitTree } from '../../../core/pmm/bit-tree.js';
import { bitmapFirstFit } from '../../../core/pmm/bitmap-first-fit.js';
import { bitmapTree } from '../../../core/pmm/bitmap-tree.js';
import { memoryMapFromRanges, memoryMapFromSize } from '../../../core/pmm/memory-map.js';

const take = (pmm: FrameAllocator, order = 0): number => pmm.allocate(order, 0, 0, -1, 0);
const fill = (pmm: FrameAllocator, frames: number): void => fillFrom(pmm, 0, frames);
const cost = (pmm: FrameAllocator, operation: () => void): number => {
  const before = pmm.steps();
  operation();
  return pmm.steps() - before;
};

describe('bitmap-first-fit', () => {
  it('reads every word below the frame it finds', () => {
    const pmm = bitmapFirstFit.create({ map: memoryMapFromSize(4096 * 4096), cpus: 1, seed: 1 });
    expect(cost(pmm, () => take(pmm))).toBe(2);
    fillFrom(pmm, 1, 3200);
    // 100 full words, then the one with a free frame; one more for the request itself.
    expect(cost(pmm, () => take(pmm))).toBe(102);
    // Filling n frames reads about n^2 / 64 words.
    const filled = bitmapFirstFit.create({ map: memoryMapFromSize(4096 * 4096), cpus: 1, seed: 1 });
    fill(filled, 4096);
    const words = filled.steps() - 4096;
    expect(words).toBe(32 * ((128 * 129) / 2));
    expect(words / (4096 ** 2 / 64)).toBeCloseTo(1, 1);
  });

  it('takes the lowest run that is long enough, whatever lies behind it', () => {
    const pmm = bitmapFirstFit.create({ map: memoryMapFromSize(256 * 4096), cpus: 1, seed: 1 });
    fill(pmm, 256);
    for (const frame of [6, 7, 8, 9, 10, 11, 64, 65, 66, 67]) expect(pmm.free(frame, 0, 0)).toBe(0);
    // 8-11 is the lowest aligned run of four; 6-9 would be lower, but is not aligned.
    expect(take(pmm, 2)).toBe(8);
    expect(take(pmm, 2)).toBe(64);
    expect(take(pmm, 2)).toBe(-1);
    expect(take(pmm, 1)).toBe(6);
  });
});

function fillFrom(pmm: FrameAllocator, first: number, end: number): void {
  // An `expect` a frame would take seconds.
  for (let frame = first; frame < end; frame++) if (take(pmm) !== frame) throw new Error(`frame ${frame} was not the next one`);
}

describe('bitmap-tree', () => {
  it('reads one word a level, however full the memory is', () => {
    // 2^20 frames: 2^15 words and ten times 2^10 regions are the leaves, four levels.
    const pmm = bitmapTree.create({ map: memoryMapFromSize(2 ** 20 * 4096), cpus: 1, seed: 1 });
    expect(cost(pmm, () => take(pmm))).toBe(5);
    fillFrom(pmm, 1, 2 ** 20 - 1);
    expect(cost(pmm, () => take(pmm))).toBe(5);
    expect(take(pmm)).toBe(-1);
    expect(pmm.free(77777, 0, 0)).toBe(0);
    expect(cost(pmm, () => expect(take(pmm)).toBe(77777))).toBe(5);
  });

  it('searches a region for an order in vain only once', () => {
    const pmm = bitmapTree.create({ map: memoryMapFromSize(2048 * 4096), cpus: 1, seed: 1 });
    for (let i = 0; i < 2048; i++) take(pmm);
    for (let frame = 0; frame < 1024; frame += 2) pmm.free(frame, 0, 0);
    pmm.free(2000, 2, 0);
    expect(take(pmm, 1)).toBe(2000);
    // The 32 words of the first region are not read again: the tree, the request, and the second region's words up to the run.
    expect(cost(pmm, () => expect(take(pmm, 1)).toBe(2002))).toBeLessThan(40);
    pmm.free(1, 0, 0);
    expect(take(pmm, 1)).toBe(0);
    pmm.validate();
  });
});

describe('a tree of bits', () => {
  it('finds the next open leaf, also beside what was sealed', () => {
    const tree = makeBitTree(5000);
    tree.seal(0, 3000);
    expect(tree.next(0)).toBe(3000);
    expect(tree.next(1500)).toBe(3000);
    for (let leaf = 3000; leaf < 5000; leaf++) {
      expect(tree.next(0)).toBe(leaf);
      tree.close(leaf);
    }
    expect(tree.next(0)).toBe(-1);
    tree.open(4242);
    expect(tree.next(0)).toBe(4242);
    expect(tree.next(4242)).toBe(4242);
    expect(tree.next(4243)).toBe(-1);
    tree.validate('tree');
  });

  it('goes past a hole of half a terabyte without reading it', () => {
    const map = memoryMapFromRanges([
      { first: 0, count: 40 },
      { first: 2 ** 27 + 5, count: 3000 },
    ]);
    const pmm = bitmapTree.create({ map, cpus: 1, seed: 1 });
    fill(pmm, 40);
    expect(cost(pmm, () => expect(take(pmm)).toBe(2 ** 27 + 5))).toBeLessThan(10);
  });
});
