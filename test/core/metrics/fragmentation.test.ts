import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coverage, fragmentationIndex, freeHugeScore, indices, largestFreeBlock, unusableFreeIndex } from '../../../core/metrics/fragmentation.js';
import { contiguousRanges, pagesInLongest, rangesToCover } from '../../oracle/fragmentation.js';

const ORDERS = Array.from({ length: 11 }, (_, order) => order);

/** /proc/buddyinfo, extfrag/unusable_index and extfrag/extfrag_index of one moment of a Linux 6.18 machine, zone by zone. */
const KERNEL = [
  {
    zone: 'DMA',
    free: [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3],
    unusable: '0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.066 0.200',
  },
  {
    zone: 'DMA32',
    free: [1, 2, 4, 2, 5, 4, 3, 3, 4, 2, 752],
    unusable: '0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.001 0.002 0.003',
  },
  {
    zone: 'Normal',
    free: [754, 5841, 4587, 784, 553, 387, 387, 157, 67, 36, 80],
    unusable: '0.000 0.003 0.056 0.139 0.167 0.208 0.264 0.376 0.467 0.545 0.628',
  },
];

describe('unusable free space index', () => {
  it.each(KERNEL)('is what Linux printed for zone $zone', ({ free, unusable }) => {
    expect(ORDERS.map((order) => (unusableFreeIndex(free, order) / 1000).toFixed(3)).join(' ')).toBe(unusable);
  });

  it('by hand: 4 frames, 2 pairs and 1 block of four are 12 frames', () => {
    const free = [4, 2, 1];
    expect(unusableFreeIndex(free, 0)).toBe(0);
    // Pairs: 2 + 1 * 2 = 4 of them, 8 frames usable, (12 - 8) * 1000 / 12.
    expect(unusableFreeIndex(free, 1)).toBe(333);
    // Fours: 1, (12 - 4) * 1000 / 12.
    expect(unusableFreeIndex(free, 2)).toBe(666);
    expect(unusableFreeIndex(free, 3)).toBe(1000);
  });

  it('calls everything unusable when nothing is free', () => {
    expect(unusableFreeIndex([0, 0, 0], 0)).toBe(1000);
    expect(unusableFreeIndex([], 3)).toBe(1000);
  });

  it('is exact where the products pass 2^32, and never falls with the order', () => {
    const blocks = fc.array(fc.nat(2 ** 20), { minLength: 11, maxLength: 11 });
    fc.assert(
      fc.property(blocks, (free) => {
        let last = 0;
        for (const order of ORDERS) {
          const all = free.reduce((sum, n, o) => sum + (BigInt(n) << BigInt(o)), 0n);
          const large = free.reduce((sum, n, o) => (o < order ? sum : sum + (BigInt(n) << BigInt(o))), 0n);
          const index = unusableFreeIndex(free, order);
          expect(index).toBe(all === 0n ? 1000 : Number(((all - large) * 1000n) / all));
          expect(index).toBeGreaterThanOrEqual(last);
          last = index;
        }
      }),
    );
  });
});

describe('fragmentation index', () => {
  it.each(KERNEL)('is -1.000 for every order of zone $zone, as Linux printed it', ({ free }) => {
    expect(ORDERS.map((order) => fragmentationIndex(free, order))).toEqual(ORDERS.map(() => -1000));
  });

  it('by hand: 12 frames in 7 blocks cannot serve 8 frames', () => {
    // 1000 - (1000 + 12 * 1000 / 8) / 7 = 1000 - 357.
    expect(fragmentationIndex([4, 2, 1], 3)).toBe(643);
    // One free frame, a request of 1024: lack of memory. 1000 - (1000 + 0) / 1.
    expect(fragmentationIndex([1], 10)).toBe(0);
    // 10000 single frames, a request of 1024: fragmentation. 1000 - (1000 + 9765) / 10000.
    expect(fragmentationIndex([10000], 10)).toBe(999);
  });

  it('is 0 when nothing is free', () => {
    expect(fragmentationIndex([0, 0], 4)).toBe(0);
  });

  // Documentation/admin-guide/sysctl/vm.rst, extfrag_threshold: "Values tending towards 0 imply allocations would fail due to lack of memory, values towards 1000
  // imply failures are due to fragmentation and -1 implies that the allocation will succeed".
  it('goes as the kernel documents it: towards 0 for lack of memory, towards 1000 for fragmentation, -1000 when served', () => {
    const pairs = (count: number): number[] => [0, count];
    expect([1, 2, 4, 1000].map((count) => fragmentationIndex(pairs(count), 9))).toEqual([-3, 497, 747, 996]);
    expect(fragmentationIndex([0, 0, 0, 0, 0, 0, 0, 0, 1], 9)).toBe(-500);
    expect(fragmentationIndex([512], 9)).toBe(997);
    expect(fragmentationIndex([512, 0, 0, 0, 0, 0, 0, 0, 0, 1], 9)).toBe(-1000);
    expect(fragmentationIndex([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 9)).toBe(-1000);
  });

  it('is exact where the products pass 2^32, and both indices of all orders come from one pass', () => {
    const blocks = fc.array(fc.oneof(fc.nat(2 ** 20), fc.constant(0)), { minLength: 11, maxLength: 11 });
    fc.assert(
      fc.property(blocks, fc.nat(11), (all, above) => {
        const free = all.map((n, order) => (order > above ? 0 : n));
        const count = free.reduce((sum, n) => sum + BigInt(n), 0n);
        const frames = free.reduce((sum, n, o) => sum + (BigInt(n) << BigInt(o)), 0n);
        for (const order of ORDERS) {
          const served = free.slice(order).some((n) => n > 0);
          const index = count === 0n ? 0 : served ? -1000 : Number(1000n - (1000n + (frames * 1000n) / 2n ** BigInt(order)) / count);
          expect(fragmentationIndex(free, order)).toBe(index);
        }
        expect(indices(free)).toEqual({
          unusableIndex: ORDERS.map((order) => unusableFreeIndex(free, order)),
          fragmentationIndex: ORDERS.map((order) => fragmentationIndex(free, order)),
        });
      }),
    );
  });
});

describe('largest free block', () => {
  it('is the highest order that has one, in frames', () => {
    expect(largestFreeBlock([])).toBe(0);
    expect(largestFreeBlock([0, 0, 0])).toBe(0);
    expect(largestFreeBlock([7, 0, 1, 0])).toBe(4);
    expect(largestFreeBlock([1])).toBe(1);
  });
});

describe('free-huge score', () => {
  it('is the free huge frames over what the free frames could make', () => {
    // 3 * 1024 + 512 + 256 = 3840 frames: 7 huge frames of 7 possible.
    expect(freeHugeScore([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3])).toBe(1);
    // 2048 single frames and one huge frame: 1 of 5.
    expect(freeHugeScore([2048, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])).toBe(0.2);
    expect(freeHugeScore([512])).toBe(0);
  });

  it('is 1 while the free frames could not make a huge frame', () => {
    expect(freeHugeScore([511])).toBe(1);
    expect(freeHugeScore([])).toBe(1);
  });
});

describe('contiguity', () => {
  it('counts runs that go on in both the virtual and the physical space', () => {
    expect(contiguousRanges([], [])).toEqual([]);
    expect(contiguousRanges([5], [9])).toEqual([1]);
    // Pages 1-3 run on; page 4 has another frame; page 6 follows a virtual hole; page 7 goes down.
    expect(contiguousRanges([1, 2, 3, 4, 6, 7, 8], [10, 11, 12, 20, 21, 20, 21])).toEqual([3, 1, 1, 2]);
    expect(contiguousRanges(Float64Array.of(-2, -1, 0), Int32Array.of(1, 2, 3))).toEqual([3]);
  });

  it('needs the fewest ranges that cover the percentage', () => {
    const lengths = [1, 1, 1, 1, 1, 5, 10, 80];
    const cover = (from: readonly number[], ...percents: number[]): readonly number[] => coverage(Float64Array.from(from), percents, []).toCover;
    expect(cover(lengths, 1, 80, 90, 95, 96, 99, 100)).toEqual([1, 1, 2, 3, 4, 7, 8]);
    expect(cover([], 99)).toEqual([0]);
    expect(cover([7], 99)).toEqual([1]);
    // A hundred equal ranges: exactly the percentage.
    expect(
      cover(
        Array.from({ length: 100 }, () => 3),
        80,
        99,
      ),
    ).toEqual([80, 99]);
  });

  it('covers what the longest ranges hold', () => {
    // The 32 longest of 40 ranges of 1 to 40 pages: 9 + ... + 40.
    const lengths = Float64Array.from({ length: 40 }, (_, i) => i + 1);
    expect(coverage(lengths, [], [32, 64])).toEqual({ total: 820, toCover: [], covered: [784, 820] });
    expect(coverage(new Float64Array(0), [80], [32])).toEqual({ total: 0, toCover: [0], covered: [0] });
  });

  it('agrees with trying every number of longest ranges', () => {
    const percents = fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 4 }).map((all) => all.sort((a, b) => a - b));
    const counts = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 4 }).map((all) => all.sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 30 }), percents, counts, (lengths, wanted, numbers) => {
        expect(coverage(Float64Array.from(lengths), wanted, numbers)).toEqual({
          total: lengths.reduce((a, b) => a + b, 0),
          toCover: wanted.map((percent) => rangesToCover(lengths, percent)),
          covered: numbers.map((n) => pagesInLongest(lengths, n)),
        });
      }),
    );
  });
});
