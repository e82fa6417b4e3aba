/** A miss is put down to the recording only where the recording shows the cause, and only as far as the cause reaches. */
import { describe, expect, it } from 'vitest';
import { judgeQuantities, overallVerdict, recordingLimits } from '../../../core/replay/limits.js';
import type { ProcessSamples, QuantityCheck, Verdict } from '../../../core/replay/result.js';
import type { Evidence } from '../../../core/replay/verify-watch.js';
import { emptyHeader } from '../../../traces/format.js';

const MIB = 2 ** 20;
const nothing: Evidence = { fileJumps: () => 0, advisedHuge: () => 0, pageCacheFollowed: false, adviceSeen: () => false, durationNs: 1e9, highestAddress: 0 };
const header = (kernel: Record<string, string> = {}): ReturnType<typeof emptyHeader> => ({ ...emptyHeader('perf'), kernel });
const misses = (quantity: string, lowest_error: number, highest_error: number, pid = 1): ProcessSamples => ({
  pid,
  command: '',
  quantity,
  samples: 10,
  racy: 1,
  exact: 4,
  lowest_error,
  highest_error,
});

describe('rss_anon_kb', () => {
  const advised: Evidence = { ...nothing, advisedHuge: (pid) => (pid === 1 ? 4 * MIB : 0) };
  it('is limited where khugepaged may have filled what was advised', () => {
    expect(recordingLimits(header({ thp: 'madvise' }), [misses('rss_anon_kb', -512, 0)], advised)).toMatchObject([
      { quantity: 'rss_anon_kb', pids: [1], samples: 5, reason: expect.stringContaining('khugepaged') as unknown },
    ]);
  });
  it.each([
    ['too few pages', misses('rss_anon_kb', -512, 4), advised, {}],
    ['more than was advised', misses('rss_anon_kb', -2 * 2044 - 4, 0), advised, {}],
    ['another process', misses('rss_anon_kb', -512, 0, 2), advised, {}],
    ['no huge pages at all', misses('rss_anon_kb', -512, 0), advised, { thp: 'never' }],
    ['more than it does in the time', misses('rss_anon_kb', -8 * 2044 - 4, 0), { ...advised, advisedHuge: () => 1024 * MIB }, {}],
    ['another quantity', misses('vm_pte_kb', -8, 0), advised, {}],
  ])('is not with %s', (_, own, evidence, kernel) => {
    expect(recordingLimits(header(kernel), [own], evidence)).toEqual([]);
  });
});

it('rss_file_kb is limited where its error changes only with what fault-around maps, and the page cache is not followed', () => {
  const jumps: Evidence = { ...nothing, fileJumps: (pid) => (pid < 3 ? 0 : 1) };
  const processes = [1, 2, 3].map((pid) => misses('rss_file_kb', -4, 4, pid));
  expect(recordingLimits(header(), processes, jumps)).toMatchObject([{ quantity: 'rss_file_kb', pids: [1, 2], samples: 10 }]);
  expect(recordingLimits(header(), processes, { ...jumps, pageCacheFollowed: true })).toEqual([]);
});

it('RSS is limited on kernels that report it approximately', () => {
  const processes = [misses('rss_anon_kb', -4, 4), misses('vm_size_kb', -4, 4)];
  expect(recordingLimits(header({ release: '5.10.0' }), processes, nothing).map(({ quantity }) => quantity)).toEqual(['rss_anon_kb']);
  expect(recordingLimits(header({ release: '6.18' }), processes, nothing)).toEqual([]);
  expect(recordingLimits(header(), processes, nothing)).toEqual([]);
});

describe('verdicts', () => {
  const limit = { quantity: 'rss_file_kb', pids: [1], samples: 5, reason: '' };
  it.each<[string, number, number, number, Verdict]>([
    ['every sample', 9, 0, 9, 'exact'],
    ['all but racy ones', 9, 2, 7, 'exact'],
    ['all but explained ones', 9, 0, 4, 'limited'],
    ['one more is wrong', 9, 0, 3, 'differs'],
    ['only racy ones', 9, 9, 0, 'unsampled'],
  ])('%s', (_, samples, racy, exact, verdict) => {
    expect(judgeQuantities([{ quantity: 'rss_file_kb', samples, racy, exact, max_error: 0 }], [limit])[0]?.verdict).toBe(verdict);
  });

  it('the worst counts', () => {
    const of = (...verdicts: Verdict[]): QuantityCheck[] => verdicts.map((verdict) => ({ quantity: '', verdict, samples: 1, racy: 0, exact: 1, max_error: 0 }));
    expect(overallVerdict(of('exact', 'exact'), 0)).toBe('exact');
    expect(overallVerdict(of('exact', 'limited'), 0)).toBe('limited');
    expect(overallVerdict(of('limited', 'unsampled'), 0)).toBe('unsampled');
    expect(overallVerdict(of('unsampled', 'differs'), 0)).toBe('differs');
    expect(overallVerdict(of('exact'), 1)).toBe('differs');
    expect(overallVerdict([], 0)).toBe('unsampled');
  });
});
