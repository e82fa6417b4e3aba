/** What `verify` prints: tables that line up, every part that a recording has, and nothing of those that it has not. */
import { describe, expect, it } from 'vitest';
import type { Verification } from '../../core/replay/result.js';
import type { StoredCell } from '../../reports/cells.js';
import { alignedTable, markdownTable } from '../../reports/text-table.js';
import { ablationMarkdown, ablationResult, ablationText } from '../../reports/verify/ablation.js';
import { verifiedProgram, verifyExitCode } from '../../reports/verify/program.js';
import { verifyText } from '../../reports/verify/text.js';
import { sampleRun } from './sample-run.js';
import { exactVerification as exact, sampleVerification as differing } from './sample-verification.js';

const [sample] = sampleRun({ traces: 1, points: 20 }).cells;
const cell = (verification: Verification, more: Partial<StoredCell> = {}): StoredCell => ({ ...sample, losses: [], rejections: [], ...more, verification });

describe('tables', () => {
  const columns = [
    { header: 'name', align: 'left' },
    { header: 'n', align: 'right' },
  ] as const;
  const rows = [
    ['a', '1'],
    ['long|name', { text: '1000', tone: 'bad' }],
  ] as const;
  it('line up', () => {
    expect(alignedTable(columns, rows, ' ')).toBe(' name          n\n ---------  ----\n a             1\n long|name  1000\n');
    expect(alignedTable(columns, rows, '', true)).toContain('\u001b[31m');
  });
  it('are Markdown', () => {
    expect(markdownTable(columns, rows)).toBe('| name       |    n |\n| ---------- | ---: |\n| a          |    1 |\n| long\\|name | 1000 |\n');
  });
  it('of nothing have a header', () => {
    expect(alignedTable(columns, [])).toBe('name  n\n----  -\n');
  });
});

describe('a program', () => {
  it('that is exact says so and no more', () => {
    const program = verifiedProgram('a/b.fwt', cell(exact));
    expect(program).toMatchObject({ file: 'a/b.fwt', label: 'server-mix', exact: true, samples: 1200, racy_samples: 0 });
    expect(program.quantities).toEqual({ vm_pte_kb: { samples: 1200, exact: 1200, max_error: 0 } });
    expect(verifyExitCode([program])).toBe(0);
    const text = verifyText([program]);
    expect(text).toMatch(
      /^server-mix: exact in every sample\n {2}a\/b\.fwt · .* events · 1 200 samples of 1 process · 11 of 12 address spaces sampled · Linux 6\.18, huge pages madvise · policy plain\n/,
    );
    expect(text).toMatch(/\n {2}vm_pte_kb {4}1 200 {2}1 200 {7}0 {14}0 {5}0 {2}exact\n$/);
    expect(text).not.toContain('\u001b');
  });

  it('that differs says where, why, and what else', () => {
    const program = verifiedProgram(
      'a',
      cell(differing, { losses: [{ cause: 'odd line', count: 3, first: 'a:1' }], rejections: [{ cause: 'wild', count: 1, first: 'event 5' }] }),
    );
    expect(program).toMatchObject({
      exact: false,
      verdict: 'differs',
      samples: 1200,
      racy_samples: 3,
      verdicts: { vm_pte_kb: 'differs', rss_anon_kb: 'limited' },
    });
    expect(verifyExitCode([verifiedProgram('a', cell(exact)), program])).toBe(1);
    const text = verifyText([program]);
    for (const part of [
      'server-mix: DIFFERS: vm_pte_kb\n',
      ' · 3 racy, not judged · ',
      'vm_pte_kb: event 1 234 at 0.500000 s, process 7 (cc1): predicted 52 kB, measured 60 kB (-8)\n',
      'exact until event 1 200; before it: event 1 233, write 0x7f0000001000, 7f0000000000-7f0000002000 rw-p /lib/libc.so.6\n',
      'copy-on-write breaks       500        498   -2 (-0.4 %)  400 copied, 98 reused\n',
      '5 x read: no fault expected\n      event 77 at 1.000000 s, process 7 (cc1): 0x7f0000001000, no mapping there\n      ... and 4 more\n',
      'rss_anon_kb, 200 samples of process 7: khugepaged\n',
      'not covered by the model\n    swap\n',
      'recorded, but not predicted\n    major_faults\n',
      'odd line: 3, first at a:1\n',
      'wild: 1, first at event 5\n',
      'the process is not alive in the model\n',
    ])
      expect(text).toContain(part);
  });

  it('with limits alone is fine, without samples is not', () => {
    const limited = verifiedProgram('a', cell({ ...differing, verdict: 'limited', quantities: [differing.quantities[1]] }));
    expect([limited.exact, verifyExitCode([limited])]).toEqual([false, 0]);
    expect(verifyText([limited])).toContain('exact in every sample but for what the recording cannot tell: rss_anon_kb\n');
    const empty = verifiedProgram('a', cell({ ...exact, verdict: 'unsampled', quantities: [], processes: [] }));
    expect([empty.exact, verifyExitCode([empty])]).toEqual([false, 1]);
    expect(verifyText([empty])).toContain('NOTHING TO COMPARE: the recording holds no samples\n');
  });

  it('beside others has a line in the overview', () => {
    const other = verifiedProgram('b', { ...cell(differing), config: { ...sample.config, trace: 'other' } });
    const lines = verifyText([verifiedProgram('a', cell(exact)), other])
      .trimEnd()
      .split('\n');
    expect(lines.at(-4)).toMatch(/^exact samples +vm_pte +rss_anon +breaks +unexpected$/);
    expect(lines.at(-2)).toMatch(/^server-mix +all 1 200 +- +- +- +exact$/);
    expect(lines.at(-1)).toMatch(/^other +1 190\/1 200 +1 000\/1 200 +498\/500 +5 +DIFFERS$/);
  });
});

describe('an ablation', () => {
  const result = ablationResult(
    'linux',
    ['a'],
    [
      { rule: null, title: 'all rules', cells: [cell(exact)] },
      { rule: 'pt-reclaim', title: 'MADV_DONTNEED frees tables', cells: [cell(differing)] },
      { rule: 'vdso', title: 'nothing here', cells: [cell(exact)] },
    ],
  );
  it('says what each rule costs where', () => {
    expect(result.rules[1].recordings[0]).toEqual({
      file: 'a',
      label: 'server-mix',
      verdict: 'differs',
      quantities: {
        vm_pte_kb: { samples: 1200, exact: 1190, no_longer_exact: 10, max_error: 8 },
        rss_anon_kb: { samples: 1200, exact: 1000, no_longer_exact: -1000, max_error: 512 },
      },
      faults: { unexpected: 5, more: 5, breaks_predicted: 498, breaks_recorded: 500 },
    });
  });
  it('is a table for people and for documents', () => {
    expect(ablationText(result)).toMatch(/\n {2}pt-reclaim +10 \(8\) +5 +-2\n\n {2}No change without vdso\.\n/);
    expect(ablationMarkdown(result)).toMatch(/\n\| pt-reclaim \| 10 \(8\) \| +5 \| +-2 \|\n\nNo change without vdso\.\n/);
  });
});
