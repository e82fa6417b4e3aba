/** Figures of Linux for zones of known sizes, and what the per-CPU lists do with them. */
import { describe, expect, it } from 'vitest';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { buddyPcp } from '../../../core/pmm/buddy-pcp.js';
import { batchSize, highMarks, lowmemReserve, minFreeKbytes, watermarks } from '../../../core/pmm/linux-zones.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pcpTwin } from '../../oracle/pmm-models-pcp.js';

const MIB = 256;
const GIB = 1024 * MIB;
const make = (frames: number, cpus = 1): FrameAllocator => buddyPcp.create({ map: memoryMapFromSize(frames * 4096), cpus, seed: 1 });
const take = (pmm: FrameAllocator, cpu = 0, order = 0): number => pmm.allocate(order, 1, cpu, -1, 0);

describe("a zone's figures as Linux computes them", () => {
  it('min_free_kbytes as the comment above calculate_min_free_kbytes lists it', () => {
    // "16MB: 512k, 32MB: 724k, 64MB: 1024k, 128MB: 1448k, ..., 16384MB: 16384k"
    const listed = [
      [16, 512],
      [32, 724],
      [64, 1024],
      [128, 1448],
      [256, 2048],
      [512, 2896],
      [1024, 4096],
      [2048, 5792],
      [4096, 8192],
      [8192, 11585],
      [16384, 16384],
    ] as const;
    for (const [mib, kib] of listed) expect(minFreeKbytes(mib * 1024), `${mib} MiB`).toBe(kib);
    expect(minFreeKbytes(100)).toBe(128);
    expect(minFreeKbytes(2 ** 40)).toBe(262144);
  });

  it('watermarks: 8 GiB in one zone', () => {
    // min: 11585 KiB = 2896 pages; low and high a thousandth of the zone apart, which is more than a quarter of min.
    expect(watermarks(8 * GIB, 8 * GIB)).toEqual({ min: 2896, low: 2896 + 2097, high: 2896 + 2 * 2097 });
    // In a small zone the quarter is more: 64 MiB of 128 MiB.
    expect(watermarks(64 * MIB, 128 * MIB)).toEqual({ min: 181, low: 181 + 45, high: 181 + 90 });
  });

  it('lowmem_reserve: what lies above a zone, by sysctl_lowmem_reserve_ratio (256, 256)', () => {
    const managed = [3975, 1 * GIB, 7 * GIB];
    expect(lowmemReserve(0, managed)).toBe((8 * GIB) / 256);
    expect(lowmemReserve(1, managed)).toBe((7 * GIB) / 256);
    expect(lowmemReserve(2, managed)).toBe(0);
    expect(lowmemReserve(0, [0, GIB, 0])).toBe(0);
  });

  it('batch: a thousandth of the zone or 1 MiB, a quarter of it, clamped to 2^n - 1', () => {
    expect(batchSize(8 * GIB)).toBe(63);
    expect(batchSize(GIB)).toBe(63);
    expect(batchSize(512 * MIB)).toBe(31);
    expect(batchSize(16 * MIB)).toBe(1);
  });

  it('high: the low watermark, or at most an eighth of the zone, divided among the CPUs', () => {
    expect(highMarks(8 * GIB, 8 * GIB, 63, 4)).toEqual({ min: Math.floor(4993 / 4), max: (8 * GIB) / 8 / 4 });
    // At least four batches.
    expect(highMarks(8 * GIB, 8 * GIB, 63, 64).min).toBe(252);
  });
});

describe('buddy-pcp', () => {
  it('refills with a batch that doubles while nothing is freed, and serves it in ascending order', () => {
    const pmm = make(GIB);
    for (let i = 0; i < 200; i++) expect(take(pmm)).toBe(i);
    const costs: number[] = [];
    for (let i = 200; i < 3000; i++) {
      const before = pmm.steps();
      expect(take(pmm)).toBe(i);
      const cost = pmm.steps() - before;
      if (cost > 1) costs.push(i);
    }
    // 63 + 126 pages came first; then 252, 504, 1008: each is twice the one before.
    expect(costs).toEqual([441, 945, 1953].filter((at) => at >= 200));
    pmm.validate();
  });

  it('takes the page that was freed last, and keeps what one CPU freed from the other', () => {
    const pmm = make(GIB, 2);
    const mine = [take(pmm, 0), take(pmm, 0), take(pmm, 0)];
    expect(mine).toEqual([0, 1, 2]);
    // CPU 1 brings a batch of its own.
    expect(take(pmm, 1)).toBe(63);
    pmm.free(1, 0, 1);
    pmm.free(0, 0, 0);
    expect(take(pmm, 0)).toBe(0);
    expect(take(pmm, 1)).toBe(1);
    expect(take(pmm, 1)).toBe(64);
  });

  it('drains the lists of all CPUs before it gives up', () => {
    const pmm = make(4096, 4);
    const frames = Array.from({ length: 4096 }, (_, i) => take(pmm, i % 4));
    expect(new Set(frames).size).toBe(4096);
    expect(take(pmm, 2)).toBe(-1);
    for (const frame of frames.slice(0, 16)) pmm.free(frame, 0, 3);
    // They are in CPU 3's lists; CPU 0 gets them all the same.
    for (let i = 0; i < 16; i++) expect(take(pmm, 0)).toBeGreaterThanOrEqual(0);
    expect(take(pmm, 0)).toBe(-1);
    pmm.validate();
  });

  it('counts free blocks as they are once the lists are drained', () => {
    const pmm = make(GIB);
    expect(take(pmm)).toBe(0);
    expect(pmm.freeBlocks(0)).toBe(1);
    pmm.free(0, 0, 0);
    expect(pmm.freeBlocks(10)).toBe(256);
  });

  it('agrees with its twin where a batch is more than a page', () => {
    const map = memoryMapFromSize(24576 * 4096);
    expect(batchSize(24576)).toBe(7);
    const pmm = buddyPcp.create({ map, cpus: 2, seed: 1 });
    const twin = pcpTwin(map, 2);
    const held: [number, number][] = [];
    let state = 12345;
    const next = (below: number): number => (state = (state * 48271) % 2147483647) % below;
    const orders = [0, 0, 0, 0, 0, 0, 1, 2, 3, 9];
    for (let i = 0; i < 12000; i++) {
      // Rows of allocations, then rows of frees: the batches grow with them.
      const cpu = next(2);
      if (Math.floor(i / 700) % 2 === 0 ? next(10) < 8 : next(10) < 2) {
        const order = orders[next(orders.length)] ?? 0;
        const frame = pmm.allocate(order, 1, cpu, -1, 0);
        if (frame !== twin.allocate(order, 1, cpu, -1, 0)) throw new Error(`operation ${i}: the twin does not allocate ${frame}`);
        if (frame >= 0) held.push([frame, order]);
      } else {
        const [block] = held.splice(next(Math.max(held.length, 1)), 1);
        if (block === undefined) continue;
        expect(pmm.free(block[0], block[1], cpu)).toBe(0);
        twin.free(block[0], block[1], cpu);
      }
      if (i % 1000 === 0) pmm.validate();
    }
    expect(held.length).toBeGreaterThan(100);
  });
});
