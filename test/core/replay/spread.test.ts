/** Several CPUs: which one an event runs on, and what their caches and the PMM make of it. */
import { describe, expect, it } from 'vitest';
import { resolveSpread } from '../../../core/replay/spread.js';
import { Flag, Op } from '../../../traces/event.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { replayed, traceOf, type Circumstances } from './verifying.js';

const PAGE = 4096;
const BASE = 0x10000000;

/** Two threads of one process that write pages of their own, and in the end each unmaps what the other one wrote. */
function threads(cpuOfSecond: number): Fields[] {
  const events: Fields[] = [
    { op: Op.mmap, pid: 1, tid: 1, addr: BASE, size: 64 * PAGE, flags: Flag.r | Flag.w },
    { op: Op.mmap, pid: 1, tid: 1, addr: 2 * BASE, size: 64 * PAGE, flags: Flag.r | Flag.w },
    { op: Op.thread, pid: 1, tid: 1, arg: 2 },
  ];
  for (let page = 0; page < 64; page++) {
    events.push({ op: Op.write, pid: 1, tid: 1, addr: BASE + page * PAGE, size: 1 });
    events.push({ op: Op.write, pid: 1, tid: 2, addr: 2 * BASE + page * PAGE, size: 1, cpu: cpuOfSecond });
  }
  events.push({ op: Op.munmap, pid: 1, tid: 1, addr: 2 * BASE, size: 64 * PAGE });
  events.push({ op: Op.munmap, pid: 1, tid: 2, addr: BASE, size: 64 * PAGE, cpu: cpuOfSecond });
  return events;
}

const cpus = (list: readonly Fields[], spec: Circumstances['spec']) => replayed(list, { spec: { verify: false, ...spec } });

describe('which CPU an event runs on', () => {
  it('is the recorded one where the trace names any, otherwise one a thread', () => {
    expect(resolveSpread('auto', 2, traceOf(threads(1)))).toBe('recorded');
    expect(resolveSpread('auto', 2, traceOf(threads(0)))).toBe('threads');
    expect(resolveSpread('threads', 2, traceOf(threads(1)))).toBe('threads');
    expect(resolveSpread('recorded', 2, traceOf(threads(0)))).toBe('recorded');
  });

  it('is the same by either rule where each thread kept to a CPU', () => {
    const { config: a, ...recorded } = cpus(threads(1), { cpus: 2 });
    const { config: b, ...spread } = cpus(threads(0), { cpus: 2 });
    expect([a.spread, b.spread]).toEqual(['recorded', 'threads']);
    expect(recorded.cpus).toEqual(spread.cpus);
    expect(recorded.metrics).toEqual(spread.metrics);
  });

  it('is modulo the number of CPUs', () => {
    expect(cpus(threads(5), { cpus: 2 }).cpus).toEqual(cpus(threads(1), { cpus: 2 }).cpus);
  });
});

describe('several CPUs', () => {
  it('count who gives back what another took', () => {
    const { cpus: rows, metrics } = cpus(threads(1), { cpus: 2, kernelHeap: false });
    expect(rows.map(({ cpu, remote_frees }) => [cpu, remote_frees])).toEqual([
      // CPU 0 unmaps the 64 pages that CPU 1 wrote, and the one table that CPU 1 needed for them.
      [0, 65],
      // CPU 1 unmaps the 64 that CPU 0 wrote, and whatever else the process still had of CPU 0 when it ended.
      [1, rows[1]?.remote_frees],
    ]);
    expect(rows[1]?.remote_frees).toBeGreaterThanOrEqual(64);
    const sum = (key: 'allocations' | 'frees' | 'remote_frees' | 'shared_uses' | 'hand_overs'): number => rows.reduce((total, row) => total + row[key], 0);
    expect(metrics).toMatchObject({
      pmm_allocs_count: sum('allocations'),
      pmm_frees_count: sum('frees'),
      remote_frees_count: sum('remote_frees'),
      pmm_shared_uses_count: sum('shared_uses'),
      pmm_hand_overs_count: sum('hand_overs'),
    });
    // One lock, and the threads take turns.
    expect(sum('shared_uses')).toBe(sum('allocations') + sum('frees'));
    expect(sum('hand_overs')).toBeGreaterThanOrEqual(127);
  });

  it('use no other frames than one CPU does, but look pages up in caches of their own', () => {
    const one = cpus(threads(1), {});
    const two = cpus(threads(1), { cpus: 2 });
    for (const name of ['frames_peak', 'user_frames_peak', 'table_frames_peak', 'minor_faults_count', 'frames_end'])
      expect(two.metrics[name]).toBe(one.metrics[name]);
    expect(two.metrics['walk_refs']).toBeGreaterThan(one.metrics['walk_refs'] ?? Infinity);
  });

  it('say nothing of a single one', () => {
    const { cpus: rows, metrics, absent } = cpus(threads(1), {});
    expect(rows).toEqual([]);
    expect([metrics['remote_frees_count'], metrics['pmm_shared_uses_count'], metrics['pmm_hand_overs_count']]).toEqual([null, null, null]);
    expect(absent['remote_frees_count']).toContain('--cpus');
  });
});
