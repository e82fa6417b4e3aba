/**
 * Reads rows of the native CSV from bytes in which no quote occurs.
 *
 * Hot (hundreds of megabytes are usual): numbers are taken digit by digit from the bytes, words are looked up by a hash of their bytes, and no string is made. It
 * knows only rows that are plainly right; whatever else it meets is cut into strings and judged by pushRow (traces/csv-columns.ts), which judges quoted rows as
 * well: so both ways accept the same rows with the same values, and name the same causes.
 */
import { type EventSink } from './event.js';
import { addr2IsAddress, flagsByName, Kind, opByName, pushRow, type FieldPositions } from './csv-columns.js';

const NEWLINE = 10;
const RETURN = 13;
const MINUS = 45;
const ZERO = 48;
const SMALL_X = 120;
const LARGE_X = 88;

/** Slots of a word table; far more than there are words, so that collisions are rare. */
const WORD_SLOTS = 4096;
const WORD_BYTES = 128;

/** Values of the words (ops, sets of flags) seen so far, found by their bytes. */
class WordTable {
  /** Bytes of the word in a slot, -1 for none. */
  private readonly lengths = new Int32Array(WORD_SLOTS).fill(-1);
  private readonly bytes = new Uint8Array(WORD_SLOTS * WORD_BYTES);
  private readonly values = new Float64Array(WORD_SLOTS);

  /** `read` gives the value of a word, NaN for none. */
  constructor(private readonly read: (word: string) => number) {}

  /** Value of the bytes [start, end), whose hash is `hash`; NaN when it is no word. */
  find(b: Uint8Array, start: number, end: number, hash: number): number {
    const length = end - start;
    if (length >= WORD_BYTES) return NaN;
    const slot = hash & (WORD_SLOTS - 1);
    const at = slot * WORD_BYTES;
    if (this.lengths[slot] === length) {
      let i = 0;
      while (i < length && this.bytes[at + i] === b[start + i]) i++;
      if (i === length) return this.values[slot] as number;
    }
    const value = this.read(Buffer.from(b.subarray(start, end)).toString('latin1'));
    if (Number.isNaN(value)) return NaN;
    this.lengths[slot] = length;
    for (let i = 0; i < length; i++) this.bytes[at + i] = b[start + i] as number;
    this.values[slot] = value;
    return value;
  }
}

/** 0-15 of a hex digit's byte, 255 of any other. */
const HEX = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  HEX[i.toString(16).charCodeAt(0)] = i;
  HEX[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}

/** Scans rows for one set of columns. */
export class CsvScanner {
  private readonly kinds: Int32Array;
  private readonly ops = new WordTable((word) => opByName(word) || NaN);
  private readonly flags = new WordTable((word) => flagsByName(word) ?? NaN);
  private readonly values = new Float64Array(16);

  /** `columns` fields a row, of which the one of kind k is at positions[k]; `lost` is told the cause and line of a row that is no event. */
  constructor(
    private readonly columns: number,
    private readonly positions: FieldPositions,
    private readonly delimiter: number,
    private readonly sink: EventSink,
    private readonly lost: (cause: string, line: number) => void,
  ) {
    this.kinds = new Int32Array(columns).fill(Kind.unknown);
    positions.forEach((position, kind) => {
      if (position >= 0) this.kinds[position] = kind;
    });
  }

  /** Reads the lines in [start, end) of `b`, which ends with a newline; `line` is the number of the first. Returns the number of the line after the last. */
  scan(b: Uint8Array, start: number, end: number, line: number): number {
    let at = start;
    while (at < end) {
      const next = this.row(b, at);
      if (next >= 0) at = next;
      else at = this.slowRow(b, at, line);
      line++;
    }
    return line;
  }

  /** Pushes the event of the line at `at` and returns where the next line begins; -1, and nothing pushed, when it is not plainly right. */
  private row(b: Uint8Array, start: number): number {
    const { kinds, values, columns, delimiter } = this;
    let at = start;
    let text: string | undefined;
    for (let field = 0; field < columns; field++) {
      const kind = kinds[field] as number;
      let c = b[at] as number;
      if (kind === (Kind.op as number) || kind === (Kind.flags as number)) {
        const from = at;
        let hash = 0;
        while (c !== delimiter && c > RETURN) {
          hash = (Math.imul(hash, 33) + c) | 0;
          c = b[++at] as number;
        }
        const word = at === from && kind === (Kind.flags as number) ? 0 : (kind === (Kind.op as number) ? this.ops : this.flags).find(b, from, at, hash);
        if (word !== word) return -1;
        values[kind] = word;
      } else if (kind === (Kind.text as number) || kind === (Kind.unknown as number)) {
        const from = at;
        while (c !== delimiter && c !== NEWLINE) c = b[++at] as number;
        let to = at;
        if (c === NEWLINE && to > from && b[to - 1] === RETURN) c = b[(at = --to)] as number;
        if (kind === (Kind.text as number) && to > from) text = Buffer.from(b.buffer, b.byteOffset + from, to - from).toString('utf8');
      } else if (c === delimiter || c === NEWLINE || c === RETURN) {
        values[kind] = 0;
      } else {
        let value = 0;
        if (c === ZERO && (b[at + 1] === SMALL_X || b[at + 1] === LARGE_X)) {
          at += 2;
          const from = at;
          let high = 0;
          let low = 0;
          let digit = HEX[b[at] as number] as number;
          while (digit < 16) {
            high = (high << 4) | (low >>> 28);
            low = (low << 4) | digit;
            digit = HEX[b[++at] as number] as number;
          }
          if (at === from || at - from > 16) return -1;
          // Exact in a double: below 2^53, or a pattern of at least -2^53.
          if (high >>> 21 === 0) value = high * 4294967296 + (low >>> 0);
          else if (high >= -2097152 && high < 0 && (kind === (Kind.addr as number) || kind === (Kind.addr2 as number))) value = high * 4294967296 + (low >>> 0);
          else return -1;
        } else {
          const negative = c === MINUS;
          if (negative) c = b[++at] as number;
          const from = at;
          while (c >= ZERO && c <= 57) {
            value = value * 10 + (c - ZERO);
            c = b[++at] as number;
          }
          if (at === from || at - from > 15) return -1;
          if (negative) value = 0 - value;
        }
        values[kind] = value;
        c = b[at] as number;
        if (c !== delimiter && c !== NEWLINE && c !== RETURN) return -1;
      }
      if (field < columns - 1) {
        if (b[at] !== delimiter) return -1;
        at++;
      }
    }
    if (b[at] === RETURN) at++;
    if (b[at] !== NEWLINE) return -1;
    return this.emit(text) ? at + 1 : -1;
  }

  /** Pushes `values` when they are in range: the limits of pushRow. */
  private emit(text: string | undefined): boolean {
    const v = this.values;
    const time = v[Kind.time] as number;
    const pid = v[Kind.pid] as number;
    const tid = v[Kind.tid] as number;
    const op = v[Kind.op] as number;
    const addr = v[Kind.addr] as number;
    const size = v[Kind.size] as number;
    const addr2 = v[Kind.addr2] as number;
    const cpu = v[Kind.cpu] as number;
    if (time < 0 || pid < -1 || pid > 2147483647 || tid < -1 || tid > 2147483647 || size < 0 || cpu < -1 || cpu > 32767) return false;
    // The numbers read here are below 2^53 in magnitude, so addr is canonical.
    if (addr2IsAddress(op) && Math.abs(addr2) > 2 ** 53) return false;
    this.sink.push(time, pid, tid, op, addr, size, addr2, v[Kind.arg] as number, v[Kind.flags] as number, cpu, text);
    return true;
  }

  /** The same for a line that needs a closer look; empty lines are skipped. */
  private slowRow(b: Uint8Array, start: number, line: number): number {
    const end = b.indexOf(NEWLINE, start);
    const stop = end > start && b[end - 1] === RETURN ? end - 1 : end;
    if (stop > start) {
      const fields = Buffer.from(b.buffer, b.byteOffset + start, stop - start)
        .toString('utf8')
        .split(String.fromCharCode(this.delimiter));
      const cause = pushRow(fields, this.columns, this.positions, this.sink);
      if (cause !== null) this.lost(cause, line);
    }
    return end + 1;
  }
}
