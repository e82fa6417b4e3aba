/** What several CPUs make of each strategy: who asks for frames, who gives back what another took, how often what they share goes from one to the next. */
import { spreadRule } from '../../core/replay/spread.js';
import { grouped } from '../format.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { scrolling } from './memory-table.js';
import type { ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named } from './words.js';

/** Rows of CPUs that are shown; the others are summed up in one. */
const SHOWN = 16;

type Row = ReportTrace['strategies'][number]['cell']['cpus'][number];

const sum = (rows: readonly Row[], read: (row: Row) => number): number => rows.reduce((total, row) => total + read(row), 0);

function line(name: string, rows: readonly Row[]): Markup {
  const operations = sum(rows, (row) => row.allocations + row.frees);
  const shared = sum(rows, (row) => row.shared_uses);
  const each = operations === 0 ? '-' : (shared / operations).toFixed(3);
  const numbers = [(row: Row) => row.allocations, (row: Row) => row.frees, (row: Row) => row.remote_frees].map((read) => grouped(sum(rows, read)));
  const texts = [...numbers, grouped(shared), each, grouped(sum(rows, (row) => row.hand_overs))];
  return markup`<th scope="row" class="t">${name}</th>${texts.map((text) => markup`<td>${text}</td>`)}`;
}

function body(trace: ReportTrace): Markup | null {
  const have = trace.strategies.filter(({ cell }) => cell.cpus.length > 0);
  if (have.length === 0) return null;
  const rows = have.map((strategy) => {
    const { cpus } = strategy.cell;
    const rest = cpus.slice(SHOWN);
    const lines = [
      line('all', cpus),
      ...cpus.slice(0, SHOWN).map((row) => line(`CPU ${row.cpu}`, [row])),
      ...(rest.length === 0 ? [] : [line(`CPUs ${SHOWN} to ${cpus.length - 1}`, rest)]),
    ];
    return lines.map((cells, i) => markup`<tr>${i === 0 ? markup`<th scope="rowgroup" rowspan="${lines.length}">${named(strategy)}</th>` : null}${cells}</tr>`);
  });
  const heads = ['allocations', 'frees', 'remote frees', 'locks taken', 'a call', 'hand-overs'];
  const table = markup`<table class="data top">
    <thead>
      <tr>
        <th scope="col">strategy</th>
        <th scope="col" class="t">CPU</th>
        ${heads.map((head) => markup`<th scope="col">${head}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return markup`${scrolling(`${trace.name}: the PMM by CPU`, table)}
    <p class="cap">A remote free gives back what another CPU took. A lock taken is a use of what all CPUs share (of words updated without a lock, too); a hand-over is one after another CPU's, when its cache line has to move.</p>`;
}

export const cpusSection: Section = {
  id: 'cpus',
  nav: 'CPUs',
  title: 'CPUs',
  lead: 'How well a strategy keeps CPUs apart: counted, not timed.',
  note: (trace) => {
    const { cpus, spread } = trace.strategies[0].cell.config;
    return cpus === 1 ? null : `${cpus} CPUs, ${spreadRule(spread, cpus)}`;
  },
  nothing: 'Replayed on a single CPU.',
  body,
};
