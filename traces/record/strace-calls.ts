/**
 * Lines of strace (perf-arguments.ts, raw) put among those of perf, as the tracepoints that perf may not record for an ordinary user: raw_syscalls:sys_enter and
 * sys_exit, and task:task_newtask behind the FORK record that lacks the flags of clone. Both recorders stamp with CLOCK_REALTIME. What this cannot give: error codes
 * of page faults, those of the kernel on the process's behalf, the pages of exec's arguments.
 *
 * strace prints a call when it returns, with the time at which it began and how long it took, or in two lines if another thread's line comes between.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { CALLS } from './perf-arguments.js';

const LINE = /^(\d+) +(\d+)\.(\d{9}) (.*)$/;
const WHOLE = /^([a-z][a-z0-9_]*)\((.*)\) += (\S+)(?: [^<]*?)?(?: <(\d+)\.(\d{9})>)?$/;
const BEGUN = /^([a-z][a-z0-9_]*)\((.*?),? *<unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. ([a-z][a-z0-9_]*) resumed>.*\) += (\S+)/;
const FLAGS = /flags=([A-Z0-9_|x]+)/;
const FORK = /\s(\d+)\.(\d{9}):\s+PERF_RECORD_FORK\((\d+):(\d+)\):\((\d+):(\d+)\)/;
const STAMP = /\s(\d+)\.(\d{9}):\s/;

/** include/uapi/linux/sched.h; the others say nothing about memory. */
const CLONE_BITS: Readonly<Record<string, number>> = { CLONE_VM: 0x100, CLONE_VFORK: 0x4000, CLONE_THREAD: 0x10000 };
const ALWAYS: Readonly<Record<string, number>> = { vfork: 0x4100, fork: 0 };

/** What strace calls the end of a call lies up to a microsecond before its last event (PERF_RECORD_MMAP2); the program itself goes on only when strace has worked. */
const LATER_NS = 5000;

interface Stamp {
  readonly whole: number;
  readonly nanos: number;
}

interface Pending {
  readonly stamp: Stamp;
  readonly tid: number;
  /** Empty: a clone begins, with these flags. */
  readonly line: string;
  readonly flags: number;
}

const later = (a: Stamp, b: Stamp): boolean => a.whole > b.whole || (a.whole === b.whole && a.nanos > b.nanos);

function after({ whole, nanos }: Stamp, seconds: number, more: number): Stamp {
  const sum = nanos + more;
  return sum < 1e9 ? { whole: whole + seconds, nanos: sum } : { whole: whole + seconds + 1, nanos: sum - 1e9 };
}

function flagsOf(call: string, args: string): number {
  const words = FLAGS.exec(args)?.[1]?.split('|') ?? [];
  return words.reduce((sum, word) => sum | (CLONE_BITS[word] ?? 0), ALWAYS[call] ?? 0);
}

/** `0x7f00, 0x2000, 0x3` as perf prints arguments: six, in hexadecimal without a prefix. */
function argumentsOf(text: string): string {
  const args = text === '' ? [] : text.split(',').map((arg) => arg.trim().replace(/^0x/, ''));
  while (args.length < 6) args.push('0');
  return args.slice(0, 6).join(', ');
}

function resultOf(text: string): string {
  return text.startsWith('0x') ? BigInt.asIntN(64, BigInt(text)).toString() : text === '?' ? '0' : text;
}

export class StraceCalls {
  /** Flags of the clone under way, by the thread that called it. */
  private readonly making = new Map<number, number>();
  private readonly pending: Pending[] = [];
  private last: Stamp = { whole: 0, nanos: 0 };
  /** Lines that were not understood. */
  unknown = 0;

  /** `next` gives strace's lines, null at the end. */
  constructor(private readonly next: () => string | null) {}

  /** A line of perf, with strace's before it that are older. */
  put(line: string): string {
    const match = STAMP.exec(line);
    if (match === null) return `${line}\n`;
    const text = this.until({ whole: Number(match[1]), nanos: Number(match[2]) });
    const fork = line.includes('PERF_RECORD_FORK') ? FORK.exec(line) : null;
    const flags = fork === null ? undefined : this.making.get(Number(fork[6]));
    if (fork === null || flags === undefined) return `${text}${line}\n`;
    this.making.delete(Number(fork[6]));
    return `${text}${line}\nstrace ${fork[6]} [000] ${fork[1]}.${fork[2]}: task:task_newtask: pid=${fork[4]} comm=strace clone_flags=${flags.toString(16)}\n`;
  }

  /** What is left at the end. */
  rest(): string {
    return this.until({ whole: Infinity, nanos: 0 });
  }

  private until(limit: Stamp): string {
    let text = '';
    for (;;) {
      while (this.pending.length === 0) {
        const line = this.next();
        if (line === null) return text;
        this.read(line);
      }
      const [first] = this.pending as [Pending];
      if (later(first.stamp, limit)) return text;
      if (first.line === '') this.making.set(first.tid, first.flags);
      text += first.line;
      this.pending.shift();
    }
  }

  private read(line: string): void {
    const match = LINE.exec(line);
    if (match === null) {
      if (line !== '') this.unknown++;
      return;
    }
    const tid = Number(match[1]);
    const stamp = { whole: Number(match[2]), nanos: Number(match[3]) };
    const text = match[4] as string;
    const whole = WHOLE.exec(text);
    if (whole !== null) {
      const [, call = '', args = '', result = '', seconds, nanos] = whole;
      this.enter(tid, stamp, call, args);
      this.leave(tid, seconds === undefined ? stamp : after(stamp, Number(seconds), Number(nanos) + LATER_NS), call, result);
      return;
    }
    const begun = BEGUN.exec(text);
    if (begun !== null) return this.enter(tid, stamp, begun[1] as string, begun[2] as string);
    const resumed = RESUMED.exec(text);
    if (resumed !== null) return this.leave(tid, stamp, resumed[1] as string, resumed[2] as string);
    if (!text.startsWith('+++') && !text.startsWith('---')) this.unknown++;
  }

  private enter(tid: number, stamp: Stamp, call: string, args: string): void {
    const number = CALLS.get(call);
    if (number !== undefined) this.emit(stamp, tid, `raw_syscalls:sys_enter: NR ${number} (${argumentsOf(args)})`);
    else if (call === 'clone' || call === 'clone3' || call in ALWAYS) this.emit(stamp, tid, '', flagsOf(call, args));
  }

  private leave(tid: number, stamp: Stamp, call: string, result: string): void {
    const number = CALLS.get(call);
    if (number !== undefined) this.emit(stamp, tid, `raw_syscalls:sys_exit: NR ${number} = ${resultOf(result)}`);
  }

  /** In the order of time: what a stamp is before the last one by, strace's own work took. */
  private emit(stamp: Stamp, tid: number, event: string, flags = 0): void {
    const at = later(this.last, stamp) ? this.last : stamp;
    this.last = at;
    const time = `${at.whole}.${String(at.nanos).padStart(9, '0')}`;
    this.pending.push({ stamp: at, tid, flags, line: event === '' ? '' : `strace ${tid} [000] ${time}: ${event}\n` });
  }
}

const CHUNK = 1 << 18;

/** The lines of a file, one a call, null at its end. */
export function linesOf(path: string): () => string | null {
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(CHUNK);
  let text = '';
  let at = 0;
  let open = true;
  return () => {
    for (;;) {
      const end = text.indexOf('\n', at);
      if (end >= 0) {
        const line = text.slice(at, end);
        at = end + 1;
        return line;
      }
      text = text.slice(at);
      at = 0;
      const got = open ? readSync(fd, bytes) : 0;
      if (got === 0) {
        if (open) closeSync(fd);
        open = false;
        const last = text;
        text = '';
        return last === '' ? null : last;
      }
      text += bytes.toString('latin1', 0, got);
    }
  };
}
