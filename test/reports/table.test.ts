import { describe, expect, it } from 'vitest';
import { renderTable } from '../../reports/table.js';
import { rank } from '../../reports/ranking.js';
import { bytes, column, compact, exact, grouped } from '../../reports/format.js';
import { sampleMetrics, sampleRun, withMetric } from './sample-run.js';

const run = sampleRun({ points: 20 });
const ESCAPE = String.fromCharCode(27);

describe('the ranking', () => {
  it('names best and worst in the better direction', () => {
    expect(rank([3, 1, 2], 'lower')).toEqual({ kind: 'ranked', places: ['worst', 'best', 'between'] });
    expect(rank([3, 1, 2], 'higher')).toEqual({ kind: 'ranked', places: ['best', 'worst', 'between'] });
  });
  it('lets ties share a place and leaves out what is missing', () => {
    expect(rank([1, null, 1, 2], 'lower').places).toEqual(['best', 'none', 'best', 'worst']);
  });
  it('has no winner where all are equal, where nothing is better and where there is nothing to compare', () => {
    expect(rank([5, 5, 5], 'lower')).toEqual({ kind: 'level', places: ['none', 'none', 'none'] });
    expect(rank([5, 6], 'none').kind).toBe('unranked');
    expect(rank([5], 'lower').kind).toBe('unranked');
    expect(rank([5, null], 'higher').kind).toBe('unranked');
    expect(rank([], 'lower').kind).toBe('unranked');
  });
});

describe('numbers for people', () => {
  it('sets thousands apart', () => {
    expect(grouped(1234567, 0, ' ')).toBe('1 234 567');
    expect(grouped(-1234.5, 1, ' ')).toBe('\u22121 234.5');
    expect(grouped(-0.4, 0, ' ')).toBe('0');
    expect(grouped(999)).toBe('999');
  });
  it('picks units and digits', () => {
    expect([0, 1023, 1024, 1536, 799_700_000, 2 ** 40].map(bytes)).toEqual(['0 B', '1\u202f023 B', '1 KiB', '1.50 KiB', '763 MiB', '1 TiB']);
    expect([0.00123, 0.354, 2.18, 12.34, 119.4, 5].map(compact)).toEqual(['0.0012', '0.354', '2.18', '12.3', '119', '5']);
  });
  it('shows as many decimals as tell values apart', () => {
    expect(column([1.001, 1.002, 1], { name: 'x', unit: 'refs' }).texts).toEqual(['1.001', '1.002', '1.000']);
    expect(column([0.5, null, 0.25], { name: 'miss_ratio', unit: 'ratio' })).toEqual({ unit: '%', texts: ['50', null, '25'] });
    expect(column([20 * 2 ** 20, 2 ** 20], { name: 'x', unit: 'bytes' })).toEqual({ unit: 'MiB', texts: ['20', '1'] });
  });
  it('shows shares in percent, but not numbers of one thing per another', () => {
    expect(column([1.25], { name: 'pmm_steps_per_op', unit: 'ratio' })).toEqual({ unit: '', texts: ['1.25'] });
  });
  it('is exact for files', () => {
    for (const value of [0.1, 1 / 3, 2 ** 53, 5e-324, -0, 1e21]) expect(Number(exact(value))).toBe(value === 0 ? 0 : value);
    expect(() => exact(Infinity)).toThrow('Infinity');
  });
});

describe('the terminal table', () => {
  const lines = (text: string): string[] => text.split('\n');

  it('fits 120 columns at any number of headline metrics, aligned', () => {
    const text = renderTable(run, sampleMetrics);
    for (const line of lines(text)) expect(line.length).toBeLessThanOrEqual(120);
    expect(text).toContain('(frames)');
    expect(text).toMatch(/\d \d{3}/);
    expect(text).toContain('* best of its trace');
  });

  it.each([60, 80, 120, 200])('splits columns into groups that fit %i columns and shows each metric once', (width) => {
    const text = renderTable(run, sampleMetrics, { width });
    for (const line of lines(text).slice(0, -2)) expect(line.length).toBeLessThanOrEqual(width);
    expect(text.match(/\(0–1\)/g)).toHaveLength(1);
    const groups = text.match(/^trace /gm)?.length ?? 0;
    expect(groups).toBeGreaterThan(0);
    expect(text.match(/^server-mix/gm)).toHaveLength(3 * groups);
  });

  it('marks the best within each trace, nobody where a row is level', () => {
    const rows = lines(renderTable(run, sampleMetrics, { width: 300 })).filter((line) => line.startsWith('pyfork'));
    expect(rows[0]).toMatch(/1 991\*|\d\*/);
    const peak = /^pyfork\s+\S+\s+(\d+ \d+\S?)/;
    expect(rows.map((row) => peak.exec(row)?.[1])).toEqual(['144 503', '144 503', '144 503'].map(() => peak.exec(rows[0])?.[1]));
    expect(peak.exec(rows[0])?.[1]).not.toContain('*');
    const better = withMetric(run, 3, 'frames_peak', (value) => value - 1);
    const changed = lines(renderTable(better, sampleMetrics, { width: 300 })).filter((line) => line.startsWith('pyfork'));
    expect(changed.map((row) => peak.exec(row)?.[1]?.endsWith('*'))).toEqual([true, false, false]);
  });

  it('says what the trace cannot give', () => {
    const text = renderTable(
      withMetric(run, 0, 'frames_peak', () => null),
      sampleMetrics,
    );
    expect(text).toMatch(/server-mix\s+bitmap\s+-/);
  });

  it('has control codes only where colour is asked for', () => {
    expect(renderTable(run, sampleMetrics)).not.toContain(ESCAPE);
    const colored = renderTable(run, sampleMetrics, { color: true });
    expect(colored).toContain(ESCAPE);
    expect(colored.replaceAll(new RegExp(`${ESCAPE}\\[\\d+m`, 'g'), '')).toBe(renderTable(run, sampleMetrics));
  });

  it('names what else tells cells apart', () => {
    const cells = run.cells.map((cell, i) => (i === 1 ? { ...cell, config: { ...cell.config, pmm: 'bitmap', heap: 'first-fit' } } : cell));
    expect(renderTable({ ...run, cells }, sampleMetrics)).toContain('bitmap · first-fit');
  });

  it('says by which rule events are spread over several CPUs', () => {
    expect(renderTable(run, sampleMetrics)).not.toContain('CPU');
    const on = (spread: 'recorded' | 'threads'): string =>
      renderTable({ ...run, cells: run.cells.map((cell) => ({ ...cell, config: { ...cell.config, cpus: 4, spread } })) }, sampleMetrics);
    expect(on('recorded')).toContain('pyfork: 4 CPUs, each event on its recorded CPU modulo 4');
    expect(on('threads')).toContain('pyfork: 4 CPUs, the k-th thread of the trace, from 0, on CPU k modulo 4');
  });

  it('copes with no cell at all', () => {
    expect(renderTable({ ...run, cells: [] }, sampleMetrics)).toBe('no cells\n');
  });
});
