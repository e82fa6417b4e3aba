/**
 * The oracle's pages and page tables of a space. A page is one entry of a Map; a table is a number in a set, by level: there is no tree, no entry, no count.
 * What makes a table and what ends it is written down directly (mm/memory.c, mm/huge_memory.c, mm/mremap.c).
 */
import type { Frame } from './linux-objects.js';
import type { Space, Vma } from './linux-space.js';

/** Pages below one entry of a PD, a PDPT, a PML4. */
export const SLOT = 512;
export const GIB = 512 * 512;
export const TOP = 512 * GIB;

export const slotOf = (page: number): number => Math.floor(page / SLOT);

/** The entries of a set of tables whose spans of `span` pages meet [from, to). */
const meeting = (tables: Iterable<number>, span: number, from: number, to: number): number[] =>
  [...tables].filter((t) => t * span < to && (t + 1) * span > from);

export function ensureUpper(s: Space, page: number): void {
  s.pdpts.add(Math.floor(page / TOP));
  s.pds.add(Math.floor(page / GIB));
}
export function ensurePt(s: Space, page: number): void {
  ensureUpper(s, page);
  s.pts.add(slotOf(page));
}

export function put(s: Space, page: number, frame: Frame | null, write: boolean, dirty = false): void {
  if (frame !== null) frame.maps++;
  s.pages.set(page, { frame, write, dirty });
}
export function drop(s: Space, page: number): void {
  const frame = s.pages.get(page)?.frame ?? null;
  if (frame !== null) frame.maps--;
  s.pages.delete(page);
}

/** __split_huge_pmd: the deposited PT takes the place of the huge leaf. */
export function splitHuge(s: Space, slot: number): void {
  if (s.huge.delete(slot)) s.pts.add(slot);
}
/** No huge leaf sticks out of [from, to) (vma_adjust_trans_huge, and what walks a part of one). */
export function splitAt(s: Space, from: number, to: number): void {
  for (const at of [from, to]) if (at % SLOT !== 0) splitHuge(s, slotOf(at));
}

/** zap_page_range: pages and whole huge leaves go, tables stay. */
export function zap(s: Space, from: number, to: number): void {
  splitAt(s, from, to);
  for (const slot of meeting(s.huge.keys(), SLOT, from, to)) s.huge.delete(slot);
  for (const page of pagesIn(s, from, to)) drop(s, page);
}
export function pagesIn(s: Space, from: number, to: number): number[] {
  if (to - from > s.pages.size) return [...s.pages.keys()].filter((page) => page >= from && page < to);
  const found: number[] = [];
  for (let page = from; page < to; page++) if (s.pages.has(page)) found.push(page);
  return found;
}

/** free_pgtables: tables that the removed ranges meet go when no VMA that remains overlaps their span. */
export function freeTables(s: Space, removed: readonly (readonly [number, number])[]): void {
  const levels: [Set<number>, number][] = [
    [s.pts, SLOT],
    [s.pds, GIB],
    [s.pdpts, TOP],
  ];
  for (const [tables, span] of levels) {
    for (const [from, to] of removed) {
      for (const t of meeting(tables, span, from, to)) if (!s.vmas.some((v) => v.from < (t + 1) * span && v.to > t * span)) tables.delete(t);
    }
  }
}
/** What holds without the rules that keep empty tables: those that [from, to) meets go. */
export function freeEmpty(s: Space, from: number, to: number): void {
  for (const t of meeting(s.pts, SLOT, from, to)) if (pagesIn(s, t * SLOT, (t + 1) * SLOT).length === 0) s.pts.delete(t);
  const used = (below: Iterable<number>): Set<number> => new Set([...below].map(slotOf));
  const pds = used([...s.pts, ...s.huge.keys()]);
  for (const t of meeting(s.pds, GIB, from, to)) if (!pds.has(t)) s.pds.delete(t);
  const pdpts = used(s.pds);
  for (const t of meeting(s.pdpts, TOP, from, to)) if (!pdpts.has(t)) s.pdpts.delete(t);
}
/** MADV_DONTNEED with CONFIG_PT_RECLAIM: the PT of each slot that lies wholly in the range (mm/pt_reclaim.c). */
export function reclaimPts(s: Space, from: number, to: number): void {
  for (const t of meeting(s.pts, SLOT, from, to)) if (t * SLOT >= from && (t + 1) * SLOT <= to) s.pts.delete(t);
}

/** Tables and huge leaves of `source` in [from, to) get their like in `copy` (copy_page_range: level by level, by presence). */
export function copyTables(source: Space, copy: Space, from: number, to: number): void {
  for (const t of meeting(source.pdpts, TOP, from, to)) copy.pdpts.add(t);
  for (const t of meeting(source.pds, GIB, from, to)) copy.pds.add(t);
  for (const t of meeting(source.pts, SLOT, from, to)) copy.pts.add(t);
  for (const slot of meeting(source.huge.keys(), SLOT, from, to)) copy.huge.set(slot, source.huge.get(slot)!);
}

function movePages(s: Space, from: number, to: number, count: number): void {
  for (const page of pagesIn(s, from, from + count)) {
    s.pages.set(page - from + to, s.pages.get(page)!);
    s.pages.delete(page);
  }
}
function moveSlot(s: Space, from: number, to: number): void {
  const kind = s.huge.get(slotOf(from));
  if (kind !== undefined) s.huge.set(slotOf(to), kind);
  s.huge.delete(slotOf(from));
  if (s.pts.delete(slotOf(from))) s.pts.add(slotOf(to));
  movePages(s, from, to, SLOT);
}

/** What holds without the rule: pages move one by one, and only they need tables. */
export function moveOnlyPages(s: Space, from: number, to: number, count: number): void {
  splitAt(s, from, from + count);
  for (const slot of meeting(s.huge.keys(), SLOT, from, from + count)) {
    const target = slot * SLOT - from + to;
    if (target % SLOT === 0 && !s.pts.has(slotOf(target))) {
      ensureUpper(s, target);
      moveSlot(s, slot * SLOT, target);
    } else splitHuge(s, slot);
  }
  for (const page of pagesIn(s, from, from + count)) {
    ensurePt(s, page - from + to);
    movePages(s, page, page - from + to, 1);
  }
}
/** move_page_tables: [from, from + count) of VMA `old` to `to`, the start of what VMA `made` got. A PD or a PT that is wholly in it moves as it is. */
export function movePageTables(s: Space, old: Vma, from: number, made: Vma, to: number, count: number): void {
  const end = from + count;
  let shift = 0;
  const free = (page: number): boolean => !s.vmas.some((v) => v.from < page && v.to > page - (page % SLOT));
  // try_realign_addr: a first part of a slot with nothing below it moves as if it were the whole slot.
  if (from % SLOT !== 0 && from % SLOT === to % SLOT && count >= SLOT - (from % SLOT) && old.from === from && made.from === to && free(from) && free(to))
    shift = from % SLOT;
  for (let at = from - shift; at < end; ) {
    const target = at - from + to;
    const within = (span: number): number => Math.min(span - (at % span), end - at, span - (target % span));
    let step = within(GIB);
    const pd = Math.floor(at / GIB);
    if (!s.pds.has(pd)) {
      at += step;
      continue;
    }
    s.pdpts.add(Math.floor(target / TOP));
    if (step === GIB && !s.pds.has(Math.floor(target / GIB))) {
      s.pds.delete(pd);
      s.pds.add(Math.floor(target / GIB));
      for (let i = 0; i < GIB; i += SLOT) moveSlot(s, at + i, target + i);
      at += step;
      continue;
    }
    step = within(SLOT);
    const slot = slotOf(at);
    if (s.pts.has(slot) || s.huge.has(slot)) {
      s.pds.add(Math.floor(target / GIB));
      if (step === SLOT && !s.pts.has(slotOf(target))) moveSlot(s, at, target);
      else {
        splitHuge(s, slot);
        s.pts.add(slotOf(target));
        movePages(s, at, target, step);
      }
    }
    at += step;
  }
}
