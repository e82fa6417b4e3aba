/**
 * Matrix files: the options of `run` in a YAML or JSON file, for runs that are repeated or reviewed.
 *
 *     traces: [gcc.fwt, bash.fwt]      # relative to this file
 *     pmm: [bitmap, buddy]
 *     memory: 2GiB
 *     kernel-heap: off
 *
 * Keys are the flags' names without dashes at the front, and `traces`. Lists may be written as lists or with commas. A key that is no option is an error that
 * names the closest one. Values become the text a flag would have, so everything after this file treats both alike.
 */
import { dirname, isAbsolute, join } from 'node:path';
import type { ZodType } from 'zod';
import { UserError } from '../traces/event.js';
import { isAgeFile } from './age.js';
import { checked, parseText, readText } from './document.js';
import { isOwnFile } from '../core/pmm/own/names.js';
import { closest } from './names.js';
import { RUN_OPTIONS, type RunKey, type RunOption } from './run-options.js';

/** What a matrix file says: traces to replay, and options as text. */
export interface MatrixFile {
  readonly file: string;
  readonly traces: readonly string[];
  readonly options: ReadonlyMap<RunKey, string>;
}

type Value = string | number | boolean | (string | number)[];

const isRunKey = (key: string): key is RunKey => key in RUN_OPTIONS && key !== 'matrix';

const KEYS: readonly string[] = ['traces', ...Object.keys(RUN_OPTIONS).filter(isRunKey)];

/** Reads a matrix file. UserError names the file and the key. */
export async function readMatrix(file: string): Promise<MatrixFile> {
  return await parseMatrix(readText(file, '--matrix'), file);
}

/** The same for a text; `file` is for messages and for relative paths. */
export async function parseMatrix(text: string, file: string): Promise<MatrixFile> {
  const value = await parseText(text, file);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UserError(`${file}: expected keys and values, such as pmm: [bitmap, buddy]`);
  const stranger = Object.keys(value).find((key) => !KEYS.includes(key));
  if (stranger !== undefined) {
    const near = closest(stranger, KEYS);
    throw new UserError(`${file}: ${stranger}: unknown key${near === undefined ? '' : `, did you mean ${near}?`} (known: ${KEYS.join(', ')})`);
  }
  const given = await checked(await matrixSchema(), value, file);
  const options = new Map<RunKey, string>();
  for (const [key, one] of Object.entries(given)) {
    if (isRunKey(key)) options.set(key, asText(RUN_OPTIONS[key], one, file));
  }
  const traces = given['traces'] === undefined ? [] : [given['traces']].flat();
  return { file, traces: traces.map((path) => beside(file, String(path))), options };
}

const beside = (file: string, path: string): string => (isAbsolute(path) ? path : join(dirname(file), path));

async function matrixSchema(): Promise<ZodType<Record<string, Value>>> {
  const { z } = await import('zod');
  const word = z.union([z.string(), z.number()]);
  const list = z.union([word, z.array(word).min(1, { error: 'expected a name or a list of names' })], { error: 'expected a name or a list of names' });
  const valueSchema = (option: RunOption): ZodType<Value> => {
    switch (option.kind) {
      case 'names':
      case 'names-or-files':
      case 'numbers':
      case 'rules':
      case 'age':
        return list;
      case 'switch':
        return z.boolean({ error: 'expected true or false' });
      case 'choice':
        return z.union([z.string(), z.boolean()], { error: `expected one of ${option.choices.join(', ')}` });
      case 'count':
        return z.int({ error: 'expected a whole number' });
      case 'size':
        return z.union([z.string(), z.int()], { error: 'expected a size such as 4GiB, or bytes' });
      case 'path':
      case 'path-or-name':
      case 'text':
        return z.string({ error: 'expected text' });
      default:
        return unreachable(option);
    }
  };
  // Keys are known to be options here, so one schema for each entry that is present.
  return z.record(z.string(), z.unknown()).transform((record, context) => {
    const values: Record<string, Value> = {};
    for (const [key, one] of Object.entries(record)) {
      const result = (isRunKey(key) ? valueSchema(RUN_OPTIONS[key]) : list).safeParse(one);
      if (result.success) values[key] = result.data;
      else for (const issue of result.error.issues) context.addIssue({ code: 'custom', message: issue.message, path: [key, ...issue.path] });
    }
    return values;
  });
}

function asText(option: RunOption, value: Value, file: string): string {
  if (option.kind === 'names-or-files')
    return String(value)
      .split(',')
      .map((word) => (isOwnFile(word.trim()) ? beside(file, word.trim()) : word))
      .join(',');
  const text = Array.isArray(value) ? value.join(',') : String(value);
  if (option.kind === 'age')
    return text
      .split(',')
      .map((word) => (isAgeFile(word.trim()) ? beside(file, word.trim()) : word))
      .join(',');
  if (Array.isArray(value)) return text;
  if (option.kind === 'path') return beside(file, text);
  if (option.kind === 'path-or-name' && /[/\\.]/.test(text)) return beside(file, text);
  // `on` and `off` are words in YAML 1.2 and booleans in older habits; both mean the same here.
  if (option.kind === 'choice' && typeof value === 'boolean') return value ? 'on' : 'off';
  return text;
}

function unreachable(value: never): never {
  throw new Error(`unexpected value ${JSON.stringify(value)}`);
}
