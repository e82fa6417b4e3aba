/**
 * Splitting large leaves, and the leaf tables that a policy keeps in reserve for that.
 *
 * An operation on a range first cuts the large leaves that stick out of it (`cut`). When it then cannot go on, `uncut` puts the large
 * leaves back, so that the failed operation leaves no trace.
 */
import { EEXIST, EINVAL, ENOMEM } from '../arch.js';
import { Cell, type Store } from './store.js';
import type { Walk } from './walk.js';

export function makeSplit(store: Store, walk: Walk) {
  const { LEVELS, ENTRIES, WORDS, GROUP_SHIFT, BITMAP, COUNT, SUMMARY, NEXT, PAGE_SHIFT, INDEX_BITS, MAX_LEAF, SPLIT_PAGES, P, PS } = store;
  const { pt, tableOf, roots, state, spans, deposits, spare, indexOf, reserve, take, release, changed, link } = store;
  const { rootOf, tableAt, ensureTable } = walk;
  const P_PS = P | PS;
  const LARGE_LEAVES = Cell.largeLeaves;

  /** Replaces the large leaf in entry i of t by the reserved table `c` of smaller leaves with the same flags. */
  function splitInto(t: number, level: number, i: number, c: number, pid: number): void {
    const q = (t + (i << 1)) | 0;
    const small = level - 1;
    const shift = (small - 1) * INDEX_BITS;
    const w0 = small === 1 ? pt[q] & ~PS : pt[q];
    const w1 = pt[(q + 1) | 0];
    for (let k = 0; k < ENTRIES; k++) {
      // The first frame is aligned to the large leaf, so nothing carries; only a shift beyond bit 31 reaches word 0.
      const above = shift >= 24 ? (k * 2 ** shift) / 4294967296 : 0;
      pt[c + 2 * k] = w0 | (Math.floor(above) << 24);
      pt[c + 2 * k + 1] = w1 | (shift < 32 ? k << shift : 0);
    }
    pt.fill(-1, c + BITMAP, c + BITMAP + WORDS);
    const groups = WORDS >>> GROUP_SHIFT;
    pt[c + SUMMARY] = groups === 32 ? -1 : (1 << groups) - 1;
    pt[c + COUNT] = ENTRIES;
    state[LARGE_LEAVES] += small === 1 ? -1 : ENTRIES - 1;
    link(t, level, i, c, pid);
  }

  /** Level of the large leaf that page `vpn` cuts (it lies inside, not at the start), or 0. */
  function cutLevel(pid: number, vpn: number): number {
    const hi = Math.floor(vpn / SPLIT_PAGES);
    const lo = (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
    let t = roots[pid + 1];
    for (let l = LEVELS; l > 1; l--) {
      const q = (t + (indexOf(l, hi, lo) << 1)) | 0;
      const x = pt[q];
      if (x === 0) return 0;
      if ((x & P_PS) !== P) return vpn % spans[l] === 0 ? 0 : l;
      t = tableOf[pt[(q + 1) | 0]];
    }
    return 0;
  }

  /** Lowest level of table that a cut at `vpn` needs. */
  function cutDepth(vpn: number): number {
    let k = 1;
    while (k < MAX_LEAF && vpn % spans[k + 1] === 0) k++;
    return k;
  }

  // What the last `cut` split, so that `uncut` can restore it: entry, word 0, word 1, level, pid; at most two.
  const undo = new Int32Array(64);

  function cutAt(pid: number, vpn: number): void {
    const from = cutLevel(pid, vpn);
    if (from === 0) return;
    const depth = cutDepth(vpn);
    const hi = Math.floor(vpn / SPLIT_PAGES);
    const lo = (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
    for (let l = from; l > depth; l--) {
      const t = tableAt(pid, hi, lo, l);
      const i = indexOf(l, hi, lo);
      if (l === from) {
        const u = state[Cell.cuts] * 8;
        undo[u] = t;
        undo[u + 1] = i;
        undo[u + 2] = pt[t + 2 * i];
        undo[u + 3] = pt[t + 2 * i + 1];
        undo[u + 4] = l;
        undo[u + 5] = pid;
        state[Cell.cuts]++;
      }
      splitInto(t, l, i, take(l - 1, pid), pid);
    }
  }

  /** Splits the large leaves that stick out of pages [start, end). 0 or -ENOMEM (nothing changed). */
  function cut(pid: number, start: number, end: number): number {
    state[Cell.cuts] = 0;
    if (state[LARGE_LEAVES] === 0 || start >= end) return 0;
    const a = cutLevel(pid, start);
    const b = cutLevel(pid, end);
    if (a === 0 && b === 0) return 0;
    const da = a === 0 ? 0 : cutDepth(start);
    const db = b === 0 ? 0 : cutDepth(end);
    let need = a - da + (b - db);
    if (a === b && a > 0) {
      // Both ends in one leaf: tables that hold both boundaries are made once.
      for (let l = a - 1; l >= Math.max(da, db); l--) if (Math.floor(start / spans[l + 1]) === Math.floor(end / spans[l + 1])) need--;
    }
    if (reserve(need, pid) !== 0) return ENOMEM;
    cutAt(pid, start);
    cutAt(pid, end);
    return 0;
  }

  /** Frees table t of split leaves, and those below it. */
  function dropSplit(t: number, level: number, pid: number): void {
    for (let i = 0; i < ENTRIES; i++) {
      const q = t + 2 * i;
      if (level > 1) {
        if ((pt[q] & PS) === 0) dropSplit(tableOf[pt[q + 1]], level - 1, pid);
        else state[LARGE_LEAVES]--;
      }
      pt[q] = 0;
      pt[q + 1] = 0;
    }
    pt.fill(0, t + BITMAP, t + BITMAP + WORDS);
    pt[t + SUMMARY] = 0;
    pt[t + COUNT] = 0;
    release(t, level, pid);
  }

  /** Takes the splits of the last `cut` back; no entry may have changed since. */
  function uncut(): void {
    while (state[Cell.cuts] > 0) {
      state[Cell.cuts]--;
      const u = state[Cell.cuts] * 8;
      const q = undo[u] + 2 * undo[u + 1];
      const c = tableOf[pt[q + 1]];
      pt[q] = undo[u + 2];
      pt[q + 1] = undo[u + 3];
      state[LARGE_LEAVES]++;
      changed(undo[u], undo[u + 4], undo[u + 1]);
      dropSplit(c, undo[u + 4] - 1, undo[u + 5]);
    }
  }

  function splitLarge(pid: number, hi: number, lo: number, table: number): number {
    let t = rootOf(pid);
    for (let l = LEVELS; l > 1; l--) {
      const i = indexOf(l, hi, lo);
      const x = pt[t + 2 * i];
      if (x === 0) return EINVAL;
      if ((x & P_PS) === P) {
        t = tableOf[pt[t + 2 * i + 1]];
        continue;
      }
      let c = table;
      if (table === 0 || l !== 2) {
        if (reserve(1, pid) !== 0) return ENOMEM;
        c = take(l - 1, pid);
      } else spare[pid + 1]--;
      splitInto(t, l, i, c, pid);
      return 0;
    }
    return EINVAL;
  }

  function deposit(pid: number): number {
    rootOf(pid);
    if (reserve(1, pid) !== 0) return ENOMEM;
    const t = take(1, pid);
    pt[t + NEXT] = deposits[pid + 1];
    deposits[pid + 1] = t;
    spare[pid + 1]++;
    return t;
  }

  function withdraw(pid: number): number {
    const t = deposits[pid + 1];
    if (t !== 0) {
      deposits[pid + 1] = pt[t + NEXT];
      pt[t + NEXT] = 0;
    }
    return t;
  }

  function attachTable(pid: number, hi: number, lo: number, table: number): number {
    const t = ensureTable(pid, hi, lo, 2);
    if (t < 0) return t;
    const i = indexOf(2, hi, lo);
    if (pt[t + 2 * i] !== 0) return EEXIST;
    spare[pid + 1]--;
    link(t, 2, i, table, pid);
    return 0;
  }

  function releaseTable(pid: number, table: number): void {
    spare[pid + 1]--;
    release(table, 1, pid);
  }

  return { splitInto, splitLarge, cut, uncut, deposit, withdraw, attachTable, releaseTable };
}

export type Split = ReturnType<typeof makeSplit>;
