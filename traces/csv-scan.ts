/**
 * Reads rows of the native CSV from bytes in which no quote occurs.
 *
 * Hot (hundreds of megabytes are usual), so one straight function over the columns in the order in which framewalk writes them, closed over its tables, without a
 * string: a loop over columns of any order takes 1.5 times as long. It knows only rows that are plainly right. Whatever else it meets, and rows with other columns
 * first, is cut into strings and judged by pushRow (traces/csv-columns.ts), which judges quoted rows as well: so every way accepts the same rows with the same values
 * and names the same causes.
 */
import type { EventSink, Op } from './event.js';
import { flagsByName, Kind, opByName, pushRow, REQUIRED_COLUMNS, type FieldPositions } from './csv-columns.js';

export interface CsvScanner {
  /** Reads the lines in [start, end) of `bytes`, which ends with a newline; `line` is the number of the first. Returns the number of the line after the last. */
  scan(bytes: Uint8Array, start: number, end: number, line: number): number;
}

const enum Byte {
  newline = 10,
  carriageReturn = 13,
  minus = 45,
  zero = 48,
  smallX = 120,
}

/** Slots of a table of words, far more than there are words, half of them for ops; and the longest word in it, a power of two. */
const WORD_SLOTS = 4096;
const WORD_SHIFT = 7;

/** Makes the scanner for rows of `columns` fields, of which the one of kind k is at positions[k]; `lost` is told the cause and line of a row that is no event. */
export function makeCsvScanner(
  columns: number,
  positions: FieldPositions,
  delimiter: number,
  sink: EventSink,
  lost: (cause: string, line: number) => void,
): CsvScanner {
  const separator = String.fromCharCode(delimiter);
  const usualOrder = positions.slice(0, REQUIRED_COLUMNS).every((position, kind) => position === kind);
  const textAt = positions[Kind.text] as number;
  const numbers = new Float64Array(16);
  const tens = Float64Array.from({ length: 16 }, (_, i) => 10 ** i);
  /** 0-15 of a hex digit's byte, 255 of any other. */
  const hexDigits = new Uint8Array(256).fill(255);
  for (let i = 0; i < 16; i++) {
    hexDigits[i.toString(16).charCodeAt(0)] = i;
    hexDigits[i.toString(16).toUpperCase().charCodeAt(0)] = i;
  }
  /** Words seen so far, by a hash of their bytes: length (-1 for none), bytes, value. */
  const wordLengths = new Int32Array(WORD_SLOTS).fill(-1);
  const wordBytes = new Uint8Array(WORD_SLOTS << WORD_SHIFT);
  const wordValues = new Float64Array(WORD_SLOTS);

  /** Value of the word [from, at), an op or a set of flags; NaN when it is none. */
  function word(b: Uint8Array, from: number, at: number, hash: number, isOp: boolean): number {
    const slot = (hash & (WORD_SLOTS / 2 - 1)) | (isOp ? 0 : WORD_SLOTS / 2);
    const length = at - from;
    if (wordLengths[slot] === length) {
      let known = slot << WORD_SHIFT;
      let i = from;
      while (i < at && wordBytes[known] === b[i]) {
        i = (i + 1) | 0;
        known = (known + 1) | 0;
      }
      if (i === at) return wordValues[slot] as number;
    }
    return newWord(b, from, at, slot, isOp);
  }

  function newWord(b: Uint8Array, from: number, at: number, slot: number, isOp: boolean): number {
    const name = Buffer.from(b.subarray(from, at)).toString('latin1');
    const value = isOp ? opByName(name) || NaN : (flagsByName(name) ?? NaN);
    if (Number.isNaN(value) || at - from > 1 << WORD_SHIFT) return value;
    wordLengths[slot] = at - from;
    wordBytes.set(b.subarray(from, at), slot << WORD_SHIFT);
    wordValues[slot] = value;
    return value;
  }

  /** Reads up to 9 digits, with or without a minus, into numbers[kind]; returns where they end, -1 when there is something else. Nothing is 0. */
  function small(b: Uint8Array, at: number, kind: number): number {
    const negative = b[at] === Byte.minus;
    if (negative) at = (at + 1) | 0;
    const from = at;
    let value = 0;
    let digit = ((b[at] as number) - Byte.zero) | 0;
    while (digit >= 0 && digit < 10) {
      value = (Math.imul(value, 10) + digit) | 0;
      at = (at + 1) | 0;
      digit = ((b[at] as number) - Byte.zero) | 0;
    }
    if (((at - from) | 0) > 9 || (at === from && negative)) return -1;
    numbers[kind] = negative ? (0 - value) | 0 : value;
    return at;
  }

  /** The same for up to 15 digits without a minus: below 2^53. */
  function large(b: Uint8Array, at: number, kind: number): number {
    const from = at;
    let stop = (at + 9) | 0;
    let value = 0;
    let digit = ((b[at] as number) - Byte.zero) | 0;
    while (digit >= 0 && digit < 10 && at < stop) {
      value = (Math.imul(value, 10) + digit) | 0;
      at = (at + 1) | 0;
      digit = ((b[at] as number) - Byte.zero) | 0;
    }
    if (digit < 0 || digit > 9) {
      numbers[kind] = value;
      return at;
    }
    const middle = at;
    stop = (from + 15) | 0;
    let rest = 0;
    while (digit >= 0 && digit < 10 && at < stop) {
      rest = (Math.imul(rest, 10) + digit) | 0;
      at = (at + 1) | 0;
      digit = ((b[at] as number) - Byte.zero) | 0;
    }
    if (digit >= 0 && digit < 10) return -1;
    numbers[kind] = value * (tens[(at - middle) | 0] as number) + rest;
    return at;
  }

  /** An address: decimal, or hex digits behind 0x, of which 16 may be the pattern of a negative number. Exact, or -1. */
  function address(b: Uint8Array, at: number, kind: number): number {
    if (b[at] !== Byte.zero || b[at + 1] !== Byte.smallX) return large(b, at, kind);
    at = (at + 2) | 0;
    const from = at;
    let high = 0;
    let low = 0;
    let digit = hexDigits[b[at] as number] as number;
    let stop = (at + 8) | 0;
    while (digit < 16 && at < stop) {
      high = (high << 4) | digit;
      at = (at + 1) | 0;
      digit = hexDigits[b[at] as number] as number;
    }
    const middle = at;
    stop = (at + 8) | 0;
    while (digit < 16 && at < stop) {
      low = (low << 4) | digit;
      at = (at + 1) | 0;
      digit = hexDigits[b[at] as number] as number;
    }
    const length = (at - from) | 0;
    // 13 digits are 52 bits; 16 are exact when the upper half has no more than 21 bits besides its sign.
    if (length > 0 && length <= 13) numbers[kind] = (high >>> 0) * (1 << ((at - middle) << 2)) + low;
    else if (length === 16 && high >= -2097152 && high < 2097152) numbers[kind] = high * 4294967296 + (low >>> 0);
    else return -1;
    return at;
  }

  /** Pushes the event of the line at `at` and returns where the next line begins; -1, and nothing pushed, when it is not plainly right. */
  function row(b: Uint8Array, at: number): number {
    at = large(b, at, Kind.time);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = small(b, (at + 1) | 0, Kind.pid);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = small(b, (at + 1) | 0, Kind.tid);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = (at + 1) | 0;
    let from = at;
    let hash = 0;
    let c = b[at] as number;
    while (c !== delimiter && c > Byte.carriageReturn) {
      hash = (Math.imul(hash, 33) + c) | 0;
      at = (at + 1) | 0;
      c = b[at] as number;
    }
    const op = word(b, from, at, hash, true);
    if (op !== op || c !== delimiter) return -1;
    at = address(b, (at + 1) | 0, Kind.addr);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = large(b, (at + 1) | 0, Kind.size);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = address(b, (at + 1) | 0, Kind.addr2);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = large(b, (at + 1) | 0, Kind.arg);
    if (at < 0 || b[at] !== delimiter) return -1;
    at = (at + 1) | 0;
    c = b[at] as number;
    let flags = 0;
    if (c !== delimiter) {
      from = at;
      hash = 0;
      while (c !== delimiter && c > Byte.carriageReturn) {
        hash = (Math.imul(hash, 33) + c) | 0;
        at = (at + 1) | 0;
        c = b[at] as number;
      }
      flags = word(b, from, at, hash, false);
      if (flags !== flags || c !== delimiter) return -1;
    }
    at = small(b, (at + 1) | 0, Kind.cpu);
    if (at < 0) return -1;
    let text: string | undefined;
    for (let column = REQUIRED_COLUMNS; column < columns; column++) {
      if (b[at] !== delimiter) return -1;
      at = (at + 1) | 0;
      from = at;
      c = b[at] as number;
      while (c !== delimiter && c !== Byte.newline) {
        at = (at + 1) | 0;
        c = b[at] as number;
      }
      if (c === Byte.newline && at > from && b[at - 1] === Byte.carriageReturn) at = (at - 1) | 0;
      if (column === textAt && at > from) text = Buffer.from(b.buffer, b.byteOffset + from, at - from).toString('utf8');
    }
    if (b[at] === Byte.carriageReturn) at = (at + 1) | 0;
    if (b[at] !== Byte.newline) return -1;
    const pid = numbers[Kind.pid] as number;
    const tid = numbers[Kind.tid] as number;
    const cpu = numbers[Kind.cpu] as number;
    // The other limits of pushRow hold by how the digits were read.
    if (pid < -1 || tid < -1 || cpu < -1 || cpu > 32767) return -1;
    sink.push(
      numbers[Kind.time] as number,
      pid,
      tid,
      op as Op,
      numbers[Kind.addr] as number,
      numbers[Kind.size] as number,
      numbers[Kind.addr2] as number,
      numbers[Kind.arg] as number,
      flags,
      cpu,
      text,
    );
    return (at + 1) | 0;
  }

  /** The same for a line that needs a closer look; empty lines are skipped. */
  function slowRow(b: Uint8Array, start: number, line: number): number {
    const end = b.indexOf(Byte.newline, start);
    const stop = end > start && b[end - 1] === Byte.carriageReturn ? end - 1 : end;
    if (stop > start) {
      const fields = Buffer.from(b.buffer, b.byteOffset + start, stop - start)
        .toString('utf8')
        .split(separator);
      const cause = pushRow(fields, columns, positions, sink);
      if (cause !== null) lost(cause, line);
    }
    return end + 1;
  }

  return {
    scan(bytes, start, end, line) {
      let at = start;
      while (at < end) {
        const next = usualOrder ? row(bytes, at) : -1;
        at = next >= 0 ? next : slowRow(bytes, at, line);
        line++;
      }
      return line;
    },
  };
}
