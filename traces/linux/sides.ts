/**
 * What may lie beside a recording of Linux: `files.csv` (mapped files and what of them was not in the page cache) and `truth.csv` (what the kernel said about the
 * processes meanwhile). Both are plain CSV with a header line, written by the recorder:
 *
 *     device,inode,size_bytes,path,absent_page_runs          fe:00,260879,118456,/usr/bin/sort,5+1 7+2        (first page + pages, hexadecimal)
 *     time_ns,pid,threads,vm_size_kb,vm_pte_kb,rss_anon_kb,rss_file_kb,rss_shmem_kb[,begin_ns][,racy]
 */
import { Flag, QUANTITY_NAMES, UserError } from '../event.js';

/** What identifies a file: device and inode, or (where those are unknown) its path. */
export interface FileIdentity {
  readonly key: string;
  /** As the recorder printed it (latin1). */
  readonly path: string;
}

export interface FileFacts {
  readonly size: number;
  /** Runs of pages (numbered from 0) that were not in the page cache. */
  readonly absent: readonly { readonly first: number; readonly pages: number }[];
}

export interface FileTable {
  find(file: FileIdentity): FileFacts | undefined;
}

export const UNKNOWN_FILES: FileTable = { find: () => undefined };

/** Key of a file by device (`major:minor`, hexadecimal) and inode. */
export const fileKey = (device: string, inode: number): string => `${device} ${inode}`;

/** Fields of a CSV line; quotes as in RFC 4180. */
function fieldsOf(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    let field = '';
    if (line.charAt(at) === '"') {
      for (at++; at < line.length; at++) {
        if (line.charAt(at) !== '"') field += line.charAt(at);
        else if (line.charAt(at + 1) === '"') field += line.charAt(at++);
        else break;
      }
      at++;
    }
    const comma = line.indexOf(',', at);
    const end = comma < 0 ? line.length : comma;
    fields.push(field + line.slice(at, end));
    at = end + 1;
  }
  return fields;
}

/** Calls back for every line with a getter of the columns by name. UserError when a required column is missing. */
function eachRow(file: string, text: string, required: readonly string[], row: (get: (column: string) => string, line: number) => void): void {
  const lines = text.split(/\r?\n/);
  const header = fieldsOf(lines[0] ?? '');
  const missing = required.filter((column) => !header.includes(column));
  if (missing.length > 0) throw new UserError(`${file}:1: column ${missing.join(', ')} is missing; expected ${required.join(',')}`);
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] as string;
    if (line === '') continue;
    const fields = fieldsOf(line);
    row((column) => fields[header.indexOf(column)] ?? '', i + 1);
  }
}

function numberOf(text: string, base: 10 | 16, file: string, line: number, what: string): number {
  const value = (base === 16 ? /^[0-9a-f]+$/i : /^[0-9]+$/).test(text) ? Number.parseInt(text, base) : NaN;
  if (!Number.isSafeInteger(value)) throw new UserError(`${file}:${line}: ${what} '${text}' is not a ${base === 16 ? 'hexadecimal' : 'decimal'} number`);
  return value;
}

/** `files.csv`. UserError with its line when it is broken. */
export function readFiles(file: string, text: string): FileTable {
  const byKey = new Map<string, FileFacts>();
  const byPath = new Map<string, FileFacts>();
  eachRow(file, text, ['device', 'inode', 'size_bytes', 'path', 'absent_page_runs'], (get, line) => {
    const absent = get('absent_page_runs')
      .split(' ')
      .filter((run) => run !== '')
      .map((run) => {
        const plus = run.indexOf('+');
        return {
          first: numberOf(run.slice(0, plus), 16, file, line, 'first page'),
          pages: numberOf(run.slice(plus + 1), 16, file, line, 'pages'),
        };
      });
    const facts: FileFacts = { size: numberOf(get('size_bytes'), 10, file, line, 'size_bytes'), absent };
    byKey.set(fileKey(get('device'), numberOf(get('inode'), 10, file, line, 'inode')), facts);
    byPath.set(Buffer.from(get('path'), 'utf8').toString('latin1'), facts);
  });
  return { find: ({ key, path }) => byKey.get(key) ?? byPath.get(path) };
}

/** One reading of one process. */
export interface Reading {
  /** End of the reading: whole seconds, and nanoseconds beyond them. */
  readonly whole: number;
  readonly nanos: number;
  /** Nanoseconds before the end at which it began; 0 if unknown. */
  readonly took: number;
  readonly pid: number;
  /** Flag.racy or 0. */
  readonly flags: number;
  /** Quantity number and value, in pairs. */
  readonly values: readonly (readonly [quantity: number, value: number])[];
}

/** `truth.csv`, in the order of time. UserError with its line when it is broken. */
export function readTruth(file: string, text: string): Reading[] {
  const readings: Reading[] = [];
  const columns = fieldsOf(text.slice(0, Math.max(text.indexOf('\n'), 0)).replace('\r', ''));
  const quantities = columns.map((name) => [QUANTITY_NAMES.indexOf(name), name] as const).filter(([quantity]) => quantity > 0);
  eachRow(file, text, ['time_ns', 'pid'], (get, line) => {
    const time = get('time_ns').padStart(10, '0');
    const end = { whole: numberOf(time.slice(0, -9), 10, file, line, 'time_ns'), nanos: numberOf(time.slice(-9), 10, file, line, 'time_ns') };
    const begin = get('begin_ns').padStart(10, '0');
    const took =
      get('begin_ns') === ''
        ? 0
        : (end.whole - numberOf(begin.slice(0, -9), 10, file, line, 'begin_ns')) * 1e9 + end.nanos - numberOf(begin.slice(-9), 10, file, line, 'begin_ns');
    const values = quantities.filter(([, name]) => get(name) !== '').map(([quantity, name]) => [quantity, numberOf(get(name), 10, file, line, name)] as const);
    const racy = get('racy');
    readings.push({ ...end, took, pid: numberOf(get('pid'), 10, file, line, 'pid'), flags: racy === '' || racy === '0' ? 0 : Flag.racy, values });
  });
  return readings.sort((a, b) => a.whole - b.whole || a.nanos - b.nanos);
}
