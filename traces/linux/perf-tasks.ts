/**
 * Processes in a perf recording: puts together what the records COMM, FORK and EXIT and the tracepoints task_newtask, sched_prepare_exec, sched_process_exec,
 * sched_process_exit and rss_stat say about the same happenings, whichever of them were recorded.
 *
 * - A fork is there twice: the record names the process, the tracepoint after it the flags. Alone, the record means a thread or a plain copy.
 * - exec leaves the old space at sched_prepare_exec; without that, at the COMM record. Where other threads live, they end first, so it waits for COMM.
 * - The kernel clears child_tid after sched_process_exit: such a fault is on behalf of a thread that is left.
 */
import { decodeText } from '../format.js';
import type { Scanner } from '../scan.js';
import type { Images } from './images.js';
import { Clone, NO_CALL, type Task, type Tasks } from './tasks.js';
import { BEFORE } from './timeline.js';

const PAGE = 4096;
/** Characters of a command name (TASK_COMM_LEN - 1). */
const COMM_LENGTH = 15;

/** `/usr/bin/cat` as the command name that it gets. */
const commOf = (file: string): string => file.slice(file.lastIndexOf('/') + 1).slice(0, COMM_LENGTH);

export class PerfTasks {
  /** Forks of which the record was seen and the tracepoint not yet, by child. */
  private readonly forks = new Map<number, { time: number; parent: number; flags: number; cpu: number }>();
  /** execs that wait for the other threads' end, by pid. */
  private readonly execs = new Map<number, { task: Task; image: string; pages: number }>();
  /**
   * Anonymous bytes that the thread last counted in a space that is not its own: within exec those of the arguments, which until the new space is in place count in
   * the old one too (fs/exec.c, acct_arg_size); within fork those of the child.
   */
  private readonly foreignBytes = new Map<number, number>();
  /** Threads that ended and may still fault. */
  private readonly exited = new Map<number, Task>();
  /** A fork, exec or exit was seen. */
  any = false;

  constructor(
    private readonly tasks: Tasks,
    private readonly images: Images,
    private readonly loss: (cause: string) => void,
  ) {}

  /** The line says to which process the thread belongs. */
  home(tid: number, pid: number): void {
    if (tid > 0 && pid > 0 && !this.exited.has(tid)) this.tasks.home(tid, pid);
  }

  /** The thread that a line about memory belongs to; null (and counted) if it is none of the recorded ones. */
  inside(tid: number): Task | null {
    if (this.exited.size !== 0) {
      const gone = this.exited.get(tid);
      if (gone !== undefined) {
        const [left] = gone.process.space.tasks;
        if (left === undefined) this.loss('event of a process after its end');
        return left ?? null;
      }
    }
    const task = tid > 0 ? this.tasks.get(tid) : undefined;
    if (task !== undefined && !task.process.outside) return task;
    this.loss('outside the recorded tree');
    return null;
  }

  /** Whether a reading of process `pid` that began at `begin` may have met its space in the middle of something (Tasks.mayHaveChanged), an exec too. */
  mayHaveChanged(pid: number, begin: number): boolean {
    if (this.tasks.mayHaveChanged(pid, begin)) return true;
    for (const [tid, bytes] of this.foreignBytes) if (bytes > 0 && this.tasks.shares(tid, pid)) return true;
    return false;
  }

  /** The thread does something that it could not do within exec or fork. */
  elsewhere(tid: number): void {
    if (this.foreignBytes.size !== 0) this.foreignBytes.delete(tid);
  }

  get forksWait(): boolean {
    return this.forks.size !== 0;
  }

  /** A line of `tid` (-1: the end of the recording) shows that no tracepoint will follow the FORK record. */
  settle(tid: number): void {
    for (const [child, { time, parent, flags, cpu }] of this.forks) {
      if (tid !== -1 && tid !== child && tid !== parent) continue;
      this.forks.delete(child);
      this.fork(time, parent, child, flags, cpu);
    }
  }

  /** `FORK(pid:tid):(ppid:ptid)`, from behind the first parenthesis. */
  forkRecord(time: number, scan: Scanner, cpu: number): void {
    const [pid, child] = readIds(scan);
    const [parentPid, parent] = scan.skipTo('(') ? readIds(scan) : [NaN, NaN];
    if (!(child > 0) || !(parent >= 0)) this.loss('FORK record that cannot be read');
    else if (time === BEFORE) this.home(child, pid);
    else this.forks.set(child, { time, parent, flags: pid === parentPid ? Clone.VM | Clone.THREAD : 0, cpu });
  }

  /** `pid=15163 comm=rec.sh clone_flags=1200000 oom_score_adj=0` */
  newTask(time: number, tid: number, scan: Scanner, cpu: number): void {
    const child = scan.skipTo('pid=') ? scan.decimal() : NaN;
    const flags = scan.skipTo(' clone_flags=') ? scan.hex() : NaN;
    if (Number.isNaN(child) || Number.isNaN(flags)) {
      this.loss('task_newtask without pid or clone_flags');
      return;
    }
    this.forks.delete(child);
    this.settle(tid);
    this.fork(time, tid, child, flags, cpu);
  }

  /** `COMM: name:pid/tid` or `COMM exec: name:pid/tid`, from behind `COMM`. */
  commRecord(time: number, scan: Scanner, cpu: number): void {
    const isExec = scan.eat(' exec');
    const from = scan.skipTo(': ') ? scan.at : scan.line.length;
    const to = scan.line.lastIndexOf(':');
    const [pid, tid] = readIds(scan.over(scan.line, to + 1));
    if (to < from || !(pid > 0) || !(tid > 0)) return;
    const known = this.tasks.known(tid);
    const name = scan.line.slice(from, to);
    this.home(tid, pid);
    if (isExec) this.newImage(time, pid, name, cpu);
    else if (!known && name === 'perf-exec') this.tasks.get(tid).process.outside = true;
  }

  /** `interp=/usr/bin/mkdir filename=/usr/bin/mkdir pid=15336 comm=rec.sh` */
  prepareExec(time: number, tid: number, scan: Scanner, cpu: number): void {
    const image = commOf(readFileName(scan, ' filename='));
    const pages = Math.round((this.foreignBytes.get(tid) ?? 0) / PAGE);
    const task = this.tasks.get(tid);
    if (task.process.threads > 1) this.execs.set(task.process.pid, { task, image, pages });
    else this.exec(time, task, image, pages, cpu);
  }

  /** `filename=./rec.sh pid=15334 old_pid=15334`: the image is complete. */
  executed(time: number, tid: number, scan: Scanner, cpu: number): void {
    this.newImage(time, tid, commOf(readFileName(scan, 'filename=')), cpu);
    this.images.finish(time, tid, cpu);
  }

  /** A stack that is not the space's own was mapped: exec, of which no other line told. */
  untoldExec(time: number, task: Task, cpu: number): void {
    this.exec(time, task, '', 0, cpu);
  }

  exit(time: number, tid: number, groupGone: boolean, cpu: number): void {
    if (!this.tasks.known(tid)) return;
    const task = this.tasks.get(tid);
    this.foreignBytes.delete(tid);
    this.images.finish(time, tid, cpu);
    if (task.process.outside) {
      this.tasks.drop(task);
      return;
    }
    this.any = true;
    task.process.space.lastEvent = time;
    this.tasks.exit(time, task, 0, groupGone, cpu);
    this.exited.set(tid, task);
  }

  /** `EXIT(pid:tid):(ppid:ptid)`, from behind the first parenthesis. */
  exitRecord(time: number, scan: Scanner, cpu: number): void {
    const [, tid] = readIds(scan);
    this.exit(time, tid, false, cpu);
    this.exited.delete(tid);
  }

  /** `mm_id=1 curr=0 type=MM_ANONPAGES size=4096B`; before Linux 5.14 `member=1` for the type. */
  rss(tid: number, scan: Scanner): void {
    if (!scan.skipTo(' curr=') || scan.decimal() !== 0) return;
    if (!scan.eat(' type=MM_ANONPAGES') && !scan.eat(' member=1')) return;
    if (scan.eat(' size=')) this.foreignBytes.set(tid, scan.decimal());
  }

  private fork(time: number, parent: number, child: number, flags: number, cpu: number): void {
    this.exited.delete(child);
    this.foreignBytes.delete(parent);
    const from = this.tasks.get(parent);
    if (from.process.outside || parent <= 0) {
      this.tasks.home(child, child).process.outside = true;
      return;
    }
    this.any = true;
    from.process.space.lastEvent = time;
    this.images.forked(from, this.tasks.fork(time, from, child, flags, cpu));
  }

  private newImage(time: number, pid: number, image: string, cpu: number): void {
    const waiting = this.execs.get(pid);
    if (waiting !== undefined) {
      this.execs.delete(pid);
      this.exec(time, waiting.task, waiting.image, waiting.pages, cpu);
    } else if (!this.images.isLoading(pid)) this.exec(time, this.tasks.get(pid), image, 0, cpu);
  }

  private exec(time: number, task: Task, image: string, pages: number, cpu: number): void {
    this.any = true;
    this.foreignBytes.delete(task.tid);
    this.exited.delete(task.process.pid);
    this.tasks.exec(time, task, decodeText(image), cpu);
    task.call = NO_CALL;
    this.images.begin(task, pages);
  }
}

/** `pid:tid` or `pid/tid` here; NaN where there is none. */
function readIds(scan: Scanner): [pid: number, tid: number] {
  const pid = scan.decimal();
  scan.at++;
  return [pid, scan.decimal()];
}

/** The text between `key` and the last ` pid=`; file names may hold blanks. */
function readFileName(scan: Scanner, key: string): string {
  return scan.skipTo(key) ? scan.line.slice(scan.at, Math.max(scan.at, scan.line.lastIndexOf(' pid='))) : '';
}
