/** How each strategy wears over rounds of the same trace in the same memory: contiguity and cost near each round's peak, free memory after it. */
import type { RoundRow } from '../../core/replay/result.js';
import { grouped } from '../format.js';
import { lengthAxis } from './chart.js';
import { linesChart } from './lines.js';
import type { Along } from './lines.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { scrolling } from './memory-table.js';
import { sharing } from './model.js';
import type { ReportTrace } from './model.js';
import type { Section } from './section.js';
import { namedAll } from './words.js';

interface Measure {
  readonly title: string;
  readonly unit: string;
  readonly read: (row: RoundRow) => number | null;
  readonly digits: number;
}

const MEASURES: readonly Measure[] = [
  { title: 'Unusable at 2 MiB, after the round', unit: 'of free memory', read: (row) => row.unusable_free_index_order_9_end, digits: 3 },
  { title: 'Free in whole 2 MiB blocks, after the round', unit: 'of what could be', read: (row) => row.free_huge_score_end, digits: 3 },
  { title: 'Ranges that cover 99 % of what is mapped', unit: 'ranges', read: (row) => row.contiguity_ranges_99, digits: 0 },
  { title: 'PMM steps per operation', unit: 'steps', read: (row) => row.pmm_steps_per_op, digits: 2 },
];

function table(trace: ReportTrace): Markup {
  const groups = sharing(trace.strategies, ({ cell }) => cell.rounds);
  const rows = groups.map(({ value: rounds, strategies }) => {
    const cells = MEASURES.flatMap(({ read, digits }) =>
      [rounds[0], rounds[rounds.length - 1]].map((row) => {
        const value = read(row);
        return markup`<td>${value === null ? '–' : grouped(value, digits)}</td>`;
      }),
    );
    return markup`<tr><th scope="row">${namedAll(strategies, trace)}</th>${cells}</tr>`;
  });
  const last = groups[0].value.length;
  const over = MEASURES.map(({ title }) => markup`<th scope="colgroup" colspan="2" class="grp">${title}</th>`);
  const heads = MEASURES.map(() => markup`<th scope="col">round 1</th><th scope="col">round ${last}</th>`);
  return scrolling(
    `${trace.name}: the first and the last round`,
    markup`<table class="data"><thead><tr class="over"><td></td>${over}</tr><tr><th scope="col">strategy</th>${heads}</tr></thead><tbody>${rows}</tbody></table>`,
  );
}

function body(trace: ReportTrace): Markup | null {
  const rounds = Math.max(0, ...trace.strategies.map(({ cell }) => cell.rounds.length));
  if (rounds < 2) return null;
  const along: Along = { at: Array.from({ length: rounds }, (_, i) => i + 1), axis: (b) => lengthAxis(b, rounds, 'rounds') };
  const charts = MEASURES.map(({ title, unit, read }) => {
    const lines = sharing(trace.strategies, ({ cell }) => cell.rounds.map(read)).map(({ value, strategies }) => ({ values: value, strategies }));
    return linesChart(trace, title, title, unit, lines, along);
  });
  return markup`<div class="grid4">${charts.filter((chart) => chart !== null)}</div>
    ${table(trace)}
    <p class="cap">After a round its programs have ended, and the page cache is left. All numbers of each round are in rounds.csv.</p>`;
}

export const decaySection: Section = {
  id: 'decay',
  nav: 'Decay',
  title: 'Round after round',
  lead: 'The same trace again and again in one memory: what a strategy leaves behind is what the next round finds.',
  note: (trace) => {
    const [{ cell }] = trace.strategies;
    if (cell.rounds.length < 2) return null;
    const lives = trace.strategies.some((strategy) => strategy.cell.config.age.includes(':'));
    return `${cell.rounds.length} rounds${lives ? '; aged memory lives on between them' : ''}`;
  },
  nothing: 'Replayed once.',
  body,
};
