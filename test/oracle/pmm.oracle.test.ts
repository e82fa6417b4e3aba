/**
 * Generated command sequences over every registered PMM strategy, each step compared with a Set of free frames and, where
 * there is one, with the strategy's naive twin (pmm-models.ts). Printed on failure: seed, path and the commands.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { EINVAL, EPERM } from '../../arch/arch.js';
import { MAX_ORDER, type FrameAllocator } from '../../core/pmm/allocator.js';
import { isUsable, memoryMapFromRanges, memoryMapFromSize, type MemoryMap } from '../../core/pmm/memory-map.js';
import { nearOfMapping } from '../../core/pmm/near.js';
import { pmms } from '../../core/pmm/registry.js';
import { TWINS } from './pmm-models.js';
import type { Twin } from './pmm-twin.js';

/** What must be true: who is free, and which blocks are held, in the order they were handed out. */
interface Model {
  readonly map: MemoryMap;
  readonly free: Set<number>;
  readonly held: { first: number; order: number }[];
}

interface Real {
  readonly pmm: FrameAllocator;
  readonly twin: Twin | undefined;
  steps: number;
}

type Command = fc.Command<Model, Real>;

let commandsRun = 0;

const framesOf = (first: number, order: number): number[] => Array.from({ length: 2 ** order }, (_, i) => first + i);

function ensure(ok: boolean, what: string): void {
  if (!ok) throw new Error(what);
}

/** After every command: frames are conserved and work was counted. */
function settle(model: Model, real: Real): void {
  commandsRun++;
  ensure(real.pmm.freeFrames() === model.free.size, `${real.pmm.freeFrames()} free frames, expected ${model.free.size}`);
  const steps = real.pmm.steps();
  ensure(steps >= real.steps + 1, `steps went from ${real.steps} to ${steps}`);
  real.steps = steps;
}

/** Where a request wishes to be: nothing known, a frame, the frame after a held block, or the first page of a mapping. */
type Wish =
  | { kind: 'none' }
  | { kind: 'frame'; frame: number }
  | { kind: 'after'; pick: number }
  | { kind: 'mapping'; page: number; before: number; pages: number };

function nearOf(model: Readonly<Model>, wish: Wish): number {
  switch (wish.kind) {
    case 'none':
      return -1;
    case 'frame':
      return wish.frame;
    case 'after': {
      const block = model.held[wish.pick % Math.max(model.held.length, 1)];
      return block === undefined ? -1 : block.first + 2 ** block.order;
    }
    case 'mapping':
      return nearOfMapping(wish.page, wish.before, wish.pages);
    default:
      return wish satisfies never;
  }
}

class Allocate implements Command {
  constructor(
    private readonly order: number,
    private readonly kind: number,
    private readonly cpu: number,
    private readonly wish: Wish,
    private readonly owner: number,
  ) {}
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    const near = nearOf(model, this.wish);
    const first = real.pmm.allocate(this.order, this.kind, this.cpu, near, this.owner);
    const possible = this.order <= real.pmm.maxOrder && hasBlock(model, this.order);
    ensure(first >= 0 === possible, `allocate gave ${first}, a block of order ${this.order} is ${possible ? '' : 'not '}there`);
    if (real.twin !== undefined) {
      const expected = real.twin.allocate(this.order, this.kind, this.cpu, near, this.owner);
      ensure(first === expected, `allocate gave ${first}, the twin ${expected}`);
    }
    if (first >= 0) {
      ensure(first % 2 ** this.order === 0, `block ${first} is misaligned`);
      for (const frame of framesOf(first, this.order)) ensure(model.free.delete(frame), `frame ${frame} was handed out but is not free`);
      model.held.push({ first, order: this.order });
    } else ensure(first === -1, `allocate failed with ${first}`);
    settle(model, real);
  }
  toString = (): string => `allocate(${this.order}, ${this.kind}, ${this.cpu}, ${JSON.stringify(this.wish)}, ${this.owner})`;
}

/** Gives back a held block as a whole (part = 0) or its part-th aligned piece of a smaller order, keeping the others. */
class FreeHeld implements Command {
  constructor(
    private readonly pick: number,
    private readonly less: number,
    private readonly part: number,
    private readonly cpu: number,
  ) {}
  check = (model: Readonly<Model>): boolean => model.held.length > 0;
  run(model: Model, real: Real): void {
    const index = this.pick % model.held.length;
    const block = model.held[index];
    if (block === undefined) return;
    model.held.splice(index, 1);
    const order = Math.max(block.order - this.less, 0);
    const parts = framesOf(0, block.order - order).map((i) => block.first + i * 2 ** order);
    const [first = 0] = parts.splice(this.part % parts.length, 1);
    const code = real.pmm.free(first, order, this.cpu);
    ensure(code === 0, `free(${first}, ${order}) of a held block gave ${code}`);
    real.twin?.free(first, order, this.cpu);
    for (const frame of framesOf(first, order)) model.free.add(frame);
    for (const rest of parts) model.held.push({ first: rest, order });
    settle(model, real);
  }
  toString = (): string => `free(held ${this.pick}, order - ${this.less}, part ${this.part}, cpu ${this.cpu})`;
}

/** Any frame and order at all: right or wrong, the answer is known. */
class FreeAny implements Command {
  constructor(
    private readonly frame: number,
    private readonly order: number,
  ) {}
  /** A block that is wholly held is a right free, but the list of held blocks would no longer fit: left to FreeHeld. */
  check = (model: Readonly<Model>): boolean => expectedFree(model, this.frame, this.order, MAX_ORDER) !== 0;
  run(model: Model, real: Real): void {
    const code = real.pmm.free(this.frame, this.order, 0);
    const expected = expectedFree(model, this.frame, this.order, real.pmm.maxOrder);
    ensure(code === expected, `free(${this.frame}, ${this.order}) gave ${code}, expected ${expected}`);
    settle(model, real);
  }
  toString = (): string => `free(${this.frame}, ${this.order})`;
}

class Look implements Command {
  constructor(private readonly frame: number) {}
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    for (let frame = this.frame; frame < this.frame + 40; frame++) {
      const free = real.pmm.isFree(frame);
      ensure(free === (model.free.has(frame) ? 1 : 0), `isFree(${frame}) is ${free}`);
    }
    commandsRun++;
  }
  toString = (): string => `isFree(${this.frame}...)`;
}

class Audit implements Command {
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    real.pmm.validate();
    const expected = freeBlocks(model);
    for (let order = 0; order <= MAX_ORDER; order++) {
      ensure(real.pmm.freeBlocks(order) === expected[order], `${real.pmm.freeBlocks(order)} free blocks of order ${order}, expected ${expected[order]}`);
    }
    commandsRun++;
  }
  toString = (): string => 'audit';
}

function hasBlock(model: Model, order: number): boolean {
  const size = 2 ** order;
  const isThere = (first: number): boolean => model.free.has(first) && framesOf(first, order).every((frame) => model.free.has(frame));
  for (const { first, count } of model.map.usable)
    for (let at = Math.ceil(first / size) * size; at + size <= first + count; at += size) if (isThere(at)) return true;
  return false;
}

function expectedFree(model: Readonly<Model>, frame: number, order: number, maxOrder: number): number {
  if (order < 0 || order > maxOrder || frame < 0 || frame % 2 ** order !== 0) return EINVAL;
  const frames = framesOf(frame, order);
  if (!frames.every((f) => isUsable(model.map, f))) return EINVAL;
  return frames.some((f) => model.free.has(f)) ? EPERM : 0;
}

/** Maximal aligned free blocks by order. */
function freeBlocks(model: Model): number[] {
  const blocks = Array.from({ length: MAX_ORDER + 1 }, () => 0);
  for (const { first, count } of model.map.usable) {
    for (let frame = first; frame < first + count; ) {
      if (!model.free.has(frame)) {
        frame++;
        continue;
      }
      let order = 0;
      while (order < MAX_ORDER && frame % 2 ** (order + 1) === 0 && framesOf(frame + 2 ** order, order).every((f) => model.free.has(f))) order++;
      blocks[order] = (blocks[order] ?? 0) + 1;
      frame += 2 ** order;
    }
  }
  return blocks;
}

const MAPS: Record<string, MemoryMap> = {
  '70 frames': memoryMapFromSize(70 * 4096),
  'ragged 300': memoryMapFromRanges([
    { first: 5, count: 20 },
    { first: 31, count: 2 },
    { first: 60, count: 200 },
    { first: 265, count: 30 },
  ]),
  'three regions with a hole': memoryMapFromRanges([
    { first: 900, count: 1300 },
    { first: 3072, count: 1030 },
  ]),
  // 16 MiB and 4 GiB lie in its second and third range.
  'a bit of each zone': memoryMapFromRanges([
    { first: 0, count: 300 },
    { first: 4000, count: 700 },
    { first: 2 ** 20 - 200, count: 1300 },
  ]),
};

/** More than one, so that what a CPU keeps for itself meets the frees of another. */
const CPUS = 2;

/** Half of all orders are 0, as in real traffic. */
const order = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 5 }) },
  { weight: 1, arbitrary: fc.integer({ min: 6, max: MAX_ORDER + 1 }) },
);

const wish: fc.Arbitrary<Wish> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'none' } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('frame' as const), frame: fc.nat(4200) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('after' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('mapping' as const), page: fc.nat(2 ** 30), before: fc.nat(600), pages: fc.integer({ min: 601, max: 3000 }) }),
  },
);
/** User pages are movable, and the most. */
const kind = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 2, arbitrary: fc.nat(4) });
const cpu = fc.nat(CPUS - 1);
const allocation = fc.tuple(order, kind, cpu, wish, fc.integer({ min: -1, max: 3 })).map((args) => new Allocate(...args));
const release = fc.tuple(fc.nat(), fc.oneof(fc.constant(0), fc.nat(MAX_ORDER)), fc.nat(), cpu).map((args) => new FreeHeld(...args));
const wrong = fc
  .tuple(fc.integer({ min: -40, max: 4200 }), fc.oneof(fc.constant(0), fc.integer({ min: -1, max: MAX_ORDER + 1 })))
  .map((args) => new FreeAny(...args));
const look = fc.integer({ min: -2, max: 4200 }).map((frame) => new Look(frame));
const audit = fc.constant(0).map(() => new Audit());
const commands = fc.commands([allocation, release, allocation, release, allocation, wrong, look, audit], { maxCommands: 250, size: 'max' });

/** One seed for all, so that the number of commands run is the same every time; FC_SEED explores others. */
const seed = Number(process.env['FC_SEED'] ?? 20031);

describe.each(pmms.names())('%s agrees with a Set of free frames', (name) => {
  it.each(Object.entries(MAPS))('over %s', (_, map) => {
    fc.assert(
      fc.property(commands, (sequence) => {
        const usable = map.usable.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        const real: Real = { pmm: pmms.get(name).create({ map, cpus: CPUS, seed: 1 }), twin: TWINS[name]?.(map, CPUS, 1), steps: 0 };
        const model: Model = { map, free: new Set(usable), held: [] };
        fc.modelRun(() => ({ model, real }), sequence);
        for (const { first, order: held } of model.held) ensure(real.pmm.free(first, held, 0) === 0, `the held block ${first} was refused at the end`);
        ensure(real.pmm.freeFrames() === map.usableFrames, 'frames were lost');
        real.pmm.validate();
      }),
      // Models of large maps are slow; their sequences are as long, but fewer.
      { seed, numRuns: map.usableFrames > 1000 ? 24 : 60 },
    );
  });
});

afterAll(() => {
  expect(commandsRun).toBeGreaterThanOrEqual(30_000);
});
