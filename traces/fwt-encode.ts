/**
 * Chooses the smallest encoding of each column of a block and writes the block's raw payload (layout: traces/fwt-layout.ts).
 *
 * The choice is by size before packing: constant, copy, then the narrowest of offset, delta, dictionary and sparse, plain as the last resort. On a mixed trace this
 * is some 12 bytes an event, and deflate at level 1 makes 4 to 8 of them; byte planes and deltas per process were measured and gain nothing worth their decoding.
 * Values are whole numbers; a fraction, NaN or anything of 2^64 and above is a defect of the importer and throws.
 */
import { BLOCK_ROWS, type EventBlock } from './event.js';
import { align8, Column, DESCRIPTOR_BYTES, Encoding, TABLE_BYTES } from './fwt-layout.js';

/** Distinct values a dictionary may hold, for one-byte and two-byte indices. */
const SMALL_DICTIONARY = 256;
const LARGE_DICTIONARY = 8192;
const HASH_SLOTS = 32768;
/** Offsets are exact up to here, deltas up to half of it. */
const EXACT = 2 ** 53;
const TOO_LARGE = 2 ** 64;
/** Bytes of one column at most: doubles, or a dictionary with its indices. */
const COLUMN_BYTES = BLOCK_ROWS * 8;

/** Turns blocks into raw payloads. One is made per writer; the bytes it returns are valid until the next call. */
export class BlockEncoder {
  private bytes = new Uint8Array(new ArrayBuffer(TABLE_BYTES + (Column.text as number) * COLUMN_BYTES));
  private views = makeViews(this.bytes.buffer);
  private readonly scratch = new Float64Array(BLOCK_ROWS);
  private readonly dictionary = new DictionaryBuilder();
  private readonly steps = new Steps();
  private end = 0;

  /** The raw payload of rows [0, length) of `block`. */
  encode(block: EventBlock): Uint8Array {
    const n = block.length;
    const texts = [...block.text].sort((a, b) => a[0] - b[0]).map(([row, text]) => ({ row, text: Buffer.from(text, 'utf8') }));
    this.reserve(texts.reduce((sum, t) => sum + t.text.length + 8, 0));
    this.bytes.fill(0, 0, TABLE_BYTES);
    this.end = TABLE_BYTES;
    this.doubles(Column.time, block.time, n, 'time');
    this.doubles(Column.pid, this.widen(block.pid, n), n, 'pid');
    if (sameRows(block.pid, block.tid, n)) this.describe(Column.tid, Encoding.copy, 0, Column.pid, 0, 0);
    else this.doubles(Column.tid, this.widen(block.tid, n), n, 'tid');
    this.ops(block.op, n);
    this.doubles(Column.addrHi, this.widen(block.addrHi, n), n, 'addr');
    this.doubles(Column.addrLo, this.widen(block.addrLo, n), n, 'addr');
    this.doubles(Column.size, block.size, n, 'size');
    this.doubles(Column.addr2, block.addr2, n, 'addr2');
    this.doubles(Column.arg, block.arg, n, 'arg');
    this.doubles(Column.flags, this.widen(block.flags, n), n, 'flags');
    const cpus = this.scratch;
    for (let i = 0; i < n; i++) cpus[i] = block.cpu[i] as number;
    this.doubles(Column.cpu, cpus, n, 'cpu');
    this.texts(texts);
    return this.bytes.subarray(0, this.end);
  }

  private reserve(textBytes: number): void {
    const needed = TABLE_BYTES + (Column.text as number) * COLUMN_BYTES + align8(textBytes);
    if (needed <= this.bytes.length) return;
    this.bytes = new Uint8Array(new ArrayBuffer(needed));
    this.views = makeViews(this.bytes.buffer);
  }

  private widen(column: Int32Array, n: number): Float64Array {
    const wide = this.scratch;
    for (let i = 0; i < n; i++) wide[i] = column[i] as number;
    return wide;
  }

  private describe(column: Column, encoding: Encoding, width: number, count: number, base: number, step: number): void {
    const at = column * DESCRIPTOR_BYTES;
    const { u32, f64 } = this.views;
    u32[at >> 2] = encoding;
    u32[(at >> 2) + 1] = width;
    u32[(at >> 2) + 2] = this.end;
    u32[(at >> 2) + 3] = count;
    f64[(at >> 3) + 2] = base;
    f64[(at >> 3) + 3] = step;
  }

  /** Moves the end over `bytes` of column data and clears the padding behind them. */
  private advance(bytes: number): void {
    const end = align8(this.end + bytes);
    this.bytes.fill(0, this.end + bytes, end);
    this.end = end;
  }

  private ops(op: Uint8Array, n: number): void {
    let same = true;
    for (let i = 1; i < n && same; i++) same = op[i] === op[0];
    if (same) return this.describe(Column.op, Encoding.constant, 0, 0, op[0] ?? 0, 0);
    this.describe(Column.op, Encoding.plain, 1, 0, 0, 0);
    this.bytes.set(op.subarray(0, n), this.end);
    this.advance(n);
  }

  private texts(texts: readonly { row: number; text: Buffer }[]): void {
    this.describe(Column.text, Encoding.texts, 0, texts.length, 0, 0);
    const count = texts.length;
    let at = this.end + count * 8;
    texts.forEach(({ row, text }, i) => {
      this.views.u32[(this.end >> 2) + i] = row;
      this.views.u32[(this.end >> 2) + count + i] = text.length;
      this.bytes.set(text, at);
      at += text.length;
    });
    this.advance(at - this.end);
  }

  private doubles(column: Column, values: Float64Array, n: number, name: string): void {
    if (isConstant(values, n)) {
      const value = values[0] ?? 0;
      if (!isWhole(value)) throw new Error(`${name} ${value} is not a whole number below 2^64`);
      return this.describe(column, Encoding.constant, 0, 0, value, 0);
    }
    const first = values[0] as number;
    let min = first;
    let max = first;
    let nonZero = 0;
    let fraction = 0;
    for (let i = 0; i < n; i++) {
      const v = values[i] as number;
      if (v < min) min = v;
      if (v > max) max = v;
      if (v !== 0) nonZero++;
      fraction += v - Math.floor(v);
    }
    // NaN and infinities make the sum NaN.
    if (fraction !== 0 || min <= -TOO_LARGE || max >= TOO_LARGE) throw new Error(`${name} has a value that is not a whole number below 2^64`);
    const magnitude = Math.max(-min, max);
    const offsetWidth = magnitude <= EXACT ? widthOf(max - min) : 8;
    const sparseBytes = nonZero * 10;
    let smallest = Math.min(offsetWidth * n, sparseBytes);
    if (smallest > n && magnitude <= EXACT / 2 && this.steps.measure(values, n, offsetWidth)) smallest = Math.min(smallest, this.steps.width * n);
    else this.steps.width = 8;
    if (smallest > n && this.dictionary.build(values, n, smallest)) this.withDictionary(column, n);
    else if (smallest === sparseBytes) this.sparse(column, values, n, nonZero);
    else if (this.steps.width < offsetWidth) this.deltas(column, values, n, this.steps.width, this.steps.min);
    else this.offsets(column, values, n, offsetWidth, min);
  }

  private offsets(column: Column, values: Float64Array, n: number, width: number, base: number): void {
    const { u8, u16, u32, f64 } = this.views;
    const at = this.end;
    if (width === 8) this.describe(column, Encoding.plain, 8, 0, 0, 0);
    else this.describe(column, Encoding.offset, width, 0, base, 0);
    if (width === 1) for (let i = 0; i < n; i++) u8[at + i] = (values[i] as number) - base;
    else if (width === 2) for (let i = 0; i < n; i++) u16[(at >> 1) + i] = (values[i] as number) - base;
    else if (width === 4) for (let i = 0; i < n; i++) u32[(at >> 2) + i] = (values[i] as number) - base;
    else for (let i = 0; i < n; i++) f64[(at >> 3) + i] = values[i] as number;
    this.advance(n * width);
  }

  private deltas(column: Column, values: Float64Array, n: number, width: number, step: number): void {
    const { u8, u16, u32 } = this.views;
    const at = this.end;
    this.describe(column, Encoding.delta, width, 0, values[0] as number, step);
    if (width === 1) {
      u8[at] = 0;
      for (let i = 1; i < n; i++) u8[at + i] = (values[i] as number) - (values[i - 1] as number) - step;
    } else if (width === 2) {
      u16[at >> 1] = 0;
      for (let i = 1; i < n; i++) u16[(at >> 1) + i] = (values[i] as number) - (values[i - 1] as number) - step;
    } else if (width === 4) {
      u32[at >> 2] = 0;
      for (let i = 1; i < n; i++) u32[(at >> 2) + i] = (values[i] as number) - (values[i - 1] as number) - step;
    }
    this.advance(n * width);
  }

  private sparse(column: Column, values: Float64Array, n: number, count: number): void {
    const { u16, f64 } = this.views;
    this.describe(column, Encoding.sparse, 0, count, 0, 0);
    let value = this.end >> 3;
    let row = (this.end + count * 8) >> 1;
    for (let i = 0; i < n; i++) {
      const v = values[i] as number;
      if (v !== 0) {
        f64[value++] = v;
        u16[row++] = i;
      }
    }
    this.advance(count * 10);
  }

  private withDictionary(column: Column, n: number): void {
    const { values, rows, count } = this.dictionary;
    const width = count <= SMALL_DICTIONARY ? 1 : 2;
    this.describe(column, Encoding.dictionary, width, count, 0, 0);
    this.views.f64.set(values.subarray(0, count), this.end >> 3);
    const at = this.end + count * 8;
    if (width === 1) for (let i = 0; i < n; i++) this.views.u8[at + i] = rows[i] as number;
    else this.views.u16.set(rows.subarray(0, n), at >> 1);
    this.advance(count * 8 + n * width);
  }
}

/** The differences between the rows of a column. */
class Steps {
  min = 0;
  /** Bytes that hold any difference less the smallest; 0 when all are equal. */
  width = 8;

  /** Measures; false, at the first row that shows it, when a difference takes `limit` bytes or more. Most columns show it soon. */
  measure(values: Float64Array, n: number, limit: number): boolean {
    const range = limit === 8 ? 4294967296 : limit === 4 ? 65536 : limit === 2 ? 256 : 1;
    let previous = values[0] as number;
    let min = (values[1] as number) - previous;
    let max = min;
    for (let i = 1; i < n; i++) {
      const v = values[i] as number;
      const step = v - previous;
      previous = v;
      if (step < min) min = step;
      if (step > max) max = step;
      if (max - min >= range) return false;
    }
    this.min = min;
    this.width = max === min ? 0 : widthOf(max - min);
    return true;
  }
}

/** Numbers the distinct values of a column in the order in which they occur. */
class DictionaryBuilder {
  readonly values = new Float64Array(LARGE_DICTIONARY);
  readonly rows = new Uint16Array(BLOCK_ROWS);
  count = 0;
  private readonly slots = new Uint16Array(HASH_SLOTS);
  private readonly used = new Uint16Array(LARGE_DICTIONARY);

  /** False as soon as a dictionary would take `limit` bytes or more. */
  build(values: Float64Array, n: number, limit: number): boolean {
    const { slots, used, rows } = this;
    const table = this.values;
    const large = Math.min(LARGE_DICTIONARY, Math.floor((limit - 1 - n * 2) / 8));
    const small = Math.min(SMALL_DICTIONARY, Math.floor((limit - 1 - n) / 8));
    const most = Math.max(large, small);
    let count = 0;
    let fits = true;
    for (let i = 0; i < n; i++) {
      const v = values[i] as number;
      let slot = Math.imul((v | 0) ^ Math.imul((v * 2 ** -32) | 0, 0x85ebca6b), 0x9e3779b1) >>> 17;
      let index = slots[slot] as number;
      while (index !== 0 && table[index - 1] !== v) {
        slot = (slot + 1) & (HASH_SLOTS - 1);
        index = slots[slot] as number;
      }
      if (index === 0) {
        if (count >= most) {
          fits = false;
          break;
        }
        table[count] = v;
        used[count] = slot;
        count++;
        slots[slot] = count;
        index = count;
      }
      rows[i] = index - 1;
    }
    for (let i = 0; i < count; i++) slots[used[i] as number] = 0;
    this.count = count;
    return fits && (count <= SMALL_DICTIONARY || count <= large);
  }
}

const isWhole = (value: number): boolean => value === Math.floor(value) && Math.abs(value) < TOO_LARGE;

function isConstant(values: Float64Array, n: number): boolean {
  const first = values[0];
  for (let i = 1; i < n; i++) if (values[i] !== first) return false;
  return true;
}

const widthOf = (range: number): number => (range < 256 ? 1 : range < 65536 ? 2 : range < 4294967296 ? 4 : 8);

function sameRows(a: Int32Array, b: Int32Array, n: number): boolean {
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return false;
  return true;
}

interface Views {
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  f64: Float64Array;
}

const makeViews = (buffer: ArrayBuffer): Views => ({
  u8: new Uint8Array(buffer),
  u16: new Uint16Array(buffer, 0, buffer.byteLength >> 1),
  u32: new Uint32Array(buffer, 0, buffer.byteLength >> 2),
  f64: new Float64Array(buffer, 0, buffer.byteLength >> 3),
});
