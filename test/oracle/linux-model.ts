/**
 * An oracle of the `linux` policy, simple and slow: a Map entry per page, VMAs in an array, tables as sets of numbers. Written from the kernel's sources (Linux
 * 6.18, mm/; functions are named where their rule is), on its own types: it shares no code with core/.
 *
 * This file has the faults (mm/memory.c, mm/huge_memory.c); linux-calls.ts has what system calls do.
 */
import { Flag } from '../../traces/event.js';
import { newFrame, Objects } from './linux-objects.js';
import type { SharedObject } from './linux-objects.js';
import { drop, ensurePt, ensureUpper, put, SLOT, slotOf, splitAt, splitHuge } from './linux-pages.js';
import { emptySpace } from './linux-space.js';
import type { Page, Space, Vma } from './linux-space.js';
import { insert, isAnonymous, isShared, joinNeighbours, prepareLineage, RWX, Vm, vmaAt } from './linux-vmas.js';
import type { Joining, VmaRules } from './linux-vmas.js';

export interface Process {
  space: Space;
  threads: number;
}

/** The largest stack, RLIMIT_STACK, and stack_guard_gap, in pages. */
const STACK_PAGES = 2048;
const GUARD_PAGES = 256;
const AROUND = 16;

export class LinuxModel {
  readonly processes = new Map<number, Process>();
  readonly objects = new Objects();
  minor = 0;
  major = 0;
  breaks = 0;
  reuses = 0;
  readonly rules: VmaRules;

  constructor(private readonly without: readonly string[] = []) {
    this.rules = { mergeAnonVma: this.has('merge-anon-vma'), mergeAccounted: this.has('merge-accounted') };
  }
  has(rule: string): boolean {
    return !this.without.includes(rule);
  }

  /** The process of a pid; one that was never born comes to life empty. */
  process(pid: number): Process {
    let p = this.processes.get(pid);
    if (p === undefined) {
      p = { space: emptySpace(), threads: 1 };
      p.space.users = 1;
      this.processes.set(pid, p);
    }
    return p;
  }
  spaces(): Set<Space> {
    return new Set([...this.processes.values()].map((p) => p.space));
  }
  collect(pinned: SharedObject | null = null): void {
    const mapped = new Set<SharedObject | null>([pinned]);
    for (const s of this.spaces()) for (const v of s.vmas) mapped.add(v.object);
    this.objects.collect(mapped);
  }

  /** A VMA enters the list and merges with its neighbours; no huge leaf may cross a border. */
  add(s: Space, v: Vma, joining: Joining): Vma {
    insert(s, v);
    return joinNeighbours(s, v, this.rules, joining);
  }

  // ---- accesses

  /** One access; true when it passed. */
  access(s: Space, page: number, kind: 'read' | 'write' | 'fetch'): boolean {
    const v = vmaAt(s, page) ?? this.growStack(s, page);
    if (v === undefined) return false;
    const need = kind === 'write' ? Flag.w : kind === 'fetch' ? Flag.x : RWX;
    if ((v.flags & need) === 0) return false;
    const known = s.pages.get(page);
    if (known !== undefined && (kind !== 'write' || known.write)) return true;
    return this.fault(s, v, page, kind === 'write');
  }

  /** expand_downwards: within RLIMIT_STACK and not into the guard gap above accessible memory; the stack gets its anon_vma. */
  private growStack(s: Space, page: number): Vma | undefined {
    const v = s.vmas.find((x) => x.from > page);
    if (!this.has('stack-growth') || v === undefined || (v.flags & Flag.growsdown) === 0 || v.to - page > STACK_PAGES) return undefined;
    const below = s.vmas[s.vmas.indexOf(v) - 1];
    const guarded = below !== undefined && (below.flags & Flag.growsdown) === 0 && (below.flags & RWX) !== 0;
    if (guarded && page - below.to < GUARD_PAGES) return undefined;
    if (v.from - page > v.pgoff) return undefined;
    prepareLineage(s, v);
    v.pgoff -= v.from - page;
    v.from = page;
    return v;
  }

  // ---- faults (handle_mm_fault)

  fault(s: Space, v: Vma, page: number, write: boolean): boolean {
    const known = s.pages.get(page);
    const done = known === undefined ? this.missing(s, v, page, write) : this.writeProtected(s, v, page, known);
    // mm_account_fault: what fails is not counted.
    if (done && this.objects.needsIo) this.major++;
    else if (done) this.minor++;
    this.objects.needsIo = false;
    return done;
  }

  private missing(s: Space, v: Vma, page: number, write: boolean): boolean {
    // __handle_mm_fault has a PDPT and a PD before it knows what else there is.
    ensureUpper(s, page);
    if ((v.flags & Flag.vvar) !== 0) {
      ensurePt(s, page);
      put(s, page, null, false);
      return true;
    }
    return isAnonymous(v) ? this.anonymous(s, v, page, write) : this.ofObject(s, v, page, write);
  }

  private anonymous(s: Space, v: Vma, page: number, write: boolean): boolean {
    if (this.hugeAllowed(s, v, page)) {
      prepareLineage(s, v); // do_huge_pmd_anonymous_page does before it looks whether to read or write
      const zero = !write && this.has('huge-zero');
      // Without a huge zero page it is the small one, if there is that.
      if (write || zero || !this.has('zero-page')) {
        this.mapHuge(s, page, zero ? 'zero' : 'page', (v.flags & Flag.w) !== 0);
        return true;
      }
    }
    ensurePt(s, page);
    if (!write && this.has('zero-page')) put(s, page, null, false);
    else {
      prepareLineage(s, v);
      put(s, page, newFrame('anonymous'), (v.flags & Flag.w) !== 0);
    }
    return true;
  }
  /** thp_vma_allowable_order and thp_vma_suitable_order, and pmd_none. */
  private hugeAllowed(s: Space, v: Vma, page: number): boolean {
    const slot = slotOf(page);
    if (!this.has('huge-pages') || (v.vm & Vm.huge) === 0 || (this.has('stack-small') && (v.flags & Flag.stack) !== 0)) return false;
    return v.from <= slot * SLOT && v.to >= (slot + 1) * SLOT && !s.pts.has(slot);
  }
  private mapHuge(s: Space, page: number, kind: 'page' | 'zero', write: boolean): void {
    const slot = slotOf(page);
    s.huge.set(slot, kind);
    for (let p = slot * SLOT; p < (slot + 1) * SLOT; p++) {
      if (s.pages.has(p)) drop(s, p);
      put(s, p, kind === 'zero' ? null : newFrame('anonymous'), kind === 'page' && write);
    }
  }

  /** do_fault: a page of a file or of shared memory. */
  private ofObject(s: Space, v: Vma, page: number, write: boolean): boolean {
    const o = v.object!;
    const index = v.pgoff + page - v.from;
    const beyond = o.kind !== 'transient' && o.bytes >= 0 && index * 4096 >= o.bytes;
    if (write && !isShared(v)) {
      prepareLineage(s, v); // do_cow_fault: vmf_anon_prepare comes first
      if (beyond) return false;
      this.objects.page(o, index);
      ensurePt(s, page);
      put(s, page, newFrame('anonymous'), true);
      return true;
    }
    if (!write) this.around(s, v, page);
    if (s.pages.has(page)) return true;
    if (beyond) return false;
    ensurePt(s, page);
    put(s, page, this.objects.page(o, index), write || this.writableAtOnce(v), write);
    return true;
  }
  /** vma_wants_writenotify: a shared page of a file is read-only until it is written, one of shared memory is not. */
  private writableAtOnce(v: Vma): boolean {
    return isShared(v) && (v.flags & Flag.w) !== 0 && (v.object!.kind !== 'file' || !this.has('write-notify'));
  }
  /** do_fault_around and filemap_map_pages: what is in memory of the window around the page. */
  private around(s: Space, v: Vma, page: number): void {
    const o = v.object!;
    if (o.vdso || o.alone || !this.has(o.kind === 'file' ? 'fault-around' : 'shmem-around')) return;
    const inPt = page % SLOT;
    const inVma = page - v.from;
    const first = Math.max(inPt - (inPt % AROUND), inPt - Math.min(inPt, inVma));
    const last = Math.min(first + AROUND, SLOT, inPt + (v.to - v.from) - inVma) - 1;
    const low = page - inPt + first;
    const high = page - inPt + last;
    for (let p = low; p <= high; p++) this.mapFolio(s, v, p, low, high);
  }
  /** Maps the cached page behind `p`, and with it the rest of its folio as far as VMA, PT and file reach. */
  private mapFolio(s: Space, v: Vma, p: number, low: number, high: number): void {
    const o = v.object!;
    const pages = o.bytes >= 0 && o.kind !== 'transient' ? Math.ceil(o.bytes / 4096) : Infinity;
    const indexOf = (at: number): number => v.pgoff + at - v.from;
    if (indexOf(p) >= pages) return;
    const frame = this.objects.cached(o, indexOf(p));
    if (frame === undefined) return;
    const size = this.has('folios') ? 2 ** frame.order : 1;
    const start = p - (indexOf(p) % size);
    for (let q = start; q < start + size; q++) {
      const outside = q < v.from || q >= v.to || slotOf(q) !== slotOf(p) || indexOf(q) >= pages;
      if (outside || (q !== p && q >= low && q <= high) || s.pages.has(q)) continue;
      const part = q === p ? frame : o.pages.get(indexOf(q));
      if (part === undefined || part.order !== frame.order) continue;
      ensurePt(s, q);
      put(s, q, part, this.writableAtOnce(v));
    }
  }

  /** do_wp_page and do_huge_pmd_wp_page. */
  private writeProtected(s: Space, v: Vma, page: number, known: Page): boolean {
    const slot = slotOf(page);
    const kind = s.huge.get(slot);
    if (kind === 'zero') {
      prepareLineage(s, v);
      this.mapHuge(s, page, 'page', true);
      this.breaks++;
      return true;
    }
    if (kind === 'page') {
      const whole = Array.from({ length: SLOT }, (_, i) => s.pages.get(slot * SLOT + i)!);
      if (this.has('reuse') && (known.frame!.exclusive || whole.every((p) => p.frame!.maps === 1))) {
        for (const p of whole) {
          p.write = true;
          p.frame!.exclusive = true;
        }
        this.reuses++;
        return true;
      }
      splitHuge(s, slot);
    }
    const { frame } = known;
    if (isShared(v)) {
      known.write = true;
      known.dirty = true;
      this.reuses++;
      return true;
    }
    if (this.has('reuse') && frame?.kind === 'anonymous' && (frame.exclusive || frame.maps === 1)) {
      known.write = true;
      frame.exclusive = true;
      this.reuses++;
      return true;
    }
    prepareLineage(s, v);
    drop(s, page);
    put(s, page, newFrame('anonymous'), true);
    this.breaks++;
    return true;
  }

  // ---- faults without an access

  /** populate_vma_page_range on each VMA: a writable private one is written, so that it need not be copied later, others are read. False at the first failure. */
  populate(s: Space, from: number, to: number, mode: 'touch' | 'read' | 'write'): boolean {
    if (!this.has('populate')) return true;
    for (let page = from; page < to; page++) {
      const v = vmaAt(s, page);
      if (v === undefined || (v.flags & RWX) === 0) return false;
      if ((v.flags & Flag.vvar) !== 0 || (mode === 'touch' && (v.vm & Vm.lockOnFault) !== 0)) continue;
      const write = mode === 'write' || (mode === 'touch' && (v.flags & Flag.w) !== 0 && !isShared(v));
      const known = s.pages.get(page);
      if ((known === undefined || (write && !known.write)) && !this.fault(s, v, page, write)) return false;
    }
    return true;
  }

  /** exec's argument pages, in the stack already (get_arg_page); the tables they were gathered in are gone. */
  execArgs(s: Space, from: number, to: number): void {
    if (!this.has('exec-args')) return;
    for (let page = from; page < to; page++) {
      const v = vmaAt(s, page);
      if (v === undefined || (!s.pages.get(page)?.write && !this.fault(s, v, page, true))) return;
    }
  }

  // ---- protection (change_pte_range, change_huge_pmd)

  /** What mprotect makes of a page's write bit: pages that are nobody else's, or that were written before, get it back at once (can_change_pte_writable). */
  reprotect(s: Space, v: Vma, from: number, to: number): void {
    splitAt(s, from, to);
    const writable = (v.flags & Flag.w) !== 0;
    for (const [page, known] of s.pages) {
      if (page < from || page >= to) continue;
      if (isShared(v)) known.write = writable && (this.writableAtOnce(v) || known.dirty);
      else known.write = writable && known.frame?.kind === 'anonymous' && known.frame.exclusive;
    }
  }

  // ---- what is compared

  /** Resident pages: anonymous, of files, shared. */
  resident(s: Space): number[] {
    const n = { anonymous: 0, file: 0, shared: 0 };
    for (const { frame } of s.pages.values()) if (frame !== null) n[frame.kind]++;
    return [n.anonymous, n.file, n.shared];
  }
  tables(s: Space): number {
    return s.pts.size + s.pds.size + s.pdpts.size + (this.has('huge-deposit') ? s.huge.size : 0);
  }
  size(s: Space): number {
    return s.vmas.reduce((sum, v) => sum + v.to - v.from, 0);
  }
}
