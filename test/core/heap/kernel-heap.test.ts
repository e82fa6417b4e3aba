/** The kernel heap against Maps: live handles with their sizes, and the frames it must hold by counting slabs the simple way. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelCache, type KernelHeap } from '../../../core/heap/kernel-heap-contract.js';
import { makeKernelHeap } from '../../../core/heap/kernel-heap.js';

const SIZES = [176, 1024, 2048, 512, 576, 8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096];

/** A PMM of `limit` frames that notices double and foreign frees. */
function makeFrames(limit: number) {
  const out = new Set<number>();
  let lowest = 0;
  const back: number[] = [];
  return {
    out,
    take(): number {
      if (out.size >= limit) return -1;
      const frame = back.pop() ?? lowest++;
      out.add(frame);
      return frame;
    },
    give(frame: number): void {
      if (!out.delete(frame)) throw new Error(`frame ${frame} given back twice`);
      back.push(frame);
    },
  };
}

const classOf = (bytes: number): number => 5 + SIZES.slice(5).findIndex((size) => size >= bytes);

interface Model {
  /** handle -> cache (-1 = large), bytes asked for. */
  live: Map<number, { cache: number; bytes: number }>;
}

interface Real {
  heap: KernelHeap;
  frames: ReturnType<typeof makeFrames>;
  limit: number;
}

let executed = 0;

/** As expect(got).toBe(want), at a fraction of its price: it runs millions of times. */
function same(got: unknown, want: unknown, what: string): void {
  if (!Object.is(got, want)) throw new Error(`${what}: ${String(got)} instead of ${String(want)}`);
}

abstract class Step implements fc.Command<Model, Real> {
  check(): boolean {
    return true;
  }
  abstract act(model: Model, real: Real): void;
  run(model: Model, real: Real): void {
    executed++;
    this.act(model, real);
    const { heap, frames } = real;
    heap.validate();
    same(heap.heldBytes(), frames.out.size * 4096, 'held bytes');
    const lives = new Float64Array(17);
    let asked = 0;
    let largeFrames = 0;
    for (const { cache, bytes } of model.live.values()) {
      asked += bytes;
      if (cache < 0) largeFrames += Math.ceil(bytes / 4096);
      else lives[cache]!++;
    }
    same(heap.liveBytes(), asked, 'live bytes');
    // The oracle knows nothing of which object lies in which slab: a cache's slabs are bounded by what its objects need.
    const list = heap.caches();
    let held = 0;
    for (let cache = 0; cache < 17; cache++) {
      const entry = list[cache]!;
      const live = lives[cache]!;
      same(entry.objectBytes, SIZES[cache], `object size of cache ${cache}`);
      same(entry.live, live, `live objects of cache ${cache}`);
      if (entry.slabs < Math.ceil(live / Math.floor(4096 / SIZES[cache]!)) || entry.slabs > live + 1)
        throw new Error(`${entry.slabs} slabs for ${live} objects of cache ${cache}`);
      held += entry.slabs;
    }
    expect(list[17]).toEqual({ name: 'kmalloc-large', objectBytes: 4096, live: largeFrames, slabs: largeFrames });
    same(held + largeFrames, frames.out.size, 'frames');
  }
}

function note(model: Model, handle: number, cache: number, bytes: number): void {
  if (!(Number.isInteger(handle) && handle > 0 && handle < 2 ** 31)) throw new Error(`handle ${handle} is not a positive int32`);
  same(model.live.has(handle), false, `handle ${handle} handed out twice`);
  model.live.set(handle, { cache, bytes });
}

class Alloc extends Step {
  constructor(
    readonly cache: number,
    readonly many: number,
  ) {
    super();
  }
  override act(model: Model, { heap, frames, limit }: Real): void {
    const per = Math.floor(4096 / SIZES[this.cache]!);
    const before = heap.caches()[this.cache]!;
    let { live, slabs } = before;
    for (let i = 0; i < this.many; i++) {
      const room = slabs * per - live;
      const full = frames.out.size === limit;
      const handle = heap.alloc(this.cache);
      if (room === 0 && full) {
        same(handle, 0, 'handle without a frame');
      } else {
        note(model, handle, this.cache, SIZES[this.cache]!);
        live++;
        if (room === 0) slabs++;
      }
    }
    expect(heap.caches()[this.cache]).toEqual({ ...before, live, slabs });
  }
  override toString(): string {
    return `alloc(${this.cache}, ${this.many})`;
  }
}

class AllocBytes extends Step {
  constructor(readonly bytes: number) {
    super();
  }
  override act(model: Model, { heap, frames, limit }: Real): void {
    const held = frames.out.size;
    const before = heap.caches();
    const handle = heap.allocBytes(this.bytes);
    if (this.bytes > 4096) {
      const need = Math.ceil(this.bytes / 4096);
      if (held + need > limit) {
        expect(handle).toBe(0);
        expect(frames.out.size).toBe(held);
      } else {
        note(model, handle, -1, this.bytes);
        expect(frames.out.size).toBe(held + need);
      }
      return;
    }
    const cache = classOf(this.bytes);
    if (handle === 0) {
      expect(held).toBe(limit);
      expect(heap.caches()).toEqual(before);
    } else {
      note(model, handle, cache, this.bytes);
    }
  }
  override toString(): string {
    return `allocBytes(${this.bytes})`;
  }
}

class Free extends Step {
  constructor(
    readonly at: number,
    readonly many: number,
  ) {
    super();
  }
  override act(model: Model, { heap }: Real): void {
    const keys = [...model.live.keys()];
    for (let i = 0; i < this.many && keys.length > 0; i++) {
      const k = (this.at + i * 5) % keys.length;
      const handle = keys[k]!;
      keys[k] = keys.at(-1)!;
      keys.pop();
      heap.free(handle);
      model.live.delete(handle);
      if (i === 0) expect(() => heap.free(handle)).toThrow(/not allocated/);
    }
  }
  override toString(): string {
    return `free(${this.at}, ${this.many})`;
  }
}

class Reap extends Step {
  override act(_model: Model, { heap }: Real): void {
    const before = heap.caches();
    heap.reap();
    const after = heap.caches();
    for (let c = 0; c < 17; c++) {
      same(after[c]!.live, before[c]!.live, 'live objects after reap');
      if (after[c]!.live === 0) same(after[c]!.slabs, 0, 'slabs of an empty cache after reap');
    }
  }
  override toString(): string {
    return 'reap';
  }
}

class Wild extends Step {
  constructor(readonly handle: number) {
    super();
  }
  override act(model: Model, { heap }: Real): void {
    if (!model.live.has(this.handle)) expect(() => heap.free(this.handle)).toThrow(/not allocated/);
  }
  override toString(): string {
    return `wild(${this.handle})`;
  }
}

describe('kernel heap', () => {
  it('agrees with counting', () => {
    executed = 0;
    const cache = fc.nat(16);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.commands(
          [
            fc.tuple(cache, fc.integer({ min: 1, max: 6 })).map((x) => new Alloc(...x)),
            fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 60 })).map((x) => new Alloc(...x)),
            // Slabs of more than one bitmap word, filled and nearly filled.
            fc.tuple(fc.integer({ min: 6, max: 8 }), fc.constantFrom(32, 64, 63, 65, 128, 129, 260)).map((x) => new Alloc(...x)),
            fc.integer({ min: 1, max: 4200 }).map((x) => new AllocBytes(x)),
            fc.integer({ min: 1, max: 30_000 }).map((x) => new AllocBytes(x)),
            fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 4 })).map((x) => new Free(...x)),
            fc.tuple(fc.nat(1000), fc.integer({ min: 1, max: 40 })).map((x) => new Free(...x)),
            fc.tuple(fc.nat(1000), fc.constantFrom(60, 130, 300)).map((x) => new Free(...x)),
            fc.constant(new Reap()),
            fc.oneof(fc.integer(), fc.nat(40_000)).map((x) => new Wild(x)),
          ],
          { maxCommands: 150, size: '+2' },
        ),
        (limit, commands) => {
          const frames = makeFrames(limit);
          const heap = makeKernelHeap(frames, { maxSlabs: 1000 });
          const model: Model = { live: new Map() };
          fc.modelRun(() => ({ model, real: { heap, frames, limit } }), commands);
          for (const handle of model.live.keys()) heap.free(handle);
          heap.validate();
          heap.reap();
          expect(frames.out.size).toBe(0);
          expect([heap.liveBytes(), heap.heldBytes()]).toEqual([0, 0]);
          heap.validate();
        },
      ),
      { numRuns: 160 },
    );
    expect(executed).toBeGreaterThan(10_000);
  });

  it('packs as many objects into a frame as fit', () => {
    for (let cache = 0; cache < 17; cache++) {
      const frames = makeFrames(3);
      const heap = makeKernelHeap(frames);
      const per = Math.floor(4096 / SIZES[cache]!);
      const handles = new Set<number>();
      for (let i = 0; i < per * 3; i++) {
        handles.add(heap.alloc(cache));
        expect(frames.out.size).toBe(Math.floor(i / per) + 1);
      }
      expect([handles.size, handles.has(0), heap.alloc(cache)]).toEqual([per * 3, false, 0]);
      heap.validate();
    }
  });

  it('keeps one empty slab of each cache', () => {
    const frames = makeFrames(100);
    const heap = makeKernelHeap(frames);
    const handles = Array.from({ length: 10 * 23 }, () => heap.alloc(KernelCache.vma));
    expect(frames.out.size).toBe(10);
    for (const h of handles) heap.free(h);
    expect(frames.out.size).toBe(1);
    // One object comes and goes: no frame moves.
    for (let i = 0; i < 5; i++) heap.free(heap.alloc(KernelCache.vma));
    expect(frames.out.size).toBe(1);
    heap.reap();
    expect(frames.out.size).toBe(0);
  });

  it('fills partial slabs before it takes frames', () => {
    const frames = makeFrames(100);
    const heap = makeKernelHeap(frames);
    const handles = Array.from({ length: 10 * 23 }, () => heap.alloc(KernelCache.vma));
    for (let i = 0; i < handles.length; i += 2) heap.free(handles[i]!);
    for (let i = 0; i < handles.length; i += 2) heap.alloc(KernelCache.vma);
    expect(frames.out.size).toBe(10);
    heap.validate();
  });

  it('takes kmalloc classes as Linux rounds them, and counts what was asked for', () => {
    const heap = makeKernelHeap(makeFrames(1000));
    const rounds: [number, string][] = [
      [1, 'kmalloc-8'], [8, 'kmalloc-8'], [9, 'kmalloc-16'], [33, 'kmalloc-64'], [65, 'kmalloc-96'], [96, 'kmalloc-96'], [97, 'kmalloc-128'],
      [129, 'kmalloc-192'], [192, 'kmalloc-192'], [193, 'kmalloc-256'], [257, 'kmalloc-512'], [2049, 'kmalloc-4096'], [4096, 'kmalloc-4096'],
    ]; // prettier-ignore
    for (const [bytes, name] of rounds) {
      const live = (): number => heap.caches().find((c) => c.name === name)!.live;
      const before = live();
      const asked = heap.liveBytes();
      heap.allocBytes(bytes);
      expect([live() - before, heap.liveBytes() - asked]).toEqual([1, bytes]);
    }
    for (let bytes = 1; bytes <= 4096; bytes++) {
      const h = heap.allocBytes(bytes);
      const asked = heap.liveBytes();
      heap.free(h);
      expect(asked - heap.liveBytes()).toBe(bytes);
    }
  });

  it('gives large blocks whole frames, all or none', () => {
    const frames = makeFrames(10);
    const heap = makeKernelHeap(frames);
    const a = heap.allocBytes(4097);
    expect(frames.out.size).toBe(2);
    expect(heap.allocBytes(9 * 4096)).toBe(0);
    expect(frames.out.size).toBe(2);
    const b = heap.allocBytes(8 * 4096);
    expect([b > 0, frames.out.size, heap.liveBytes()]).toEqual([true, 10, 4097 + 8 * 4096]);
    heap.free(a);
    heap.free(b);
    expect(() => heap.free(b)).toThrow(/not allocated/);
    expect([frames.out.size, heap.liveBytes()]).toEqual([0, 0]);
  });

  it('refuses what no kmalloc serves, and gives the smallest object for nothing', () => {
    const frames = makeFrames(2000);
    const heap = makeKernelHeap(frames);
    for (const bytes of [4 * 2 ** 20 + 1, 2 ** 50, Infinity]) expect([heap.allocBytes(bytes), frames.out.size]).toEqual([0, 0]);
    const largest = heap.allocBytes(4 * 2 ** 20);
    expect(frames.out.size).toBe(1024);
    heap.free(largest);
    const none = heap.allocBytes(0);
    expect([heap.liveBytes(), heap.caches().find((c) => c.name === 'kmalloc-8')!.live]).toEqual([0, 1]);
    heap.free(none);
    heap.reap();
    expect([heap.liveBytes(), frames.out.size]).toEqual([0, 0]);
    expect(() => makeKernelHeap(frames, { maxSlabs: 2 ** 22 })).toThrow(/maxSlabs/);
  });

  it('stands a frame source that frees and allocates while it is asked', () => {
    const frames = makeFrames(6);
    const victims: number[] = [];
    let hold: (() => void) | null = null;
    const heap: KernelHeap = makeKernelHeap({
      take(): number {
        const f = frames.take();
        if (f >= 0 || hold === null) return f;
        const act = hold;
        hold = null;
        act();
        return frames.take();
      },
      give: frames.give,
    });
    for (let i = 0; i < 6 * 4; i++) victims.push(heap.alloc(KernelCache.space));
    hold = (): void => {
      for (let i = 0; i < 12; i++) heap.free(victims.pop()!);
      victims.push(heap.alloc(KernelCache.space));
    };
    victims.push(heap.alloc(KernelCache.space));
    expect(victims.includes(0)).toBe(false);
    expect(new Set(victims).size).toBe(14);
    heap.validate();
    for (const h of victims) heap.free(h);
    heap.validate();
    heap.reap();
    expect(frames.out.size).toBe(0);
  });

  it('names its limit', () => {
    const frames = makeFrames(10);
    const heap = makeKernelHeap(frames, { maxSlabs: 2 });
    heap.allocBytes(4096);
    heap.allocBytes(4096);
    expect(() => heap.allocBytes(4096)).toThrow(/kernel heap holds 2 frames/);
    expect(frames.out.size).toBe(2);
  });
});
