/**
 * Writing for people and pipes: standard output that survives a reader who leaves, and files that are whole or not there. A file is written beside its place
 * and renamed; what is not a regular file (a pipe, /dev/stdout) is written directly.
 */
import { renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../traces/event.js';
import { fileError } from '../traces/io-error.js';
import { temporary } from './interrupt.js';

/** Prints to standard output. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** One line to standard error with the program's name. */
export function complain(text: string): void {
  process.stderr.write(`framewalk: ${text}\n`);
}

/** A reader that went away is no error; a full disk behind standard output is the user's. */
export function watchStandardStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    const seen = fileError('standard output', 'write', error);
    complain(seen instanceof Error ? seen.message : String(seen));
    process.exit(2);
  });
  process.stderr.on('error', () => process.exit(2));
}

const isOf = (error: unknown, paths: readonly string[]): boolean => {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === 'ENOSPC' || error.code === 'EDQUOT' || ('path' in error && typeof error.path === 'string' && paths.includes(error.path));
};

/** Calls `write` with the path to write to; afterwards the whole file stands at `path`, or nothing of it when `write` throws. `flag` is for the message. */
export async function writeWhole<T>(path: string, flag: string, write: (path: string) => Promise<T>): Promise<T> {
  const present = statSync(path, { throwIfNoEntry: false });
  if (present?.isDirectory() === true) throw new UserError(`${flag} ${path}: is a directory, expected the name of a file to write`);
  const direct = present !== undefined && !present.isFile();
  const target = direct ? path : join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const settled = direct ? () => undefined : temporary(target);
  try {
    const result = await write(target);
    if (!direct) renameSync(target, path);
    return result;
  } catch (error) {
    throw isOf(error, [path, target]) ? fileError(`${flag} ${path}`, 'write', error) : error;
  } finally {
    if (!direct) rmSync(target, { force: true });
    settled();
  }
}
