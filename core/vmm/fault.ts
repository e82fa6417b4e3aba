/**
 * Page faults under the `plain` policy, the textbook's: one page a fault; an anonymous read maps the shared zero page; a write to a
 * private page that others map too copies it, a write to a page nobody else maps reuses it; a private file page or the zero page is
 * always copied. The structure follows Linux' handle_pte_fault (mm/memory.c); its refinements (fault-around, huge pages) are not here.
 */
import { Attr, ENOMEM, FrameKind } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { Access } from '../lookup/lookup-contract.js';
import { NEAR_UNKNOWN } from '../pmm/near.js';
import { Use } from './frames.js';
import type { Kmap } from './kmap.js';
import { makeLinuxFaults } from './linux-fault.js';
import type { Huge } from './linux-huge.js';
import type { Lineage } from './linux-lineage.js';
import { VmmCounter } from './machine.js';
import type { Machine } from './machine.js';
import { VmaFlag } from './mappings.js';
import type { Mappings } from './mappings.js';
import { ObjectCell, ObjectKind } from './objects.js';
import type { Objects } from './objects.js';
import { Reject } from './rejections.js';

/** Largest stack that grows on its own, in pages: Linux' default RLIMIT_STACK of 8 MiB. */
const STACK_LIMIT_PAGES = 2048;

export interface FaultOptions {
  /** The trace did not record mappings: an access outside them makes one (counted). */
  readonly implicitMappings: boolean;
}

export type Faults = ReturnType<typeof makeFaults>;

/** `lineages` and `huge` are the linux policy's (unused by plain). */
export function makeFaults(machine: Machine, objects: Objects, mappings: Mappings, kmap: Kmap, options: FaultOptions, lineages: Lineage, huge: Huge) {
  const { tables, lookup, vmas, frames, zeroFrame, rss, rssPeak, counters, tree, current, processFaults, processBreaks, leafTablesPeak, tablesPeak } = machine;
  const { pt, spaceTables, mapLeaf, findLeaf } = tables;
  const { ref, use, take, put } = frames;
  const { start, flags, object, offset } = vmas;
  const find = vmas.find;
  const { access, retry, invalidatePage } = lookup;
  const { wished, nearOf, placed } = machine.neighbours;
  const objectPage = objects.page;
  const objectCells = objects.cells;
  const kmapTouch = kmap.touch;
  const { reject } = machine.rejections;
  const implicit = options.implicitMappings ? 1 : 0;
  const stackLimit: number = STACK_LIMIT_PAGES;

  /** A page of use `u` becomes resident in the space. */
  function addResident(s: number, u: number): void {
    const b = s << 3;
    const n = (rss[b | u]! + 1) | 0;
    rss[b | u] = n;
    if (n > rssPeak[b | u]!) rssPeak[b | u] = n;
    const t = (rss[b]! + 1) | 0;
    rss[b] = t;
    if (t > rssPeak[b]!) rssPeak[b] = t;
  }
  function subResident(s: number, u: number): void {
    const b = s << 3;
    rss[b | u] = (rss[b | u]! - 1) | 0;
    rss[b] = (rss[b]! - 1) | 0;
  }

  function noteTables(s: number): void {
    const b = s << 3;
    if (spaceTables[b | 1]! > leafTablesPeak[s]!) leafTablesPeak[s] = spaceTables[b | 1]!;
    let n = 0;
    for (let l = 1; l < 8; l++) n += spaceTables[b | l]!;
    if (n > tablesPeak[s]!) tablesPeak[s] = n;
  }

  /** Installs a leaf for a frame that is already held once for it; undoes the hold when no table can be had. */
  function install(s: number, hi: number, lo: number, f: number, bits: number, held: number): number {
    const before = spaceTables[(s << 3) | 1]!;
    if (mapLeaf(s, hi, lo, bits, f) !== 0) {
      if (held !== 0) put(f);
      return 0;
    }
    if (spaceTables[(s << 3) | 1] !== before) noteTables(s);
    return 1;
  }

  /** A fresh anonymous frame for the page at an address, zeroed or filled through the kmap window; -1 without frames. */
  function freshAnonymous(s: number, hi: number, lo: number): number {
    const f = take(Use.anonymous, FrameKind.movable, wished ? nearOf(s, hi, lo, 1) : NEAR_UNKNOWN, s);
    if (f < 0) return -1;
    if (kmapTouch(f) !== 0) {
      put(f);
      return -1;
    }
    if (wished) placed(s, hi, lo, f);
    return f;
  }

  /** Counts a resolved fault: a minor one unless a page had to be read from the disk. */
  function counted(): number {
    if (objectCells[ObjectCell.needsIo] !== 0) {
      objectCells[ObjectCell.needsIo] = 0;
      counters[VmmCounter.majorFaults]! += 1;
      return 1;
    }
    counters[VmmCounter.minorFaults]! += 1;
    processFaults[current[0]!]! += 1;
    return 1;
  }

  function noFrame(): number {
    objectCells[ObjectCell.needsIo] = 0;
    return reject(Reject.outOfMemory);
  }

  /** No leaf maps the page. */
  function missing(s: number, hi: number, lo: number, page: number, kind: number, v: number, fl: number, nx: number): number {
    const obj = object[v]!;
    if (obj === 0) {
      if (kind !== Access.write) {
        if (install(s, hi, lo, zeroFrame, Attr.present | Attr.user | nx, 0) === 0) return noFrame();
        counters[VmmCounter.zeroMaps]! += 1;
        return counted();
      }
      const f = freshAnonymous(s, hi, lo);
      if (f < 0) return noFrame();
      if (install(s, hi, lo, f, Attr.present | Attr.write | Attr.user | nx, 1) === 0) return noFrame();
      addResident(s, Use.anonymous);
      counters[VmmCounter.demandZero]! += 1;
      return counted();
    }
    const index = offset[v]! + (page - start[v]!);
    if (objects.kind[obj] !== ObjectKind.transient && objects.size[obj]! >= 0 && index * 4096 >= objects.size[obj]!) return reject(Reject.beyondObject);
    const f = objectPage(obj, index);
    if (f < 0) return f === ENOMEM ? noFrame() : reject(Reject.beyondObject);
    if ((fl & Flag.shared) !== 0) {
      ref[f] = (ref[f]! + 1) | 0;
      const w = (fl & Flag.w) !== 0 ? Attr.write : 0;
      if (install(s, hi, lo, f, Attr.present | Attr.user | Attr.shared | w | nx, 1) === 0) return noFrame();
      addResident(s, use[f]!);
      return counted();
    }
    if (kind !== Access.write) {
      ref[f] = (ref[f]! + 1) | 0;
      if (install(s, hi, lo, f, Attr.present | Attr.user | nx, 1) === 0) return noFrame();
      addResident(s, use[f]!);
      return counted();
    }
    const g = freshAnonymous(s, hi, lo);
    if (g < 0) return noFrame();
    if (install(s, hi, lo, g, Attr.present | Attr.write | Attr.user | nx, 1) === 0) return noFrame();
    addResident(s, Use.anonymous);
    counters[VmmCounter.copiedFrames]! += 1;
    return counted();
  }

  /** Gives a leaf a frame of its own, with what the frame that it maps holds. 1, or 0 without a frame. */
  function breakCow(s: number, hi: number, lo: number, q: number, nx: number): number {
    const f = pt[(q + 1) | 0]!;
    if (f !== zeroFrame && kmapTouch(f) !== 0) return 0;
    const g = freshAnonymous(s, hi, lo);
    if (g < 0) return 0;
    pt[q] = Attr.present | Attr.write | Attr.user | nx;
    pt[(q + 1) | 0] = g;
    invalidatePage(s, hi, lo);
    if (f !== zeroFrame) {
      subResident(s, use[f]!);
      put(f);
      counters[VmmCounter.copiedFrames]! += 1;
    }
    addResident(s, Use.anonymous);
    counters[VmmCounter.cowBreaks]! += 1;
    processBreaks[current[0]!]! += 1;
    return 1;
  }

  /** A leaf maps the page but forbids the write. */
  function writeProtected(s: number, hi: number, lo: number, q: number, fl: number, nx: number): number {
    const e = pt[q]!;
    const f = pt[(q + 1) | 0]!;
    if ((fl & Flag.shared) !== 0 || (f !== zeroFrame && ref[f] === 1 && use[f] === Use.anonymous)) {
      pt[q] = e | Attr.write;
      counters[VmmCounter.reuses]! += 1;
      return counted();
    }
    return breakCow(s, hi, lo, q, nx) === 0 ? noFrame() : counted();
  }

  const { rules } = machine;
  const parts = { addResident, noteTables, install, freshAnonymous, breakCow, counted, noFrame };
  const linuxFaults = makeLinuxFaults(machine, objects, parts, lineages, huge);
  const linuxMissing = linuxFaults.missing;
  const linuxProtected = linuxFaults.writeProtected;
  const linux = rules.linux;

  /** Nothing covers the page: a stack below grows, a trace without mappings gets one. VMA or 0. */
  function uncovered(s: number, page: number): number {
    const above = vmas.findFrom(tree[s]!, page);
    if (above !== 0 && (flags[above]! & Flag.growsdown) !== 0 && vmas.end[above]! - page <= stackLimit) {
      if (mappings.growDown(s, above, page) !== 0) {
        counters[VmmCounter.stackGrowths]! += 1;
        return above;
      }
    }
    if (implicit === 0 || !mappings.inUserHalf(page, page + 1)) return reject(Reject.notMapped);
    const v = mappings.map(s, page, page + 1, Flag.r | Flag.w | Flag.x | VmaFlag.implicit, 0, 0);
    if (v < 0) return noFrame();
    counters[VmmCounter.implicitMappings]! += 1;
    return v;
  }

  /** Resolves a page fault of the space: 1, or 0 when the access is refused (counted as a rejection). */
  function fault(s: number, hi: number, lo: number, kind: number): number {
    const page = hi * 262144 + (lo >>> 12);
    let v = find(tree[s]!, page);
    if (v === 0) {
      v = uncovered(s, page);
      if (v === 0) return 0;
    }
    const fl = flags[v]!;
    const need = kind === Access.write ? Flag.w : kind === Access.fetch ? Flag.x : Flag.r | Flag.w | Flag.x;
    if ((fl & need) === 0) return reject(Reject.protection);
    const nx = (fl & Flag.x) !== 0 ? 0 : Attr.noExecute;
    const q = findLeaf(s, hi, lo);
    if (linux !== 0) {
      if (q < 0) return linuxMissing(s, hi, lo, page, kind, v, fl, nx);
      if (kind === Access.write && (pt[q]! & Attr.write) === 0) return linuxProtected(s, hi, lo, q, v, fl, nx);
    }
    if (q < 0) return missing(s, hi, lo, page, kind, v, fl, nx);
    if (kind === Access.write && (pt[q]! & Attr.write) === 0) return writeProtected(s, hi, lo, q, fl, nx);
    throw new Error(`page fault (access ${kind}) on a leaf that allows it: ${hi}:${lo} of space ${s}`);
  }

  /** One access by the space on a CPU, through the TLB and the tables, with its faults resolved: 1, or 0 when refused. */
  function touch(s: number, hi: number, lo: number, kind: number, cpu: number): number {
    return access(s, hi, lo, kind, cpu) !== 0 ? 1 : resolve(s, hi, lo, kind, cpu);
  }

  /** After `access` said fault: faults and walks again until the access passes (1) or is refused (0). */
  function resolve(s: number, hi: number, lo: number, kind: number, cpu: number): number {
    do {
      if (fault(s, hi, lo, kind) === 0) return 0;
    } while (retry(s, hi, lo, kind, cpu) === 0);
    return 1;
  }

  /**
   * Faults in every page of [from, to) that is not mapped (MAP_POPULATE, mlock, MADV_POPULATE_*); they count as minor faults, as Linux
   * counts them (mm_account_fault without registers). `advised`: MADV_POPULATE_* (mm/gup.c faultin_page_range), which writes shared pages too and
   * brings memory that is locked as it is touched. 1, or 0 at the first page that cannot be had.
   */
  function populate(s: number, from: number, to: number, write: boolean, advised = false): number {
    return linux !== 0 && rules.populate === 0 ? 1 : bring(s, from, to, write, advised);
  }
  function bring(s: number, from: number, to: number, write: boolean, advised: boolean): number {
    for (let page = from; page < to; page++) {
      const v = find(tree[s]!, page);
      if (v === 0) return reject(Reject.notMapped);
      const hi = Math.floor(page / 262144);
      const lo = (page - hi * 262144) << 12;
      const q = findLeaf(s, hi, lo);
      // Linux breaks copy-on-write beforehand, and so writes; shared pages it only reads (populate_vma_page_range).
      const w = write && (flags[v]! & Flag.w) !== 0 && (linux === 0 || advised || (flags[v]! & Flag.shared) === 0);
      if ((flags[v]! & (Flag.r | Flag.w | Flag.x)) === 0) return 0;
      // What is to be locked as it is touched stays away, and so does vvar, which has no pages (__mm_populate, populate_vma_page_range).
      if (linux !== 0 && !advised && (flags[v]! & (VmaFlag.lockOnFault | Flag.vvar)) !== 0) continue;
      if (q < 0 || (w && (pt[q]! & Attr.write) === 0)) {
        if (fault(s, hi, lo, w ? Access.write : (flags[v]! & Flag.r) !== 0 ? Access.read : Access.fetch) === 0) return 0;
      }
    }
    return 1;
  }

  /** exec's argument pages, which the kernel puts at [from, to) before the program runs. 1, or 0 at the first that cannot be had. */
  function execArgs(s: number, from: number, to: number): number {
    if (linux === 0) return bring(s, from, to, true, true);
    if (rules['exec-args'] === 0) return 1;
    if (rules['exec-stack'] === 0) return bring(s, from, to, true, true);
    // They are gathered in a stack at the top of the user half, which then moves to its place: its tables come and go.
    const page = mappings.userPages - 2;
    const hi = Math.floor(page / 262144);
    if (tables.ensureTable(s, hi, (page - hi * 262144) << 12, 1) < 0) return noFrame();
    noteTables(s);
    const done = bring(s, from, to, true, true);
    noteTables(s);
    const last = vmas.last(tree[s]!);
    tables.freeTables(s, page, page + 1, last === 0 ? 0 : vmas.end[last]!, mappings.userPages);
    return done;
  }

  return { fault, touch, resolve, populate, execArgs, addResident, subResident, noteTables, freshAnonymous };
}
