/**
 * Reads numbers out of a line of text, by position, without regular expressions and without cutting strings: importers go through millions of lines.
 *
 * Does not decide what a line is; a number that is not there is NaN, and the position stays where it was.
 */
const ZERO = 48;
const NINE = 57;
const TWO_32 = 4294967296;

/** Value of a hexadecimal digit's character code, or -1. */
function digitOf(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  if (code >= 97 && code <= 102) return code - 87;
  if (code >= 65 && code <= 70) return code - 55;
  return -1;
}

/** A position in a line. `line` and `at` may be set freely. */
export class Scanner {
  line = '';
  at = 0;

  /** Starts over at `at` of another line. */
  over(line: string, at = 0): this {
    this.line = line;
    this.at = at;
    return this;
  }

  /** Character code here, NaN at the end. */
  peek(): number {
    return this.line.charCodeAt(this.at);
  }

  /** Steps over blanks and tabs. */
  blanks(): void {
    for (let c = this.line.charCodeAt(this.at); c === 32 || c === 9; c = this.line.charCodeAt(this.at)) this.at++;
  }

  /** Steps over `text` if it is here; true if it was. */
  eat(text: string): boolean {
    if (!this.line.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  /** Moves behind the next `text`; false (and not moved) if there is none. */
  skipTo(text: string): boolean {
    const found = this.line.indexOf(text, this.at);
    if (found < 0) return false;
    this.at = found + text.length;
    return true;
  }

  /** Moves behind the last occurrence of a character; false (and not moved) if there is none ahead. */
  toLast(code: number): boolean {
    const { line, at } = this;
    for (let i = line.length - 1; i >= at; i--) {
      if (line.charCodeAt(i) === code) {
        this.at = i + 1;
        return true;
      }
    }
    return false;
  }

  /** The text up to the next blank or the end. */
  word(): string {
    const blank = this.line.indexOf(' ', this.at);
    const end = blank < 0 ? this.line.length : blank;
    const text = this.line.slice(this.at, end);
    this.at = end;
    return text;
  }

  /**
   * Hexadecimal digits, with or without `0x`, as a signed 64-bit number: addresses of the upper half come out negative (arch/address.ts). Exact for 53 bits.
   * NaN if there are none, or more than 16.
   */
  hex(): number {
    const { line } = this;
    let at = this.at;
    if (line.charCodeAt(at) === ZERO && (line.charCodeAt(at + 1) | 32) === 120) at += 2;
    const start = at;
    let value = 0;
    for (let digit = digitOf(line.charCodeAt(at)); digit >= 0; digit = digitOf(line.charCodeAt(at))) {
      value = value * 16 + digit;
      at++;
    }
    const digits = at - start;
    if (digits === 0 || digits > 16) return NaN;
    this.at = at;
    if (digits <= 13) return value;
    const high = Number.parseInt(line.slice(start, at - 8), 16);
    const low = Number.parseInt(line.slice(at - 8, at), 16);
    return (high >= 2147483648 ? high - TWO_32 : high) * TWO_32 + low;
  }

  /** Decimal digits, with or without a minus sign. Exact up to 2^53. NaN if there are none. */
  decimal(): number {
    const { line } = this;
    let at = this.at;
    const negative = line.charCodeAt(at) === 45;
    if (negative) at++;
    const start = at;
    let value = 0;
    for (let c = line.charCodeAt(at); c >= ZERO && c <= NINE; c = line.charCodeAt(at)) {
      value = value * 10 + (c - ZERO);
      at++;
    }
    if (at === start) return NaN;
    this.at = at;
    return negative ? -value : value;
  }

  /** What `seconds` read: whole seconds, and nanoseconds beyond them. Apart, because 64-bit nanoseconds since 1970 are not exact in a double. */
  whole = 0;
  nanos = 0;

  /** Reads `seconds.fraction` into `whole` and `nanos`; digits beyond the ninth are left out. False (and not moved) if it is not there. */
  seconds(): boolean {
    const start = this.at;
    const whole = this.decimal();
    if (Number.isNaN(whole) || this.peek() !== 46) {
      this.at = start;
      return false;
    }
    this.at++;
    let nanos = 0;
    let weight = 100000000;
    for (let c = this.peek(); c >= ZERO && c <= NINE; c = this.peek()) {
      nanos += (c - ZERO) * weight;
      weight = weight > 1 ? weight / 10 : 0;
      this.at++;
    }
    this.whole = whole;
    this.nanos = nanos;
    return true;
  }
}
