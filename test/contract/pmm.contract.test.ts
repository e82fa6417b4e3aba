/** What every registered PMM strategy owes its callers (core/pmm/allocator.ts), whatever it does inside. */
import { describe, expect, it } from 'vitest';
import { EINVAL, EPERM } from '../../arch/arch.js';
import { MAX_ORDER, type FrameAllocator } from '../../core/pmm/allocator.js';
import { isUsable, memoryMapFromRanges, memoryMapFromSize, usableIn, type MemoryMap } from '../../core/pmm/memory-map.js';
import { strategyOf } from '../../core/pmm/own/load.js';
import { pmms } from '../../core/pmm/registry.js';

const MAPS: Record<string, MemoryMap> = {
  'one frame': memoryMapFromSize(4096),
  'a word and a bit': memoryMapFromSize(33 * 4096),
  '4 MiB': memoryMapFromSize(4 << 20),
  '20 MiB and 3 frames': memoryMapFromSize((20 << 20) + 3 * 4096),
  'ragged ranges': memoryMapFromRanges([
    { first: 3, count: 1 },
    { first: 7, count: 90 },
    { first: 1000, count: 1100 },
    { first: 4097, count: 3071 },
    { first: 40000, count: 2500 },
  ]),
  'first usable frame far up': memoryMapFromRanges([{ first: 5000, count: 3000 }]),
  'a range per word': memoryMapFromRanges(Array.from({ length: 64 }, (_, i) => ({ first: i * 32 + (i % 5), count: 20 }))),
};

/** Numbers without pattern, the same in every run (Park and Miller, minimal standard). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

/** `expect` costs microseconds, too much for a check per frame. */
function ensure(ok: boolean, what: () => string): void {
  if (!ok) throw new Error(what());
}

const take = (pmm: FrameAllocator, order = 0): number => pmm.allocate(order, 0, 0, -1, 0);

/** Modules of the user's, of each kind; TypeScript is loaded by Node itself (test/cli/own-pmm.test.ts). */
const OWN = await Promise.all(
  ['test/fixtures/pmm/own/kalloc.wasm', 'test/fixtures/pmm/own/buddy.wasm', 'test/fixtures/pmm/own/bitmap.wasm', 'docs/own-pmm/first-fit.mjs'].map((file) =>
    strategyOf(new URL(`../../${file}`, import.meta.url).pathname),
  ),
);

for (const strategy of [...pmms.all(), ...OWN]) {
  for (const [mapName, map] of Object.entries(MAPS)) {
    describe(`${strategy.name} over ${mapName}`, () => {
      const make = (): FrameAllocator => strategy.create({ map, cpus: 1, seed: 1 });

      it('starts with every usable frame free', () => {
        const pmm = make();
        expect(pmm.totalFrames).toBe(map.usableFrames);
        expect(pmm.freeFrames()).toBe(map.usableFrames);
        for (let frame = 0; frame < map.frames + 40; frame++)
          ensure(pmm.isFree(frame) === (isUsable(map, frame) ? 1 : 0), () => `isFree(${frame}) is ${pmm.isFree(frame)}`);
        expect(pmm.isFree(-1)).toBe(0);
        pmm.validate();
      });

      it('hands out every usable frame once, then -1, and takes all back', () => {
        const pmm = make();
        const seen = new Set<number>();
        for (let i = 0; i < map.usableFrames; i++) {
          const frame = take(pmm);
          ensure(!seen.has(frame) && isUsable(map, frame), () => `frame ${frame} handed out`);
          seen.add(frame);
          ensure(pmm.isFree(frame) === 0, () => `frame ${frame} is still free`);
          ensure(pmm.freeFrames() === map.usableFrames - seen.size, () => `${pmm.freeFrames()} free frames`);
        }
        pmm.validate();
        const steps = pmm.steps();
        expect(take(pmm)).toBe(-1);
        expect(pmm.steps()).toBeGreaterThan(steps);
        expect(pmm.freeFrames()).toBe(0);
        for (let order = 0; order <= MAX_ORDER; order++) expect(pmm.freeBlocks(order)).toBe(0);
        pmm.validate();
        for (const frame of seen) ensure(pmm.free(frame, 0, 0) === 0, () => `frame ${frame} refused`);
        expect(pmm.freeFrames()).toBe(map.usableFrames);
        pmm.validate();
        expect(blocksByScan(pmm, map)).toEqual(blocksOf(pmm));
      });

      it('serves aligned blocks of every order it claims, until no block of that order is left', () => {
        for (let order = 0; order <= make().maxOrder; order++) {
          const pmm = make();
          const size = 2 ** order;
          let blocks = 0;
          for (let first = 0; first + size <= map.frames; first += size) if (usableIn(map, first, size) === size) blocks++;
          const got: number[] = [];
          for (let i = 0; i < blocks; i++) {
            const first = take(pmm, order);
            ensure(first >= 0 && first % size === 0 && usableIn(map, first, size) === size, () => `block ${first} of order ${order} handed out`);
            for (let frame = first; frame < first + size; frame++) ensure(pmm.isFree(frame) === 0, () => `frame ${frame} is still free`);
            got.push(first);
          }
          expect(new Set(got).size).toBe(blocks);
          expect(take(pmm, order)).toBe(-1);
          expect(pmm.freeFrames()).toBe(map.usableFrames - blocks * size);
          pmm.validate();
          for (const first of got) ensure(pmm.free(first, order, 0) === 0, () => `block ${first} of order ${order} refused`);
          expect(pmm.freeFrames()).toBe(map.usableFrames);
          pmm.validate();
          expect(blocksByScan(pmm, map)).toEqual(blocksOf(pmm));
        }
      });

      it('refuses orders that do not exist', () => {
        const pmm = make();
        for (const order of [-1, pmm.maxOrder + 1, 31, 32, 33, 64]) expect(take(pmm, order), `order ${order}`).toBe(-1);
        const frame = take(pmm);
        for (const order of [-1, pmm.maxOrder + 1, 31, 32, 33, 64]) expect(pmm.free(frame, order, 0), `order ${order}`).toBe(EINVAL);
        expect(pmm.isFree(frame)).toBe(0);
        pmm.validate();
      });

      it('catches double, foreign and misaligned frees, and changes nothing', () => {
        const pmm = make();
        const held: number[] = [];
        for (let i = 0; i < map.usableFrames / 2; i++) held.push(take(pmm));
        const given = held.splice(0, held.length / 2 + 1);
        for (const frame of given) ensure(pmm.free(frame, 0, 0) === 0, () => `frame ${frame} refused`);
        const before = state(pmm, map);
        const free = pmm.freeFrames();
        const refused = (frame: number, order: number, expected: number): void => {
          const code = pmm.free(frame, order, 0);
          ensure(code === expected, () => `free(${frame}, ${order}) gave ${code}, expected ${expected}`);
        };
        for (const frame of given) refused(frame, 0, EPERM);
        for (let frame = 0; frame < map.frames; frame++) {
          if (!isUsable(map, frame)) refused(frame, 0, EINVAL);
          else if (pmm.isFree(frame) === 1) refused(frame, 0, EPERM);
        }
        for (const frame of [-1, -32, -1024, map.frames, map.frames + 31, map.frames + 5000, 2147483647, -2147483648]) refused(frame, 0, EINVAL);
        for (let order = 1; order <= pmm.maxOrder; order++) {
          for (const frame of given) {
            const size = 2 ** order;
            refused(frame, order, frame % size !== 0 || usableIn(map, frame, size) !== size ? EINVAL : EPERM);
          }
        }
        expect(state(pmm, map)).toEqual(before);
        expect(pmm.freeFrames()).toBe(free);
        pmm.validate();
      });

      it('takes a block back in aligned parts, and parts as one block', () => {
        const pmm = make();
        for (let order = 1; order <= pmm.maxOrder; order++) {
          const first = take(pmm, order);
          if (first < 0) continue;
          const half = 2 ** (order - 1);
          expect(pmm.free(first + half, order - 1, 0)).toBe(0);
          expect(pmm.free(first, order, 0)).toBe(EPERM);
          pmm.validate();
          for (let frame = first; frame < first + half; frame++) ensure(pmm.free(frame, 0, 0) === 0, () => `frame ${frame} refused`);
          expect(pmm.freeFrames()).toBe(map.usableFrames);
          pmm.validate();
        }
        const frames = new Set<number>();
        for (let i = 0; i < map.usableFrames; i++) frames.add(take(pmm));
        for (const { first, count } of map.usable) {
          for (let frame = first; frame < first + count; ) {
            let order = 0;
            while (order < pmm.maxOrder && frame % 2 ** (order + 1) === 0 && frame + 2 ** (order + 1) <= first + count) order++;
            ensure(pmm.free(frame, order, 0) === 0, () => `block ${frame} of order ${order} refused`);
            frame += 2 ** order;
          }
        }
        expect(pmm.freeFrames()).toBe(map.usableFrames);
        pmm.validate();
      });

      it('keeps free + used constant, counts its work and its free blocks through mixed traffic', () => {
        const pmm = make();
        const next = random(7);
        const held: { first: number; order: number }[] = [];
        let used = 0;
        for (let i = 0; i < 3000; i++) {
          const steps = pmm.steps();
          if (next(100) < 55) {
            const order = next(3) === 0 ? next(MAX_ORDER + 1) : 0;
            const first = take(pmm, order);
            if (first >= 0) {
              held.push({ first, order });
              used += 2 ** order;
            }
          } else {
            const block = held.splice(next(Math.max(held.length, 1)), 1)[0];
            if (block !== undefined) {
              ensure(pmm.free(block.first, block.order, 0) === 0, () => `block ${block.first} refused`);
              used -= 2 ** block.order;
            } else ensure(pmm.free(-5, 0, 0) === EINVAL, () => 'frame -5 taken');
          }
          ensure(pmm.steps() >= steps + 1, () => `steps went from ${steps} to ${pmm.steps()}`);
          ensure(pmm.freeFrames() + used === map.usableFrames, () => `${pmm.freeFrames()} free and ${used} used frames`);
          if (i % 500 === 0) {
            pmm.validate();
            expect(blocksByScan(pmm, map)).toEqual(blocksOf(pmm));
          }
        }
        for (const { first, order } of held) ensure(pmm.free(first, order, 0) === 0, () => `block ${first} refused`);
        expect(pmm.freeFrames()).toBe(map.usableFrames);
        pmm.validate();
        expect(blocksByScan(pmm, map)).toEqual(blocksOf(pmm));
      });
    });
  }
}

const state = (pmm: FrameAllocator, map: MemoryMap): string => Array.from({ length: map.frames }, (_, frame) => pmm.isFree(frame)).join('');

const blocksOf = (pmm: FrameAllocator): number[] => Array.from({ length: MAX_ORDER + 1 }, (_, order) => pmm.freeBlocks(order));

/** Maximal aligned free blocks by order, found frame by frame. */
function blocksByScan(pmm: FrameAllocator, map: MemoryMap): number[] {
  const blocks = Array.from({ length: MAX_ORDER + 1 }, () => 0);
  const free = Array.from({ length: map.frames }, (_, frame) => pmm.isFree(frame) === 1);
  for (let frame = 0; frame < map.frames; ) {
    if (!free[frame]) {
      frame++;
      continue;
    }
    let order = 0;
    const isRun = (first: number, size: number): boolean => {
      for (let f = first; f < first + size; f++) if (free[f] !== true) return false;
      return true;
    };
    while (order < MAX_ORDER && frame % 2 ** (order + 1) === 0 && isRun(frame, 2 ** (order + 1))) order++;
    blocks[order] = (blocks[order] ?? 0) + 1;
    frame += 2 ** order;
  }
  return blocks;
}
