/** The bundled recordings replayed on every PMM: what was taken is given back, and a second run says the same. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lookupConfig } from '../../../core/lookup/configs.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { runCell } from '../../../core/replay/cell.js';
import type { CellSpec } from '../../../core/replay/cell.js';
import type { CellResult } from '../../../core/replay/result.js';
import { openFwt } from '../../../traces/fwt.js';

const BUNDLED = new URL('../../../traces/recordings/', import.meta.url).pathname;
const files = readdirSync(BUNDLED).filter((file) => file.endsWith('.fwt'));
const MEMORY = 512 * 2 ** 20;

function replay(file: string, change: Partial<CellSpec>): CellResult {
  const trace = openFwt(BUNDLED + file, file);
  try {
    return runCell(trace, {
      arch: 'x86-64',
      pmm: 'buddy',
      heap: 'recorded',
      policy: 'plain',
      without: [],
      touch: 'auto',
      tlb: lookupConfig('default'),
      map: memoryMapFromSize(MEMORY),
      kernelHeap: true,
      onOom: 'kill',
      cpus: 1,
      seed: 1,
      pids: [],
      window: null,
      audit: 0,
      samplePoints: 8,
      ...change,
    });
  } finally {
    trace.close();
  }
}

/** Everything but the clock. */
function deterministic(result: CellResult): Omit<CellResult, 'timing'> {
  const { timing, ...rest } = result;
  expect(timing.wall_s).toBeGreaterThan(0);
  return rest;
}

describe.each(files)('%s', (file) => {
  /** Every access takes its time: one PMM is enough there. */
  const others = file === 'sort-every-access.fwt' ? [] : pmms.names().filter((name) => name !== 'buddy');

  it('all processes end, nothing is left then, and a second run with audits in between says the same', () => {
    const result = replay(file, {});
    const { metrics } = result;
    expect(result.oom).toBeNull();
    expect(result.rejections).toEqual([]);
    expect(metrics['frames_peak']).toBeGreaterThan(metrics['frames_start']!);
    expect(metrics['frames_end']).toBe(metrics['frames_start']);
    expect(deterministic(replay(file, { audit: Math.ceil(metrics['events_count']! / 3) }))).toEqual(deterministic(result));
  });

  it.each(others.length === 0 ? [] : ['buddy', 'buddy-pcp', 'llfree'])('uses the same frames on three CPUs, and each operation has one, on %s', (pmm) => {
    const one = replay(file, { pmm });
    const three = replay(file, { pmm, cpus: 3 });
    for (const name of ['frames_peak', 'user_frames_peak', 'table_frames_peak', 'frames_end', 'minor_faults_count', 'pmm_allocs_count'])
      expect([name, three.metrics[name]]).toEqual([name, one.metrics[name]]);
    expect(three.cpus.reduce((sum, row) => sum + row.allocations, 0)).toBe(three.metrics['pmm_allocs_count']);
    expect(three.cpus.reduce((sum, row) => sum + row.frees, 0)).toBe(three.metrics['pmm_frees_count']);
    expect(three.rejections).toEqual(one.rejections);
  });

  it.each(others)('nothing is left on %s', (pmm) => {
    const { metrics, oom } = replay(file, { pmm });
    expect(oom).toBeNull();
    expect(metrics['frames_end']).toBe(metrics['frames_start']);
  });
});

it('pyfork: VmSize is exact in every sample', () => {
  const { sampleSummary } = replay('pyfork.fwt', {});
  const size = sampleSummary.find(({ quantity }) => quantity === 'vm_size_kb');
  expect(size?.samples).toBeGreaterThan(10);
  expect(size).toMatchObject({ exact: size?.samples, max_error: 0 });
});
