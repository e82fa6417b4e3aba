/** Page tables: what each level costs at the peak and at the end, and how the overhead goes over time. Strategies that do not differ share a ledger. */
import type { TableLevel } from '../../core/replay/result.js';
import { columnOf, sharing } from './model.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import { apart, areaPath, box, drawing, eventAxis, label, linear, linePath, niceTicks, path, px, textWidth, yAxis } from './chart.js';
import type { Box, Point, Scale } from './chart.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import { dash, lineSample } from './strategy.js';
import { NO_SPACES } from './section.js';
import type { Section } from './section.js';
import { bytes, compact, grouped } from '../format.js';
import { namedAll } from './words.js';

const ENTRY_BYTES = 8;
/** Height of a chart. */
const HEIGHT = 132;

/** Bytes that one table of a level maps when full: level 1 maps a page an entry. */
function spanOf(level: number, pageSize: number): number {
  const entries = pageSize / ENTRY_BYTES;
  return pageSize * entries ** level;
}

const percent = (part: number, whole: number): string => (whole === 0 ? '–' : `${grouped((part / whole) * 100, 1)} %`);

interface Ledger {
  readonly peak: readonly TableLevel[];
  readonly end: readonly TableLevel[];
  /** Frames of user memory at the two moments. */
  readonly userPeak: number;
  readonly userEnd: number;
}

function ledgerOf({ cell, series }: ReportStrategy): Ledger {
  const user = (row: number): number => (series.anonymous[row] ?? 0) + (series.file[row] ?? 0) + (series.shared[row] ?? 0);
  const row = series.used.indexOf(Math.max(...series.used));
  return { peak: cell.tables.peak, end: cell.tables.end, userPeak: user(row), userEnd: user(series.used.length - 1) };
}

function perMapped(tables: number, userFrames: number, pageSize: number): string {
  if (userFrames === 0) return '–';
  return grouped((tables * pageSize * 2 ** 20) / (userFrames * pageSize));
}

function ledgerTable(trace: ReportTrace, strategies: readonly ReportStrategy[], ledger: Ledger): Markup {
  const capacity = trace.pageSize / ENTRY_BYTES;
  const rows = [...ledger.peak]
    .sort((a, b) => a.level - b.level)
    .map((level) => {
      const end = ledger.end.find((other) => other.level === level.level);
      const fill = level.tables === 0 ? 0 : (level.entries / (level.tables * capacity)) * 100;
      return markup`<tr>
        <th scope="row">${level.name} <small>level ${level.level}, spans ${bytes(spanOf(level.level, trace.pageSize))}</small></th>
        <td>${grouped(level.tables)}</td>
        <td>${grouped(level.entries)}</td>
        <td>
          ${percent(level.entries, level.tables * capacity)}<span class="bar in" aria-hidden="true"><i style="width:${grouped(fill, 1)}%"></i></span>
        </td>
        <td>${perMapped(level.tables, ledger.userPeak, trace.pageSize)}</td>
        <td>${grouped(end?.tables ?? 0)}</td>
        <td>${percent(end?.entries ?? 0, (end?.tables ?? 0) * capacity)}</td>
        <td>${perMapped(end?.tables ?? 0, ledger.userEnd, trace.pageSize)}</td>
      </tr>`;
    });
  const sum = (levels: readonly TableLevel[]): number => levels.reduce((total, level) => total + level.tables, 0);
  const total = markup`<tr class="sum">
    <th scope="row">all levels</th>
    <td>${grouped(sum(ledger.peak))}</td>
    <td></td>
    <td></td>
    <td>${perMapped(sum(ledger.peak), ledger.userPeak, trace.pageSize)}</td>
    <td>${grouped(sum(ledger.end))}</td>
    <td></td>
    <td>${perMapped(sum(ledger.end), ledger.userEnd, trace.pageSize)}</td>
  </tr>`;
  const who = strategies.length === trace.strategies.length ? null : markup`<h4>${namedAll(strategies, trace)}</h4>`;
  const table = markup`<table class="data">
    <thead>
      <tr class="over">
        <td></td>
        <th scope="colgroup" colspan="4" class="grp">at the peak</th>
        <th scope="colgroup" colspan="3" class="grp">at the end</th>
      </tr>
      <tr>
        <th scope="col">table</th>
        <th scope="col">frames</th>
        <th scope="col">entries used</th>
        <th scope="col">occupancy</th>
        <th scope="col">bytes / mapped MiB</th>
        <th scope="col">frames</th>
        <th scope="col">occupancy</th>
        <th scope="col">bytes / mapped MiB</th>
      </tr>
    </thead>
    <tbody>
      ${rows}${total}
    </tbody>
  </table>`;
  return markup`${who}${scrolling(`${trace.name}: page tables by level`, table)}`;
}

interface Extra {
  /** What is said at the largest value, if not the value itself. */
  readonly most?: string;
  /** A second line in percent, on a scale of its own at the right. */
  readonly percent?: readonly number[];
}

/** The second line, dashed ink, with its scale in place of the end value. */
function percentLine(values: readonly number[], events: readonly number[], b: Box, x: Scale): string {
  const y = linear([0, 100], [b.bottom, b.top]);
  const points = values.map((value, i): Point => [x(events[i]), y(value)]);
  const ticks = [0, 50, 100].map((tick) => label(b.right + 5, y(tick) + 3.5, tick === 100 ? '100 %' : String(tick), 'tk'));
  return path(linePath(points), 'ln thin', ' stroke-dasharray="3 2.5"') + ticks.join('') + label(b.width, b.top - 13, 'occupied', 'al', 'end');
}

/** One area chart: values over events with the largest marked. */
function areaChart(
  trace: ReportTrace,
  strategy: ReportStrategy,
  title: Part,
  what: string,
  values: readonly number[],
  unit: string,
  extra: Extra = {},
): Markup {
  const b = box(HEIGHT, { left: 42, right: 46, top: 26, bottom: 24 });
  const axis = eventAxis(b, trace.events);
  const most = Math.max(...values);
  const ticks = niceTicks(most * 1.02, 3);
  const y = linear([0, ticks[ticks.length - 1]], [b.bottom, b.top]);
  const points = values.map((value, i): Point => [axis.x(strategy.series.event[i]), y(value)]);
  const [mx, my] = points[values.indexOf(most)];
  const text = extra.most ?? `max ${compact(most)}`;
  const leftwards = mx + textWidth(text) + 8 > b.right;
  const end = values[values.length - 1];
  const content = [
    yAxis(b, y, ticks, unit),
    path(areaPath(points, b.bottom), 'k-pt soft'),
    path(linePath(points), 'l-pt'),
    axis.svg,
    `<circle cx="${px(mx)}" cy="${px(my)}" r="2.4" class="dot"/>`,
    label(mx + (leftwards ? -6 : 6), Math.max(my - 4, b.top - 2), text, 'lb halo', leftwards ? 'end' : 'start'),
    extra.percent === undefined
      ? label(b.width, b.top - 13, 'at end', 'al', 'end') + label(b.right + 5, y(end) + 4, compact(end), 'tk')
      : percentLine(extra.percent, strategy.series.event, b, axis.x),
  ];
  const says = `${what}: at most ${compact(most)} ${unit}, at the end ${compact(end)}`;
  return markup`<div class="sm">
    <h4>${title}</h4>
    ${drawing(b, says, content.join(''), { trace: trace.index, cell: strategy.index, events: trace.events })}
  </div>`;
}

interface LevelSeries {
  readonly name: string;
  readonly values: readonly number[];
  /** Used entries in percent of what the tables could hold, or null when the timeline does not count them. */
  readonly occupancy: readonly number[] | null;
}

/** Frames of each level over time, leaf tables first. */
function levelSeries(strategy: ReportStrategy, pageSize: number): LevelSeries[] {
  const capacity = pageSize / ENTRY_BYTES;
  return [...strategy.cell.tables.peak]
    .sort((a, b) => a.level - b.level)
    .flatMap(({ name, level }) => {
      const values = columnOf(strategy.cell, `table_frames_level_${level}`);
      const entries = columnOf(strategy.cell, `table_entries_level_${level}`);
      const occupancy = values === null || entries === null ? null : values.map((tables, i) => (tables === 0 ? 0 : (entries[i] / (tables * capacity)) * 100));
      return values === null ? [] : [{ name, values, occupancy }];
    });
}

/** The levels above the leaf tables in one chart: they are few and move together. */
function upperLevels(trace: ReportTrace, strategy: ReportStrategy, who: Part, levels: readonly LevelSeries[]): Markup {
  const b = box(HEIGHT, { left: 42, right: 66, top: 26, bottom: 24 });
  const axis = eventAxis(b, trace.events);
  const ticks = niceTicks(Math.max(...levels.flatMap(({ values }) => values)), 3);
  const y = linear([0, ticks[ticks.length - 1]], [b.bottom, b.top]);
  const ends = levels.map(({ values }) => values[values.length - 1]);
  const places = apart(
    ends.map((end) => y(end)),
    13,
    b.top,
    b.bottom,
  );
  const lines = levels.map(({ name, values }, i) => {
    const points = values.map((value, k): Point => [axis.x(strategy.series.event[k]), y(value)]);
    return path(linePath(points), 'l-pt', dash(i)) + label(b.right + 5, places[i] + 4, `${name} ${compact(ends[i])}`, 'tk');
  });
  const says = `tables above the leaf level: ${levels.map(({ name, values }) => `${name} at most ${Math.max(...values)}`).join(', ')}`;
  const content = yAxis(b, y, ticks, 'frames') + axis.svg + lines.join('') + label(b.width, b.top - 13, 'at end', 'al', 'end');
  const names = levels.map(({ name }, i) => markup`${i === 0 ? null : ' '}${lineSample(i, 'l-pt', false)} ${name}`);
  return markup`<div class="sm"><h4>Levels above${who} <span class="sub">${names}</span></h4>${drawing(b, says, content, { trace: trace.index, cell: strategy.index, events: trace.events })}</div>`;
}

function overhead({ series }: ReportStrategy): number[] {
  return series.event.map((_, i) => {
    const user = series.anonymous[i] + series.file[i] + series.shared[i];
    return user === 0 ? 0 : Math.round((series.table[i] / user) * 1e5) / 1e3;
  });
}

/** Shares of the first moments, when a handful of pages needs its first tables, would hide all others: they are cut off and the axis says so. */
function settled(values: readonly number[]): { values: number[]; cut: boolean } {
  const sorted = [...values].sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length * 0.9)] ?? 0;
  const limit = usual * 3;
  const cut = limit > 0 && sorted[sorted.length - 1] > limit;
  return { values: cut ? values.map((value) => Math.min(value, limit)) : [...values], cut };
}

function charts(trace: ReportTrace): Part {
  return sharing(trace.strategies, (strategy) => ({ levels: levelSeries(strategy, trace.pageSize), share: overhead(strategy) })).map(
    ({ value, strategies }) => {
      const [strategy] = strategies;
      if (strategy.series.event.length < 2) return null;
      const { values, cut } = settled(value.share);
      const who = strategies.length === trace.strategies.length ? null : markup` <span class="sub">${namedAll(strategies, trace)}</span>`;

      const [leaf, ...upper] = value.levels;
      const charts = [
        areaChart(
          trace,
          strategy,
          markup`Overhead${who}`,
          'page tables as a share of user memory',
          values,
          '% of user memory',
          cut ? { most: `up to ${compact(Math.max(...value.share))} %, cut off` } : {},
        ),
      ];
      if (leaf !== undefined)
        charts.push(
          areaChart(
            trace,
            strategy,
            markup`${leaf.name}${who} <span class="sub">${leaf.occupancy === null ? null : 'dashed: share of entries used'}</span>`,
            `${leaf.name} tables`,
            leaf.values,
            'frames',
            leaf.occupancy === null ? {} : { percent: leaf.occupancy },
          ),
        );
      if (upper.length > 0) charts.push(upperLevels(trace, strategy, who, upper));
      return markup`<div class="grid3">${charts}</div>`;
    },
  );
}

function body(trace: ReportTrace): Markup | null {
  if (trace.pages || trace.strategies.every(({ cell }) => cell.tables.peak.length === 0)) return null;
  const ledgers = sharing(trace.strategies, ledgerOf).map(({ value, strategies }) => ledgerTable(trace, strategies, value));
  return markup`${ledgers}${charts(trace)}
    <p class="cap">Frames of tables by level, and all of them as a share of user memory, at the sample points.</p>`;
}

export const tablesSection: Section = {
  id: 'tables',
  nav: 'Tables',
  title: 'Page-table ledger',
  nothing: NO_SPACES,
  lead: 'What each level costs. A table takes one frame however empty it is, so sparse address spaces pay more per mapped byte.',
  body,
};
