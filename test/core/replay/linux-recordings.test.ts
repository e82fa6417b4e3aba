/** Recordings of Linux 6.18 replayed under the linux policy: what it predicts is what the kernel said, sample by sample; and what each important rule is worth. */
import { describe, expect, it } from 'vitest';
import { lookupConfig } from '../../../core/lookup/configs.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { runCell } from '../../../core/replay/cell.js';
import type { CellSpec } from '../../../core/replay/cell.js';
import { openTrace } from '../../../traces/index.js';

const FIXTURES = new URL('../../fixtures/recordings/', import.meta.url).pathname;
const BUNDLED = new URL('../../../traces/recordings/', import.meta.url).pathname;

/** [exact, samples] by quantity, and what is left of frames at the end. */
async function replay(
  file: string,
  change: Partial<CellSpec> = {},
): Promise<{ exact: Record<string, number[]>; left: number; rejected: number; breaks: number }> {
  const trace = await openTrace(file);
  try {
    const { sampleSummary, metrics, rejections } = runCell(trace, {
      arch: 'x86-64',
      pmm: 'buddy',
      heap: 'recorded',
      policy: 'linux',
      touch: 'auto',
      tlb: lookupConfig('default'),
      map: memoryMapFromSize(512 * 2 ** 20),
      kernelHeap: true,
      onOom: 'kill',
      cpus: 1,
      seed: 1,
      pids: [],
      window: null,
      audit: 5000,
      samplePoints: 8,
      ...change,
    });
    const exact = Object.fromEntries(sampleSummary.map((one) => [one.quantity, [one.exact, one.samples]]));
    return { exact, left: metrics['frames_end']! - metrics['frames_start']!, rejected: rejections.length, breaks: metrics['cow_breaks_count']! };
  } finally {
    trace.close();
  }
}

const all = (samples: number): number[] => [samples, samples];
const everything = (samples: number, change: Record<string, number[]> = {}): Record<string, number[]> => ({
  vm_size_kb: all(samples),
  vm_pte_kb: all(samples),
  rss_anon_kb: all(samples),
  rss_file_kb: all(samples),
  rss_shmem_kb: all(samples),
  threads: all(samples),
  ...change,
});

/** Samples, and where the truth has known limits: cc1's page cache was cold, khugepaged collapsed a range. */
const EXACT = [
  [`${FIXTURES}gcc/events.perf.txt.gz`, 'gcc', everything(1185, { rss_file_kb: [346, 1185] })],
  [`${FIXTURES}pyfork/events.perf.txt.gz`, 'pyfork', everything(1265)],
  [`${FIXTURES}shm/events.perf.txt.gz`, 'shm', everything(57)],
  [`${BUNDLED}bash.fwt`, 'bash', everything(5164, { rss_file_kb: [5142, 5164] })],
  [`${BUNDLED}madv.fwt`, 'madv', everything(339, { rss_anon_kb: [67, 339] })],
  [`${BUNDLED}advise.fwt`, 'advise', everything(697, { minor_faults: all(697) })],
  // The others are racy.
  [`${BUNDLED}threads.fwt`, 'threads', Object.fromEntries([...Object.keys(everything(0)), 'minor_faults'].map((quantity) => [quantity, [724, 822]]))],
] as const;

describe('predicted is measured', () => {
  it.each(EXACT)(
    '%s',
    async (file, _name, expected) => {
      const { exact, left, rejected } = await replay(file);
      expect(exact).toEqual(expected);
      expect([left, rejected]).toEqual([0, 0]);
    },
    60_000,
  );

  it.each(pmms.names().filter((name) => name !== 'buddy'))(
    'nor does it depend on the PMM: %s',
    async (pmm) => {
      // Without blocks of 2 MiB there are no huge pages: madv is another program then.
      const { exact, left } = await replay(`${BUNDLED}pyfork.fwt`, { pmm });
      expect(exact).toEqual(everything(1265));
      expect(left).toBe(0);
      const threads = await replay(`${BUNDLED}threads.fwt`, { pmm });
      expect(new Set(Object.values(threads.exact).map(([judged]) => judged))).toEqual(new Set([724]));
    },
    60_000,
  );
});

describe('what a rule is worth: samples that are exact without it', () => {
  const pyfork = `${BUNDLED}pyfork.fwt`;
  const shm = `${BUNDLED}shm.fwt`;
  const madv = `${BUNDLED}madv.fwt`;
  it.each([
    ['free-tables', madv, 'vm_pte_kb', 339],
    ['pt-reclaim', madv, 'vm_pte_kb', 339],
    ['huge-deposit', madv, 'vm_pte_kb', 339],
    ['lazy-fork', pyfork, 'vm_pte_kb', 1265],
    ['exec-args', pyfork, 'rss_anon_kb', 1265],
    ['zero-page', pyfork, 'rss_anon_kb', 1265],
    ['merge-accounted', pyfork, 'rss_file_kb', 1265],
    ['fault-around', pyfork, 'rss_file_kb', 1265],
    ['shmem-around', shm, 'rss_shmem_kb', 57],
  ] as const)(
    '%s',
    async (rule, file, quantity, samples) => {
      const { exact } = await replay(file, { without: [rule], audit: 0 });
      expect(exact[quantity]![1]).toBe(samples);
      expect(exact[quantity]![0]).toBeLessThan(samples);
    },
    60_000,
  );
});
