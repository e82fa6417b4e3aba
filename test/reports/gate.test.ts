import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Metric } from '../../core/metrics/metric.js';
import { RESULT_SCHEMA } from '../../core/replay/result.js';
import type { CellConfig, RunResult } from '../../core/replay/result.js';
import { UserError } from '../../traces/event.js';
import { baselineText, blessBaseline, parseBaseline, readBaseline, writeBaseline } from '../../reports/baseline.js';
import { checkBaseline, gateText } from '../../reports/gate.js';
import { sampleMetrics, sampleRun, withMetric } from './sample-run.js';

const run = sampleRun({ points: 10 });
const baseline = blessBaseline(run, sampleMetrics);
const deterministic = sampleMetrics.filter((m) => m.deterministic);

function withConfig(index: number, change: Partial<CellConfig>): RunResult {
  return { ...run, cells: run.cells.map((cell, i) => (i === index ? { ...cell, config: { ...cell.config, ...change } } : cell)) };
}
const kinds = (checked: RunResult, metrics: readonly Metric[] = sampleMetrics): string[] =>
  checkBaseline(baseline, checked, metrics).findings.map((f) => f.kind);

describe('the gate', () => {
  it('passes a hundred unchanged runs', () => {
    for (let i = 0; i < 100; i++) {
      const again = sampleRun({ points: 10 });
      const outcome = checkBaseline(parseBaseline(baselineText(baseline), 'b'), again, sampleMetrics);
      expect(outcome).toMatchObject({ code: 0, findings: [], compared: run.cells.length * deterministic.length });
      expect(outcome.equal).toBe(outcome.compared);
    }
    expect(gateText(checkBaseline(baseline, run, sampleMetrics))).toMatch(/^126 of 126 numbers equal: unchanged\n$/);
  });

  it('catches a run made worse by one frame and names metric, trace, strategy, old, new and direction', () => {
    const old = run.cells[2].metrics['frames_peak'] ?? 0;
    const outcome = checkBaseline(
      baseline,
      withMetric(run, 2, 'frames_peak', (value) => value + 1),
      sampleMetrics,
    );
    expect(outcome.code).toBe(1);
    expect(outcome.findings).toEqual([
      { kind: 'worse', metric: 'frames_peak', trace: 'server-mix', strategy: 'x86-64/buddy/recorded', old, new: old + 1, better: 'lower' },
    ]);
    expect(gateText(outcome)).toContain(`WORSE          frames_peak  server-mix  x86-64/buddy/recorded  ${old} -> ${old + 1}  (lower is better)\n`);
    expect(gateText(outcome)).toContain('125 of 126 numbers equal: 1 worse');
  });

  it('judges any change of any metric by its direction', () => {
    fc.assert(
      fc.property(
        fc.nat(run.cells.length - 1),
        fc.constantFrom(...deterministic),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (cell, metric, value) => {
          const old = run.cells[cell].metrics[metric.name];
          const outcome = checkBaseline(
            baseline,
            withMetric(run, cell, metric.name, () => value),
            sampleMetrics,
          );
          const worse = old !== null && (metric.better === 'lower' ? value > old : metric.better === 'higher' ? value < old : false);
          expect(outcome.code).toBe(worse ? 1 : 0);
          expect(outcome.findings).toHaveLength(value === old ? 0 : 1);
        },
      ),
    );
  });

  it('passes what is better, but says so', () => {
    const outcome = checkBaseline(
      baseline,
      withMetric(run, 0, 'free_huge_score', (value) => value + 0.01),
      sampleMetrics,
    );
    expect(outcome).toMatchObject({ code: 0, findings: [{ kind: 'better', metric: 'free_huge_score' }] });
    expect(gateText(outcome)).toContain('same or better');
  });

  it('reports a change of a metric without direction as changed and fails nothing', () => {
    const outcome = checkBaseline(
      baseline,
      withMetric(run, 0, 'lookups_count', (value) => value + 5),
      sampleMetrics,
    );
    expect(outcome).toMatchObject({ code: 0, findings: [{ kind: 'changed', metric: 'lookups_count' }] });
    expect(gateText(outcome)).toContain('no direction');
  });

  it('ignores what the clock says', () => {
    expect(kinds(withMetric(run, 0, 'pmm_ns_per_op', (value) => value * 100))).toEqual([]);
    expect(baselineText(baseline)).not.toContain('pmm_ns_per_op');
  });

  it('is not silent about a metric that vanished from the registry', () => {
    const without = sampleMetrics.filter((m) => m.name !== 'frames_peak');
    const outcome = checkBaseline(baseline, run, without);
    expect(outcome.code).toBe(2);
    expect(outcome.findings.filter((f) => f.kind === 'missing-metric' && f.metric === 'frames_peak')).toHaveLength(run.cells.length);
    expect(gateText(outcome)).toContain('MISSING METRIC');
  });

  it('is not silent about a value the run cannot give any more', () => {
    expect(
      checkBaseline(
        baseline,
        withMetric(run, 0, 'frames_peak', () => null),
        sampleMetrics,
      ),
    ).toMatchObject({
      code: 2,
      findings: [{ kind: 'missing-metric', metric: 'frames_peak', new: null }],
    });
  });

  it('names new metrics and values that were not there before, without failing', () => {
    const added: Metric = { ...sampleMetrics[2], name: 'frames_mean' };
    const outcome = checkBaseline(
      baseline,
      withMetric(run, 0, 'frames_mean', () => 4),
      [...sampleMetrics, added],
    );
    expect(outcome.code).toBe(0);
    expect(outcome.findings).toMatchObject([{ kind: 'new-metric', metric: 'frames_mean', old: null, new: 4 }]);
    expect(kinds(withMetric(run, 3, 'heap_fragmentation_ratio', () => 0.5))).toEqual(['new-metric']);
  });

  it('does not compare with another trace', () => {
    const outcome = checkBaseline(baseline, withConfig(1, { traceHash: 'f00' }), sampleMetrics);
    expect(outcome).toMatchObject({ code: 2, findings: [{ kind: 'other-trace', trace: 'server-mix', new: 'f00' }] });
    expect(outcome.compared).toBe((run.cells.length - 1) * deterministic.length);
  });

  it.each([
    [{ memoryBytes: 4096 }, 'memory_bytes=1073741824', 'memory_bytes=4096'],
    [{ cpus: 2 }, 'cpus=1', 'cpus=2 recorded'],
    [{ cpus: 2, spread: 'threads' as const }, 'cpus=1', 'cpus=2 threads'],
    [{ policy: 'linux' }, 'policy=plain', 'policy=linux'],
    [{ kernelHeap: false }, 'kernel_heap=true', 'kernel_heap=false'],
    [{ window: [5, 9] as const }, 'window=', 'window=5..9'],
    [{ memmap: [{ first: 1, count: 2 }] }, 'memmap=0+262144', 'memmap=1+2'],
    [{ tlb: 'tiny' }, 'tlb=default', 'tlb=tiny'],
  ])('does not compare with another configuration: %j', (change, old, now) => {
    const outcome = checkBaseline(baseline, withConfig(1, change), sampleMetrics);
    expect(outcome).toMatchObject({ code: 2, findings: [{ kind: 'other-configuration', old, new: now }] });
  });

  it('is not silent about a cell that is missing, and names a new one', () => {
    const outcome = checkBaseline(baseline, withConfig(0, { pmm: 'llfree' }), sampleMetrics);
    expect(outcome.code).toBe(2);
    expect(outcome.findings.map((f) => [f.kind, f.strategy])).toEqual([
      ['missing-cell', 'x86-64/bitmap/recorded'],
      ['new-cell', 'x86-64/llfree/recorded'],
    ]);
    const extra = { ...run, cells: [...run.cells, { ...run.cells[0], config: { ...run.cells[0].config, pmm: 'llfree' } }] };
    expect(checkBaseline(baseline, extra, sampleMetrics)).toMatchObject({ code: 0, findings: [{ kind: 'new-cell' }] });
    expect(checkBaseline(baseline, { ...run, cells: [] }, sampleMetrics).code).toBe(2);
  });

  it('does not compare results of another meaning', () => {
    const outcome = checkBaseline({ ...baseline, schema: 0 }, run, sampleMetrics);
    expect(outcome).toMatchObject({ code: 2, compared: 0, findings: [{ kind: 'other-schema', old: 0, new: RESULT_SCHEMA }] });
    expect(gateText(outcome)).toContain('OTHER SCHEMA');
  });

  it('lets "not comparable" outrank "worse" and prints both', () => {
    const both = withMetric(withConfig(0, { traceHash: 'f00' }), 1, 'frames_peak', (value) => value + 1);
    const outcome = checkBaseline(baseline, both, sampleMetrics);
    expect(outcome.code).toBe(2);
    expect(gateText(outcome)).toMatch(/OTHER TRACE[^]*WORSE[^]*and 1 worse/);
  });
});

describe('the baseline file', () => {
  let dir = '';
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'framewalk-gate-'))));
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('has one line a metric, sorted, and does not depend on the order of cells', () => {
    const text = baselineText(baseline);
    expect(text.match(/^\s+"frames_peak": \d+,?$/gm)).toHaveLength(run.cells.length);
    expect(baselineText(blessBaseline({ ...run, cells: [...run.cells].reverse() }, sampleMetrics))).toBe(text);
    const names = [...text.slice(text.indexOf('"metrics"'), text.indexOf('}')).matchAll(/"(\w+)": [\dn]/g)].map((m) => m[1]);
    expect(names).toEqual([...names].sort());
    expect(names).toHaveLength(deterministic.length);
  });

  it('reads back what was written', () => {
    const path = join(dir, 'deep', 'baseline.json');
    writeBaseline(path, baseline);
    expect(readBaseline(path)).toEqual(baseline);
    expect(readFileSync(path, 'utf8')).toBe(baselineText(baseline));
  });

  const mistake = (text: string | null): string => {
    const path = join(dir, 'b.json');
    if (text !== null) writeFileSync(path, text);
    try {
      readBaseline(path);
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    }
    return 'no error';
  };

  it('says so when there is none', () => {
    expect(mistake(null)).toMatch(/no baseline there; `framewalk bless/);
  });

  it.each([
    '',
    '{}',
    '[]',
    '{"framewalk":"run"}',
    '{"framewalk":"baseline","format":1}',
    '{"framewalk":"baseline","format":1,"schema":1,"version":"1","cells":[3]}',
  ])('says so when it is %j', (text) => {
    expect(mistake(text)).toContain('not a baseline');
  });

  it('says so when a number is none, and when the format is newer', () => {
    expect(mistake(baselineText(baseline).replace(/"frames_peak": \d+/, '"frames_peak": "many"'))).toContain('metric frames_peak is not a number');
    expect(mistake(baselineText(baseline).replace('"format": 1', '"format": 2'))).toContain('baseline of format 2');
  });

  it('refuses a run in which two cells are the same', () => {
    expect(() => blessBaseline({ ...run, cells: [run.cells[0], run.cells[0]] }, sampleMetrics)).toThrow(UserError);
  });
});
