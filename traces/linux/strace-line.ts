/**
 * The text of strace (strace(1), "FORMAT"): what stands before a call, and a call's arguments and result.
 *
 *      [pid N] | N   time stamp   (+ relative)   [nr]   [instruction pointer]   name(arguments) = result text <duration>
 */
import type { Scanner } from '../scan.js';

export interface Prefix {
  /** -1 = not printed. */
  tid: number;
  /** none; `unix` seconds since 1970; `day` time of day; `relative` since the line before. */
  stamp: 'none' | 'unix' | 'day' | 'relative';
  whole: number;
  nanos: number;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

/** Reads what stands before the call and leaves `scan` at the call. */
export function readPrefix(scan: Scanner, into: Prefix): void {
  into.tid = -1;
  into.stamp = 'none';
  scan.blanks();
  const start = scan.at;
  if (scan.eat('[pid')) {
    scan.blanks();
    into.tid = scan.decimal();
    scan.eat(']');
    scan.blanks();
  } else if (isDigit(scan.peek())) {
    const tid = scan.decimal();
    if (scan.peek() === 32) {
      into.tid = tid;
      scan.blanks();
    } else scan.at = start;
  }
  readStamp(scan, into);
  scan.blanks();
  if (scan.eat('(+')) {
    scan.skipTo(') ');
    scan.blanks();
  }
  while (scan.peek() === 91) {
    if (!scan.skipTo(']')) return;
    scan.blanks();
  }
}

function readStamp(scan: Scanner, into: Prefix): void {
  if (!isDigit(scan.peek())) return;
  const start = scan.at;
  if (scan.seconds()) {
    into.whole = scan.whole;
    into.nanos = scan.nanos;
    // `-r` prints what passed since the line before: nobody waits for three years.
    into.stamp = scan.whole < 1e8 ? 'relative' : 'unix';
    return;
  }
  const first = scan.decimal();
  if (scan.peek() !== 58) {
    // Whole seconds (-t with format:unix): ten digits and a blank; anything else is not a time.
    if (first >= 1e8 && scan.peek() === 32) {
      into.stamp = 'unix';
      into.whole = first;
      into.nanos = 0;
    } else scan.at = start;
    return;
  }
  scan.at++;
  const minutes = scan.decimal();
  scan.eat(':');
  into.stamp = 'day';
  into.nanos = 0;
  if (scan.seconds()) into.nanos = scan.nanos;
  else scan.whole = scan.decimal();
  into.whole = first * 3600 + minutes * 60 + scan.whole;
}

const DAY = 86400;

/** Time stamps of any kind as nanoseconds since the first; they never run back. Without stamps it counts lines. */
export class StraceClock {
  /** As TraceHeader.clock. */
  name: 'none' | 'relative' | 'realtime' = 'none';
  private epoch = NaN;
  private base = 0;
  private days = 0;
  private now = 0;

  tick({ stamp, whole, nanos }: Prefix): number {
    let time = this.now;
    switch (stamp) {
      case 'none':
        time += this.name === 'none' ? 1 : 0;
        break;
      case 'relative':
        this.name = 'relative';
        time += whole * 1e9 + nanos;
        break;
      case 'day':
      case 'unix': {
        this.name = 'realtime';
        if (Number.isNaN(this.epoch)) {
          this.epoch = whole;
          this.base = nanos;
        }
        let seconds = whole + this.days * DAY - this.epoch;
        // A time of day that runs back by hours has passed midnight.
        if (stamp === 'day' && seconds * 1e9 < this.now - (DAY / 2) * 1e9) {
          this.days++;
          seconds += DAY;
        }
        time = seconds * 1e9 + nanos - this.base;
        break;
      }
      default:
        stamp satisfies never;
    }
    if (time > this.now) this.now = time;
    return this.now;
  }
}

export interface Call {
  readonly args: readonly string[];
  /** NaN for `?` (it did not return). */
  readonly result: number;
  /** What follows the result's number: `</path>`, `ENOENT (...)`, a comment. */
  readonly rest: string;
}

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Takes `name(arguments) = result` apart, from behind the first parenthesis; null if it does not end as a call. */
export function readCall(text: string, from: number): Call | null {
  const args: string[] = [];
  const open: string[] = [')'];
  let start = from;
  let at = from;
  for (; at < text.length && open.length > 0; at++) {
    const c = text.charAt(at);
    if (c === '"') at = endOfString(text, at);
    else if (c === '<' && isDigit(text.charCodeAt(at - 1)) && text.charAt(at + 1) !== '<') at = endOfPath(text, at);
    else if (c === '/' && text.charAt(at + 1) === '*') at = Math.max(at, text.indexOf('*/', at) + 1);
    else if (c === '(' || c === '[' || c === '{') open.push(CLOSING[c] as string);
    else if (c === open[open.length - 1]) {
      open.pop();
      if (open.length === 0) args.push(text.slice(start, at).trim());
    } else if (c === ',' && open.length === 1) {
      args.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  const result = /^\s+= (\?|0x[0-9a-f]+|-?\d+)/.exec(text.slice(at));
  if (open.length > 0 || result === null) return null;
  const [whole, value] = result as unknown as [string, string];
  if (args.length === 1 && args[0] === '') args.pop();
  return { args, result: value === '?' ? NaN : Number(value), rest: text.slice(at + whole.length) };
}

function endOfString(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    if (text.charAt(at) === '\\') at++;
    else if (text.charAt(at) === '"') return at;
  }
  return text.length;
}

/** `<` ... `>` with what `-yy` nests in it. */
function endOfPath(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text.charAt(at) === '<') depth++;
    else if (text.charAt(at) === '>' && --depth === 0) return at;
  }
  return text.length;
}

/** Bytes of strace's escapes: octal, hexadecimal and C's letters. */
export function unescape(text: string): string {
  const letters: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f', '"': '"', '\\': '\\' };
  return text.replace(/\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))/g, (all, hex?: string, octal?: string, letter?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 255);
    return letters[letter ?? ''] ?? all;
  });
}

/** The path of `3</etc/ld.so.cache>` or `3</dev/zero<char 1:5>>(deleted)`; empty if none is printed. */
export function pathOf(descriptor: string): string {
  const open = descriptor.indexOf('<');
  if (open < 0) return '';
  const inner = descriptor.slice(open + 1, descriptor.lastIndexOf('>'));
  const device = inner.indexOf('<');
  return unescape(device < 0 ? inner : inner.slice(0, device));
}

/** The text of a quoted argument: `"/usr/bin/gcc"`; empty if it is none. */
export function quoted(argument: string | undefined): string {
  return argument !== undefined && argument.startsWith('"') ? unescape(argument.slice(1, endOfString(argument, 0))) : '';
}
