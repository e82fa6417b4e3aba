/**
 * Ranges between places: copies from space to space (fork of one mapping), moves within a space (mremap).
 *
 * Both count first what they need (tables the target lacks, large leaves to split) and whether something is in the way, then take the
 * tables, then act; an error leaves everything as it was.
 */
import { EEXIST, EINVAL, ENOMEM } from '../arch.js';
import type { Range } from './range.js';
import type { Space } from './space.js';
import type { Split } from './split.js';
import { Cell, type Store } from './store.js';
import type { Walk } from './walk.js';

export function makeMove(store: Store, walk: Walk, split: Split, range: Range, space: Space) {
  const { LEVELS, ENTRIES, MASK, MAX_TABLES, HALF_PAGES, SPLIT_PAGES, PAGE_SHIFT, P, PS, BITMAP, COUNT, SUMMARY, GROUP_SHIFT } = store;
  const { pt, tableOf, roots, state, spans, indexOf, indexOfPage, entryHi, entryLo, reserve, take, setBit, clearBit, nextUsed, changed, link } = store;
  const { rootOf, tableAt } = walk;
  const { cut, uncut, splitInto } = split;
  const { nothing, bound, first, last, zapped, note, freeTables } = range;
  const { copyEntry } = space;
  const P_PS = P | PS;
  const LARGE_LEAVES = Cell.largeLeaves;

  // ---- copies of a range

  /** Tables that n (0 = not there yet) lacks below it to take the range's part of t, or -EEXIST. */
  function lacking(t: number, n: number, level: number, edge: number): number {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    let need = 0;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const x = pt[(t + (i << 1)) | 0];
      const y = n === 0 ? 0 : pt[(n + (i << 1)) | 0];
      if (level === 1 || (x & P_PS) !== P) {
        if (y !== 0) return EEXIST;
        continue;
      }
      if (y !== 0 && (y & P_PS) !== P) return EEXIST;
      // A leaf table that the target lacks cannot conflict and needs nothing below it.
      if (y === 0 && level === 2) {
        need++;
        continue;
      }
      const c = y === 0 ? 0 : tableOf[pt[(n + (i << 1) + 1) | 0]];
      const r = lacking(tableOf[pt[(t + (i << 1) + 1) | 0]], c, (level - 1) | 0, (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0));
      if (r < 0) return r;
      need += r + (y === 0 ? 1 : 0);
    }
    return need;
  }

  function copyPart(t: number, n: number, level: number, edge: number, pid: number): void {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = (t + (i << 1)) | 0;
      const r = (n + (i << 1)) | 0;
      if (level === 1 || (pt[q] & P_PS) !== P) {
        if (level > 1) state[LARGE_LEAVES]++;
        setBit(n, i);
        copyEntry(q, r, level);
        continue;
      }
      let c = tableOf[pt[(r + 1) | 0]];
      if (pt[r] === 0) {
        c = take((level - 1) | 0, pid);
        link(n, level, i, c, pid);
      }
      copyPart(tableOf[pt[(q + 1) | 0]], c, (level - 1) | 0, (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0), pid);
    }
  }

  /** Copies the used entries i0..i1 of leaf table t into n, which has none of them. */
  function copyLeaves(t: number, n: number, i0: number, i1: number): void {
    const w0 = i0 >>> 5;
    const w1 = i1 >>> 5;
    let count = pt[(n + COUNT) | 0];
    let sum = pt[(n + SUMMARY) | 0];
    for (let w = w0; w <= w1; w = (w + 1) | 0) {
      let b = pt[(t + BITMAP + w) | 0];
      if (w === w0) b &= -1 << (i0 & 31);
      if (w === w1) b &= -1 >>> (31 - (i1 & 31));
      if (b === 0) continue;
      pt[(n + BITMAP + w) | 0] |= b;
      sum |= 1 << (w >>> GROUP_SHIFT);
      while (b !== 0) {
        const o = ((w << 5) + 31 - Math.clz32(b & -b)) << 1;
        b &= b - 1;
        count = (count + 1) | 0;
        copyEntry((t + o) | 0, (n + o) | 0, 1);
      }
    }
    pt[(n + COUNT) | 0] = count;
    pt[(n + SUMMARY) | 0] = sum;
  }

  /**
   * The usual range, one that lies in a single leaf table: one path down each space instead of two walks over the tree. 0, -ENOMEM, or 1 when it is not that
   * simple (several tables, a large leaf on the way, something in the target's part): nothing has been done then.
   */
  function copyInLeaf(source: number, target: number, to: number): number {
    let t = source;
    let n = target;
    let need = 0;
    let stop = LEVELS;
    for (; stop > 1; stop = (stop - 1) | 0) {
      const i = first[stop];
      if (i !== last[stop]) return 1;
      const o = i << 1;
      const x = pt[(t + o) | 0];
      if (x === 0) break;
      if ((x & P_PS) !== P) return 1;
      const y = n === 0 ? 0 : pt[(n + o) | 0];
      if (y === 0) {
        need = (need + 1) | 0;
        n = 0;
      } else if ((y & P_PS) !== P) return 1;
      else n = tableOf[pt[(n + o + 1) | 0]];
      t = tableOf[pt[(t + o + 1) | 0]];
    }
    if (stop === 1 && n !== 0 && nextUsed(n, first[1], last[1]) <= last[1]) return 1;
    if (need > 0 && reserve(need, to) !== 0) return ENOMEM;
    n = target;
    for (let level = LEVELS; level > stop; level = (level - 1) | 0) {
      const r = (n + (first[level] << 1)) | 0;
      let c = tableOf[pt[(r + 1) | 0]];
      if (pt[r] === 0) {
        c = take((level - 1) | 0, to);
        link(n, level, first[level], c, to);
      }
      n = c;
    }
    if (stop === 1) copyLeaves(t, n, first[1], last[1]);
    return 0;
  }

  function copyRange(from: number, to: number, start: number, end: number): number {
    const source = rootOf(from);
    const target = rootOf(to);
    if (from < 0 || to < 0 || source === target) throw new Error(`broken invariant: space ${from} cannot be copied to ${to}`);
    const a = Math.max(start, 0);
    const b = Math.min(end, HALF_PAGES);
    if (cut(from, a, b) !== 0) return ENOMEM;
    if (!bound(from, a, b)) return 0;
    const simple = copyInLeaf(source, target, to);
    if (simple === 0) return 0;
    const need = simple < 0 ? simple : lacking(source, target, LEVELS, 3);
    const error = need < 0 ? need : reserve(need, to);
    if (error !== 0) {
      uncut();
      return error;
    }
    copyPart(source, target, LEVELS, 3, to);
    return 0;
  }

  // ---- moving

  // Planning a move: pages from source to target, last target table counted per level, the tables needed so far.
  const plan = new Float64Array(64);
  const PLAN_PID = 0;
  const PLAN_DELTA = 1;
  const PLAN_NEED = 2;
  const PLAN_LAST = 16;

  /** Counts the tables a leaf of `level` at target page `vpn` lacks. False when something stands there. */
  function planTarget(vpn: number, level: number): boolean {
    const hi = Math.floor(vpn / SPLIT_PAGES);
    const lo = (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
    let t = roots[plan[PLAN_PID] + 1];
    for (let l = LEVELS; l > level; l--) {
      if (t !== 0) {
        const q = t + 2 * indexOf(l, hi, lo);
        if (pt[q] !== 0 && (pt[q] & P_PS) !== P) return false;
        t = pt[q] === 0 ? 0 : tableOf[pt[q + 1]];
      }
      if (t === 0) {
        const table = Math.floor(vpn / spans[l]);
        if (plan[PLAN_LAST + l] !== table) {
          plan[PLAN_LAST + l] = table;
          plan[PLAN_NEED]++;
        }
      }
    }
    return t === 0 || pt[t + 2 * indexOf(level, hi, lo)] === 0;
  }

  /** True when a leaf of `level` goes to target page `vpn` in one piece: the target is aligned and no table (perhaps an empty one) stands there. */
  function whole(vpn: number, level: number): boolean {
    if (level === 1) return true;
    if (plan[PLAN_DELTA] % spans[level] !== 0) return false;
    const hi = Math.floor(vpn / SPLIT_PAGES);
    return tableAt(plan[PLAN_PID], hi, (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT, level - 1) === 0;
  }

  /** True when a leaf maps any of pages [p, end), which table t of `level` covers. */
  function occupied(t: number, level: number, p: number, end: number): boolean {
    const span = spans[level];
    const n = Math.floor(p / span);
    const i0 = indexOfPage(level, p);
    const i1 = i0 + Math.floor((end - 1) / span) - n;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = t + 2 * i;
      if (level === 1 || (pt[q] & P_PS) !== P) return true;
      const from = (n + i - i0) * span;
      if (occupied(tableOf[pt[q + 1]], level - 1, Math.max(p, from), Math.min(end, from + span))) return true;
    }
    return false;
  }

  /** A leaf at source page `vpn`, which moves whole or is split. */
  function planLeaf(vpn: number, level: number): boolean {
    const target = vpn + plan[PLAN_DELTA];
    if (whole(target, level)) return planTarget(target, level);
    plan[PLAN_NEED]++;
    // A large leaf can fall into more pieces than one would like to count: beyond any number of tables only the target matters.
    if (plan[PLAN_NEED] > MAX_TABLES) return !occupied(roots[plan[PLAN_PID] + 1], LEVELS, target, target + spans[level]);
    for (let i = 0; i < ENTRIES; i++) {
      if (!planLeaf(vpn + i * spans[level - 1], level - 1)) return false;
    }
    return true;
  }

  function planMove(t: number, level: number, edge: number, hi: number, lo: number): boolean {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = t + 2 * i;
      const chi = hi + entryHi(level, i);
      const clo = lo | entryLo(level, i);
      if (level > 1 && (pt[q] & P_PS) === P) {
        if (!planMove(tableOf[pt[q + 1]], level - 1, (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0), chi, clo)) return false;
      } else if (!planLeaf(chi * SPLIT_PAGES + (clo >>> PAGE_SHIFT), level)) return false;
    }
    return true;
  }

  /** Puts a leaf into the target, whose missing tables were reserved. */
  function place(vpn: number, level: number, w0: number, w1: number): void {
    const pid = plan[PLAN_PID];
    const hi = Math.floor(vpn / SPLIT_PAGES);
    const lo = (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
    let t = roots[pid + 1];
    for (let l = LEVELS; l > level; l--) {
      const i = indexOf(l, hi, lo);
      if (pt[t + 2 * i] === 0) link(t, l, i, take(l - 1, pid), pid);
      t = tableOf[pt[t + 2 * i + 1]];
    }
    const i = indexOf(level, hi, lo);
    setBit(t, i);
    pt[t + 2 * i] = w0;
    pt[t + 2 * i + 1] = w1;
    changed(t, level, i);
  }

  function moveTables(t: number, level: number, edge: number, hi: number, lo: number): void {
    const i0 = (edge & 1) !== 0 ? first[level] : 0;
    const i1 = (edge & 2) !== 0 ? last[level] : MASK;
    const pid = plan[PLAN_PID];
    for (let i = nextUsed(t, i0, i1); i <= i1; i = nextUsed(t, i + 1, i1)) {
      const q = t + 2 * i;
      const chi = hi + entryHi(level, i);
      const clo = lo | entryLo(level, i);
      const to = chi * SPLIT_PAGES + (clo >>> PAGE_SHIFT) + plan[PLAN_DELTA];
      if (level > 1 && (pt[q] & P_PS) !== P && !whole(to, level)) splitInto(t, level, i, take(level - 1, pid), pid);
      if (level > 1 && (pt[q] & P_PS) === P) {
        moveTables(tableOf[pt[q + 1]], level - 1, (i === i0 ? edge & 1 : 0) | (i === i1 ? edge & 2 : 0), chi, clo);
        continue;
      }
      const w0 = pt[q];
      const w1 = pt[q + 1];
      pt[q] = 0;
      pt[q + 1] = 0;
      clearBit(t, i);
      changed(t, level, i);
      note(chi, clo);
      place(to, level, w0, w1);
    }
  }

  function moveRange(pid: number, start: number, target: number, pages: number, keepTables: number): number {
    const root = rootOf(pid);
    const end = start + pages;
    const low = pid < 0 ? -HALF_PAGES : 0;
    const bad = (a: number): boolean => a < low || a + pages > HALF_PAGES || (a < 0 && a + pages > 0);
    if (!(pages >= 0) || bad(start) || bad(target) || (target < end && start < target + pages)) return nothing(EINVAL);
    if (cut(pid, start, end) !== 0) return nothing(ENOMEM);
    if (!bound(pid, start, end)) return 0;
    plan[PLAN_PID] = pid;
    plan[PLAN_DELTA] = target - start;
    plan[PLAN_NEED] = 0;
    plan.fill(NaN, PLAN_LAST);
    const error = !planMove(root, LEVELS, 3, 0, 0) ? EEXIST : reserve(plan[PLAN_NEED], pid);
    if (error !== 0) {
      uncut();
      return nothing(error);
    }
    moveTables(root, LEVELS, 3, 0, 0);
    const moved = zapped[0];
    if (keepTables === 0) {
      const pagesNoted = zapped.slice();
      const freed = freeTables(pid, start, end, -HALF_PAGES, HALF_PAGES);
      zapped.set(pagesNoted);
      zapped[1] = freed > 0 ? 1 : 0;
    }
    return moved;
  }

  function moveLeafTable(pid: number, from: number, to: number): number {
    const slotOf = (vpn: number): number => {
      const hi = Math.floor(vpn / SPLIT_PAGES);
      const lo = (vpn - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
      return tableAt(pid, hi, lo, 2);
    };
    const a = slotOf(from);
    const b = slotOf(to);
    if (a === 0 || b === 0) return 0;
    const i = indexOfPage(2, from);
    const j = indexOfPage(2, to);
    const q = a + 2 * i;
    if ((pt[q] & P_PS) !== P || pt[b + 2 * j] !== 0) return 0;
    const c = tableOf[pt[q + 1]];
    pt[q] = 0;
    pt[q + 1] = 0;
    clearBit(a, i);
    link(b, 2, j, c, pid);
    return 1;
  }

  return { copyRange, moveRange, moveLeafTable };
}
