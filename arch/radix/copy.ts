/**
 * Whole spaces and ranges between places: create and destroy a space, fork's copies, mremap's moves.
 *
 * Copies take every table they need before they touch an entry, so running out of frames leaves both spaces as they were. A leaf that is
 * writable and not `shared` loses its write bit in both spaces; the copy's accessed bit is cleared. Tables are taken in the order of a
 * depth-first walk, as a kernel's copy loop would ask for them.
 *
 * Not done here: copying deposited tables (the policy deposits for the large leaves it copies).
 */
import { EEXIST, EINVAL, ENOMEM, EPERM, ESRCH } from '../arch.js';
import { Cell, type Store } from './store.js';
import type { Range } from './range.js';
import type { Walk } from './walk.js';

export function makeCopy(store: Store, walk: Walk, range: Range) {
  const { LEVELS, ENTRIES, MASK, GROUP, GROUP_SHIFT, BITMAP, COUNT, FRAME, SUMMARY, NEXT, HALF, HALF_PAGES, SPLIT_PAGES, PAGE_SHIFT, MAX_SPACES } = store;
  const { P, RW, A, PS, pt, tableOf, roots, spaceCount, deposits, spare, state, spans } = store;
  const { reserve, take, release, setBit, clearBit, nextUsed, changed, link, indexOf } = store;
  const { cut, uncut, rootOf, splitInto, tableAt } = walk;
  const { nothing, bound, first, last, zapped, note, entryHi, entryLo, freeTables } = range;
  const { dropped, copied } = store.options.observer;
  const P_PS = P | PS;
  const SHARED = 512;
  const RW_SHARED = RW | SHARED;
  const LARGE_LEAVES = Cell.largeLeaves;

  // ---- spaces

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
    if (pid >= state[Cell.pidLimit]) state[Cell.pidLimit] = pid + 1;
    return 0;
  }

  /** Empties word w of a leaf table's bitmap. */
  function dropWord(t: number, w: number): void {
    const bi = (t + BITMAP + w) | 0;
    let b = pt[bi];
    pt[bi] = 0;
    while (b !== 0) {
      const q = (t + (((w << 5) + 31 - Math.clz32(b & -b)) << 1)) | 0;
      b &= b - 1;
      const flags = pt[q];
      const frame = pt[(q + 1) | 0];
      pt[q] = 0;
      pt[(q + 1) | 0] = 0;
      dropped(frame, flags, 1);
    }
  }

  /** Empties and frees table t and everything below it. */
  function dropTable(t: number, level: number, pid: number): void {
    let sum = pt[(t + SUMMARY) | 0];
    pt[(t + SUMMARY) | 0] = 0;
    while (sum !== 0) {
      const s = 31 - Math.clz32(sum & -sum);
      sum &= sum - 1;
      const w = s << GROUP_SHIFT;
      for (let k = 0; k < GROUP; k++) {
        if (level === 1) dropWord(t, (w + k) | 0);
        else dropInnerWord(t, (w + k) | 0, level, pid);
      }
    }
    pt[(t + COUNT) | 0] = 0;
    release(t, level, pid);
  }

  function dropInnerWord(t: number, w: number, level: number, pid: number): void {
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

  function copyRange(from: number, to: number, start: number, end: number): number {
    const source = rootOf(from);
    const target = rootOf(to);
    if (from < 0 || to < 0 || source === target) throw new Error(`broken invariant: space ${from} cannot be copied to ${to}`);
    const a = Math.max(start, 0);
    const b = Math.min(end, HALF_PAGES);
    if (cut(from, a, b) !== 0) return ENOMEM;
    if (!bound(from, a, b)) return 0;
    const need = lacking(source, target, LEVELS, 3);
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

  /** A leaf at source page `vpn`, which moves whole or is split. */
  function planLeaf(vpn: number, level: number): boolean {
    if (whole(vpn + plan[PLAN_DELTA], level)) return planTarget(vpn + plan[PLAN_DELTA], level);
    plan[PLAN_NEED]++;
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

  return { createSpace, destroySpace, copySpace, copyRange, moveRange };
}

export type Copy = ReturnType<typeof makeCopy>;
