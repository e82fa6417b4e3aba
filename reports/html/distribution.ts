/**
 * A distribution as the share of operations that take at least x: a long tail, which a mean hides, is a line that goes far to the right. Both axes are
 * logarithmic and say so. Quantiles are those of the counted values: the smallest value that at least that share of operations stays within.
 */
import type { Distribution } from '../../core/replay/result.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import { sharing } from './model.js';
import { box, drawing, label, linePath, linear, path, px } from './chart.js';
import type { Box, Point, Scale } from './chart.js';
import { along, makeLabels } from './labels.js';
import type { Spot } from './labels.js';
import { markup } from './markup.js';
import type { Markup } from './markup.js';
import { scrolling } from './memory-table.js';
import { dash, dot } from './strategy.js';
import { namedAll, shortNames } from './words.js';
import { compact, grouped } from '../format.js';

const SUPERSCRIPT = '⁰¹²³⁴⁵⁶⁷⁸⁹';

function powerOfTen(exponent: number): string {
  const digits = String(Math.abs(exponent)).replace(/\d/g, (digit) => SUPERSCRIPT[Number(digit)]);
  return `10${exponent < 0 ? '⁻' : ''}${digits}`;
}

function shareText(exponent: number): string {
  if (exponent === 0) return 'all';
  return exponent >= -2 ? `1 in ${grouped(10 ** -exponent)}` : powerOfTen(exponent);
}

export function total(distribution: Distribution): number {
  return distribution.bins.reduce((sum, [, count]) => sum + count, 0);
}

export function mean(distribution: Distribution): number {
  const n = total(distribution);
  return n === 0 ? 0 : distribution.bins.reduce((sum, [value, count]) => sum + value * count, 0) / n;
}

/** The smallest value that at least `part` of the operations do not exceed. */
export function quantile(distribution: Distribution, part: number): number {
  const wanted = total(distribution) * part;
  let seen = 0;
  for (const [value, count] of distribution.bins) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return distribution.bins[distribution.bins.length - 1]?.[0] ?? 0;
}

/** [x, share of operations that take at least x]. */
function tail(distribution: Distribution): Point[] {
  const n = total(distribution);
  let left = n;
  return distribution.bins.map(([value, count]) => {
    const point: Point = [value, left / n];
    left -= count;
    return point;
  });
}

/** A name like pmm_allocate_steps in words. */
export function titleOf(name: string): string {
  if (name === 'walk_refs_per_walk') return 'Table reads per walk';
  const words = name
    .replace(/^pmm_/, '')
    .replace(/_(steps|refs|count)$/, '')
    .replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const distributionOf = (strategy: ReportStrategy, name: string): Distribution | undefined =>
  strategy.cell.distributions.find((d) => d.name === name && total(d) > 0);

interface Axes {
  readonly b: Box;
  readonly x: Scale;
  readonly y: Scale;
  readonly svg: string;
}

/** Both axes logarithmic; operations that examine nothing stand left of those that examine one thing. */
function axesOf(tails: readonly (readonly Point[])[], unit: string): Axes {
  const all = tails.flat();
  const most = Math.log2(Math.max(2, ...all.map(([value]) => value)));
  const lowest = Math.min(-2, Math.floor(Math.log10(Math.min(...all.map(([, part]) => part)))));
  const zero = all.some(([value]) => value < 1);
  const b = box(214, { left: 54, right: 12, top: 26, bottom: 40 });
  const across = linear([zero ? -1 : 0, most], [b.left, b.right]);
  const x = (value: number): number => across(value < 1 ? -1 : Math.log2(value));
  const y = (part: number): number => b.bottom - ((Math.log10(part) - lowest) / -lowest) * (b.bottom - b.top);
  const yStep = Math.ceil(-lowest / 4);
  const shares = Array.from({ length: Math.floor(-lowest / yStep) + 1 }, (_, i) => -i * yStep);
  const xStep = Math.max(1, Math.ceil(most / 7));
  const values = [...(zero ? [0] : []), ...Array.from({ length: Math.floor(most / xStep) + 1 }, (_, i) => 2 ** (i * xStep))];
  const svg = [
    path(shares.map((e) => `M${px(b.left)} ${px(y(10 ** e))}H${px(b.right)}`).join(''), 'grid'),
    ...shares.map((e) => label(b.left - 5, y(10 ** e) + 3.5, shareText(e), 'tk', 'end')),
    path(`M${px(b.left)} ${px(b.bottom)}H${px(b.right)}${values.map((value) => `M${px(x(value))} ${px(b.bottom)}v4`).join('')}`, 'axis'),
    ...values.map((value) => label(x(value), b.bottom + 15, compact(value), 'tk', 'middle')),
    label(0, b.top - 13, 'share of operations that take at least x (log scale)', 'al'),
    label((b.left + b.right) / 2, b.bottom + 33, `${unit}, x (log scale)`, 'al', 'middle'),
  ];
  return { b, x, y, svg: svg.join('') };
}

/** Corners of the falling line: all of a share take more than the value before, so it falls there and runs level to its own value. */
function corners(points: readonly Point[], { b, x, y }: Axes): Point[] {
  const [first] = points;
  const path: Point[] = [[x(first[0]), y(first[1])]];
  points.slice(1).forEach(([value, part], i) => path.push([x(points[i][0]), y(part)], [x(value), y(part)]));
  path.push([x(points[points.length - 1][0]), b.bottom]);
  return path;
}

/** Beside the line's upper parts, then beside its end, then further down. */
function spotsFor(points: readonly Point[], axes: Axes): Spot[] {
  const { b, x, y } = axes;
  if (points.length === 1) return [8, 22, 36, 50].map((up) => ({ x: x(points[0][0]) + 6, y: b.bottom - up, anchor: 'start' }));
  const inner = points.map(([value, part]): Point => [x(value), y(part)]);
  const right = inner.flatMap(([px0, py]): Spot[] => [-4, 4, 14].map((down) => ({ x: px0 + 9, y: py + down, anchor: 'start' })));
  const left = [...inner].reverse().flatMap(([px0, py]): Spot[] => [14, 24, -2].map((down) => ({ x: px0 - 9, y: py + down, anchor: 'end' })));
  return [...right, ...left];
}

/** The chart of one distribution, all strategies in it; null when nobody has it. */
export function tailChart(trace: ReportTrace, name: string): Markup | null {
  const have = trace.strategies.filter((strategy) => distributionOf(strategy, name) !== undefined);
  if (have.length === 0) return null;
  const groups = sharing(have, (strategy) => tail(distributionOf(strategy, name) ?? { name, unit: '', bins: [] }));
  const unit = distributionOf(have[0], name)?.unit ?? '';
  const axes = axesOf(
    groups.map(({ value }) => value),
    unit,
  );
  const labels = makeLabels(axes.b);
  const lines = groups.map(({ value, strategies }) => {
    const { index } = strategies[0];
    const line = corners(value, axes);
    labels.block(along(line));
    const marked = value.filter((_, i) => i === 0 || i === value.length - 1 || Math.log2(i + 1) % 1 === 0);
    return path(linePath(line), 'ln', dash(index)) + marked.map(([at, part]) => dot(index, axes.x(at), axes.y(part))).join('');
  });
  const words = groups.map(({ value, strategies }) => {
    const who = shortNames(strategies, trace);
    const most = compact(value[value.length - 1][0]);
    return labels.place(value.length === 1 ? `${who}: always ${most}` : `${who}: at most ${most}`, spotsFor(value, axes));
  });
  const says = `${titleOf(name)}: ${groups.map(({ value, strategies }) => `${strategies.map((s) => s.label).join(', ')} at most ${value[value.length - 1][0]} ${unit}`).join('; ')}`;
  return markup`<div class="sm"><h4>${titleOf(name)}</h4>${drawing(axes.b, says, axes.svg + lines.join('') + words.join(''))}</div>`;
}

const PARTS: readonly (readonly [string, number])[] = [
  ['median', 0.5],
  ['p95', 0.95],
  ['p99', 0.99],
  ['p99.99', 0.9999],
];

/** Quantiles of distributions, a row each; strategies that do not differ share one. */
export function quantileTable(trace: ReportTrace, names: readonly string[], what: string): Markup {
  const rows = names.flatMap((name) => {
    const have = trace.strategies.filter((strategy) => distributionOf(strategy, name) !== undefined);
    return sharing(have, (strategy) => distributionOf(strategy, name)?.bins ?? []).map(({ value, strategies }) => {
      const distribution: Distribution = { name, unit: '', bins: value };
      const largest = value[value.length - 1][0];
      return markup`<tr>
        <th scope="row">${namedAll(strategies, trace)}</th>
        <td class="t">${titleOf(name).toLowerCase()}</td>
        <td>${grouped(total(distribution))}</td>
        <td>${grouped(mean(distribution), 3)}</td>
        ${PARTS.map(([, part]) => markup`<td>${grouped(quantile(distribution, part))}</td>`)}
        <td>${grouped(largest)}</td>
      </tr>`;
    });
  });
  const table = markup`<table class="data">
    <thead>
      <tr>
        <th scope="col">strategy</th>
        <th scope="col" class="t">operation</th>
        <th scope="col">operations</th>
        <th scope="col">mean</th>
        ${PARTS.map(([name]) => markup`<th scope="col">${name}</th>`)}
        <th scope="col">max</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return scrolling(`${trace.name}: quantiles of ${what}`, table);
}
