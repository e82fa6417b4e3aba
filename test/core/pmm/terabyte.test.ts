/** Starting over a terabyte: what it costs must not grow with the memory. Asserted is memory, not time. */
import { describe, expect, it } from 'vitest';
import { MAX_ORDER, type FrameAllocator } from '../../../core/pmm/allocator.js';
import { memoryMapFromRanges, memoryMapFromSize, type MemoryMap } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';

const TIB = 2 ** 40;

/** The smallest array any strategy has over a terabyte holds a bit per frame, 32 MiB; the others a GiB. */
const LIMIT_BYTES = 8 * 2 ** 20;

function resident(make: () => FrameAllocator): { pmm: FrameAllocator; bytes: number } {
  const before = process.memoryUsage().rss;
  const pmm = make();
  for (let i = 0; i < 1000; i++) pmm.allocate(0, 0, 0, -1, 0);
  for (let order = 0; order <= MAX_ORDER; order++) pmm.freeBlocks(order);
  return { pmm, bytes: process.memoryUsage().rss - before };
}

describe.each(pmms.all().map((strategy) => [strategy.name, strategy] as const))('%s over a terabyte', (_, strategy) => {
  const maps: [string, MemoryMap][] = [
    ['one range', memoryMapFromSize(TIB)],
    [
      'a hole of nearly all of it',
      memoryMapFromRanges([
        { first: 3, count: 5000 },
        { first: 2 ** 28 - 7000, count: 7000 },
      ]),
    ],
  ];

  it.each(maps)('touches no memory in proportion: %s', (__, map) => {
    // The workings of Node move the number now and then; touching an array would do so every time. All three stay alive, so
    // that nothing large is given back in between.
    const tries = [1, 2, 3].map(() => resident(() => strategy.create({ map, cpus: 1, seed: 1 })));
    expect(Math.min(...tries.map(({ bytes }) => bytes))).toBeLessThan(LIMIT_BYTES);
  });

  it('counts the free blocks of memory it never touched', () => {
    const pmm = strategy.create({ map: memoryMapFromSize(TIB), cpus: 1, seed: 1 });
    expect(pmm.freeBlocks(MAX_ORDER)).toBe(2 ** 18);
    expect(pmm.allocate(0, 0, 0, -1, 0)).toBeGreaterThanOrEqual(0);
    expect(Array.from({ length: MAX_ORDER + 1 }, (__, order) => pmm.freeBlocks(order))).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 ** 18 - 1]);
    expect(pmm.freeFrames()).toBe(2 ** 28 - 1);
  });

  it('goes on past a hole of half a terabyte', () => {
    const map = memoryMapFromRanges([
      { first: 0, count: 40 },
      { first: 2 ** 27 + 5, count: 3000 },
    ]);
    const pmm = strategy.create({ map, cpus: 1, seed: 1 });
    const frames = new Set<number>();
    for (let frame = pmm.allocate(0, 0, 0, -1, 0); frame >= 0; frame = pmm.allocate(0, 0, 0, -1, 0)) frames.add(frame);
    expect(frames.size).toBe(3040);
    expect(Math.max(...frames)).toBe(2 ** 27 + 5 + 2999);
    expect(pmm.free(2 ** 26, 0, 0)).toBe(-22);
  });
});
