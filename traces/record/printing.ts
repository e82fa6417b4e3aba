/**
 * What the recorders wrote, as the text that is imported: perf's binary file printed (with strace's calls among it where perf recorded none), or strace's text
 * from where the command begins. Streams; what is printed is packed on the fly.
 */
import { createReadStream, createWriteStream, renameSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { fileError } from '../io-error.js';
import { pagesData, perfData, perfEnvironment, straceText } from './capture.js';
import type { Machine } from './machine.js';
import { printPerf } from './perf.js';
import { SCRIPT_ARGUMENTS, SOFTWARE_FIELDS, TRACEPOINT_FIELDS } from './perf-arguments.js';
import type { Plan } from './plan.js';
import { lineKey, RawEvents } from './raw-events.js';
import { linesOf, StraceCalls } from './strace-calls.js';

/** A packed text file that is written in parts. */
class Packed {
  private readonly packed = createGzip({ level: 1 });
  private readonly written: Promise<unknown>;
  private problem: unknown = null;

  constructor(private readonly path: string) {
    this.written = pipeline(this.packed, createWriteStream(path)).catch((error: unknown) => {
      this.problem = error;
    });
  }

  async write(text: string): Promise<void> {
    if (this.problem === null && !this.packed.write(text, 'latin1'))
      await Promise.race([new Promise((resolve) => this.packed.once('drain', resolve)), this.written]);
    this.check();
  }

  async end(): Promise<void> {
    this.packed.end();
    await this.written;
    this.check();
  }

  private check(): void {
    if (this.problem !== null) throw fileError(this.path, 'write', this.problem);
  }
}

/** Prints perf's recording of process `pid` and its tree into `events`. */
export async function printed(plan: Plan, machine: Machine, folder: string, pid: number, events: string): Promise<RawEvents> {
  const raw = new RawEvents(pid);
  const file = new Packed(events);
  const calls = plan.method === 'faults' ? new StraceCalls(linesOf(straceText(folder))) : null;
  const args = ['script', '-i', perfData(folder), ...SCRIPT_ARGUMENTS, '-F', calls === null ? TRACEPOINT_FIELDS : SOFTWARE_FIELDS];
  let rest = '';
  await printPerf(plan.perf, args, perfEnvironment(machine), async (bytes) => {
    const text = rest + bytes.toString('latin1');
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end);
    const lines = calls === null ? text.slice(0, end) : merged(text.slice(0, end), calls);
    await file.write(raw.pass(lines));
  });
  if (calls !== null) await file.write(raw.pass(calls.rest()));
  await file.end();
  if (raw.givenUp.length > 0) await without(events, new Set(raw.givenUp.map(({ key }) => key)));
  return raw;
}

/** Prints the page allocator's recording, of the whole machine, into `file`; how many records perf lost. */
export async function printedPages(plan: Plan, machine: Machine, folder: string, file: string): Promise<number> {
  const packed = new Packed(file);
  const args = ['script', '-i', pagesData(folder), '--ns', '--show-lost-events', '-F', TRACEPOINT_FIELDS];
  let lost = 0;
  let rest = '';
  await printPerf(plan.perf, args, perfEnvironment(machine), async (bytes) => {
    const text = bytes.toString('latin1');
    const joined = rest + text;
    const end = joined.lastIndexOf('\n') + 1;
    rest = joined.slice(end);
    for (const [, count] of joined.slice(0, end).matchAll(/PERF_RECORD_LOST\w*: .*?lost (\d+)/g)) lost += Number(count);
    await packed.write(text);
  });
  await packed.end();
  return lost;
}

function merged(text: string, calls: StraceCalls): string {
  let out = '';
  for (const line of text.split('\n')) if (line !== '') out += calls.put(line);
  return out;
}

/** Writes the events anew without the page faults that came to nothing. */
async function without(events: string, keys: ReadonlySet<string>): Promise<void> {
  const aside = `${events}.new`;
  const file = new Packed(aside);
  for await (const line of createInterface({ input: createReadStream(events).pipe(createGunzip()).setEncoding('latin1') })) {
    if (!line.includes('exceptions:page_fault') || !keys.has(lineKey(line))) await file.write(`${line}\n`);
  }
  await file.end();
  renameSync(aside, events);
}

/** strace's text without what came before the command: everything up to the second exec, for the first is that of the shell which held it back. */
export async function straceFrom(folder: string, events: string): Promise<void> {
  const file = new Packed(events);
  let execs = 0;
  for await (const line of createInterface({ input: createReadStream(straceText(folder), 'latin1') })) {
    if (execs < 2 && line.includes(' execve(')) execs++;
    if (execs >= 2) await file.write(`${line}\n`);
  }
  await file.end();
}
