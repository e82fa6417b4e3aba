/**
 * Recordings of a page allocator replayed over every strategy, against a Set of the recorded frames that are in use: frames before, at most and after are what the Set
 * says, whatever blocks are given back in parts, joined, unseen or of the time before.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lookupConfig } from '../../../core/lookup/configs.js';
import type { Ageing } from '../../../core/pmm/ageing/ageing.js';
import { pmms } from '../../../core/pmm/registry.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { runCell } from '../../../core/replay/cell.js';
import { FrameSet } from '../../../core/replay/frame-set.js';
import { earlierBlocks } from '../../../core/replay/page-blocks.js';
import { Flag, Op } from '../../../traces/event.js';
import { openFwt } from '../../../traces/fwt.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { replayed, traceOf } from './verifying.js';

/** Recorded frames: 0 to 1023. */
const FRAMES = 1024;

interface Choice {
  readonly free: boolean;
  readonly order: number;
  readonly place: number;
  readonly type: number;
}

const choice: fc.Arbitrary<Choice> = fc.record({
  free: fc.boolean(),
  order: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(5) }),
  place: fc.nat(FRAMES - 1),
  type: fc.constantFrom(Flag.movable, Flag.unmovable, Flag.reclaimable),
});

/** Aged so that a strategy has something to do: blocks of several frames may not be had then, which only some of these stories ask for. */
const AGED: Ageing = { kind: 'drawn', seed: 3, utilisation: 0.5, churn: 2, label: '3:0.5:2', hash: '' };

interface Story {
  readonly events: readonly Fields[];
  /** Frames in use: before, at most, after. */
  readonly before: number;
  readonly most: number;
  readonly after: number;
}

/** What a kernel could have done: frees blocks all of which are in use (or of which nothing is known yet), allocates blocks none of which is. */
function story(choices: readonly Choice[], maxOrder: number): Story {
  const live = new Set<number>();
  const known = new Set<number>();
  const earlier = new Set<number>();
  const events: Fields[] = [];
  for (const { free, order: wished, place, type } of choices) {
    const order = Math.min(wished, maxOrder);
    const first = place - (place % 2 ** order);
    const frames = Array.from({ length: 2 ** order }, (_, i) => first + i);
    if (free) {
      const isLive = frames.every((f) => live.has(f));
      if (!isLive && frames.some((f) => known.has(f))) continue;
      if (!isLive) for (const f of frames) earlier.add(f);
      events.push({ op: Op.page_free, pid: 7, addr: first, arg: order });
      for (const f of frames) live.delete(f);
    } else {
      if (frames.some((f) => live.has(f))) continue;
      events.push({ op: Op.page_alloc, pid: 7, addr: first, arg: order, flags: type });
      for (const f of frames) live.add(f);
    }
    for (const f of frames) known.add(f);
  }
  const now = new Set(earlier);
  let most = now.size;
  for (const { op, addr = 0, arg = 0 } of events) {
    for (let f = addr; f < addr + 2 ** arg; f++) {
      if (op === Op.page_free) now.delete(f);
      else now.add(f);
    }
    most = Math.max(most, now.size);
  }
  return { events, before: earlier.size, most, after: now.size };
}

const base = replayed([{ op: Op.kfree, addr: 0 }], { spec: { verify: false } }).metrics['frames_start']!;

describe.each(pmms.names())('on %s', (pmm) => {
  const { maxOrder } = pmms.get(pmm).create({ map: memoryMapFromSize(64 * 2 ** 20), cpus: 1, seed: 1 });

  it('as many frames are in use as the recording says, and nothing is refused', () => {
    fc.assert(
      fc.property(fc.array(choice, { minLength: 1, maxLength: 240, size: 'max' }), (choices) => {
        const { events, before, most, after } = story(choices, maxOrder);
        if (events.length === 0) return;
        const { metrics, rejections, confidence } = replayed(events, { spec: { pmm, verify: false } });
        expect(rejections).toEqual([]);
        expect([metrics['frames_start']! - base, metrics['frames_peak']! - base, metrics['frames_end']! - base]).toEqual([before, most, after]);
        expect(metrics['alloc_failures_count']).toBe(0);
        expect(confidence.level).toBe('estimate');
      }),
      { seed: 4711, numRuns: 5 },
    );
  });

  it('and so they are in each of several rounds, in a fresh memory and in an aged one', () => {
    fc.assert(
      fc.property(fc.array(choice, { minLength: 1, maxLength: 160, size: 'max' }), fc.boolean(), (choices, fresh) => {
        const { events, before, most } = story(choices, fresh ? maxOrder : 0);
        if (events.length === 0) return;
        const { metrics, rejections, rounds } = replayed(events, { spec: { pmm, verify: false, repeat: 3, audit: 37, ...(fresh ? {} : { age: AGED }) } });
        expect(rejections).toEqual([]);
        expect(rounds.map((row) => [row.round, row.frames_start - base, row.frames_peak - base, row.frames_end - base])).toEqual(
          [1, 2, 3].map((round) => [round, before, most, 0]),
        );
        expect([metrics['frames_start']! - base, metrics['frames_peak']! - base, metrics['frames_end']! - base]).toEqual([before, most, 0]);
        expect(metrics['pmm_allocs_count']).toBe(3 * events.filter(({ op }) => op === Op.page_alloc).length);
        expect(metrics['alloc_failures_count']).toBe(0);
      }),
      { seed: 4712, numRuns: 5 },
    );
  });
});

describe('frames that no kernel could have handed out', () => {
  const wild = fc.record({ free: fc.boolean(), order: fc.nat(4), place: fc.nat(24), type: fc.constantFrom(Flag.movable, Flag.unmovable) });

  it('blocks that reach into each other, aligned or not: none is lost, and all come back at the end of a round', () => {
    fc.assert(
      fc.property(fc.array(wild, { minLength: 1, maxLength: 60, size: 'max' }), fc.constantFrom('buddy', 'free-stack', 'bitmap'), (choices, pmm) => {
        const events = choices.map(
          ({ free, order, place, type }): Fields => ({ op: free ? Op.page_free : Op.page_alloc, pid: 7, addr: place, arg: order, flags: type }),
        );
        const { metrics, rounds } = replayed(events, { spec: { pmm, verify: false, repeat: 2, audit: 1 } });
        expect(rounds.map((row) => row.frames_end - base)).toEqual([0, 0]);
        expect(metrics['frames_end']! - base).toBe(0);
      }),
      { seed: 4713, numRuns: 60 },
    );
  });

  it('a set of frames is what a Set is', () => {
    const range = fc.record({ add: fc.boolean(), frame: fc.oneof(fc.nat(200), fc.constant(2 ** 40 - 3)), order: fc.nat(7) });
    fc.assert(
      fc.property(fc.array(range, { maxLength: 40 }), range, (steps, { frame, order }) => {
        const [set, model] = [new FrameSet(), new Set<number>()];
        for (const step of steps) {
          if (step.add) set.add(step.frame, step.order);
          else set.delete(step.frame, step.order);
          for (let f = step.frame; f < step.frame + 2 ** step.order; f++) {
            if (step.add) model.add(f);
            else model.delete(f);
          }
        }
        expect(set.hasAny(frame, order)).toBe(Array.from({ length: 2 ** order }, (_, i) => frame + i).some((f) => model.has(f)));
      }),
      { seed: 4714, numRuns: 300 },
    );
  });
});

describe('a recording of a page allocator', () => {
  const alloc = (addr: number, arg = 0): Fields => ({ op: Op.page_alloc, pid: 7, addr, arg, flags: Flag.movable });
  const free = (addr: number, arg = 0): Fields => ({ op: Op.page_free, pid: 7, addr, arg });
  const run = (events: readonly Fields[], pmm = 'buddy') => replayed(events, { spec: { pmm, verify: false } });

  it('tells what was in use before it began: what it frees and did not allocate', () => {
    expect(earlierBlocks(traceOf([alloc(5), free(9), free(5), free(2, 1), alloc(9), free(9)]))).toEqual([
      { frame: 2, order: 1 },
      { frame: 9, order: 0 },
    ]);
    expect(earlierBlocks(traceOf([{ op: Op.kfree, addr: 0 }]))).toBeNull();
  });

  it('counts the requests that are recorded alone', () => {
    const { metrics } = run([alloc(5), free(9), free(5)]);
    expect([metrics['pmm_allocs_count'], metrics['pmm_frees_count']]).toEqual([1, 2]);
  });

  it('frees what is handed out again, as its free was lost, and refuses a second free', () => {
    const { metrics, rejections } = run([alloc(5), alloc(5), free(5), free(5)]);
    expect([metrics['pmm_allocs_count'], metrics['pmm_frees_count']]).toEqual([2, 2]);
    expect(rejections.map(({ cause, count }) => [cause, count])).toEqual([['page_free of frames that no page_alloc gave', 1]]);
  });

  it('counts what a strategy without blocks of that order cannot serve, and takes what was in use before frame by frame', () => {
    const { metrics, rejections } = run([alloc(8, 3), free(8, 3), free(16, 3)], 'free-stack');
    expect(metrics['alloc_failures_count']).toBe(1);
    expect(metrics['frames_start']! - base).toBe(8);
    expect(metrics['frames_end']! - base).toBe(0);
    expect(rejections.map(({ count }) => count)).toEqual([1]);
  });

  it('that needs more than there is says how much', () => {
    const frees = Array.from({ length: 40 }, (_, i) => free(i * 1024, 10));
    expect(() => run(frees)).toThrow(
      'what it frees was in use before it began, 40960 frames (160 MiB): that does not fit into 16384 frames; give more --memory',
    );
  });
});

describe('the bundled recording of a build', () => {
  const path = new URL('../../../traces/recordings/pages/build.fwt', import.meta.url).pathname;
  const options = { arch: 'x86-64', heap: 'recorded', policy: 'linux', touch: 'auto', tlb: lookupConfig('default'), kernelHeap: true } as const;
  const machine = { map: memoryMapFromSize(512 * 2 ** 20), onOom: 'fail', cpus: 2, seed: 1, pids: [], window: null, audit: 0, samplePoints: 8 } as const;

  it.each(pmms.names())('is served by %s, to the same numbers of frames', (pmm) => {
    const trace = openFwt(path, 'build');
    try {
      const { metrics, absent, confidence, processes, cpus } = runCell(trace, { ...options, ...machine, pmm });
      expect(confidence.level).toBe('estimate');
      expect(processes).toEqual([]);
      expect([metrics['minor_faults_count'], metrics['tlb_miss_ratio']]).toEqual([null, null]);
      expect(absent['minor_faults_count']).toBeDefined();
      expect(cpus.every(({ allocations }) => allocations > 1000)).toBe(true);
      // Strategies without blocks of several frames, or that have broken them all, refuse some.
      if (metrics['alloc_failures_count'] !== 0) {
        expect(['free-stack', 'random']).toContain(pmm);
        return;
      }
      expect([metrics['frames_peak']! - metrics['frames_start']!, metrics['frames_end']! - metrics['frames_start']!]).toEqual([8541, 1005]);
    } finally {
      trace.close();
    }
  });
});
