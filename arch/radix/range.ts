/**
 * Ranges of one space: removing leaves, changing their attributes, freeing empty tables.
 *
 * A range is turned into one index per level for its first and its last page; the recursion carries which of the two edges the
 * table lies on (bit 0: the first page's path, bit 1: the last page's) and so knows its own bounds without arithmetic on pages.
 * Bitmap and summary words lead from one used entry to the next, so a sparse range costs what it holds, not what it spans.
 */
import { ENOMEM } from '../arch.js';
import { Cell, type Store } from './store.js';
import type { Split } from './split.js';
import type { Walk } from './walk.js';

export function makeRange(store: Store, walk: Walk, split: Split) {
  const { LEVELS, MASK, GROUP, GROUP_SHIFT, BITMAP, COUNT, SUMMARY, PAGE_SHIFT, INDEX_BITS, SPLIT_PAGES, HALF_PAGES, P, PS } = store;
  const { pt, tableOf, roots, state, spans, indexOf, entryHi, entryLo, unlink, clearBit, nextUsed, groupEmpty, changed } = store;
  const { leafTable, rootOf } = walk;
  const { cut } = split;
  const dropped = store.observer.dropped;
  const P_PS = P | PS;
  const KEEP = Cell.keep;
  const NOTIFY = Cell.notify;
  const CLEAR = Cell.clear;
  const SET = Cell.set;
  const LARGE_LEAVES = Cell.largeLeaves;
  const PER_SPLIT = 1 / SPLIT_PAGES;

  /** Index bounds by level of the running operation, inclusive. */
  const first = new Int32Array(64);
  const last = new Int32Array(64);
  const zapped = new Int32Array(66);
  const path = new Int32Array(64);

  function note(hi: number, lo: number): void {
    const n = zapped[0];
    if (n < 32) {
      const k = (2 + (n << 1)) | 0;
      zapped[k] = hi;
      zapped[(k + 1) | 0] = lo;
    }
    zapped[0] = (n + 1) | 0;
  }

  /** The answer of an operation that did not happen: no leaf was touched. */
  function nothing(code: number): number {
    zapped[0] = 0;
    zapped[1] = 0;
    return code;
  }

  /** Sets the bounds of a canonical range in one half of the address space; false when nothing can be in it. */
  function bound(pid: number, start: number, end: number): boolean {
    zapped[0] = 0;
    zapped[1] = 0;
    if (!(start < end)) return false;
    rootOf(pid);
    const z = end - 1;
    const hi = Math.floor(start * PER_SPLIT) | 0;
    const lo = (start - hi * SPLIT_PAGES) << PAGE_SHIFT;
    const zhi = Math.floor(z * PER_SPLIT) | 0;
    const zlo = (z - zhi * SPLIT_PAGES) << PAGE_SHIFT;
    for (let l = 1; l <= LEVELS; l = (l + 1) | 0) {
      first[l] = indexOf(l, hi, lo);
      last[l] = indexOf(l, zhi, zlo);
    }
    return true;
  }

  // ---- removing

  /** Removes the used entries i0..i1 of a leaf table whose first page is (hi, lo). */
  function zapLeaves(t: number, i0: number, i1: number, hi: number, lo: number): void {
    const w0 = i0 >>> 5;
    const w1 = i1 >>> 5;
    const notify = state[NOTIFY];
    let n = zapped[0];
    let gone = 0;
    let sum = pt[(t + SUMMARY) | 0] & (-1 << (w0 >>> GROUP_SHIFT)) & (-1 >>> (31 - (w1 >>> GROUP_SHIFT)));
    while (sum !== 0) {
      const s = 31 - Math.clz32(sum & -sum);
      sum &= sum - 1;
      const wa = GROUP === 1 ? s : Math.max(w0, s << GROUP_SHIFT);
      const wb = GROUP === 1 ? s : Math.min(w1, (s << GROUP_SHIFT) | (GROUP - 1));
      for (let w = wa; w <= wb; w = (w + 1) | 0) {
        const bi = (t + BITMAP + w) | 0;
        const all = pt[bi];
        let b = all;
        if (w === w0) b &= -1 << (i0 & 31);
        if (w === w1) b &= -1 >>> (31 - (i1 & 31));
        pt[bi] = all & ~b;
        if (b === all && (GROUP === 1 || groupEmpty(t, w))) pt[(t + SUMMARY) | 0] &= ~(1 << s);
        while (b !== 0) {
          const i = ((w << 5) + 31 - Math.clz32(b & -b)) | 0;
          b &= b - 1;
          const q = (t + (i << 1)) | 0;
          const flags = pt[q];
          const frame = pt[(q + 1) | 0];
          pt[q] = 0;
          pt[(q + 1) | 0] = 0;
          if (n < 32) {
            zapped[(2 + (n << 1)) | 0] = hi;
            zapped[(3 + (n << 1)) | 0] = lo | (i << PAGE_SHIFT);
          }
          n = (n + 1) | 0;
          gone = (gone + 1) | 0;
          if (notify !== 0) dropped(frame, flags, 1);
        }
      }
    }
    zapped[0] = n;
    pt[(t + COUNT) | 0] = (pt[(t + COUNT) | 0] - gone) | 0;
  }

  function zapTables(t: number, level: number, edge: number, hi: number, lo: number, pid: number): void {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    const below = (level - 1) | 0;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = (t + (i << 1)) | 0;
      const x = pt[q];
      const chi = (hi + entryHi(level, i)) | 0;
      const clo = lo | entryLo(level, i);
      if ((x & P_PS) === P) {
        const c = tableOf[pt[(q + 1) | 0]];
        const e = (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0);
        if (below === 1) zapLeaves(c, (e & 1) !== 0 ? first[1] : 0, (e & 2) !== 0 ? last[1] : MASK, chi, clo);
        else zapTables(c, below, e, chi, clo, pid);
        if (pt[(c + COUNT) | 0] === 0 && state[KEEP] === 0) {
          unlink(t, level, i, c, pid);
          zapped[1] = 1;
        }
      } else {
        const frame = pt[(q + 1) | 0];
        pt[q] = 0;
        pt[(q + 1) | 0] = 0;
        clearBit(t, i);
        state[LARGE_LEAVES]--;
        changed(t, level, i);
        note(chi, clo);
        if (state[NOTIFY] !== 0) dropped(frame, x, level);
      }
    }
  }

  /** A range on both sides of address 0, one side after the other: root indices do not run on there. */
  function eachHalf(pid: number, start: number, end: number, act: (pid: number, start: number, end: number) => number): number {
    act(pid, start, 0);
    const firstPart = zapped.slice();
    act(pid, 0, end);
    const second = zapped.slice();
    zapped.set(firstPart);
    for (let k = 0; k < Math.min(second[0], 32); k++) note(second[2 + 2 * k], second[3 + 2 * k]);
    zapped[0] = firstPart[0] + second[0];
    zapped[1] = firstPart[1] | second[1];
    return zapped[0];
  }

  /** Frees the leaf table of an address, which became empty, and the tables above it that are empty then. */
  function freeUpward(pid: number, hi: number, lo: number): void {
    let t = roots[(pid + 1) | 0];
    for (let l = LEVELS; l > 1; l--) {
      path[l] = t;
      t = tableOf[pt[(t + (indexOf(l, hi, lo) << 1) + 1) | 0]];
    }
    for (let l = 2; l <= LEVELS && pt[(t + COUNT) | 0] === 0; l++) {
      unlink(path[l], l, indexOf(l, hi, lo), t, pid);
      t = path[l];
    }
    zapped[1] = 1;
  }

  /** The part of a removal that lies in one leaf table, from page a to page z of the 2^30 bytes at hi. */
  function zapInTable(t: number, pid: number, hi: number, a: number, z: number): number {
    zapped[0] = 0;
    zapped[1] = 0;
    zapLeaves(t, a & MASK, z & MASK, hi, (a & ~MASK) << PAGE_SHIFT);
    if (pt[(t + COUNT) | 0] === 0 && state[KEEP] === 0) freeUpward(pid, hi, a << PAGE_SHIFT);
    return zapped[0];
  }

  function zapHalf(pid: number, start: number, end: number): number {
    if (!bound(pid, start, end)) return 0;
    zapTables(roots[(pid + 1) | 0], LEVELS, 3, 0, 0, pid);
    return zapped[0];
  }

  function unmap(pid: number, start: number, end: number, keepTables: number, notify: number): number {
    state[KEEP] = keepTables;
    state[NOTIFY] = notify;
    const from = Math.max(start, pid < 0 ? -HALF_PAGES : 0);
    const to = Math.min(end, HALF_PAGES);
    const hi = Math.floor(from * PER_SPLIT);
    const a = from - hi * SPLIT_PAGES;
    const z = to - 1 - hi * SPLIT_PAGES;
    // Most ranges lie in one leaf table: then no large leaf is near.
    if (a <= z && z < SPLIT_PAGES && a >>> INDEX_BITS === z >>> INDEX_BITS) {
      const t = leafTable(pid, hi, a << PAGE_SHIFT);
      if (t !== 0) return zapInTable(t, pid, hi, a, z);
    }
    if (cut(pid, from, to) !== 0) return nothing(ENOMEM);
    return from >= 0 || to <= 0 ? zapHalf(pid, from, to) : eachHalf(pid, from, to, zapHalf);
  }

  function unmapRange(pid: number, start: number, end: number, keepTables: number): number {
    return unmap(pid, start, end, keepTables, 1);
  }

  // ---- changing attributes

  function protectEntry(q: number, hi: number, lo: number, clear: number, set: number): number {
    const old = pt[q];
    const now = (old & ~clear) | set;
    if (now === old) return 0;
    if (now === 0) throw new Error('broken invariant: protectRange must leave a flag bit in every leaf');
    pt[q] = now;
    note(hi, lo);
    return 1;
  }

  /** Changes the used entries i0..i1 of a leaf table whose first page is (hi, lo). */
  function protectLeaves(t: number, i0: number, i1: number, hi: number, lo: number): void {
    const clear = state[CLEAR];
    const set = state[SET];
    const w1 = i1 >>> 5;
    for (let w = i0 >>> 5; w <= w1; w = (w + 1) | 0) {
      let b = pt[(t + BITMAP + w) | 0];
      if (w === i0 >>> 5) b &= -1 << (i0 & 31);
      if (w === w1) b &= -1 >>> (31 - (i1 & 31));
      while (b !== 0) {
        const i = ((w << 5) + 31 - Math.clz32(b & -b)) | 0;
        b &= b - 1;
        protectEntry((t + (i << 1)) | 0, hi, lo | (i << PAGE_SHIFT), clear, set);
      }
    }
  }

  function protectTables(t: number, level: number, edge: number, hi: number, lo: number): void {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = (t + (i << 1)) | 0;
      const chi = (hi + entryHi(level, i)) | 0;
      const clo = lo | entryLo(level, i);
      if ((pt[q] & P_PS) === P) {
        const c = tableOf[pt[(q + 1) | 0]];
        const e = (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0);
        if (level === 2) protectLeaves(c, (e & 1) !== 0 ? first[1] : 0, (e & 2) !== 0 ? last[1] : MASK, chi, clo);
        else protectTables(c, (level - 1) | 0, e, chi, clo);
      } else if (protectEntry(q, chi, clo, state[CLEAR], state[SET]) !== 0) changed(t, level, i);
    }
  }

  function protectHalf(pid: number, start: number, end: number): number {
    if (!bound(pid, start, end)) return 0;
    protectTables(roots[(pid + 1) | 0], LEVELS, 3, 0, 0);
    return zapped[0];
  }

  function protectRange(pid: number, start: number, end: number, clear: number, set: number): number {
    state[CLEAR] = clear & 0xffffff & ~PS;
    state[SET] = set & 0xffffff & ~PS;
    const from = Math.max(start, pid < 0 ? -HALF_PAGES : 0);
    const to = Math.min(end, HALF_PAGES);
    const hi = Math.floor(from * PER_SPLIT);
    const a = from - hi * SPLIT_PAGES;
    const z = to - 1 - hi * SPLIT_PAGES;
    if (a <= z && z < SPLIT_PAGES && a >>> INDEX_BITS === z >>> INDEX_BITS) {
      const t = leafTable(pid, hi, a << PAGE_SHIFT);
      if (t !== 0) {
        zapped[0] = 0;
        zapped[1] = 0;
        protectLeaves(t, a & MASK, z & MASK, hi, (a & ~MASK) << PAGE_SHIFT);
        return zapped[0];
      }
    }
    if (cut(pid, from, to) !== 0) return nothing(ENOMEM);
    return from >= 0 || to <= 0 ? protectHalf(pid, from, to) : eachHalf(pid, from, to, protectHalf);
  }

  // ---- freeing tables

  const limits = new Float64Array(16);

  function freeBelow(t: number, level: number, edge: number, base: number, pid: number): number {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    let freed = 0;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = t + 2 * i;
      if ((pt[q] & P_PS) !== P) continue;
      const c = tableOf[pt[q + 1]];
      const from = base + entryHi(level, i) * SPLIT_PAGES + (entryLo(level, i) >>> PAGE_SHIFT);
      if (level > 2) freed += freeBelow(c, level - 1, (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0), from, pid);
      if (pt[c + COUNT] === 0 && from >= limits[0] && from + spans[level] <= limits[1] && level - 1 <= limits[2]) {
        unlink(t, level, i, c, pid);
        freed++;
      }
    }
    return freed;
  }

  function freeHalf(pid: number, start: number, end: number): number {
    const freed = bound(pid, start, end) ? freeBelow(roots[pid + 1], LEVELS, 3, 0, pid) : 0;
    zapped[1] = freed > 0 ? 1 : 0;
    return freed;
  }

  function freeTables(pid: number, start: number, end: number, floor: number, ceiling: number, highest: number = LEVELS): number {
    limits[0] = floor;
    limits[1] = ceiling;
    limits[2] = highest;
    const from = Math.max(start, pid < 0 ? -HALF_PAGES : 0);
    const to = Math.min(end, HALF_PAGES);
    return from < 0 && to > 0 ? freeHalf(pid, from, 0) + freeHalf(pid, 0, to) : freeHalf(pid, from, to);
  }

  return { nothing, unmap, unmapRange, protectRange, freeTables, zapped, bound, first, last, note };
}

export type Range = ReturnType<typeof makeRange>;
