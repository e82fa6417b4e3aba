/**
 * Files that appear whole or not at all: written aside in the same folder, then renamed into place.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { UserError } from '../traces/event.js';

const CAUSES: Readonly<Record<string, string>> = {
  EACCES: 'no permission to write there; choose another place',
  EPERM: 'no permission to write there; choose another place',
  EROFS: 'the file system is read-only; choose another place',
  ENOSPC: 'the disk is full; make room or choose another place',
  EDQUOT: 'the disk quota is used up; make room or choose another place',
  ENOTDIR: 'a part of the path is a file, not a folder; choose another place',
  EEXIST: 'a part of the path is a file, not a folder; choose another place',
  EISDIR: 'it is a folder; remove it or choose another place',
  ENOTEMPTY: 'it is a folder; remove it or choose another place',
  ENAMETOOLONG: 'the name is too long; choose a shorter one',
  ELOOP: 'too many symbolic links; choose another place',
  ENOENT: 'the folder does not exist and cannot be made; choose another place',
};

/** A failure of the file system in the user's words; anything else is a defect and stays as it is. */
export function writeError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === undefined) return error;
  return new UserError(`${path}: cannot be written (${code}): ${CAUSES[code] ?? 'the system refused'}`);
}

function aside(path: string): string {
  return `${path}.part-${process.pid}`;
}

/** Makes the folder and its parents. UserError when that is impossible. */
export function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
  } catch (error) {
    throw writeError(dir, error);
  }
}

/**
 * Writes all files aside first, then renames all: a failure while writing leaves every old file as it was and no new one.
 * UserError names the file that could not be written.
 */
export function writeFiles(files: ReadonlyMap<string, string | Uint8Array>): void {
  let current = '';
  try {
    for (const [path, content] of files) {
      current = path;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(aside(path), content);
    }
    for (const path of files.keys()) {
      current = path;
      renameSync(aside(path), path);
    }
  } catch (error) {
    for (const path of files.keys()) rmSync(aside(path), { force: true });
    throw writeError(current, error);
  }
}
