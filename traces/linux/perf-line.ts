/**
 * The columns of a `perf script` line (perf-script(1), field list; tools/perf/builtin-script.c, perf_sample__fprintf_start):
 *
 *      [comm] tid | pid/tid  [cpu]  seconds.fraction:  [period] event: what the event prints
 *
 * The command name may hold blanks and colons, so the line is taken apart from the time backwards.
 */
import type { Scanner } from '../scan.js';
import { fileKey } from './sides.js';

const SAMPLE_LINE = /^\s*(?:\S.*?\s)?\d+(?:\/\d+)?\s+(?:\[\d{3,}\]\s+)?\d+\.\d{6,9}:\s+(?:\d+\s+)?(?:PERF_RECORD_\w+|[\w-]+(?::[\w-]+)?(?::\w*)?:)/;

/** Whether a line looks like one; slow, for finding out what a file is. */
export const looksLikeSample = (line: string): boolean => SAMPLE_LINE.test(line);

/** Whether it is a frame of the call chain that may follow a sample. */
export const isFrame = (line: string): boolean => /^\s+[0-9a-f]+ /.test(line);

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

export interface SampleColumns {
  whole: number;
  nanos: number;
  /** -1 = not printed. */
  pid: number;
  tid: number;
  cpu: number;
  /** Where the time ended in the line before: it mostly does there again, as perf pads the columns. */
  timeEnd: number;
}

/** Position of the colon that ends the time, or -1: the first one that follows a digit and precedes a blank. */
function findTimeEnd(line: string, guess: number): number {
  // The fraction has 6 or 9 digits; no other number before a colon has a point there.
  if (line.charCodeAt(guess) === 58 && line.charCodeAt(guess + 1) === 32 && (line.charCodeAt(guess - 10) === 46 || line.charCodeAt(guess - 7) === 46))
    return guess;
  const { length } = line;
  for (let i = 1; i < length; i++) if (line.charCodeAt(i) === 58 && line.charCodeAt(i + 1) === 32 && isDigit(line.charCodeAt(i - 1))) return i;
  return -1;
}

/**
 * Reads the columns and leaves `scan` at the event's name. Null, or what is missing.
 * One loop over the characters, backwards, with the numbers in local variables: this is half of the work on most lines.
 */
export function readColumns(scan: Scanner, line: string, into: SampleColumns): 'time' | 'thread' | null {
  const colon = findTimeEnd(line, into.timeEnd);
  if (colon < 0) return 'time';
  into.timeEnd = colon;
  let at = colon - 1;
  let c = line.charCodeAt(at);
  let nanos = 0;
  let weight = 1;
  for (; isDigit(c); c = line.charCodeAt(--at)) {
    nanos += (c - 48) * weight;
    weight *= 10;
  }
  const digits = colon - 1 - at;
  if (c !== 46 || digits === 0 || digits > 9) return 'time';
  let whole = 0;
  let unit = 1;
  const point = at;
  for (c = line.charCodeAt(--at); isDigit(c); c = line.charCodeAt(--at)) {
    whole += (c - 48) * unit;
    unit *= 10;
  }
  if (at === point - 1 || point - at > 15) return 'time';
  into.whole = whole;
  into.nanos = nanos * (1e9 / weight);
  while (c === 32) c = line.charCodeAt(--at);
  into.cpu = 0;
  if (c === 93) {
    const open = line.lastIndexOf('[', at);
    into.cpu = scan.over(line, open + 1).decimal() | 0;
    at = open - 1;
    for (c = line.charCodeAt(at); c === 32; c = line.charCodeAt(--at));
  }
  let tid = 0;
  unit = 1;
  const end = at;
  for (; isDigit(c); c = line.charCodeAt(--at)) {
    tid += (c - 48) * unit;
    unit *= 10;
  }
  if (at === end || end - at > 10) return 'thread';
  into.tid = c === 45 ? -tid : tid;
  into.pid = -1;
  if (c === 47) {
    let pid = 0;
    unit = 1;
    const slash = at;
    for (c = line.charCodeAt(--at); isDigit(c); c = line.charCodeAt(--at)) {
      pid += (c - 48) * unit;
      unit *= 10;
    }
    if (at === slash - 1) return 'thread';
    into.pid = pid;
  }
  scan.over(line, colon + 2).blanks();
  if (isDigit(scan.peek())) {
    scan.decimal();
    scan.blanks();
  }
  return null;
}

/** `dev 254:0 ino 52db4 pfn=0x1 ofs=290816 order=0` of the page-cache tracepoints: device in decimal, inode in hexadecimal. Null if it is not that. */
export function readCachePages(scan: Scanner): { key: string; offset: number; order: number } | null {
  const major = scan.skipTo('dev') ? scan.over(scan.line, scan.at + 1).decimal() : NaN;
  const minor = scan.eat(':') ? scan.decimal() : NaN;
  const inode = scan.skipTo('ino') ? scan.over(scan.line, scan.at + 1).hex() : NaN;
  const offset = scan.skipTo('ofs=') ? scan.decimal() : NaN;
  const order = scan.skipTo('order=') ? scan.decimal() : 0;
  if (Number.isNaN(major + minor + inode + offset + order)) return null;
  return { key: fileKey(`${twoDigits(major)}:${twoDigits(minor)}`, inode), offset, order };
}

/** A part of a device number as the MMAP2 record prints it. */
const twoDigits = (part: number): string => part.toString(16).padStart(2, '0');
