/** Imports texts and fixtures the way the driver does, and says what came out in a form that is easy to compare. */
import { EventList } from '../../../traces/event-list.js';
import { OP_NAMES, type Loss, type TraceEvent, type TraceHeader } from '../../../traces/event.js';
import type { TraceFormat } from '../../../traces/format.js';
import { bytesInput, openInput, readSideFile } from '../../../traces/input.js';
import { unpackedChunks } from '../../../traces/unpack.js';

export const SAMPLES = new URL('../../fixtures/samples/', import.meta.url).pathname;
export const RECORDINGS = new URL('../../fixtures/recordings/', import.meta.url).pathname;

export interface Imported {
  header: TraceHeader;
  events: TraceEvent[];
  losses: Loss[];
  warnings: string[];
  /** Events by name of their operation. */
  counts: Record<string, number>;
}

export interface Options {
  strict?: boolean;
  chunkBytes?: number;
  /** Files beside the recording. */
  sides?: Record<string, string>;
  file?: string;
}

export function countsOf(events: readonly TraceEvent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of events) counts[OP_NAMES[op] as string] = (counts[OP_NAMES[op] as string] ?? 0) + 1;
  return counts;
}

export async function importBytes(format: TraceFormat, bytes: Uint8Array | string, options: Options = {}): Promise<Imported> {
  const file = options.file ?? 'sample';
  const list = new EventList(options.strict === true);
  const warnings: string[] = [];
  const header = await format.import(bytesInput(bytes, file, options.chunkBytes), list, {
    file,
    strict: options.strict === true,
    sideFile: (name) => Promise.resolve(options.sides?.[name] ?? null),
    warn: (message) => void warnings.push(message),
  });
  return { header, events: list.events, losses: list.losses, warnings, counts: countsOf(list.events) };
}

/** A directory as `framewalk import DIR` takes it. */
export async function importRecording(format: TraceFormat, directory: string): Promise<Imported> {
  const file = `${directory}/events.perf.txt.gz`;
  const list = new EventList(true);
  const warnings: string[] = [];
  const header = await format.import(openInput([file]), list, {
    file,
    strict: true,
    sideFile: (name) => readSideFile(file, name),
    warn: (message) => void warnings.push(message),
  });
  return { header, events: list.events, losses: list.losses, warnings, counts: countsOf(list.events) };
}

/** Text of a sample, unpacked, one character a byte. */
export async function sample(name: string): Promise<string> {
  let text = '';
  for await (const chunk of unpackedChunks(SAMPLES + name)) text += chunk.toString('latin1');
  return text;
}

/** An event as one line: what differs is seen at a glance. */
export const show = ({ time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text }: TraceEvent): string =>
  `${time} ${pid}/${tid} ${OP_NAMES[op]} ${addr.toString(16)} ${size} ${addr2.toString(16)} ${arg} ${flags.toString(16)} ${cpu}${text === undefined ? '' : ` ${text}`}`;
