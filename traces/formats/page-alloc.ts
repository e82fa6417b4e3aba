/**
 * Recordings of the kernel's own page allocator: kmem:mm_page_alloc and kmem:mm_page_free (include/trace/events/kmem.h), as `perf script` or tracefs print them:
 *
 *     cc1  1234 [001]  52.120731:  kmem:mm_page_alloc: page=0x10c3d2 pfn=0x10c3d2 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_ZERO
 *     cc1-1234  [001] .....  52.120731: mm_page_free: page=00000000d1f8a9c1 pfn=0x10c3d2 order=0
 *
 * Both give page_alloc and page_free events: `addr` the frame (pfn), `arg` the order, the migrate type as a flag. An allocation that the kernel could not
 * serve has pfn 0; it is counted in the header's provenance. mm_page_free_batched repeats what mm_page_free says (mm/page_alloc.c, free_unref_folios), and
 * the other events of the allocator (mm_page_alloc_zone_locked, mm_page_pcpu_drain, mm_page_alloc_extfrag) tell of its inner workings: they are left out, as are
 * the frames of call chains.
 */
import { Flag, Op, type EventSink, type TraceHeader } from '../event.js';
import { emptyHeader, type LineInput, type TraceFormat } from '../format.js';
import { guarded, type Emit } from '../guard.js';
import { readColumns, type SampleColumns } from '../linux/perf-line.js';
import { Scanner } from '../scan.js';

/** Migrate types of include/linux/mmzone.h: 0 unmovable, 1 movable, 2 reclaimable; what comes behind (highatomic, CMA, isolated) is moved by nobody here. */
const MIGRATE_FLAGS = [Flag.unmovable, Flag.movable, Flag.reclaimable] as const;
const MOST_FRAMES = 2 ** 31 - 1;

const EVENT = / (?:kmem:)?mm_page_(\w+): /;
/** `comm-pid [cpu] flags seconds.micros: ` of tracefs. */
const TRACEFS = /^\s*.*-(\d+)\s+(?:\(\s*[\d-]+\)\s+)?\[(\d+)\]\s+(?:[\w.]+\s+)?(\d+)\.(\d{6,9}): /;
const LOST = /LOST (\d+) EVENTS|PERF_RECORD_LOST/;

class PageReader {
  private readonly scan = new Scanner();
  private readonly columns: SampleColumns = { whole: 0, nanos: 0, pid: -1, tid: 0, cpu: 0, timeEnd: 0 };
  private readonly emit: Emit;
  private number = 0;
  private start: number | null = null;
  private startNanos = 0;
  private last = 0;
  private refused = 0;

  constructor(
    private readonly sink: EventSink,
    private readonly input: LineInput,
  ) {
    this.emit = guarded(sink, (cause) => this.loss(cause));
  }

  line(line: string, number: number): void {
    this.number = number;
    const event = EVENT.exec(line);
    if (event === null) {
      this.other(line);
      return;
    }
    const [, name] = event;
    if (name !== 'alloc' && name !== 'free') return;
    if (!this.when(line)) {
      this.loss('event of the page allocator without a readable time and thread');
      return;
    }
    const { scan } = this;
    scan.over(line, event.index);
    const pfn = scan.skipTo(' pfn=') ? this.pfn() : NaN;
    const order = scan.skipTo(' order=') ? scan.decimal() : NaN;
    if (!(pfn >= 0 && pfn <= MOST_FRAMES) || !(order >= 0 && order <= 20)) {
      this.loss('event of the page allocator without a readable pfn and order');
      return;
    }
    const { tid, pid, cpu } = this.columns;
    const process = pid < 0 ? tid : pid;
    if (name === 'free') {
      this.emit(this.last, process, tid, Op.page_free, pfn, 0, 0, order, 0, cpu);
      return;
    }
    if (pfn === 0) {
      this.refused++;
      return;
    }
    const type = scan.skipTo(' migratetype=') ? scan.decimal() : 0;
    this.emit(this.last, process, tid, Op.page_alloc, pfn, 0, 0, order, MIGRATE_FLAGS[type] ?? Flag.unmovable, cpu);
  }

  end(): TraceHeader {
    const header = emptyHeader('page-alloc');
    header.clock = 'monotonic';
    if (this.start !== null) header.provenance['clock_start'] = `${this.start}.${String(Math.round(this.startNanos)).padStart(9, '0')}`;
    if (this.refused > 0) header.provenance['refused_allocations'] = String(this.refused);
    return header;
  }

  /** In hexadecimal since Linux 5.2, in decimal before. */
  private pfn(): number {
    return this.scan.eat('0x') ? this.scan.hex() : this.scan.decimal();
  }

  /** Reads time, thread and CPU; false when they are not there. */
  private when(line: string): boolean {
    const { columns } = this;
    const tracefs = TRACEFS.exec(line);
    if (tracefs !== null) {
      const [, tid, cpu, whole, fraction] = tracefs as unknown as [string, string, string, string, string];
      columns.pid = -1;
      columns.tid = Number(tid);
      columns.cpu = Number(cpu);
      columns.whole = Number(whole);
      columns.nanos = Number(fraction.padEnd(9, '0'));
    } else if (readColumns(this.scan, line, columns) !== null) return false;
    if (this.start === null) {
      this.start = columns.whole;
      this.startNanos = columns.nanos;
    }
    // Events of several CPUs may be printed a little out of order.
    this.last = Math.max(this.last, (columns.whole - this.start) * 1e9 + columns.nanos - this.startNanos);
    return true;
  }

  /** Comments, call chains, events of others; what was lost. */
  private other(line: string): void {
    if (LOST.test(line)) this.loss('events that the recorder lost');
    else if (line !== '' && !line.startsWith('#') && !/^(?:\s| =>)/.test(line) && !/\d+\.\d{6,9}: /.test(line) && !line.startsWith('cpus='))
      this.loss('line that is no event');
  }

  private loss(cause: string): void {
    this.sink.loss(cause, this.input.where(this.number));
  }
}

export const pageAllocFormat: TraceFormat = {
  name: 'page-alloc',
  title: "kmem:mm_page_alloc and mm_page_free of perf script or tracefs: the kernel's page allocator",
  source: 'Linux include/trace/events/kmem.h, Documentation/trace/events-kmem.rst',
  detect(head) {
    const lines = head.split(/\r?\n/, 2000);
    const events = lines.filter((line) => /\d+\.\d{6,9}: /.test(line) && !line.includes('<stack trace>'));
    const pages = events.filter((line) => EVENT.test(line)).length;
    // A recording of a program may hold some of these among its faults and calls.
    return pages === 0 ? 0 : pages * 2 < events.length ? 0.05 : 0.97;
  },
  async import(input, sink) {
    const reader = new PageReader(sink, input);
    await input.forEachLine((line, number) => reader.line(line, number));
    return reader.end();
  },
};
