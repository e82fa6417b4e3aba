/**
 * Page faults under the `linux` policy: what core/vmm/fault.ts does when no leaf maps the page, or one that forbids the write.
 *
 * Models: mm/memory.c of Linux 6.18: do_anonymous_page, do_read_fault with do_fault_around, do_cow_fault, do_shared_fault, do_wp_page; mm/filemap.c
 * filemap_map_pages; the huge faults of linux-huge.ts. A read fault on a file maps the cached pages of a window of 16 around it, one on shared memory those
 * that the object has; a write fault maps one page. A private write gives its VMA a lineage.
 *
 * Not modelled: readahead (a page that was not cached comes alone), folios of shared memory, userfaultfd, swap.
 */
import { Attr, ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { Access } from '../lookup/lookup-contract.js';
import { FrameCell, PIECE_FRAMES, Use } from './frames.js';
import type { Huge } from './linux-huge.js';
import type { Lineage } from './linux-lineage.js';
import { HugeCell, VmmCounter } from './machine.js';
import type { Machine } from './machine.js';
import { ObjectKind } from './objects.js';
import type { Objects } from './objects.js';
import { Reject } from './rejections.js';
import { VmaFlag } from './vma-flags.js';

/** Pages of the window (fault_around_bytes, 64 KiB). */
const AROUND = 16;
/** Entries of a PT. */
const ENTRIES = 512;

/** What faults of every policy share (core/vmm/fault.ts). */
export interface FaultParts {
  addResident(s: number, u: number): void;
  noteTables(s: number): void;
  install(s: number, hi: number, lo: number, f: number, bits: number, held: number): number;
  freshAnonymous(s: number, hi: number, lo: number): number;
  breakCow(s: number, hi: number, lo: number, q: number, nx: number): number;
  counted(): number;
  noFrame(): number;
}

export function makeLinuxFaults(machine: Machine, objects: Objects, parts: FaultParts, lineages: Lineage, huge: Huge) {
  const { tables, vmas, frames, zeroFrame, rss, rssPeak, counters, current, processBreaks, rules, huge: hugeCells, forkedFrames } = machine;
  const { pt, findLeaf, tableAt, ensureTable } = tables;
  const { ref, use, folioOrder, cells } = frames;
  const { start, end, object, offset, lineage } = vmas;
  const { addResident, noteTables, install, freshAnonymous, breakCow, counted, noFrame } = parts;
  const { reject } = machine.rejections;
  const kindOf = objects.kind;
  const sizeOf = objects.size;
  const alone = objects.alone;
  const cached = objects.cached;
  const objectPage = objects.page;
  const prepare = lineages.prepare;
  const zeroPages = rules['zero-page'];
  const reuses = rules.reuse;
  const fileAround = rules['fault-around'];
  const shmemAround = rules['shmem-around'];
  const folios = rules.folios;
  const writeNotify = rules['write-notify'];
  const vdso = rules.vdso;

  /** A fresh anonymous frame, which no fork has given to anybody yet. */
  function ownFrame(s: number, hi: number, lo: number): number {
    const f = freshAnonymous(s, hi, lo);
    if (f >= 0) forkedFrames[f] = 0;
    return f;
  }

  function hugeResident(s: number): void {
    const b = s << 3;
    rss[b | Use.anonymous]! += PIECE_FRAMES;
    rss[b]! += PIECE_FRAMES;
    rssPeak[b | Use.anonymous] = Math.max(rssPeak[b | Use.anonymous]!, rss[b | Use.anonymous]!);
    rssPeak[b] = Math.max(rssPeak[b]!, rss[b]!);
    noteTables(s);
  }

  /** A huge page for a fault in advised memory. 1, or 0 where small pages must do. */
  function hugeFault(s: number, hi: number, lo: number, v: number, kind: number, nx: number): number {
    if (tableAt(s, hi, lo, 1) !== 0) return 0;
    if (lineage[v] === 0) prepare(s, v);
    if (kind !== Access.write && huge.mapZero(s, hi, lo, nx) !== 0) {
      counters[VmmCounter.zeroMaps]! += 1;
      noteTables(s);
      return counted();
    }
    if ((kind !== Access.write && zeroPages !== 0) || huge.mapFresh(s, hi, lo, nx) === 0) return 0;
    counters[VmmCounter.demandZero]! += PIECE_FRAMES;
    hugeResident(s);
    return counted();
  }

  function anonymous(s: number, hi: number, lo: number, page: number, kind: number, v: number, fl: number, nx: number): number {
    if ((fl & VmaFlag.huge) !== 0 && huge.allowed(v, page) && hugeFault(s, hi, lo, v, kind, nx) !== 0) return 1;
    if (kind !== Access.write && (zeroPages !== 0 || ((fl & Flag.vvar) !== 0 && vdso !== 0))) {
      if (install(s, hi, lo, zeroFrame, Attr.present | Attr.user | nx, 0) === 0) return noFrame();
      counters[VmmCounter.zeroMaps]! += 1;
      return counted();
    }
    const f = ownFrame(s, hi, lo);
    if (f < 0) return noFrame();
    const w = (fl & Flag.w) !== 0 ? Attr.write : 0;
    if (install(s, hi, lo, f, Attr.present | Attr.user | w | nx, 1) === 0) return noFrame();
    if (lineage[v] === 0) prepare(s, v);
    addResident(s, Use.anonymous);
    counters[VmmCounter.demandZero]! += 1;
    return counted();
  }

  /** Maps what is cached of the window around page `index` of the object; where nothing is, no PT is made. 1 when the page itself is mapped now, 0 when not. */
  function mapAround(s: number, hi: number, lo: number, page: number, v: number, index: number, bits: number): number {
    const o = object[v]!;
    const at = (lo >>> 12) & (ENTRIES - 1);
    const before = page - start[v]!;
    const least = at - Math.min(at, before);
    let most = Math.min(ENTRIES, at + (end[v]! - page));
    if (sizeOf[o]! >= 0) most = Math.min(most, at + (Math.ceil(sizeOf[o]! / 4096) - index));
    let from = Math.max(at & ~(AROUND - 1), least);
    let to = Math.min(from + AROUND, most);
    if (from >= to) return 0;
    const tablesBefore = tables.spaceTables[(s << 3) | 1]!;
    // The PT comes first if the page itself will need it.
    let t = at < most ? ensureTable(s, hi, lo, 1) : tableAt(s, hi, lo, 1);
    if (t < 0) return 0;
    if (tables.spaceTables[(s << 3) | 1] !== tablesBefore) noteTables(s);
    // What is cached may fail to get a frame here: nobody misses it.
    const failed = cells[FrameCell.failed]!;
    // The window itself, and the orders of the folios that reach into it from below and out of it above.
    const low = from;
    const high = to;
    let below = 0;
    let above = 0;
    if (folios !== 0) {
      const first = cached(o, index - at + from);
      if (first >= 0 && folioOrder[first] !== 0) {
        below = folioOrder[first]!;
        from = Math.max(least, from - ((index - at + from) % 2 ** below));
      }
      const last = cached(o, index - at + to - 1);
      if (last >= 0 && folioOrder[last] !== 0) {
        above = folioOrder[last]!;
        const inside = (index - at + to - 1) % 2 ** above;
        to = Math.min(most, to + (2 ** above - 1 - inside));
      }
    }
    let mapped = 0;
    for (let i = from; i < to; i = (i + 1) | 0) {
      if (t !== 0 && pt[(t + (i << 1)) | 0] !== 0) continue;
      const f = cached(o, index - at + i);
      if (f < 0) continue;
      // A page that came by itself, before the rest of its folio, is no part of it.
      if (i < low ? folioOrder[f] !== below : i >= high && folioOrder[f] !== above) continue;
      ref[f] = (ref[f]! + 1) | 0;
      if (install(s, hi, (lo & ~0x1fffff) | (i << 12), f, bits, 1) === 0) break;
      if (t === 0) t = tableAt(s, hi, lo, 1);
      addResident(s, use[f]!);
      if (i === at) mapped = 1;
    }
    cells[FrameCell.failed] = failed;
    return mapped;
  }

  /** Leaf bits of a page of an object. A shared file page stays read-only until it is written, so that the kernel learns of it; shared memory needs no such notice. */
  function bitsOf(o: number, kind: number, fl: number, nx: number): number {
    const shared = (fl & Flag.shared) !== 0;
    const writable = shared && (fl & Flag.w) !== 0 && (kind === Access.write || kindOf[o] !== ObjectKind.file || writeNotify === 0);
    return Attr.present | Attr.user | (shared ? Attr.shared : 0) | (writable ? Attr.write : 0) | nx;
  }

  /** The page lies beyond the object's end: refused, but what do_fault does before it knows is done. */
  function beyond(s: number, hi: number, lo: number, page: number, kind: number, v: number, fl: number, nx: number, index: number): number {
    const o = object[v]!;
    if (ensureTable(s, hi, lo, 2) < 0) return noFrame();
    if (kind === Access.write && (fl & Flag.shared) === 0 && lineage[v] === 0) prepare(s, v);
    const around = kindOf[o] === ObjectKind.file ? fileAround : shmemAround & ~alone[o]!;
    if (kind !== Access.write && around !== 0) mapAround(s, hi, lo, page, v, index, bitsOf(o, kind, fl, nx));
    return reject(Reject.beyondObject);
  }

  /** No leaf maps the page. */
  function missing(s: number, hi: number, lo: number, page: number, kind: number, v: number, fl: number, nx: number): number {
    const o = object[v]!;
    if (o === 0) return anonymous(s, hi, lo, page, kind, v, fl, nx);
    const index = offset[v]! + (page - start[v]!);
    const k = kindOf[o]!;
    const shared = (fl & Flag.shared) !== 0;
    if (k !== ObjectKind.transient && sizeOf[o]! >= 0 && index * 4096 >= sizeOf[o]!) return beyond(s, hi, lo, page, kind, v, fl, nx, index);
    if (kind !== Access.write || shared) {
      const bits = bitsOf(o, kind, fl, nx);
      if (kind !== Access.write && (fl & Flag.vdso) === 0 && (k === ObjectKind.file ? fileAround : shmemAround & ~alone[o]!) !== 0) {
        if (mapAround(s, hi, lo, page, v, index, bits) !== 0) return counted();
      }
      const f = objectPage(o, index);
      if (f < 0) return f === ENOMEM ? noFrame() : reject(Reject.beyondObject);
      ref[f] = (ref[f]! + 1) | 0;
      if (install(s, hi, lo, f, bits, 1) === 0) return noFrame();
      addResident(s, use[f]!);
      return counted();
    }
    // The page is read before it is copied.
    const source = objectPage(o, index);
    if (source < 0) return source === ENOMEM ? noFrame() : reject(Reject.beyondObject);
    const g = ownFrame(s, hi, lo);
    if (g < 0) return noFrame();
    if (install(s, hi, lo, g, Attr.present | Attr.write | Attr.user | nx, 1) === 0) return noFrame();
    if (lineage[v] === 0) prepare(s, v);
    addResident(s, Use.anonymous);
    counters[VmmCounter.copiedFrames]! += 1;
    return counted();
  }

  /** A huge leaf forbids the write: replaced, reused or split. 1 when the fault is resolved, 0 when it goes on with small pages, -1 without frames. */
  function hugeProtected(s: number, hi: number, lo: number, q: number, v: number, nx: number): number {
    if (pt[q + 1] === hugeCells[HugeCell.zero]) {
      if (lineage[v] === 0) prepare(s, v);
      if (huge.replaceZero(s, hi, lo, q, nx) !== 0) {
        hugeResident(s);
        counters[VmmCounter.cowBreaks]! += 1;
        processBreaks[current[0]!]! += 1;
        return counted();
      }
    } else if (reuses !== 0 && huge.exclusive(pt[q + 1]!)) {
      pt[q]! |= Attr.write;
      forkedFrames.fill(0, pt[q + 1]!, pt[q + 1]! + PIECE_FRAMES);
      counters[VmmCounter.reuses]! += 1;
      return counted();
    }
    return huge.split(s, hi, lo, q) !== 0 ? 0 : -1;
  }

  /** A leaf maps the page but forbids the write. */
  function writeProtected(s: number, hi: number, lo: number, leaf: number, v: number, fl: number, nx: number): number {
    let q = leaf;
    if ((pt[q]! & Attr.large) !== 0) {
      const r = hugeProtected(s, hi, lo, q, v, nx);
      if (r !== 0) return r < 0 ? noFrame() : r;
      q = findLeaf(s, hi, lo);
    }
    const e = pt[q]!;
    const f = pt[(q + 1) | 0]!;
    if ((fl & Flag.shared) !== 0 || (reuses !== 0 && f !== zeroFrame && ref[f] === 1 && use[f] === Use.anonymous)) {
      pt[q] = e | Attr.write;
      forkedFrames[f] = 0;
      counters[VmmCounter.reuses]! += 1;
      return counted();
    }
    if (breakCow(s, hi, lo, q, nx) === 0) return noFrame();
    // Nobody else ever had the copy.
    forkedFrames[pt[(q + 1) | 0]!] = 0;
    if (lineage[v] === 0) prepare(s, v);
    return counted();
  }

  return { missing, writeProtected };
}
