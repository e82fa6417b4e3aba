import { describe, expect, it } from 'vitest';
import { parse } from 'csv-parse/sync';
import { blameCsv, contiguityCsv, fragmentationCsv, processesCsv, resultsCsv, roundsCsv, timelineCsv, timingCsv } from '../../reports/csv.js';
import type { CellResult, RunResult } from '../../core/replay/result.js';
import { sampleMetrics, sampleRun, withMetric } from './sample-run.js';

const run = sampleRun();
const read = (text: string): string[][] => parse(text);

function withCell(change: Partial<CellResult>): RunResult {
  return { ...run, cells: [{ ...run.cells[0], ...change }] };
}

describe('results.csv', () => {
  const rows = read(resultsCsv(run, sampleMetrics));

  it('has the identifying columns and every deterministic metric in the order of the registry', () => {
    const names = sampleMetrics.filter((m) => m.deterministic).map((m) => m.name);
    expect(rows[0]).toEqual([
      'trace',
      'arch',
      'pmm',
      'heap',
      'policy',
      'tlb',
      'touch',
      'memory_bytes',
      'cpus',
      'seed',
      'age',
      'repeat',
      'confidence',
      ...names,
    ]);
    expect(names).not.toContain('pmm_ns_per_op');
  });

  it('has one row a cell, with numbers that read back exactly and nothing where the trace gives nothing', () => {
    expect(rows).toHaveLength(1 + run.cells.length);
    run.cells.forEach((cell, i) => {
      const row = rows[i + 1];
      expect(row.slice(0, 4)).toEqual([cell.config.trace, cell.config.arch, cell.config.pmm, cell.config.heap]);
      sampleMetrics
        .filter((m) => m.deterministic)
        .forEach((m, k) => {
          const value = cell.metrics[m.name];
          expect(row[13 + k]).toBe(value === null ? '' : String(value));
          if (value !== null) expect(Number(row[13 + k])).toBe(value);
        });
    });
    expect(rows[4].at(-1)).toBe('');
  });

  it('ends its lines in LF alone', () => {
    const text = resultsCsv(run, sampleMetrics);
    expect(text).not.toContain('\r');
    expect(text.endsWith('\n')).toBe(true);
    expect(text.endsWith('\n\n')).toBe(false);
  });

  it('writes an empty field for a value that is missing and never a zero', () => {
    const [header, row] = read(
      resultsCsv(
        withMetric(run, 0, 'frames_peak', () => null),
        sampleMetrics,
      ),
    );
    expect(row[header.indexOf('frames_peak')]).toBe('');
    const [, zero] = read(
      resultsCsv(
        withMetric(run, 0, 'frames_peak', () => 0),
        sampleMetrics,
      ),
    );
    expect(zero[header.indexOf('frames_peak')]).toBe('0');
  });

  it('refuses a metric without descriptor and a value that is no number: both are defects', () => {
    expect(() =>
      resultsCsv(
        withMetric(run, 0, 'unheard_of_count', () => 1),
        sampleMetrics,
      ),
    ).toThrow('unheard_of_count');
    expect(() =>
      resultsCsv(
        withMetric(run, 0, 'frames_peak', () => NaN),
        sampleMetrics,
      ),
    ).toThrow('NaN');
  });

  it.each(['a,b', 'say "hi"', 'two\nlines', 'cr\rhere', ' blank first', 'plain'])('quotes %j as RFC 4180 asks', (trace) => {
    const config = { ...run.cells[0].config, trace };
    expect(read(resultsCsv(withCell({ config }), sampleMetrics))[1][0]).toBe(trace);
  });
});

describe('timeline.csv', () => {
  it('has one row a cell and sample point', () => {
    const rows = read(timelineCsv(run));
    expect(rows).toHaveLength(1 + run.cells.length * 200);
    expect(rows[0].slice(0, 5)).toEqual(['trace', 'arch', 'pmm', 'heap', 'event']);
    expect(rows[200].slice(4).map(Number)).toEqual(run.cells[0].timeline.rows[199]);
  });

  it('keeps columns that only some cells have, empty elsewhere', () => {
    const odd: RunResult = {
      ...run,
      cells: [
        { ...run.cells[0], timeline: { columns: ['event', 'a_frames'], rows: [[0, 1]] } },
        { ...run.cells[1], timeline: { columns: ['event', 'b_frames'], rows: [[0, null]] } },
        { ...run.cells[2], timeline: { columns: ['b_frames', 'event'], rows: [[7, 5]] } },
      ],
    };
    expect(read(timelineCsv(odd)).map((row) => row.slice(4))).toEqual([
      ['event', 'a_frames', 'b_frames'],
      ['0', '1', ''],
      ['0', '', ''],
      ['5', '', '7'],
    ]);
  });
});

describe('processes.csv', () => {
  it('has one row a cell and process, commands quoted', () => {
    const rows = read(processesCsv(run));
    expect(rows).toHaveLength(1 + run.cells.length * 5);
    expect(rows[4].slice(4, 8)).toEqual(['15206', '15203', 'sh -c "a, b"', String(run.cells[0].processes[3].rss_peak_bytes)]);
  });
});

describe('fragmentation.csv', () => {
  it('has one row a cell, sample point and order, with the indices as Linux prints them', () => {
    const [header, ...rows] = read(fragmentationCsv(run));
    expect(header).toEqual(['trace', 'arch', 'pmm', 'heap', 'event', 'order', 'free_blocks_count', 'unusable_free_index', 'fragmentation_index']);
    expect(rows).toHaveLength(run.cells.length * 200 * 11);
    const { event, freeBlocks, unusableIndex, fragmentationIndex } = run.cells[0].fragmentation[3];
    expect(rows.slice(33, 44).map((row) => row.slice(4).map(Number))).toEqual(
      freeBlocks.map((blocks, order) => [event, order, blocks, unusableIndex[order] / 1000, fragmentationIndex[order] / 1000]),
    );
  });
});

describe('blame.csv', () => {
  it('has the holders of both moments, worst first, quoted; what no process holds has no pid', () => {
    const [header, ...rows] = read(blameCsv(run));
    expect(header).toEqual(
      'trace,arch,pmm,heap,moment,event,rank,pid,command,mapping,kind,movable,blocks_count,blocks_alone_count,held_frames,first_event'.split(','),
    );
    const { peak, end } = run.cells[0].blame;
    expect(rows).toHaveLength(run.cells.length * (peak.rows.length + end.rows.length));
    const third = peak.rows[3];
    expect(rows[3].slice(4)).toEqual(
      ['peak', peak.event, 4, 15206, 'worker-3', '/srv/a "quoted", path', 'file', 'yes', third.blocks, third.alone, third.frames, third.first_event].map(
        String,
      ),
    );
    expect(rows[5].slice(4, 12)).toEqual(['peak', String(peak.event), '6', '', '', 'slab vma', 'kernel', 'no']);
    expect(rows[peak.rows.length].slice(4, 7)).toEqual(['end', String(end.event), '1']);
  });
});

describe('contiguity.csv', () => {
  it('has one row a cell and process, coverage as shares', () => {
    const [header, ...rows] = read(contiguityCsv(run));
    expect(header.slice(4)).toEqual(
      'pid,command,event,pages_count,ranges_count,ranges_80_count,ranges_90_count,ranges_99_count,largest_32_ratio,largest_64_ratio,largest_128_ratio,largest_256_ratio'.split(
        ',',
      ),
    );
    expect(rows).toHaveLength(run.cells.length * 14);
    const { pages, covered } = run.cells[0].contiguity[3];
    expect(rows[3].slice(4, 8)).toEqual(['15206', 'sh -c "a, b"', String(run.cells[0].contiguity[3].event), String(pages)]);
    expect(Number(rows[3][12])).toBeCloseTo(covered[0] / pages, 9);
  });

  it('says nothing of the coverage of a process without pages', () => {
    const none = { ...run.cells[0].contiguity[0], pages: 0, ranges: 0, toCover: [0, 0, 0], covered: [0, 0, 0, 0] };
    expect(read(contiguityCsv(withCell({ contiguity: [none] })))[1].slice(7)).toEqual(['0', '0', '0', '0', '0', '', '', '', '']);
  });
});

describe('rounds.csv', () => {
  it('has one row a cell and round, and none where a trace was replayed once', () => {
    const row = {
      round: 2,
      frames_start: 7,
      frames_peak: 90,
      frames_end: 8,
      unusable_free_index_order_9: 0.5,
      unusable_free_index_order_9_end: 0.25,
      free_huge_score: 0.75,
      free_huge_score_end: 0.875,
      largest_free_block_frames_end: 512,
      contiguity_ranges_99: 31,
      pmm_steps_per_op: null,
      alloc_failures_count: 1,
      huge_failures_count: 0,
    };
    expect(read(roundsCsv(run))).toHaveLength(1);
    const [header, only, ...more] = read(roundsCsv(withCell({ rounds: [row] })));
    expect(more).toEqual([]);
    expect(header.slice(4)).toEqual(Object.keys(row));
    expect(only.slice(4)).toEqual(['2', '7', '90', '8', '0.5', '0.25', '0.75', '0.875', '512', '31', '', '1', '0']);
  });
});

describe('timing.csv', () => {
  it('has what the clock said once, without quantiles', () => {
    const [header, row] = read(timingCsv(run, sampleMetrics));
    expect(row[header.indexOf('repeats')]).toBe('1');
    expect(Number(row[header.indexOf('wall_s')])).toBe(run.cells[0].timing.wall_s);
    expect(row[header.indexOf('wall_s_p95')]).toBe('');
    expect(Number(row[header.indexOf('pmm_ns_per_op')])).toBe(run.cells[0].metrics['pmm_ns_per_op']);
    expect(header).not.toContain('frames_peak');
  });

  it('has median, p95, p99 and spread of repeats (quantiles of Hyndman and Fan’s type 7)', () => {
    const repeats = run.cells.map((cell) => [5, 1, 4, 2, 3].map((wall_s) => ({ ...cell.timing, wall_s })));
    const [header, row] = read(timingCsv(run, sampleMetrics, repeats));
    expect(['repeats', 'wall_s', 'wall_s_p95', 'wall_s_p99', 'wall_s_spread'].map((name) => row[header.indexOf(name)])).toEqual(['5', '3', '4.8', '4.96', '4']);
  });
});
