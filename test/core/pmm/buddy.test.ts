import { describe, expect, it } from 'vitest';
import { MAX_ORDER, type FrameAllocator } from '../../../core/pmm/allocator.js';
import { buddy } from '../../../core/pmm/buddy.js';
import { memoryMapFromRanges, memoryMapFromSize, type MemoryMap } from '../../../core/pmm/memory-map.js';

const make = (map: MemoryMap): FrameAllocator => buddy.create({ map, cpus: 1, seed: 1 });
const take = (pmm: FrameAllocator, order: number): number => pmm.allocate(order, 0, 0, -1, 0);
/** Free blocks by order, as /proc/buddyinfo prints them. */
const info = (pmm: FrameAllocator): string => Array.from({ length: MAX_ORDER + 1 }, (_, order) => pmm.freeBlocks(order)).join(' ');

describe('buddy', () => {
  it('splits and merges 16 frames as by hand (Knuth vol. 1, 2.5, algorithms R and S)', () => {
    const pmm = make(memoryMapFromSize(16 * 4096));
    const expectInfo = (low: string): void => expect(info(pmm)).toBe(`${low} 0 0 0 0 0 0`);
    expectInfo('0 0 0 0 1');
    // 16 -> 8+8 -> 4+4 -> 2+2 -> 1+1: the upper halves 8, 4, 2, 1 stay.
    expect(take(pmm, 0)).toBe(0);
    expectInfo('1 1 1 1 0');
    // The lowest order that fits: the single frame 1, then the pair 2-3 is split for frame 2.
    expect(take(pmm, 0)).toBe(1);
    expect(take(pmm, 0)).toBe(2);
    expectInfo('1 0 1 1 0');
    // No pair left: 4-7 is split, 6-7 stays.
    expect(take(pmm, 1)).toBe(4);
    expectInfo('1 1 0 1 0');
    expect(take(pmm, 3)).toBe(8);
    expectInfo('1 1 0 0 0');
    expect(take(pmm, 2)).toBe(-1);
    // 1's buddy 0 is in use: no merge. Last in, first out: 1 goes before 3.
    expect(pmm.free(1, 0, 0)).toBe(0);
    expectInfo('2 1 0 0 0');
    expect(take(pmm, 0)).toBe(1);
    expect(pmm.free(1, 0, 0)).toBe(0);
    // 0 joins 1; the pair 0-1 finds its buddy 2-3 in parts and stops.
    expect(pmm.free(0, 0, 0)).toBe(0);
    expectInfo('1 2 0 0 0');
    // 2 joins 3, 2-3 joins 0-1, and 0-3 waits for 4-7, of which 4-5 is in use.
    expect(pmm.free(2, 0, 0)).toBe(0);
    expectInfo('0 1 1 0 0');
    // 4-5 joins 6-7, 4-7 joins 0-3, 0-7 waits for 8-15.
    expect(pmm.free(4, 1, 0)).toBe(0);
    expectInfo('0 0 0 1 0');
    expect(pmm.free(8, 3, 0)).toBe(0);
    expectInfo('0 0 0 0 1');
    pmm.validate();
  });

  it('counts a step for every node it looks at', () => {
    const pmm = make(memoryMapFromSize(16 * 4096));
    const cost = (operation: () => void): number => {
      const before = pmm.steps();
      operation();
      return pmm.steps() - before;
    };
    // One block taken, four upper halves put back.
    expect(cost(() => take(pmm, 0))).toBe(5);
    expect(cost(() => take(pmm, 0))).toBe(1);
    // Buddy 0 in use: one look and one push.
    expect(cost(() => pmm.free(1, 0, 0))).toBe(2);
    // Merges with 1, 2-3, 4-7, 8-15, then looks for the buddy of 0-15 in vain.
    expect(cost(() => pmm.free(0, 0, 0))).toBe(6);
    expect(cost(() => pmm.free(0, 0, 0))).toBe(1);
    expect(cost(() => take(pmm, 11))).toBe(1);
  });

  it('stops merging at order 10, and never merges across a hole', () => {
    const pmm = make(memoryMapFromSize(4096 * 4096));
    expect(info(pmm)).toBe('0 0 0 0 0 0 0 0 0 0 4');
    const blocks = [0, 1, 2, 3].map(() => take(pmm, 10));
    expect(blocks).toEqual([0, 1024, 2048, 3072]);
    for (const block of blocks) pmm.free(block, 10, 0);
    expect(info(pmm)).toBe('0 0 0 0 0 0 0 0 0 0 4');

    const holed = make(
      memoryMapFromRanges([
        { first: 0, count: 3 },
        { first: 4, count: 4 },
      ]),
    );
    expect(info(holed)).toBe('1 1 1 0 0 0 0 0 0 0 0');
    const frames = Array.from({ length: 7 }, () => take(holed, 0));
    expect(frames).toEqual([2, 0, 1, 4, 5, 6, 7]);
    for (const frame of frames) holed.free(frame, 0, 0);
    expect(info(holed)).toBe('1 1 1 0 0 0 0 0 0 0 0');
    holed.validate();
  });

  it('has the free lists of a freshly booted machine: ragged ends and 4 MiB blocks', () => {
    // Frames 1-158, as Linux has of the first 640 KiB: 1, 2-3, 4-7, ..., 64-127, then 128-143, 144-151, 152-155, 156-157, 158.
    const pmm = make(
      memoryMapFromRanges([
        { first: 1, count: 158 },
        { first: 256, count: 4096 - 256 },
      ]),
    );
    expect(info(pmm)).toBe('2 2 2 2 2 1 1 0 1 1 3');
    pmm.validate();
  });

  it('hands out fresh 4 MiB blocks in ascending order, freed ones before them', () => {
    const pmm = make(memoryMapFromSize(4 * 1024 * 4096));
    expect([take(pmm, 10), take(pmm, 10)]).toEqual([0, 1024]);
    pmm.free(0, 10, 0);
    expect([take(pmm, 10), take(pmm, 10), take(pmm, 10), take(pmm, 10)]).toEqual([0, 2048, 3072, -1]);
  });

  it('takes blocks back in parts and joined', () => {
    const pmm = make(memoryMapFromSize(1024 * 4096));
    expect(take(pmm, 9)).toBe(0);
    expect(pmm.free(256 + 128, 6, 0)).toBe(0);
    expect(info(pmm)).toBe('0 0 0 0 0 0 1 0 0 1 0');
    // Every other aligned part of it is still held.
    expect(pmm.free(256 + 192, 6, 0)).toBe(0);
    expect(pmm.free(256, 7, 0)).toBe(0);
    expect(info(pmm)).toBe('0 0 0 0 0 0 0 0 1 1 0');
    expect(pmm.free(0, 8, 0)).toBe(0);
    expect(info(pmm)).toBe('0 0 0 0 0 0 0 0 0 0 1');
    const singles = Array.from({ length: 8 }, () => take(pmm, 0));
    expect(singles).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(pmm.free(0, 3, 0)).toBe(0);
    expect(info(pmm)).toBe('0 0 0 0 0 0 0 0 0 0 1');
    pmm.validate();
  });
});
