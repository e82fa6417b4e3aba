import { describe, expect, it } from 'vitest';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { bitmap } from '../../../core/pmm/bitmap.js';
import { memoryMapFromRanges, memoryMapFromSize, type MemoryMap } from '../../../core/pmm/memory-map.js';

const make = (map: MemoryMap): FrameAllocator => bitmap.create({ map, cpus: 1, seed: 1 });
const take = (pmm: FrameAllocator, order = 0): number => pmm.allocate(order, 0, 0, -1, 0);

const FRAMES = 3 * 32 * 1024;

/** Memory of three summary words, all handed out. */
function filled(): FrameAllocator {
  const pmm = make(memoryMapFromSize(FRAMES * 4096));
  for (let frame = 0; frame < FRAMES; frame++) if (take(pmm) !== frame) throw new Error(`frame ${frame} is not next`);
  return pmm;
}

describe('bitmap', () => {
  it('goes on from the last word, lowest frame of the word first, and comes round', () => {
    const pmm = make(memoryMapFromSize(96 * 4096));
    for (let frame = 0; frame < 40; frame++) expect(take(pmm)).toBe(frame);
    // The word of the last allocation (32-63) is searched first, from its lowest frame; word 0 only after going round.
    for (const frame of [3, 35, 20, 33]) pmm.free(frame, 0, 0);
    expect([take(pmm), take(pmm), take(pmm)]).toEqual([33, 35, 40]);
    for (let frame = 41; frame < 96; frame++) expect(take(pmm)).toBe(frame);
    expect([take(pmm), take(pmm), take(pmm)]).toEqual([3, 20, -1]);
    pmm.validate();
  });

  it('finds single free frames anywhere in a full memory without scanning it', () => {
    const pmm = filled();
    const holes = [FRAMES - 1, 0, 31, 32, 1023, 1024, 32767, 32768, 65535, 65536, 70000];
    // Ascending from the cursor's word (the last), then round from 0.
    for (const hole of holes) {
      expect(pmm.free(hole, 0, 0)).toBe(0);
      const before = pmm.steps();
      expect(take(pmm)).toBe(hole);
      // The cursor's word, its region, its summary word, the two others, and once round.
      expect(pmm.steps() - before).toBeLessThanOrEqual(7);
    }
    expect(take(pmm)).toBe(-1);
    for (const hole of holes) pmm.free(hole, 0, 0);
    const order: number[] = [];
    for (let frame = take(pmm); frame >= 0; frame = take(pmm)) order.push(frame);
    const ascending = [...holes].sort((a, b) => a - b);
    const start = ascending.indexOf(70000);
    expect(order).toEqual([...ascending.slice(start), ...ascending.slice(0, start)]);
    pmm.validate();
  });

  it('finds aligned runs within words, over words, and not over holes', () => {
    const pmm = filled();
    for (let frame = 100; frame < 116; frame++) pmm.free(frame, 0, 0);
    expect(take(pmm, 4)).toBe(-1);
    expect(take(pmm, 3)).toBe(104);
    expect(take(pmm, 3)).toBe(-1);
    expect([take(pmm, 2), take(pmm, 1), take(pmm, 1), take(pmm, 1)]).toEqual([100, 112, 114, -1]);
    for (let frame = 5000; frame < 7000; frame++) pmm.free(frame, 0, 0);
    // 5120-6143 is the one aligned block of 1024; 6144-6655 and 6656-... the rest.
    expect(take(pmm, 10)).toBe(5120);
    expect(take(pmm, 10)).toBe(-1);
    expect([take(pmm, 9), take(pmm, 9)]).toEqual([6144, -1]);
    expect(take(pmm, 8)).toBe(6656);
    pmm.validate();

    const holed = make(
      memoryMapFromRanges([
        { first: 0, count: 1000 },
        { first: 1001, count: 1047 },
      ]),
    );
    expect([take(holed, 10), take(holed, 10)]).toEqual([1024, -1]);
    expect([take(holed, 9), take(holed, 9)]).toEqual([0, -1]);
    holed.validate();
  });

  it('leaves no full word behind unmarked when a block moves the cursor', () => {
    const pmm = make(memoryMapFromSize(4096 * 4096));
    for (let frame = 0; frame < 32; frame++) take(pmm);
    expect(take(pmm, 5)).toBe(32);
    pmm.validate();
    for (let frame = 64; frame < 4096; frame++) expect(take(pmm)).toBe(frame);
    expect(take(pmm)).toBe(-1);
    pmm.validate();
  });

  it('fails a large request on fragmented memory by looking at a word per 1024 frames', () => {
    const pmm = filled();
    for (let frame = 0; frame < FRAMES; frame += 32) pmm.free(frame, 0, 0);
    const before = pmm.steps();
    expect(take(pmm, 9)).toBe(-1);
    expect(pmm.steps() - before).toBeLessThanOrEqual(FRAMES / 1024 + 2);
  });

  it('counts steps exactly: one per operation, and the words a search looks at', () => {
    const pmm = make(memoryMapFromSize(64 * 4096));
    const cost = (operation: () => number): [number, number] => {
      const before = pmm.steps();
      const result = operation();
      return [result, pmm.steps() - before];
    };
    for (let frame = 0; frame < 32; frame++) expect(cost(() => take(pmm))).toEqual([frame, 1]);
    // Word 0 is full: its region's mask is looked at too.
    expect(cost(() => take(pmm))).toEqual([32, 2]);
    expect(cost(() => pmm.free(5, 0, 0))).toEqual([0, 1]);
    expect(cost(() => pmm.free(5, 0, 0))).toEqual([-1, 1]);
    for (let frame = 33; frame < 64; frame++) take(pmm);
    // Region, summary word to its end, then the same summary word from its beginning.
    expect(cost(() => take(pmm))).toEqual([5, 4]);
    expect(cost(() => take(pmm))).toEqual([-1, 1]);
    expect(cost(() => pmm.free(7, 0, 0))).toEqual([0, 1]);
  });
});
