/**
 * Huge anonymous pages of the `linux` policy: 2 MiB leaves in memory advised with MADV_HUGEPAGE (transparent huge pages on `madvise`).
 *
 * Models: mm/huge_memory.c of Linux 6.18: do_huge_pmd_anonymous_page, do_huge_zero_wp_pmd, do_huge_pmd_wp_page, __split_huge_pmd. Each huge leaf keeps one PT
 * deposited in its space, which counts as a table; splitting uses it, dropping the leaf drops it. A huge page is 512 frames of one block; once split they
 * are frames like any other.
 *
 * Not modelled: khugepaged and MADV_COLLAPSE, THP `always`, sizes between 4 KiB and 2 MiB, the deferred split list (frames of a split page are given back one by
 * one as they are unmapped). Where there is no block of 2 MiB, small pages are taken.
 */
import { Attr } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { NEAR_UNKNOWN } from '../pmm/near.js';
import { PIECE_FRAMES, Use } from './frames.js';
import { HugeCell } from './machine.js';
import type { Machine } from './machine.js';
import { VmaFlag } from './vma-flags.js';

/** Pages of a huge page: what one entry of level 2 maps. */
export const HUGE_PAGES = 512;

export type Huge = ReturnType<typeof makeHuge>;

export function makeHuge(machine: Machine) {
  const { tables, frames, huge, rules, vmas, zeroFrame, lookup, forkedFrames, neighbours } = machine;
  const { pt } = tables;
  const { start, end, flags, object } = vmas;
  const deposits = rules['huge-deposit'];
  const zeroPages = rules['huge-zero'];
  const never: number = VmaFlag.noHuge | (rules['stack-small'] !== 0 ? Flag.stack : 0);
  const enabled = rules['huge-pages'];

  /** The 2 MiB around the page may be one huge page of VMA `v` (thp_vma_allowable_order). */
  function allowed(v: number, page: number): boolean {
    const first = Math.floor(page / HUGE_PAGES) * HUGE_PAGES;
    return (
      enabled !== 0 && (flags[v]! & VmaFlag.huge) !== 0 && (flags[v]! & never) === 0 && object[v] === 0 && first >= start[v]! && first + HUGE_PAGES <= end[v]!
    );
  }

  /** Puts a huge leaf for `frame` at the 2 MiB of the address, with its deposited table; 0 when there is no frame for a table or something stands there. */
  function install(s: number, hi: number, lo: number, frame: number, bits: number): number {
    const low = lo & ~0x1fffff;
    if (deposits !== 0 && tables.deposit(s) < 0) return 0;
    if (tables.mapLarge(s, hi, low, 2, bits | Attr.present, frame) !== 0) {
      if (deposits !== 0) tables.releaseTable(s, tables.withdraw(s));
      return 0;
    }
    huge[HugeCell.leaves]! += 1;
    return 1;
  }

  /** The huge zero page, made when it is first needed; -1 without a block for it. */
  function zeroPage(): number {
    if (huge[HugeCell.zero]! < 0) huge[HugeCell.zero] = frames.takeHuge(Use.kernel, -1, -1);
    return huge[HugeCell.zero]!;
  }

  /** Maps the huge zero page. 1, or 0 where a small page must do. */
  function mapZero(s: number, hi: number, lo: number, nx: number): number {
    if (zeroPages === 0) return 0;
    const f = zeroPage();
    if (f < 0 || install(s, hi, lo, f, Attr.user | nx) === 0) return 0;
    huge[HugeCell.zeroUses]! += 1;
    return 1;
  }

  /** 512 fresh frames of one block, which no fork has given to anybody yet; the first, or -1. */
  function take(s: number, hi: number, lo: number): number {
    const low = lo & ~0x1fffff;
    const f = frames.takeHuge(Use.anonymous, neighbours.wished ? neighbours.nearOf(s, hi, low, PIECE_FRAMES) : NEAR_UNKNOWN, s);
    if (f < 0) return -1;
    forkedFrames.fill(0, f, f + PIECE_FRAMES);
    if (neighbours.wished) neighbours.placed(s, hi, low, f);
    return f;
  }

  /** A fresh huge page for the address, where nothing stands. 1 or 0; the caller counts what is resident. */
  function mapFresh(s: number, hi: number, lo: number, nx: number): number {
    const f = take(s, hi, lo);
    if (f < 0) return 0;
    if (install(s, hi, lo, f, Attr.write | Attr.user | nx) === 0) {
      frames.putHuge(f);
      return 0;
    }
    return 1;
  }

  /** A fresh huge page in the place of the huge zero page that entry `q` maps. 1 or 0. */
  function replaceZero(s: number, hi: number, lo: number, q: number, nx: number): number {
    const f = take(s, hi, lo);
    if (f < 0) return 0;
    pt[q] = Attr.present | Attr.write | Attr.user | Attr.large | nx;
    pt[q + 1] = f;
    huge[HugeCell.zeroUses]! -= 1;
    lookup.invalidatePage(s, hi, lo);
    return 1;
  }

  /** Nobody else holds any frame of the huge page: a write may reuse it. */
  function exclusive(first: number): boolean {
    for (let f = first; f < first + PIECE_FRAMES; f++) if (frames.ref[f] !== 1) return false;
    return true;
  }

  /** Splits the huge leaf that entry `q` is. 1, or 0 without a frame for the table (only when none was deposited). */
  function split(s: number, hi: number, lo: number, q: number): number {
    const zero = pt[q + 1] === huge[HugeCell.zero];
    if (tables.splitLarge(s, hi, lo, deposits !== 0 ? tables.withdraw(s) : 0) !== 0) return 0;
    huge[HugeCell.leaves]! -= 1;
    if (zero) {
      huge[HugeCell.zeroUses]! -= 1;
      const t = tables.tableAt(s, hi, lo, 1);
      for (let i = 0; i < HUGE_PAGES; i++) pt[t + 2 * i + 1] = zeroFrame;
    }
    lookup.flushSpace(s);
    return 1;
  }

  /** Splits the huge leaf that page `at` lies inside of, not at its start (vma_adjust_trans_huge). 1, or 0 without a frame for the table. */
  function cut(s: number, at: number): number {
    if (huge[HugeCell.leaves] === 0 || at % HUGE_PAGES === 0) return 1;
    const hi = Math.floor(at / 262144);
    const lo = (at - hi * 262144) << 12;
    const t = tables.tableAt(s, hi, lo, 2);
    if (t === 0) return 1;
    const q = t + 2 * (Math.floor(at / HUGE_PAGES) & (HUGE_PAGES - 1));
    return (pt[q]! & Attr.large) === 0 ? 1 : split(s, hi, lo, q);
  }

  /** Splits every huge leaf in [from, to). 1, or 0 without frames. */
  function flatten(s: number, from: number, to: number): number {
    if (huge[HugeCell.leaves] === 0) return 1;
    let done = 1;
    for (let p = Math.floor(from / HUGE_PAGES) * HUGE_PAGES; p < to; p += HUGE_PAGES) done &= cut(s, p + 1);
    return done;
  }

  /** Lets go of the deposited tables of huge leaves of the space that were dropped. */
  function settle(s: number): void {
    let n = huge[HugeCell.dropped]!;
    if (n === 0) return;
    huge[HugeCell.dropped] = 0;
    if (deposits === 0) return;
    for (; n > 0; n--) tables.releaseTable(s, tables.withdraw(s));
  }

  /** The space is gone with all its tables. */
  function forget(): void {
    huge[HugeCell.dropped] = 0;
  }

  /** Gives the huge zero page back if nobody maps it (the kernel's shrinker does). */
  function shrink(): void {
    const f = huge[HugeCell.zero]!;
    if (f < 0 || huge[HugeCell.zeroUses] !== 0) return;
    huge[HugeCell.zero] = -1;
    frames.putHuge(f);
  }

  return { allowed, mapZero, mapFresh, replaceZero, exclusive, split, cut, flatten, settle, forget, shrink };
}
