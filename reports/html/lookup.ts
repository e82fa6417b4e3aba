/** What finding a page's frame costs: how many table reads a walk takes, how often the TLB misses, over time and in numbers. */
import { columnOf, sharing } from './model.js';
import type { ReportModel, ReportTrace } from './model.js';
import { compare, textWithUnit } from './comparison.js';
import { quantileTable, tailChart, total } from './distribution.js';
import { linesChart, rate } from './lines.js';
import type { Lines } from './lines.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import { NO_SPACES } from './section.js';
import type { Section } from './section.js';
import { namedAll } from './words.js';

/** Distributions of lookups; all others are the PMM's. */
export const isLookup = (name: string): boolean => /walk|lookup|tlb/.test(name);

export function distributionNames(trace: ReportTrace, wanted: (name: string) => boolean): string[] {
  return [...new Set(trace.strategies.flatMap(({ cell }) => cell.distributions.filter((d) => total(d) > 0).map((d) => d.name)))].filter(wanted);
}

function over(trace: ReportTrace, title: string, unit: string, counter: string, factor: number): Markup | null {
  const lines = sharing(
    trace.strategies,
    ({ cell }) => rate(columnOf(cell, counter), columnOf(cell, 'lookups_count'))?.map((value) => (value === null ? null : value * factor)) ?? [],
  );
  return linesChart(
    trace,
    title,
    title,
    unit,
    lines.map(({ value, strategies }): Lines => ({ values: value, strategies })),
  );
}

/** Only metrics of lookups, a row a strategy or one for all. */
function costTable(model: ReportModel, trace: ReportTrace): Part {
  const metrics = model.metrics.filter((metric) => metric.deterministic && (isLookup(metric.name) || metric.name === 'walk_refs'));
  const comparisons = metrics.map((metric) => compare(trace, metric)).filter(({ values }) => values.some((value) => value !== null));
  if (comparisons.length === 0) return null;
  const rows = sharing(trace.strategies, (strategy) => comparisons.map((comparison) => textWithUnit(comparison, strategy.index))).map(
    ({ value, strategies }) =>
      markup`<tr>
        <th scope="row">${namedAll(strategies, trace)}</th>
        ${value.map((text) => markup`<td>${text}</td>`)}
      </tr>`,
  );
  const heads = comparisons.map(
    ({ metric, unit }) =>
      markup`<th scope="col" title="${metric.about}">${metric.title}${unit === '' || unit === '%' ? null : markup`<br /><span class="unit">${unit}</span>`}</th>`,
  );
  return scrolling(
    `${trace.name}: cost of lookups`,
    markup`<table class="data">
      <thead>
        <tr>
          <th scope="col">strategy</th>
          ${heads}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

function missing(model: ReportModel, trace: ReportTrace): Part {
  const reasons = new Set(model.metrics.filter((metric) => isLookup(metric.name)).flatMap((metric) => trace.strategies[0].cell.absent[metric.name] ?? []));
  return reasons.size === 0 ? null : markup`<p class="cap">Not given: ${[...reasons].join('; ')}.</p>`;
}

function body(model: ReportModel, trace: ReportTrace): Markup | null {
  if (trace.pages) return null;
  const { absent } = trace.strategies[0].cell;
  const names = distributionNames(trace, isLookup);
  const tails = names.map((name) => tailChart(trace, name));
  const time = [
    absent['walk_refs_per_lookup'] === undefined ? over(trace, 'Table reads per lookup', 'reads', 'walk_refs', 1) : null,
    absent['tlb_miss_ratio'] === undefined ? over(trace, 'TLB misses', '% of lookups', 'tlb_misses_count', 100) : null,
  ];
  const charts = [...time, ...tails].filter((chart) => chart !== null);
  const costs = costTable(model, trace);
  if (charts.length === 0 && costs === null) return null;
  return markup`<div class="grid3">${charts}</div>
    ${costs}${names.length === 0 ? null : quantileTable(trace, names, 'lookups')}${missing(model, trace)}`;
}

export function lookupSection(model: ReportModel): Section {
  return {
    id: 'lookup',
    nav: 'Lookup',
    title: 'Lookup cost',
    lead: 'Every touch is a lookup: a TLB hit, or a walk that reads one table entry for each level its page-walk caches do not know.',
    nothing: NO_SPACES,
    note: (trace) => (trace.pages ? null : `TLB ${trace.strategies[0].cell.config.tlb}, touches: ${trace.strategies[0].cell.config.touch}`),
    body: (trace) => body(model, trace),
  };
}
