/**
 * Fragmentation per order: the unusable free space index over the run as a heat map, the free blocks at the peak and at the end. An order's index is the share
 * of free memory that a request of that order could not use (Gorman; Linux mm/vmstat.c).
 */
import type { FragmentationPoint } from '../../core/replay/result.js';
import { box, drawing, eventAxis, label, linear, path, px } from './chart.js';
import { linesChart } from './lines.js';
import type { Lines } from './lines.js';
import { markup, raw } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import { columnOf, HUGE_ORDER, sharing } from './model.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import type { Section } from './section.js';
import { named, namedAll } from './words.js';
import { bytes, grouped } from '../format.js';

/** Upper ends of the classes, in thousandths; class 0 is exactly 0. */
const CLASSES = [0, 100, 250, 500, 750, 1000] as const;
/** Columns of a heat map: more than these are narrower than a pixel. */
const COLUMNS = 100;

const classOf = (index: number): number => CLASSES.findIndex((limit) => index <= limit);

const LEGEND = markup`<ul class="legend" aria-label="Unusable free space index">
  ${CLASSES.map(
    (limit, i) =>
      markup`<li>
        ${raw(`<svg viewBox="0 0 16 12" width="16" height="12" aria-hidden="true"><rect width="16" height="12" class="u${i}"/></svg>`)}${
          limit === 0 ? '0' : `to ${(limit / 1000).toFixed(2)}`
        }
      </li>`,
  )}
</ul>`;

/** The worst index of each order within each of COLUMNS stretches of the run; stretches without a sample repeat the one before. */
function columnsOf(points: readonly FragmentationPoint[], events: number, orders: number): number[][] {
  const columns: number[][] = [];
  let next = 0;
  let last = points[0];
  for (let column = 0; column < COLUMNS; column++) {
    const end = (events * (column + 1)) / COLUMNS;
    const worst = Array.from({ length: orders }, (_, order) => last.unusableIndex[order] ?? 0);
    let fresh = true;
    while (next < points.length && points[next].event <= end) {
      last = points[next];
      for (let order = 0; order < orders; order++)
        worst[order] = fresh ? (last.unusableIndex[order] ?? 0) : Math.max(worst[order], last.unusableIndex[order] ?? 0);
      fresh = false;
      next++;
    }
    columns.push(worst);
  }
  return columns;
}

/** Orders whose index is drawn as lines: 32 KiB, 256 KiB, 2 MiB. */
const LINED = [3, 6, HUGE_ORDER];

/** The unusable index of some orders over the run, and how much of free memory is whole, strategies in one chart. */
function overTime(trace: ReportTrace, strategies: readonly ReportStrategy[]): Markup | null {
  // Lines are drawn over the events of the timeline, which has the same sample points.
  const drawn = strategies.filter(({ cell, series }) => cell.fragmentation.length === series.event.length);
  const size = (order: number): string => bytes(2 ** order * trace.pageSize);
  const lines = (read: (strategy: ReportStrategy) => readonly (number | null)[]): Lines[] =>
    sharing(drawn, read).map(({ value, strategies: own }) => ({ values: value, strategies: own }));
  const charts = [
    ...LINED.map((order) =>
      linesChart(
        trace,
        `Unusable at order ${order} (${size(order)})`,
        `Unusable free space index of order ${order}`,
        'of free memory',
        lines(({ cell }) => cell.fragmentation.map(({ unusableIndex }) => (unusableIndex[order] ?? 0) / 1000)),
      ),
    ),
    linesChart(
      trace,
      `Free memory in whole ${size(HUGE_ORDER)} blocks`,
      'Free-huge score',
      'of what could be',
      lines(({ cell }) => columnOf(cell, 'free_huge_ratio') ?? []),
    ),
  ].filter((chart) => chart !== null);
  return charts.length === 0 ? null : markup`<div class="grid4">${charts}</div>`;
}

const ROW = 10.5;

function heatMap(trace: ReportTrace, strategies: readonly ReportStrategy[]): Markup {
  const [strategy] = strategies;
  const points = strategy.cell.fragmentation;
  const orders = points[0].unusableIndex.length;
  const b = box(32 + orders * ROW + 24, { left: 42, right: 46, top: 32, bottom: 24 });
  const axis = eventAxis(b, trace.events);
  const columns = columnsOf(points, trace.events, orders);
  const width = (b.right - b.left) / COLUMNS;
  const top = (order: number): number => b.bottom - (order + 1) * ROW;
  const paths = CLASSES.map(() => '');
  for (let order = 0; order < orders; order++) {
    let run = 0;
    for (let column = 0; column < COLUMNS; column += run) {
      const own = classOf(columns[column][order]);
      run = 1;
      while (column + run < COLUMNS && classOf(columns[column + run][order]) === own) run++;
      paths[own] += `M${px(b.left + column * width)} ${px(top(order))}h${px(run * width)}v${ROW}h${px(-run * width)}z`;
    }
  }
  const gaps = Array.from({ length: orders - 1 }, (_, order) => `M${b.left} ${px(top(order))}H${b.right}`).join('');
  const end = points[points.length - 1];
  const shown = Array.from({ length: orders }, (_, order) => order).filter(
    (order) => order === HUGE_ORDER || (order % 2 === 0 && order !== HUGE_ORDER + 1 && order !== HUGE_ORDER - 1),
  );
  const values = shown.map((order) => {
    const kind = order === HUGE_ORDER ? 'strong' : 'tk';
    return (
      label(b.left - 6, top(order) + ROW - 1.5, String(order), kind, 'end') +
      label(b.right + 5, top(order) + ROW - 1.5, (end.unusableIndex[order] / 1000).toFixed(2), kind)
    );
  });
  const framed = orders > HUGE_ORDER ? `<rect x="${b.left}" y="${px(top(HUGE_ORDER))}" width="${px(b.right - b.left)}" height="${ROW}" class="o9"/>` : '';
  const peakAt = axis.x(strategy.cell.pictures.peak.event);
  const peak =
    path(`M${px(peakAt)} ${px(b.top - 4)}V${px(b.bottom)}`, 'pk') +
    label(Math.min(Math.max(peakAt, b.left + 20), b.right - 20), b.top - 8, 'peak', 'tk', 'middle');
  const names = label(0, b.top - 13, 'order', 'al') + label(b.width, b.top - 13, 'at end', 'al', 'end');
  const says = `${strategy.label}: unusable free space index by order over the run; at the end ${(end.unusableIndex[Math.min(HUGE_ORDER, orders - 1)] / 1000).toFixed(2)} at order ${Math.min(HUGE_ORDER, orders - 1)}`;
  const content = paths.map((d, i) => path(d, `u${i}`)).join('') + path(gaps, 'gap') + framed + values.join('') + axis.svg + peak + names;
  return markup`<div class="sm">
    <h4>${namedAll(strategies, trace)}</h4>
    ${drawing(b, says, content, { trace: trace.index, cell: strategy.index, events: trace.events })}
  </div>`;
}

function pointAt(points: readonly FragmentationPoint[], event: number): FragmentationPoint {
  let found = points[0];
  for (const point of points) if (point.event <= event) found = point;
  return found;
}

interface Ends {
  readonly peak: FragmentationPoint;
  readonly end: FragmentationPoint;
}

function endsOf({ cell }: ReportStrategy): Ends {
  return { peak: pointAt(cell.fragmentation, cell.pictures.peak.event), end: cell.fragmentation[cell.fragmentation.length - 1] };
}

/** Free blocks by order: hollow at the peak, filled at the end, on a logarithmic scale that has room for 0. */
function blocksChart(trace: ReportTrace, strategies: readonly ReportStrategy[], most: number): Markup {
  const [strategy] = strategies;
  const { peak, end } = endsOf(strategy);
  const orders = end.freeBlocks.length;
  const b = box(24 + orders * 13 + 40, { left: 42, right: 16, top: 24, bottom: 40 });
  const scale = linear([-1, Math.max(1, Math.log2(most))], [b.left + 6, b.right]);
  const x = (count: number): number => scale(count === 0 ? -1 : Math.log2(count));
  const y = (order: number): number => b.bottom - (order + 0.5) * 13;
  const step = Math.max(2, Math.ceil(Math.log2(most) / 4));
  const ticks = [0, ...Array.from({ length: Math.floor(Math.log2(most) / step) + 1 }, (_, i) => 2 ** (i * step))];
  const grid =
    path(ticks.map((tick) => `M${px(x(tick))} ${b.top}V${b.bottom}`).join(''), 'grid') +
    ticks.map((tick) => label(x(tick), b.bottom + 14, grouped(tick), 'tk', 'middle')).join('');
  let ranges = '';
  let dots = '';
  for (let order = 0; order < orders; order++) {
    const [from, to] = [x(peak.freeBlocks[order] ?? 0), x(end.freeBlocks[order])];
    ranges += `M${px(from)} ${px(y(order))}H${px(to)}`;
    dots += `<circle cx="${px(from)}" cy="${px(y(order))}" r="3.4" class="dot o"/><circle cx="${px(to)}" cy="${px(y(order))}" r="2.6" class="dot"/>`;
  }
  const names = Array.from({ length: orders }, (_, order) =>
    label(b.left - 6, y(order) + 3.5, String(order), order === HUGE_ORDER ? 'strong' : 'tk', 'end'),
  ).join('');
  const says = `${strategy.label}: free blocks by order at the peak and at the end`;
  const titles = label(0, b.top - 9, 'order', 'al') + label((b.left + b.right) / 2, b.bottom + 32, 'free blocks (log scale)', 'al', 'middle');
  return markup`<div class="sm">
    <h4>${namedAll(strategies, trace)} <span class="sub">○ peak ● end</span></h4>
    ${drawing(b, says, grid + path(ranges, 'rng') + dots + names + titles)}
  </div>`;
}

function table(trace: ReportTrace, strategies: readonly ReportStrategy[]): Markup {
  const orders = Math.max(...strategies.map((strategy) => endsOf(strategy).end.unusableIndex.length));
  const columns = Array.from({ length: orders }, (_, order) => order);
  const rows = strategies.flatMap((strategy) =>
    (['peak', 'end'] as const).flatMap((moment) => {
      const point = endsOf(strategy)[moment];
      const row = (what: string, texts: readonly string[]): Markup =>
        markup`<tr>
          <th scope="row">${named(strategy)}</th>
          <td class="t">${moment}</td>
          <td class="t">${what}</td>
          ${texts.map((text) => markup`<td>${text}</td>`)}
        </tr>`;
      return [
        row(
          'unusable',
          columns.map((order) => ((point.unusableIndex[order] ?? 0) / 1000).toFixed(3)),
        ),
        row(
          'fragmentation',
          columns.map((order) => ((point.fragmentationIndex[order] ?? 0) / 1000).toFixed(3)),
        ),
        row(
          'free blocks',
          columns.map((order) => grouped(point.freeBlocks[order] ?? 0)),
        ),
      ];
    }),
  );
  const data = markup`<table class="data">
    <thead>
      <tr class="over">
        <td colspan="3"></td>
        <th scope="colgroup" colspan="${orders}" class="grp">order</th>
      </tr>
      <tr>
        <th scope="col">strategy</th>
        <th scope="col" class="t">at the</th>
        <th scope="col" class="t">what</th>
        ${columns.map((order) => markup`<th scope="col">${order}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return markup`<details>
    <summary>In numbers</summary>
    ${scrolling(`${trace.name}: unusable index and free blocks by order`, data)}
  </details>`;
}

function body(trace: ReportTrace): Markup | null {
  const have = trace.strategies.filter(({ cell }) => cell.fragmentation.length > 1);
  if (have.length === 0) return null;
  const most = Math.max(2, ...have.flatMap((strategy) => [...endsOf(strategy).peak.freeBlocks, ...endsOf(strategy).end.freeBlocks]));
  const said: Part = have
    .map(({ label: name, cell }) => `${name} ${Math.round((cell.fragmentation[cell.fragmentation.length - 1].unusableIndex[HUGE_ORDER] ?? 0) / 10)}\u00a0%`)
    .join(', ');
  return markup`<div class="grid3">${sharing(have, ({ cell }) => cell.fragmentation.map(({ event, unusableIndex }) => [event, unusableIndex])).map(({ strategies }) => heatMap(trace, strategies))}</div>
    ${overTime(trace, have)}
    <p class="cap">At the end a request of order ${HUGE_ORDER} cannot use this much of free memory: ${said}.</p>
    <div class="grid3">${sharing(have, endsOf).map(({ strategies }) => blocksChart(trace, strategies, most))}</div>
    <p class="cap">Free blocks by order at the peak and at the end. Strategies without blocks of their own: what their free frames would merge to. Fragmentation index: -1 = a request would be served, towards 0 it fails for lack of memory, towards 1 because of fragmentation.</p>
    ${table(trace, have)}`;
}

export const fragmentationSection: Section = {
  id: 'fragmentation',
  nav: 'Fragmentation',
  title: 'Fragmentation',
  lead: `Unusable free space index: the share of free memory that a request of that order could not use. 0 = all usable, 1 = none. Order ${HUGE_ORDER} (2 MiB) is framed.`,
  legend: LEGEND,
  body,
};
