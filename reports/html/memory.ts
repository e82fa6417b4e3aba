/**
 * Memory over time: what frames are used for, stacked, and how much of the free memory is in whole 2 MiB blocks. Layers too thin for that scale have
 * one of their own; what strategies share is drawn once.
 */
import { columnOf, kernelName, sharing } from './model.js';
import type { ReportModel, ReportStrategy, ReportTrace } from './model.js';
import { apart, areaPath, box, drawing, eventAxis, label, linear, linePath, niceTicks, path, px, rect, textWidth, tickText, yAxis } from './chart.js';
import type { Box, Point, Scale } from './chart.js';
import { markup, raw } from './markup.js';
import type { Markup, Part } from './markup.js';
import type { Section } from './section.js';
import { allOf, inUnit, memoryUnit, namedAll, plural } from './words.js';
import type { MemoryUnit } from './words.js';
import { bytes, grouped } from '../format.js';
import { memoryTable, moreTables } from './memory-table.js';

/** Kinds from the bottom of the stack up: the steady ones first. */
const LAYERS = [
  { key: 'file', name: 'file', kind: 'k-file', fill: 'filed', text: 'onfile' },
  { key: 'shared', name: 'shared', kind: 'k-shm', fill: 'k-shm', text: 'inl' },
  { key: 'anonymous', name: 'user anonymous', kind: 'k-anon', fill: 'k-anon', text: 'inl' },
  { key: 'table', name: 'page tables', kind: 'k-pt', fill: 'k-pt', text: 'inl' },
  { key: 'kernel', name: 'kernel heap', kind: 'k-kh', fill: 'k-kh', text: 'inl' },
  { key: 'movable', name: 'movable pages', kind: 'k-mov', fill: 'k-mov', text: 'onmov' },
] as const;

type Layer = (typeof LAYERS)[number];

const nameOf = (layer: Layer, trace: ReportTrace): string => (layer.key === 'kernel' ? kernelName(trace) : layer.name);

const swatch = (content: string): Markup => raw(`<svg viewBox="0 0 16 12" width="16" height="12" aria-hidden="true">${content}</svg>`);
const filled = (kind: string): Markup => swatch(`<rect width="16" height="12" class="${kind}"/>`);

const LEGEND = ['anonymous', 'shared', 'file', 'table', 'kernel', 'movable'].map((key) => LAYERS.find((layer) => layer.key === key)!);

/** The kinds that some trace has. */
export const legendOf = (model: ReportModel): Markup => markup`<ul class="legend" aria-label="Kinds of memory">
  ${LEGEND.filter(({ key }) => model.traces.some(({ strategies }) => strategies.some(({ series }) => series[key].some((n) => n > 0)))).map(
    (layer) => markup`<li>${filled(layer.fill)}${[...new Set(model.traces.map((trace) => nameOf(layer, trace)))].join(', ')}</li>`,
  )}
  <li>${filled('broken')}free, in broken blocks</li>
  <li>${swatch('<rect x=".5" y=".5" width="15" height="11" class="frame"/>')}free, whole 2 MiB</li>
</ul>`;

/** Where a text of that width fits best between two edges: the middle of the thickest stretch, or null when nowhere. */
function placeBetween(
  xs: readonly number[],
  upper: readonly number[],
  lower: readonly number[],
  width: number,
  avoid: number,
): { x: number; y: number } | null {
  let best: { x: number; y: number; room: number } | null = null;
  for (let i = 0; i < xs.length; i++) {
    const middle = xs[i];
    if (middle - width / 2 < xs[0] + 4 || middle + width / 2 > xs[xs.length - 1] - 4 || Math.abs(middle - avoid) < width / 2) continue;
    let top = -Infinity;
    let bottom = Infinity;
    for (let k = 0; k < xs.length; k++) {
      if (Math.abs(xs[k] - middle) > width / 2 + 2) continue;
      top = Math.max(top, upper[k]);
      bottom = Math.min(bottom, lower[k]);
    }
    const room = bottom - top;
    if (room >= 14 && (best === null || room > best.room + 0.5)) best = { x: middle, y: (top + bottom) / 2 + 4, room };
  }
  return best;
}

interface Extent {
  readonly unit: MemoryUnit;
  /** Top of the axis in frames; the whole memory unless that would hide what is used. */
  readonly top: number;
  readonly ticks: readonly number[];
  readonly whole: boolean;
}

function extentOf(trace: ReportTrace): Extent {
  const all = Math.max(1, ...trace.strategies.flatMap(({ series }) => series.used.map((used, i) => used + Math.max(0, series.free[i] - series.whole[i]))));
  // Where little is used, blocks broken by it would take the whole picture: they end at its upper edge instead.
  const most = Math.max(1, ...trace.strategies.flatMap(({ series }) => series.used));
  const need = Math.min(all, most * 3);
  // Aged memory is not drawn: it would be most of the picture, and always the same.
  const room = trace.totalFrames - trace.agedFrames;
  const whole = need > room * 0.45;
  const unit = memoryUnit((whole ? room : need) * trace.pageSize);
  const perUnit = unit.size / trace.pageSize;
  if (whole) return { unit, top: room, ticks: [0, 0.25, 0.5, 0.75, 1].map((part) => part * room), whole };
  const ticks = niceTicks((need * 1.12) / perUnit).map((tick) => tick * perUnit);
  return { unit, top: ticks[ticks.length - 1], ticks, whole };
}

function exitWash(trace: ReportTrace, b: Box, x: Scale, events: readonly number[]): string {
  if (trace.exits === null) return '';
  const from = x(events[trace.exits.row]);
  const text = `${trace.exits.count} exits`;
  const words = b.right - from > textWidth(text) + 6 ? label(b.right - 3, b.top + 12, text, 'tk', 'end') : '';
  return rect(from, b.top, b.right - from, b.bottom - b.top, 'wind') + words;
}

function peakLine(x: number, b: Box, text: string): string {
  const half = textWidth(text) / 2;
  const at = Math.min(Math.max(x, b.left + half - 6), b.right - half);
  return path(`M${px(x)} ${px(b.top - 4)}V${px(b.bottom)}`, 'pk') + label(at, b.top - 8, text, 'lb', 'middle');
}

function stacked(trace: ReportTrace, strategies: readonly ReportStrategy[], extent: Extent): Markup {
  const [strategy] = strategies;
  const { series } = strategy;
  const b = box(214, { left: 42, right: 46, top: 34, bottom: 24 });
  const axis = eventAxis(b, trace.events);
  const y = linear([0, extent.top], [b.bottom, b.top]);
  const clip = (frames: number): number => Math.max(b.top, y(frames));
  const xs = series.event.map((event) => axis.x(event));
  const edge = (values: readonly number[]): Point[] => values.map((value, i) => [xs[i], clip(value)]);

  const sums: { layer: Layer; upper: number[]; lower: number[] }[] = [];
  let below = series.event.map(() => 0);
  for (const layer of LAYERS) {
    const upper = series[layer.key].map((frames, i) => frames + below[i]);
    sums.push({ layer, upper, lower: below });
    below = upper;
  }
  const broken = series.free.map((free, i) => series.used[i] + Math.max(0, free - series.whole[i]));

  const brokenArea = areaPath(edge(broken), b.bottom);
  let shapes = path(brokenArea, 'broken') + path(linePath(edge(broken)), 'edge');
  for (const { layer, upper } of [...sums].reverse()) {
    if (series[layer.key].every((frames) => frames === 0)) continue;
    shapes += path(areaPath(edge(upper), b.bottom), layer.fill);
  }
  const sampled = Math.max(...series.used);
  const peakFrames = Math.max(sampled, strategy.cell.metrics['frames_peak'] ?? 0);
  const peakAt = axis.x(series.event[series.used.indexOf(sampled)]);
  const words = sums.map(({ layer, upper, lower }) => {
    const at = placeBetween(xs, upper.map(clip), lower.map(clip), textWidth(nameOf(layer, trace)) + 10, peakAt);
    return at === null ? '' : label(at.x, at.y, nameOf(layer, trace), layer.text, 'middle');
  });
  const total = series.event.map(() => extent.top);
  for (const [name, upper, lower] of [
    ['free, broken', broken, series.used],
    ['free, whole 2 MiB', total, broken],
  ] as const) {
    const at = placeBetween(xs, upper.map(clip), lower.map(clip), textWidth(name) + 10, peakAt);
    if (at !== null) words.push(label(at.x, at.y, name, 'lb halo', 'middle'));
  }

  const last = series.event.length - 1;
  const ends = [
    { frames: series.used[last], middle: series.used[last] / 2, kind: 'tk' },
    { frames: broken[last] - series.used[last], middle: (broken[last] + series.used[last]) / 2, kind: 'strong' },
    { frames: series.whole[last], middle: (broken[last] + Math.max(extent.top, broken[last])) / 2, kind: 'tk' },
  ].filter(({ frames }) => frames > 0);
  const places = apart(
    ends.map(({ middle }) => clip(middle)),
    13,
    b.top + 4,
    b.bottom - 2,
  );
  const endTexts = ends.map(({ frames, kind }, i) => label(b.right + 5, places[i] + 4, inUnit(frames, trace.pageSize, extent.unit), kind));

  const perUnit = extent.unit.size / trace.pageSize;
  const format = tickText(extent.ticks.map((tick) => tick / perUnit));
  const content = [
    exitWash(trace, b, axis.x, series.event),
    yAxis(b, y, extent.ticks, extent.unit.name, (tick) => format(tick / perUnit)),
    shapes,
    ...words,
    axis.svg,
    peakLine(peakAt, b, `peak ${bytes(peakFrames * trace.pageSize)}`),
    label(b.width, b.top - 13, 'at end', 'al', 'end'),
    ...endTexts,
  ];
  const says = `${strategy.label}: memory in use over ${grouped(trace.events)} events, at most ${bytes(peakFrames * trace.pageSize)}, at the end ${bytes(series.used[last] * trace.pageSize)}`;
  return markup`<div class="sm">
    <h4>${namedAll(strategies, trace)}</h4>
    ${drawing(b, says, content.join(''), { trace: trace.index, cell: strategy.index, events: trace.events })}
  </div>`;
}

/** A thin layer on a scale of its own. */
function thinLayer(trace: ReportTrace, strategies: readonly ReportStrategy[], layer: Layer): Markup {
  const { series } = strategies[0];
  const values = series[layer.key];
  const unit = memoryUnit(Math.max(...values) * trace.pageSize);
  const perUnit = unit.size / trace.pageSize;
  const b = box(112, { left: 42, right: 46, top: 26, bottom: 24 });
  const axis = eventAxis(b, trace.events);
  const ticks = niceTicks((Math.max(...values) * 1.05) / perUnit, 3);
  const y = linear([0, ticks[ticks.length - 1]], [b.bottom, b.top]);
  const points = values.map((frames, i): Point => [axis.x(series.event[i]), y(frames / perUnit)]);
  const most = Math.max(...values);
  const [mx, my] = points[values.indexOf(most)];
  const text = `max ${inUnit(most, trace.pageSize, unit)} ${unit.name}`;
  const leftwards = mx + textWidth(text) + 8 > b.right;
  const line = layer.kind.replace('k-', 'l-');
  const end = values[values.length - 1];
  const content = [
    exitWash(trace, b, axis.x, series.event).replace(/<text.*/, ''),
    yAxis(b, y, ticks, unit.name),
    path(areaPath(points, b.bottom), `${layer.kind} soft`),
    path(linePath(points), line),
    axis.svg,
    `<circle cx="${px(mx)}" cy="${px(my)}" r="2.4" class="dot"/>`,
    label(mx + (leftwards ? -6 : 6), Math.max(my - 4, b.top - 2), text, 'lb halo', leftwards ? 'end' : 'start'),
    label(b.width, b.top - 13, 'at end', 'al', 'end'),
    label(b.right + 5, y(end / perUnit) + 4, inUnit(end, trace.pageSize, unit), 'tk'),
  ];
  const who = strategies.length === trace.strategies.length ? '' : `, ${strategies.map((s) => s.label).join(', ')}`;
  const says = `${nameOf(layer, trace)}${who}: at most ${bytes(most * trace.pageSize)}, at the end ${bytes(end * trace.pageSize)}`;
  const sub: Part = strategies.length === trace.strategies.length ? null : markup` <span class="sub">${namedAll(strategies, trace)}</span>`;
  const drawn = drawing(b, says, content.join(''), { trace: trace.index, cell: strategies[0].index, events: trace.events });
  return markup`<div class="sm">
    <h4>
      <svg class="mk" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true"><rect width="10" height="10" class="${layer.kind}" /></svg>
      ${nameOf(layer, trace)}${sub}
    </h4>
    ${drawn}
  </div>`;
}

/** Kinds that are there but take less than a twentieth of the axis. */
function thinLayers(trace: ReportTrace, extent: Extent): Markup[] {
  return LAYERS.flatMap((layer) => {
    const most = Math.max(...trace.strategies.flatMap(({ series }) => series[layer.key]));
    if (most === 0 || most > extent.top / 20 || (trace.pages && layer.key === 'table')) return [];
    return sharing(trace.strategies, ({ series }) => series[layer.key]).map((group) => thinLayer(trace, group.strategies, layer));
  });
}

function caption(trace: ReportTrace, extent: Extent): Part {
  const wash = trace.exits === null ? '' : ` Shaded: the last ${trace.exits.count} processes exit.`;
  const [{ cell, series }] = trace.strategies;
  const inUse = bytes(Math.max(...series.used) * trace.pageSize);
  const highest = bytes((cell.metrics['frames_peak'] ?? 0) * trace.pageSize);
  const between =
    cell.metrics['frames_peak'] === undefined || inUse === highest
      ? ''
      : ` It lay between two sample points; pictures and tables show the highest of these, with ${inUse} in use.`;
  const scale = extent.whole
    ? ''
    : ` The axis ends at ${bytes(extent.top * trace.pageSize)} of ${bytes((trace.totalFrames - trace.agedFrames) * trace.pageSize)}; what lies above is free.`;
  const aged = trace.agedFrames === 0 ? '' : ` Not drawn: ${bytes(trace.agedFrames * trace.pageSize)} of aged memory, in use by others.`;
  return markup`<p class="cap">Stacked by kind; the dotted line is the peak.${between}${wash}${scale}${aged}</p>`;
}

function body(trace: ReportTrace): Markup | null {
  if (trace.strategies.every(({ series }) => series.event.length < 2)) return null;
  const drawn = trace.strategies.filter(({ series }) => series.event.length > 1);
  const extent = extentOf(trace);
  const thin = thinLayers(trace, extent);
  const layers =
    thin.length === 0
      ? null
      : markup`<div class="grid3">${thin}</div>
          <p class="cap">The thin layers, each on a scale of its own.</p>`;
  return markup`<div class="grid3">${sharing(drawn, ({ series }) => series).map(({ strategies }) => stacked(trace, strategies, extent))}</div>
    ${caption(trace, extent)}${layers}${memoryTable(trace)}${moreTables(trace)}`;
}

function note(trace: ReportTrace): Part {
  const uses = sharing(trace.strategies, ({ series }) => series.used);
  const memory = bytes(trace.totalFrames * trace.pageSize);
  const equal = uses.length === 1 && trace.strategies.length > 1 ? `; ${allOf(trace)} use the same number of frames at every moment` : '';
  const processes = columnOf(trace.strategies[0].cell, 'processes_count');
  const alive =
    processes === null || trace.pages ? '' : `, ${grouped(Math.max(...processes))} ${plural(Math.max(...processes), 'process', 'processes')} at once`;
  return `${memory}${alive}${equal}`;
}

export const memorySection = (model: ReportModel): Section => ({
  id: 'memory',
  nav: 'Memory',
  title: 'Memory over time',
  lead: 'What frames are used for. Of the free part, the hatched band is free memory that cannot be had as a whole 2 MiB block.',
  legend: legendOf(model),
  note,
  body,
});
