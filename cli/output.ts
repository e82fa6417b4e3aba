/**
 * Writing for people and pipes: standard output that survives a reader who leaves, and folders that are there before work begins.
 * Files are written by traces/ and reports/, aside and then renamed.
 */
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../traces/event.js';
import { fileError } from '../traces/io-error.js';

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

/**
 * Makes `folder` and those above it that are missing: what cannot be written is said before the work, not after it. UserError names `flag`.
 * Those made go again at the end of the process if nothing came into them.
 */
export function makeFolders(folder: string, flag: string): void {
  const missing: string[] = [];
  const made: string[] = [];
  process.once('exit', () => {
    for (const path of made.reverse()) {
      if (existsSync(path) && readdirSync(path).length === 0) rmdirSync(path);
    }
  });
  try {
    for (let place = resolve(folder); !existsSync(place); place = dirname(place)) missing.push(place);
    // One by one: mkdir with `recursive` never returns on a file system such as /proc.
    for (const place of missing.reverse()) {
      mkdirSync(place);
      made.push(place);
    }
    if (!statSync(folder).isDirectory()) throw new UserError(`${flag} ${folder}: is a file, expected a folder; choose another place`);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileError(`${flag} ${folder}`, 'write', error);
  }
}
