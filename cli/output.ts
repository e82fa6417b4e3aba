/**
 * Writing for people and pipes: standard output that survives a reader who leaves, and the question whether a folder can be written before work begins.
 * Files are written by traces/ and reports/, aside and then renamed.
 */
import { accessSync, constants, statSync } from 'node:fs';
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

/** Throws a UserError when `folder` cannot become, or is not, a folder that can be written: said before the work, not after it. */
export function mustBeWritable(folder: string, flag: string): void {
  let place = resolve(folder);
  for (;;) {
    const found = statSync(place, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) break;
    if (found !== undefined)
      throw new UserError(`${flag} ${folder}: ${place === resolve(folder) ? 'it' : place} is a file, expected a folder; choose another place`);
    place = dirname(place);
  }
  try {
    accessSync(place, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileError(`${flag} ${folder}`, 'write', error);
  }
}
