/** YAML and JSON files that the user wrote: read, parsed and checked against a zod schema, with one line for whatever is wrong. */
import { readFileSync } from 'node:fs';
import type { ZodType } from 'zod';
import { UserError } from '../traces/event.js';
import { fileError } from '../traces/io-error.js';

/** Text of a file; UserError that begins with `label` (a flag) when it cannot be read. */
export function readText(path: string, label: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw fileError(`${label} ${path}`, 'read', error);
  }
}

/** The value of a YAML or JSON text (JSON is a part of YAML); UserError with `file` and line when it is neither. */
export async function parseText(text: string, file: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text);
  const fault = document.errors.at(0);
  if (fault !== undefined) throw new UserError(`${file}:${fault.linePos?.[0].line ?? 1}: not YAML or JSON: ${fault.message.split('\n')[0]}`);
  return document.toJS();
}

/** `value` as the schema has it; UserError that names the file, the place and what was expected. */
export async function checked<T>(schema: ZodType<T>, value: unknown, file: string): Promise<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { prettifyError } = await import('zod');
  const lines = prettifyError(result.error)
    .split('✖ ')
    .filter((issue) => issue.trim() !== '');
  throw new UserError(`${file}: ${lines.map((issue) => issue.trim().replace(/\s*\n\s*→\s*/g, ' ')).join('; ')}`);
}
