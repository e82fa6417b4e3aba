/**
 * Ageing over every strategy. A drawn history asks every strategy for the same frames; a machine's layout leaves exactly the free blocks that its files count,
 * as counted anew from single frames.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameKind } from '../../../arch/arch.js';
import { ageMemory } from '../../../core/pmm/ageing/ageing.js';
import type { AgedFrames } from '../../../core/pmm/ageing/contract.js';
import { takeMachine, type MachineLayout } from '../../../core/pmm/ageing/machine.js';
import { machineLayout } from '../../../core/pmm/ageing/proc.js';
import { MAX_ORDER, type FrameAllocator } from '../../../core/pmm/allocator.js';
import { memoryMapFromRanges, memoryMapFromSize, type MemoryMap } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';

const MIB = 2 ** 20;
const drawn = (seed: number, utilisation: number, churn: number) => ({ kind: 'drawn', seed, utilisation, churn, label: '', hash: '' }) as const;

/** A strategy behind a ledger that knows every block which is out, and refuses orders from `refused` on. */
function ledger(pmm: FrameAllocator, refused = MAX_ORDER + 1) {
  const out = new Map<number, { order: number; kind: number }>();
  const requests: string[] = [];
  let held = 0;
  let most = 0;
  const frames: AgedFrames = {
    take(order, kind) {
      requests.push(`${order} ${kind}`);
      const first = order >= refused ? -1 : pmm.allocate(order, kind, 0, -1, -1);
      if (first < 0) return -1;
      if (out.has(first)) throw new Error(`frame ${first} was handed out twice`);
      out.set(first, { order, kind });
      held += 2 ** order;
      most = Math.max(most, held);
      return first;
    },
    release(frame, order) {
      if (out.get(frame)?.order !== order) throw new Error(`block ${frame} of order ${order} is not out`);
      out.delete(frame);
      held -= 2 ** order;
      if (pmm.free(frame, order, 0) !== 0) throw new Error(`block ${frame} of order ${order} is refused`);
    },
    freeFrames: () => pmm.freeFrames(),
  };
  return { frames, out, requests, held: () => held, most: () => most };
}

const strategyOf = (name: string, map: MemoryMap): FrameAllocator => pmms.get(name).create({ map, cpus: 1, seed: 1 });

describe.each(pmms.names())('on %s', (name) => {
  const map = memoryMapFromSize(16 * MIB);

  it('a drawn history leaves that share of memory in use, whatever the rounds of churn', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.integer({ min: 1, max: 95 }), fc.nat(3), (seed, percent, churn) => {
        const pmm = strategyOf(name, map);
        const { frames, held, most } = ledger(pmm);
        const goal = Math.floor((percent / 100) * map.usableFrames);
        const aged = ageMemory(drawn(seed, percent / 100, churn), frames, map.usableFrames, 1);
        // A life ends block by block: the last one may be of order 3.
        expect(held()).toBeGreaterThan(goal - 8);
        expect(held()).toBeLessThanOrEqual(goal);
        expect(pmm.freeFrames()).toBe(map.usableFrames - held());
        if (churn > 0) expect(most()).toBeGreaterThanOrEqual(Math.floor((map.usableFrames + goal) / 2) - 8);
        const before = held();
        const half = Math.floor(pmm.freeFrames() / 2);
        aged.grow();
        expect(held()).toBe(before + half);
        aged.shrink();
        expect(held()).toBeGreaterThan(goal - 8);
        expect(held()).toBeLessThanOrEqual(goal);
        pmm.validate();
      }),
      { seed: 11, numRuns: 8 },
    );
  });

  it("a machine's layout leaves its free blocks, order by order", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(MAX_ORDER), fc.nat(), fc.nat(2)), { minLength: 1, maxLength: 400, size: 'max' }), fc.nat(), (choices, seed) => {
        const layout = machineOf(choices, map.usableFrames);
        const pmm = strategyOf(name, map);
        const { frames, out } = ledger(pmm);
        takeMachine(layout, frames, map.usableFrames, seed);
        expect(freeBlocksOf(pmm, map)).toEqual(layout.free.map(({ unmovable, reclaimable, movable }) => unmovable + reclaimable + movable));
        expect(out.size).toBe(map.usableFrames - pmm.freeFrames());
        pmm.validate();
      }),
      { seed: 12, numRuns: 8 },
    );
  });
});

/** Maximal aligned free blocks by order, counted from single frames. */
function freeBlocksOf(pmm: FrameAllocator, map: MemoryMap): number[] {
  const counts = new Array<number>(MAX_ORDER + 1).fill(0);
  const isFree = (first: number, order: number): boolean => {
    for (let f = first; f < first + 2 ** order; f++) if (pmm.isFree(f) === 0) return false;
    return true;
  };
  const count = (first: number, order: number): void => {
    if (isFree(first, order)) counts[order]! += 1;
    else if (order > 0) for (const half of [first, first + 2 ** (order - 1)]) count(half, order - 1);
  };
  for (let first = 0; first < map.frames; first += 2 ** MAX_ORDER) count(first, MAX_ORDER);
  return counts;
}

/** What a machine's files would say whose free blocks are those of the choices that fit beside each other: never two halves of a block. */
function machineOf(choices: readonly (readonly [number, number, number])[], frames: number): MachineLayout {
  const taken = new Uint8Array(frames);
  const free = Array.from({ length: MAX_ORDER + 1 }, () => ({ unmovable: 0, reclaimable: 0, movable: 0 }));
  for (const [order, place, type] of choices) {
    const first = place % (frames >> order) << order;
    // Its buddy stays in use, as far as it may matter: all of the pair is spoken for.
    const pair = order === MAX_ORDER ? first : first & ~(2 ** (order + 1) - 1);
    const width = order === MAX_ORDER ? 2 ** order : 2 ** (order + 1);
    if (taken.subarray(pair, pair + width).some((used) => used !== 0)) continue;
    taken.fill(1, pair, pair + width);
    const key = (['unmovable', 'reclaimable', 'movable'] as const)[type]!;
    free[order]![key] += 1;
  }
  const kernel = frames >> 3;
  return { kind: 'machine', frames, framesByType: { unmovable: kernel, reclaimable: kernel >> 1, movable: frames - kernel - (kernel >> 1) }, free };
}

describe('a drawn history', () => {
  const map = memoryMapFromSize(32 * MIB);
  const asked = (name: string, refused?: number, seed = 5): { requests: string[]; held: number; kinds: Record<number, number> } => {
    const { frames, requests, held, out } = ledger(strategyOf(name, map), refused);
    ageMemory(drawn(seed, 0.6, 2), frames, map.usableFrames, 1);
    const kinds: Record<number, number> = {};
    for (const { order, kind } of out.values()) kinds[kind] = (kinds[kind] ?? 0) + 2 ** order;
    return { requests, held: held(), kinds };
  };

  it('asks strategies that serve all orders for the same blocks in the same order', () => {
    const { requests } = asked('buddy');
    expect(requests.length).toBeGreaterThan(5000);
    for (const name of ['llfree', 'bitmap', 'buddy-migrate', 'tlsf']) expect(asked(name).requests.join()).toBe(requests.join());
    expect(asked('buddy', undefined, 6).requests.join()).not.toBe(requests.join());
  });

  it('asks for smaller blocks where larger ones are not to be had, to as many frames of each kind', () => {
    const [whole, single] = [asked('buddy'), asked('buddy', 1)];
    expect(single.held).toBe(whole.held);
    expect(single.kinds).toEqual(whole.kinds);
    expect(Object.keys(whole.kinds)).toEqual([FrameKind.movable, FrameKind.unmovable, FrameKind.reclaimable].map(String).sort());
    expect(single.requests.some((request) => request.startsWith('3 '))).toBe(true);
  });

  it('is mostly movable user memory', () => {
    const { kinds, held } = asked('buddy');
    expect(kinds[FrameKind.movable]! / held).toBeGreaterThan(0.7);
    expect(kinds[FrameKind.movable]! / held).toBeLessThan(0.99);
  });

  it('takes what there is when memory is smaller than the share', () => {
    const small = strategyOf('buddy', memoryMapFromSize(4 * MIB));
    const { frames, held } = ledger(small);
    ageMemory(drawn(1, 0.5, 1), frames, 64 * 256, 1);
    expect(held()).toBe(1024);
  });
});

describe("a machine's files", () => {
  const file = (name: string) => ({ name, text: readFileSync(new URL(`../../fixtures/proc/${name}`, import.meta.url), 'utf8') });
  const buddyinfo = file('buddyinfo');
  const pagetypeinfo = file('pagetypeinfo');
  const layout = machineLayout([buddyinfo, pagetypeinfo]);

  it('are read in either order: zones added up, the counts those of buddyinfo', () => {
    expect(machineLayout([pagetypeinfo, buddyinfo])).toEqual(layout);
    expect(layout.free.map(({ unmovable, reclaimable, movable }) => unmovable + reclaimable + movable)).toEqual([
      6241, 5661, 6285, 3873, 1407, 285, 49, 25, 17, 3, 1199,
    ]);
    // 8 + 1528 + 1600 pageblocks of 512 frames: 6.1 GiB.
    expect(layout.frames).toBe(3136 * 512);
    expect(layout.framesByType.unmovable + layout.framesByType.reclaimable + layout.framesByType.movable).toBe(layout.frames);
    expect(layout.framesByType.unmovable).toBeGreaterThan(0);
  });

  it('leave those free blocks on a buddy, also where memory has holes', () => {
    const map = memoryMapFromRanges([
      { first: 0, count: 1000 * 1024 },
      { first: 1200 * 1024, count: 600 * 1024 },
    ]);
    const pmm = strategyOf('buddy', map);
    takeMachine(
      layout,
      { take: (order, kind) => pmm.allocate(order, kind, 0, -1, -1), release: (f, o) => void pmm.free(f, o, 0), freeFrames: pmm.freeFrames },
      map.usableFrames,
      1,
    );
    const more = 1600 - 3136 / 2;
    expect(Array.from({ length: MAX_ORDER + 1 }, (_, order) => pmm.freeBlocks(order))).toEqual(
      layout.free.map(({ unmovable, reclaimable, movable }, order) => unmovable + reclaimable + movable + (order === MAX_ORDER ? more : 0)),
    );
  });

  it('that do not fit are refused', () => {
    const none: AgedFrames = { take: () => -1, release: () => undefined, freeFrames: () => 0 };
    expect(() => takeMachine(layout, none, 1024 * 256, 1)).toThrow('has 6272 MiB, the simulated memory 1024 MiB; give --memory 6272MiB or more');
    expect(() => takeMachine(layout, none, layout.frames, 1)).toThrow('of the free blocks of order 10 do not fit');
  });

  it.each([
    ['nothing', [{ name: 'a', text: '' }, pagetypeinfo], 'a: empty; expected lines of /proc/buddyinfo'],
    ['two of a kind', [buddyinfo, buddyinfo], 'expected one file as /proc/buddyinfo and one as /proc/pagetypeinfo (which root can read), both lack the line'],
    ['the other kind twice', [pagetypeinfo, pagetypeinfo], 'both have the line "Pages per block"'],
    [
      'other text',
      [{ name: 'a', text: 'MemTotal: 5 kB\n' }, pagetypeinfo],
      'a:1: expected a line of /proc/buddyinfo, such as "Node 0, zone Normal" and 11 counts',
    ],
    ['too few orders', [{ name: 'a', text: 'Node 0, zone DMA 1 2 3\n' }, pagetypeinfo], 'a:1: expected a line of /proc/buddyinfo'],
    ['a file cut off', [buddyinfo, { name: 'b', text: pagetypeinfo.text.slice(0, 700) }], 'b:'],
    [
      'no pageblocks',
      [buddyinfo, { name: 'b', text: pagetypeinfo.text.split('Number of blocks')[0]! }],
      'b: no pageblocks are counted; expected the part "Number of blocks type"',
    ],
  ] as const)('with %s are refused in one line', (_, files, message) => {
    const read = (): unknown => machineLayout([files[0], files[1]]);
    expect(read).toThrow(message);
    expect(read).toThrow(/^[^\n]*$/);
  });

  it('whose counts end at >100000 are split by what is known', () => {
    const many = { name: 'buddyinfo', text: 'Node 0, zone Normal 250000 0 0 0 0 0 0 0 0 0 0\n' };
    const capped = {
      name: 'pagetypeinfo',
      text:
        'Page block order: 9\nPages per block:  512\n\nFree pages count per migrate type at order 0 1 2 3 4 5 6 7 8 9 10\n' +
        'Node    0, zone   Normal, type    Unmovable      7 0 0 0 0 0 0 0 0 0 0\nNode    0, zone   Normal, type      Movable >100000 0 0 0 0 0 0 0 0 0 0\n\n' +
        'Number of blocks type     Unmovable      Movable  Reclaimable\nNode 0, zone   Normal            2         4000            1\n',
    };
    expect(machineLayout([many, capped])).toMatchObject({
      frames: 4003 * 512,
      framesByType: { unmovable: 1024, reclaimable: 512, movable: 4000 * 512 },
      free: [{ unmovable: 7, reclaimable: 0, movable: 249_993 }, ...Array.from({ length: 10 }, () => ({ unmovable: 0, reclaimable: 0, movable: 0 }))],
    });
  });
});
