/**
 * A recording from its plan to the .fwt: starts the command held back, attaches the recorders, lets it go, waits for the last process of its tree, and imports
 * what they wrote. Everything lies in one folder beside the output until the trace is whole; `keep` leaves it there, as a recording that `verify` reads.
 */
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { basename, dirname, join, resolve } from 'node:path';
import { createGzip } from 'node:zlib';
import { UserError, type Loss } from '../event.js';
import { FwtWriter } from '../fwt-writer.js';
import { importInto } from '../import.js';
import { openInput } from '../input.js';
import { fileError } from '../io-error.js';
import { buildHelper, cacheState, startTruth, type Truth } from './helper.js';
import { hold, type Held } from './held.js';
import { kernelFacts, type Machine } from './machine.js';
import { printPerf, startPerf, type PerfRecording } from './perf.js';
import { recordArguments, SCRIPT_ARGUMENTS, tracepointArguments } from './perf-arguments.js';
import { planRecording, type Plan, type Wish } from './plan.js';
import { lineKey, RawEvents, stateAtStart } from './raw-events.js';
import { readingsOf } from './readings.js';

/** Between two looks at a process, at first (truth.c makes it longer as the recording does): short, for most programs that are recorded live some 100 ms. */
const READING_INTERVAL_US = 250;
const LOOK_AT_SIZE_MS = 500;

export interface RecordRequest extends Wish {
  readonly allowLost: boolean;
  /** Folder for the recording as perf printed it; none is kept without. */
  readonly keep: string | undefined;
}

export interface RecordHooks {
  /** A line for the user, which is no error. */
  warn(line: string): void;
  /** Bytes on disk while the command runs, then bytes imported and in all. */
  growing(bytes: number): void;
  importing(done: number, total: number): void;
  /** Aborted: the recording ends and is kept, whatever still runs. `command` gets the signals that framewalk got. */
  readonly stop: AbortSignal;
  /** Called with a way to pass a signal on to the command. */
  started(signal: (name: NodeJS.Signals) => void): void;
}

export interface Recorded {
  /** The command's exit code. */
  readonly code: number;
  readonly rows: number;
  readonly losses: readonly Loss[];
}

/** Records. UserError when it cannot, or when what was recorded has holes. */
export async function record(request: RecordRequest, machine: Machine, hooks: RecordHooks): Promise<Recorded> {
  const plan = planRecording(request, machine);
  for (const warning of plan.warnings) hooks.warn(warning);
  const folder = workFolder(request);
  try {
    const captured = await capture(request, plan, machine, folder, hooks);
    return { code: captured.code, ...(await converted(request, plan, machine, folder, captured, hooks)) };
  } finally {
    if (request.keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function workFolder({ output, keep }: RecordRequest): string {
  try {
    if (keep === undefined) return mkdtempSync(join(dirname(resolve(output)), `.${basename(output)}-`));
    mkdirSync(keep, { recursive: true });
    return keep;
  } catch (error) {
    throw fileError(keep === undefined ? `-o ${output}` : `--keep ${keep}`, 'write', error);
  }
}

const perfData = (folder: string): string => join(folder, 'perf.data');

/** perf prints numbers and messages as the locale has them. */
const perfEnvironment = (machine: Machine): NodeJS.ProcessEnv => ({ ...machine.env, LC_ALL: 'C' });

/** What is known when the command has ended. */
interface Captured {
  readonly code: number;
  readonly pid: number;
  readonly truth: Truth | null;
}

/** Runs the command under the recorders. */
async function capture(request: RecordRequest, plan: Plan, machine: Machine, folder: string, hooks: RecordHooks): Promise<Captured> {
  const truthProgram = plan.compiler === null ? null : buildHelper('truth', folder, plan.compiler);
  const held = await hold(request.command);
  let perf: PerfRecording | null = null;
  let truth: Truth | null = null;
  try {
    const args = recordArguments(held.pid, perfData(folder), tracepointArguments(plan.tracepoints), 'CLOCK_MONOTONIC');
    perf = await startPerf(plan.perf, args, perfEnvironment(machine));
    if (truthProgram !== null) truth = await startTruth(truthProgram, held.pid, join(folder, 'truth.csv'), 'monotonic', READING_INTERVAL_US);
  } catch (error) {
    held.signal('SIGKILL');
    perf?.end();
    throw error;
  }
  hooks.started(held.signal);
  held.go();
  return { code: await followed(held, perf, truth, folder, hooks), pid: held.pid, truth };
}

/** Waits for the whole tree, or until told to stop. */
async function followed(held: Held, perf: PerfRecording, truth: Truth | null, folder: string, hooks: RecordHooks): Promise<number> {
  const timer = setInterval(() => hooks.growing(sizeOf(perfData(folder))), LOOK_AT_SIZE_MS);
  const stopped = new Promise<'stopped'>((resolve) => hooks.stop.addEventListener('abort', () => resolve('stopped'), { once: true }));
  const tree = Promise.all([held.ended, perf.ended]);
  try {
    const first = await Promise.race([held.ended, stopped, perf.ended.then(() => 'perf' as const)]);
    if (first === 'perf' && (await Promise.race([held.ended, pause(1000)])) === undefined)
      hooks.warn(`perf ended before the command (${perf.complaint() || 'without a word'}); what came after is not recorded`);
    if (typeof first === 'number' && (await Promise.race([perf.ended, stopped, pause(1000)])) === undefined)
      hooks.warn('the command has ended, processes that it started still run and are recorded; Ctrl-C ends the recording');
    if ((await Promise.race([tree, stopped])) === 'stopped') perf.end();
    const perfCode = await perf.ended;
    if (perfCode !== 0 && perfCode !== 130) throw new UserError(`perf record failed: ${perf.complaint()}`);
    truth?.end();
    await truth?.ended;
    return (await Promise.race([held.ended, pause(200)])) ?? 130;
  } finally {
    clearInterval(timer);
  }
}

const pause = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** Prints what perf recorded, puts beside it what the import needs, and imports it. */
async function converted(
  request: RecordRequest,
  plan: Plan,
  machine: Machine,
  folder: string,
  { pid, truth }: Captured,
  hooks: RecordHooks,
): Promise<Omit<Recorded, 'code'>> {
  const events = join(folder, 'events.perf.txt.gz');
  const raw = await printed(plan, machine, folder, pid, events);
  if (raw.lost > 0 && !request.allowLost)
    throw new UserError(`perf lost ${raw.lost} records, the recording has holes; record less at once, or keep it with --allow-lost`);
  if (plan.compiler !== null) {
    const state = await cacheState(buildHelper('cache', folder, plan.compiler), `${[...raw.files].join('\n')}\n`);
    writeFileSync(join(folder, 'files.csv'), stateAtStart(state, raw.added), 'latin1');
  }
  if (truth !== null) {
    const readings = join(folder, 'truth.csv');
    const { minor, major } = truth.before;
    const before = { minor: minor + raw.faultsBefore, major };
    writeFileSync(readings, readingsOf(readFileSync(readings, 'latin1'), pid, before, raw.givenUp), 'latin1');
  }
  rmSync(perfData(folder), { force: true });
  for (const helper of ['truth', 'cache']) rmSync(join(folder, helper), { force: true });
  const writer = new FwtWriter(request.output);
  try {
    const header = await importInto([events], writer, { onProgress: hooks.importing, onWarning: hooks.warn });
    Object.assign(header.kernel, kernelFacts(machine), truth === null ? {} : { zero_page: truth.zeroPage });
    Object.assign(header.provenance, { command: request.command.join(' '), date: new Date().toISOString(), recorder: `framewalk record (${plan.method})` });
    const { rows, losses } = writer.finish(header);
    return { rows, losses };
  } catch (error) {
    writer.abort();
    throw error;
  }
}

async function printed(plan: Plan, machine: Machine, folder: string, pid: number, events: string): Promise<RawEvents> {
  const raw = new RawEvents(pid);
  const packed = createGzip({ level: 1 });
  const file = packed.pipe(createWriteStream(events));
  const written = once(file, 'close');
  const args = ['script', '-i', perfData(folder), ...SCRIPT_ARGUMENTS, '-F', 'comm,pid,tid,cpu,time,event,trace'];
  await printPerf(plan.perf, args, perfEnvironment(machine), async (bytes) => {
    if (!packed.write(raw.pass(bytes.toString('latin1')), 'latin1')) await once(packed, 'drain');
  });
  packed.end();
  await written;
  if (raw.givenUp.length > 0) await without(events, new Set(raw.givenUp.map(({ key }) => key)));
  return raw;
}

/** Writes the events anew without the page faults that came to nothing. */
async function without(events: string, keys: ReadonlySet<string>): Promise<void> {
  const aside = `${events}.new`;
  const packed = createGzip({ level: 1 });
  const written = once(packed.pipe(createWriteStream(aside)), 'close');
  await openInput([events]).forEachLine((line) => {
    if (!line.includes('exceptions:page_fault') || !keys.has(lineKey(line))) packed.write(`${line}\n`, 'latin1');
  });
  packed.end();
  await written;
  renameSync(aside, events);
}
