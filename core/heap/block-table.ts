/**
 * Live blocks by address, one hash table per address space in a common arena of int32 words, so that fork copies a space's blocks with one
 * copyWithin. Open addressing, linear probing, backward-shift deletion (Knuth, TAOCP vol. 3, 6.4, Algorithm R). An entry is four words:
 *
 *     hi | lo << 1 | 1 (0 = empty) | bytes, low 30 bits | bytes >> 30
 */
import { MAX_SPACES } from '../vmm/machine.js';
import { makeArena } from './arena.js';

const ENTRY = 4;
/** Binary logarithm of ENTRY. */
const ENTRY_LOG = 2;
/** Smallest table: 2^4 entries. */
const MIN_LOG = 4;

export type BlockTable = ReturnType<typeof makeBlockTable>;

export function makeBlockTable() {
  const { words: arena, take, takeEmpty, give } = makeArena();
  /** Word offset of a space's table, 0 = none yet; binary logarithm of its entries; live blocks. */
  const base = new Int32Array(MAX_SPACES);
  const log = new Int32Array(MAX_SPACES);
  const count = new Int32Array(MAX_SPACES);
  /** Bytes of the space's live blocks. */
  const bytes = new Float64Array(MAX_SPACES);

  function home(hi: number, key: number, l: number): number {
    const h = Math.imul(Math.imul(hi, 0x9e3779b1) ^ (key >>> 4), 0x85ebca6b);
    // Int32, as the places after it are: a variable that holds both kinds of integer is kept as a double.
    return ((h ^ (h >>> 13)) >>> (32 - l)) | 0;
  }

  /** Word offset of the block's entry, or -1. */
  function find(s: number, hi: number, lo: number): number {
    const b = base[s]!;
    if (b === 0) return -1;
    const l = log[s]!;
    const mask = (1 << l) - 1;
    const key = (lo << 1) | 1;
    for (let i = home(hi, key, l); ; i = (i + 1) & mask) {
      const e = (b + (i << 2)) | 0;
      const k = arena[(e + 1) | 0]!;
      if (k === key && arena[e] === hi) return e;
      if (k === 0) return -1;
    }
  }

  function grow(s: number): void {
    const b = base[s]!;
    const l = log[s]!;
    if (b === 0) {
      log[s] = MIN_LOG;
      base[s] = takeEmpty(MIN_LOG + ENTRY_LOG);
      return;
    }
    const n = takeEmpty(l + 1 + ENTRY_LOG);
    const mask = (2 << l) - 1;
    for (let e = b, z = b + (ENTRY << l); e < z; e += ENTRY) {
      const key = arena[e + 1]!;
      if (key === 0) continue;
      let i = home(arena[e]!, key, l + 1);
      while (arena[n + (i << 2) + 1] !== 0) i = (i + 1) & mask;
      arena.copyWithin(n + (i << 2), e, e + ENTRY);
    }
    give(b, l + ENTRY_LOG);
    base[s] = n;
    log[s] = l + 1;
  }

  /** Puts a block into the table: -1, or the bytes of the block at that address which it replaces. */
  function put(s: number, hi: number, lo: number, size: number): number {
    if (base[s] === 0 || (count[s]! + 1) << 2 > 3 << log[s]!) grow(s);
    const b = base[s]!;
    const l = log[s]!;
    const mask = (1 << l) - 1;
    const key = (lo << 1) | 1;
    let old = -1;
    let i = home(hi, key, l);
    let e = (b + (i << 2)) | 0;
    for (let k = arena[(e + 1) | 0]!; k !== 0; k = arena[(e + 1) | 0]!) {
      if (k === key && arena[e] === hi) {
        old = sizeAt(e);
        bytes[s]! -= old;
        count[s] = (count[s]! - 1) | 0;
        break;
      }
      i = (i + 1) & mask;
      e = (b + (i << 2)) | 0;
    }
    arena[e] = hi;
    arena[(e + 1) | 0] = key;
    if (size < 1073741824) {
      arena[(e + 2) | 0] = size;
      arena[(e + 3) | 0] = 0;
    } else {
      const high = Math.floor(size / 1073741824);
      arena[(e + 2) | 0] = size - high * 1073741824;
      arena[(e + 3) | 0] = high;
    }
    count[s] = (count[s]! + 1) | 0;
    bytes[s]! += size;
    return old;
  }

  function sizeAt(e: number): number {
    return arena[(e + 3) | 0]! * 1073741824 + arena[(e + 2) | 0]!;
  }

  /** Removes the entry at word offset `e` of the space. */
  function removeAt(s: number, e: number): void {
    const b = base[s]!;
    const l = log[s]!;
    const mask = (1 << l) - 1;
    bytes[s]! -= sizeAt(e);
    count[s] = (count[s]! - 1) | 0;
    let hole = (e - b) >> 2;
    for (let j = (hole + 1) & mask; ; j = (j + 1) & mask) {
      const f = (b + (j << 2)) | 0;
      const key = arena[(f + 1) | 0]!;
      if (key === 0) break;
      const h = home(arena[f]!, key, l);
      if (((j - h) & mask) >= ((j - hole) & mask)) {
        const t = (b + (hole << 2)) | 0;
        arena[t] = arena[f]!;
        arena[(t + 1) | 0] = key;
        arena[(t + 2) | 0] = arena[(f + 2) | 0]!;
        arena[(t + 3) | 0] = arena[(f + 3) | 0]!;
        hole = j;
      }
    }
    const t = (b + (hole << 2)) | 0;
    arena[t] = 0;
    arena[(t + 1) | 0] = 0;
  }

  /** Space `to` (without blocks) gets the blocks of `from`. */
  function copy(from: number, to: number): void {
    const b = base[from]!;
    if (b === 0 || count[from] === 0) return;
    const l = log[from]!;
    const n = take(l + ENTRY_LOG);
    arena.copyWithin(n, b, b + (ENTRY << l));
    base[to] = n;
    log[to] = l;
    count[to] = count[from]!;
    bytes[to] = bytes[from]!;
  }

  function clear(s: number): void {
    if (base[s] !== 0) give(base[s]!, log[s]! + ENTRY_LOG);
    base[s] = 0;
    log[s] = 0;
    count[s] = 0;
    bytes[s] = 0;
  }

  return { find, put, sizeAt, removeAt, copy, clear, count, bytes };
}
