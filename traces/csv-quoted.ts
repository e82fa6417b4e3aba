/**
 * CSV rows with quotes (RFC 4180: a field that begins with `"` may hold delimiters, newlines and, doubled, quotes), read with csv-parse.
 *
 * Records are told apart here, by the same rules, so that a row csv-parse refuses is one counted loss with its own line, and the rows around it are kept.
 */
import { CsvError, parse } from 'csv-parse/sync';

const QUOTE = 34;
const NEWLINE = 10;
const RETURN = 13;

export interface QuotedRow {
  /** null when the quotes are broken. */
  fields: string[] | null;
  /** Line number of its first line. */
  line: number;
}

interface Span {
  start: number;
  end: number;
  line: number;
}

export interface Split {
  spans: Span[];
  /** Where the first incomplete record begins. */
  end: number;
  /** Its line number. */
  line: number;
}

/** The whole records in [0, length) of `b`, the first of which begins on `line`. */
export function splitRecords(b: Uint8Array, length: number, delimiter: number, line: number): Split {
  const spans: Span[] = [];
  let start = 0;
  let first = line;
  let quoted = false;
  let fieldStart = true;
  for (let i = 0; i < length; i++) {
    const c = b[i];
    if (c === NEWLINE) line++;
    if (quoted) {
      if (c === QUOTE) {
        if (i + 1 < length && b[i + 1] === QUOTE) i++;
        else quoted = false;
      }
    } else if (c === NEWLINE) {
      if (!isEmpty(b, start, i)) spans.push({ start, end: i + 1, line: first });
      start = i + 1;
      first = line;
      fieldStart = true;
      continue;
    } else if (c === QUOTE && fieldStart) quoted = true;
    fieldStart = c === delimiter && !quoted;
  }
  return { spans, end: start, line: first };
}

const isEmpty = (b: Uint8Array, start: number, end: number): boolean => end === start || (end === start + 1 && b[start] === RETURN);

/** The fields of the records that splitRecords found in `b`. */
export function parseRecords(b: Uint8Array, split: Split, delimiter: number): QuotedRow[] {
  const { spans } = split;
  const all = parseBytes(b.subarray(0, split.end), delimiter);
  if (all !== null && all.length === spans.length) return spans.map(({ line }, i) => ({ fields: all[i] as string[], line }));
  return spans.map(({ start, end, line }) => {
    const rows = parseBytes(b.subarray(start, end), delimiter);
    return { fields: rows !== null && rows.length === 1 ? (rows[0] as string[]) : null, line };
  });
}

/** null when csv-parse refuses the bytes. */
function parseBytes(bytes: Uint8Array, delimiter: number): string[][] | null {
  try {
    return parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
      delimiter: String.fromCharCode(delimiter),
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      skip_empty_lines: true,
    });
  } catch (error) {
    if (error instanceof CsvError) return null;
    throw error;
  }
}
