/** What the PMM does for an allocation or a free: how many words or nodes it examines, as a distribution, in quantiles and over time. */
import { columnOf, sharing, sumOf } from './model.js';
import type { ReportTrace } from './model.js';
import { quantileTable, tailChart } from './distribution.js';
import { linesChart, rate } from './lines.js';
import type { Lines } from './lines.js';
import { distributionNames, isLookup } from './lookup.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import type { Section } from './section.js';

function meanOverTime(trace: ReportTrace): Markup | null {
  const lines = sharing(trace.strategies, ({ cell }) => rate(columnOf(cell, 'pmm_steps_count'), sumOf(cell, 'pmm_allocs_count', 'pmm_frees_count')) ?? []);
  return linesChart(
    trace,
    'Mean over time',
    'PMM steps per operation',
    'steps per operation',
    lines.map(({ value, strategies }): Lines => ({ values: value, strategies })),
  );
}

function body(trace: ReportTrace): Markup | null {
  const names = distributionNames(trace, (name) => !isLookup(name));
  const charts = [...names.map((name) => tailChart(trace, name)), meanOverTime(trace)].filter((chart) => chart !== null);
  if (charts.length === 0) return null;
  const caption =
    names.length === 0
      ? null
      : markup`<p class="cap">The lower and further left, the better; a long tail to the right is a latency spike.</p>
          ${quantileTable(trace, names, 'PMM work')}`;
  return markup`<div class="grid3">${charts}</div>
    ${caption}`;
}

export const workSection: Section = {
  id: 'work',
  nav: 'PMM work',
  title: 'PMM work per operation',
  lead: 'Steps are words or nodes examined: counted, not timed, so that they can gate a change without a clock.',
  body,
};
