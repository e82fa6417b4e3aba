/**
 * What an importer of a foreign format is: one file in traces/formats/ that exports a `TraceFormat`, and one line in traces/registry.ts.
 *
 * The driver (traces/import.ts) opens the input, unpacks gzip and zstd, asks every format how sure it is by content, then calls `import` once.
 * Importing is a push from the input: `await input.forEachLine(...)` calls back synchronously for each line, and the function goes on after the last one:
 *
 *     async import(input, sink, context) {
 *       const parser = makeParser(sink, context);
 *       await input.forEachLine((line, number) => parser.line(line, number));
 *       return parser.end();                       // the TraceHeader
 *     }
 *
 * Errors: "not mine" is `detect` = 0. "Mine but broken as a whole" (no header, another version) throws UserError that begins with `input.where(number)`.
 * A single line that cannot be understood is `sink.loss(cause, input.where(number))`: counted by cause, an error in strict mode. Keep causes few and free of
 * numbers and names (they are the keys of the loss table). Anything else thrown is a defect.
 */
import type { EventSink, TraceHeader } from './event.js';

/** Bytes of the unpacked input that `detect` may look at. */
export const HEAD_BYTES = 65536;

/** One file of an input, unpacked. Can be read once. */
export interface InputPart {
  /** Path as the user gave it, for messages. */
  readonly file: string;
  /** Unpacked bytes; a chunk is valid only until the next one is asked for. Chunks end anywhere, also within a line or a character. */
  chunks(): AsyncIterable<Buffer>;
}

/**
 * The unpacked bytes of an input. Usually one file; several (the parts of one recording, in order) are read as if they were one, each with lines counted from 1.
 * Everything here can be read once.
 */
export interface LineInput {
  /** The first file's path as the user gave it. */
  readonly file: string;
  readonly parts: readonly InputPart[];
  /**
   * Calls back for every line, without its `\n` or `\r\n`, numbered from 1 in each file. A missing newline at the end makes no difference; a UTF-8 byte order
   * mark is skipped. `line` is decoded as latin1 (one character a byte, fast): what is kept (paths, command names) goes through `decodeText`.
   * A line of more than 16 MiB is a UserError.
   */
  forEachLine(callback: (line: string, number: number) => void): Promise<void>;
  /** `file:line` of a line of the file that is being read now. */
  where(line: number): string;
}

export interface ImportContext {
  /** Path as the user gave it. */
  readonly file: string;
  /** The first loss is an error (the sink sees to it; importers need this only where they would otherwise repair silently). */
  readonly strict: boolean;
  /** Content of a file in the same folder (`truth.csv`, `files.csv`), unpacked, decoded as UTF-8; null when there is none. At most 256 MiB. */
  sideFile(name: string): Promise<string | null>;
  /** Something the user should know that loses nothing (shown once, not counted). */
  warn(message: string): void;
}

export interface TraceFormat {
  /** As in `--format NAME` and `TraceHeader.source`: lower case, no blanks. */
  readonly name: string;
  /** For `framewalk list formats`: what writes it. */
  readonly title: string;
  /** Where the format is specified. */
  readonly source: string;
  /**
   * How sure, 0 (not mine) to 1, that input that begins with `head` is in this format. `head` is the first HEAD_BYTES unpacked bytes as latin1, without a byte
   * order mark; it may end within a line. Judge by content: `fileName` (last component) is only a tie-breaker. Never throws.
   */
  detect(head: string, fileName: string): number;
  /** Pushes every event into `sink` and returns the header. */
  import(input: LineInput, sink: EventSink, context: ImportContext): Promise<TraceHeader>;
}

/** The UTF-8 text of a latin1-decoded string, as a string of its own (a slice would keep the whole chunk it was cut from alive). */
export function decodeText(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}

/** A `TraceHeader` with everything unknown, to be completed. */
export function emptyHeader(source: string): TraceHeader {
  return {
    source,
    captured: { heap: false, freePointers: false, mappings: false, processes: false, touches: 'none', samples: false },
    clock: 'none',
    pageSize: 4096,
    kernel: {},
    provenance: {},
  };
}
