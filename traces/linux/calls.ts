/**
 * What Linux's memory system calls do, as events. The numbers are x86-64's (arch/x86/entry/syscalls/syscall_64.tbl), the constants those of include/uapi
 * (asm-generic/mman-common.h, linux/shm.h, linux/falloc.h, linux/prctl.h); each call has its manual page in section 2.
 *
 * A call takes effect when it returns: a recorder's lines of other threads may lie between. Where another thread was given a range that a munmap still in flight
 * had held, that munmap has happened, and is put before. A failed call changes nothing and is no loss.
 *
 * Not expressed by the event model, and counted: remap_file_pages, process_madvise, map_shadow_stack, userfaultfd, prctl that turns huge pages off or names
 * mappings; a huge-page mapping (hugetlb) is imported as if its pages were small.
 */
import { Flag, Op } from '../event.js';
import type { Emit } from '../guard.js';
import { isZeroDevice, type Objects } from './objects.js';
import type { FileIdentity } from './sides.js';
import { PERFORMED, type Backing, type Descriptor, type Process, type Task } from './tasks.js';

export const enum Sys {
  close = 3,
  mmap = 9,
  mprotect = 10,
  munmap = 11,
  brk = 12,
  mremap = 25,
  madvise = 28,
  shmget = 29,
  shmat = 30,
  shmctl = 31,
  dup = 32,
  dup2 = 33,
  shmdt = 67,
  ftruncate = 77,
  mlock = 149,
  munlock = 150,
  mlockall = 151,
  munlockall = 152,
  prctl = 157,
  remap_file_pages = 216,
  fallocate = 285,
  dup3 = 292,
  userfaultfd = 323,
  mlock2 = 325,
  pkey_mprotect = 329,
  process_madvise = 440,
  map_shadow_stack = 453,
}

export const enum MapFlag {
  SHARED = 0x1,
  PRIVATE = 0x2,
  SHARED_VALIDATE = 0x3,
  TYPE = 0xf,
  FIXED = 0x10,
  ANONYMOUS = 0x20,
  GROWSDOWN = 0x100,
  LOCKED = 0x2000,
  NORESERVE = 0x4000,
  POPULATE = 0x8000,
  STACK = 0x20000,
  HUGETLB = 0x40000,
  FIXED_NOREPLACE = 0x100000,
}

const enum Shm {
  RDONLY = 0x1000,
  EXEC = 0x8000,
}

const enum Fallocate {
  KEEP_SIZE = 0x1,
  PUNCH_HOLE = 0x2,
}

const PR_SET_MM = 35;
const PR_SET_THP_DISABLE = 41;
const PR_SET_VMA = 0x53564d41;
const PAGE = 4096;
const UNBOUND = 'size set of a file that the recording does not name';

/** PROT_READ 1, PROT_WRITE 2 and PROT_EXEC 4 are our bits r, w and x. */
const protectionOf = (prot: number): number => prot & (Flag.r | Flag.w | Flag.x);

const pages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

export interface CallSink {
  readonly emit: Emit;
  readonly objects: Objects;
  /** Counts a loss at the line that is being read. */
  loss(cause: string): void;
  /** The line that is being read, for a loss that shows only later. */
  where(): string;
  /** The same for a loss at another line. */
  lossAt(cause: string, where: string): void;
}

export class Calls {
  /** Whether the recording has what opens and closes descriptors: only then one surely still is the file it was. */
  private descriptorsHold = false;
  /** Descriptors of which only the size is known. */
  private readonly unbound = new Set<Descriptor>();

  constructor(private readonly sink: CallSink) {}

  /**
   * System call `nr` of `task`, whose arguments are in `task.args`, returned `result`. `backing` is what is known of the mapping it made, `file` the file of a
   * descriptor argument; null = unknown.
   */
  returned(time: number, task: Task, nr: number, result: number, backing: Backing | null, file: FileIdentity | null, cpu: number): void {
    if (result < 0 && result >= -4095) return;
    const { args, process } = task;
    const { emit, objects } = this.sink;
    const { pid } = process;
    const { tid } = task;
    const a0 = args[0] as number;
    const a1 = args[1] as number;
    const a2 = args[2] as number;
    switch (nr) {
      case Sys.mmap:
        this.mmap(time, task, result, backing, cpu);
        break;
      case Sys.mprotect:
      case Sys.pkey_mprotect:
        emit(time, pid, tid, Op.mprotect, a0, a1, 0, 0, protectionOf(a2), cpu);
        break;
      case Sys.munmap:
        emit(time, pid, tid, Op.munmap, a0, a1, 0, 0, 0, cpu);
        break;
      case Sys.brk:
        if (result !== process.space.brk) {
          process.space.brk = result;
          emit(time, pid, tid, Op.brk, result, 0, 0, 0, 0, cpu);
        }
        break;
      case Sys.mremap: {
        const asked = args[3] as number;
        this.overtaken(time, task, result, a2, cpu);
        emit(time, pid, tid, Op.mremap, result, a2, a0, a1, ((asked & 2) !== 0 ? Flag.fixed : 0) | ((asked & 4) !== 0 ? Flag.dontunmap : 0), cpu);
        break;
      }
      case Sys.madvise:
        emit(time, pid, tid, Op.madvise, a0, a1, 0, a2, 0, cpu);
        break;
      case Sys.mlock:
        emit(time, pid, tid, Op.mlock, a0, a1, 0, 0, 0, cpu);
        break;
      case Sys.mlock2:
        emit(time, pid, tid, Op.mlock, a0, a1, 0, 0, (a2 & 1) !== 0 ? Flag.onfault : 0, cpu);
        break;
      case Sys.munlock:
        emit(time, pid, tid, Op.munlock, a0, a1, 0, 0, 0, cpu);
        break;
      case Sys.mlockall:
        emit(
          time,
          pid,
          tid,
          Op.mlock,
          0,
          0,
          0,
          0,
          ((a0 & 1) !== 0 ? Flag.current : 0) | ((a0 & 2) !== 0 ? Flag.future : 0) | ((a0 & 4) !== 0 ? Flag.onfault : 0),
          cpu,
        );
        break;
      case Sys.munlockall:
        emit(time, pid, tid, Op.munlock, 0, 0, 0, 0, 0, cpu);
        break;
      case Sys.shmget:
        if (objects.segment(result) === 0) objects.ofSegment(time, result, a1, `/SYSV${(a0 >>> 0).toString(16).padStart(8, '0')}`);
        break;
      case Sys.shmat:
        this.shmat(time, task, result, backing, cpu);
        break;
      case Sys.shmctl:
        if ((a1 & 0xff) === 0) objects.removeSegment(time, a0);
        break;
      case Sys.shmdt: {
        const bytes = process.space.attached.get(a0);
        if (bytes === undefined) this.sink.loss('shmdt of a segment whose attachment was not recorded');
        else {
          process.space.attached.delete(a0);
          emit(time, pid, tid, Op.munmap, a0, bytes, 0, 0, 0, cpu);
        }
        break;
      }
      case Sys.close:
        this.descriptorsHold = true;
        process.descriptors.delete(a0);
        break;
      case Sys.dup:
      case Sys.dup2:
      case Sys.dup3: {
        const known = process.descriptors.get(a0);
        if (known === undefined) process.descriptors.delete(result);
        else process.descriptors.set(result, known);
        break;
      }
      case Sys.ftruncate:
        this.resize(time, process, a0, a1, file);
        break;
      case Sys.fallocate:
        this.fallocate(time, process, a0, a1, a2, args[3] as number, file);
        break;
      case Sys.prctl:
        if (a0 === PR_SET_THP_DISABLE || a0 === PR_SET_VMA || a0 === PR_SET_MM) this.sink.loss('prctl that the event model cannot express');
        break;
      case Sys.remap_file_pages:
      case Sys.userfaultfd:
      case Sys.process_madvise:
      case Sys.map_shadow_stack:
        this.sink.loss('memory system call that the event model cannot express');
        break;
      default: // no effect on mappings
    }
  }

  /** The descriptor is that file from here on. */
  opened(process: Process, fd: number, file: FileIdentity): void {
    this.descriptorsHold = true;
    process.descriptors.set(fd, { file, size: 0, where: '' });
  }

  /** Counts what could not be used by the end of the recording. */
  end(): void {
    for (const descriptor of this.unbound) this.sink.lossAt(UNBOUND, descriptor.where);
  }

  private mmap(time: number, task: Task, start: number, backing: Backing | null, cpu: number): void {
    const { args, process } = task;
    const bytes = args[1] as number;
    const asked = args[3] as number;
    const shared = (asked & MapFlag.TYPE) === MapFlag.SHARED || (asked & MapFlag.TYPE) === MapFlag.SHARED_VALIDATE;
    const anonymous = (asked & MapFlag.ANONYMOUS) !== 0;
    this.overtaken(time, task, start, bytes, cpu);
    let object = 0;
    if (!anonymous) {
      const fd = args[4] as number;
      const file = backing === null ? this.fileOf(process, fd) : backing.file;
      if (backing === null && file === null) {
        this.sink.loss('mapping of a file that the recording does not name: shared with nobody, size unknown');
        object = this.sink.objects.ofUnknownFile(time);
      } else if (file !== null && !isZeroDevice(file.path)) {
        this.bind(time, process, fd, file);
        object = this.sink.objects.ofFile(time, file);
      }
    }
    if ((asked & MapFlag.HUGETLB) !== 0) this.sink.loss('hugetlb mapping, imported as small pages');
    const protection = backing === null || backing.protection < 0 ? protectionOf(args[2] as number) : backing.protection;
    const flags =
      protection |
      (shared ? Flag.shared : 0) |
      ((asked & (MapFlag.FIXED | MapFlag.FIXED_NOREPLACE)) !== 0 ? Flag.fixed : 0) |
      ((asked & MapFlag.POPULATE) !== 0 ? Flag.populate : 0) |
      ((asked & MapFlag.GROWSDOWN) !== 0 ? Flag.growsdown : 0) |
      ((asked & MapFlag.STACK) !== 0 ? Flag.stack : 0) |
      ((asked & MapFlag.NORESERVE) !== 0 ? Flag.noreserve : 0) |
      ((asked & MapFlag.LOCKED) !== 0 ? Flag.locked : 0);
    this.sink.emit(time, process.pid, task.tid, Op.mmap, start, bytes, anonymous ? 0 : (args[5] as number), object, flags, cpu);
  }

  private shmat(time: number, task: Task, start: number, backing: Backing | null, cpu: number): void {
    const { args, process } = task;
    const { objects, emit } = this.sink;
    const id = args[0] as number;
    const asked = args[2] as number;
    if (objects.segment(id) === 0 && backing === null) {
      this.sink.loss('shmat of a segment whose shmget was not recorded');
      return;
    }
    const object = objects.ofSegment(time, id, backing?.bytes ?? 0, '/SYSV');
    const bytes = pages(objects.sizeOf(object));
    this.overtaken(time, task, start, bytes, cpu);
    process.space.attached.set(start, bytes);
    const flags = Flag.shared | Flag.r | ((asked & Shm.RDONLY) === 0 ? Flag.w : 0) | ((asked & Shm.EXEC) !== 0 ? Flag.x : 0);
    emit(time, process.pid, task.tid, Op.mmap, start, bytes, 0, object, flags, cpu);
  }

  private fallocate(time: number, process: Process, fd: number, mode: number, offset: number, bytes: number, named: FileIdentity | null): void {
    const file = named ?? this.fileOf(process, fd);
    if (file === null) {
      this.sink.loss(UNBOUND);
      return;
    }
    const { objects } = this.sink;
    const punch = (mode & Fallocate.PUNCH_HOLE) !== 0;
    if ((mode & Fallocate.KEEP_SIZE) === 0) objects.setSize(time, file, Math.max(objects.sizeOfFile(file), offset + bytes));
    if (punch || file.path.startsWith('/dev/shm/') || file.path.startsWith('/memfd:')) objects.cachePages(time, file.key, offset, bytes, !punch);
  }

  private resize(time: number, process: Process, fd: number, bytes: number, named: FileIdentity | null): void {
    const file = named ?? this.fileOf(process, fd);
    if (file !== null) {
      this.sink.objects.setSize(time, file, bytes);
      return;
    }
    const before = process.descriptors.get(fd);
    if (before !== undefined) this.unbound.delete(before);
    const descriptor: Descriptor = { file: null, size: bytes, where: this.sink.where() };
    process.descriptors.set(fd, descriptor);
    this.unbound.add(descriptor);
  }

  private fileOf(process: Process, fd: number): FileIdentity | null {
    return this.descriptorsHold ? (process.descriptors.get(fd)?.file ?? null) : null;
  }

  /** A mapping of `fd` says which file it is; a size that was set before belongs to it. */
  private bind(time: number, process: Process, fd: number, file: FileIdentity): void {
    const known = process.descriptors.get(fd);
    if (known !== undefined && known.file === null) {
      this.unbound.delete(known);
      this.sink.objects.setSize(time, file, known.size);
    }
    process.descriptors.set(fd, { file, size: 0, where: '' });
  }

  /** Performs the munmaps in flight of other threads whose range was given away already. */
  private overtaken(time: number, task: Task, start: number, bytes: number, cpu: number): void {
    const { tasks } = task.process.space;
    if (tasks.size === 1) return;
    for (const other of tasks) {
      if (other === task || other.call !== Sys.munmap) continue;
      const from = other.args[0] as number;
      const size = other.args[1] as number;
      if (from >= start + bytes || start >= from + pages(size)) continue;
      other.call = PERFORMED;
      this.sink.emit(time, other.process.pid, other.tid, Op.munmap, from, size, 0, 0, 0, cpu);
    }
  }
}
