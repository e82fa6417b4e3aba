/**
 * Whole spaces: making, destroying and copying them (fork).
 *
 * A copy takes every table it needs before it touches an entry, so running out of frames leaves both spaces as they were. A leaf that is
 * writable and not `shared` loses its write bit in both spaces; the copy's accessed bit is cleared. Tables are taken in the order of a
 * depth-first walk, as a kernel's copy loop asks for them.
 *
 * Work is done word by word of the bitmap in small functions, because V8 compiles those best.
 *
 * Not done here: copying deposited tables (the policy deposits for the large leaves it copies); sharing of tables between parent and child.
 */
import { EEXIST, EINVAL, ENOMEM, EPERM, ESRCH } from '../arch.js';
import { reserveInt32 } from '../reserve.js';
import { Cell, type Store } from './store.js';
import type { Walk } from './walk.js';

export function makeSpace(store: Store, walk: Walk) {
  const { LEVELS, ENTRIES, MASK, GROUP, GROUP_SHIFT, BITMAP, COUNT, FRAME, SUMMARY, NEXT, HALF, MAX_SPACES, P, RW, A, PS } = store;
  const { pt, tableOf, roots, spaceCount, deposits, spare, state, reserve, take, release, nextUsed } = store;
  const { rootOf } = walk;
  // Called without `this`.
  const { dropped, copied } = store.observer;
  const P_PS = P | PS;
  const SHARED = 512;
  const RW_SHARED = RW | SHARED;
  const LARGE_LEAVES = Cell.largeLeaves;
  const PID_LIMIT = Cell.pidLimit;
  const FETCHED = Cell.fetched;
  /** The slab, both words of an entry at a time. */
  const both = new Float64Array(pt.buffer);
  /** The two words of each entry taken out of the leaf table that is being emptied. */
  const taken = reserveInt32(2 * ENTRIES);

  function createSpace(pid: number): number {
    if (!Number.isInteger(pid) || pid < 0 || pid >= MAX_SPACES) return EINVAL;
    if (roots[pid + 1] !== 0) return EEXIST;
    if (reserve(1, pid) !== 0) return ENOMEM;
    const r = take(LEVELS, pid);
    const k = roots[0];
    for (let i = nextUsed(k, HALF, MASK); i < ENTRIES; i = nextUsed(k, i + 1, MASK)) {
      const o = i << 1;
      pt[(r + o) | 0] = pt[(k + o) | 0] & ~A;
      pt[(r + o + 1) | 0] = pt[(k + o + 1) | 0];
    }
    roots[pid + 1] = r;
    if (pid >= state[PID_LIMIT]) state[PID_LIMIT] = pid + 1;
    return 0;
  }

  /** Takes the entries of word w out of a leaf table, behind the n taken so far; how many there are then. */
  function takeWord(t: number, w: number, n: number): number {
    const bi = (t + BITMAP + w) | 0;
    let b = pt[bi];
    pt[bi] = 0;
    while (b !== 0) {
      const q = (t + (((w << 5) + 31 - Math.clz32(b & -b)) << 1)) | 0;
      b &= b - 1;
      taken[n << 1] = pt[q];
      taken[(n << 1) | 1] = pt[(q + 1) | 0];
      both[q >>> 1] = 0;
      n = (n + 1) | 0;
    }
    return n;
  }

  /**
   * Empties a leaf table. The entries are taken out first: what becomes of a frame cannot be predicted, and a wrong guess would throw away the loads of the
   * entries that follow, which are mostly outside the caches.
   */
  function dropLeaves(t: number): void {
    let sum = pt[(t + SUMMARY) | 0];
    let n = 0;
    while (sum !== 0) {
      const w = (31 - Math.clz32(sum & -sum)) << GROUP_SHIFT;
      sum &= sum - 1;
      for (let k = 0; k < GROUP; k++) n = takeWord(t, (w + k) | 0, n);
    }
    for (let i = 0; i < n; i = (i + 1) | 0) dropped(taken[(i << 1) | 1], taken[i << 1], 1);
  }

  /**
   * Looks at the heads of the tables that word w of t leads to. Each lies on a page of its own, mostly outside the caches: here the processor waits for all of
   * them at once, not for one after the other.
   */
  function fetchTables(t: number, w: number): void {
    let b = pt[(t + BITMAP + w) | 0];
    let any = 0;
    while (b !== 0) {
      const q = (t + (((w << 5) + 31 - Math.clz32(b & -b)) << 1)) | 0;
      b &= b - 1;
      if ((pt[q] & P_PS) !== P) continue;
      const c = tableOf[pt[(q + 1) | 0]];
      any |= pt[(c + SUMMARY) | 0] | pt[(c + BITMAP) | 0];
    }
    state[FETCHED] = any;
  }

  /** Empties and frees table t and everything below it. */
  function dropTable(t: number, level: number, pid: number): void {
    if (level === 1) dropLeaves(t);
    else dropInner(t, level, pid);
    pt[(t + SUMMARY) | 0] = 0;
    pt[(t + COUNT) | 0] = 0;
    release(t, level, pid);
  }

  function dropInner(t: number, level: number, pid: number): void {
    let sum = pt[(t + SUMMARY) | 0];
    while (sum !== 0) {
      const w = (31 - Math.clz32(sum & -sum)) << GROUP_SHIFT;
      sum &= sum - 1;
      for (let k = 0; k < GROUP; k++) dropInnerWord(t, (w + k) | 0, level, pid);
    }
  }

  function dropInnerWord(t: number, w: number, level: number, pid: number): void {
    fetchTables(t, w);
    const bi = (t + BITMAP + w) | 0;
    let b = pt[bi];
    pt[bi] = 0;
    while (b !== 0) {
      const q = (t + (((w << 5) + 31 - Math.clz32(b & -b)) << 1)) | 0;
      b &= b - 1;
      const x = pt[q];
      const frame = pt[(q + 1) | 0];
      pt[q] = 0;
      pt[(q + 1) | 0] = 0;
      if ((x & P_PS) === P) dropTable(tableOf[frame], (level - 1) | 0, pid);
      else {
        state[LARGE_LEAVES]--;
        dropped(frame, x, level);
      }
    }
  }

  function destroySpace(pid: number): number {
    if (pid === -1) return EPERM;
    const r = Number.isInteger(pid) && pid >= 0 && pid < MAX_SPACES ? roots[pid + 1] : 0;
    if (r === 0) return ESRCH;
    const k = roots[0];
    for (let i = nextUsed(k, HALF, MASK); i < ENTRIES; i = nextUsed(k, i + 1, MASK)) {
      const o = i << 1;
      pt[(r + o) | 0] = 0;
      pt[(r + o + 1) | 0] = 0;
    }
    let d = deposits[pid + 1];
    deposits[pid + 1] = 0;
    while (d !== 0) {
      const next = pt[d + NEXT];
      release(d, 1, pid);
      spare[pid + 1]--;
      d = next;
    }
    if (spare[pid + 1] !== 0) throw new Error(`broken invariant: space ${pid} ends while ${spare[pid + 1]} of its withdrawn tables are in nobody's place`);
    roots[pid + 1] = 0;
    dropTable(r, LEVELS, pid);
    return 0;
  }

  // ---- fork

  /** Copies word w of leaf table t into n. */
  function copyWord(t: number, n: number, w: number): void {
    let b = pt[(t + BITMAP + w) | 0];
    pt[(n + BITMAP + w) | 0] = b;
    while (b !== 0) {
      const o = ((w << 5) + 31 - Math.clz32(b & -b)) << 1;
      b &= b - 1;
      copyEntry((t + o) | 0, (n + o) | 0, 1);
    }
  }

  function copyEntry(q: number, r: number, level: number): void {
    const frame = pt[(q + 1) | 0];
    let flags = pt[q];
    if ((flags & RW_SHARED) === RW) {
      flags &= ~RW;
      pt[q] = flags;
    }
    flags &= ~A;
    pt[r] = flags;
    pt[(r + 1) | 0] = frame;
    copied(frame, flags, level);
  }

  function copyLeafTable(t: number, pid: number): number {
    const n = take(1, pid);
    let sum = pt[(t + SUMMARY) | 0];
    pt[(n + SUMMARY) | 0] = sum;
    pt[(n + COUNT) | 0] = pt[(t + COUNT) | 0];
    while (sum !== 0) {
      const w = (31 - Math.clz32(sum & -sum)) << GROUP_SHIFT;
      sum &= sum - 1;
      for (let k = 0; k < GROUP; k++) copyWord(t, n, (w + k) | 0);
    }
    return n;
  }

  /** Copies what table t holds into the empty table n of the same level, above 1. */
  function copyInner(t: number, n: number, level: number, pid: number): void {
    let sum = pt[(t + SUMMARY) | 0];
    pt[(n + SUMMARY) | 0] = sum;
    pt[(n + COUNT) | 0] = pt[(t + COUNT) | 0];
    while (sum !== 0) {
      const w = (31 - Math.clz32(sum & -sum)) << GROUP_SHIFT;
      sum &= sum - 1;
      for (let k = 0; k < GROUP; k++) copyInnerWord(t, n, (w + k) | 0, level, pid);
    }
  }

  function copyInnerWord(t: number, n: number, w: number, level: number, pid: number): void {
    fetchTables(t, w);
    let b = pt[(t + BITMAP + w) | 0];
    pt[(n + BITMAP + w) | 0] = b;
    while (b !== 0) {
      const o = ((w << 5) + 31 - Math.clz32(b & -b)) << 1;
      b &= b - 1;
      const q = (t + o) | 0;
      const r = (n + o) | 0;
      const x = pt[q];
      if ((x & P_PS) === P) {
        const from = tableOf[pt[(q + 1) | 0]];
        let c = 0;
        if (level === 2) c = copyLeafTable(from, pid);
        else {
          c = take((level - 1) | 0, pid);
          copyInner(from, c, (level - 1) | 0, pid);
        }
        pt[r] = x & ~A;
        pt[(r + 1) | 0] = pt[(c + FRAME) | 0];
      } else {
        state[LARGE_LEAVES]++;
        copyEntry(q, r, level);
      }
    }
  }

  function copySpace(from: number, to: number): number {
    const source = rootOf(from);
    const target = rootOf(to);
    if (from < 0 || to < 0 || source === target || pt[(target + COUNT) | 0] !== 0) {
      throw new Error(`broken invariant: space ${from} cannot be copied to ${to}, which must be another, empty process space`);
    }
    let need = -spare[from + 1];
    for (let l = 1; l < LEVELS; l++) need += spaceCount[((from + 1) * 8 + l) | 0];
    if (reserve(need, to) !== 0) return ENOMEM;
    copyInner(source, target, LEVELS, to);
    return 0;
  }

  return { createSpace, destroySpace, copySpace, copyEntry };
}

export type Space = ReturnType<typeof makeSpace>;
