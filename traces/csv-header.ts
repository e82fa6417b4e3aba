/**
 * What stands before the rows of a native CSV: `# key: value` lines, which carry the trace's header, and the line of column names.
 *
 * Keys: source, clock, page_size, captured.heap (true, false), captured.free_pointers, captured.mappings, captured.processes, captured.touches (none, user-faults, faults, all),
 * captured.samples, kernel.NAME, provenance.NAME. Other keys are kept as provenance; lines without a key are comments. A value that begins with `"` is a JSON string.
 */
import { Flag, Op, TOUCHES, UserError, type Captured, type EventSink, type TraceHeader } from './event.js';
import { emptyHeader } from './format.js';
import { CSV_COLUMNS, REQUIRED_COLUMNS, type FieldPositions } from './csv-columns.js';

const KEY_LINE = /^#+\s*([A-Za-z0-9_.-]+)\s*:\s*(.*)$/s;

const FLAGS: readonly [key: string, name: 'heap' | 'freePointers' | 'mappings' | 'processes' | 'samples'][] = [
  ['heap', 'heap'],
  ['free_pointers', 'freePointers'],
  ['mappings', 'mappings'],
  ['processes', 'processes'],
  ['samples', 'samples'],
];

/** Collects the header's lines; keys that occur again (in a later part of the recording) change nothing. */
export class HeaderLines {
  private readonly known = new Map<string, string>();

  /** Takes a line that begins with `#`; `where` is for the message about a broken value. */
  add(line: string, where: string): void {
    const match = KEY_LINE.exec(line);
    if (match === null) return;
    const key = match[1] as string;
    const value = readValue((match[2] as string).trim(), where);
    if (key === 'page_size' && !/^[1-9][0-9]{0,9}$/.test(value)) throw new UserError(`${where}: page_size must be a number of bytes, not "${value}"`);
    if (key === 'captured.touches' && !TOUCHES.some((known) => known === value))
      throw new UserError(`${where}: captured.touches must be none, user-faults, faults or all, not "${value}"`);
    if (FLAGS.some(([name]) => key === `captured.${name}`) && value !== 'true' && value !== 'false')
      throw new UserError(`${where}: ${key} must be true or false, not "${value}"`);
    if (!this.known.has(key)) this.known.set(key, value);
  }

  /** The header; what the lines do not say about `captured` is as in `seen`. */
  header(seen: Captured): TraceHeader {
    const header = emptyHeader('csv');
    const captured: Captured = { ...seen };
    for (const [key, value] of this.known) {
      const flag = FLAGS.find(([name]) => key === `captured.${name}`);
      if (flag !== undefined) captured[flag[1]] = value === 'true';
      else if (key === 'captured.touches') captured.touches = value as Captured['touches'];
      else if (key === 'source') header.source = value;
      else if (key === 'clock') header.clock = value;
      else if (key === 'page_size') header.pageSize = Number(value);
      else if (key.startsWith('kernel.')) header.kernel[key.slice('kernel.'.length)] = value;
      else header.provenance[key.startsWith('provenance.') ? key.slice('provenance.'.length) : key] = value;
    }
    header.captured = captured;
    return header;
  }
}

function readValue(text: string, where: string): string {
  if (!text.startsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'string') return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new UserError(`${where}: a value that begins with a quote must be a whole JSON string`);
}

/** The `#` lines of a header, each with its newline. */
export function headerLines(header: TraceHeader): string {
  const lines: [string, string][] = [
    ['source', header.source],
    ['clock', header.clock],
    ['page_size', String(header.pageSize)],
    ...FLAGS.map(([key, name]): [string, string] => [`captured.${key}`, String(header.captured[name])]),
    ['captured.touches', header.captured.touches],
    ...Object.entries(header.kernel).map(([name, value]): [string, string] => [`kernel.${name}`, value]),
    ...Object.entries(header.provenance).map(([name, value]): [string, string] => [`provenance.${name}`, value]),
  ];
  return lines.map(([key, value]) => `# ${key}: ${writeValue(value)}\n`).join('');
}

/** JSON where the plain value would be read as another one. */
const writeValue = (value: string): string => (value.startsWith('"') || value !== value.trim() || /\p{Cc}/u.test(value) ? JSON.stringify(value) : value);

/** What a trace of these counts by op captured, when nobody says. */
export function capturedBy(counts: Float64Array, faultTouches: number, freesWithoutPointer: number): Captured {
  const any = (...ops: Op[]): boolean => ops.some((op) => counts[op] !== 0);
  const touches = (counts[Op.read] as number) + (counts[Op.write] as number) + (counts[Op.fetch] as number);
  const heap = any(Op.malloc, Op.calloc, Op.memalign, Op.realloc, Op.free);
  return {
    heap,
    freePointers: heap && (freesWithoutPointer === 0 || freesWithoutPointer < (counts[Op.free] as number)),
    mappings: any(Op.mmap, Op.munmap, Op.mremap, Op.brk),
    processes: any(Op.fork, Op.vfork, Op.exec, Op.exit),
    touches: touches === 0 ? 'none' : faultTouches === touches ? 'faults' : 'all',
    samples: any(Op.sample),
  };
}

/** Passes events on and counts what `capturedBy` needs. */
export class CountingSink implements EventSink {
  readonly counts = new Float64Array(32);
  private faultTouches = 0;
  private freesWithoutPointer = 0;

  constructor(private readonly sink: EventSink) {}

  push(
    time: number,
    pid: number,
    tid: number,
    op: Op,
    addr: number,
    size: number,
    addr2: number,
    arg: number,
    flags: number,
    cpu: number,
    text?: string,
  ): void {
    this.counts[op] = (this.counts[op] as number) + 1;
    if (op === Op.free && addr === 0) this.freesWithoutPointer++;
    if ((flags & Flag.fault) !== 0 && op >= Op.read && op <= Op.fetch) this.faultTouches++;
    this.sink.push(time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text);
  }

  loss(cause: string, where: string): void {
    this.sink.loss(cause, where);
  }

  captured(): Captured {
    return capturedBy(this.counts, this.faultTouches, this.freesWithoutPointer);
  }
}

/** The line of column names: where each column is. */
export interface CsvLayout {
  columns: number;
  positions: FieldPositions;
  delimiter: number;
  /** Names that are no column of an event. */
  unknown: string[];
}

const DELIMITERS = [',', ';', '\t'] as const;
const QUOTED = /"(?:[^"]|"")*"/g;

/** The character between the fields of a line of names. */
export function delimiterOf(line: string): string {
  const bare = line.replace(QUOTED, '');
  let best: string = DELIMITERS[0];
  for (const delimiter of DELIMITERS) if (bare.split(delimiter).length > bare.split(best).length) best = delimiter;
  return best;
}

/** Column names of a line, without quotes and blanks, in lower case. */
export const columnNames = (line: string, delimiter: string): string[] =>
  line.split(delimiter).map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .replaceAll('""', '"')
      .trim()
      .toLowerCase(),
  );

/** How many of the required columns a line names: what tells a native CSV from another. */
export function knownColumns(line: string): number {
  const names = columnNames(line, delimiterOf(line));
  return CSV_COLUMNS.slice(0, REQUIRED_COLUMNS).filter((name) => names.includes(name)).length;
}

/** The layout that a line of names gives; UserError at `where` when a column is missing or named twice. */
export function readLayout(line: string, where: string): CsvLayout {
  const delimiter = delimiterOf(line);
  const names = columnNames(line, delimiter);
  const positions = new Int32Array(CSV_COLUMNS.length).fill(-1);
  CSV_COLUMNS.forEach((name, kind) => {
    positions[kind] = names.indexOf(name);
    if (positions[kind] === -1 && kind < REQUIRED_COLUMNS)
      throw new UserError(`${where}: column "${name}" is missing; expected ${CSV_COLUMNS.slice(0, REQUIRED_COLUMNS).join(',')}[,text]`);
    if (names.lastIndexOf(name) !== positions[kind]) throw new UserError(`${where}: column "${name}" is there twice`);
  });
  const unknown = names.filter((name) => !(CSV_COLUMNS as readonly string[]).includes(name));
  return { columns: names.length, positions, delimiter: delimiter.charCodeAt(0), unknown };
}
