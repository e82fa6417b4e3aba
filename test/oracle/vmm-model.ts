/**
 * An oracle of the `plain` policy, simple and slow: one entry per page in a Map, no tables, no trees, no TLB. Page tables are recounted from the mapped pages'
 * index prefixes, frames are objects with a count of their holders.
 */
import { Flag } from '../../traces/event.js';
import { Reject } from '../../core/vmm/rejections.js';

export type Use = 'anonymous' | 'file' | 'shared';

interface Frame {
  use: Use;
  holders: number;
}
interface Leaf {
  frame: Frame | null; // null = the zero page
  write: boolean;
}
/** What a VMA says about one of its pages. */
interface Cover {
  flags: number;
  object: SharedObject | null;
  index: number;
}
export interface SharedObject {
  id: number;
  kind: 'transient' | 'file' | 'shm';
  bytes: number;
  pages: Map<number, Frame>;
  absent: Set<number>;
  removed: boolean;
}
export interface Space {
  users: number;
  covers: Map<number, Cover>;
  leaves: Map<number, Leaf>;
  brk: number;
  brkStart: number;
  lockFuture: boolean;
  blocks: Map<number, number>;
}
interface Process {
  space: Space;
  threads: number;
}

const RWX = Flag.r | Flag.w | Flag.x;
const KEPT = RWX | Flag.shared | Flag.growsdown | Flag.stack | Flag.locked | Flag.vdso | Flag.vvar;
const USER_PAGES = 2 ** 35;
const STACK_PAGES = 2048;

export class VmmModel {
  readonly processes = new Map<number, Process>();
  readonly objects = new Set<SharedObject>();
  readonly rejected = new Map<number, number>();
  minor = 0;
  major = 0;
  breaks = 0;
  copies = 0;
  reuses = 0;
  readonly frames = new Set<Frame>();

  // ---- small parts

  reject(cause: number): void {
    this.rejected.set(cause, (this.rejected.get(cause) ?? 0) + 1);
  }
  take(use: Use): Frame {
    const frame = { use, holders: 1 };
    this.frames.add(frame);
    return frame;
  }
  drop(frame: Frame | null): void {
    if (frame === null) return;
    frame.holders--;
    if (frame.holders === 0) this.frames.delete(frame);
  }
  emptySpace(): Space {
    return { users: 0, covers: new Map(), leaves: new Map(), brk: -1, brkStart: -1, lockFuture: false, blocks: new Map() };
  }
  /** The process of a pid; one that was never born comes to life empty. */
  process(pid: number): Process {
    let p = this.processes.get(pid);
    if (p === undefined) {
      p = { space: this.emptySpace(), threads: 1 };
      p.space.users = 1;
      this.processes.set(pid, p);
    }
    return p;
  }
  inUser(from: number, to: number): boolean {
    return from >= 0 && from <= to && to <= USER_PAGES;
  }

  // ---- objects

  named(id: number): SharedObject | undefined {
    return [...this.objects].find((o) => o.id === id);
  }
  makeObject(kind: SharedObject['kind'], id: number, bytes: number): SharedObject {
    const o: SharedObject = { id, kind, bytes, pages: new Map(), absent: new Set(), removed: false };
    this.objects.add(o);
    return o;
  }
  isMapped(o: SharedObject): boolean {
    return [...this.spaces()].some((s) => [...s.covers.values()].some((c) => c.object === o));
  }
  spaces(): Set<Space> {
    return new Set([...this.processes.values()].map((p) => p.space));
  }
  /** Objects that nothing keeps any more die. */
  collect(candidates: Iterable<SharedObject | null>): void {
    for (const o of new Set(candidates)) {
      if (o !== null && this.objects.has(o) && (o.kind === 'transient' || o.removed) && !this.isMapped(o)) this.destroy(o);
    }
  }
  destroy(o: SharedObject): void {
    for (const frame of o.pages.values()) this.drop(frame);
    this.objects.delete(o);
  }
  objectPage(o: SharedObject, index: number): Frame {
    const known = o.pages.get(index);
    if (known !== undefined) return known;
    const frame = this.take(o.kind === 'file' ? 'file' : 'shared');
    o.pages.set(index, frame);
    if (o.absent.delete(index)) {
      this.minor--;
      this.major++;
    }
    return frame;
  }
  announce(id: number, bytes: number, kind: 'file' | 'shm', remove: boolean): void {
    const o = this.named(id);
    if (remove) {
      if (o === undefined) return;
      o.removed = true;
      o.id = 0;
      if (!this.isMapped(o)) this.destroy(o);
      return;
    }
    if (o === undefined) {
      this.makeObject(kind, id, bytes > 0 ? bytes : -1);
      return;
    }
    if (o.kind === 'transient') o.kind = kind;
    if (bytes > 0 && o.bytes >= 0 && bytes < o.bytes) {
      for (const [index, frame] of o.pages) {
        if (index >= Math.ceil(bytes / 4096)) {
          o.pages.delete(index);
          this.drop(frame);
        }
      }
    }
    o.bytes = bytes > 0 ? bytes : -1;
  }
  cache(id: number, first: number, count: number, present: boolean): void {
    const o = this.named(id);
    if (o === undefined) {
      this.reject(Reject.unknownObject);
      return;
    }
    for (let index = first; index < first + count; index++) {
      const frame = o.pages.get(index);
      if (present) {
        if (frame === undefined) {
          o.absent.delete(index);
          this.objectPage(o, index);
        }
        continue;
      }
      if (frame !== undefined && frame.holders > 1) continue;
      if (frame !== undefined) {
        o.pages.delete(index);
        this.drop(frame);
      }
      o.absent.add(index);
    }
  }

  // ---- mappings

  /** `pinned` is about to be mapped and stays. */
  unmap(s: Space, from: number, to: number, pinned: SharedObject | null = null): void {
    const gone: (SharedObject | null)[] = [];
    for (const page of [...s.covers.keys()]) {
      if (page < from || page >= to) continue;
      gone.push(s.covers.get(page)!.object);
      s.covers.delete(page);
    }
    this.zap(s, from, to);
    this.collect(gone.filter((o) => o !== pinned));
  }
  zap(s: Space, from: number, to: number): void {
    for (const [page, leaf] of [...s.leaves]) {
      if (page < from || page >= to) continue;
      s.leaves.delete(page);
      this.drop(leaf.frame);
    }
  }
  map(s: Space, from: number, to: number, flags: number, object: SharedObject | null, offset: number): void {
    let overlap = false;
    for (let page = from; page < to; page++) overlap ||= s.covers.has(page);
    if (overlap && (flags & Flag.fixed) === 0) this.reject(Reject.overlap);
    if (overlap) this.unmap(s, from, to, object);
    for (let page = from; page < to; page++) s.covers.set(page, { flags: flags & KEPT, object, index: object === null ? 0 : offset + page - from });
  }
  mmap(s: Space, addr: number, bytes: number, flags: number, id: number, offset: number): void {
    const from = Math.floor(addr / 4096);
    const to = Math.ceil((addr + bytes) / 4096);
    if (!(bytes > 0) || !this.inUser(from, to)) {
      this.reject(Reject.badRange);
      return;
    }
    let object: SharedObject | null = null;
    if (id !== 0) object = this.named(id) ?? this.makeObject('transient', id, -1);
    else if ((flags & Flag.shared) !== 0) object = this.makeObject('transient', 0, -1);
    const locked = s.lockFuture ? Flag.locked : 0;
    this.map(s, from, to, flags | locked, object, Math.floor(offset / 4096));
    if ((flags & (Flag.populate | Flag.locked)) !== 0 || locked !== 0) this.populate(s, from, to, (flags & Flag.shared) === 0 || (flags & Flag.w) !== 0);
  }
  munmap(s: Space, addr: number, bytes: number): void {
    const from = Math.floor(addr / 4096);
    const to = Math.ceil((addr + bytes) / 4096);
    if (!(bytes > 0) || !this.inUser(from, to)) {
      this.reject(Reject.badRange);
      return;
    }
    this.unmap(s, from, to);
  }
  protect(s: Space, from: number, to: number, prot: number): void {
    for (let page = from; page < to; page++) {
      const c = s.covers.get(page);
      if (c !== undefined) s.covers.set(page, { ...c, flags: (c.flags & ~RWX) | (prot & RWX) });
      const leaf = s.leaves.get(page);
      if (leaf !== undefined && (prot & Flag.w) === 0) s.leaves.set(page, { ...leaf, write: false });
    }
  }
  brk(s: Space, to: number): void {
    if (s.brkStart < 0) {
      s.brkStart = to;
      s.brk = to;
      return;
    }
    if (to < s.brkStart) {
      this.reject(Reject.noBreak);
      return;
    }
    const old = s.brk;
    const a = Math.ceil(s.brk / 4096);
    const b = Math.ceil(to / 4096);
    if (b > a) this.map(s, a, b, Flag.r | Flag.w | Flag.fixed | (s.lockFuture ? Flag.locked : 0), null, 0);
    else if (b < a) this.unmap(s, b, a);
    s.brk = to;
    if (s.lockFuture && to > old) this.populate(s, a, b, true);
  }
  /** mremap of one mapping onto free or mapped memory; the generator keeps to ranges of one VMA. */
  remap(s: Space, from: number, oldPages: number, to: number, newPages: number, keepOld: boolean): void {
    const old: [Cover, Leaf | undefined][] = [];
    for (let i = 0; i < oldPages; i++) old.push([s.covers.get(from + i)!, s.leaves.get(from + i)]);
    if (to === from) {
      if (newPages <= oldPages) this.unmap(s, from + newPages, from + oldPages);
      else {
        const { flags, object, index } = old[oldPages - 1]![0];
        for (let i = oldPages; i < newPages; i++) s.covers.set(from + i, { flags, object, index: object === null ? 0 : index + (i - oldPages + 1) });
      }
      return;
    }
    this.unmap(s, to, to + newPages);
    for (let i = 0; i < newPages; i++) {
      const { flags, object, index } = old[0]![0];
      s.covers.set(to + i, { flags, object, index: object === null ? 0 : index + i });
      const leaf = old[i]?.[1];
      if (leaf !== undefined) {
        s.leaves.set(to + i, leaf);
        s.leaves.delete(from + i);
      }
    }
    if (!keepOld) this.unmap(s, from, from + oldPages);
  }

  // ---- faults

  /** One access; true when it passed. */
  access(s: Space, page: number, kind: 'read' | 'write' | 'fetch'): boolean {
    let cover = s.covers.get(page);
    const before = s.leaves.get(page);
    if (cover !== undefined && before !== undefined && this.allows(cover, before, kind)) return true;
    if (cover === undefined) {
      if (!this.growStack(s, page)) {
        this.reject(Reject.notMapped);
        return false;
      }
      cover = s.covers.get(page)!;
    }
    const need = kind === 'write' ? Flag.w : kind === 'fetch' ? Flag.x : RWX;
    if ((cover.flags & need) === 0) {
      this.reject(Reject.protection);
      return false;
    }
    return this.fault(s, page, cover, kind === 'write');
  }
  private allows(cover: Cover, leaf: Leaf, kind: 'read' | 'write' | 'fetch'): boolean {
    if (kind === 'write') return leaf.write && (cover.flags & Flag.w) !== 0;
    if (kind === 'fetch') return (cover.flags & Flag.x) !== 0;
    return (cover.flags & RWX) !== 0;
  }
  private growStack(s: Space, page: number): boolean {
    const above = [...s.covers.keys()].filter((p) => p > page).sort((a, b) => a - b);
    const first = above[0];
    if (first === undefined) return false;
    const cover = s.covers.get(first)!;
    if ((cover.flags & Flag.growsdown) === 0) return false;
    let end = first;
    while (s.covers.get(end)?.flags === cover.flags) end++;
    if (end - page > STACK_PAGES) return false;
    for (let p = page; p < first; p++) s.covers.set(p, { ...cover });
    return true;
  }
  private fault(s: Space, page: number, cover: Cover, write: boolean): boolean {
    const leaf = s.leaves.get(page);
    const shared = (cover.flags & Flag.shared) !== 0;
    if (leaf === undefined) return this.missing(s, page, cover, write, shared);
    // Present, and a write.
    this.minor++;
    if (shared || (leaf.frame !== null && leaf.frame.use === 'anonymous' && leaf.frame.holders === 1)) {
      s.leaves.set(page, { ...leaf, write: true });
      this.reuses++;
      return true;
    }
    const fresh = this.take('anonymous');
    s.leaves.set(page, { frame: fresh, write: true });
    if (leaf.frame !== null) this.copies++;
    this.drop(leaf.frame);
    this.breaks++;
    return true;
  }
  private missing(s: Space, page: number, cover: Cover, write: boolean, shared: boolean): boolean {
    const o = cover.object;
    if (o === null) {
      s.leaves.set(page, write ? { frame: this.take('anonymous'), write: true } : { frame: null, write: false });
      this.minor++;
      return true;
    }
    if (o.kind !== 'transient' && o.bytes >= 0 && cover.index * 4096 >= o.bytes) {
      this.reject(Reject.beyondObject);
      return false;
    }
    const frame = this.objectPage(o, cover.index);
    this.minor++;
    if (shared || !write) {
      frame.holders++;
      s.leaves.set(page, { frame, write: shared && (cover.flags & Flag.w) !== 0 });
      return true;
    }
    s.leaves.set(page, { frame: this.take('anonymous'), write: true });
    this.copies++;
    return true;
  }
  /** Faults in what is not mapped; false at the first page that cannot be had. */
  populate(s: Space, from: number, to: number, write: boolean): boolean {
    for (let page = from; page < to; page++) {
      const cover = s.covers.get(page);
      if (cover === undefined) this.reject(Reject.notMapped);
      if (cover === undefined || (cover.flags & RWX) === 0) return false;
      const leaf = s.leaves.get(page);
      const w = write && (cover.flags & Flag.w) !== 0;
      if ((leaf === undefined || (w && !leaf.write)) && !this.fault(s, page, cover, w)) return false;
    }
    return true;
  }
  /** mlock: marks what is mapped, faults in what may be accessed, stops at the first page that cannot be had. */
  lock(s: Space, from: number, to: number, lock: boolean): void {
    for (let page = from; page < to; page++) {
      const c = s.covers.get(page);
      if (c !== undefined) s.covers.set(page, { ...c, flags: lock ? c.flags | Flag.locked : c.flags & ~Flag.locked });
    }
    for (let page = from; lock && page < to; page++) {
      const c = s.covers.get(page);
      if (c !== undefined && (c.flags & RWX) !== 0 && !this.populate(s, page, page + 1, (c.flags & Flag.shared) === 0)) return;
    }
  }

  // ---- processes

  fork(parent: number, child: number, shareVm: boolean): void {
    const p = this.process(parent);
    if (this.processes.has(child)) {
      this.reject(Reject.existingProcess);
      return;
    }
    const from = p.space;
    let space = from;
    if (!shareVm) {
      space = { ...from, users: 0, covers: new Map(from.covers), leaves: new Map(), blocks: new Map(from.blocks) };
      for (const [page, leaf] of from.leaves) {
        if (leaf.frame !== null) leaf.frame.holders++;
        const write = leaf.write && (from.covers.get(page)!.flags & Flag.shared) !== 0;
        from.leaves.set(page, { frame: leaf.frame, write });
        space.leaves.set(page, { frame: leaf.frame, write });
      }
    }
    space.users++;
    this.processes.set(child, { space, threads: 1 });
  }
  leave(s: Space): void {
    s.users--;
    if (s.users > 0) return;
    const objects = [...s.covers.values()].map((c) => c.object);
    this.zap(s, -Infinity, Infinity);
    s.covers.clear();
    this.collect(objects);
  }
  exec(pid: number): void {
    const p = this.process(pid);
    const old = p.space;
    p.space = this.emptySpace();
    p.space.users = 1;
    p.threads = 1;
    this.leave(old);
  }
  exit(pid: number, group: boolean): void {
    const p = this.processes.get(pid);
    if (p === undefined) {
      this.reject(Reject.unknownProcess);
      return;
    }
    p.threads = group ? 0 : p.threads - 1;
    if (p.threads > 0) return;
    this.processes.delete(pid);
    this.leave(p.space);
  }

  // ---- what is compared

  resident(s: Space, use: Use): number {
    return [...s.leaves.values()].filter((leaf) => leaf.frame?.use === use).length;
  }
  framesOf(use: Use): number {
    return [...this.frames].filter((frame) => frame.use === use).length;
  }
  /** Tables by level 1..4 that the mapped pages need, the root always. */
  tables(s: Space): number[] {
    return [9, 18, 27].map((bits) => new Set([...s.leaves.keys()].map((page) => Math.floor(page / 2 ** bits))).size).concat(1);
  }
}
