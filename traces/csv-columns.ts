/**
 * The columns of the native CSV and what each may hold: one row of text fields -> one event, or the cause why not.
 *
 *     time,pid,tid,op,addr,size,addr2,arg,flags,cpu[,text]
 *
 * Numbers are decimal or hex with 0x, an empty field is 0. addr and addr2 may be negative or the 64-bit pattern of a negative address (0xffff800000000000). Flags
 * are words joined by `|`. A number that a double cannot hold exactly is refused: an event at a slightly wrong address would be worse than a counted loss.
 */
import { isCanonical } from '../arch/address.js';
import { FLAG_NAMES, Op, OP_NAMES, type EventSink } from './event.js';

/** Columns of an event, in the order in which files are written. The index is the column's kind. */
export const CSV_COLUMNS = ['time', 'pid', 'tid', 'op', 'addr', 'size', 'addr2', 'arg', 'flags', 'cpu', 'text'] as const;
/** All but `text`. */
export const REQUIRED_COLUMNS = CSV_COLUMNS.length - 1;

export const enum Kind {
  unknown = -1,
  time = 0,
  pid = 1,
  tid = 2,
  op = 3,
  addr = 4,
  size = 5,
  addr2 = 6,
  arg = 7,
  flags = 8,
  cpu = 9,
  text = 10,
}

export const WRONG_FIELDS = 'wrong number of fields';
export const BROKEN_QUOTES = 'broken quotes';
/** Virtual address bits of the widest paging there is (x86-64 with 5 levels, RISC-V Sv57). */
const ADDRESS_BITS = 57;

const OP_BY_NAME = new Map(OP_NAMES.map((name, op) => [name, op]));
const FLAG_BY_NAME = new Map(FLAG_NAMES.map((name, bit) => [name, 1 << bit]));

/** Op of a name, 0 for none. */
export const opByName = (name: string): number => OP_BY_NAME.get(name.trim()) ?? 0;

/** Flag bits of words joined by `|`, null when a word is unknown. Bit 31 makes the number negative, so no number is free to say so. */
export function flagsByName(words: string): number | null {
  const trimmed = words.trim();
  if (trimmed === '') return 0;
  let flags = 0;
  for (const word of trimmed.split('|')) {
    const bit = FLAG_BY_NAME.get(word.trim());
    if (bit === undefined) return null;
    flags |= bit;
  }
  return flags;
}

/** Words of flag bits, joined by `|`. */
export function flagWords(flags: number): string {
  if (flags === 0) return '';
  let words = '';
  for (let bit = 0; bit < 32; bit++) if ((flags & (1 << bit)) !== 0) words += (words === '' ? '' : '|') + (FLAG_NAMES[bit] as string);
  return words;
}

/** True for ops whose addr2 is an address (for the others it is an offset or a duration). */
export const addr2IsAddress = (op: number): boolean => op === Op.realloc || op === Op.mremap || op === Op.share;

const NUMBER = /^-?(?:0x[0-9a-f]+|[0-9]+)$/i;
const MAX_DIGITS = 80;

/** The number a field holds, exactly, or why not. `pattern`: 2^63 to 2^64 - 1 are the patterns of negative numbers. */
export function parseInteger(field: string, pattern: boolean): number | string {
  const text = field.trim();
  if (text === '') return 0;
  if (!NUMBER.test(text)) return 'not a whole number';
  if (text.length > MAX_DIGITS) return 'a number of 2^64 or more';
  const negative = text.startsWith('-');
  let value = BigInt(negative ? text.slice(1) : text);
  if (value >= 1n << 64n) return 'a number of 2^64 or more';
  if (negative) value = -value;
  else if (pattern && value >= 1n << 63n) value -= 1n << 64n;
  const number = Number(value);
  return BigInt(number) === value ? number + 0 : 'a number of more than 53 significant bits';
}

/** Where the fields of a row are, by kind: -1 when the column is not there. */
export type FieldPositions = Int32Array;

const NUMERIC: readonly [kind: Exclude<Kind, Kind.unknown>, min: number, max: number, range: string][] = [
  [Kind.time, 0, 2 ** 53, 'negative, or more than 2^53'],
  [Kind.pid, -1, 2 ** 31 - 1, 'outside -1 to 2^31-1'],
  [Kind.tid, -1, 2 ** 31 - 1, 'outside -1 to 2^31-1'],
  [Kind.addr, -Infinity, Infinity, ''],
  [Kind.size, 0, Infinity, 'negative'],
  [Kind.addr2, -Infinity, Infinity, ''],
  [Kind.arg, -Infinity, Infinity, ''],
  [Kind.cpu, -1, 2 ** 15 - 1, 'outside -1 to 32767'],
];

const values = new Float64Array(CSV_COLUMNS.length);

/** Pushes the event of a row of `fields`; returns the cause when it is none (then nothing was pushed). */
export function pushRow(fields: readonly string[], columns: number, positions: FieldPositions, sink: EventSink): string | null {
  if (fields.length !== columns) return WRONG_FIELDS;
  const field = (kind: Kind): string => fields[positions[kind] as number] ?? '';
  const op = opByName(field(Kind.op));
  if (op === 0) return 'unknown op';
  for (const [kind, min, max, range] of NUMERIC) {
    const value = parseInteger(field(kind), kind === Kind.addr || kind === Kind.addr2);
    if (typeof value === 'string') return `${CSV_COLUMNS[kind]}: ${value}`;
    if (value < min || value > max) return `${CSV_COLUMNS[kind]}: ${range}`;
    values[kind] = value;
  }
  const flags = flagsByName(field(Kind.flags));
  if (flags === null) return 'unknown flag';
  const v = (kind: Kind): number => values[kind] as number;
  if (!isCanonical(v(Kind.addr), ADDRESS_BITS)) return 'addr: outside the canonical 57-bit range';
  if (addr2IsAddress(op) && !isCanonical(v(Kind.addr2), ADDRESS_BITS)) return 'addr2: outside the canonical 57-bit range';
  const text = positions[Kind.text] === -1 ? undefined : field(Kind.text);
  sink.push(v(Kind.time), v(Kind.pid), v(Kind.tid), op, v(Kind.addr), v(Kind.size), v(Kind.addr2), v(Kind.arg), flags, v(Kind.cpu), text);
  return null;
}
