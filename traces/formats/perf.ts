/**
 * `perf script` output (perf-script(1); tools/perf/builtin-script.c, util/machine.c): one line a sample or side-band record, with any choice of the columns
 * that linux/perf-line.ts reads. Used are: exceptions:page_fault_user and _kernel, the software event page-faults, raw_syscalls:sys_enter and sys_exit,
 * task:task_newtask, sched:sched_prepare_exec, _process_exec and _process_exit, kmem:rss_stat, filemap:mm_filemap_add_to_page_cache and _delete_from_page_cache,
 * and the records COMM, FORK, EXIT, MMAP, MMAP2, LOST, THROTTLE. `truth.csv` and `files.csv` beside it become samples and the page cache's state (linux/sides.ts).
 *
 * A system call takes effect where it returns. Its mapping's protection and file come from the MMAP2 record between entry and exit; recordings without
 * `perf record --data` have that only for executable mappings, those without raw_syscalls tell no munmap (linux/images.ts).
 * The pages of exec's arguments cause no fault: their number is that of the last rss_stat (curr=0, anonymous) before sched_prepare_exec, else what the stack's
 * mapping says. The software event does not tell reads from writes: a touch of a writable (or unknown) mapping is taken for a write.
 *
 * Not imported: exit codes (no event has them), collapses by khugepaged (no event names their address), tracepoints under the names that tracefs prints.
 */
import { Flag, Op, type EventSink, type TraceHeader } from '../event.js';
import { decodeText, emptyHeader, type ImportContext, type LineInput, type TraceFormat } from '../format.js';
import { guarded, type Emit } from '../guard.js';
import { Calls, Sys } from '../linux/calls.js';
import { Images, isArgumentStack, readMapping } from '../linux/images.js';
import { Objects } from '../linux/objects.js';
import { isFrame, looksLikeSample, readCachePages, readColumns, type SampleColumns } from '../linux/perf-line.js';
import { PerfTasks } from '../linux/perf-tasks.js';
import { Protections } from '../linux/protections.js';
import { readFiles, readTruth, UNKNOWN_FILES, type FileTable, type Reading } from '../linux/sides.js';
import { NO_CALL, PERFORMED, Tasks, type Task } from '../linux/tasks.js';
import { BEFORE, Timeline } from '../linux/timeline.js';
import { Scanner } from '../scan.js';

const PAGE = 4096;
/** A record that says how many others were lost counts as that many losses, up to here. */
const MAX_LOST = 10_000_000;

/** Bits of x86's page-fault error code (Intel SDM vol. 3A, 4.7). */
const enum Fault {
  PRESENT = 1,
  WRITE = 2,
  FETCH = 16,
}

const WANTED =
  /exceptions:page_fault|(?:page|minor|major)-faults|raw_syscalls:|PERF_RECORD_(?:MMAP|COMM|FORK)|task:task_newtask|sched:sched_p|kmem:rss_stat|mmap:exit_mmap/;

class PerfReader {
  private readonly scan = new Scanner();
  private readonly columns: SampleColumns = { whole: 0, nanos: 0, pid: -1, tid: 0, cpu: 0, timeEnd: 0 };
  private readonly timeline: Timeline;
  private readonly emit: Emit;
  private readonly objects: Objects;
  private readonly tasks: Tasks;
  private readonly people: PerfTasks;
  private readonly calls: Calls;
  private readonly images: Images;
  /** Kept up until a fault says itself what was done. */
  private readonly protections = new Protections();
  private number = 0;
  private readonly seen = { faults: false, codes: false, software: false, calls: false, mappings: false };
  private readonly facts = { clock: '', kernel: {} as Record<string, string>, provenance: {} as Record<string, string> };

  constructor(
    private readonly sink: EventSink,
    private readonly input: LineInput,
    private readonly context: ImportContext,
    files: FileTable,
    readings: readonly Reading[],
  ) {
    const timeline = (this.timeline = new Timeline(sink, readings, (pid, begin) => this.people.mayHaveChanged(pid, begin)));
    const loss = (cause: string): void => this.loss(cause);
    const checked = guarded(timeline, loss);
    const emit: Emit = (time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text) => {
      if (!this.seen.codes) this.protections.see(pid, op, addr, size, addr2, arg, flags);
      checked(time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text);
    };
    this.emit = emit;
    this.objects = new Objects(emit, files);
    this.tasks = new Tasks(emit);
    this.images = new Images(emit, this.objects, loss);
    this.people = new PerfTasks(this.tasks, this.images, loss);
    this.calls = new Calls({
      emit,
      objects: this.objects,
      loss,
      where: () => this.input.where(this.number),
      lossAt: (cause, where) => this.sink.loss(cause, where),
    });
  }

  line(line: string, number: number): void {
    this.number = number;
    if (line === '') return;
    if (line.charCodeAt(0) === 35) {
      this.comment(line);
      return;
    }
    const { scan, columns, people } = this;
    const missing = readColumns(scan, line, columns);
    if (missing === 'time') {
      if (!isFrame(line)) this.loss('line that is not a sample of perf script with a time');
      return;
    }
    if (missing === 'thread') {
      this.loss('line without a thread id');
      return;
    }
    const { tid, pid, cpu } = columns;
    // The argument pages of the first exec come before it and are no event: the trace begins with the exec.
    if (!this.timeline.begun && scan.eat('kmem:rss_stat:')) return people.rss(tid, scan);
    const time = this.timeline.at(columns.whole, columns.nanos);
    if (pid !== -1) people.home(tid, pid);
    if (people.forksWait && !line.startsWith('task:task_newtask', scan.at)) people.settle(tid);
    this.timeline.reach(time);
    this.event(time, tid, cpu);
  }

  /** By the first letter of the event's name, then in full: most lines are of the kinds that come first. */
  private event(time: number, tid: number, cpu: number): void {
    const { scan, people } = this;
    switch (scan.peek()) {
      case 101: // e
        if (scan.eat('exceptions:page_fault_user:')) return this.fault(time, tid, cpu, 0);
        if (scan.eat('exceptions:page_fault_kernel:')) return this.fault(time, tid, cpu, Flag.kernel);
        break;
      case 114: // r
        if (scan.eat('raw_syscalls:sys_enter:')) return this.enter(time, tid, cpu);
        if (scan.eat('raw_syscalls:sys_exit:')) return this.leave(time, tid, cpu);
        break;
      case 107: // k
        if (scan.eat('kmem:rss_stat:')) return people.rss(tid, scan);
        break;
      case 80: // P
        if (scan.eat('PERF_RECORD_')) return this.record(time, cpu);
        break;
      case 115: // s
        if (scan.eat('sched:sched_prepare_exec:')) return people.prepareExec(time, tid, scan, cpu);
        if (scan.eat('sched:sched_process_exec:')) return people.executed(time, tid, scan, cpu);
        if (scan.eat('sched:sched_process_exit:')) return people.exit(time, tid, scan.line.includes('group_dead=true', scan.at), cpu);
        break;
      case 116: // t
        if (scan.eat('task:task_newtask:')) return people.newTask(time, tid, scan, cpu);
        break;
      case 102: // f
        if (scan.eat('filemap:mm_filemap_add_to_page_cache:')) return this.pageCache(time, true);
        if (scan.eat('filemap:mm_filemap_delete_from_page_cache:')) return this.pageCache(time, false);
        break;
      default:
    }
    if (scan.eat('page-faults:') || scan.eat('faults:') || scan.eat('minor-faults:') || scan.eat('major-faults:')) return this.plainFault(time, tid, cpu);
    if (!scan.eat('mmap:exit_mmap:')) this.loss('event that is not imported');
  }

  end(): TraceHeader {
    this.people.settle(-1);
    this.timeline.end();
    this.calls.end();
    const { seen, facts, timeline } = this;
    const header = emptyHeader('perf');
    header.captured.mappings = seen.calls;
    header.captured.processes = this.people.any;
    header.captured.touches = seen.software ? 'user-faults' : seen.faults ? 'faults' : 'none';
    header.captured.samples = timeline.sampled;
    header.clock = facts.clock === '' ? (timeline.sinceEpoch ? 'realtime' : 'monotonic') : facts.clock;
    header.kernel = facts.kernel;
    header.provenance = facts.provenance;
    if (seen.mappings && !seen.calls) {
      this.context.warn(`${this.input.file}: no raw_syscalls events: what was unmapped, and the heap's shrinking, is not in the recording`);
    }
    return header;
  }

  private loss(cause: string): void {
    this.sink.loss(cause, this.input.where(this.number));
  }

  /** The thread of a line that tells of something in its space. */
  private at(time: number, tid: number): Task | null {
    const task = this.people.inside(tid);
    if (task !== null) task.process.space.lastEvent = time;
    return task;
  }

  private fault(time: number, tid: number, cpu: number, kernel: number): void {
    const { scan } = this;
    const address = scan.eat(' address=') ? scan.hex() : NaN;
    const code = scan.toLast(61) ? scan.hex() : NaN;
    if (Number.isNaN(address) || Number.isNaN(code)) {
      this.loss('page fault without address or error_code');
      return;
    }
    const op = (code & Fault.WRITE) !== 0 ? Op.write : (code & Fault.FETCH) !== 0 ? Op.fetch : Op.read;
    this.seen.codes = true;
    this.touch(time, tid, cpu, op, address, Flag.fault | kernel | ((code & Fault.PRESENT) !== 0 ? Flag.present : 0));
  }

  /** `page-faults[:modifiers]: ADDR [IP symbol]`; without the address (no `perf record -d`) the line has only the IP and what it belongs to. */
  private plainFault(time: number, tid: number, cpu: number): void {
    const { scan } = this;
    if (scan.peek() !== 32) scan.skipTo(':');
    scan.blanks();
    const address = scan.hex();
    scan.blanks();
    const alone = scan.at >= scan.line.length;
    if (Number.isNaN(address) || (!alone && (Number.isNaN(scan.hex()) || scan.peek() !== 32))) {
      this.loss('page fault without address or error_code');
      return;
    }
    const task = this.people.inside(tid);
    if (task === null) return;
    const protection = this.protections.at(task.process.pid, address);
    const op = protection < 0 || (protection & Flag.w) !== 0 ? Op.write : (protection & Flag.x) !== 0 ? Op.fetch : Op.read;
    this.seen.software = true;
    this.touch(time, tid, cpu, op, address, Flag.fault);
  }

  private touch(time: number, tid: number, cpu: number, op: Op, address: number, flags: number): void {
    const task = this.at(time, tid);
    if (task === null) return;
    if (address < 0) {
      this.loss('fault at a kernel address');
      return;
    }
    if (this.images.anyLoading && (flags & Flag.kernel) === 0) this.images.finish(time, tid, cpu);
    this.seen.faults = true;
    this.emit(time, task.process.pid, task.tid, op, address, 1, 0, 0, flags, cpu);
  }

  /** `NR 9 (0, 2000, 3, 22, ffffffff, 0)`: arguments in hexadecimal. */
  private enter(time: number, tid: number, cpu: number): void {
    const { scan } = this;
    if (!this.seen.calls) {
      this.seen.calls = true;
      this.images.callsAreRecorded();
    }
    const nr = scan.eat(' NR ') ? scan.decimal() : NaN;
    if (Number.isNaN(nr) || !scan.eat(' (')) {
      this.loss('system call without number or arguments');
      return;
    }
    this.people.elsewhere(tid);
    const task = this.at(time, tid);
    if (task === null) return;
    const { args } = task;
    for (let i = 0; i < 6; i++) {
      const value = scan.hex();
      if (Number.isNaN(value) || !scan.eat(i < 5 ? ', ' : ')')) {
        this.loss('system call without number or arguments');
        return;
      }
      args[i] = value;
    }
    task.call = nr;
    task.backing = null;
    if (this.images.anyLoading) this.images.finish(time, tid, cpu);
  }

  /** `NR 9 = 139938972528640`: the result in decimal. */
  private leave(time: number, tid: number, cpu: number): void {
    const { scan } = this;
    const nr = scan.eat(' NR ') ? scan.decimal() : NaN;
    const result = scan.eat(' = ') ? scan.decimal() : NaN;
    if (Number.isNaN(nr) || Number.isNaN(result)) {
      this.loss('system call without number or result');
      return;
    }
    const task = this.at(time, tid);
    if (task === null) return;
    const { call, backing } = task;
    task.call = NO_CALL;
    task.backing = null;
    if (call === nr) {
      const useful = backing !== null && (nr === Sys.mmap || nr === Sys.shmat) ? backing : null;
      this.calls.returned(time, task, nr, result, useful, null, cpu);
    } else if (call !== PERFORMED) this.loss('system call whose entry was not recorded');
  }

  private mapping(time: number, cpu: number): void {
    const { scan } = this;
    scan.blanks();
    const pid = scan.decimal();
    const owner = scan.eat('/') ? scan.decimal() : NaN;
    if (pid < 0) return; // the kernel's own image
    if (scan.eat(': ')) {
      const mapping = readMapping(scan);
      if (mapping !== null && owner > 0) {
        this.people.home(owner, pid);
        this.seen.mappings = true;
        const task = this.at(time, owner);
        if (task === null) return;
        if (task.call === NO_CALL && isArgumentStack(mapping)) return;
        if (!this.images.isLoading(task.tid) && task.call === NO_CALL && this.images.isNewStack(task, mapping) && time !== BEFORE) {
          this.people.untoldExec(time, task, cpu);
        }
        if (this.images.isLoading(task.tid)) this.images.load(time, task, mapping, cpu);
        else if (task.call >= 0) task.backing = mapping;
        else this.images.alone(time, task, mapping, cpu);
        return;
      }
    }
    this.loss('mapping record that cannot be read');
  }

  private pageCache(time: number, present: boolean): void {
    const pages = readCachePages(this.scan);
    if (pages === null) this.loss('page-cache event that cannot be read');
    else this.objects.cachePages(time, pages.key, pages.offset, PAGE * 2 ** pages.order, present, pages.order);
  }

  /** A record of perf's own, from behind `PERF_RECORD_`. Those that are not named here say nothing about memory. */
  private record(time: number, cpu: number): void {
    const { scan } = this;
    if (scan.eat('MMAP2') || scan.eat('MMAP')) this.mapping(time, cpu);
    else if (scan.eat('COMM')) this.people.commRecord(time, scan, cpu);
    else if (scan.eat('FORK(')) this.people.forkRecord(time, scan, cpu);
    else if (scan.eat('EXIT(')) this.people.exitRecord(time, scan, cpu);
    else if (scan.eat('LOST')) {
      const count = scan.skipTo('lost ') ? scan.decimal() : 1;
      for (let i = 0; i < Math.min(count, MAX_LOST); i++) this.loss('records that perf lost');
    } else if (scan.eat('THROTTLE')) this.loss('pauses in which perf recorded nothing (throttled)');
  }

  /** `# os release : 6.1.0` and its like, which `perf script --header` prints. */
  private comment(line: string): void {
    const match = /^# ?([a-z][a-z ]*?) *: (.+)$/.exec(line);
    if (match === null) return;
    const [, key, value] = match as unknown as [string, string, string];
    if (key === 'os release') this.facts.kernel.release = decodeText(value);
    else if (key === 'cmdline') {
      this.facts.provenance.command = decodeText(value);
      if (value.includes('CLOCK_REALTIME')) this.facts.clock = 'realtime';
    } else if (key === 'captured on') this.facts.provenance.date = value;
  }
}

export const perfFormat: TraceFormat = {
  name: 'perf',
  title: 'perf script: page faults, system calls, processes (with truth.csv and files.csv beside it)',
  source: 'perf-script(1), tools/perf in the Linux sources',
  detect(head) {
    const lines = head.split(/\r?\n/, 400).filter((line) => line !== '' && !line.startsWith('#'));
    // The last line of the head may be cut.
    if (lines.length > 1) lines.pop();
    const samples = lines.filter((line) => looksLikeSample(line));
    if (samples.length === 0 || samples.length * 4 < lines.length) return 0;
    return samples.some((line) => WANTED.test(line)) ? 0.95 : 0.3;
  },
  async import(input, sink, context) {
    const files = await context.sideFile('files.csv');
    const truth = await context.sideFile('truth.csv');
    const folder = input.file.slice(0, input.file.lastIndexOf('/') + 1);
    const table = files === null ? UNKNOWN_FILES : readFiles(`${folder}files.csv`, files);
    const readings = truth === null ? [] : readTruth(`${folder}truth.csv`, truth);
    const reader = new PerfReader(sink, input, context, table, readings);
    await input.forEachLine((line, number) => reader.line(line, number));
    return reader.end();
  },
};
