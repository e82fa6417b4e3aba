/** Strategies that place pages by their mapping: what `near` says, and what comes of it. */
import { describe, expect, it } from 'vitest';
import { FrameKind } from '../../../arch/arch.js';
import type { FrameAllocator, PmmStrategy } from '../../../core/pmm/allocator.js';
import { caPaging } from '../../../core/pmm/ca-paging.js';
import { eager } from '../../../core/pmm/eager.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { afterOf, beforeOf, nearOfMapping, placeOf } from '../../../core/pmm/near.js';
import { reservations } from '../../../core/pmm/reservations.js';

const make = (strategy: PmmStrategy, frames: number): FrameAllocator => strategy.create({ map: memoryMapFromSize(frames * 4096), cpus: 1, seed: 1 });
const ask = (pmm: FrameAllocator, near: number, owner = 1, order = 0): number => pmm.allocate(order, FrameKind.movable, 0, near, owner);
const any = (pmm: FrameAllocator, order = 0): number => pmm.allocate(order, FrameKind.unmovable, 0, -1, -1);

describe('near', () => {
  it('says where in its mapping a page without neighbours lies', () => {
    for (const [page, before, pages] of [
      [5, 0, 1],
      [1023, 1000, 5000],
      [-3, 7, 8],
      [2 ** 36 + 77, 123456, 654321],
    ] as const) {
      const near = nearOfMapping(page, before, pages);
      expect(near).toBeLessThanOrEqual(-2);
      expect([placeOf(near), beforeOf(near), afterOf(near)]).toEqual([((page % 1024) + 1024) % 1024, before, pages - before]);
    }
    // Beyond 4 GiB it says 4 GiB.
    const near = nearOfMapping(9, 2 ** 25, 2 ** 30);
    expect([placeOf(near), beforeOf(near), afterOf(near)]).toEqual([9, 2 ** 20 - 1, 2 ** 20 - 1]);
  });
});

describe('reservations', () => {
  /** The first page of a 2 MiB range in the middle of a large mapping. */
  const range = (page = 0): number => nearOfMapping(page, 512 + page, 4096);

  it('sets 2 MiB aside for the first page and populates it in any order; others do not get in', () => {
    const pmm = make(reservations, 8192);
    expect(ask(pmm, range(3))).toBe(3);
    expect(ask(pmm, 100)).toBe(100);
    expect(ask(pmm, 4)).toBe(4);
    // The buddies' next frame lies behind the reservation, and so does what another owner wishes for.
    expect(any(pmm)).toBe(512);
    expect(ask(pmm, 5, 2)).toBe(513);
    // A place that is taken forbids nothing else: a single frame.
    expect(ask(pmm, 4)).toBe(514);
    expect(pmm.freeFrames()).toBe(8192 - 6);
    pmm.validate();
  });

  it('reserves nothing where the 2 MiB do not lie within the mapping', () => {
    const pmm = make(reservations, 8192);
    expect(ask(pmm, nearOfMapping(0, 0, 511))).toBe(0);
    expect(ask(pmm, nearOfMapping(7, 6, 4096))).toBe(1);
    expect(ask(pmm, nearOfMapping(512, 512, 1024))).toBe(512);
    expect(any(pmm)).toBe(2);
  });

  it('gives a reservation back whole when its last page goes', () => {
    const pmm = make(reservations, 1024);
    for (const near of [range(10), 11, 12]) ask(pmm, near);
    expect([10, 11, 12].map((frame) => pmm.free(frame, 0, 0))).toEqual([0, 0, 0]);
    pmm.validate();
    expect(any(pmm, 10)).toBe(0);
  });

  it('breaks the longest unchanged reservation first; populating or freeing makes it young, a full one is never broken', () => {
    const pmm = make(reservations, 5 * 512);
    const [a, b, c, d] = [0, 1, 2, 3].map((owner) => ask(pmm, range(0), owner));
    // 0-1023 was split, and 1024-2047 was fresh; 2048-2559 is the ragged end, which goes first.
    expect([a, b, c, d]).toEqual([2048, 0, 512, 1024]);
    expect(ask(pmm, range(0), 4)).toBe(1536);
    // All of memory is reserved. Change b last but one, then a; fill c.
    for (let i = 1; i < 512; i++) expect(ask(pmm, 512 + i, 2)).toBe(512 + i);
    expect(ask(pmm, 1, 1)).toBe(1);
    expect(ask(pmm, 2049, 0)).toBe(2049);
    expect(pmm.free(2049, 0, 0)).toBe(0);
    // Unchanged for longest: d (1024), then the one of owner 4 (1536), then b (0), then a (2048). c is full.
    const broken: number[] = [];
    for (let i = 0; i < 511 * 4 - 1; i++) {
      const frame = any(pmm);
      const block = Math.floor(frame / 512) * 512;
      if (broken.at(-1) !== block) broken.push(block);
    }
    expect(broken).toEqual([1024, 1536, 0, 2048]);
    expect(any(pmm)).toBe(-1);
    pmm.validate();
  });

  it('breaks as many as a large request needs', () => {
    const pmm = make(reservations, 2048);
    expect([ask(pmm, range(0), 1), ask(pmm, range(0), 2), ask(pmm, range(0), 3), ask(pmm, range(0), 4)]).toEqual([0, 512, 1024, 1536]);
    expect(any(pmm, 9)).toBe(-1);
    // All four are broken by then; no block of 2 MiB is whole, but 1 MiB is.
    expect(any(pmm, 8)).toBeGreaterThanOrEqual(0);
    pmm.validate();
  });
});

describe('ca-paging', () => {
  it('keeps a mapping at one offset, whatever is allocated in between', () => {
    const pmm = make(caPaging, 16384);
    expect(any(pmm)).toBe(0);
    // 3000 pages from page 100 of 4 MiB on want four blocks: the first run of four free ones begins at block 1.
    expect(ask(pmm, nearOfMapping(100, 0, 3000))).toBe(1024 + 100);
    expect(any(pmm)).toBe(1);
    for (let i = 1; i < 3000; i++) expect(ask(pmm, 1024 + 100 + i)).toBe(1024 + 100 + i);
    // The next mapping begins behind what the first one wanted.
    expect(ask(pmm, nearOfMapping(0, 0, 2048))).toBe(5 * 1024);
    pmm.validate();
  });

  it('takes another offset where a frame is taken, and the longest run where none is long enough', () => {
    const pmm = make(caPaging, 8192);
    expect(ask(pmm, nearOfMapping(0, 0, 1024))).toBe(0);
    expect(ask(pmm, nearOfMapping(0, 0, 1024))).toBe(1024);
    // Frame 1024 is taken: the next free 4 MiB block, at the same place in it.
    expect(ask(pmm, 1024)).toBe(2048);
    expect(ask(pmm, 2049)).toBe(2049);
    // Blocks 3-7 are left: five for nine. The mapping's page 6000 would lie beyond them, and begins the run.
    expect(ask(pmm, nearOfMapping(6000, 6000, 9000))).toBe(3 * 1024 + (6000 % 1024));
    pmm.validate();
  });

  it('leaves small mappings and other requests to the buddies', () => {
    const pmm = make(caPaging, 8192);
    expect([any(pmm), ask(pmm, nearOfMapping(77, 0, 100)), any(pmm)]).toEqual([0, 1, 2]);
    expect(ask(pmm, 3)).toBe(3);
    expect(ask(pmm, nearOfMapping(512, 0, 2048), 1, 9)).toBe(1024 + 512);
    expect(ask(pmm, 2048, 1, 9)).toBe(2048);
  });
});

describe('eager', () => {
  it('rounds a mapping up to a power of two and keeps it out of the reach of others', () => {
    const pmm = make(eager, 4096);
    // 100 pages: 128 frames. The third page is touched first.
    expect(ask(pmm, nearOfMapping(2, 2, 100))).toBe(2);
    expect(any(pmm)).toBe(128);
    expect([0, 1, 3, 99].map((i) => ask(pmm, i))).toEqual([0, 1, 3, 99]);
    expect(ask(pmm, 50, 2)).toBe(129);
    expect(pmm.freeFrames()).toBe(4096 - 7);
    pmm.validate();
    for (const frame of [2, 0, 1, 3, 99]) expect(pmm.free(frame, 0, 0)).toBe(0);
    expect(any(pmm, 5)).toBe(160);
    expect(any(pmm, 6)).toBe(64 + 128);
    expect(any(pmm, 6)).toBe(0);
    pmm.validate();
  });

  it('takes a row of 4 MiB blocks for a large mapping, the longest if it must, and breaks the oldest when memory is short', () => {
    const pmm = make(eager, 8192);
    expect(ask(pmm, nearOfMapping(0, 10, 3000), 1)).toBe(10);
    expect(any(pmm)).toBe(3 * 1024);
    // Blocks 4-7 for a mapping of 5000 pages.
    expect(ask(pmm, nearOfMapping(0, 0, 5000), 2)).toBe(4 * 1024);
    expect(any(pmm, 10)).toBe(2048);
    // The first run is broken: its frames are the buddies' now, and its mapping goes on among them where it can.
    expect(ask(pmm, 11, 1)).toBe(11);
    expect(ask(pmm, 4 * 1024 + 4095, 2)).toBe(8191);
    pmm.validate();
  });
});
