/**
 * mremap under the `linux` policy.
 *
 * Models: mm/mremap.c of Linux 6.18 (mremap_to, move_vma, move_page_tables) and copy_vma of mm/vma.c. A move goes by the tables of the source: where a PDPT, PD or
 * PT stands, the target gets one, even if it holds nothing; a PT that moves whole, from one 2 MiB slot to another, is moved itself. The new VMA is there
 * before the old one goes, so tables that both need stay.
 *
 * Not modelled: hugetlb, userfaultfd.
 */
import { EINVAL, ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import type { Huge } from './linux-huge.js';
import type { Machine } from './machine.js';
import { VmaFlag } from './vma-flags.js';

/** What of the mappings a move needs. */
export interface MoveParts {
  readonly huge: Huge;
  place(s: number, from: number, to: number, f: number, obj: number, off: number, line: number, above: number): number;
  unmap(s: number, from: number, to: number): number;
  markBlocks(v: number): void;
  inUserHalf(from: number, to: number): boolean;
}

/** Pages under one entry of level 2 and of level 3. */
const PT_PAGES = 512;
const PD_PAGES = 262144;

export function makeRemap(machine: Machine, parts: MoveParts) {
  const { vmas, tables, tree, dropping, rules, lookup } = machine;
  const { start, end, flags, object, offset, lineage, find, findFrom } = vmas;
  const { huge, place, unmap, markBlocks, inUserHalf } = parts;
  const { pt } = tables;
  const byTables = rules['move-tables'];

  /** Handle of the table at `level` for a page, 0 = none. */
  function tableOfPage(s: number, page: number, level: number): number {
    const hi = Math.floor(page / PD_PAGES);
    return tables.tableAt(s, hi, (page - hi * PD_PAGES) << 12, level);
  }
  function ensure(s: number, page: number, level: number): number {
    const hi = Math.floor(page / PD_PAGES);
    return tables.ensureTable(s, hi, (page - hi * PD_PAGES) << 12, level);
  }

  /** Pages from `a` to the next border of `span` pages that either side meets, at most to `limit`. */
  function extent(a: number, b: number, span: number, limit: number): number {
    return Math.min(span - (a % span), span - (b % span), limit);
  }

  /** VMA `v` begins at `page`, and nothing lies below it in the page's slot (can_align_down). */
  function aloneBelow(s: number, v: number, page: number): boolean {
    const p = vmas.prev(tree[s]!, v);
    return start[v] === page && (p === 0 || end[p]! <= page - (page % PT_PAGES));
  }
  /** Pages by which a move begins earlier, so that its first PT moves whole (try_realign_addr). */
  function realigned(s: number, from: number, to: number, pages: number): number {
    const into = from % PT_PAGES;
    if (into === 0 || into !== to % PT_PAGES || pages < PT_PAGES - into) return 0;
    return aloneBelow(s, find(tree[s]!, from), from) && aloneBelow(s, find(tree[s]!, to), to) ? into : 0;
  }

  /** Makes the tables of the target that the source has (`act` = 0), then moves the PTs that move whole (`act` = 1). 0 or -ENOMEM. */
  function followTables(s: number, from: number, to: number, pages: number, act: number): number {
    let done = 0;
    while (done < pages) {
      const a = from + done;
      const b = to + done;
      const pd = tableOfPage(s, a, 2);
      if (pd === 0) {
        done += extent(a, b, PD_PAGES, pages - done);
        continue;
      }
      // A PD that will move whole is there at its target even if it holds nothing.
      const whole = extent(a, b, PD_PAGES, pages - done) === PD_PAGES;
      if (act === 0 && ensure(s, b, whole ? 2 : 3) < 0) return ENOMEM;
      const step = extent(a, b, PT_PAGES, pages - done);
      const q = pd + 2 * (Math.floor(a / PT_PAGES) & (PT_PAGES - 1));
      if (pt[q] !== 0) {
        // A huge page that is left by now moves whole: it needs no more than a PD.
        const level = step === PT_PAGES ? 2 : 1;
        if (act === 0) {
          if (ensure(s, b, level) < 0) return ENOMEM;
        } else if (step === PT_PAGES) tables.moveLeafTable(s, a, b);
      }
      done += step;
    }
    return 0;
  }

  /** A PD that moves whole, from one GiB to another, leaves none behind (move_normal_pud), though its PTs were moved one by one here. */
  function freeMovedPds(s: number, from: number, to: number, pages: number): void {
    if ((to - from) % PD_PAGES !== 0) return;
    for (let at = Math.ceil(from / PD_PAGES) * PD_PAGES; at + PD_PAGES <= from + pages; at += PD_PAGES) {
      tables.freeTables(s, at, at + PD_PAGES, at, at + PD_PAGES, 2);
    }
  }

  /** Moves the pages of [from, from + pages) to `to`. 0, or -ENOMEM (nothing moved). */
  function movePages(s: number, from: number, to: number, pages: number): number {
    if (huge.cut(s, from) === 0 || huge.cut(s, from + pages) === 0) return ENOMEM;
    if ((to - from) % PT_PAGES !== 0 && huge.flatten(s, from, from + pages) === 0) return ENOMEM;
    if (byTables !== 0) {
      const early = realigned(s, from, to, pages);
      if (followTables(s, from - early, to - early, pages + early, 0) !== 0) return ENOMEM;
      followTables(s, from - early, to - early, pages + early, 1);
      freeMovedPds(s, from - early, to - early, pages + early);
    }
    dropping[0] = s;
    const code = tables.moveRange(s, from, to, pages, 1);
    lookup.flushSpace(s);
    return code < 0 ? ENOMEM : 0;
  }

  /** Grows a mapping where it is: the new pages merge with it and with what is above, it does not merge with what was below (vma_merge_extend). 0, -EINVAL or -ENOMEM. */
  function grow(s: number, v: number, from: number, oldPages: number, newPages: number): number {
    const above = findFrom(tree[s]!, from + oldPages);
    if (end[v]! !== from + oldPages || (above !== 0 && start[above]! < from + newPages)) return EINVAL;
    const off = offset[v]! + (end[v]! - start[v]!);
    return place(s, end[v]!, from + newPages, flags[v]! & ~VmaFlag.forked, object[v]!, off, lineage[v]!, above) === 0 ? ENOMEM : 0;
  }

  /**
   * mremap: grows, shrinks or moves a mapping; `keepOld` = MREMAP_DONTUNMAP. oldPages 0 duplicates a shared mapping. 0, -EINVAL or -ENOMEM; errors of the
   * request change nothing.
   */
  function remap(s: number, from: number, oldPages: number, to: number, newPages: number, keepOld: boolean): number {
    if (newPages === 0 || !inUserHalf(from, from + oldPages) || !inUserHalf(to, to + newPages)) return EINVAL;
    const t = tree[s]!;
    let v = find(t, from);
    if (v === 0 || end[v]! < from + oldPages) return EINVAL;
    if (to === from) {
      if (newPages < oldPages) return unmap(s, from + newPages, from + oldPages);
      return newPages === oldPages ? 0 : grow(s, v, from, oldPages, newPages);
    }
    if (to < from + oldPages && from < to + newPages) return EINVAL;
    if (oldPages === 0 && (flags[v]! & Flag.shared) === 0) return EINVAL;
    let code = unmap(s, to, to + newPages);
    if (code === 0 && newPages < oldPages) code = unmap(s, from + newPages, from + oldPages);
    if (code !== 0) return code;
    v = find(t, from);
    const f = flags[v]!;
    const line = lineage[v]!;
    // Anonymous memory that was never written may as well have been mapped there.
    const off = object[v] === 0 && line === 0 ? to : offset[v]! + (from - start[v]!);
    const nv = place(s, to, to + newPages, f & ~VmaFlag.blocks, object[v]!, off, line, findFrom(t, to));
    if (nv === 0) return ENOMEM;
    if ((f & VmaFlag.blocks) !== 0) markBlocks(nv);
    const moved = Math.min(oldPages, newPages);
    if (moved > 0 && movePages(s, from, to, moved) !== 0) {
      unmap(s, to, to + newPages);
      return ENOMEM;
    }
    if (moved === 0) return 0;
    if (!keepOld) return unmap(s, from, from + moved);
    // dontunmap_complete: nothing of the old mapping is locked, and a wholly moved one has no lineage any more.
    v = find(t, from);
    if (start[v] === from && end[v] === from + moved && v !== find(t, to)) {
      lineage[v] = 0;
      flags[v]! &= ~VmaFlag.forked;
    }
    flags[v]! &= ~(Flag.locked | VmaFlag.lockOnFault);
    return 0;
  }

  return remap;
}
