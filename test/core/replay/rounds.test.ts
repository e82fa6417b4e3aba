/** `--age` and `--repeat` on recordings of real programs: what a program needs does not depend on either, everything comes back, and each round says what it found. */
import { describe, expect, it } from 'vitest';
import { lookupConfig } from '../../../core/lookup/configs.js';
import type { Ageing } from '../../../core/pmm/ageing/ageing.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { runCell, type CellSpec } from '../../../core/replay/cell.js';
import type { CellResult } from '../../../core/replay/result.js';
import { Op } from '../../../traces/event.js';
import { openFwt } from '../../../traces/fwt.js';
import { replayed } from './verifying.js';

const AGED: Ageing = { kind: 'drawn', seed: 9, utilisation: 0.5, churn: 2, label: '9:0.5:2', hash: '' };

function run(recording: string, spec: Partial<CellSpec> & Pick<CellSpec, 'pmm'>): CellResult {
  const trace = openFwt(new URL(`../../../traces/recordings/${recording}.fwt`, import.meta.url).pathname, recording);
  const machine = { map: memoryMapFromSize(128 * 2 ** 20), onOom: 'fail', cpus: 1, seed: 1, pids: [], window: null, audit: 0, samplePoints: 24 } as const;
  const how = { arch: 'x86-64', heap: 'recorded', policy: 'linux', touch: 'auto', tlb: lookupConfig('default'), kernelHeap: true } as const;
  try {
    return runCell(trace, { ...how, ...machine, ...spec });
  } finally {
    trace.close();
  }
}

/** What placement has no part in. */
const NEEDS = ['minor_faults_count', 'major_faults_count', 'cow_breaks_count', 'copied_frames_count', 'lookups_count', 'events_rejected_count'] as const;
const PEAKS = ['frames_start', 'frames_peak', 'user_frames_peak', 'table_frames_peak', 'kernel_frames_peak', 'processes_peak_count'] as const;
const read = (cell: CellResult, names: readonly string[]): (number | null)[] => names.map((name) => cell.metrics[name]!);

describe.each(pmms.names())('on %s', (pmm) => {
  it('a program needs the same in an aged memory, and all of it comes back', () => {
    const [fresh, aged] = [run('shm', { pmm }), run('shm', { pmm, age: AGED, audit: 4000 })];
    expect(read(aged, [...NEEDS, ...PEAKS, 'pmm_allocs_count', 'pmm_frees_count'])).toEqual(
      read(fresh, [...NEEDS, ...PEAKS, 'pmm_allocs_count', 'pmm_frees_count']),
    );
    expect(aged.metrics['frames_end']).toBe(aged.metrics['frames_start']);
    expect(fresh.metrics['aged_frames']).toBeNull();
    expect(aged.metrics['aged_frames']).toBeGreaterThan(16384 - 8);
    expect(aged.metrics['aged_frames']).toBeLessThanOrEqual(16384);
    expect(aged.config).toMatchObject({ age: '9:0.5:2', repeat: 1 });
    expect(aged.rounds).toEqual([]);
  });
});

describe('aged memory', () => {
  it('is in the picture, in blame and in the timeline, apart from what the trace uses', () => {
    const { pictures, blame, timeline, metrics } = run('madv', { pmm: 'buddy', age: AGED });
    const uses = 10;
    const held = (use: number): number => pictures.end.pieces.reduce((sum, n, i) => sum + (i % uses === use ? n : 0), 0);
    expect(held(8) + held(9)).toBe(metrics['aged_frames']);
    expect(held(9)).toBeGreaterThan(0);
    const column = timeline.columns.indexOf('aged_frames');
    expect(timeline.rows.every((row) => row[column] === metrics['aged_frames'])).toBe(true);
    const kinds = blame.end.kinds.map(({ kind, movable }) => [kind, movable]);
    expect(kinds).toEqual(
      expect.arrayContaining([
        ['aged', true],
        ['aged_pinned', false],
      ]),
    );
    expect(blame.end.rows.filter(({ kind }) => kind === 'aged')).toMatchObject([{ pid: null, mapping: 'aged memory', first_event: -1 }]);
  });

  it('is worn by each strategy in its own way: fewer whole blocks than the free memory could make', () => {
    const map = memoryMapFromSize(512 * 2 ** 20);
    const whole = Object.fromEntries(['random', 'bitmap', 'buddy'].map((pmm) => [pmm, run('madv', { pmm, age: AGED, map }).metrics['free_huge_score']!]));
    expect(whole['random']).toBeLessThan(0.1);
    expect(whole['buddy']).toBeGreaterThan(whole['random']!);
    expect(run('madv', { pmm: 'buddy', map }).metrics['free_huge_score']).toBeGreaterThan(0.9);
  });
});

describe('rounds', () => {
  it.each(['gcc', 'shm', 'pyfork', 'threads', 'perl-heap', 'advise'])('of %s need each what one needs, and begin with the page cache alone', (recording) => {
    // A third of the sample points, as those of all rounds are shared out.
    const one = run(recording, { pmm: 'buddy', samplePoints: 24 });
    const three = run(recording, { pmm: 'buddy', repeat: 3, samplePoints: 72 });
    expect(three.metrics['events_count']).toBe(3 * one.metrics['events_count']!);
    expect(three.metrics['lookups_count']).toBe(3 * one.metrics['lookups_count']!);
    const faults = [three, one].map(({ metrics }) => metrics['minor_faults_count']!);
    // Shared memory that nobody removed is there in the next round: faults around a page map what they find of it.
    if (recording === 'shm') expect(faults[0]).toBeLessThan(3 * faults[1]!);
    else expect(faults[0]).toBe(faults[1] === null ? null : 3 * faults[1]!);
    expect(three.metrics['cow_breaks_count']).toBe(one.metrics['cow_breaks_count'] === null ? null : 3 * one.metrics['cow_breaks_count']!);
    expect(three.metrics['frames_end']).toBe(three.metrics['frames_start']);
    expect(three.sampleSummary).toEqual(one.sampleSummary);
    const { rounds } = three;
    expect(rounds.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(rounds[0]).toMatchObject({ frames_start: one.metrics['frames_start'], frames_peak: one.metrics['frames_peak'] });
    expect([rounds[1]!.frames_start, rounds[2]!.frames_start]).toEqual([rounds[0]!.frames_end, rounds[1]!.frames_end]);
    // The cache of the first round serves the others: nothing grows.
    expect(rounds[2]!.frames_end).toBe(rounds[1]!.frames_end);
    expect(rounds[2]!.frames_peak).toBe(rounds[1]!.frames_peak);
    expect(three.metrics['frames_peak']).toBe(Math.max(...rounds.map((row) => row.frames_peak)));
  });

  it('keep the whole state sound, in aged memory and with several CPUs', () => {
    const { metrics, rounds, cpus } = run('gcc', { pmm: 'buddy-pcp', cpus: 3, age: AGED, repeat: 3, audit: 5000 });
    expect(rounds).toHaveLength(3);
    expect(cpus.reduce((sum, row) => sum + row.allocations, 0)).toBe(metrics['pmm_allocs_count']);
    expect(cpus.reduce((sum, row) => sum + row.frees, 0)).toBe(metrics['pmm_frees_count']);
    expect(metrics['frames_end']).toBe(metrics['frames_start']);
    expect(metrics['alloc_failures_count']).toBe(0);
  });

  it('count what the trace asks for and nothing of what lives on between them', () => {
    const page = (op: Op, addr: number) => ({ op, pid: 7, addr, arg: 0 });
    const events = [page(Op.page_alloc, 1), page(Op.page_alloc, 2), page(Op.page_free, 1), page(Op.page_free, 9)];
    const { metrics, rounds } = replayed(events, { spec: { verify: false, pmm: 'free-stack', repeat: 4, age: AGED } });
    // Each round frees two, and what is left at its end is given back as well.
    expect([metrics['pmm_allocs_count'], metrics['pmm_frees_count']]).toEqual([8, 12]);
    expect(rounds.map((row) => row.pmm_steps_per_op)).toEqual([1, 1, 1, 1]);
    expect(metrics['pmm_steps_per_op']).toBe(1);
  });

  it('replay a window of each round', () => {
    const whole = run('shm', { pmm: 'buddy', window: [0, 40] });
    const twice = run('shm', { pmm: 'buddy', window: [0, 40], repeat: 2 });
    expect(twice.metrics['events_count']).toBe(2 * whole.metrics['events_count']!);
  });

  it('end where memory runs out with --on-oom stop', () => {
    const { oom, rounds } = run('gcc', { pmm: 'buddy', repeat: 3, onOom: 'stop', map: memoryMapFromSize(8 * 2 ** 20) });
    expect(oom).toContain('out of frames');
    expect(rounds).toHaveLength(1);
  });
});
