/**
 * `strace -f` output (strace(1)), best recorded with `-e trace=%memory,%process,%ipc,ftruncate,fallocate -y`: system calls of programs as events. With or without
 * pid columns, time stamps of any kind, durations, descriptors' paths; `<unfinished ...>` calls are joined with what resumes them.
 *
 * A call takes effect where strace prints its end. A child's lines may come before its parent's call returns: they are the child's of the one call that can have
 * made it, or wait until the parent's line names it. The first process is pid 1 where strace did not print its id.
 *
 * strace sees system calls only. It does not show which pages are touched, nor what exec maps: the program's own segments, its stack, vdso and the loader; the
 * calls about those ranges (mprotect of RELRO, the first page of the heap) are events all the same. Files are known by their paths (-y, or recorded opens);
 * without them each mapping of a file is a file of its own.
 */
import { decodeText, emptyHeader, type LineInput, type TraceFormat } from '../format.js';
import type { EventSink, TraceHeader } from '../event.js';
import { guarded } from '../guard.js';
import { Calls } from '../linux/calls.js';
import { exitCodeOf, MEMORY_CALLS, setArguments, valueOf } from '../linux/names.js';
import { Objects } from '../linux/objects.js';
import { pathOf, quoted, readCall, readPrefix, StraceClock, type Call, type Prefix } from '../linux/strace-line.js';
import { Clone, NO_CALL, PERFORMED, Tasks, type Backing, type Task } from '../linux/tasks.js';
import { Scanner } from '../scan.js';

const UNFINISHED = '<unfinished ...>';
const ATTACHED = /strace: Process (\d+) attached$/;
const CALL_LINE =
  /^ *(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ +)?(?:\(\+ +[\d.]+\) +)?(?:\[[^\]]*\] +)*(?:[a-z_][a-z0-9_]*\(.*(?:\) += |<unfinished \.\.\.>$)|<\.\.\. [a-z_][a-z0-9_]* resumed>|\+\+\+ (?:exited|killed|superseded)|--- SIG|strace: Process)/;
const FORKS: ReadonlyMap<string, number> = new Map([
  ['fork', 0],
  ['vfork', Clone.VM | Clone.VFORK],
  ['clone', NaN],
  ['clone2', NaN],
  ['clone3', NaN],
]);
/** Pid of the first process where its lines carry no id. */
const UNNAMED = 1;

interface Forking {
  readonly flags: number;
  /** The child that it was found to have made; 0 = none yet. */
  child: number;
}

class StraceReader {
  private readonly scan = new Scanner();
  private readonly prefix: Prefix = { tid: -1, stamp: 'none', whole: 0, nanos: 0 };
  private readonly tasks: Tasks;
  private readonly calls: Calls;
  private readonly objects: Objects;
  /** Calls that have begun: the text up to where they were interrupted, by tid. */
  private readonly open = new Map<number, string>();
  private readonly forking = new Map<number, Forking>();
  /** Lines of children that more than one call can have made. */
  private readonly waiting = new Map<number, { time: number; number: number; text: string }[]>();
  /** Thread that called the exec which its process goes on with, by pid. */
  private readonly execCaller = new Map<number, number>();
  private readonly alive = new Set<number>();
  private root = 0;
  /** Real id of the first process, once a line shows it. */
  private rootAlias = 0;
  private number = 0;
  private carry = '';
  private readonly clock = new StraceClock();

  constructor(
    private readonly sink: EventSink,
    private readonly input: LineInput,
  ) {
    const emit = guarded(sink, (cause) => this.loss(cause));
    this.objects = new Objects(emit);
    this.tasks = new Tasks(emit);
    this.calls = new Calls({
      emit,
      objects: this.objects,
      loss: (cause) => this.loss(cause),
      where: () => this.input.where(this.number),
      lossAt: (cause, where) => this.sink.loss(cause, where),
    });
  }

  line(line: string, number: number): void {
    this.number = number;
    const text = this.carry + line;
    this.carry = '';
    if (text === '') return;
    // strace's own words go to the same place as its output, into the middle of lines too.
    const attached = text.endsWith(' attached') ? ATTACHED.exec(text) : null;
    if (attached !== null) {
      this.carry = text.slice(0, attached.index);
      return;
    }
    const { scan, prefix } = this;
    readPrefix(scan.over(text), prefix);
    const time = this.clock.tick(prefix);
    this.dispatch(this.taskOf(prefix.tid), time, number, text.slice(scan.at));
  }

  end(): TraceHeader {
    for (const [tid, lines] of this.waiting) {
      this.waiting.delete(tid);
      this.become(tid);
      for (const { time, number, text } of lines) this.content(tid, time, number, text);
    }
    this.calls.end();
    const header = emptyHeader('strace');
    header.captured.mappings = true;
    header.captured.processes = true;
    header.clock = this.clock.name;
    return header;
  }

  private loss(cause: string): void {
    this.sink.loss(cause, this.input.where(this.number));
  }

  /** Whose line it is. Without an id: the only process there is, or the first one. */
  private taskOf(tid: number): number {
    if (tid < 0 || Number.isNaN(tid)) {
      if (this.root === 0) this.become((this.root = UNNAMED));
      const [only] = this.alive;
      return this.alive.size === 1 && only !== undefined ? only : this.root;
    }
    if (this.root === 0) this.become((this.root = tid));
    return tid === this.rootAlias ? this.root : tid;
  }

  private become(tid: number): Task {
    this.alive.add(tid);
    return this.tasks.get(tid);
  }

  /** Finds out who an id is that was never seen, then takes its line. */
  private dispatch(tid: number, time: number, number: number, text: string): void {
    if (!this.alive.has(tid)) {
      const held = this.waiting.get(tid);
      if (held !== undefined) {
        held.push({ time, number, text });
        return;
      }
      const parents = [...this.forking].filter(([, fork]) => fork.child === 0);
      const [parent] = parents;
      if (parents.length > 1) {
        this.waiting.set(tid, [{ time, number, text }]);
        return;
      }
      if (parent !== undefined) {
        parent[1].child = tid;
        this.fork(time, parent[0], tid, parent[1].flags);
      } else if (this.root === UNNAMED && this.rootAlias === 0 && this.alive.has(UNNAMED)) {
        this.rootAlias = tid;
        tid = this.root;
      } else this.become(tid);
    }
    this.content(tid, time, number, text);
  }

  private fork(time: number, parent: number, child: number, flags: number): void {
    this.tasks.fork(time, this.tasks.get(parent), child, flags, 0);
    this.alive.add(child);
  }

  /** What stands behind the prefix: a call, the rest of one, a signal or an end. */
  private content(tid: number, time: number, number: number, text: string): void {
    this.number = number;
    if (text.startsWith('<... ')) {
      const before = this.open.get(tid);
      const resumed = text.indexOf('resumed>');
      if (before === undefined || resumed < 0) {
        this.loss('call that is resumed and had not begun');
        return;
      }
      this.open.delete(tid);
      const rest = text.slice(resumed + 8);
      if (rest.endsWith(UNFINISHED)) this.open.set(tid, before + rest.slice(0, -UNFINISHED.length));
      else this.call(tid, time, before + rest);
    } else if (text.startsWith('+++ ')) this.ended(tid, time, text);
    else if (text.startsWith('--- ')) return;
    else if (text.endsWith(UNFINISHED)) {
      const begun = text.slice(0, -UNFINISHED.length);
      this.open.set(tid, begun);
      this.began(tid, begun);
    } else this.call(tid, time, text);
  }

  /** A call that has begun: who may be its child, and which range it gives back. */
  private began(tid: number, text: string): void {
    const paren = text.indexOf('(');
    const name = text.slice(0, paren);
    const flags = FORKS.get(name);
    if (flags !== undefined) this.forking.set(tid, { flags: Number.isNaN(flags) ? cloneFlags(text) : flags, child: 0 });
    else if (name === 'munmap') {
      const task = this.tasks.get(tid);
      const [start, bytes] = text.slice(paren + 1).split(',');
      task.args[0] = valueOf(start ?? '');
      task.args[1] = valueOf(bytes ?? '');
      task.call = (MEMORY_CALLS.get(name) as { nr: number }).nr;
    }
  }

  private call(tid: number, time: number, text: string): void {
    const paren = text.indexOf('(');
    const name = text.slice(0, Math.max(paren, 0));
    if (!/^[a-z_][a-z0-9_]*$/.test(name)) {
      this.loss('line that is not a call, a signal or an exit');
      return;
    }
    const memory = MEMORY_CALLS.get(name);
    const isFork = FORKS.has(name);
    const opens = name === 'open' || name === 'openat' || name === 'openat2' || name === 'creat' || name === 'memfd_create';
    const isExec = name === 'execve' || name === 'execveat';
    if (memory === undefined && !isFork && !opens && !isExec) return; // has no effect on memory
    const call = readCall(text, paren + 1);
    if (call === null) {
      this.loss('call without an end');
      return;
    }
    if (isFork) this.forked(tid, time, text, call);
    else if (isExec) this.exec(tid, time, name, call);
    else if (opens) this.opened(tid, name, call);
    else if (memory !== undefined) this.memory(tid, time, memory.nr, memory.fd, call);
  }

  private memory(tid: number, time: number, nr: number, fd: number, call: Call): void {
    const task = this.tasks.get(tid);
    const performed = task.call === PERFORMED;
    task.call = NO_CALL;
    if (performed || Number.isNaN(call.result)) return;
    const texts = call.args.map((argument) => (/^-?\d+</.test(argument) ? argument.slice(0, argument.indexOf('<')) : argument));
    // What follows prctl's first argument and shmctl's second is of no interest and may be anything.
    const count = nr === 157 ? 1 : nr === 31 ? 2 : 6;
    if (!setArguments(task, texts, count)) {
      if (call.result !== -1) this.loss('argument of a memory call that is not known');
      return;
    }
    const path = fd < 0 ? '' : pathOf(call.args[fd] ?? '');
    const file = path === '' ? null : { key: path, path };
    const backing: Backing | null = file === null ? null : { file, protection: -1, bytes: 0 };
    this.calls.returned(time, task, nr, call.result, backing, file, 0);
  }

  private opened(tid: number, name: string, call: Call): void {
    if (!(call.result >= 0)) return;
    let path = pathOf(`${call.result}${call.rest}`);
    if (path === '') path = name === 'memfd_create' ? `/memfd:${quoted(call.args[0])}` : quoted(call.args[name.startsWith('openat') ? 1 : 0]);
    if (path !== '') this.calls.opened(this.tasks.get(tid).process, call.result, { key: path, path });
  }

  private forked(tid: number, time: number, text: string, call: Call): void {
    const begun = this.forking.get(tid);
    this.forking.delete(tid);
    if (!(call.result > 0)) {
      if (begun !== undefined && begun.child !== 0) this.loss("child whose parent's call failed");
      return;
    }
    const inNamespace = /\/\* (\d+) in strace's PID NS \*\//.exec(call.rest);
    const child = inNamespace === null ? call.result : Number(inNamespace[1]);
    if (begun !== undefined && begun.child === child) return;
    if (begun !== undefined && begun.child !== 0) this.loss("child that was taken for another call's");
    if (this.alive.has(child)) return;
    const flags = begun?.flags ?? FORKS.get(text.slice(0, text.indexOf('('))) ?? 0;
    this.fork(time, tid, child, Number.isNaN(flags) ? cloneFlags(text) : flags);
    const held = this.waiting.get(child);
    this.waiting.delete(child);
    const { number } = this;
    for (const line of held ?? []) this.content(child, time, line.number, line.text);
    this.number = number;
  }

  private exec(tid: number, time: number, name: string, call: Call): void {
    if (call.result !== 0) return;
    const path = quoted(call.args[name === 'execve' ? 0 : 1]);
    const caller = this.execCaller.get(tid) ?? tid;
    this.execCaller.delete(tid);
    const task = this.tasks.get(caller);
    for (const other of task.process.space.tasks) if (other !== task && other.process === task.process) this.alive.delete(other.tid);
    this.tasks.exec(time, task, decodeText(path.slice(path.lastIndexOf('/') + 1)), 0);
    this.alive.delete(caller);
    this.alive.add(task.tid);
  }

  /** `+++ exited with 0 +++`, `+++ killed by SIGKILL +++`, `+++ superseded by execve in pid 7 +++`. */
  private ended(tid: number, time: number, text: string): void {
    const superseded = /^\+\+\+ superseded by execve in pid (\d+) \+\+\+/.exec(text);
    if (superseded !== null) {
      const caller = Number(superseded[1]);
      this.execCaller.set(tid, caller);
      const begun = this.open.get(caller);
      this.open.delete(caller);
      if (begun !== undefined) this.open.set(tid, begun);
      return;
    }
    const exited = /^\+\+\+ exited with (\d+) \+\+\+/.exec(text);
    const killed = /^\+\+\+ killed by (SIG\w+)/.exec(text);
    if (exited === null && killed === null) {
      this.loss('line that is not a call, a signal or an exit');
      return;
    }
    this.open.delete(tid);
    this.forking.delete(tid);
    this.alive.delete(tid);
    this.tasks.exit(time, this.tasks.get(tid), exited === null ? exitCodeOf((killed as RegExpExecArray)[1] as string) : Number(exited[1]), false, 0);
  }
}

/** The bits of `flags=CLONE_VM|...` that matter. */
function cloneFlags(text: string): number {
  const at = text.indexOf('flags=');
  if (at < 0) return 0;
  const end = text.slice(at + 6).search(/[,)}]/);
  const flags = valueOf(text.slice(at + 6, end < 0 ? undefined : at + 6 + end));
  return Number.isNaN(flags) ? 0 : flags;
}

export const straceFormat: TraceFormat = {
  name: 'strace',
  title: 'strace -f: system calls about memory and processes',
  source: 'strace(1)',
  detect(head) {
    const lines = head.split(/\r?\n/, 400).filter((line) => line.trim() !== '');
    if (lines.length > 1) lines.pop();
    const calls = lines.filter((line) => CALL_LINE.test(line)).length;
    return calls === 0 || calls * 2 < lines.length ? 0 : 0.9;
  },
  async import(input, sink) {
    const reader = new StraceReader(sink, input);
    await input.forEachLine((line, number) => reader.line(line, number));
    return reader.end();
  },
};
