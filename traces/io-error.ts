/**
 * Turns what the operating system says about a file into the one line a user gets.
 */
import { UserError } from './event.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a directory, a file was expected',
  ENOTDIR: 'a part of the path is not a directory',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would become too large for the file system',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
  ELOOP: 'too many symbolic links',
  ENAMETOOLONG: 'the name is too long',
  EIO: 'the device reported an error',
  EBUSY: 'the file is in use',
};

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error ? error.code : undefined;

/** True when `error` says that the file does not exist. */
export const isMissing = (error: unknown): boolean => codeOf(error) === 'ENOENT';

/**
 * `error` as a UserError when it comes from the operating system, unchanged otherwise (then it is a defect, or a UserError already).
 * `doing` completes "cannot ...": `read`, `write`.
 */
export function fileError(file: string, doing: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  return new UserError(`${file}: cannot ${doing}: ${REASONS[code] ?? code}`, { cause: error });
}
