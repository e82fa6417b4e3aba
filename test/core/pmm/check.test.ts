/** check-pmm: what it says of allocators that are wrong in one way each, with the shortest sequence that shows it; and of right ones nothing. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { search, type Finding } from '../../../core/pmm/check/search.js';
import { loadOwn } from '../../../core/pmm/own/load.js';
import { pmms } from '../../../core/pmm/registry.js';
import type { Make } from '../../../core/pmm/check/play.js';

const fixture = (path: string): string => new URL(`../../fixtures/pmm/${path}`, import.meta.url).pathname;
const nobody = (): void => undefined;

async function makerOf(file: string): Promise<Make> {
  const { raw } = await loadOwn(file);
  return (map, cpus) => raw({ map, cpus, seed: 1 });
}

const LOST = (order: number): string =>
  `gives no block of order ${order} when nothing is in use, which it gave when it was fresh (free blocks are not joined, or lost)`;

/** What it says, the steps (allocate: the order; give back: -1 - step), whether it shows only afterwards, and over which memory. */
const EXPECTED: Record<string, readonly [what: string, steps: readonly number[], afterwards: boolean, memory: number]> = {
  'beyond-the-end': ['hands out frame 64, beyond the end of memory (64 frames)', [], true, 0],
  'double-hand-out': ['hands out frame 0, of which frame 0 is in use', [0, 0], false, 0],
  empty: ['hands out nothing of a memory of 5048 frames', [0], false, 2],
  'frees-one-frame': [LOST(6), [1, -1, 6], false, 0],
  'frees-too-much': ['hands out frames 0 to 1, of which frame 1 is in use', [0, 0, -1, 1], false, 0],
  'gives-up': ['says that no block of order 0 is left, and then hands out frame 4', [], true, 0],
  'half-a-frame': ['hands out 0.5, which is no frame number', [0], false, 0],
  'ignores-holes': ['hands out frame 0, of which frame 0 is in no usable range', [0], false, 1],
  'lost-half': [LOST(6), [0, -1, 6], false, 0],
  misaligned: ['hands out frames 3 to 4 for order 1, which are not aligned to their size', [1], false, 1],
  'no-merge': [LOST(6), [0, -1, 6], false, 0],
  'no-order-check': ['hands out frames 0 to 1, of which frame 1 is in use', [0, 0, 0, -1, -3, 1], false, 0],
  refuses: ['answers -22 when frames 2 to 3, which it handed out, come back', [0, 1, -2], false, 0],
  throws: ['throws RangeError: no such list in free', [1, -1], false, 0],
  'wrong-count': ['says that 62 frames are free, when 61 are', [0, 0, 0], false, 0],
};

describe('a wrong allocator', () => {
  it('of each kind is among the fixtures', () => {
    const files = readdirSync(fixture('broken')).map((file) => file.replace('.mjs', ''));
    expect(files.filter((name) => !['allocators', 'endless', 'wasm'].includes(name))).toEqual(Object.keys(EXPECTED));
  });

  it.each(Object.entries(EXPECTED))('is found out: %s', async (name, [what, steps, afterwards, memory]) => {
    const { finding } = search(await makerOf(fixture(`broken/${name}.mjs`)), 10, 1, nobody, nobody);
    expect(finding).toMatchObject({ what, steps, afterwards, memory });
  });
});

describe('a module that panics', () => {
  const searched = async (name: string): Promise<Finding | null> => search(await makerOf(fixture(`broken/wasm/${name}.wasm`)), 0, 1, nobody, nobody).finding;

  it('is found out', async () => {
    expect(await searched('TRAP_FREE')).toMatchObject({ what: 'traps in pmm_free (unreachable)', steps: [0, 0, -2], afterwards: false });
  });

  it('when it is out of memory, and says so, keeps the contract', async () => {
    expect(await searched('TRAP_FULL')).toBeNull();
  });

  it('says that it panics when it is out of memory, but panics while frames are left', async () => {
    expect(await searched('TRAP_EARLY')).toMatchObject({ what: 'says that no frame is left, when 64 are', steps: [0, -1, 0], afterwards: false });
  });
});

describe('a right allocator', () => {
  it.each(pmms.names())('keeps the contract: %s', (name) => {
    const make: Make = (map, cpus) => pmms.get(name).create({ map, cpus, seed: 1 });
    const { finding, sequences, requests } = search(make, 10, 1, nobody, nobody);
    expect(finding).toBeNull();
    expect(sequences).toBeGreaterThan(250);
    expect(requests).toBeGreaterThan(30_000);
  });

  it.each([
    ['own/kalloc.wasm', 0],
    ['own/buddy.wasm', 10],
    ['own/bitmap.wasm', 10],
  ])('in a module keeps the contract: %s', async (file, maxOrder) => {
    expect(search(await makerOf(fixture(file)), maxOrder, 1, nobody, nobody).finding).toBeNull();
  });
});
