/**
 * The native CSV: framewalk's own text form of a trace, written by `framewalk export`, by people and by scripts. Specified in docs/events.md; columns and their
 * limits in traces/csv-columns.ts, header lines in traces/csv-header.ts.
 *
 * Read: commas, semicolons or tabs; LF or CRLF; a UTF-8 byte order mark; columns in any order; quotes as in RFC 4180. Stretches without a quote go through a byte
 * scanner (traces/csv-scan.ts), the others through csv-parse. Not read: other separators, decimal commas, times with a fraction.
 */
import { UserError, type EventSink, type TraceHeader } from '../event.js';
import type { ImportContext, InputPart, LineInput, TraceFormat } from '../format.js';
import { BROKEN_QUOTES, CSV_COLUMNS, pushRow } from '../csv-columns.js';
import { CountingSink, HeaderLines, knownColumns, readLayout, type CsvLayout } from '../csv-header.js';
import { parseRecords, splitRecords } from '../csv-quoted.js';
import { makeCsvScanner, type CsvScanner } from '../csv-scan.js';

const QUOTE = 34;
const NEWLINE = 10;
const HASH = 35;
/** A record of more than this is taken for a quote that is never closed, or for a file that is no text. */
const MAX_RECORD = 1 << 24;
/** Names of so many columns make a line of names (others may be missing: then it is ours, and broken). */
const ENOUGH_COLUMNS = 5;

export const csvFormat: TraceFormat = {
  name: 'csv',
  title: 'native CSV (framewalk export)',
  source: 'docs/events.md',

  detect(head) {
    for (const line of head.split('\n')) {
      if (line.startsWith('#') || line.trim() === '') continue;
      return knownColumns(line) >= ENOUGH_COLUMNS ? 1 : 0;
    }
    return 0;
  },

  async import(input: LineInput, sink: EventSink, context: ImportContext): Promise<TraceHeader> {
    const lines = new HeaderLines();
    const counting = new CountingSink(sink);
    let layout: CsvLayout | null = null;
    for (const part of input.parts) layout = await new PartReader(part, lines, counting, context, layout).read();
    return lines.header(counting.captured());
  },
};

/** Reads one file. What has no newline yet waits in `pending` for the next chunk. */
class PartReader {
  private pending = Buffer.allocUnsafe(1 << 19);
  private length = 0;
  /** Number of the line at the beginning of `pending`. */
  private line = 1;
  private scanner: CsvScanner | null = null;

  constructor(
    private readonly part: InputPart,
    private readonly lines: HeaderLines,
    private readonly sink: EventSink,
    private readonly context: ImportContext,
    /** Of the part before, which holds for this one when it has no line of names. */
    private layout: CsvLayout | null,
  ) {}

  async read(): Promise<CsvLayout> {
    for await (const chunk of this.part.chunks()) {
      this.append(chunk);
      this.consume(this.take());
    }
    if (this.length > 0) this.last();
    if (this.layout === null || this.scanner === null) throw new UserError(`${this.part.file}: no line of column names; expected ${CSV_COLUMNS.join(',')}`);
    return this.layout;
  }

  private where(line: number): string {
    return `${this.part.file}:${line}`;
  }

  private append(chunk: Uint8Array): void {
    const needed = this.length + chunk.length + 1;
    if (needed > this.pending.length) {
      const larger = Buffer.allocUnsafe(needed * 2);
      this.pending.copy(larger, 0, 0, this.length);
      this.pending = larger;
    }
    this.pending.set(chunk, this.length);
    this.length += chunk.length;
  }

  /** Drops the first `bytes` of what is pending. */
  private consume(bytes: number): void {
    if (bytes > 0) this.pending.copyWithin(0, bytes, this.length);
    this.length -= bytes;
    if (this.length > MAX_RECORD)
      throw new UserError(`${this.where(this.line)}: a record of more than ${MAX_RECORD >> 20} MiB begins here; is a quote never closed?`);
  }

  /** Reads every whole record that is pending and returns the bytes they took. */
  private take(): number {
    const names = this.takeHeader();
    if (this.scanner === null || this.layout === null || names === this.length) return names;
    const rows = this.pending.subarray(names, this.length);
    const quote = rows.indexOf(QUOTE);
    if (quote >= 0) return names + this.takeQuoted(rows, this.layout);
    const end = rows.lastIndexOf(NEWLINE) + 1;
    this.line = this.scanner.scan(rows, 0, end, this.line);
    return names + end;
  }

  private takeQuoted(rows: Uint8Array, layout: CsvLayout): number {
    const split = splitRecords(rows, rows.length, layout.delimiter, this.line);
    for (const { fields, line } of parseRecords(rows, split, layout.delimiter)) {
      const cause = fields === null ? BROKEN_QUOTES : pushRow(fields, layout.columns, layout.positions, this.sink);
      if (cause !== null) this.sink.loss(cause, this.where(line));
    }
    this.line = split.line;
    return split.end;
  }

  /** What follows the last newline, as if one followed it. */
  private last(): void {
    this.pending[this.length++] = NEWLINE;
    const taken = this.take();
    if (taken < this.length) throw new UserError(`${this.where(this.line)}: the file ends within quotes that are opened in this record; it may be cut off`);
  }

  /** Reads comments and the line of names, once per file; returns the bytes they took. */
  private takeHeader(): number {
    let at = 0;
    while (this.scanner === null) {
      const end = this.pending.subarray(0, this.length).indexOf(NEWLINE, at);
      if (end < 0) return at;
      let line = this.pending.toString('utf8', at, end);
      if (this.line === 1 && line.charCodeAt(0) === 0xfeff) line = line.slice(1);
      line = line.trimEnd();
      if (line.charCodeAt(0) === HASH) this.lines.add(line, this.where(this.line));
      else if (line !== '') {
        if (this.layout !== null && knownColumns(line) < ENOUGH_COLUMNS) {
          this.startRows(this.layout);
          return at;
        }
        this.layout = readLayout(line, this.where(this.line));
        const { unknown } = this.layout;
        if (unknown.length > 0)
          this.context.warn(`${this.where(this.line)}: unknown ${unknown.length === 1 ? 'column' : 'columns'} ignored: ${unknown.join(', ')}`);
        this.startRows(this.layout);
      }
      at = end + 1;
      this.line++;
    }
    return at;
  }

  private startRows(layout: CsvLayout): void {
    this.scanner = makeCsvScanner(layout.columns, layout.positions, layout.delimiter, this.sink, (cause, line) => this.sink.loss(cause, this.where(line)));
  }
}
