/**
 * The terminal's table: one row a cell, one column a headline metric, the best of each column marked within its trace.
 *
 * Plain text of fixed-width columns. A table wider than the terminal is split into groups of columns, each led by the columns that name the cell.
 * Colour only underlines what the `*` says; without it nothing is lost. Widths count UTF-16 units, which is what the texts used here occupy.
 */
import { spreadRule } from '../core/replay/spread.js';
import pc from 'picocolors';
import type { Metric } from '../core/metrics/metric.js';
import { groupByTrace, metricValue } from './cells.js';
import type { StoredCell, StoredRun, TraceGroup } from './cells.js';
import { column } from './format.js';
import { rank } from './ranking.js';

export interface TableOptions {
  /** Columns of the terminal; 120 unless told. */
  readonly width?: number;
  /** Colour codes; false unless told. Only for a terminal. */
  readonly color?: boolean;
}

interface TextColumn {
  readonly header: readonly string[];
  readonly texts: readonly string[];
  readonly marked: readonly boolean[];
  readonly align: 'left' | 'right';
}

const GAP = '  ';
const DEFAULT_WIDTH = 120;
/** Widths at which titles may wrap, most readable first. */
const HEADER_WIDTHS = [16, 14, 12, 10, 8] as const;

/** Words of a title on as few lines as a column of that width allows; a longer word has its line to itself. */
function wrapped(title: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of title.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function metricColumn(groups: readonly TraceGroup<StoredCell>[], metric: Metric, headerWidth: number): TextColumn {
  const values = groups.map((group) => group.cells.map((cell) => metricValue(cell, metric)));
  const shown = column(values.flat(), metric, ' ');
  const marked = values.flatMap((list) => rank(list, metric.better).places.map((place) => place === 'best'));
  const texts = shown.texts.map((text, i) => `${text ?? '-'}${marked[i] ? '*' : ' '}`);
  const width = Math.max(headerWidth, ...texts.map((text) => text.length));
  const title = wrapped(metric.title, width - 1);
  const header = shown.unit === '' ? title : [...title, `(${shown.unit})`];
  // Numbers end in a mark or a blank, so their headers do too.
  return { header: header.map((line) => `${line} `), texts, marked, align: 'right' };
}

function nameColumns(groups: readonly TraceGroup<StoredCell>[]): TextColumn[] {
  const rows = groups.flatMap((group) => group.labels.map((label) => [group.trace, label] as const));
  const none = rows.map(() => false);
  return [
    { header: ['trace'], texts: rows.map(([trace]) => trace), marked: none, align: 'left' },
    { header: ['strategy'], texts: rows.map(([, label]) => label), marked: none, align: 'left' },
  ];
}

const widthOf = (c: TextColumn): number => Math.max(...c.header.map((line) => line.length), ...c.texts.map((text) => text.length));

const widthOfAll = (columns: readonly TextColumn[]): number => columns.reduce((sum, c) => sum + widthOf(c) + GAP.length, -GAP.length);

/** Columns in groups that each fit beside the names; a column wider than that has a group to itself. */
function split(names: readonly TextColumn[], columns: readonly TextColumn[], width: number): TextColumn[][] {
  const groups: TextColumn[][] = [];
  let group: TextColumn[] = [];
  for (const c of columns) {
    if (group.length > 0 && widthOfAll([...names, ...group, c]) > width) {
      groups.push(group);
      group = [];
    }
    group.push(c);
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

function pad(text: string, width: number, align: TextColumn['align']): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width);
}

function drawn(columns: readonly TextColumn[], breaks: ReadonlySet<number>, color: boolean): string[] {
  const paint = pc.createColors(color);
  const widths = columns.map(widthOf);
  const height = Math.max(...columns.map((c) => c.header.length));
  const line = (texts: readonly string[]): string => texts.join(GAP).replace(/\s+$/, '');
  const lines: string[] = [];
  for (let i = 0; i < height; i++) {
    // Headers stand on the rule: short ones begin further down.
    const texts = columns.map((c, k) => pad(c.header[i - height + c.header.length] ?? '', widths[k] ?? 0, c.align));
    lines.push(paint.bold(line(texts)));
  }
  lines.push(paint.dim(widths.map((width) => '-'.repeat(width)).join(GAP)));
  const rows = columns[0]?.texts.length ?? 0;
  for (let r = 0; r < rows; r++) {
    if (breaks.has(r)) lines.push('');
    lines.push(
      line(
        columns.map((c, k) => {
          const text = pad(c.texts[r] ?? '', widths[k] ?? 0, c.align);
          return c.marked[r] ? paint.green(text) : text;
        }),
      ),
    );
  }
  return lines;
}

/** The table of headline metrics, with a legend; ends in a line feed. */
export function renderTable(run: StoredRun, metrics: readonly Metric[], options: TableOptions = {}): string {
  const width = options.width ?? DEFAULT_WIDTH;
  const color = options.color ?? false;
  const groups = groupByTrace(run.cells);
  if (groups.length === 0) return 'no cells\n';
  const names = nameColumns(groups);
  const breaks = new Set<number>();
  let row = 0;
  for (const group of groups) {
    if (row > 0) breaks.add(row);
    row += group.cells.length;
  }
  const headline = metrics.filter((metric) => metric.headline);
  const layouts = HEADER_WIDTHS.map((headerWidth) =>
    split(
      names,
      headline.map((metric) => metricColumn(groups, metric, headerWidth)),
      width,
    ),
  );
  const layout = layouts.reduce((best, other) => (other.length < best.length ? other : best));
  const parts = layout.map((part) => drawn([...names, ...part], breaks, color).join('\n'));
  const doubts = groups.flatMap(({ trace, cells }) => {
    const least = cells.find((cell) => cell.confidence.level !== 'exact')?.confidence;
    return least === undefined ? [] : [`${trace}: ${least.level}: ${least.reason}`];
  });
  const rules = groups.flatMap(({ trace, cells }) => {
    const several = cells.find((cell) => cell.config.cpus > 1)?.config;
    return several === undefined ? [] : [`${trace}: ${several.cpus} CPUs, ${spreadRule(several.spread, several.cpus)}`];
  });
  const notes = [...doubts, ...rules];
  const legend = '* best of its trace (no mark: all equal, or no direction is better)   - the trace cannot give it';
  return `${[...parts, ...(notes.length === 0 ? [] : [notes.join('\n')]), pc.createColors(color).dim(legend)].join('\n\n')}\n`;
}
