/** Starting over a terabyte: what it costs must not grow with the memory. Asserted is memory, not time. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { MAX_ORDER } from '../../../core/pmm/allocator.js';
import { memoryMapFromRanges, memoryMapFromSize, type FrameRange } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { DIST } from '../../cli/framewalk.js';

const TIB = 2 ** 40;

/** The smallest array in proportion that any strategy has over a terabyte holds a bit per frame, 32 MiB; the others a GiB. Random placement touches a page of its arrays with each of the 500 frames. */
const LIMIT_BYTES = 8 * 2 ** 20;

const RESIDENT = fileURLToPath(new URL('resident.mjs', import.meta.url));

/**
 * Bytes by which a process of its own grows. Its own, because glibc serves large zeroed arrays from memory that was freed before (and so
 * writes zeros to them) once something as large was freed in the process; with the threshold set, each is mapped anew
 * (mallopt(3), M_MMAP_THRESHOLD).
 */
async function resident(name: string, ranges: readonly FrameRange[]): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [RESIDENT, DIST, name, ...ranges.map(({ first, count }) => `${first}:${count}`)], {
    env: { ...process.env, MALLOC_MMAP_THRESHOLD_: '131072' },
  });
  return Number.parseInt(stdout, 10);
}

describe.each(pmms.all().map((strategy) => [strategy.name, strategy] as const))('%s over a terabyte', (_, strategy) => {
  const maps: [string, FrameRange[]][] = [
    ['one range', [{ first: 0, count: TIB / 4096 }]],
    [
      'a hole of nearly all of it',
      [
        { first: 3, count: 5000 },
        { first: 2 ** 28 - 7000, count: 7000 },
      ],
    ],
  ];

  it.each(maps)('touches no memory in proportion: %s', async (__, ranges) => {
    expect(await resident(strategy.name, ranges)).toBeLessThan(LIMIT_BYTES);
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
