/**
 * Blame: how many 2 MiB blocks are broken, what of them compaction cannot mend, and who keeps them from being whole, strategies side by side. The whole list is
 * in blame.csv.
 */
import { FRAME_USES } from '../../core/replay/result.js';
import type { Blame, BlameRow } from '../../core/replay/result.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import { sharing } from './model.js';
import type { ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named, namedAll } from './words.js';
import { bytes, grouped } from '../format.js';

/** Who holds what no process does, by kind; else it is the kernel. */
const HOLDERS: Readonly<Record<string, string>> = { file: 'page cache', shared: 'page cache', movable: 'user or cache', aged: 'others', aged_pinned: 'others' };
/** Holders shown for each moment, and of them at least what cannot be moved. */
const MOST_HOLDERS = 9;
const MOST_PINNED = 3;
const KINDS = FRAME_USES.filter((kind) => kind !== 'free' && kind !== 'reserved');
const MOMENTS = [
  ['peak', 'near the peak'],
  ['end', 'at the end'],
] as const;
type Moment = (typeof MOMENTS)[number][0];

function blockCounts({ kinds }: Blame): readonly number[] {
  return KINDS.map((kind) => kinds.find((entry) => entry.kind === kind)?.blocks ?? 0);
}

/** Broken blocks of each strategy, by the kinds of memory in them. */
function brokenTable(trace: ReportTrace): Markup {
  const all = trace.strategies.flatMap(({ cell }) => [blockCounts(cell.blame.peak), blockCounts(cell.blame.end)]);
  const shown = KINDS.filter((_, i) => all.some((counts) => counts[i] > 0));
  const rows = MOMENTS.flatMap(([moment, words]) =>
    sharing(trace.strategies, ({ cell }) => ({ ...cell.blame[moment], rows: [] })).map(({ value, strategies }) => {
      const counts = blockCounts(value);
      return markup`<tr>
        <th scope="row">${namedAll(strategies, trace)}</th>
        <td class="t">${words}</td>
        <td>${grouped(value.event)}</td>
        <td>${grouped(value.broken_blocks)}</td>
        <td>${grouped(value.pinned_blocks)}</td>
        <td>${bytes(value.free_frames * trace.pageSize)}</td>
        ${shown.map((kind) => markup`<td>${grouped(counts[KINDS.indexOf(kind)])}</td>`)}
      </tr>`;
    }),
  );
  const table = markup`<table class="data">
    <thead>
      <tr class="over">
        <td colspan="3"></td>
        <th scope="colgroup" colspan="3" class="grp">broken 2 MiB blocks</th>
        ${shown.length === 0 ? null : markup`<th scope="colgroup" colspan="${shown.length}" class="grp">of them with frames that are</th>`}
      </tr>
      <tr>
        <th scope="col">strategy</th>
        <th scope="col" class="t">when</th>
        <th scope="col">event</th>
        <th scope="col">all</th>
        <th scope="col">pinned</th>
        <th scope="col">free in them</th>
        ${shown.map((kind) => markup`<th scope="col">${kind.replace('_', ' ')}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return scrolling(`${trace.name}: broken 2 MiB blocks`, table);
}

interface Holder {
  readonly worst: BlameRow;
  /** By strategy; undefined: not among its worst. */
  readonly rows: readonly (BlameRow | undefined)[];
}

const keyOf = ({ pid, mapping, kind }: BlameRow): string => JSON.stringify([pid, mapping, kind]);

/** The holders that are worst on any strategy, worst first. */
function worstHolders(trace: ReportTrace, moment: Moment): Holder[] {
  const lists = trace.strategies.map(({ cell }) => new Map(cell.blame[moment].rows.map((row) => [keyOf(row), row])));
  const keys = new Set(lists.flatMap((list) => [...list.keys()]));
  const holders = [...keys]
    .map((key): Holder => {
      const rows = lists.map((list) => list.get(key));
      const present = rows.filter((row) => row !== undefined);
      return { rows, worst: present.reduce((a, b) => (b.blocks > a.blocks || (b.blocks === a.blocks && b.frames > a.frames) ? b : a)) };
    })
    .sort((a, b) => b.worst.blocks - a.worst.blocks || b.worst.frames - a.worst.frames || (keyOf(a.worst) < keyOf(b.worst) ? -1 : 1));
  const pinned = new Set(holders.filter(({ worst }) => !worst.movable).slice(0, MOST_PINNED));
  return holders.filter((holder, i) => i < MOST_HOLDERS || pinned.has(holder));
}

/** Who holds what no process does: the page cache its files, the kernel the rest. */
function holderName({ pid, command, kind }: BlameRow): Part {
  if (pid === null) return HOLDERS[kind] ?? 'kernel';
  return markup`${command === '' ? 'process' : command} <small>${pid}</small>`;
}

function since(rows: Holder['rows']): string {
  const first = Math.min(...rows.flatMap((row) => (row === undefined ? [] : [row.first_event])));
  return first < 0 ? 'the start' : grouped(first);
}

function holdersTable(trace: ReportTrace, moment: Moment, words: string): Markup | null {
  const holders = worstHolders(trace, moment);
  if (holders.length === 0) return null;
  const cell = (row: BlameRow | undefined): Markup =>
    row === undefined ? markup`<td>–</td>` : markup`<td>${grouped(row.blocks)} <small>${row.alone === 0 ? '' : `${grouped(row.alone)} alone`}</small></td>`;
  const rows = holders.map(
    ({ worst, rows: own }) =>
      markup`<tr>
        <th scope="row">${holderName(worst)}</th>
        <td class="t wrap">${worst.mapping}</td>
        <td class="t">${worst.kind.replace('_', ' ')} ${worst.movable ? null : markup`<small>pinned</small>`}</td>
        <td>${since(own)}</td>
        ${own.map(cell)}
      </tr>`,
  );
  const table = markup`<table class="data">
    <thead>
      <tr class="over">
        <td colspan="4"></td>
        <th scope="colgroup" colspan="${trace.strategies.length}" class="grp">broken blocks with frames of it</th>
      </tr>
      <tr>
        <th scope="col">held by</th>
        <th scope="col" class="t">mapping</th>
        <th scope="col" class="t">kind</th>
        <th scope="col">since event</th>
        ${trace.strategies.map((strategy) => markup`<th scope="col">${named(strategy)}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return markup`<h4>Worst ${words}</h4>
    ${scrolling(`${trace.name}: who keeps blocks broken ${words}`, table)}`;
}

function body(trace: ReportTrace): Markup | null {
  if (trace.strategies.every(({ cell }) => cell.blame.peak.broken_blocks + cell.blame.end.broken_blocks === 0)) return null;
  return markup`${brokenTable(trace)}${MOMENTS.map(([moment, words]) => holdersTable(trace, moment, words))}
    <p class="cap">alone: blocks that would be whole if this holder went. Frames that several refer to are held by the first. –: none, or not among the worst of that strategy. The longer list is in blame.csv.</p>`;
}

export const blameSection: Section = {
  id: 'blame',
  nav: 'Blame',
  title: 'Who keeps 2 MiB blocks broken',
  lead: 'A block is broken when it has free and taken frames. Pinned: some of them (page tables, the kernel heap) cannot be moved, so that compaction cannot make the block whole.',
  body,
  nothing: 'No block is broken.',
};
