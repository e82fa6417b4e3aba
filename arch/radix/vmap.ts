/**
 * The four functions of the C design: vmap, vunmap, vismappedto, vgetmapping, in bytes, with every argument checked.
 *
 * A mapping is planned first (nothing in the way? how many tables are missing?), its tables are reserved, then it is made: an error
 * leaves everything as it was. Frames mapped here belong to the caller, so the observer is not told.
 *
 * Errors are looked for in this order: bad arguments (-EINVAL), unknown space (-ESRCH), page in use (-EEXIST), no frame (-ENOMEM).
 */
import { EEXIST, EINVAL, ENOMEM, ESRCH } from '../arch.js';
import { Cell, type Store } from './store.js';
import type { Range } from './range.js';
import type { Walk } from './walk.js';

export function makeVmap(store: Store, walk: Walk, range: Range) {
  const { LEVELS, ENTRIES, MASK, PAGE_SHIFT, HALF_PAGES, SPLIT_PAGES, MAX_LEAF, MAX_SPACES } = store;
  const { P, RW, US, PS, pt, tableOf, roots, state, spans, indexOfPage, reserve, take, setBit, nextUsed, changed, link, unlink } = store;
  const { findLeaf } = walk;
  const { unmap } = range;
  const P_PS = P | PS;
  const PAGE_SIZE = 2 ** PAGE_SHIFT;
  const FRAME_LIMIT = 2 ** (store.spec.paBits - PAGE_SHIFT);

  const rootFor = (pid: number): number => (Number.isInteger(pid) && pid >= -1 && pid < MAX_SPACES ? roots[pid + 1] : 0);
  const multiple = (n: number, of: number): boolean => n % of === 0;

  /** Pages in [va, va + size), or -EINVAL when the range is not one of this pid's. */
  function pagesOf(pid: number, va: number, size: number): number {
    if (!(size >= 0) || !multiple(va, PAGE_SIZE)) return EINVAL;
    const pages = Math.ceil(size / PAGE_SIZE);
    const first = va / PAGE_SIZE;
    if (first < -HALF_PAGES || first >= HALF_PAGES || (first < 0 && pid >= 0)) return EINVAL;
    return first + pages > (first < 0 ? 0 : HALF_PAGES) ? EINVAL : pages;
  }

  function holdsLeaf(t: number, level: number): boolean {
    for (let i = nextUsed(t, 0, MASK); i < ENTRIES; i = nextUsed(t, i + 1, MASK)) {
      if (level === 1 || (pt[t + 2 * i] & P_PS) !== P || holdsLeaf(tableOf[pt[t + 2 * i + 1]], level - 1)) return true;
    }
    return false;
  }

  /** True when the entry of `level` that covers page p becomes a leaf: wholly inside [p, end), frame f aligned. */
  const isLeaf = (level: number, large: boolean, p: number, end: number, f: number): boolean =>
    level === 1 || (large && level <= MAX_LEAF && multiple(p, spans[level]) && p + spans[level] <= end && multiple(f, spans[level]));

  /** Tables missing below t (0 = t itself is still missing) for pages [p, end) at frame f, or -EEXIST. */
  function missing(t: number, level: number, large: boolean, p: number, end: number, f: number): number {
    if (level === 1) return t !== 0 && nextUsed(t, indexOfPage(1, p), indexOfPage(1, end - 1)) <= indexOfPage(1, end - 1) ? EEXIST : 0;
    let need = 0;
    if (t === 0 && !large) {
      for (let l = 1; l < level; l++) need += Math.floor((end - 1) / spans[l + 1]) - Math.floor(p / spans[l + 1]) + 1;
      return need;
    }
    // A large range is aligned to level 2: there is nothing below that.
    if (t === 0 && level === 2) return 0;
    const span = spans[level];
    while (p < end) {
      const next = Math.min((Math.floor(p / span) + 1) * span, end);
      const q = t + 2 * indexOfPage(level, p);
      const x = pt[q];
      const leaf = isLeaf(level, large, p, end, f);
      if (x !== 0 && (x & P_PS) !== P) return EEXIST;
      if (leaf) {
        if (x !== 0 && holdsLeaf(tableOf[pt[q + 1]], level - 1)) return EEXIST;
      } else {
        const below = missing(x === 0 ? 0 : tableOf[pt[q + 1]], level - 1, large, p, next, f);
        if (below < 0) return below;
        need += below + (x === 0 ? 1 : 0);
      }
      f += next - p;
      p = next;
    }
    return need;
  }

  /** Frees table t, which holds no leaf, and the tables below it. */
  function prune(t: number, level: number, i: number, pid: number): void {
    const c = tableOf[pt[t + 2 * i + 1]];
    if (level > 2) for (let k = nextUsed(c, 0, MASK); k < ENTRIES; k = nextUsed(c, k + 1, MASK)) prune(c, level - 1, k, pid);
    unlink(t, level, i, c, pid);
  }

  function fill(t: number, level: number, large: boolean, p: number, end: number, f: number, flags: number, pid: number): void {
    const span = spans[level];
    while (p < end) {
      const next = Math.min((Math.floor(p / span) + 1) * span, end);
      const i = indexOfPage(level, p);
      const q = t + 2 * i;
      if (isLeaf(level, large, p, end, f)) {
        if (pt[q] !== 0) prune(t, level, i, pid);
        setBit(t, i);
        pt[q] = flags | (level > 1 ? PS : 0) | (Math.floor(f / 4294967296) << 24);
        pt[q + 1] = f | 0;
        if (level > 1) state[Cell.largeLeaves]++;
        changed(t, level, i);
      } else {
        if (pt[q] === 0) link(t, level, i, take(level - 1, pid), pid);
        fill(tableOf[pt[q + 1]], level - 1, large, p, next, f, flags, pid);
      }
      f += next - p;
      p = next;
    }
  }

  function vmap(pid: number, pa: number, va: number, size: number, attr?: number): number {
    const pages = pagesOf(pid, va, size);
    if (pages < 0) return pages;
    if (!multiple(pa, PAGE_SIZE) || pa < 0) return EINVAL;
    const first = va / PAGE_SIZE;
    const f = pa / PAGE_SIZE;
    if (f + pages > FRAME_LIMIT) return EINVAL;
    const large = attr !== undefined && (attr & PS) !== 0;
    if (large && !(multiple(first, spans[2]) && multiple(f, spans[2]) && multiple(pages, spans[2]))) return EINVAL;
    const root = rootFor(pid);
    if (root === 0) return ESRCH;
    const need = missing(root, LEVELS, large, first, first + pages, f);
    if (need < 0) return need;
    if (reserve(need, pid) !== 0) return ENOMEM;
    const flags = attr === undefined ? (pid < 0 ? RW : RW | US) : attr & 0xffffff & ~PS;
    fill(root, LEVELS, large, first, first + pages, f, flags | P, pid);
    return 0;
  }

  function vunmap(pid: number, va: number, size: number): number {
    const pages = pagesOf(pid, va, size);
    if (pages < 0) return pages;
    if (rootFor(pid) === 0) return ESRCH;
    const first = va / PAGE_SIZE;
    return Math.min(unmap(pid, first, first + pages, 0, 0), 0);
  }

  function vgetmapping(pid: number, va: number, attr?: Int32Array): number {
    const byte = Math.floor(va);
    const page = Math.floor(byte / PAGE_SIZE);
    if (!(page >= -HALF_PAGES && page < HALF_PAGES) || rootFor(pid) === 0) return -1;
    const hi = Math.floor(page / SPLIT_PAGES);
    const q = findLeaf(pid, hi, (page - hi * SPLIT_PAGES) * PAGE_SIZE);
    if (q < 0) return -1;
    if (attr !== undefined) attr[0] = pt[q] & 0xffffff;
    const within = spans[state[Cell.leafLevel]];
    const base = (pt[q] >>> 24) * 4294967296 + (pt[q + 1] >>> 0);
    return (base + (page - Math.floor(page / within) * within)) * PAGE_SIZE + (byte - page * PAGE_SIZE);
  }

  function vismappedto(pid: number, va: number, pa: number): number {
    const at = vgetmapping(pid, va);
    return at >= 0 && Math.floor(at / PAGE_SIZE) === Math.floor(pa / PAGE_SIZE) ? 1 : 0;
  }

  return { vmap, vunmap, vismappedto, vgetmapping };
}
