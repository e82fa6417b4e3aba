import { describe, expect, it } from 'vitest';
import type { CellResult, RoundRow, RunResult } from '../../../core/replay/result.js';
import { metrics as registered } from '../../../core/metrics/registry.js';
import { grouped } from '../../../reports/format.js';
import { reportHtml } from '../../../reports/html/page.js';
import { sampleMetrics, sampleRun } from '../sample-run.js';
import { sampleVerification } from '../sample-verification.js';

const run = sampleRun({ points: 60 });
const page = reportHtml(run, sampleMetrics);
const section = (text: string, id: string): string =>
  text.slice(text.indexOf(`<section id="${id}"`), text.indexOf('</section>', text.indexOf(`<section id="${id}"`)));
const withoutTags = (text: string): string => text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

function changed(change: (cell: CellResult, index: number) => Partial<CellResult>): RunResult {
  return { ...run, cells: run.cells.map((cell, i) => ({ ...cell, ...change(cell, i) })) };
}

describe('report.html', () => {
  it('is one file: nothing in it is fetched from anywhere', () => {
    expect(page.match(/\b(?:src|href)="(?!#|data:)/g)).toBe(null);
    expect(page.match(/https?:|@import|url\((?!#)/g)).toBe(null);
    expect(page.includes(`default-src 'none'`)).toBe(true);
  });

  it('is the same for the same run', () => {
    expect(reportHtml(sampleRun({ points: 60 }), sampleMetrics) === page).toBe(true);
  });

  it('has every section, numbered, and a link to each', () => {
    const ids = [
      'answer',
      'overview',
      'matrix',
      'memory',
      'tables',
      'lookup',
      'picture',
      'fragmentation',
      'blame',
      'contiguity',
      'work',
      'proof',
      'losses',
      'repeat',
    ];
    expect([...page.matchAll(/<section id="(\w+)"/g)].map((m) => m[1])).toEqual(ids);
    expect([...page.matchAll(/<a href="#(\w+)"><span>/g)].map((m) => m[1])).toEqual(ids);
  });

  it('shows how strategies wear when a trace is replayed in rounds', () => {
    const round = (n: number, wear: number): RoundRow => ({
      round: n,
      frames_start: 5,
      frames_peak: 90,
      frames_end: 6,
      unusable_free_index_order_9: wear,
      unusable_free_index_order_9_end: wear,
      free_huge_score: 1 - wear,
      free_huge_score_end: 1 - wear,
      largest_free_block_frames_end: 512,
      contiguity_ranges_99: 10 * n,
      pmm_steps_per_op: n,
      alloc_failures_count: 0,
      huge_failures_count: 0,
    });
    const worn = changed((cell, i) => ({
      config: { ...cell.config, age: '7:0.6:3', repeat: 3 },
      rounds: [1, 2, 3].map((n) => round(n, (n * (i + 1)) / 1000)),
    }));
    const text = reportHtml(worn, sampleMetrics);
    const decay = withoutTags(section(text, 'decay'));
    expect(decay).toContain('3 rounds; aged memory lives on between them');
    expect(decay).toContain('Ranges that cover 99 % of what is mapped');
    expect(section(text, 'decay')).toContain('Unusable at 2 MiB, after the round; at the end');
    expect(decay).toMatch(/bitmap 0\.001 0\.003 0\.999 0\.997 10 30 1\.00 3\.00/);
    expect(withoutTags(section(text, 'repeat'))).toContain('aged memory, a drawn history: seed 7, 60 % in use, 3 rounds of churn');
    expect(page).not.toContain('Round after round');
  });

  it('shows of a recording of the page allocator what it knows: frames, no address space', () => {
    const pages = changed(({ timeline }) => ({
      timeline: { columns: [...timeline.columns, 'movable_frames'], rows: timeline.rows.map((row, i) => [...row, 100 * i]) },
    }));
    const text = reportHtml(pages, sampleMetrics);
    for (const id of ['tables', 'lookup']) expect(section(text, id)).toBe('');
    const memory = withoutTags(section(text, 'memory'));
    expect(memory).toContain('movable pages');
    expect(memory).toContain('kernel pages');
    expect(memory).not.toContain('kernel heap');
    // What the cursor reads out: the columns of the table, and 100 movable frames at the second point.
    const read = JSON.parse(/id="fw">(.*?)<\/script>/.exec(text)![1]!) as { a: number[][]; t: { k: string[]; s: { v: number[] }[] }[] };
    expect(read.t[0]!.k).toEqual(['kernel pages', 'movable pages', 'in use', 'free, whole 2 MiB', 'free, broken']);
    expect(read.a[read.t[0]!.s[0]!.v[1]!]![1]).toBe(100);
    expect(withoutTags(section(text, 'answer'))).not.toContain('page tables');
    const mixed = { ...pages, cells: pages.cells.map((cell, i) => (i < 3 ? cell : run.cells[i])) };
    expect(withoutTags(section(reportHtml(mixed, sampleMetrics), 'tables'))).toContain('it knows of frames, but of no address space');
  });

  it('explains in the legend of memory only the kinds that some trace has', () => {
    const legend = (text: string): string => withoutTags(/aria-label="Kinds of memory">(.*?)<\/ul>/s.exec(text)![1]!);
    expect(legend(page)).toMatch(/user anonymous shared file page tables kernel heap free, in broken blocks/);
    const bare = changed(({ timeline: { columns, rows } }) => ({
      timeline: { columns, rows: rows.map((row) => row.map((value, k) => (columns[k] === 'shared_frames' ? 0 : value))) },
    }));
    expect(legend(reportHtml(bare, sampleMetrics))).toMatch(/user anonymous file page tables kernel heap free/);
  });

  it('stays below one and a half megabytes for seven traces and three strategies', () => {
    expect(reportHtml(sampleRun({ traces: 7 }), sampleMetrics).length).toBeLessThan(1.5e6);
  });

  it('lets no text of a trace become markup', () => {
    const evil = '<img src=x onerror=alert(1)>"\'&</script><script>alert(2)</script>';
    const text = reportHtml(
      {
        ...changed((cell) => ({
          config: { ...cell.config, trace: evil, pmm: `${cell.config.pmm}${evil}` },
          processes: cell.processes.map((p) => ({ ...p, command: evil })),
          blame: { ...cell.blame, end: { ...cell.blame.end, rows: cell.blame.end.rows.map((row) => ({ ...row, command: evil, mapping: evil })) } },
          contiguity: cell.contiguity.map((p) => ({ ...p, command: evil })),
          losses: [{ cause: evil, count: 1, first: evil }],
          oom: evil,
        })),
        command: `framewalk run '${evil}'`,
      },
      sampleMetrics,
    );
    expect(text).not.toContain('<img');
    expect(text.match(/<script/g)).toHaveLength(2);
    expect(text.match(/<\/script>/g)).toHaveLength(2);
    expect(withoutTags(section(text, 'losses'))).toContain('&lt;img src=x');
  });

  it('names no winner where all strategies are equal, and the winner where they differ', () => {
    const matrix = section(page, 'matrix');
    const rowOf = (title: string): string =>
      matrix.slice(matrix.indexOf(`<span class="mn">${title}</span>`), matrix.indexOf('</tr>', matrix.indexOf(`<span class="mn">${title}</span>`)));
    expect(rowOf('Frames at the peak')).toContain('level');
    expect(rowOf('Frames at the peak')).not.toContain('best');
    expect(rowOf('PMM steps per operation').match(/● best/g)).toHaveLength(1);
    expect(rowOf('PMM steps per operation').match(/○ worst/g)).toHaveLength(1);
    expect(withoutTags(section(page, 'overview'))).toContain('free-stack 2.10×');
  });

  it('shows who keeps blocks broken, strategies side by side, and of what cannot be moved the worst as well', () => {
    const text = section(page, 'blame');
    expect(text.match(/<h4>Worst near the peak/g)).toHaveLength(2);
    // Nine holders, and three that cannot be moved if there are not so many among them, for two moments and two traces.
    const holders = [...text.matchAll(/<tr> <th scope="row">(?:worker|kernel)/g)].length;
    expect(holders).toBeGreaterThanOrEqual(4 * 9);
    expect(holders).toBeLessThanOrEqual(4 * 12);
    expect(text.match(/<small>pinned<\/small>/g)!.length).toBeGreaterThanOrEqual(4 * 3);
    const { end } = run.cells[0].blame;
    expect(text).toContain(`<td>${grouped(end.broken_blocks)}</td> <td>${grouped(end.pinned_blocks)}</td>`);
  });

  it('shows few of many processes in the table of ranges and says so', () => {
    const text = section(page, 'contiguity');
    expect(withoutTags(text)).toContain('The 10 largest of 14 processes; all are in contiguity.csv.');
    const { pages, covered } = run.cells[0].contiguity[0];
    expect(withoutTags(text)).toContain(`${((covered[0] / pages) * 100).toFixed(1)} %`);
  });

  it('says why a value is missing', () => {
    const three = reportHtml(sampleRun({ traces: 3, points: 20 }), sampleMetrics);
    expect(withoutTags(section(three, 'matrix'))).toContain('the trace holds only first touches');
    expect(withoutTags(section(three, 'lookup'))).toContain('Not given: the trace holds only first touches');
  });

  it('answers in words that follow the metrics', () => {
    expect(withoutTags(section(page, 'answer'))).toMatch(
      /All three need the same 469 MiB at the peak\. bitmap keeps 99.% of it in 1.661 contiguous ranges \( buddy 21.839 , free-stack 65.077 \) and leaves 91.% of/,
    );
    const cheaper = changed((cell, i) => (i === 1 ? { metrics: { ...cell.metrics, frames_peak: 1000 } } : {}));
    expect(withoutTags(section(reportHtml(cheaper, sampleMetrics), 'answer'))).toMatch(
      /free-stack gets by with 3\.91 MiB at the peak where bitmap needs 469 MiB/,
    );
    const equal = changed((cell) => ({ metrics: run.cells[0].metrics, samples: cell.samples }));
    expect(withoutTags(section(reportHtml(equal, sampleMetrics), 'answer'))).toContain('no headline metric tells them far apart');
  });

  it('names a winner by the clock only where the repeats lie apart', () => {
    const wall = (center: number, spread: number) => [-spread, 0, spread].map((d) => ({ ...run.cells[0].timing, wall_s: center + d }));
    const row = (repeats: ReturnType<typeof wall>[]): string => {
      const matrix = section(reportHtml(run, sampleMetrics, repeats), 'matrix');
      const start = matrix.indexOf('Wall time');
      return matrix.slice(start, matrix.indexOf('</tr>', start));
    };
    const others = [wall(1, 0.1), wall(1, 0.1), wall(1, 0.1)];
    expect(row([wall(1, 0.1), wall(2, 0.1), wall(3, 0.1), ...others]).match(/● best/g)).toHaveLength(1);
    expect(row([wall(1, 0.6), wall(1.5, 0.1), wall(3, 0.1), ...others])).not.toContain('best');
    expect(row([wall(1, 0.6), wall(1.5, 0.1), wall(3, 0.1), ...others])).toContain('within noise');
    expect(section(page, 'matrix')).toContain('Timed once');
  });

  it('works from a stored run, which has no clock', () => {
    const without = <T extends object>(record: T, key: string): T => Object.fromEntries(Object.entries(record).filter(([name]) => name !== key)) as T;
    const stored = { ...run, cells: run.cells.map((cell) => ({ ...without(cell, 'timing'), metrics: without(cell.metrics, 'pmm_ns_per_op') })) };
    const text = reportHtml(stored, sampleMetrics);
    expect(section(text, 'matrix').match(/clock|Wall time|PMM time/g)).toBe(null);
  });

  it('leaves out sections that no trace fills, and lives with timelines of one point or none', () => {
    const unbroken = { event: 0, broken_blocks: 0, free_frames: 0, pinned_blocks: 0, kinds: [], holders: 0, rows: [] };
    const bare = changed((cell) => ({
      timeline: { columns: ['event'], rows: [] },
      fragmentation: [],
      blame: { peak: unbroken, end: unbroken },
      contiguity: [],
      distributions: [],
      samples: [],
      sampleSummary: [],
      processes: [],
      kernelHeap: [],
      pictures: { peak: { event: 0, framesPerPiece: 512, pieces: [] }, end: { event: 0, framesPerPiece: 512, pieces: [] } },
      tables: { peak: [], end: [] },
      losses: cell.losses,
    }));
    const ids = [...reportHtml(bare, sampleMetrics).matchAll(/<section id="(\w+)"/g)].map((m) => m[1]);
    expect(ids).toEqual(['answer', 'overview', 'matrix', 'lookup', 'losses', 'repeat']);
  });

  it('shows losses, rejections and the moment out of frames', () => {
    const losses = withoutTags(section(page, 'losses'));
    expect(losses).toContain('kmem:rss_stat, a counter and no event');
    expect(losses).toContain('free of a pointer never allocated');
    expect(losses).toContain('ran out of frames. event 731204');
  });

  it('shows how to repeat the run without the machine’s folders', () => {
    const repeat = section(page, 'repeat');
    expect(repeat).toContain('framewalk run server-mix.fwt pyfork.fwt');
    expect(repeat).not.toContain('/home/somebody');
    expect(repeat).toContain(run.cells[0].config.traceHash);
  });

  it('counts exact samples and shows the residual', () => {
    const proof = withoutTags(section(page, 'proof'));
    expect(proof).toContain('VmPTE 59 of 59 exact');
    expect(proof).toMatch(/RssAnon 4\d of 59 exact/);
    expect(proof).toContain('no difference');
  });

  it('of a verification puts the proof first, with the verdict, faults, first divergences and limits', () => {
    expect(withoutTags(section(page, 'proof'))).not.toContain('at recorded faults');
    const verified = changed(() => ({ verification: sampleVerification }));
    const text = reportHtml(verified, sampleMetrics);
    expect([...text.matchAll(/<section id="(\w+)"/g)].map((m) => m[1]).slice(0, 3)).toEqual(['answer', 'overview', 'proof']);
    const proof = withoutTags(section(text, 'proof'));
    expect(proof).toContain('Not every sample is exact.');
    expect(proof).toContain('RssAnon, 200 samples: khugepaged.');
    expect(proof).toContain('Not covered by the model: swap.');
    expect(proof).toMatch(/VmPTE 1.234 0\.500000 s 7 \(cc1\) 52 KiB 60 KiB write \(event 1.233\), 7f0000000000-7f0000002000 rw-p \/lib\/libc\.so\.6/);
    expect(proof).toMatch(/copy-on-write breaks 500 498 −2 400 copied, 98 reused/);
    expect(proof).toMatch(/read 5 no fault expected event 77, 7 \(cc1\): no mapping there/);
  });

  it('refuses a metric nobody described, and a run of nothing', () => {
    expect(() => reportHtml(run, registered.all())).toThrow('has no descriptor');
    expect(() => reportHtml({ ...run, cells: [] }, sampleMetrics)).toThrow('without cells');
  });
});
