/**
 * VMAs of an address space: insert, remove, split, merge, and the address-space calls built on them (mmap, munmap, mremap, mprotect,
 * brk). Page ranges are VPNs (doubles), end exclusive. Follows the structure of Linux' mm/vma.c and mm/mremap.c; which neighbours merge
 * is the textbook rule: same protection and kind, and contiguous in the same object.
 *
 * Every call checks the whole request first; a call that runs out of frames for a descriptor gives up before anything was unmapped.
 */
import { EINVAL, ENOMEM, Attr } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { KernelCache } from '../heap/kernel-heap-contract.js';
import type { Machine } from './machine.js';
import type { Objects } from './objects.js';
import { makeProgramBreak } from './program-break.js';
import { Reject } from './rejections.js';
import { LINUX_BITS, VmaFlag } from './vma-flags.js';

export { VmaFlag } from './vma-flags.js';

/** Pages invalidated one by one; more flush the space's TLB entries (Linux: tlb_single_page_flush_ceiling = 33, on the nearest power of two here). */
const FLUSH_CEILING = 32;

export type Mappings = ReturnType<typeof makeMappings>;

export function makeMappings(machine: Machine, objects: Objects) {
  const { vmas, tables, lookup, kernelHeap, dropping, tree, vmPages, vmPagesPeak, vmasPeak, mmapCursor, heapPages, rejections } = machine;
  const { start, end, flags, object, offset, lineage, heap } = vmas;
  const { find, findFrom, next, prev, insert, remove, setStart } = vmas;
  const { zapped, unmapRange } = tables;
  const { invalidatePage, flushSpace } = lookup;
  const acquire = objects.acquire;
  const releaseMap = objects.releaseMap;
  const { reject } = rejections;

  const ceiling: number = FLUSH_CEILING;
  const linuxBits: number = machine.rules.linux !== 0 ? LINUX_BITS : 0;
  const keep: number =
    linuxBits |
    Flag.r |
    Flag.w |
    Flag.x |
    Flag.shared |
    Flag.growsdown |
    Flag.stack |
    Flag.noreserve |
    Flag.locked |
    Flag.vdso |
    Flag.vvar |
    VmaFlag.heap |
    VmaFlag.implicit;
  /** Bits that do not keep neighbours from merging. */
  const mergeMask: number = ~(VmaFlag.blocks | Flag.noreserve | VmaFlag.heap);
  const userPages = 2 ** (tables.geometry.vaBits - 1 - tables.geometry.pageShift);

  /** Pages join (delta > 0) or leave a VMA of the space. */
  function account(s: number, f: number, delta: number): void {
    const n = vmPages[s]! + delta;
    vmPages[s] = n;
    if (n > vmPagesPeak[s]!) vmPagesPeak[s] = n;
    if ((f & VmaFlag.blocks) !== 0) accountHeap(delta);
  }
  function accountHeap(delta: number): void {
    const n = heapPages[0]! + delta;
    heapPages[0] = n;
    if (n > heapPages[1]!) heapPages[1] = n;
  }

  /** The VMA at `v` holds heap blocks from now on. */
  function markBlocks(v: number): void {
    if ((flags[v]! & VmaFlag.blocks) !== 0) return;
    flags[v]! |= VmaFlag.blocks;
    accountHeap(end[v]! - start[v]!);
  }

  /** Id of a fresh VMA in the tree, or 0 without a frame for its descriptor. Does not merge. */
  function create(s: number, from: number, to: number, f: number, obj: number, off: number): number {
    const h = kernelHeap.alloc(KernelCache.vma);
    if (h === 0) return 0;
    const v = vmas.alloc();
    start[v] = from;
    end[v] = to;
    flags[v] = f & keep;
    object[v] = obj;
    offset[v] = off;
    lineage[v] = 0;
    heap[v] = h;
    insert(tree[s]!, v);
    if (obj !== 0) acquire(obj);
    account(s, 0, to - from);
    const n = vmas.count(tree[s]!);
    if (n > vmasPeak[s]!) vmasPeak[s] = n;
    return v;
  }

  function drop(s: number, v: number): void {
    account(s, flags[v]!, start[v]! - end[v]!);
    remove(tree[s]!, v);
    const o = object[v]!;
    kernelHeap.free(heap[v]!);
    vmas.release(v);
    if (o !== 0) releaseMap(o);
  }

  /** Cuts a VMA at a page inside it; the id keeps the lower part. Id of the upper part or 0 (nothing changed). */
  function split(s: number, v: number, at: number): number {
    const h = kernelHeap.alloc(KernelCache.vma);
    if (h === 0) return 0;
    const u = vmas.alloc();
    start[u] = at;
    end[u] = end[v]!;
    flags[u] = flags[v]!;
    object[u] = object[v]!;
    offset[u] = offset[v]! + (at - start[v]!);
    lineage[u] = lineage[v]!;
    heap[u] = h;
    end[v] = at;
    insert(tree[s]!, u);
    if (object[u] !== 0) acquire(object[u]!);
    const n = vmas.count(tree[s]!);
    if (n > vmasPeak[s]!) vmasPeak[s] = n;
    return u;
  }

  function compatible(a: number, b: number): boolean {
    return (
      end[a] === start[b] &&
      ((flags[a]! ^ flags[b]!) & mergeMask) === 0 &&
      object[a] === object[b] &&
      (object[a] === 0 || offset[a]! + (end[a]! - start[a]!) === offset[b]!) &&
      (lineage[a] === lineage[b] || lineage[a] === 0 || lineage[b] === 0)
    );
  }

  /** Joins `b` into its lower neighbour `a`. */
  function join(s: number, a: number, b: number): void {
    const either = (flags[a]! | flags[b]!) & VmaFlag.blocks;
    if (either !== 0) {
      markBlocks(a);
      markBlocks(b);
    }
    const to = end[b]!;
    const pages = to - start[b]!;
    if (lineage[a] === 0) lineage[a] = lineage[b]!;
    flags[a]! |= flags[b]! & VmaFlag.heap;
    drop(s, b);
    end[a] = to;
    account(s, flags[a]!, pages);
  }

  /** Joins the VMA with neighbours that fit; the id of what contains it then. */
  function merge(s: number, v: number): number {
    const t = tree[s]!;
    const p = prev(t, v);
    let m = v;
    if (p !== 0 && compatible(p, v)) {
      join(s, p, v);
      m = p;
    }
    const n = next(t, m);
    if (n !== 0 && compatible(m, n)) join(s, m, n);
    return m;
  }

  /** Invalidates what the last unmapRange/protectRange touched. */
  function shootdown(s: number): void {
    const n = zapped[0]!;
    if (zapped[1] !== 0 || n > ceiling) {
      flushSpace(s);
      return;
    }
    for (let k = 0; k < n; k++) invalidatePage(s, zapped[(2 + (k << 1)) | 0]!, zapped[(3 + (k << 1)) | 0]!);
  }

  /** Removes leaves of [from, to); emptied tables go. */
  function zap(s: number, from: number, to: number): void {
    dropping[0] = s;
    if (unmapRange(s, from, to, 0) < 0) throw new Error('a user mapping has a large leaf that could not be split');
    shootdown(s);
  }

  function inUserHalf(from: number, to: number): boolean {
    return from >= 0 && from <= to && to <= userPages;
  }

  /** Takes [from, to) out of the one VMA that contains it. 0 or -ENOMEM. */
  function unmapWithin(s: number, v: number, from: number, to: number): number {
    if (start[v] === from && end[v] === to) {
      zap(s, from, to);
      drop(s, v);
      return 0;
    }
    if (start[v]! < from && end[v]! > to && split(s, v, to) === 0) return ENOMEM;
    zap(s, from, to);
    account(s, flags[v]!, from - to);
    if (start[v] === from) {
      if (object[v] !== 0) offset[v]! += to - from;
      setStart(tree[s]!, v, to);
    } else end[v] = from;
    return 0;
  }

  /** munmap: 0, -EINVAL or -ENOMEM. Holes are skipped. */
  function unmap(s: number, from: number, to: number): number {
    if (!inUserHalf(from, to)) return EINVAL;
    const t = tree[s]!;
    let v = findFrom(t, from);
    if (v === 0 || start[v]! >= to) return 0;
    if (start[v]! <= from && end[v]! >= to) return unmapWithin(s, v, from, to);
    if (start[v]! < from) {
      const u = split(s, v, from);
      if (u === 0) return ENOMEM;
      v = u;
    }
    const last = find(t, to - 1);
    if (last !== 0 && end[last]! > to && split(s, last, to) === 0) {
      merge(s, v);
      return ENOMEM;
    }
    while (v !== 0 && start[v]! < to) {
      const n = next(t, v);
      zap(s, start[v]!, end[v]!);
      drop(s, v);
      v = n;
    }
    return 0;
  }

  /** mmap at a known place: the VMA's id (merged with its neighbours), -EINVAL or -ENOMEM. What was there goes. */
  function map(s: number, from: number, to: number, f: number, obj: number, off: number): number {
    if (!inUserHalf(from, to) || from === to) return EINVAL;
    let above = findFrom(tree[s]!, from);
    if (above !== 0 && start[above]! < to) {
      if ((f & Flag.fixed) === 0) reject(Reject.overlap);
      const code = unmap(s, from, to);
      if (code !== 0) return code;
      above = findFrom(tree[s]!, from);
    }
    const v = extend(s, from, to, f & keep, obj, off, above);
    if (v !== 0) return v;
    const fresh = create(s, from, to, f, obj, off);
    return fresh === 0 ? ENOMEM : fresh;
  }

  /** Grows a neighbour over the free range [from, to), below VMA `n` (0 = none above), when a VMA there would merge with it (Linux: vma_merge). Its id, or 0. */
  function extend(s: number, from: number, to: number, f: number, obj: number, off: number, n: number): number {
    const t = tree[s]!;
    const p = n === 0 ? vmas.last(t) : prev(t, n);
    const pages = to - from;
    const below =
      p !== 0 && end[p] === from && ((flags[p]! ^ f) & mergeMask) === 0 && object[p] === obj && (obj === 0 || offset[p]! + (from - start[p]!) === off);
    const above = n !== 0 && start[n] === to && ((flags[n]! ^ f) & mergeMask) === 0 && object[n] === obj && (obj === 0 || off + pages === offset[n]!);
    if (below) {
      end[p] = to;
      flags[p]! |= f & VmaFlag.heap;
      account(s, flags[p]!, pages);
      if (above && compatible(p, n)) join(s, p, n);
      return p;
    }
    if (!above) return 0;
    setStart(t, n, from);
    offset[n] = off;
    flags[n]! |= f & VmaFlag.heap;
    account(s, flags[n]!, pages);
    return n;
  }

  /** Lowest page of a free range of `pages` pages, searched top-down from below the stack as Linux does, or -1. */
  function findFree(s: number, pages: number): number {
    const t = tree[s]!;
    const ceilingPage = userPages - 32768 - 1; // 128 MiB for the stack, as Linux' mmap_base leaves at least
    for (let pass = 0; pass < 2; pass++) {
      let top = pass === 0 && mmapCursor[s]! > 0 ? mmapCursor[s]! : ceilingPage;
      let v = vmas.findFrom(t, top);
      v = v === 0 ? vmas.last(t) : start[v]! < top ? v : prev(t, v);
      for (;;) {
        const low = v === 0 ? 16 : end[v]!;
        if (low <= top && top - low >= pages) {
          mmapCursor[s] = top - pages;
          return top - pages;
        }
        if (v === 0) break;
        if (start[v]! < top) top = start[v]!;
        v = prev(t, v);
      }
      if (pass === 0 && mmapCursor[s] === 0) break;
    }
    return -1;
  }

  /** Makes [from, to) fall on VMA borders. 0 or -ENOMEM. */
  function isolate(s: number, from: number, to: number): number {
    const a = find(tree[s]!, from);
    if (a !== 0 && start[a]! < from && split(s, a, from) === 0) return ENOMEM;
    const b = find(tree[s]!, to - 1);
    if (b !== 0 && end[b]! > to && split(s, b, to) === 0) return ENOMEM;
    return 0;
  }

  /** Clears and sets flag bits of all VMAs in [from, to) (mprotect, mlock), then merges. 0, -EINVAL, -ENOMEM. */
  function changeFlags(s: number, from: number, to: number, clear: number, set: number): number {
    if (!inUserHalf(from, to)) return EINVAL;
    if (from === to) return 0;
    if (isolate(s, from, to) !== 0) return ENOMEM;
    const t = tree[s]!;
    let v = findFrom(t, from);
    while (v !== 0 && start[v]! < to) {
      flags[v] = (flags[v]! & ~clear) | set;
      v = next(t, merge(s, v));
    }
    return 0;
  }

  /**
   * mprotect: leaves lose what the new protection forbids; what it newly allows is granted by the next fault. Without any right the leaves keep their
   * frames but are not present, so that every access faults (Linux: _PAGE_PROTNONE).
   */
  function protect(s: number, from: number, to: number, prot: number): number {
    const code = changeFlags(s, from, to, Flag.r | Flag.w | Flag.x, prot & (Flag.r | Flag.w | Flag.x));
    if (code !== 0) return code;
    const clear = ((prot & Flag.w) === 0 ? Attr.write : 0) | ((prot & Flag.x) !== 0 ? Attr.noExecute : 0) | (noAccess(prot) ? Attr.present : 0);
    const set = ((prot & Flag.x) === 0 ? Attr.noExecute : 0) | (noAccess(prot) ? 0 : Attr.present);
    dropping[0] = s;
    if (tables.protectRange(s, from, to, clear, set) > 0) shootdown(s);
    return 0;
  }
  function noAccess(prot: number): boolean {
    return (prot & (Flag.r | Flag.w | Flag.x)) === 0;
  }

  /**
   * mremap: grows, shrinks or moves a mapping; `keepOld` = MREMAP_DONTUNMAP. oldPages 0 duplicates a shared mapping.
   * 0, -EINVAL or -ENOMEM; errors of the request change nothing.
   */
  function remap(s: number, from: number, oldPages: number, to: number, newPages: number, keepOld: boolean): number {
    if (newPages === 0 || !inUserHalf(from, from + oldPages) || !inUserHalf(to, to + newPages)) return EINVAL;
    const t = tree[s]!;
    let v = find(t, from);
    if (v === 0 || end[v]! < from + oldPages) return EINVAL;
    if (to === from) {
      if (newPages < oldPages) return unmap(s, from + newPages, from + oldPages);
      if (newPages === oldPages) return 0;
      const f = flags[v]!;
      const above = findFrom(t, from + oldPages);
      if (end[v]! !== from + oldPages) return EINVAL;
      if (above !== 0 && start[above]! < from + newPages) return EINVAL;
      account(s, f, newPages - oldPages);
      end[v] = from + newPages;
      merge(s, v);
      return 0;
    }
    if (to < from + oldPages && from < to + newPages) return EINVAL;
    if (oldPages === 0 && (flags[v]! & Flag.shared) === 0) return EINVAL;
    const code = unmap(s, to, to + newPages);
    if (code !== 0) return code;
    v = find(t, from);
    if (oldPages > 0) {
      if (isolate(s, from, from + oldPages) !== 0) return ENOMEM;
      v = find(t, from);
    }
    const f = flags[v]!;
    const nv = create(s, to, to + newPages, f, object[v]!, offset[v]! + (from - start[v]!));
    if (nv === 0) return ENOMEM;
    lineage[nv] = lineage[v]!;
    if ((f & VmaFlag.blocks) !== 0) markBlocks(nv);
    const moved = Math.min(oldPages, newPages);
    if (moved > 0) {
      dropping[0] = s;
      if (tables.moveRange(s, from, to, moved, 0) < 0) {
        drop(s, nv);
        merge(s, v);
        return ENOMEM;
      }
      flushSpace(s);
    }
    if (oldPages > 0 && !keepOld) {
      zap(s, from, from + oldPages);
      drop(s, find(t, from));
    }
    merge(s, nv);
    // What stays may have merged with what was made: it is looked up again.
    if (oldPages > 0 && keepOld) merge(s, find(t, from));
    return 0;
  }

  /** Grows a stack VMA down to the page; 1 when it now contains it. */
  function growDown(s: number, v: number, to: number): number {
    const p = prev(tree[s]!, v);
    if ((p !== 0 && end[p]! > to) || (object[v] !== 0 && offset[v]! < start[v]! - to)) return 0;
    account(s, flags[v]!, start[v]! - to);
    if (object[v] !== 0) offset[v]! -= start[v]! - to;
    setStart(tree[s]!, v, to);
    return 1;
  }

  /** The VMA at the page is locked. */
  function locked(s: number, page: number): boolean {
    return (flags[find(tree[s]!, page)]! & Flag.locked) !== 0;
  }

  /** Makes every page of [from, to) a small one: there are no others here. 1, or 0 without frames. */
  function flatten(_s: number, _from: number, _to: number): number {
    return 1;
  }

  return {
    userPages,
    keep,
    account,
    accountHeap,
    markBlocks,
    create,
    drop,
    split,
    merge,
    unmap,
    map,
    findFree,
    isolate,
    changeFlags,
    protect,
    remap,
    setBreak: makeProgramBreak(machine, userPages, { map, unmap }),
    flatten,
    locked,
    growDown,
    zap,
    shootdown,
    inUserHalf,
  };
}
