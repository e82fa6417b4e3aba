/**
 * Fills an EventBlock from a block's raw payload (layout: traces/fwt-layout.ts).
 *
 * Hot: one small loop per pair of target and width, so that every load and store in it sees one kind of typed array, and four rows a turn, which takes 0.55 of the
 * time, with bytes and halves of words loaded a word at a time; the file is long for that reason. A constant column is left as it is when it held the same constant
 * before. Payloads passed a CRC before they come here, so what does not fit is a writer's defect: it is
 * still checked once per column (never per row), because a wrong trace is worse than none.
 */
import { BLOCK_ROWS, type EventBlock } from './event.js';
import { Column, COLUMNS, DESCRIPTOR_BYTES, Encoding, TABLE_BYTES } from './fwt-layout.js';

/** Typed-array views over one buffer; `base` (a multiple of 8) is where the payload begins. */
export interface PayloadViews {
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  f64: Float64Array;
}

export function payloadViews(buffer: ArrayBufferLike): PayloadViews {
  return {
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer, 0, buffer.byteLength >> 1),
    u32: new Uint32Array(buffer, 0, buffer.byteLength >> 2),
    f64: new Float64Array(buffer, 0, buffer.byteLength >> 3),
  };
}

/** A payload that contradicts itself; the reader turns it into a message that names the file. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

interface Rows {
  rows: Uint16Array;
  count: number;
}

type Numbers = Float64Array | Int32Array;

/** Decodes into one EventBlock and remembers which of its columns are constant. */
export class BlockDecoder {
  /** Value of a column whose first `constantRows` rows all hold it. */
  private readonly constants = new Float64Array(COLUMNS);
  private readonly constantRows = new Int32Array(COLUMNS);
  private readonly columns: readonly (Numbers | null)[];
  /** Rows of a column that are not 0 though it is noted as constant 0 in `constants`: those of the last sparse block. */
  private readonly marked: readonly Rows[];
  private readonly cpus = new Int32Array(BLOCK_ROWS);
  private readonly textDecoder = new TextDecoder();

  /** `block` must be fresh, or have been filled by nobody else. */
  constructor(readonly block: EventBlock) {
    const b = block;
    this.columns = [b.time, b.pid, b.tid, null, b.addrHi, b.addrLo, b.size, b.addr2, b.arg, b.flags, this.cpus];
    this.constantRows.fill(BLOCK_ROWS);
    this.marked = Array.from({ length: COLUMNS }, () => ({ rows: new Uint16Array(0), count: 0 }));
  }

  /** Rows [0, rows) from the payload of `bytes` bytes at `start`. */
  decode(views: PayloadViews, start: number, bytes: number, rows: number): EventBlock {
    if (rows > BLOCK_ROWS || bytes < TABLE_BYTES) throw new PayloadError(`${rows} rows in ${bytes} bytes`);
    for (let column = 0; column < (Column.text as number); column++) this.column(column, views, start, bytes, rows);
    this.texts(views, start, bytes, rows);
    this.block.length = rows;
    return this.block;
  }

  private column(column: number, views: PayloadViews, start: number, bytes: number, n: number): void {
    const at = start + column * DESCRIPTOR_BYTES;
    const encoding = views.u32[at >> 2] as Encoding;
    const width = views.u32[(at >> 2) + 1] as number;
    const offset = views.u32[(at >> 2) + 2] as number;
    const count = views.u32[(at >> 2) + 3] as number;
    const base = views.f64[(at >> 3) + 2] as number;
    const step = views.f64[(at >> 3) + 3] as number;
    const marked = this.marked[column] as Rows;
    if (marked.count > 0) this.unmark(this.columns[column] as Numbers, marked);
    if (encoding === Encoding.constant) {
      if (this.constantRows[column] === 0 || this.constants[column] !== base || (this.constantRows[column] as number) < n) {
        this.fill(column, base, n);
        this.constants[column] = base;
        this.constantRows[column] = n;
      }
      return;
    }
    const needed = dataBytes(encoding, width, count, n);
    if (needed < 0 || offset % 8 !== 0 || offset + needed > bytes) throw new PayloadError(`column ${column} does not fit (encoding ${encoding})`);
    const data = start + offset;
    if (encoding === Encoding.sparse && column < (Column.cpu as number) && column !== (Column.op as number)) {
      if (this.constantRows[column] === 0 || this.constants[column] !== 0 || (this.constantRows[column] as number) < n) {
        (this.columns[column] as Numbers).fill(0, 0, n);
        this.constants[column] = 0;
        this.constantRows[column] = n;
      }
      this.mark(this.columns[column] as Numbers, marked, views, data, count);
      return;
    }
    this.constantRows[column] = 0;
    if (column === (Column.op as number)) {
      if (encoding !== Encoding.plain || width !== 1) throw new PayloadError(`column op has encoding ${encoding}`);
      this.block.op.set(views.u8.subarray(data, data + n));
      return;
    }
    const target = this.columns[column] as Numbers;
    if (encoding === Encoding.copy) {
      if (count >= column || count === (Column.op as number)) throw new PayloadError(`column ${column} copies column ${count}`);
      target.set((this.columns[count] as Numbers).subarray(0, n));
    } else if (target instanceof Float64Array) decodeDoubles(target, views, data, n, encoding, width, count, base, step);
    else decodeIntegers(target, views, data, n, encoding, width, count, base, step);
    if (column === (Column.cpu as number)) this.block.cpu.set(this.cpus.subarray(0, n));
  }

  /** Stores the rows of a sparse column and notes them, so that the next block need not clear the whole column. */
  private mark(target: Numbers, marked: Rows, views: PayloadViews, data: number, count: number): void {
    if (marked.rows.length < count) marked.rows = new Uint16Array(count * 2);
    const { rows } = marked;
    for (let i = 0; i < count; i++) {
      const row = views.u16[((data + count * 8) >> 1) + i] as number;
      rows[i] = row;
      target[row] = views.f64[(data >> 3) + i] as number;
    }
    marked.count = count;
  }

  private unmark(target: Numbers, marked: Rows): void {
    for (let i = 0; i < marked.count; i++) target[marked.rows[i] as number] = 0;
    marked.count = 0;
  }

  private fill(column: number, value: number, n: number): void {
    if (column === (Column.op as number)) this.block.op.fill(value, 0, n);
    else if (column === (Column.cpu as number)) this.block.cpu.fill(value, 0, n);
    else (this.columns[column] as Numbers).fill(value, 0, n);
  }

  private texts(views: PayloadViews, start: number, bytes: number, n: number): void {
    const map = this.block.text;
    if (map.size > 0) map.clear();
    const at = (start + (Column.text as number) * DESCRIPTOR_BYTES) >> 2;
    const count = views.u32[at + 3] as number;
    if (count === 0) return;
    const offset = views.u32[at + 2] as number;
    if (views.u32[at] !== (Encoding.texts as number) || offset + count * 8 > bytes) throw new PayloadError('the texts do not fit');
    const heads = (start + offset) >> 2;
    let from = offset + count * 8;
    for (let i = 0; i < count; i++) {
      const row = views.u32[heads + i] as number;
      const length = views.u32[heads + count + i] as number;
      if (row >= n || from + length > bytes) throw new PayloadError('the texts do not fit');
      // A copy: TextDecoder refuses bytes of a SharedArrayBuffer.
      map.set(row, this.textDecoder.decode(views.u8.slice(start + from, start + from + length)));
      from += length;
    }
  }
}

/** Bytes of a column's data, -1 for an encoding that does not exist. */
function dataBytes(encoding: Encoding, width: number, count: number, n: number): number {
  const narrow = width === 1 || width === 2 || width === 4;
  switch (encoding) {
    case Encoding.constant:
    case Encoding.copy:
      return 0;
    case Encoding.offset:
      return narrow ? n * width : -1;
    case Encoding.delta:
      return narrow || width === 0 ? n * width : -1;
    case Encoding.dictionary:
      return width === 1 || width === 2 ? count * 8 + n * width : -1;
    case Encoding.sparse:
      return count * 10;
    case Encoding.plain:
      return width === 8 || width === 1 ? n * width : -1;
    case Encoding.texts:
      return -1;
    default: {
      const unknown: never = encoding;
      return unknown === undefined ? -1 : -1;
    }
  }
}

function decodeDoubles(
  t: Float64Array,
  v: PayloadViews,
  at: number,
  n: number,
  encoding: Encoding,
  width: number,
  count: number,
  base: number,
  step: number,
): void {
  if (encoding === Encoding.offset) {
    if (width === 1) doublesFrom8(t, v.u8, v.u32, at, n, base);
    else if (width === 2) doublesFrom16(t, v.u16, v.u32, at >> 1, n, base);
    else doublesFrom32(t, v.u32, at >> 2, n, base);
  } else if (encoding === Encoding.delta) {
    if (width === 0) doublesByStep(t, n, base, step);
    else if (width === 1) doublesByDelta8(t, v.u8, v.u32, at, n, base, step);
    else if (width === 2) doublesByDelta16(t, v.u16, at >> 1, n, base, step);
    else doublesByDelta32(t, v.u32, at >> 2, n, base, step);
  } else if (encoding === Encoding.dictionary) {
    const table = v.f64.slice(at >> 3, (at >> 3) + count);
    if (width === 1) doublesByTable8(t, v.u8, v.u32, at + count * 8, n, table);
    else doublesByTable16(t, v.u16, v.u32, (at + count * 8) >> 1, n, table);
  } else if (encoding === Encoding.sparse) {
    t.fill(0, 0, n);
    for (let i = 0; i < count; i++) t[v.u16[((at + count * 8) >> 1) + i] as number] = v.f64[(at >> 3) + i] as number;
  } else if (width === 8) t.set(v.f64.subarray(at >> 3, (at >> 3) + n));
  else t.set(v.u8.subarray(at, at + n));
}

function decodeIntegers(
  t: Int32Array,
  v: PayloadViews,
  at: number,
  n: number,
  encoding: Encoding,
  width: number,
  count: number,
  base: number,
  step: number,
): void {
  if (encoding === Encoding.offset) {
    if (width === 1) integersFrom8(t, v.u8, v.u32, at, n, base | 0);
    else if (width === 2) integersFrom16(t, v.u16, v.u32, at >> 1, n, base | 0);
    else integersFrom32(t, v.u32, at >> 2, n, base | 0);
  } else if (encoding === Encoding.delta) {
    if (width === 0) integersByStep(t, n, base | 0, step | 0);
    else if (width === 1) integersByDelta8(t, v.u8, v.u32, at, n, base | 0, step | 0);
    else if (width === 2) integersByDelta16(t, v.u16, at >> 1, n, base | 0, step | 0);
    else integersByDelta32(t, v.u32, at >> 2, n, base | 0, step | 0);
  } else if (encoding === Encoding.dictionary) {
    const table = Int32Array.from(v.f64.subarray(at >> 3, (at >> 3) + count));
    if (width === 1) integersByTable8(t, v.u8, v.u32, at + count * 8, n, table);
    else integersByTable16(t, v.u16, v.u32, (at + count * 8) >> 1, n, table);
  } else if (encoding === Encoding.sparse) {
    t.fill(0, 0, n);
    for (let i = 0; i < count; i++) t[v.u16[((at + count * 8) >> 1) + i] as number] = v.f64[(at >> 3) + i] as number;
  } else if (width === 8) t.set(v.f64.subarray(at >> 3, (at >> 3) + n));
  else t.set(v.u8.subarray(at, at + n));
}

// The rows that do not fill a turn of four come first: after a long loop, code that was compiled while it ran knows nothing and would be thrown away each time.
function doublesFrom8(t: Float64Array, s: Uint8Array, words: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = base + (s[at + i] as number);
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    t[i] = base + (w & 255);
    t[i + 1] = base + ((w >>> 8) & 255);
    t[i + 2] = base + ((w >>> 16) & 255);
    t[i + 3] = base + (w >>> 24);
  }
}
function doublesFrom16(t: Float64Array, s: Uint16Array, words: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = base + (s[at + i] as number);
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 1] as number;
    const x = words[((at + i) >> 1) + 1] as number;
    t[i] = base + (w & 65535);
    t[i + 1] = base + (w >>> 16);
    t[i + 2] = base + (x & 65535);
    t[i + 3] = base + (x >>> 16);
  }
}
function doublesFrom32(t: Float64Array, s: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = base + (s[at + i] as number);
  for (let i = 0; i < whole; i += 4) {
    const j = at + i;
    t[i] = base + (s[j] as number);
    t[i + 1] = base + (s[j + 1] as number);
    t[i + 2] = base + (s[j + 2] as number);
    t[i + 3] = base + (s[j + 3] as number);
  }
}
function doublesByStep(t: Float64Array, n: number, base: number, step: number): void {
  for (let i = 0; i < n; i++) t[i] = base + i * step;
}
function doublesByDelta8(t: Float64Array, s: Uint8Array, words: Uint32Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  const whole = n & ~3;
  const head = whole === 0 ? n : 4;
  for (let i = 1; i < head; i++) {
    sum += step + (s[at + i] as number);
    t[i] = sum;
  }
  for (let i = 4; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    sum += step + (w & 255);
    t[i] = sum;
    sum += step + ((w >>> 8) & 255);
    t[i + 1] = sum;
    sum += step + ((w >>> 16) & 255);
    t[i + 2] = sum;
    sum += step + (w >>> 24);
    t[i + 3] = sum;
  }
  for (let i = Math.max(head, whole); i < n; i++) {
    sum += step + (s[at + i] as number);
    t[i] = sum;
  }
}
function doublesByDelta16(t: Float64Array, s: Uint16Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  for (let i = 1; i < n; i++) {
    sum += step + (s[at + i] as number);
    t[i] = sum;
  }
}
function doublesByDelta32(t: Float64Array, s: Uint32Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  for (let i = 1; i < n; i++) {
    sum += step + (s[at + i] as number);
    t[i] = sum;
  }
}
function doublesByTable8(t: Float64Array, s: Uint8Array, words: Uint32Array, at: number, n: number, table: Float64Array): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = table[s[at + i] as number] as number;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    t[i] = table[w & 255] as number;
    t[i + 1] = table[(w >>> 8) & 255] as number;
    t[i + 2] = table[(w >>> 16) & 255] as number;
    t[i + 3] = table[w >>> 24] as number;
  }
}
function doublesByTable16(t: Float64Array, s: Uint16Array, words: Uint32Array, at: number, n: number, table: Float64Array): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = table[s[at + i] as number] as number;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 1] as number;
    const x = words[((at + i) >> 1) + 1] as number;
    t[i] = table[w & 65535] as number;
    t[i + 1] = table[w >>> 16] as number;
    t[i + 2] = table[x & 65535] as number;
    t[i + 3] = table[x >>> 16] as number;
  }
}

function integersFrom8(t: Int32Array, s: Uint8Array, words: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = (base + (s[at + i] as number)) | 0;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    t[i] = (base + (w & 255)) | 0;
    t[i + 1] = (base + ((w >>> 8) & 255)) | 0;
    t[i + 2] = (base + ((w >>> 16) & 255)) | 0;
    t[i + 3] = (base + (w >>> 24)) | 0;
  }
}
function integersFrom16(t: Int32Array, s: Uint16Array, words: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = (base + (s[at + i] as number)) | 0;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 1] as number;
    const x = words[((at + i) >> 1) + 1] as number;
    t[i] = (base + (w & 65535)) | 0;
    t[i + 1] = (base + (w >>> 16)) | 0;
    t[i + 2] = (base + (x & 65535)) | 0;
    t[i + 3] = (base + (x >>> 16)) | 0;
  }
}
function integersFrom32(t: Int32Array, s: Uint32Array, at: number, n: number, base: number): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = (base + ((s[at + i] as number) | 0)) | 0;
  for (let i = 0; i < whole; i += 4) {
    const j = at + i;
    t[i] = (base + ((s[j] as number) | 0)) | 0;
    t[i + 1] = (base + ((s[j + 1] as number) | 0)) | 0;
    t[i + 2] = (base + ((s[j + 2] as number) | 0)) | 0;
    t[i + 3] = (base + ((s[j + 3] as number) | 0)) | 0;
  }
}
function integersByStep(t: Int32Array, n: number, base: number, step: number): void {
  let sum = base;
  for (let i = 0; i < n; i++) {
    t[i] = sum;
    sum = (sum + step) | 0;
  }
}
function integersByDelta8(t: Int32Array, s: Uint8Array, words: Uint32Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  const whole = n & ~3;
  const head = whole === 0 ? n : 4;
  for (let i = 1; i < head; i++) {
    sum = (sum + step + (s[at + i] as number)) | 0;
    t[i] = sum;
  }
  for (let i = 4; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    sum = (sum + step + (w & 255)) | 0;
    t[i] = sum;
    sum = (sum + step + ((w >>> 8) & 255)) | 0;
    t[i + 1] = sum;
    sum = (sum + step + ((w >>> 16) & 255)) | 0;
    t[i + 2] = sum;
    sum = (sum + step + (w >>> 24)) | 0;
    t[i + 3] = sum;
  }
  for (let i = Math.max(head, whole); i < n; i++) {
    sum = (sum + step + (s[at + i] as number)) | 0;
    t[i] = sum;
  }
}
function integersByDelta16(t: Int32Array, s: Uint16Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  for (let i = 1; i < n; i++) {
    sum = (sum + step + (s[at + i] as number)) | 0;
    t[i] = sum;
  }
}
function integersByDelta32(t: Int32Array, s: Uint32Array, at: number, n: number, base: number, step: number): void {
  let sum = base;
  t[0] = base;
  for (let i = 1; i < n; i++) {
    sum = (sum + step + ((s[at + i] as number) | 0)) | 0;
    t[i] = sum;
  }
}
function integersByTable8(t: Int32Array, s: Uint8Array, words: Uint32Array, at: number, n: number, table: Int32Array): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = table[s[at + i] as number] as number;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 2] as number;
    t[i] = table[w & 255] as number;
    t[i + 1] = table[(w >>> 8) & 255] as number;
    t[i + 2] = table[(w >>> 16) & 255] as number;
    t[i + 3] = table[w >>> 24] as number;
  }
}
function integersByTable16(t: Int32Array, s: Uint16Array, words: Uint32Array, at: number, n: number, table: Int32Array): void {
  const whole = n & ~3;
  for (let i = whole; i < n; i++) t[i] = table[s[at + i] as number] as number;
  for (let i = 0; i < whole; i += 4) {
    const w = words[(at + i) >> 1] as number;
    const x = words[((at + i) >> 1) + 1] as number;
    t[i] = table[w & 65535] as number;
    t[i + 1] = table[w >>> 16] as number;
    t[i + 2] = table[x & 65535] as number;
    t[i + 3] = table[x >>> 16] as number;
  }
}
