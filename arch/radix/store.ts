/**
 * The slab that holds every radix page table of one simulated machine, and the bookkeeping of a single table.
 *
 * A table's *handle* is the word offset of its block in `pt`; handle 0 is never a table (block 0 stays empty, so a walk that starts at
 * handle 0 finds nothing). arch/radix/shape.ts draws a block.
 *
 * Tables are emptied before they are freed, so a fresh one needs no zeroing, and the slab is reserved but not touched. Free blocks form a
 * LIFO list through `next`; above it a watermark says which blocks were never used.
 *
 * Each table's frame comes from the `FrameSource`. Operations that need tables `reserve` all of them first (a FIFO list through `next`),
 * and then `take` them one by one: what is performed after the reservation cannot fail.
 *
 * The upper half of every process' root repeats the kernel's entries (x86-64: PML4 256..511). They are not counted in the process' bitmap.
 *
 * Everything is one closure made once per isolate: V8 then treats the arrays and sizes below as constants of the compiled code.
 */
import { reserveInt32 } from '../reserve.js';
import { ENOMEM, OutOfMemoryError, type ArchGeometry, type ArchOptions } from '../arch.js';
import { makeShape } from './shape.js';

/** What distinguishes one radix architecture from another. */
export interface RadixSpec {
  readonly geometry: ArchGeometry;
  /** Physical address bits an entry can hold (x86-64: 52). */
  readonly paBits: number;
  /** The documented 64 bits of an entry as 16 hex digits. */
  encode(word0: number, word1: number, level: number): string;
}

/** Cells of `state`. */
export const enum Cell {
  freeHead = 0,
  watermark = 1,
  reserveHead = 2,
  reserveTail = 3,
  leafLevel = 4,
  cpu = 5,
  /** Number of large leaves alive; while it is 0 no boundary can cut one. */
  largeLeaves = 6,
  /** One more than the highest pid that ever had a space. */
  pidLimit = 7,
  cuts = 8,
  keep = 9,
  notify = 10,
  clear = 11,
  set = 12,
  /** Keeps what was looked at only to have it in the caches from being left out by the compiler. */
  fetched = 13,
  length = 64,
}

const DEFAULT_MAX_TABLES = 524288;
const FEWEST_TABLES = 1024;
const FRAME_KIND_TABLE = 3;

/** The largest slab the machine grants: halves the wish until the reservation succeeds. */
function reserveSlab(tables: number, block: number): Int32Array {
  for (let n = tables; ; n >>>= 1) {
    try {
      return reserveInt32((n + 1) * block);
    } catch (error) {
      if (!(error instanceof RangeError) || n >>> 1 < Math.min(FEWEST_TABLES, tables)) throw error;
    }
  }
}

export function makeStore(spec: RadixSpec, options: ArchOptions) {
  const shape = makeShape(spec.geometry);
  const { LEVELS, ENTRIES, GROUP, GROUP_SHIFT, HALF, BITMAP, COUNT, FRAME, SUMMARY, LEVEL, NEXT, OWNER, BLOCK, P, RW, US } = shape;
  const frames = options.frames;
  const TOTAL_FRAMES = options.totalFrames;
  const MAX_SPACES = options.maxSpaces;
  const pt = reserveSlab(options.maxTables ?? Math.min(TOTAL_FRAMES, DEFAULT_MAX_TABLES), BLOCK);
  const MAX_TABLES = pt.length / BLOCK - 1;
  const tableOf = reserveInt32(Math.max(TOTAL_FRAMES, 64));
  /** Root handle at pid + 1: the kernel (-1) first. */
  const roots = new Int32Array(Math.max(MAX_SPACES + 1, 64));
  const tableCount = new Int32Array(64);
  /** Live tables at (pid + 1) * 8 + level. */
  const spaceCount = new Int32Array(Math.max((MAX_SPACES + 1) * 8, 64));
  /** Head of the deposited tables at pid + 1. */
  const deposits = new Int32Array(Math.max(MAX_SPACES + 1, 64));
  /** Deposited and withdrawn tables at pid + 1: counted for the space, but not part of its tree. */
  const spare = new Int32Array(Math.max(MAX_SPACES + 1, 64));
  const state = new Int32Array(Cell.length);
  const FREE_HEAD = Cell.freeHead;
  const WATERMARK = Cell.watermark;
  const RESERVE_HEAD = Cell.reserveHead;
  const RESERVE_TAIL = Cell.reserveTail;
  const CPU = Cell.cpu;
  state[WATERMARK] = BLOCK;

  /** Puts a block and its frame back; the table must be empty. */
  function giveBack(t: number): void {
    pt[(t + NEXT) | 0] = state[FREE_HEAD];
    state[FREE_HEAD] = t;
    const f = pt[(t + FRAME) | 0];
    const r = frames.free(f, 0, state[CPU]);
    if (r !== 0) throw new Error(`the frame source refused to take back frame ${f} of a page table (${r})`);
  }

  function cancelReserve(): void {
    // In the order of their allocation reversed, so that a LIFO source is left exactly as it was.
    let head = state[RESERVE_HEAD];
    let reversed = 0;
    while (head !== 0) {
      const next = pt[(head + NEXT) | 0];
      pt[(head + NEXT) | 0] = reversed;
      reversed = head;
      head = next;
    }
    while (reversed !== 0) {
      const next = pt[(reversed + NEXT) | 0];
      giveBack(reversed);
      reversed = next;
    }
    state[RESERVE_HEAD] = 0;
  }

  /** Gets `n` tables with their frames ready for `take`. 0 or -ENOMEM (nothing taken). */
  function reserve(n: number, pid: number): number {
    for (let k = 0; k < n; k++) {
      let t = state[FREE_HEAD];
      if (t === 0 && state[WATERMARK] >= pt.length) {
        cancelReserve();
        throw new Error(`simulator limit: all ${MAX_TABLES} page tables of the slab are in use (raise maxTables)`);
      }
      const f = frames.allocate(0, FRAME_KIND_TABLE, state[CPU], -1, pid);
      if (f < 0) {
        cancelReserve();
        return ENOMEM;
      }
      if (f >= TOTAL_FRAMES) throw new Error(`the frame source handed out frame ${f} of a memory of ${TOTAL_FRAMES} frames`);
      if (t !== 0) state[FREE_HEAD] = pt[(t + NEXT) | 0];
      else {
        t = state[WATERMARK];
        state[WATERMARK] = (t + BLOCK) | 0;
      }
      pt[(t + FRAME) | 0] = f;
      pt[(t + NEXT) | 0] = 0;
      tableOf[f] = t;
      if (state[RESERVE_HEAD] === 0) state[RESERVE_HEAD] = t;
      else pt[(state[RESERVE_TAIL] + NEXT) | 0] = t;
      state[RESERVE_TAIL] = t;
    }
    return 0;
  }

  /** The next reserved table, now an empty one of `level` that counts for `pid`. */
  function take(level: number, pid: number): number {
    const t = state[RESERVE_HEAD];
    if (t === 0) throw new Error('broken invariant: a page table was taken that had not been reserved');
    state[RESERVE_HEAD] = pt[(t + NEXT) | 0];
    pt[(t + LEVEL) | 0] = level;
    pt[(t + OWNER) | 0] = pid;
    tableCount[level] = (tableCount[level] + 1) | 0;
    const s = ((pid + 1) * 8 + level) | 0;
    spaceCount[s] = (spaceCount[s] + 1) | 0;
    return t;
  }

  /** Frees an empty table. */
  function release(t: number, level: number, pid: number): void {
    tableCount[level] = (tableCount[level] - 1) | 0;
    const s = ((pid + 1) * 8 + level) | 0;
    spaceCount[s] = (spaceCount[s] - 1) | 0;
    giveBack(t);
  }

  function setBit(t: number, i: number): void {
    const w = i >>> 5;
    const b = (t + BITMAP + w) | 0;
    pt[b] |= 1 << i;
    pt[(t + SUMMARY) | 0] |= 1 << (w >>> GROUP_SHIFT);
    pt[(t + COUNT) | 0] = (pt[(t + COUNT) | 0] + 1) | 0;
  }

  /** True when every bitmap word of the group that holds word w is 0. */
  function groupEmpty(t: number, w: number): boolean {
    let any = 0;
    const first = (w >>> GROUP_SHIFT) << GROUP_SHIFT;
    for (let k = 0; k < GROUP; k++) any |= pt[(t + BITMAP + first + k) | 0];
    return any === 0;
  }

  function clearBit(t: number, i: number): void {
    const w = i >>> 5;
    const b = (t + BITMAP + w) | 0;
    const left = pt[b] & ~(1 << i);
    pt[b] = left;
    if (left === 0 && (GROUP === 1 || groupEmpty(t, w))) pt[(t + SUMMARY) | 0] &= ~(1 << (w >>> GROUP_SHIFT));
    pt[(t + COUNT) | 0] = (pt[(t + COUNT) | 0] - 1) | 0;
  }

  /** The lowest index from `from` to `to` that is in use, else some index beyond `to`. */
  function nextUsed(t: number, from: number, to: number): number {
    if (from > to) return ENTRIES;
    const end = to >>> 5;
    let w = from >>> 5;
    let b = pt[(t + BITMAP + w) | 0] & (-1 << (from & 31));
    while (b === 0) {
      if (w === end) return ENTRIES;
      w = (w + 1) | 0;
      b = pt[(t + BITMAP + w) | 0];
    }
    return ((w << 5) + 31 - Math.clz32(b & -b)) | 0;
  }

  /** Repeats entry i of the kernel's root in the root of every live space. */
  function publish(i: number): void {
    const k = (roots[0] + (i << 1)) | 0;
    const w0 = pt[k];
    const w1 = pt[(k + 1) | 0];
    for (let s = 1; s <= state[Cell.pidLimit]; s++) {
      const r = roots[s];
      if (r !== 0) {
        pt[(r + (i << 1)) | 0] = w0;
        pt[(r + (i << 1) + 1) | 0] = w1;
      }
    }
  }

  /** To be called after entry i of table t at `level` changed. */
  function changed(t: number, level: number, i: number): void {
    if (level === LEVELS && t === roots[0] && i >= HALF) publish(i);
  }

  /** Entry i of t now points to table c. */
  function link(t: number, level: number, i: number, c: number, pid: number): void {
    const q = (t + (i << 1)) | 0;
    if (pt[q] === 0) setBit(t, i);
    pt[q] = pid < 0 ? P | RW : P | RW | US;
    pt[(q + 1) | 0] = pt[(c + FRAME) | 0];
    changed(t, level, i);
  }

  /** Entry i of t, which pointed to the now empty table c, is cleared and c freed. */
  function unlink(t: number, level: number, i: number, c: number, pid: number): void {
    const q = (t + (i << 1)) | 0;
    pt[q] = 0;
    pt[(q + 1) | 0] = 0;
    clearBit(t, i);
    changed(t, level, i);
    release(c, level - 1, pid);
  }

  if (reserve(1, -1) !== 0) throw new OutOfMemoryError('memory too small for one page table');
  roots[0] = take(LEVELS, -1);

  const arrays = { pt, tableOf, roots, tableCount, spaceCount, deposits, spare, state };
  const tables = { reserve, take, release, setBit, clearBit, groupEmpty, nextUsed, changed, link, unlink };
  return { ...shape, ...arrays, ...tables, spec, observer: options.observer, MAX_SPACES, MAX_TABLES };
}

export type Store = ReturnType<typeof makeStore>;
