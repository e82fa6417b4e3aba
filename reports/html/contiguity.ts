/** Contiguity of mappings: how few virtual-to-physical ranges cover what the processes map, strategies side by side. */
import { COVER_PERCENTS, LARGEST_RANGES } from '../../core/replay/result.js';
import type { ProcessContiguity } from '../../core/replay/result.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { scrolling } from './memory-table.js';
import { sharing } from './model.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named, namedAll } from './words.js';
import { bytes, grouped } from '../format.js';

/** Processes shown. */
const MOST_PROCESSES = 10;
/** Place of 99 % in `toCover`, and of 32 ranges in `covered`. */
const SHOWN_PERCENT = COVER_PERCENTS.indexOf(99);
const SHOWN_RANGES = LARGEST_RANGES.indexOf(32);

const percent = (part: number, whole: number): string => (whole === 0 ? '–' : `${grouped((part / whole) * 100, 1)} %`);
const sumOf = (list: readonly ProcessContiguity[], read: (process: ProcessContiguity) => number): number =>
  list.reduce((sum, process) => sum + read(process), 0);

/** All processes together, each by its own ranges. */
function summaryTable(trace: ReportTrace): Markup {
  const rows = sharing(trace.strategies, ({ cell }) => cell.contiguity.map(({ pages, toCover, covered }) => ({ pages, toCover, covered }))).map(
    ({ value, strategies }) => {
      const list = strategies[0].cell.contiguity;
      const pages = sumOf(list, (process) => process.pages);
      return markup`<tr>
        <th scope="row">${namedAll(strategies, trace)}</th>
        ${COVER_PERCENTS.map((_, i) => markup`<td>${grouped(sumOf(list, (process) => process.toCover[i]))}</td>`)}
        ${LARGEST_RANGES.map((_, i) => {
          const part = sumOf(list, (process) => process.covered[i]);
          const width = pages === 0 ? 0 : (part / pages) * 100;
          return markup`<td>
            ${percent(part, pages)}<span class="bar in" aria-hidden="true"><i style="width:${grouped(width, 1)}%"></i></span>
          </td>`;
        })}
        <td>${grouped(value.length)}</td>
      </tr>`;
    },
  );
  const table = markup`<table class="data">
    <thead>
      <tr class="over">
        <td></td>
        <th scope="colgroup" colspan="${COVER_PERCENTS.length}" class="grp">ranges that cover, summed</th>
        <th scope="colgroup" colspan="${LARGEST_RANGES.length}" class="grp">covered by the largest ranges of each process</th>
        <td></td>
      </tr>
      <tr>
        <th scope="col">strategy</th>
        ${COVER_PERCENTS.map((share) => markup`<th scope="col">${share} %</th>`)} ${LARGEST_RANGES.map((n) => markup`<th scope="col">${n}</th>`)}
        <th scope="col">processes</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return scrolling(`${trace.name}: contiguous ranges of all processes`, table);
}

function processTable(trace: ReportTrace): Markup {
  const largest = new Map<number, ProcessContiguity>();
  for (const { cell } of trace.strategies) {
    for (const process of cell.contiguity) if (process.pages > (largest.get(process.pid)?.pages ?? -1)) largest.set(process.pid, process);
  }
  const shown = [...largest.values()].sort((a, b) => b.pages - a.pages || a.pid - b.pid).slice(0, MOST_PROCESSES);
  const of = ({ cell }: ReportStrategy, pid: number): ProcessContiguity | undefined => cell.contiguity.find((process) => process.pid === pid);
  const values = (process: ProcessContiguity | undefined): Markup =>
    process === undefined
      ? markup`<td>–</td><td>–</td>`
      : markup`<td>${grouped(process.toCover[SHOWN_PERCENT])}</td>
          <td>${percent(process.covered[SHOWN_RANGES], process.pages)}</td>`;
  const table = markup`<table class="data">
    <thead>
      <tr class="over">
        <td colspan="3"></td>
        ${trace.strategies.map((strategy) => markup`<th scope="colgroup" colspan="2" class="grp">${named(strategy)}</th>`)}
      </tr>
      <tr>
        <th scope="col">process</th>
        <th scope="col">pid</th>
        <th scope="col">mapped</th>
        ${trace.strategies.map(
          () =>
            markup`<th scope="col">ranges for 99 %</th>
              <th scope="col">32 largest</th>`,
        )}
      </tr>
    </thead>
    <tbody>
      ${shown.map(
        (process) =>
          markup`<tr>
            <th scope="row">${process.command === '' ? '–' : process.command}</th>
            <td>${process.pid}</td>
            <td>${bytes(process.pages * trace.pageSize)}</td>
            ${trace.strategies.map((strategy) => values(of(strategy, process.pid)))}
          </tr>`,
      )}
    </tbody>
  </table>`;
  const more = largest.size > shown.length ? ` The ${MOST_PROCESSES} largest of ${grouped(largest.size)} processes; all are in contiguity.csv.` : '';
  return markup`${scrolling(`${trace.name}: contiguous ranges by process`, table)}
    <p class="cap">Each process near the most pages it had at a sample point; one that lived between two is missing.${more}</p>`;
}

function body(trace: ReportTrace): Markup | null {
  if (trace.strategies.every(({ cell }) => cell.contiguity.length === 0)) return null;
  return markup`${summaryTable(trace)}${processTable(trace)}`;
}

export const contiguitySection: Section = {
  id: 'contiguity',
  nav: 'Contiguity',
  title: 'Contiguity of mappings',
  lead: 'Ranges in which consecutive pages lie in consecutive frames: few large ones are what range TLBs, coalescing TLBs and contiguity-aware paging need.',
  body,
};
