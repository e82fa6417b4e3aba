import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { areaPath, apart, lengthAxis, box, linePath, niceRange, niceTicks, tickText } from '../../../reports/html/chart.js';
import { mean, quantile, total } from '../../../reports/html/distribution.js';
import { along, makeLabels } from '../../../reports/html/labels.js';
import { rate } from '../../../reports/html/lines.js';
import { Markup, joined, markup, raw } from '../../../reports/html/markup.js';
import { buildModel, sharing } from '../../../reports/html/model.js';
import { cpusSection } from '../../../reports/html/cpus.js';
import { capital, listed, numberWord } from '../../../reports/html/words.js';
import { sampleMetrics, sampleRun } from '../sample-run.js';

describe('markup', () => {
  it('escapes text and leaves markup alone', () => {
    expect(markup`<b title="${'"x"'}">${'a<b&c'}${raw('<i>')}${null}${[1, markup`<u>${'>'}</u>`]}</b>`.text).toBe(
      '<b title="&quot;x&quot;">a&lt;b&amp;c<i>1<u>&gt;</u></b>',
    );
    expect(joined(['a', 'b', 'c'], ', ').text).toBe('a, b, c');
    expect(markup`a
      b`).toEqual(new Markup('a b'));
  });

  it('never lets text end a tag or an attribute', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const inside = markup`<p title="${text}">${text}</p>`.text.slice(10, -4);
        expect(inside.replace('">', '')).not.toMatch(/[<"']/);
      }),
    );
  });
});

/** Reads a path of M, l, H, V and z back into corners. */
function corners(d: string): [number, number][] {
  const found: [number, number][] = [];
  let [x, y] = [0, 0];
  for (const [, letter, rest] of d.matchAll(/([MlHVz])([^MlHVz]*)/g)) {
    const numbers = [...rest.matchAll(/-?(?:\d+\.?\d*|\.\d+)/g)].map((m) => Number(m[0]));
    const step = letter === 'H' || letter === 'V' ? 1 : 2;
    for (let i = 0; i < numbers.length; i += step) {
      if (letter === 'H') x = numbers[i];
      else if (letter === 'V') y = numbers[i];
      else if (letter === 'M') [x, y] = [numbers[i], numbers[i + 1]];
      else [x, y] = [x + numbers[i], y + numbers[i + 1]];
      found.push([x, y]);
    }
  }
  return found;
}

const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 400 }), fc.double({ min: -50, max: 300, noNaN: true })), { minLength: 1, maxLength: 40 });

describe('paths', () => {
  it('pass through every point to a tenth, whatever was left out', () => {
    fc.assert(
      fc.property(points, (line) => {
        const sorted = [...line].sort((a, b) => a[0] - b[0]);
        const drawn = corners(linePath(sorted));
        const last = drawn[drawn.length - 1];
        expect(last[0]).toBeCloseTo(sorted[sorted.length - 1][0], 1);
        expect(Math.abs(last[1] - sorted[sorted.length - 1][1])).toBeLessThanOrEqual(0.06);
        for (const [x, y] of sorted) expect(distance([x, y], drawn)).toBeLessThanOrEqual(0.08);
      }),
    );
  });

  it('join moves along one axis into one', () => {
    const line: [number, number][] = [0, 1, 2, 3, 4].map((x) => [x, 5]);
    expect(linePath(line)).toBe('M0 5l4 0');
  });

  it('close areas at the baseline', () => {
    expect(
      areaPath(
        [
          [0, 5],
          [10, 2.5],
        ],
        20,
      ),
    ).toBe('M0 5l10-2.5V20H0z');
    expect(areaPath([], 20)).toBe('');
  });
});

function distance([x, y]: readonly [number, number], line: readonly (readonly [number, number])[]): number {
  let best = Math.hypot(line[0][0] - x, line[0][1] - y);
  for (let i = 1; i < line.length; i++) {
    const [[ax, ay], [bx, by]] = [line[i - 1], line[i]];
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length));
    best = Math.min(best, Math.hypot(ax + t * (bx - ax) - x, ay + t * (by - ay) - y));
  }
  return best;
}

describe('axes', () => {
  it('reach at least the largest value in ascending round steps', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-4, max: 1e12, noNaN: true }), (max) => {
        const ticks = niceTicks(max);
        expect(ticks[0]).toBe(0);
        expect(ticks[ticks.length - 1]).toBeGreaterThanOrEqual(max);
        expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
        expect(new Set(ticks.map(tickText(ticks))).size).toBe(ticks.length);
      }),
    );
  });

  it('cope with values that are all equal or zero', () => {
    expect(niceTicks(0)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1].filter((t) => niceTicks(0).includes(t)));
    expect(niceRange(5, 5)[0]).toBeLessThanOrEqual(5);
  });

  it('name the unit at their end', () => {
    const b = box(100, { left: 40, right: 40, top: 20, bottom: 24 });
    expect(lengthAxis(b, 2_000_000, 'events').svg).toContain('2\u202fM events');
    expect(lengthAxis(b, 519, 'events').svg).toContain('519 events');
    expect(lengthAxis(b, 0, 'events').svg).toContain('0 events');
  });

  it('move names apart within bounds, keeping their order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { minLength: 1, maxLength: 8 }), (wanted) => {
        const placed = apart(wanted, 13, 0, 200);
        const byWish = wanted.map((at, i) => [at, placed[i], i] as const).sort((a, b) => a[0] - b[0] || a[2] - b[2]);
        byWish.slice(1).forEach(([, at], i) => expect(at - byWish[i][1]).toBeGreaterThanOrEqual(13 - 1e-9));
        expect(Math.min(...placed)).toBeGreaterThanOrEqual(-1e-9);
        expect(Math.max(...placed)).toBeLessThanOrEqual(200 + 1e-9);
      }),
    );
  });
});

describe('labels', () => {
  const b = box(200, { left: 40, right: 20, top: 20, bottom: 20 });
  const at = (text: string): [number, number] => [Number(/x="([\d.]+)"/.exec(text)?.[1]), Number(/y="([\d.]+)"/.exec(text)?.[1])];

  it('take the first free spot and then leave it to nobody else', () => {
    const labels = makeLabels(b);
    labels.block(
      along([
        [50, 60],
        [300, 60],
      ]),
    );
    const spots = [62, 90, 130].map((y) => ({ x: 60, y, anchor: 'start' as const }));
    expect(at(labels.place('first', spots))).toEqual([60, 90]);
    expect(at(labels.place('second', spots))).toEqual([60, 130]);
  });

  it('stay inside the drawing', () => {
    const spots = [
      { x: 330, y: 50, anchor: 'start' as const },
      { x: 325, y: 50, anchor: 'end' as const },
    ];
    expect(makeLabels(b).place('a rather long name', spots)).toContain('text-anchor="end"');
  });
});

describe('distributions', () => {
  const bins = fc.array(fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 50 })), { minLength: 1, maxLength: 12 }).map((list) => {
    const byValue = new Map(list);
    return [...byValue].sort((a, b) => a[0] - b[0]);
  });

  it('have the quantiles and the mean of the values written out', () => {
    fc.assert(
      fc.property(bins, fc.integer({ min: 1, max: 1000 }), (list, thousandths) => {
        const distribution = { name: 'x', unit: 'steps', bins: list };
        const all = list.flatMap(([value, count]) => Array.from({ length: count }, () => value));
        const part = thousandths / 1000;
        const within = all.filter((value) => value <= quantile(distribution, part)).length;
        const below = all.filter((value) => value < quantile(distribution, part)).length;
        expect(total(distribution)).toBe(all.length);
        expect(mean(distribution)).toBeCloseTo(all.reduce((a, c) => a + c, 0) / all.length, 9);
        expect(within).toBeGreaterThanOrEqual(all.length * part);
        expect(below).toBeLessThan(all.length * part);
      }),
    );
  });
});

describe('rates between sample points', () => {
  it('are growth over growth, gathered where the counter hardly moves', () => {
    expect(rate([0, 2, 4, 8], [0, 1, 2, 3])).toEqual([null, 2, 2, 4]);
    expect(rate([0, 0, 5], [0, 0, 10])).toEqual([null, null, 0.5]);
    expect(rate([0, 1], [7, 7])).toEqual([null, null]);
    expect(rate(null, [1])).toBe(null);
  });

  it('add up to the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { minLength: 2, maxLength: 50 }), (steps) => {
        let [a, c] = [0, 0];
        const sums = [[0, 0], ...steps.map(([da, dc]) => [(a += da), (c += dc)])];
        const rates = rate(
          sums.map(([over]) => over),
          sums.map(([, under]) => under),
        );
        const present = (rates ?? []).filter((value) => value !== null);
        if (c > 0 && steps[steps.length - 1][1] > 0) expect(present.length).toBeGreaterThan(0);
        for (const value of present) expect(value).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('the model', () => {
  const model = buildModel(sampleRun({ points: 100 }), sampleMetrics);

  it('reads the timelines by name and finds the phase of exits', () => {
    const [trace] = model.traces;
    const { series, cell } = trace.strategies[0];
    expect(series.used[trace.peak]).toBe(Math.max(...series.used));
    expect(series.used.every((used, i) => used + series.free[i] === trace.totalFrames)).toBe(true);
    expect(series.whole).toEqual(cell.fragmentation.map((p) => p.freeBlocks[9] * 512 + p.freeBlocks[10] * 1024));
    expect(trace.exits?.count).toBe(7);
    expect(trace.exits?.row).toBeGreaterThan(80);
  });

  it('takes free blocks from the fragmentation points when the timeline has no such column', () => {
    const run = sampleRun({ traces: 1, points: 20 });
    const cells = run.cells.map((cell) => {
      const index = cell.timeline.columns.indexOf('free_huge_frames');
      return { ...cell, timeline: { columns: cell.timeline.columns.map((name, i) => (i === index ? 'other' : name)), rows: cell.timeline.rows } };
    });
    const without = buildModel({ ...run, cells }, sampleMetrics).traces[0].strategies[0].series.whole;
    expect(without).toEqual(buildModel(run, sampleMetrics).traces[0].strategies[0].series.whole);
  });

  it('draws once what strategies share', () => {
    const { strategies } = model.traces[0];
    expect(sharing(strategies, ({ series }) => series.used)).toHaveLength(1);
    expect(sharing(strategies, ({ series }) => series.whole)).toHaveLength(3);
  });
});

describe('words', () => {
  it('count, list and begin sentences', () => {
    expect([numberWord(3), numberWord(40), capital('all three')]).toEqual(['three', '40', 'All three']);
    expect([listed([]).text, listed(['a']).text, listed(['a', 'b']).text, listed(['a', 'b', 'c']).text]).toEqual(['', 'a', 'a and b', 'a, b and c']);
  });
});

describe('CPUs', () => {
  const row = (cpu: number) => ({ cpu, allocations: 100 + cpu, frees: 60, remote_frees: 7, shared_uses: 40 + cpu, hand_overs: 5 });
  const run = sampleRun({ points: 20 });
  const on = (cpus: number) => {
    const cells = run.cells.map((cell) => ({
      ...cell,
      config: { ...cell.config, cpus },
      cpus: cpus === 1 ? [] : Array.from({ length: cpus }, (_, cpu) => row(cpu)),
    }));
    const [trace] = buildModel({ ...run, cells }, sampleMetrics).traces;
    return { note: cpusSection.note?.(trace), text: cpusSection.body(trace)?.text ?? null };
  };

  it('are a table with a row each and one for all, which names the rule', () => {
    const { note, text } = on(3);
    expect(note).toBe('3 CPUs, each event on its recorded CPU modulo 3');
    expect(text?.match(/<tr>/g)).toHaveLength(1 + 3 * 4);
    // 100 + 101 + 102 allocations; 123 uses in 483 operations.
    expect(text).toContain('<th scope="row" class="t">all</th><td>303</td><td>180</td><td>21</td><td>123</td><td>0.255</td><td>15</td>');
  });

  it('beyond sixteen are summed up', () => {
    expect(on(20).text).toContain('<th scope="row" class="t">CPUs 16 to 19</th>');
  });

  it('are not spoken of when there is one', () => {
    expect(on(1)).toEqual({ note: null, text: null });
  });
});
