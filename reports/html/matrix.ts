/**
 * Strategies and metrics: who is best at what. Over all traces as a table of winners; per trace with every value and bars on one scale a row. Clock values
 * have a winner only where the repeats of the best lie apart from those of all others.
 */
import type { CellTiming } from '../../core/replay/result.js';
import type { Metric } from '../../core/metrics/metric.js';
import { median } from '../csv.js';
import { grouped } from '../format.js';
import { compare, share, winners } from './comparison.js';
import type { Comparison } from './comparison.js';
import { markup, joined } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import type { ReportModel, ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named, plural } from './words.js';

/** More strategies than this do not fit side by side: the table scrolls instead. */
const SIDE_BY_SIDE = 4;

const ARROWS: Readonly<Record<Metric['better'], readonly [string, string]>> = {
  lower: ['↓', 'lower is better,'],
  higher: ['↑', 'higher is better,'],
  none: ['', ''],
};

function unitLine(metric: Metric, unit: string, kind: Comparison['kind'], count: number): Markup {
  const [arrow, words] = ARROWS[metric.better];
  const mark = arrow === '' ? null : markup`<span class="arrow" aria-hidden="true">${arrow}</span><span class="vh">${words}</span> `;
  const parts = [
    unit === '' && metric.unit === 'count' ? 'count' : unit,
    kind === 'level' && count > 1 ? 'level' : '',
    metric.deterministic ? '' : 'clock',
  ].filter((part) => part !== '');
  return markup`<span class="mu">${mark}${parts.join(' · ')}</span>`;
}

interface Row {
  readonly comparison: Comparison;
  readonly notes: readonly Part[];
}

function cellOf(row: Row, i: number): Markup {
  const { comparison } = row;
  const place = comparison.places[i];
  const kind = place === 'best' ? 'b' : place === 'worst' ? 'w' : '';
  const tag = place === 'best' ? '● best' : place === 'worst' ? '○ worst' : '';
  const text = comparison.texts[i];
  const bar =
    text === null ? null : markup`<span class="bar${place === 'best' ? ' b' : ''}" aria-hidden="true"><i style="width:${share(comparison, i)}%"></i></span>`;
  return markup`<td role="cell" class="${kind}">
    <span class="num">${text ?? '–'}</span>${tag === '' ? null : markup`<span class="tag">${tag}</span>`}${bar}${row.notes[i] ?? null}
  </td>`;
}

function rowOf(row: Row, count: number): Markup {
  const { metric, unit, kind } = row.comparison;
  return markup`<tr role="row">
    <th role="rowheader" scope="row" title="${metric.about}"><span class="mn">${metric.title}</span>${unitLine(metric, unit, kind, count)}</th>
    ${row.comparison.values.map((_, i) => cellOf(row, i))}
  </tr>`;
}

function table(trace: ReportTrace, rows: readonly Row[], name: string): Markup {
  const n = trace.strategies.length;
  const heads = trace.strategies.map((strategy) => markup`<th role="columnheader" scope="col">${named(strategy)}</th>`);
  const width = Math.floor(72 / n);
  return markup`<table role="table" class="matrix" style="--n:${Math.min(n, 3)}" aria-label="${name}">
    <colgroup>
      <col />
      ${heads.map(() => markup`<col style="width:${width}%" />`)}
    </colgroup>
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">metric</th>
        ${heads}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => rowOf(row, n))}
    </tbody>
  </table>`;
}

/** The same content for many strategies: one line a metric, to be scrolled. */
function wideTable(trace: ReportTrace, rows: readonly Row[], name: string): Markup {
  const heads = trace.strategies.map((strategy) => markup`<th scope="col">${named(strategy)}</th>`);
  const lines = rows.map(({ comparison }) => {
    const { metric, unit, kind } = comparison;
    const cells = comparison.texts.map((text, i) => {
      const place = comparison.places[i];
      return markup`<td class="${place === 'best' ? 'b' : place === 'worst' ? 'w' : ''}">
        ${text ?? '–'}${place === 'best' ? markup`<span class="tag">● best</span>` : place === 'worst' ? markup`<span class="tag">○ worst</span>` : null}
      </td>`;
    });
    return markup`<tr>
      <th scope="row" title="${metric.about}"><span class="mn">${metric.title}</span>${unitLine(metric, unit, kind, comparison.values.length)}</th>
      ${cells}
    </tr>`;
  });
  return scrolling(
    name,
    markup`<table class="data">
      <thead>
        <tr>
          <th scope="col">metric</th>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>`,
  );
}

const either = (trace: ReportTrace, rows: readonly Row[], name: string): Markup =>
  (trace.strategies.length > SIDE_BY_SIDE ? wideTable : table)(trace, rows, name);

const CLOCKS: readonly (readonly [keyof CellTiming, Metric])[] = [
  [
    'wall_s',
    {
      name: 'wall_s',
      title: 'Wall time',
      unit: 's',
      better: 'lower',
      deterministic: false,
      headline: false,
      about: 'Time from start to end of the cell, decoding included.',
    },
  ],
  [
    'events_per_s',
    {
      name: 'events_per_s',
      title: 'Events per second',
      unit: 'count',
      better: 'higher',
      deterministic: false,
      headline: false,
      about: 'Events of the replay with their decoding over its time.',
    },
  ],
  [
    'max_rss_bytes',
    {
      name: 'max_rss_bytes',
      title: 'Resident memory of the worker',
      unit: 'bytes',
      better: 'lower',
      deterministic: false,
      headline: false,
      about: 'Largest resident set of the process that replayed the cell.',
    },
  ],
];

/** A clock row: medians, spreads as notes, and a winner only if its repeats lie apart from all others'. */
function clockRow(trace: ReportTrace, key: keyof CellTiming, metric: Metric): Row | null {
  if (trace.strategies.some(({ timings }) => timings.length === 0)) return null;
  const all = trace.strategies.map(({ timings }) => timings.map((timing) => timing[key]));
  const cells = trace.strategies.map((strategy, i) => ({ ...strategy, cell: { ...strategy.cell, metrics: { [metric.name]: median(all[i]) } } }));
  const comparison = compare({ ...trace, strategies: cells }, metric);
  const best = comparison.places.indexOf('best');
  const sign = metric.better === 'lower' ? 1 : -1;
  const worstOf = (values: readonly number[]): number => Math.max(...values.map((value) => value * sign));
  const bestOf = (values: readonly number[]): number => Math.min(...values.map((value) => value * sign));
  const apart = best >= 0 && all.every((values, i) => i === best || bestOf(values) > worstOf(all[best]));
  const repeated = all.every((values) => values.length > 2);
  const spreads = all.map((values) => (Math.max(...values) - Math.min(...values)) / 2 / Math.max(1e-12, median(values)));
  const notes = spreads.map((half) =>
    repeated ? markup`<small>± ${grouped(half * 100, half < 0.1 ? 1 : 0)} %${apart ? '' : ', within noise'}</small>` : null,
  );
  const places = apart && repeated ? comparison.places : comparison.places.map(() => 'none' as const);
  return { comparison: { ...comparison, places, kind: apart && repeated ? comparison.kind : 'unranked' }, notes };
}

function reasons(trace: ReportTrace, metrics: readonly Metric[]): Part {
  const why = new Map<string, string[]>();
  for (const metric of metrics) {
    const reason = trace.strategies[0].cell.absent[metric.name];
    if (reason !== undefined) why.set(reason, [...(why.get(reason) ?? []), metric.title]);
  }
  if (why.size === 0) return null;
  return markup`<ul class="why">
    ${[...why].map(([reason, titles]) => markup`<li>– ${titles.join(', ')}: ${reason}.</li>`)}
  </ul>`;
}

function note(model: ReportModel, trace: ReportTrace): Part {
  const { confidence } = trace.strategies[0].cell;
  const trust = `${confidence.level}: ${confidence.reason}`;
  if (trace.strategies.length < 2) return trust;
  const ranked = model.metrics
    .filter((metric) => metric.deterministic)
    .map((metric) => compare(trace, metric))
    .filter(({ kind }) => kind === 'ranked');
  if (ranked.length === 0) return `${trust} · no deterministic metric differs`;
  const wins = trace.strategies.map((strategy) => ({ strategy, n: ranked.filter((comparison) => winners(trace, comparison).includes(strategy)).length }));
  const told = [...wins].sort((a, b) => b.n - a.n).map(({ strategy, n }) => `${strategy.label} ${n}`);
  return `${trust} · best or tied best of the ${ranked.length} deterministic ${plural(ranked.length, 'metric')} that ${ranked.length === 1 ? 'differs' : 'differ'}: ${told.join(', ')}`;
}

function body(model: ReportModel, trace: ReportTrace): Markup {
  const plain = (metrics: readonly Metric[]): Row[] => metrics.map((metric) => ({ comparison: compare(trace, metric), notes: [] }));
  const shown = model.metrics.filter((metric) => metric.deterministic && metric.headline);
  const measured = (metric: Metric): boolean => metric.deterministic || trace.strategies.some(({ cell }) => (cell.metrics[metric.name] ?? null) !== null);
  const rest = model.metrics.filter((metric) => !shown.includes(metric) && measured(metric));
  const clocks = CLOCKS.map(([key, metric]) => clockRow(trace, key, metric)).filter((row) => row !== null);
  const all = wideTable(trace, [...plain(rest), ...clocks.slice(1)], `${trace.name}: the other metrics`);
  const once =
    clocks.length > 0 && trace.strategies.every(({ timings }) => timings.length < 3) && trace.strategies.length > 1
      ? markup`<p class="cap">Timed once: clock values name no winner.</p>`
      : null;
  return markup`${either(trace, [...plain(shown), ...clocks.slice(0, 1)], `${trace.name}: headline metrics by strategy`)}${once}${reasons(trace, shown)}
    <details>
      <summary>${grouped(rest.length + Math.max(0, clocks.length - 1))} more metrics</summary>
      ${all}${reasons(trace, rest)}
    </details>`;
}

export function matrixSection(model: ReportModel): Section {
  return {
    id: 'matrix',
    nav: 'Metrics',
    title: 'Strategies and metrics',
    lead: 'Arrows say which direction is better; bars share one scale within a row. Where a row is level, no strategy can win it: the number belongs to the trace and the architecture.',
    note: (trace) => note(model, trace),
    body: (trace) => body(model, trace),
  };
}

/** Winners of every headline metric over all traces. */
export function overviewTable(model: ReportModel): Markup {
  const shown = model.metrics.filter((metric) => metric.deterministic && metric.headline);
  const rows = shown.map((metric) => {
    const cells = model.traces.map((trace) => {
      const comparison = compare(trace, metric);
      if (comparison.kind === 'level') return markup`<td class="t dim">level</td>`;
      const best = winners(trace, comparison);
      if (best.length === 0) return markup`<td class="t dim">–</td>`;
      const by =
        comparison.factor === Infinity || comparison.factor < 1.005
          ? null
          : markup` <small>${grouped(comparison.factor, comparison.factor < 10 ? 2 : 0)}×</small>`;
      return markup`<td class="t">${joined(best.map(named), ', ')}${by}</td>`;
    });
    return markup`<tr>
      <th scope="row" title="${metric.about}">${metric.title}</th>
      ${cells}
    </tr>`;
  });
  const heads = model.traces.map((trace) => markup`<th scope="col" class="t">${trace.name}</th>`);
  return markup`${scrolling(
    'Winner of each headline metric by trace',
    markup`<table class="data">
        <thead>
          <tr>
            <th scope="col">best at</th>
            ${heads}
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>`,
  )}
    <p class="cap">The strategy that is best, and how many times better than the worst. “level”: all strategies are equal; “–”: nothing to compare.</p>`;
}
