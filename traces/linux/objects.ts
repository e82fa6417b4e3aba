/**
 * Files and shared memory that Linux processes map, as `object` and `cache` events: one object a file, announced before its first use.
 *
 * Sizes and absent page-cache pages come from what lies beside a recording (sides.ts), from shmget and from ftruncate. A size of 0 means unknown.
 */
import { Flag, Op } from '../event.js';
import { decodeText } from '../format.js';
import type { Emit } from '../guard.js';
import { UNKNOWN_FILES, type FileFacts, type FileIdentity, type FileTable } from './sides.js';

const PAGE = 4096;
/** The folio order stands in the bits of `arg` from 2^48 on (docs/events.md). */
const ORDER_UNIT = 281474976710656;
/** Objects belong to no process: their events carry the kernel's pid. */
const KERNEL = -1;

/** Memory that exists only as shared memory: its pages are never read from a disk. */
const isSharedMemory = (path: string): boolean => path.startsWith('/dev/shm/') || path.startsWith('/memfd:') || path.startsWith('/SYSV');

/** The kernel's name of shared anonymous memory; a private mapping of /dev/zero is anonymous memory too. */
export const isZeroDevice = (path: string): boolean => path === '/dev/zero' || path.startsWith('/dev/zero ');

interface Known {
  readonly id: number;
  size: number;
  readonly flags: number;
}

export class Objects {
  private readonly byKey = new Map<string, Known>();
  private readonly byId = new Map<number, Known>();
  /** Sizes that were set before the object was mapped for the first time. */
  private readonly sizes = new Map<string, number>();
  /** What came to or left the page cache of files that are known and not mapped yet. */
  private readonly early = new Map<string, { offset: number; bytes: number; present: boolean; order: number }[]>();
  private lastId = 0;

  constructor(
    private readonly emit: Emit,
    private readonly files: FileTable = UNKNOWN_FILES,
  ) {}

  /** Object id of a file; announces it when it is new. */
  ofFile(time: number, file: FileIdentity): number {
    const known = this.byKey.get(file.key);
    if (known !== undefined) return known.id;
    const facts = this.files.find(file);
    const size = this.sizes.get(file.key) ?? facts?.size ?? 0;
    const made = this.create(time, file.path, size, isSharedMemory(file.path));
    this.byKey.set(file.key, made);
    if (facts !== undefined) this.announceAbsent(time, made.id, facts);
    for (const { offset, bytes, present, order } of this.early.get(file.key) ?? []) this.cachePages(time, file.key, offset, bytes, present, order);
    this.early.delete(file.key);
    return made.id;
  }

  /** A file of which nothing is known but that it was mapped; a new object each time. */
  ofUnknownFile(time: number): number {
    return this.create(time, '', 0, false).id;
  }

  /** System V segment `id`, of which the first use may be the mapping of a segment made before the recording. */
  ofSegment(time: number, id: number, size: number, text: string): number {
    const key = `sysv ${id}`;
    let known = this.byKey.get(key);
    if (known === undefined) {
      known = this.create(time, text, size, true);
      this.byKey.set(key, known);
    }
    return known.id;
  }

  /** Object of System V segment `id`, 0 if it was never seen. */
  segment(id: number): number {
    return this.byKey.get(`sysv ${id}`)?.id ?? 0;
  }

  /** The segment goes when its last user detaches it; the number may be used again. */
  removeSegment(time: number, id: number): void {
    const known = this.byKey.get(`sysv ${id}`);
    if (known === undefined) return;
    this.emit(time, KERNEL, KERNEL, Op.object, 0, 0, 0, known.id, known.flags | Flag.remove, 0);
    this.byKey.delete(`sysv ${id}`);
  }

  /** The file has another size now. An object that nobody mapped yet gets it when it is announced. */
  setSize(time: number, file: FileIdentity, size: number): void {
    const known = this.byKey.get(file.key);
    if (known === undefined) this.sizes.set(file.key, size);
    else if (known.size !== size) {
      known.size = size;
      this.emit(time, KERNEL, KERNEL, Op.object, 0, size, 0, known.id, known.flags, 0);
    }
  }

  /** Bytes of a file, 0 = unknown. */
  sizeOfFile(file: FileIdentity): number {
    return this.byKey.get(file.key)?.size ?? this.sizes.get(file.key) ?? this.files.find(file)?.size ?? 0;
  }

  sizeOf(id: number): number {
    return this.byId.get(id)?.size ?? 0;
  }

  /** Pages of the file come to (`present`) or leave the page cache, as one folio of that order. Of a file of which nothing is known they change nothing. */
  cachePages(time: number, key: string, offset: number, bytes: number, present: boolean, order = 0): void {
    const known = this.byKey.get(key);
    if (known === undefined) {
      if (this.files.find({ key, path: '' }) === undefined) return;
      const waiting = this.early.get(key);
      if (waiting === undefined) this.early.set(key, [{ offset, bytes, present, order }]);
      else waiting.push({ offset, bytes, present, order });
      return;
    }
    this.emit(time, KERNEL, KERNEL, Op.cache, 0, bytes, offset, known.id + order * ORDER_UNIT, present ? Flag.present : Flag.absent, 0);
  }

  private create(time: number, path: string, size: number, shm: boolean): Known {
    const made: Known = { id: ++this.lastId, size, flags: shm ? Flag.shm : Flag.file };
    this.byId.set(made.id, made);
    this.emit(time, KERNEL, KERNEL, Op.object, 0, size, 0, made.id, made.flags, 0, decodeText(path));
    return made;
  }

  private announceAbsent(time: number, id: number, facts: FileFacts): void {
    for (const run of facts.absent) this.emit(time, KERNEL, KERNEL, Op.cache, 0, run.pages * PAGE, run.first * PAGE, id, Flag.absent, 0);
  }
}
