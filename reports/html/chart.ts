/**
 * What every chart is made of: a drawing of 300-380 units, so that its text is near 11 px on any screen, with axes that name their units.
 *
 * Numbers in paths have one decimal: a tenth of a unit is less than a pixel shows, and the file stays small.
 */
import { scaleLinear } from 'd3-scale';
import { line } from 'd3-shape';
import { escapeText, raw } from './markup.js';
import type { Markup } from './markup.js';
import { NARROW_SPACE, compact, grouped } from '../format.js';

/** The plot inside a drawing, in its units. */
export interface Box {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export type Scale = (value: number) => number;

export const WIDTH = 360;

export function box(height: number, margins: { left: number; right: number; top: number; bottom: number }, width = WIDTH): Box {
  return { width, height, left: margins.left, right: width - margins.right, top: margins.top, bottom: height - margins.bottom };
}

/** A coordinate as text. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function linear(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const scale = scaleLinear().domain(domain).range(range);
  return (value) => scale(value);
}

/** About how wide a text of that many characters is at 11 units. */
export function textWidth(text: string, size = 11): number {
  return text.length * size * 0.6;
}

export function label(x: number, y: number, text: string, kind: string, anchor: 'start' | 'middle' | 'end' = 'start'): string {
  return `<text x="${px(x)}" y="${px(y)}" class="${kind}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${escapeText(text)}</text>`;
}

export function rect(x: number, y: number, width: number, height: number, kind: string): string {
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(Math.max(0, width))}" height="${px(Math.max(0, height))}" class="${kind}"/>`;
}

export function path(d: string, kind: string, attributes = ''): string {
  return d === '' ? '' : `<path d="${d}" class="${kind}"${attributes}/>`;
}

export type Point = readonly [number, number];

/**
 * What d3-shape draws on: writes relative moves in tenths, which takes half the bytes of absolute ones. Positions are rounded before they are
 * subtracted, so that no error adds up along a line.
 */
function pen(): { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void; closePath(): void; text(): string } {
  let text = '';
  let letter = '';
  let [atX, atY] = [0, 0];
  let [heldX, heldY] = [0, 0];
  const say = (command: string, numbers: readonly number[]): void => {
    const words = numbers.map((tenths) => String(tenths / 10).replace(/^(-?)0\./, '$1.'));
    const joined = words.map((word, i) => (i === 0 && command !== letter ? word : word.startsWith('-') ? word : ` ${word}`)).join('');
    text += (command === letter ? '' : command) + joined;
    letter = command;
  };
  const flush = (): void => {
    if (heldX !== 0 || heldY !== 0) say('l', [heldX, heldY]);
    [heldX, heldY] = [0, 0];
  };
  return {
    moveTo(x, y) {
      flush();
      [atX, atY] = [Math.round(x * 10), Math.round(y * 10)];
      say('M', [atX, atY]);
      letter = 'M';
    },
    lineTo(x, y) {
      const [toX, toY] = [Math.round(x * 10), Math.round(y * 10)];
      const [dx, dy] = [toX - atX, toY - atY];
      [atX, atY] = [toX, toY];
      if (dx === 0 && dy === 0) return;
      // Moves along one axis in one direction become one.
      if ((dy === 0 && heldY === 0 && dx * heldX > 0) || (dx === 0 && heldX === 0 && dy * heldY > 0)) {
        heldX += dx;
        heldY += dy;
        return;
      }
      flush();
      [heldX, heldY] = [dx, dy];
    },
    closePath() {
      flush();
      text += 'z';
      letter = '';
    },
    text() {
      flush();
      return text;
    },
  };
}

/** A line through points already in the drawing's units. */
export function linePath(points: readonly Point[]): string {
  const on = pen();
  line<Point>().context(on)(points);
  return on.text();
}

/** The area between points and a baseline, in the drawing's units. */
export function areaPath(points: readonly Point[], baseline: number): string {
  const start = points[0];
  return start === undefined ? '' : `${linePath(points)}V${px(baseline)}H${px(start[0])}z`;
}

/** Round values from 0 to at least `max`, about `count` of them. */
export function niceTicks(max: number, count = 4): number[] {
  return niceRange(0, max > 0 ? max : 1, count);
}

export function niceRange(min: number, max: number, count = 4): number[] {
  const scale = scaleLinear()
    .domain([min, max === min ? min + 1 : max])
    .nice(count);
  const ticks = scale.ticks(count);
  const [low = min, high = max] = scale.domain();
  if (ticks[0] !== low) ticks.unshift(low);
  if (ticks[ticks.length - 1] !== high) ticks.push(high);
  return ticks;
}

/** Grid lines, their values and, above them, the unit. */
export function yAxis(b: Box, y: Scale, ticks: readonly number[], unit: string, format: (value: number) => string = tickText(ticks)): string {
  const lines = ticks.map((tick) => `M${px(b.left)} ${px(y(tick))}H${px(b.right)}`).join('');
  const values = ticks.map((tick) => label(b.left - 5, y(tick) + 3.5, format(tick), 'tk', 'end')).join('');
  return path(lines, 'grid') + values + label(0, b.top - 13, unit, 'al');
}

/** Formats ticks with as many decimals as their step needs. */
export function tickText(ticks: readonly number[]): (value: number) => string {
  const step = ticks.length < 2 ? 1 : Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0));
  const decimals = Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return (value) =>
    grouped(value, decimals)
      .replace(/(\.\d*?)0+$/, '$1')
      .replace(/\.$/, '');
}

const MAGNITUDES: readonly (readonly [number, string])[] = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
  [1, ''],
];

/** An axis whose last label names the unit: 0, 0.5, 1, 1.5, "2 M events"; `what` is the unit in words. */
export function lengthAxis(b: Box, max: number, what: string): { x: Scale; svg: string } {
  const x = linear([0, Math.max(max, 1)], [b.left, b.right]);
  const [size, prefix] = MAGNITUDES.find(([magnitude]) => max >= magnitude) ?? [1, ''];
  const end = `${compact(max / size)}${prefix === '' ? '' : `${NARROW_SPACE}${prefix}`} ${what}`;
  const room = b.right - textWidth(end, 10.5) - 18;
  const all = scaleLinear()
    .domain([0, max / size])
    .ticks(4);
  const text = tickText(all);
  const ticks = all.filter((tick) => x(tick * size) < room);
  const marks = [...ticks.map((tick) => x(tick * size)), b.right].map((at) => `M${px(at)} ${px(b.bottom)}v4`).join('');
  const values = ticks.map((tick) => label(Math.max(x(tick * size), b.left + 3), b.bottom + 15, text(tick), 'tk', 'middle')).join('');
  return { x, svg: path(`M${px(b.left)} ${px(b.bottom)}H${px(b.right)}${marks}`, 'axis') + values + label(b.right, b.bottom + 15, end, 'tk', 'end') };
}

export const eventAxis = (b: Box, events: number): { x: Scale; svg: string } => lengthAxis(b, events, events === 1 ? 'event' : 'events');

/** Positions moved apart to at least `gap`, within [low, high], in the order given by value; ties keep their order. */
export function apart(positions: readonly number[], gap: number, low: number, high: number): number[] {
  const order = positions.map((at, i) => ({ at, i })).sort((a, b) => a.at - b.at || a.i - b.i);
  let least = low;
  for (const entry of order) {
    entry.at = Math.max(entry.at, least);
    least = entry.at + gap;
  }
  let most = high;
  for (const entry of order.reverse()) {
    entry.at = Math.min(entry.at, most);
    most = entry.at - gap;
  }
  const moved: number[] = [];
  for (const entry of order) moved[entry.i] = entry.at;
  return moved;
}

/** A drawing. `says` is what a reader who cannot see it hears; `time` names the plot for the linked cursor. */
export function drawing(b: Box, says: string, content: string, time?: { readonly trace: number; readonly cell: number; readonly events: number }): Markup {
  const cursor =
    time === undefined
      ? ''
      : ` data-x="${px(b.left)},${px(b.right)},${px(b.top)},${px(b.bottom)}" data-t="${time.trace}" data-c="${time.cell}" data-e="${time.events}"`;
  return raw(`<svg class="ch" viewBox="0 0 ${b.width} ${b.height}" role="img" aria-label="${escapeText(says)}"${cursor}>${content}</svg>`);
}
