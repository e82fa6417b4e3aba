/**
 * One address at a time: finding and installing leaves, making sure of tables. Addresses must be canonical; that is not checked again.
 */
import { EEXIST, EINVAL, ENOMEM } from '../arch.js';
import { Cell, type Store } from './store.js';

export function makeWalk(store: Store) {
  const { LEVELS, MASK, PAGE_SHIFT, MAX_LEAF, SPLIT_PAGES, SHIFT_1, SHIFT_2, HIGH_2, SHIFT_3, SHIFT_4, SHIFT_5, MASK_3, MASK_4, MASK_5, P, PS } = store;
  const { pt, tableOf, roots, state, spans, indexOf, reserve, take, setBit, changed, link } = store;
  const P_PS = P | PS;
  const LEAF_LEVEL = Cell.leafLevel;
  const LARGE_LEAVES = Cell.largeLeaves;

  /** Where a walk ended above level 1: at a present large leaf, or nowhere. */
  function endAbove(q: number, level: number): number {
    if ((pt[q] & P) === 0) return -1;
    state[LEAF_LEVEL] = level;
    return q;
  }

  // The steps are written out, not looped: each index is then one shift and one mask. The tests of LEVELS are folded by the compiler.
  function findLeaf(pid: number, hi: number, lo: number): number {
    let t = roots[(pid + 1) | 0];
    let q = 0;
    if (LEVELS >= 5) {
      q = (t + (((hi >> SHIFT_5) & MASK_5) << 1)) | 0;
      if ((pt[q] & P_PS) !== P) return endAbove(q, 5);
      t = tableOf[pt[(q + 1) | 0]];
    }
    if (LEVELS >= 4) {
      q = (t + (((hi >> SHIFT_4) & MASK_4) << 1)) | 0;
      if ((pt[q] & P_PS) !== P) return endAbove(q, 4);
      t = tableOf[pt[(q + 1) | 0]];
    }
    q = (t + (((hi >> SHIFT_3) & MASK_3) << 1)) | 0;
    if ((pt[q] & P_PS) !== P) return endAbove(q, 3);
    t = tableOf[pt[(q + 1) | 0]];
    q = (t + ((((hi << HIGH_2) | (lo >>> SHIFT_2)) & MASK) << 1)) | 0;
    if ((pt[q] & P_PS) !== P) return endAbove(q, 2);
    t = tableOf[pt[(q + 1) | 0]];
    q = (t + (((lo >>> SHIFT_1) & MASK) << 1)) | 0;
    if ((pt[q] & P) === 0) return -1;
    state[LEAF_LEVEL] = 1;
    return q;
  }

  /** The leaf table of an address, or 0 where none stands. */
  function leafTable(pid: number, hi: number, lo: number): number {
    let t = roots[(pid + 1) | 0];
    let q = 0;
    if (LEVELS >= 5) {
      q = (t + (((hi >> SHIFT_5) & MASK_5) << 1)) | 0;
      if ((pt[q] & P_PS) !== P) return 0;
      t = tableOf[pt[(q + 1) | 0]];
    }
    if (LEVELS >= 4) {
      q = (t + (((hi >> SHIFT_4) & MASK_4) << 1)) | 0;
      if ((pt[q] & P_PS) !== P) return 0;
      t = tableOf[pt[(q + 1) | 0]];
    }
    q = (t + (((hi >> SHIFT_3) & MASK_3) << 1)) | 0;
    if ((pt[q] & P_PS) !== P) return 0;
    t = tableOf[pt[(q + 1) | 0]];
    q = (t + ((((hi << HIGH_2) | (lo >>> SHIFT_2)) & MASK) << 1)) | 0;
    if ((pt[q] & P_PS) !== P) return 0;
    return tableOf[pt[(q + 1) | 0]];
  }

  function mapLeaf(pid: number, hi: number, lo: number, flags: number, frame: number): number {
    if (hi < 0 && pid >= 0) return EINVAL;
    let t = leafTable(pid, hi, lo);
    if (t === 0) {
      t = ensureTable(pid, hi, lo, 1);
      if (t < 0) return t;
    }
    const i = (lo >>> SHIFT_1) & MASK;
    const q = (t + (i << 1)) | 0;
    if (pt[q] === 0) setBit(t, i);
    pt[q] = flags | P;
    pt[(q + 1) | 0] = frame;
    return 0;
  }

  function rootOf(pid: number): number {
    const t = roots[pid + 1];
    if (!(t > 0)) throw new Error(`broken invariant: address space ${pid} does not exist`);
    return t;
  }

  function ensureTable(pid: number, hi: number, lo: number, level: number): number {
    let t = rootOf(pid);
    if (hi < 0 && pid >= 0) return EINVAL;
    let l = LEVELS;
    while (l > level) {
      const q = (t + (indexOf(l, hi, lo) << 1)) | 0;
      const x = pt[q];
      if (x === 0) break;
      if ((x & P_PS) !== P) return EEXIST;
      t = tableOf[pt[(q + 1) | 0]];
      l--;
    }
    if (l === level) return t;
    if (reserve(l - level, pid) !== 0) return ENOMEM;
    while (l > level) {
      const c = take(l - 1, pid);
      link(t, l, indexOf(l, hi, lo), c, pid);
      t = c;
      l--;
    }
    return t;
  }

  function tableAt(pid: number, hi: number, lo: number, level: number): number {
    let t = roots[pid + 1];
    for (let l = LEVELS; l > level; l--) {
      const q = (t + (indexOf(l, hi, lo) << 1)) | 0;
      if ((pt[q] & P_PS) !== P) return 0;
      t = tableOf[pt[(q + 1) | 0]];
    }
    return t;
  }

  function mapLarge(pid: number, hi: number, lo: number, level: number, flags: number, frame: number): number {
    if (level < 2 || level > MAX_LEAF) return EINVAL;
    const pages = spans[level];
    const vpn = hi * SPLIT_PAGES + (lo >>> PAGE_SHIFT);
    if (vpn % pages !== 0 || frame % pages !== 0) return EINVAL;
    const t = ensureTable(pid, hi, lo, level);
    if (t < 0) return t;
    const i = indexOf(level, hi, lo);
    const q = (t + (i << 1)) | 0;
    if (pt[q] !== 0) return EEXIST;
    setBit(t, i);
    pt[q] = flags | P_PS | (Math.floor(frame / 4294967296) << 24);
    pt[(q + 1) | 0] = frame;
    state[LARGE_LEAVES]++;
    changed(t, level, i);
    return 0;
  }

  return { findLeaf, leafTable, mapLeaf, ensureTable, tableAt, mapLarge, rootOf };
}

export type Walk = ReturnType<typeof makeWalk>;
