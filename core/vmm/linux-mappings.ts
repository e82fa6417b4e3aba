/**
 * The address-space calls under the `linux` policy: mmap, munmap, mprotect, brk, stack growth. What differs from core/vmm/mappings.ts is which VMAs merge
 * (linux-lineage.ts), when tables go, and that memory which was once privately writable is accounted.
 *
 * Models: mm/vma.c and mm/mprotect.c of Linux 6.18. Tables go after an unmapping if it touched them and no VMA that is left overlaps their span
 * (free_pgtables): the neighbours of what was removed tell floor and ceiling, so that this is one look at two VMAs however many there are.
 *
 * Not modelled: memory limits.
 */
import { Attr, EINVAL, ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { Use } from './frames.js';
import type { Huge } from './linux-huge.js';
import type { Lineage } from './linux-lineage.js';
import { makeRemap } from './linux-move.js';
import type { Machine } from './machine.js';
import type { Mappings } from './mappings.js';
import { ObjectKind } from './objects.js';
import type { Objects } from './objects.js';
import { makeProgramBreak } from './program-break.js';
import { Reject } from './rejections.js';
import { LINUX_BITS, VmaFlag } from './vma-flags.js';

const RIGHTS = Flag.r | Flag.w | Flag.x;
/** Pages of one PT. */
const SLOT = 512;
/** Pages of one PD, and of one `hi` of an address. */
const GIB = 262144;
/** Pages that stay free between a stack and accessible memory below it (stack_guard_gap). */
const GUARD_PAGES = 256;

export function makeLinuxMappings(machine: Machine, objects: Objects, base: Mappings, lineages: Lineage, huge: Huge): Mappings {
  const { vmas, tables, dropping, tree, rules, rejections, forkedFrames } = machine;
  const { ref, use } = machine.frames;
  const { pt } = tables;
  const writeNotify = rules['write-notify'];
  const { start, end, flags, object, offset, lineage, find, findFrom, next, prev, setStart } = vmas;
  const { account, markBlocks, create, drop, shootdown, inUserHalf, userPages, keep } = base;
  const { unmapRange, freeTables } = tables;
  const { compatible, fitsAfter, fitsBefore, bridges } = lineages;
  const { reject } = rejections;
  /** unmapRange's keepTables. */
  const keepTables = rules['free-tables'];

  /** Cuts a VMA at a page inside it, and a huge page there. Id of the upper part or 0 (nothing changed). */
  function split(s: number, v: number, at: number): number {
    return huge.cut(s, at) === 0 ? 0 : base.split(s, v, at);
  }

  /** Joins `b` into its lower neighbour `a`, which takes over its lineage if it has none (dup_anon_vma). */
  function join(s: number, a: number, b: number): void {
    if (((flags[a]! | flags[b]!) & VmaFlag.blocks) !== 0) {
      markBlocks(a);
      markBlocks(b);
    }
    const to = end[b]!;
    const pages = to - start[b]!;
    if (lineage[a] === 0) lineage[a] = lineage[b]!;
    flags[a]! |= flags[b]! & (VmaFlag.heap | VmaFlag.forked);
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

  /** Removes leaves of [from, to), whose tables stay or (without the rule) go when they are empty. */
  function zap(s: number, from: number, to: number): void {
    if (huge.cut(s, from) === 0 || huge.cut(s, to) === 0) throw new Error('a huge page that must be split has no table in reserve');
    dropping[0] = s;
    if (unmapRange(s, from, to, keepTables) < 0) throw new Error('a user mapping has a large leaf that could not be split');
    huge.settle(s);
    shootdown(s);
  }

  /** After [from, to) was unmapped between VMAs `p` and `n` (0 = none): frees the tables it touched whose span neither overlaps. */
  function freeUnused(s: number, from: number, to: number, p: number, n: number): void {
    if (keepTables === 0) return;
    const floor = p === 0 ? 0 : end[p]!;
    const ceiling = n === 0 ? userPages : start[n]!;
    // Most removals are a few pages of a PT that others use too.
    const slot = Math.floor(from / SLOT) * SLOT;
    if (to <= slot + SLOT && (floor > slot || ceiling < slot + SLOT)) return;
    if (freeTables(s, from, to, floor, ceiling) > 0) machine.lookup.flushSpace(s);
  }

  /** Takes [from, to) out of the one VMA that contains it. 0 or -ENOMEM. */
  function unmapWithin(s: number, v: number, from: number, to: number): number {
    const t = tree[s]!;
    let p = prev(t, v);
    let n = next(t, v);
    if (start[v] === from && end[v] === to) {
      zap(s, from, to);
      drop(s, v);
    } else {
      if (start[v]! < from && end[v]! > to) {
        n = split(s, v, to);
        if (n === 0) return ENOMEM;
      }
      zap(s, from, to);
      account(s, flags[v]!, from - to);
      if (start[v] === from) {
        offset[v]! += to - from;
        setStart(t, v, to);
        n = v;
      } else {
        end[v] = from;
        p = v;
      }
    }
    freeUnused(s, from, to, p, n);
    return 0;
  }

  /** munmap: 0, -EINVAL or -ENOMEM. Holes are skipped. */
  function unmap(s: number, from: number, to: number): number {
    if (!inUserHalf(from, to)) return EINVAL;
    if (huge.cut(s, from) === 0 || huge.cut(s, to) === 0) return ENOMEM;
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
    const p = prev(t, v);
    const first = start[v]!;
    let past = first;
    while (v !== 0 && start[v]! < to) {
      const n = next(t, v);
      past = end[v]!;
      zap(s, start[v]!, past);
      drop(s, v);
      v = n;
    }
    freeUnused(s, first, past, p, v);
    return 0;
  }

  /**
   * A VMA for the free range [from, to) below VMA `n` (0 = none above): a neighbour grown over it (with `below` only the one below, as do_brk_flags wants it), or
   * a fresh one. Its id, or 0 without a frame for it.
   */
  function place(s: number, from: number, to: number, f: number, obj: number, off: number, line: number, n: number, below = false): number {
    const t = tree[s]!;
    const p = n === 0 ? vmas.last(t) : prev(t, n);
    const pages = to - from;
    const above = !below && fitsBefore(n, to, f, obj, off + pages, line);
    const more = f & (VmaFlag.heap | VmaFlag.forked);
    if (fitsAfter(p, from, f, obj, off, line)) {
      end[p] = to;
      flags[p]! |= more;
      if (lineage[p] === 0) lineage[p] = line;
      account(s, flags[p]!, pages);
      if (above && bridges(p, n)) join(s, p, n);
      return p;
    }
    if (above) {
      setStart(t, n, from);
      offset[n] = off;
      flags[n]! |= more;
      if (lineage[n] === 0) lineage[n] = line;
      account(s, flags[n]!, pages);
      return n;
    }
    const v = create(s, from, to, f, obj, off);
    if (v !== 0) lineage[v] = line;
    return v;
  }

  /** mmap at a known place: the VMA's id (merged with its neighbours), -EINVAL or -ENOMEM. What was there goes, with its tables. */
  function map(s: number, from: number, to: number, f: number, obj: number, off: number): number {
    if (!inUserHalf(from, to) || from === to) return EINVAL;
    let above = findFrom(tree[s]!, from);
    if (above !== 0 && start[above]! < to) {
      if ((f & Flag.fixed) === 0) reject(Reject.overlap);
      const code = unmap(s, from, to);
      if (code !== 0) return code;
      above = findFrom(tree[s]!, from);
    }
    let g = f & keep & ~LINUX_BITS;
    // accountable_mapping; the offset of anonymous memory is its address at first, so that what moves keeps its order.
    if ((f & (Flag.w | Flag.shared | Flag.noreserve)) === Flag.w) g |= VmaFlag.accounted;
    const v = place(s, from, to, g, obj, obj === 0 ? from : off, 0, above, (f & VmaFlag.heap) !== 0);
    return v === 0 ? ENOMEM : v;
  }

  /** Makes [from, to) fall on VMA borders. 0 or -ENOMEM. */
  function isolate(s: number, from: number, to: number): number {
    const a = find(tree[s]!, from);
    if (a !== 0 && start[a]! < from && split(s, a, from) === 0) return ENOMEM;
    const b = find(tree[s]!, to - 1);
    if (b !== 0 && end[b]! > to && split(s, b, to) === 0) return ENOMEM;
    return 0;
  }

  /** What mprotect makes of the accounted bit of VMA `v`, whose flags become `f` (mprotect_fixup). */
  function accounted(v: number, f: number): number {
    const old = flags[v]!;
    if ((f & Flag.w) !== 0) return (old & (VmaFlag.accounted | Flag.w | Flag.shared | Flag.noreserve)) === 0 ? f | VmaFlag.accounted : f;
    return (old & VmaFlag.accounted) !== 0 && object[v] === 0 && lineage[v] === 0 ? f & ~VmaFlag.accounted : f;
  }

  /** Clears and sets flag bits of the VMAs in [from, to), splitting and merging only where they change (vma_modify); mprotect is told where that was. 0, -EINVAL, -ENOMEM. */
  function modify(s: number, from: number, to: number, clear: number, set: number, changed: [number, number][] | null): number {
    if (!inUserHalf(from, to)) return EINVAL;
    const t = tree[s]!;
    let v = from === to ? 0 : findFrom(t, from);
    while (v !== 0 && start[v]! < to) {
      let f = (flags[v]! & ~clear) | set;
      if (changed !== null) f = accounted(v, f);
      // mlock leaves the kernel's own mappings alone (mm/mlock.c mlock_fixup).
      if (f !== flags[v] && !(((clear | set) & Flag.locked) !== 0 && (f & (Flag.vdso | Flag.vvar)) !== 0)) {
        if (start[v]! < from) {
          v = split(s, v, from);
          if (v === 0) return ENOMEM;
        }
        if (end[v]! > to && split(s, v, to) === 0) return ENOMEM;
        flags[v] = f;
        changed?.push([start[v]!, end[v]!]);
        v = merge(s, v);
      }
      v = next(t, v);
    }
    return 0;
  }
  function changeFlags(s: number, from: number, to: number, clear: number, set: number): number {
    return modify(s, from, to, clear, set, null);
  }

  /** The leaf at entry `q` of VMA `v`, which may be written now, needs no fault for it (can_change_pte_writable, can_change_pmd_writable). */
  function writableAtOnce(v: number, q: number): boolean {
    const e = pt[q]!;
    const f = pt[q + 1]!;
    if ((flags[v]! & Flag.shared) !== 0) return writeNotify === 0 || objects.kind[object[v]!] !== ObjectKind.file || (e & Attr.dirty) !== 0;
    return f !== machine.zeroFrame && use[f] === Use.anonymous && ref[f] === 1 && forkedFrames[f] === 0;
  }

  /** mprotect made [from, to) writable: what nobody else has, and what was written before, is granted at once (change_pte_range, change_huge_pmd). */
  function grantWrites(s: number, from: number, to: number): void {
    let granted = 0;
    for (let v = findFrom(tree[s]!, from); v !== 0 && start[v]! < to; v = next(tree[s]!, v)) {
      const last = Math.min(to, end[v]!);
      for (let page = Math.max(from, start[v]!); page < last; ) {
        const hi = Math.floor(page / GIB);
        const lo = (page - hi * GIB) << 12;
        const past = Math.min(last, (Math.floor(page / SLOT) + 1) * SLOT);
        const t = tables.tableAt(s, hi, lo, 1);
        if (t === 0) {
          const q = tables.findLeaf(s, hi, lo);
          if (q >= 0 && (pt[q]! & Attr.write) === 0 && writableAtOnce(v, q)) {
            pt[q]! |= Attr.write;
            granted++;
          }
        } else {
          for (let p = page; p < past; p++) {
            const q = t + 2 * (p & (SLOT - 1));
            if ((pt[q]! & (Attr.present | Attr.write)) !== Attr.present || !writableAtOnce(v, q)) continue;
            pt[q]! |= Attr.write;
            granted++;
          }
        }
        page = past;
      }
    }
    if (granted > 0) machine.lookup.flushSpace(s);
  }

  /**
   * mprotect, as in core/vmm/mappings.ts: leaves lose what the new protection forbids; without any right they keep their frames but are not present. What it newly
   * allows is granted at once where the kernel can tell that no fault is needed.
   */
  function protect(s: number, from: number, to: number, prot: number): number {
    const changed: [number, number][] = [];
    const code = modify(s, from, to, RIGHTS, prot & RIGHTS, changed);
    if (code !== 0) return code;
    const none = (prot & RIGHTS) === 0;
    const clear = ((prot & Flag.w) === 0 ? Attr.write : 0) | ((prot & Flag.x) !== 0 ? Attr.noExecute : 0) | (none ? Attr.present : 0);
    const set = ((prot & Flag.x) === 0 ? Attr.noExecute : 0) | (none ? 0 : Attr.present);
    // Where the rights stay as they are, nothing is looked at: no huge page is split for it.
    for (const [a, b] of changed) {
      if (huge.cut(s, a) === 0 || huge.cut(s, b) === 0) return ENOMEM;
      dropping[0] = s;
      if (tables.protectRange(s, a, b, clear, set) > 0) shootdown(s);
      if ((prot & Flag.w) !== 0) grantWrites(s, a, b);
    }
    return 0;
  }

  /** Grows a stack VMA down to the page; 1 when it now contains it. It gets a lineage, whatever the access was (expand_downwards). */
  function growDown(s: number, v: number, to: number): number {
    const p = prev(tree[s]!, v);
    const pages = start[v]! - to;
    if (rules['stack-growth'] === 0 || (p !== 0 && end[p]! > to) || offset[v]! < pages) return 0;
    if (p !== 0 && (flags[p]! & Flag.growsdown) === 0 && (flags[p]! & RIGHTS) !== 0 && to - end[p]! < GUARD_PAGES) return 0;
    if (lineage[v] === 0) lineages.prepare(s, v);
    account(s, flags[v]!, pages);
    offset[v]! -= pages;
    setStart(tree[s]!, v, to);
    return 1;
  }

  const setBreak = makeProgramBreak(machine, userPages, { map, unmap });
  const remap = makeRemap(machine, { huge, place, unmap, markBlocks, inUserHalf });
  return { ...base, split, merge, zap, unmap, map, isolate, changeFlags, protect, growDown, setBreak, remap, flatten: huge.flatten };
}
