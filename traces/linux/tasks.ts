/**
 * Who is who in a recording of Linux: threads (tid), processes (pid = thread group) and address spaces (shared by CLONE_VM), with what importers must remember of
 * each to make events of system calls. Emits `fork` `vfork` `thread` `exec` `exit`.
 *
 * A tid that appears without having been created in the recording is taken for a process of its own until something says otherwise (`home`).
 */
import { Flag, Op } from '../event.js';
import type { Emit } from '../guard.js';
import type { FileIdentity } from './sides.js';

/** include/uapi/linux/sched.h */
export const enum Clone {
  VM = 0x100,
  VFORK = 0x4000,
  THREAD = 0x10000,
}

/** What is known of a file descriptor: its file, or only that its size was set before it was mapped. */
export interface Descriptor {
  file: FileIdentity | null;
  /** Bytes that an ftruncate set while the file was not known. */
  size: number;
  /** Where that was, for the loss if the file never becomes known. */
  where: string;
}

/** `Task.call`: none has begun; one has begun and its effect is in the events already. */
export const NO_CALL = -1;
export const PERFORMED = -2;

/** mmap, mprotect, munmap, brk, mremap, madvise, shmat, shmdt, mlock, munlock, mlockall, munlockall, mlock2, pkey_mprotect */
const MAPPING_CALLS: readonly number[] = [9, 10, 11, 12, 25, 28, 30, 67, 149, 150, 151, 152, 325, 329];
/** A page fault that another thread began may still be at work after so long: clearing a huge page takes some 100 microseconds. */
const AT_WORK_NS = 200_000;

/** What the recorder said about the mapping that a call made. */
export interface Backing {
  /** The file; null = anonymous memory. */
  readonly file: FileIdentity | null;
  /** Flag.r | Flag.w | Flag.x as the kernel gave it; -1 = as asked for. */
  readonly protection: number;
  /** Bytes, where the call does not say it (shmat); 0 = unknown. */
  readonly bytes: number;
}

/** One address space. */
export interface Space {
  /** End of the heap as the last brk said; NaN = unknown. */
  brk: number;
  /** Attached System V segments by address: bytes. */
  readonly attached: Map<number, number>;
  readonly tasks: Set<Task>;
  /** Time of the last line that told of something in it. */
  lastEvent: number;
}

export interface Process {
  readonly pid: number;
  space: Space;
  threads: number;
  descriptors: Map<number, Descriptor>;
  /** Existed before the recording and has not called exec in it. */
  outside: boolean;
}

export interface Task {
  tid: number;
  process: Process;
  /** System call that has begun and not ended, NO_CALL or PERFORMED. Its arguments are in `args`. */
  call: number;
  readonly args: Float64Array;
  /** What was said meanwhile about the mapping that the call makes. */
  backing: Backing | null;
}

function newSpace(): Space {
  return { brk: NaN, attached: new Map(), tasks: new Set(), lastEvent: -1 };
}

export class Tasks {
  private readonly tasks = new Map<number, Task>();
  private readonly processes = new Map<number, Process>();
  private last: Task | undefined;

  constructor(private readonly emit: Emit) {}

  /** The thread of that id; made, as a process of its own, if it was never seen. */
  get(tid: number): Task {
    if (this.last !== undefined && this.last.tid === tid) return this.last;
    const task = this.tasks.get(tid) ?? this.add(tid, this.processOf(tid));
    this.last = task;
    return task;
  }

  known(tid: number): boolean {
    return this.tasks.has(tid);
  }

  /** Thread `tid` belongs to process `pid`. */
  home(tid: number, pid: number): Task {
    const task = this.tasks.get(tid);
    if (task === undefined) return this.add(tid, this.processOf(pid));
    if (task.process.pid !== pid) {
      this.leave(task);
      this.enter(task, this.processOf(pid));
    }
    return task;
  }

  /**
   * Whether a reading of process `pid` that began at `begin` may have met it in the middle of something: a line about its space since then, or a call that changes
   * mappings and has not returned. What another thread began shortly before may still be going on as well.
   */
  mayHaveChanged(pid: number, begin: number): boolean {
    const space = this.processes.get(pid)?.space;
    if (space === undefined) return false;
    if (space.lastEvent >= (space.tasks.size > 1 ? begin - AT_WORK_NS : begin)) return true;
    for (const task of space.tasks) if (MAPPING_CALLS.includes(task.call)) return true;
    return false;
  }

  /** Whether the thread lives in the space of process `pid`. */
  shares(tid: number, pid: number): boolean {
    const task = this.tasks.get(tid);
    return task !== undefined && task.process.space === this.processes.get(pid)?.space;
  }

  /** The living threads, of all processes. */
  all(): Iterable<Task> {
    return this.tasks.values();
  }

  /** `parent` made `tid`, with the flags of clone(2). */
  fork(time: number, parent: Task, tid: number, flags: number, cpu: number): Task {
    const old = this.tasks.get(tid);
    if (old !== undefined) this.forget(old);
    const { process } = parent;
    const vm = (flags & Clone.VM) !== 0;
    if ((flags & Clone.THREAD) !== 0) {
      this.emit(time, process.pid, parent.tid, Op.thread, 0, 0, 0, tid, Flag.vm, cpu);
      return this.add(tid, process);
    }
    this.emit(time, process.pid, parent.tid, (flags & Clone.VFORK) !== 0 && vm ? Op.vfork : Op.fork, 0, 0, 0, tid, vm ? Flag.vm : 0, cpu);
    const descriptors = new Map<number, Descriptor>();
    for (const [fd, descriptor] of process.descriptors) if (descriptor.file !== null) descriptors.set(fd, { ...descriptor });
    const space = vm ? process.space : { ...newSpace(), brk: process.space.brk, attached: new Map(process.space.attached) };
    this.processes.set(tid, { pid: tid, space, threads: 0, descriptors, outside: process.outside });
    return this.add(tid, this.processOf(tid));
  }

  /** The space of `task`'s process is left; every other thread of the process is gone, and `task` has the process's id from here on. */
  exec(time: number, task: Task, image: string, cpu: number): void {
    const { process } = task;
    const former = task.tid;
    for (const other of process.space.tasks) if (other !== task && other.process === process) this.forget(other);
    process.space.tasks.delete(task);
    process.space = newSpace();
    process.space.tasks.add(task);
    process.outside = false;
    process.descriptors = new Map();
    if (former !== process.pid) {
      this.tasks.delete(former);
      task.tid = process.pid;
      this.tasks.set(task.tid, task);
    }
    this.last = undefined;
    this.emit(time, process.pid, task.tid, Op.exec, 0, 0, 0, former, 0, cpu, image);
  }

  /** `groupGone`: the kernel said that nobody is left of the process; otherwise it is counted. */
  exit(time: number, task: Task, code: number, groupGone: boolean, cpu: number): void {
    const { process, tid } = task;
    this.forget(task);
    this.emit(time, process.pid, tid, Op.exit, 0, 0, 0, code, groupGone || process.threads === 0 ? Flag.group : 0, cpu);
  }

  /** The thread is gone; no event says so. */
  drop(task: Task): void {
    this.forget(task);
  }

  private processOf(pid: number): Process {
    let process = this.processes.get(pid);
    if (process === undefined) {
      process = { pid, space: newSpace(), threads: 0, descriptors: new Map(), outside: false };
      this.processes.set(pid, process);
    }
    return process;
  }

  private add(tid: number, process: Process): Task {
    const task: Task = { tid, process, call: NO_CALL, args: new Float64Array(6), backing: null };
    this.tasks.set(tid, task);
    this.enter(task, process);
    return task;
  }

  private enter(task: Task, process: Process): void {
    task.process = process;
    process.threads++;
    process.space.tasks.add(task);
  }

  private leave(task: Task): void {
    const { process } = task;
    process.space.tasks.delete(task);
    if (--process.threads === 0) this.processes.delete(process.pid);
  }

  private forget(task: Task): void {
    this.leave(task);
    this.tasks.delete(task.tid);
    if (this.last === task) this.last = undefined;
  }
}
