/**
 * Small tables as text: columns aligned for the terminal, or in Markdown for documents. Widths count UTF-16 units, which is what the texts used here occupy.
 */
import pc from 'picocolors';

export interface TextColumn {
  readonly header: string;
  readonly align: 'left' | 'right';
}

/** A cell's text, with a colour for the terminal if it should stand out. */
export type TextCell = string | { readonly text: string; readonly tone: Tone };
export type Tone = 'good' | 'bad' | 'dim';

const GAP = '  ';

const textOf = (cell: TextCell): string => (typeof cell === 'string' ? cell : cell.text);

/** Paints text in a tone; leaves it as it is without colour. */
export function toned(text: string, tone: Tone, color: boolean): string {
  const paint = pc.createColors(color);
  return { good: paint.green, bad: paint.red, dim: paint.dim }[tone](text);
}

/** Header, rule and rows, each line indented and without blanks at its end; ends in a line feed. */
export function alignedTable(columns: readonly TextColumn[], rows: readonly (readonly TextCell[])[], indent = '', color = false): string {
  const widths = columns.map((column, i) => Math.max(column.header.length, ...rows.map((row) => textOf(row[i] ?? '').length)));
  const pad = (text: string, i: number): string => (columns[i].align === 'left' ? text.padEnd(widths[i]) : text.padStart(widths[i]));
  const line = (texts: readonly string[]): string => `${indent}${texts.map(pad).join(GAP)}`.trimEnd();
  const paint = pc.createColors(color);
  const body = rows.map((row) => {
    const plain = line(row.map(textOf));
    const tone = color ? row.find((cell) => typeof cell !== 'string') : undefined;
    return tone === undefined || typeof tone === 'string' ? plain : toned(plain, tone.tone, color);
  });
  const head = [paint.bold(line(columns.map(({ header }) => header))), paint.dim(`${indent}${widths.map((width) => '-'.repeat(width)).join(GAP)}`)];
  return `${[...head, ...body].join('\n')}\n`;
}

/** Identifiers such as MADV_POPULATE_* are code, or they would be read as emphasis. */
const markdownText = (text: string): string => text.replaceAll('|', '\\|').replace(/[\w*]*[_*][\w*]*/g, '`$&`');

/** The same as a Markdown table (GitHub's), padded so that its source reads as a table too. */
export function markdownTable(columns: readonly TextColumn[], rows: readonly (readonly TextCell[])[]): string {
  const texts = rows.map((row) => row.map((cell) => markdownText(textOf(cell))));
  const widths = columns.map((column, i) => Math.max(3, column.header.length, ...texts.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, i) => (columns[i].align === 'left' ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join(' | ')} |`;
  const rule = `| ${columns.map(({ align }, i) => (align === 'left' ? '-'.repeat(widths[i]) : `${'-'.repeat(widths[i] - 1)}:`)).join(' | ')} |`;
  return `${[line(columns.map(({ header }) => header)), rule, ...texts.map(line)].join('\n')}\n`;
}
