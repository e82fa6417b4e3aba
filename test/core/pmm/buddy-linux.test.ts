/** Zones, watermarks and migrate types on figures worked out by hand from Linux' rules. */
import { describe, expect, it } from 'vitest';
import { FrameKind } from '../../../arch/arch.js';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { buddyMigrate } from '../../../core/pmm/buddy-migrate.js';
import { buddyZones } from '../../../core/pmm/buddy-zones.js';
import { memoryMapFromRanges, memoryMapFromSize } from '../../../core/pmm/memory-map.js';

const movable = FrameKind.movable;
const unmovable = FrameKind.unmovable;
const reclaimable = FrameKind.reclaimable;

describe('buddy-zones', () => {
  /** Zone of every frame handed out, as [zone, how many in a row]. */
  function zonesInOrder(pmm: FrameAllocator): [string, number][] {
    const rows: [string, number][] = [];
    for (let frame = pmm.allocate(0, movable, 0, -1, 0); frame >= 0; frame = pmm.allocate(0, movable, 0, -1, 0)) {
      const zone = frame < 2 ** 12 ? 'DMA' : frame < 2 ** 20 ? 'DMA32' : 'Normal';
      const last = rows.at(-1);
      if (last?.[0] === zone) last[1]++;
      else rows.push([zone, 1]);
    }
    return rows;
  }

  it('goes down the zones at low, again at min, and then takes what is left: 8 GiB', () => {
    const pmm = buddyZones.create({ map: memoryMapFromSize(2 ** 33), cpus: 1, seed: 1 });
    // min_free_kbytes 11585: 2896 pages, divided by size into 5, 1442 and 1448; low is a thousandth of the zone more: 9, 2486, 2496.
    // Reserved: DMA (1044480 + 1048576) / 256 = 8176 pages, more than it has; DMA32 1048576 / 256 = 4096.
    const low = { dma32: 2486 + 4096, normal: 2496 };
    const min = { dma32: 1442 + 4096, normal: 1448 };
    expect(zonesInOrder(pmm)).toEqual([
      ['Normal', 2 ** 20 - low.normal],
      ['DMA32', 2 ** 20 - 2 ** 12 - low.dma32],
      ['Normal', low.normal - min.normal],
      ['DMA32', low.dma32 - min.dma32],
      ['Normal', min.normal],
      ['DMA32', min.dma32],
      ['DMA', 4096],
    ]);
    expect(pmm.freeFrames()).toBe(0);
  });

  it('gives back to the zone a frame is of, and never joins buddies across a border', () => {
    const map = memoryMapFromRanges([{ first: 2 ** 12 - 1024, count: 2048 }]);
    const pmm = buddyZones.create({ map, cpus: 1, seed: 1 });
    const frames = Array.from({ length: 2048 }, () => pmm.allocate(0, movable, 0, -1, 0));
    for (const frame of frames) expect(pmm.free(frame, 0, 0)).toBe(0);
    expect(pmm.freeBlocks(10)).toBe(2);
    pmm.validate();
  });
});

describe('buddy-migrate', () => {
  const make = (frames: number): FrameAllocator => buddyMigrate.create({ map: memoryMapFromSize(frames * 4096), cpus: 1, seed: 1 });
  const take = (pmm: FrameAllocator, kind: number, order = 0): number => pmm.allocate(order, kind, 0, -1, 0);
  const run = (pmm: FrameAllocator, kind: number, n: number): number[] => Array.from({ length: n }, () => take(pmm, kind));

  it('keeps kinds apart: an unmovable request takes the largest block with its pageblocks', () => {
    const pmm = make(4096);
    expect(run(pmm, movable, 3)).toEqual([0, 1, 2]);
    // The first block of order 10 is broken, so the next one is the largest; it becomes unmovable as a whole.
    expect(run(pmm, unmovable, 3)).toEqual([1024, 1025, 1026]);
    expect(run(pmm, reclaimable, 2)).toEqual([2048, 2049]);
    expect(take(pmm, FrameKind.table)).toBe(1027);
    expect(take(pmm, movable)).toBe(3);
    pmm.validate();
  });

  it('movable takes back a pageblock of order 9, then claims one that is mostly free', () => {
    const pmm = make(2048);
    expect(take(pmm, unmovable)).toBe(0);
    expect(run(pmm, movable, 1024)).toEqual(Array.from({ length: 1024 }, (_, i) => 1024 + i));
    // Unmovable has 1, 2-3, ..., 256-511 and 512-1023; the last is a whole pageblock.
    expect(take(pmm, movable)).toBe(512);
    run(pmm, movable, 511);
    // The largest block now is 256-511 of order 8: 511 of 512 frames of its pageblock are free, so all of it becomes movable.
    expect(take(pmm, movable)).toBe(1);
    pmm.validate();
    run(pmm, movable, 255);
    // 1-256 are movable, 255 frames are free, and one is not movable: alike for an unmovable request. 256 of 512 are enough: claimed.
    expect(take(pmm, unmovable)).toBe(257);
    // Movable finds nothing of its own type now: the free frames of that pageblock are unmovable. 254 are free and 256 movable, which is alike.
    expect(take(pmm, movable)).toBe(258);
    pmm.validate();
  });

  it('does not claim a pageblock of which less than half is free or alike, and splits its largest block', () => {
    const pmm = make(2048);
    expect(take(pmm, unmovable)).toBe(0);
    const movables = run(pmm, movable, 2047);
    expect(new Set(movables).size).toBe(2047);
    expect(take(pmm, unmovable)).toBe(-1);
    // Free 96 frames at 1024-1119 (a block of 64 and one of 32): 96 free, none alike.
    for (let frame = 1024; frame < 1120; frame++) expect(pmm.free(frame, 0, 0)).toBe(0);
    // The largest, 64 frames, is split, but stays movable: each unmovable request looks for the largest block again, first that of 32 which was
    // freed last, and its halves of 16 after that.
    expect(run(pmm, unmovable, 5)).toEqual([1024, 1056, 1088, 1104, 1072]);
    expect(take(pmm, movable)).toBe(1073);
    pmm.validate();
  });

  it('movable takes the smallest block where it may not claim', () => {
    const pmm = make(1024);
    const frames = run(pmm, unmovable, 1024);
    expect(frames).toHaveLength(1024);
    // An eight and a two: both below order 4. The two is broken, not the eight.
    for (let frame = 512; frame < 520; frame++) pmm.free(frame, 0, 0);
    for (let frame = 700; frame < 702; frame++) pmm.free(frame, 0, 0);
    expect(take(pmm, movable)).toBe(700);
    // Reclaimable may always claim, so it looks at the largest; too little of the pageblock is free.
    expect(take(pmm, reclaimable)).toBe(512);
    pmm.validate();
  });

  it('joins pageblocks of two types, and both are of the type freed last', () => {
    const pmm = make(3072);
    expect(take(pmm, movable, 10)).toBe(0);
    expect(take(pmm, unmovable, 9)).toBe(1024);
    expect(take(pmm, unmovable, 9)).toBe(1536);
    expect(pmm.free(1024, 9, 0)).toBe(0);
    // The movable pool is 2048-3071; it is used up, and movable claims the pageblock 1024-1535.
    expect(take(pmm, movable, 10)).toBe(2048);
    expect(take(pmm, movable, 9)).toBe(1024);
    expect(pmm.free(1536, 9, 0)).toBe(0);
    expect(pmm.free(1024, 9, 0)).toBe(0);
    pmm.validate();
    expect(pmm.freeBlocks(10)).toBe(1);
    expect(take(pmm, movable)).toBe(1024);
  });
});
