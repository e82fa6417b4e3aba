/** Lines of several strategies over the run in one chart: dashed and marked by strategy, named in the right margin. */
import type { ReportStrategy, ReportTrace } from './model.js';
import { apart, box, drawing, eventAxis, label, linear, linePath, niceRange, path, textWidth, yAxis } from './chart.js';
import type { Box, Point, Scale } from './chart.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { dash, dot } from './strategy.js';
import { shortNames } from './words.js';
import { compact } from '../format.js';

export interface Lines {
  readonly strategies: readonly ReportStrategy[];
  readonly values: readonly (number | null)[];
}

const MARKS = 4;
/** Room for names beside a chart, in its units. */
const MOST_MARGIN = 118;

/** Points on the lines, at different places for different strategies so that marks do not hide each other. */
function marks(line: Lines, points: readonly Point[]): string {
  const { index } = line.strategies[0];
  if (points.length === 0) return '';
  return Array.from({ length: MARKS }, (_, k) => {
    const at = points[Math.min(points.length - 1, Math.floor(((k + 0.5 + (index % 3) * 0.25) / (MARKS + 0.6)) * points.length))];
    return dot(index, at[0], at[1]);
  }).join('');
}

/** What a chart runs along instead of events: where each value is, and the axis. */
export interface Along {
  readonly at: readonly number[];
  readonly axis: (b: Box) => { readonly x: Scale; readonly svg: string };
}

/** The chart; null when no strategy has two points. An axis that does not start at 0 says so. */
export function linesChart(trace: ReportTrace, title: Part, what: string, unit: string, lines: readonly Lines[], along?: Along): Markup | null {
  const drawn = lines.filter(({ values }) => values.filter((value) => value !== null).length > 1);
  if (drawn.length === 0) return null;
  const all = drawn.flatMap(({ values }) => values.filter((value) => value !== null));
  const low = Math.min(...all);
  const high = Math.max(...all);
  const fromZero = low <= 0 || low < high * 0.7 || high === 0;
  // Nearly constant values stay nearly level lines: the axis spans at least a tenth of them.
  const slack = fromZero ? 0 : Math.max(0, high * 0.1 - (high - low)) / 2;
  const ticks = niceRange(fromZero ? 0 : low - slack, high + slack, 4);
  const names = drawn.map((line) => shortNames(line.strategies, trace, 12));
  const lasts = drawn.map(({ values }) => values.filter((value) => value !== null).at(-1) ?? 0);
  const told = drawn.map((_, i) => (drawn.length === 1 ? compact(lasts[i]) : `${names[i]} ${compact(lasts[i])}`));
  // Names that are too long are left to the marks.
  const fits = told.every((text) => textWidth(text, 10.5) + 8 <= MOST_MARGIN);
  const short = fits ? told : lasts.map((value) => compact(value));
  const margin = Math.max(46, ...short.map((text) => textWidth(text, 10.5) + (fits ? 8 : 20)));
  const b = box(184, { left: 42, right: margin, top: 26, bottom: 24 });
  const axis = along === undefined ? eventAxis(b, trace.events) : along.axis(b);
  const y = linear([ticks[0], ticks[ticks.length - 1]], [b.bottom, b.top]);
  const places = apart(
    lasts.map((value) => y(value)),
    13,
    b.top,
    b.bottom,
  );
  const endLabel = (index: number, i: number): string =>
    fits ? label(b.right + 5, places[i] + 4, short[i], 'tk') : dot(index, b.right + 11, places[i]) + label(b.right + 19, places[i] + 4, short[i], 'tk');
  const parts = drawn.map((line, i) => {
    const points = line.values.flatMap((value, k): Point[] => (value === null ? [] : [[axis.x((along?.at ?? line.strategies[0].series.event)[k]), y(value)]]));
    const { index } = line.strategies[0];
    const marked = drawn.length > 1 ? marks(line, points) : '';
    return path(linePath(points), 'ln', drawn.length > 1 ? dash(index) : '') + marked + endLabel(index, i);
  });
  const start = fromZero ? '' : ` (axis starts at ${compact(ticks[0])})`;
  const says = `${what}; at the end ${drawn.map((_, i) => `${names[i]} ${compact(lasts[i])}`).join(', ')} ${unit}`;
  const content = yAxis(b, y, ticks, unit + start) + axis.svg + parts.join('');
  const cursor = along === undefined ? { trace: trace.index, cell: drawn[0].strategies[0].index, events: trace.events } : undefined;
  return markup`<div class="sm">
    <h4>${title}</h4>
    ${drawing(b, says, content, cursor)}
  </div>`;
}

/** Growth of one counter over growth of another between sample points; null where the second stood still. Gathered until it moved enough to mean something. */
export function rate(over: readonly number[] | null, under: readonly number[] | null): (number | null)[] | null {
  if (over === null || under === null || under.length === 0) return null;
  const total = under[under.length - 1] - under[0];
  const least = total / 60;
  let from = 0;
  let last: number | null = null;
  return over.map((value, i) => {
    if (i === 0) return null;
    const grown = under[i] - under[from];
    if (grown > 0 && (grown >= least || i === over.length - 1)) {
      last = (value - over[from]) / grown;
      from = i;
    }
    return last;
  });
}
