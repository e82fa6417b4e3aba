/**
 * A recording from its plan to the .fwt: starts the command held back, attaches the recorders, lets it go, waits for the last process of its tree, and imports
 * what they wrote. Everything lies in one folder beside the output until the trace is whole; `keep` leaves it there, as a recording that `verify` reads.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError, type Loss } from '../event.js';
import { FwtWriter } from '../fwt-writer.js';
import { importInto } from '../import.js';
import { fileError } from '../io-error.js';
import { capture, pagesData, type Captured, type RecordHooks } from './capture.js';
import { recordHeap } from './heap.js';
import { buildHelper, cacheState } from './helper.js';
import { kernelFacts, type Machine } from './machine.js';
import { planRecording, type Plan, type Wish } from './plan.js';
import { printed, printedPages, straceFrom } from './printing.js';
import { stateAtStart, type RawEvents } from './raw-events.js';
import { readingsOf } from './readings.js';

export interface RecordRequest extends Wish {
  readonly allowLost: boolean;
  /** Folder for the recording as perf printed it; none is kept without. */
  readonly keep: string | undefined;
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
    const captured = await capture(request.command, plan, machine, folder, hooks);
    const recorded = await converted(request, plan, machine, folder, captured, hooks);
    if (plan.heaptrack !== '') await recordHeap(plan.heaptrack, request.command, folder, heapBeside(request.output), hooks);
    return { code: captured.code, ...recorded };
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

/** `a.fwt` -> `a.pages.fwt`: a trace of its own, as its pages belong to the whole machine. */
async function pagesBeside(request: RecordRequest, plan: Plan, machine: Machine, folder: string): Promise<{ from: string; to: string }> {
  const { output, allowLost } = request;
  const text = join(folder, 'pages.perf.txt.gz');
  const lost = await printedPages(plan, machine, folder, text);
  rmSync(pagesData(folder), { force: true });
  if (lost > 0 && !allowLost) throw new UserError(`--pages: perf lost ${lost} records; record a shorter run, or keep it with --allow-lost`);
  const from = join(folder, 'pages.fwt');
  const writer = new FwtWriter(from);
  try {
    const header = await importInto([text], writer, {});
    Object.assign(header.kernel, kernelFacts(machine));
    Object.assign(header.provenance, { command: request.command.join(' '), date: new Date().toISOString(), recorder: 'framewalk record --pages' });
    writer.finish(header);
  } catch (error) {
    writer.abort();
    throw error;
  }
  return { from, to: beside(output, 'pages.fwt') };
}

/** `a.fwt` -> `a.heap.fwt` */
const heapBeside = (output: string): string => beside(output, 'heap.fwt');

const beside = (output: string, ending: string): string => `${output.replace(/\.fwt$/, '')}.${ending}`;

/** The side files of perf's text (traces/linux/sides.ts). UserError when the recording has holes. */
async function besides(request: RecordRequest, plan: Plan, folder: string, { pid, truth }: Captured, raw: RawEvents): Promise<void> {
  if (raw.lost > 0 && !request.allowLost)
    throw new UserError(`perf lost ${raw.lost} records, the recording has holes; record less at once, or keep it with --allow-lost`);
  if (plan.compiler !== null) {
    const state = await cacheState(buildHelper('cache', folder, plan.compiler), `${[...raw.files].join('\n')}\n`);
    writeFileSync(join(folder, 'files.csv'), stateAtStart(state, raw.added), 'latin1');
  }
  if (truth === null) return;
  const readings = join(folder, 'truth.csv');
  const { minor, major } = truth.before;
  const before = { minor: minor + raw.faultsBefore, major };
  writeFileSync(readings, readingsOf(readFileSync(readings, 'latin1'), pid, before, raw.givenUp), 'latin1');
}

/** Prints what was recorded, puts beside it what the import needs, and imports it. */
async function converted(
  request: RecordRequest,
  plan: Plan,
  machine: Machine,
  folder: string,
  captured: Captured,
  hooks: RecordHooks,
): Promise<Omit<Recorded, 'code'>> {
  const { truth } = captured;
  const events = join(folder, plan.method === 'calls' ? 'strace.txt.gz' : 'events.perf.txt.gz');
  let first = '';
  if (plan.method === 'calls') await straceFrom(folder, events);
  else {
    const raw = await printed(plan, machine, folder, captured.pid, events);
    ({ first } = raw);
    await besides(request, plan, folder, captured, raw);
  }
  for (const used of ['perf.data', 'strace.txt', 'truth', 'watch', 'cache']) rmSync(join(folder, used), { force: true });
  const pages = plan.pageTracepoints.length === 0 ? null : await pagesBeside(request, plan, machine, folder);
  const writer = new FwtWriter(request.output);
  try {
    const header = await importInto([events], writer, { onProgress: hooks.importing, onWarning: hooks.warn });
    Object.assign(header.kernel, kernelFacts(machine), truth === null ? {} : { zero_page: truth.zeroPage });
    Object.assign(header.provenance, { command: request.command.join(' '), date: new Date().toISOString(), recorder: `framewalk record (${plan.method})` });
    if (first !== '') header.provenance['clock_start'] = first;
    if (pages !== null) header.provenance['pages'] = basename(pages.to);
    if (plan.heaptrack !== '') header.provenance['heap'] = `${basename(heapBeside(request.output))}, of a second run of the command`;
    const { rows, losses } = writer.finish(header);
    if (pages !== null) renameSync(pages.from, pages.to);
    return { rows, losses };
  } catch (error) {
    writer.abort();
    throw error;
  }
}
