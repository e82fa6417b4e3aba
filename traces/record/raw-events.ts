/**
 * What perf printed, on its way to the file that is imported: leaves out what the command was before it began (the shell that held it back), and notes what the
 * import wants to know before its first line: which files were mapped, which pages of them came to the page cache while the command ran, and which page faults
 * came to nothing. A fault that has to wait is given up when a signal (or the stop for a reading) is pending, and is there again when the thread goes on
 * (arch/x86/mm/fault.c, fault_signal_pending): of two equal faults in a row of one thread only the second did something.
 */
import { readCachePages } from '../linux/perf-line.js';
import { Scanner } from '../scan.js';

/** A page fault of no effect: the line's key, and the time until which the page was not there. */
export interface GivenUp {
  readonly key: string;
  readonly pid: number;
  readonly from: number;
  readonly until: number;
}

/** Process, thread, time and event of a line. */
const SAMPLE = /(\d+)\/(\d+)\s+\[\d+\]\s+(\d+)\.(\d{9}):\s+(\S+)/;

/** What tells one page fault's line from all others. */
export function lineKey(line: string): string {
  const match = SAMPLE.exec(line);
  return match === null ? '' : `${match[2]} ${match[3]}.${match[4]}`;
}

/** `device<TAB>inode<TAB>path` */
export type MappedFile = string;

export class RawEvents {
  /** Lines that mmap made known, once each. */
  readonly files = new Set<MappedFile>();
  /** Pages that came while the command ran, by `device inode`: first page and number. */
  readonly added = new Map<string, { first: number; pages: number }[]>();
  lost = 0;
  /** Seconds and nanoseconds of the first line that is part of the recording, as perf prints them: moment 0 of the trace. */
  first = '';
  /** Page faults of the held process before it became the command. */
  faultsBefore = 0;
  readonly givenUp: GivenUp[] = [];
  private readonly lastFaults = new Map<number, { key: string; time: number; what: string }>();
  private begun = false;
  private rest = '';
  private readonly scan = new Scanner();
  private readonly held: RegExp;

  /** `pid`: the process that was held back. */
  constructor(pid: number) {
    this.held = new RegExp(` ${pid}/${pid} .*(?:kmem:rss_stat|sched:sched_prepare_exec|sched:sched_process_exec|PERF_RECORD_COMM exec): `);
  }

  /** The lines of a chunk that are part of the recording. */
  pass(chunk: string): string {
    const text = this.rest + chunk;
    const end = text.lastIndexOf('\n') + 1;
    this.rest = text.slice(end);
    let from = 0;
    if (!this.begun) {
      const kept: string[] = [];
      for (const line of text.slice(0, end).split('\n')) {
        from += line.length + 1;
        if (!this.held.test(line)) {
          if (line.includes('exceptions:page_fault')) this.faultsBefore++;
          continue;
        }
        kept.push(`${line}\n`);
        this.begun = !line.includes('kmem:rss_stat');
        if (this.begun) this.began(line);
        if (this.begun) break;
      }
      const after = text.slice(from, end);
      this.look(after);
      return kept.join('') + after;
    }
    this.look(text.slice(from, end));
    return text.slice(from, end);
  }

  private look(text: string): void {
    this.began(text);
    for (let at = text.indexOf('PERF_RECORD_MMAP2'); at >= 0; at = text.indexOf('PERF_RECORD_MMAP2', at + 1)) this.mapping(lineFrom(text, at));
    this.faults(text);
    for (let at = text.indexOf('PERF_RECORD_LOST'); at >= 0; at = text.indexOf('PERF_RECORD_LOST', at + 1))
      this.lost += Number(/lost (\d+)/.exec(lineFrom(text, at))?.[1] ?? 1);
    const cached = 'filemap:mm_filemap_add_to_page_cache:';
    for (let at = text.indexOf(cached); at >= 0; at = text.indexOf(cached, at + 1)) this.cached(lineFrom(text, at));
  }

  private began(text: string): void {
    if (this.first === '') this.first = /\s(\d+\.\d{9}):/.exec(text)?.[1] ?? '';
  }

  private faults(text: string): void {
    for (let from = 0; from < text.length; ) {
      const end = text.indexOf('\n', from);
      const line = text.slice(from, end);
      from = end + 1;
      const match = SAMPLE.exec(line);
      if (match === null || (match[5] as string).startsWith('filemap:')) continue;
      const tid = Number(match[2]);
      if (!(match[5] as string).startsWith('exceptions:page_fault')) {
        this.lastFaults.delete(tid);
        continue;
      }
      const time = Number(match[3]) * 1e9 + Number(match[4]);
      const what = line.slice(line.indexOf(match[5] as string));
      const last = this.lastFaults.get(tid);
      if (last?.what === what) this.givenUp.push({ key: last.key, pid: Number(match[1]), from: last.time, until: time });
      this.lastFaults.set(tid, { key: `${match[2]} ${match[3]}.${match[4]}`, time, what });
    }
  }

  private mapping(line: string): void {
    const match = /@ \S+ (\S+) (\d+) \d+\]: \S+ (\/.*)$/.exec(line);
    if (match === null || match[2] === '0') return;
    this.files.add(`${match[1]}\t${match[2]}\t${match[3]}`);
  }

  private cached(line: string): void {
    const pages = readCachePages(this.scan.over(line, 0));
    if (pages === null) return;
    let runs = this.added.get(pages.key);
    if (runs === undefined) this.added.set(pages.key, (runs = []));
    const first = pages.offset / 4096;
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.pages === first) last.pages += 2 ** pages.order;
    else runs.push({ first, pages: 2 ** pages.order });
  }
}

function lineFrom(text: string, at: number): string {
  const end = text.indexOf('\n', at);
  return text.slice(at, end < 0 ? text.length : end);
}

/** `files.csv` as it was when the command began: what came meanwhile was absent. `text` is the state at the end. */
export function stateAtStart(text: string, added: RawEvents['added']): string {
  return text
    .split('\n')
    .map((line) => {
      const match = /^([^,]+),(\d+),/.exec(line);
      const runs = match === null ? undefined : added.get(`${match[1]} ${match[2]}`);
      if (runs === undefined) return line;
      const more = runs.map(({ first, pages }) => `${first.toString(16)}+${pages.toString(16)}`).join(' ');
      return `${line.trimEnd()}${line.endsWith(',') ? '' : ' '}${more}`;
    })
    .join('\n');
}
