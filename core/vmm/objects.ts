/**
 * Shared objects: files, SysV and POSIX shared memory, shared anonymous memory. Their pages are known across processes.
 *
 * A file's pages stay in the page cache when its last mapping goes, a named shared-memory object's until it is removed and unmapped;
 * an object that no `object` event announced is anonymous shared memory and dies with its last mapping. Pages that a `cache absent` event named are
 * kept as marks (the zero frame) in a second index, at object index + MAX_OBJECTS. The content of a file is
 * taken to be in the page cache (a fault on it is minor) unless a `cache absent` event said otherwise.
 */
import { reserveFloat64, reserveInt32 } from '../../arch/reserve.js';
import { EINVAL, ENOMEM, FrameKind } from '../../arch/arch.js';
import { KernelCache } from '../heap/kernel-heap-contract.js';
import { UserError } from '../../traces/event.js';
import { IntMap } from '../int-map.js';
import { nearOfMapping } from '../pmm/near.js';
import { PIECE_FRAMES, Use } from './frames.js';
import { MAX_OBJECTS, VmmCounter } from './machine.js';
import type { Machine } from './machine.js';
import { MAX_PAGE } from './page-index.js';

export const enum ObjectKind {
  none = 0,
  /** Shared anonymous memory: dies with its last mapping. */
  transient = 1,
  file = 2,
  shm = 3,
}

/** Words of `cells`. */
export const enum ObjectCell {
  freeHead = 0,
  /** The highest index ever used. */
  last = 1,
  live = 2,
  /** 1 from the filling of a page that was marked absent until the fault that asked for it is counted. */
  needsIo = 3,
  /** The object of the vdso, 0 = not made yet. */
  vdso = 4,
}

export type Objects = ReturnType<typeof makeObjects>;

export function makeObjects(machine: Machine) {
  const { pages, frames, kernelHeap, counters, zeroFrame } = machine;
  const { ref } = frames;
  /** 0: the PMM heeds no wishes; 1: within 2 MiB; 2: from any neighbour. */
  const wishes = frames.pmm.near === undefined ? 0 : frames.pmm.near === 'superpage' ? 1 : 2;
  const kind = new Uint8Array(MAX_OBJECTS);
  const removed = new Uint8Array(MAX_OBJECTS);
  /** 1: a System V segment, whose mappings have no map_pages (ipc/shm.c shm_vm_ops): each of its pages faults by itself. */
  const alone = new Uint8Array(MAX_OBJECTS);
  /** VMAs that map the object. */
  const maps = reserveInt32(MAX_OBJECTS);
  /** Size in bytes, -1 = unknown. */
  const size = reserveFloat64(MAX_OBJECTS);
  const handle = reserveInt32(MAX_OBJECTS);
  const traceId = reserveFloat64(MAX_OBJECTS);
  const nextFree = reserveInt32(MAX_OBJECTS);
  const cells = new Int32Array(32);
  const byId = new IntMap(256);
  /** Path or key by object, where one was announced. */
  const names = new Map<number, string>();

  /** A fresh object (index >= 1) or -ENOMEM. */
  function create(k: number, id: number, bytes: number): number {
    const h = kernelHeap.alloc(KernelCache.object);
    if (h === 0) return ENOMEM;
    let o = cells[ObjectCell.freeHead]!;
    if (o !== 0) cells[ObjectCell.freeHead] = nextFree[o]!;
    else {
      o = cells[ObjectCell.last]! + 1;
      if (o >= MAX_OBJECTS)
        throw new UserError(`more than ${MAX_OBJECTS} shared objects live at once: replay fewer processes (--pid) or a part of the trace (--window)`);
      cells[ObjectCell.last] = o;
    }
    cells[ObjectCell.live]! += 1;
    kind[o] = k;
    removed[o] = 0;
    alone[o] = 0;
    maps[o] = 0;
    size[o] = bytes;
    handle[o] = h;
    traceId[o] = id;
    if (id !== 0) byId.set(id, o);
    return o;
  }

  function destroy(o: number): void {
    pages.clear(o);
    pages.clear(o + MAX_OBJECTS);
    if (traceId[o] !== 0) byId.delete(traceId[o]!);
    if (cells[ObjectCell.vdso] === o) cells[ObjectCell.vdso] = 0;
    kernelHeap.free(handle[o]!);
    kind[o] = ObjectKind.none;
    names.delete(o);
    nextFree[o] = cells[ObjectCell.freeHead]!;
    cells[ObjectCell.freeHead] = o;
    cells[ObjectCell.live]! -= 1;
  }

  /** The object a trace names by `id`; unannounced ones come to life as transient. Index or -ENOMEM. */
  function find(id: number): number {
    const o = byId.get(id, 0);
    return o !== 0 ? o : create(ObjectKind.transient, id, -1);
  }

  /** An `object` event: announce, resize or remove; `name` = its path or key. 0 or -ENOMEM. */
  function announce(id: number, bytes: number, k: number, remove: boolean, name: string | undefined): number {
    const code = settle(id, bytes, k, remove);
    if (code !== 0 || remove || name === undefined) return code;
    const o = byId.get(id, 0);
    names.set(o, name);
    if (name.startsWith('/SYSV')) alone[o] = 1;
    return code;
  }
  function settle(id: number, bytes: number, k: number, remove: boolean): number {
    const o = byId.get(id, 0);
    if (remove) {
      if (o === 0) return 0;
      removed[o] = 1;
      // The name is gone: a later object of the same id is another one.
      byId.delete(id);
      traceId[o] = 0;
      if (maps[o] === 0) destroy(o);
      return 0;
    }
    if (o === 0) return Math.min(0, create(k, id, bytes > 0 ? bytes : -1));
    if (kind[o] === ObjectKind.transient) kind[o] = k;
    if (bytes > 0 && size[o]! >= 0 && bytes < size[o]!) truncate(o, bytes);
    size[o] = bytes > 0 ? bytes : -1;
    return 0;
  }

  /** Drops the pages beyond a new, smaller size; leaves that still map them keep their frames until they are unmapped. */
  function truncate(o: number, bytes: number): void {
    const from = Math.ceil(bytes / 4096);
    for (let p = pages.nextFrom(o, from); p >= 0; p = pages.nextFrom(o, p + 1)) {
      const f = pages.remove(o, p);
      frames.put(f);
    }
  }

  function acquire(o: number): void {
    maps[o] = (maps[o]! + 1) | 0;
  }

  function releaseMap(o: number): void {
    const n = (maps[o]! - 1) | 0;
    maps[o] = n;
    if (n === 0 && (kind[o] === ObjectKind.transient || removed[o] === 1)) destroy(o);
  }

  /** Frame of a page of the object, filled on first use; -ENOMEM when no frame or node is left, -EINVAL when no object is that large. */
  function page(o: number, index: number): number {
    const f = pages.lookup(o, index);
    return f >= 0 ? f : fill(o, index);
  }

  function fill(o: number, index: number): number {
    if (!(index >= 0 && index < MAX_PAGE)) return EINVAL;
    const isFile = kind[o] === ObjectKind.file;
    // The page cache asks with GFP_HIGHUSER_MOVABLE (fs/inode.c inode_init_always, mm/shmem.c): its pages can be moved, and are no slab that shrinks.
    const f = frames.take(isFile ? Use.file : Use.shared, FrameKind.movable, wishes === 0 ? -1 : nearOf(o, index), o);
    if (f < 0) return ENOMEM;
    frames.folioOrder[f] = 0;
    if (pages.insert(o, index, f) !== 0) {
      frames.release(f);
      return ENOMEM;
    }
    // Pages known not to be in memory need I/O: the fault that asked is a major one.
    if (pages.count(o + MAX_OBJECTS) > 0 && pages.remove(o + MAX_OBJECTS, index) >= 0) cells[ObjectCell.needsIo] = 1;
    else if (!isFile) counters[VmmCounter.demandZero]! += 1;
    return f;
  }

  /** The wish for a page of an object (core/pmm/near.ts): it continues the nearest page of its 2 MiB, else the page before it. */
  function nearOf(o: number, index: number): number {
    const first = index - (index % PIECE_FRAMES);
    for (let away = 1; away < PIECE_FRAMES; away++) {
      const before = index - away >= first ? pages.lookup(o, index - away) : -1;
      if (before >= 0 && before + away < frames.map.frames) return before + away;
      const behind = index + away < first + PIECE_FRAMES ? pages.lookup(o, index + away) : -1;
      if (behind >= away) return behind - away;
    }
    const last = wishes === 2 && index > 0 ? pages.lookup(o, index - 1) : -1;
    if (last >= 0 && last + 1 < frames.map.frames) return last + 1;
    return nearOfMapping(index, index, Math.max(index + 1, Math.ceil(size[o]! / 4096)));
  }

  /** Frame of a page that the object has: any page of a file that is not known to be absent, else one that was filled before. -1 if it has none. */
  function cached(o: number, index: number): number {
    const f = pages.lookup(o, index);
    if (f >= 0 || kind[o] !== ObjectKind.file) return f;
    if (pages.count(o + MAX_OBJECTS) > 0 && pages.lookup(o + MAX_OBJECTS, index) >= 0) return -1;
    const g = fill(o, index);
    return g < 0 ? -1 : g;
  }

  /** The object that holds the vdso's pages; index or -ENOMEM. It is kept for the whole run, and dropped like a file nobody maps. */
  function vdso(): number {
    const o = cells[ObjectCell.vdso]!;
    if (o !== 0) return o;
    const made = create(ObjectKind.file, 0, -1);
    if (made > 0) cells[ObjectCell.vdso] = made;
    return made;
  }

  /** `cache` events: pages come to (present) or leave (absent) the page cache, in folios of an order; mapped pages stay. 0 or -ENOMEM. */
  function cache(o: number, first: number, count: number, present: boolean, order = 0): number {
    for (let p = first; p < first + count; p++) {
      if (present) {
        if (pages.lookup(o, p) < 0) {
          pages.remove(o + MAX_OBJECTS, p);
          const f = fill(o, p);
          if (f < 0) return ENOMEM;
          frames.folioOrder[f] = order;
        }
      } else {
        const f = pages.lookup(o, p);
        if (f >= 0 && ref[f]! > 1) continue;
        if (f >= 0) {
          pages.remove(o, p);
          frames.put(f);
        }
        if (pages.lookup(o + MAX_OBJECTS, p) < 0 && pages.insert(o + MAX_OBJECTS, p, zeroFrame) !== 0) return ENOMEM;
      }
    }
    return 0;
  }

  /** Drops what only the page cache or a name keeps alive: the state a machine has after everything was let go. */
  function dropUnmapped(): void {
    for (let o = 1; o <= cells[ObjectCell.last]!; o++) if (kind[o] !== ObjectKind.none && maps[o] === 0) destroy(o);
  }

  return { kind, names, alone, maps, size, handle, traceId, byId, cells, create, find, announce, acquire, releaseMap, page, cached, vdso, cache, dropUnmapped };
}
