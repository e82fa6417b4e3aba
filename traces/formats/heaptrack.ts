/**
 * heaptrack's files (KDE heaptrack; src/track/libheaptrack.cpp and src/interpret/heaptrack_interpret.cpp write them): heap calls of one program. Every number is
 * hexadecimal, each line is a letter and its fields:
 *
 *      v VERSION FORMAT      X COMMAND      I PAGESIZE PAGES      c MILLISECONDS      + SIZE TRACE POINTER      - POINTER           (raw)
 *                                                                a SIZE TRACE        + ALLOCATION      - ALLOCATION         (interpreted)
 *
 * Tables of the call stacks (x m t s i e d), the resident size (R), suppressions (S) and marks (A) say nothing about heap calls and are left out.
 * heaptrack writes realloc as `-` and `+`, and calloc and memalign as `+`: they are malloc here. Its file ends with the program: the process exits at the end.
 * The process is pid 1, as the file does not say which it was; threads are not told apart.
 *
 * Interpreted files have lost the pointers (several blocks of one size and stack are one `a`): malloc and free have address 0 and the allocation's index as `arg`;
 * `captured.freePointers` is false, and only the numbers of calls and bytes can be had from them. Import the raw file (`heaptrack --raw`) to replay it.
 */
import { Flag, Op, UserError, type EventSink, type TraceHeader } from '../event.js';
import { guarded, type Emit } from '../guard.js';
import { decodeText, emptyHeader, type ImportContext, type LineInput, type TraceFormat } from '../format.js';
import { Scanner } from '../scan.js';

const PID = 1;
const MALFORMED = 'line with fields that are missing or not hexadecimal';
const TABLES = new Set('xmtsiedRSA#'.split(''));
/** Formats that raw and interpreted files have had. */
const NEWEST_FORMAT = 3;

class HeaptrackReader {
  private readonly scan = new Scanner();
  private time = 0;
  private raw: boolean | null = null;
  private readonly sizes: number[] = [];
  private readonly live: number[] = [];
  private readonly header = emptyHeader('heaptrack');
  private number = 0;
  private versionSeen = false;
  private readonly emit: Emit;

  constructor(
    private readonly sink: EventSink,
    private readonly input: LineInput,
    private readonly context: ImportContext,
  ) {
    this.emit = guarded(sink, (cause) => this.loss(cause));
  }

  line(line: string, number: number): void {
    this.number = number;
    if (line === '') return;
    const { scan } = this;
    if (line.length > 1 && line.charCodeAt(1) !== 32) {
      this.loss('line that is no letter with fields');
      return;
    }
    scan.over(line, 2);
    const kind = line.charAt(0);
    switch (kind) {
      case '+':
        this.allocated();
        break;
      case '-':
        this.freed();
        break;
      case 'c': {
        const milliseconds = scan.hex();
        if (Number.isNaN(milliseconds)) this.loss(MALFORMED);
        else this.time = milliseconds * 1e6;
        break;
      }
      case 'a': {
        const size = scan.hex();
        if (Number.isNaN(size)) this.loss(MALFORMED);
        this.sizes.push(Number.isNaN(size) ? 0 : size);
        break;
      }
      case 'v':
        this.version();
        break;
      case 'X':
        this.header.provenance.command = decodeText(line.slice(2));
        break;
      case 'I': {
        const pageSize = scan.hex();
        scan.blanks();
        const pages = scan.hex();
        if (pageSize > 0) this.header.pageSize = pageSize;
        if (pages > 0) this.header.provenance.memory_bytes = String(pages * pageSize);
        break;
      }
      default:
        if (!TABLES.has(kind)) this.loss('line of an unknown kind');
    }
  }

  end(): TraceHeader {
    const { header } = this;
    if (!this.versionSeen) throw new UserError(`${this.input.where(1)}: no version line 'v VERSION FORMAT'; expected a file that heaptrack wrote`);
    this.emit(this.time, PID, PID, Op.exit, 0, 0, 0, 0, Flag.group, 0);
    header.captured.heap = true;
    header.captured.freePointers = this.raw !== false;
    header.clock = 'relative';
    if (this.raw === false) {
      this.context.warn(`${this.input.file}: an interpreted heaptrack file has no pointers; record with 'heaptrack --raw' to replay where blocks were`);
    }
    return header;
  }

  private loss(cause: string): void {
    this.sink.loss(cause, this.input.where(this.number));
  }

  private version(): void {
    const { scan } = this;
    scan.hex();
    scan.blanks();
    const format = scan.hex();
    if (format > NEWEST_FORMAT) {
      throw new UserError(
        `${this.input.where(this.number)}: heaptrack file format ${format}; formats up to ${NEWEST_FORMAT} can be read: record with heaptrack 1.5 or older`,
      );
    }
    this.versionSeen = true;
  }

  /** Three fields are a raw file's, one an interpreted one's; files of both kinds at once do not exist. */
  private isRaw(raw: boolean): boolean {
    if (this.raw === null) this.raw = raw;
    return this.raw === raw;
  }

  private allocated(): void {
    const { scan } = this;
    const size = scan.hex();
    if (Number.isNaN(size)) this.loss(MALFORMED);
    else if (scan.at === scan.line.length) {
      // Interpreted: the field is the number of an `a` line.
      if (!this.isRaw(false) || this.sizes[size] === undefined) this.loss(MALFORMED);
      else {
        this.live[size] = (this.live[size] ?? 0) + 1;
        this.emit(this.time, PID, PID, Op.malloc, 0, this.sizes[size] as number, 0, size, 0, 0);
      }
    } else {
      scan.blanks();
      const trace = scan.hex();
      scan.blanks();
      const pointer = scan.hex();
      if (Number.isNaN(trace) || !(pointer > 0) || scan.at !== scan.line.length || !this.isRaw(true)) this.loss(MALFORMED);
      else this.emit(this.time, PID, PID, Op.malloc, pointer, size, 0, 0, 0, 0);
    }
  }

  private freed(): void {
    const { scan } = this;
    const value = scan.hex();
    if (Number.isNaN(value) || scan.at !== scan.line.length) this.loss(MALFORMED);
    else if (this.raw !== false) this.emit(this.time, PID, PID, Op.free, value, 0, 0, 0, 0, 0);
    else if ((this.live[value] ?? 0) === 0) this.loss('free of an allocation that is not live');
    else {
      (this.live[value] as number)--;
      this.emit(this.time, PID, PID, Op.free, 0, 0, 0, value, 0, 0);
    }
  }
}

export const heaptrackFormat: TraceFormat = {
  name: 'heaptrack',
  title: 'heaptrack, raw (--raw) or interpreted: heap calls',
  source: 'https://invent.kde.org/sdk/heaptrack',
  detect(head) {
    return /^v [0-9a-f]+ [0-9a-f]+\r?\n(?:[xXIsmi] |$)/.test(head) ? 0.95 : 0;
  },
  async import(input, sink, context) {
    const reader = new HeaptrackReader(sink, input, context);
    await input.forEachLine((line, number) => reader.line(line, number));
    return reader.end();
  },
};
