/**
 * Sizes and numbers as flags take them: whole bytes, or a number with a binary unit (`512MiB`, `1.5GiB`). Powers of ten are refused with the remedy, because
 * `4GB` is 7 % away from what a memory of that name holds. Does not know what the numbers are for; the flag's name comes along for the message.
 */
import { UserError } from '../traces/event.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 };
const DECIMAL: Readonly<Record<string, string>> = { k: 'KiB', kb: 'KiB', m: 'MiB', mb: 'MiB', g: 'GiB', gb: 'GiB', t: 'TiB', tb: 'TiB' };

/** Bytes of a size such as `4GiB`; UserError that begins with `flag` otherwise. At most 2^53 - 1 bytes. */
export function parseSize(text: string, flag: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) throw new UserError(`${flag} ${text}: expected a size such as 4096, 512MiB or 4GiB (KiB, MiB, GiB, TiB)`);
  const [, digits, suffix] = match;
  const unit = suffix.toLowerCase();
  const binary = DECIMAL[unit];
  if (binary !== undefined) throw new UserError(`${flag} ${text}: unknown unit ${suffix}; write ${digits}${binary} (units are KiB, MiB, GiB, TiB)`);
  const factor = UNITS[unit];
  if (factor === undefined) throw new UserError(`${flag} ${text}: unknown unit ${suffix}; units are KiB, MiB, GiB, TiB`);
  const bytes = Number(digits) * factor;
  if (!Number.isInteger(bytes)) throw new UserError(`${flag} ${text}: not a whole number of bytes`);
  if (!Number.isSafeInteger(bytes)) throw new UserError(`${flag} ${text}: more than 2^53 bytes`);
  return bytes;
}

/** A whole number from `least` to `most`; UserError that begins with `flag` otherwise. */
export function parseCount(text: string, flag: string, least: number, most: number): number {
  const value = /^[+-]?[0-9]+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new UserError(`${flag} ${text}: expected a whole number ${most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`}`);
  }
  return value;
}
