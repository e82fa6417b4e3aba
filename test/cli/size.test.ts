import { describe, expect, it } from 'vitest';
import { parseCount, parseSize } from '../../cli/size.js';
import { UserError } from '../../traces/event.js';

const message = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return 'no error';
};

describe('parseSize', () => {
  it.each([
    ['4096', 4096],
    ['0', 0],
    ['4GiB', 4294967296],
    ['512MiB', 536870912],
    ['1TiB', 1099511627776],
    ['1.5KiB', 1536],
    ['0.5 GiB', 536870912],
    ['64kib', 65536],
    ['12B', 12],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text, '--memory')).toBe(bytes);
  });

  it.each([
    ['', '--memory : expected a size such as'],
    ['-4GiB', '--memory -4GiB: expected a size such as'],
    ['GiB', '--memory GiB: expected a size such as'],
    ['4GB', '--memory 4GB: unknown unit GB; write 4GiB'],
    ['4g', '--memory 4g: unknown unit g; write 4GiB'],
    ['4PiB', '--memory 4PiB: unknown unit PiB; units are KiB, MiB, GiB, TiB'],
    ['0.3KiB', '--memory 0.3KiB: not a whole number of bytes'],
    ['1e3', '--memory 1e3: expected a size such as'],
    ['9000TiB', '--memory 9000TiB: more than 2^53 bytes'],
    ['0x10', '--memory 0x10: expected a size such as'],
  ])('refuses %j', (text, start) => {
    expect(message(() => parseSize(text, '--memory'))).toContain(start);
  });
});

describe('parseCount', () => {
  it('takes whole numbers within the bounds', () => {
    expect(parseCount('8', '--workers', 1, 256)).toBe(8);
    expect(parseCount('-1', '--pid', -1, Number.MAX_SAFE_INTEGER)).toBe(-1);
  });

  it.each(['0', '257', '1.5', '', 'two', '1e2', '99999999999999999999'])('refuses %j', (text) => {
    expect(message(() => parseCount(text, '--workers', 1, 256))).toBe(`--workers ${text}: expected a whole number from 1 to 256`);
  });

  it('words an open upper bound', () => {
    expect(message(() => parseCount('-3', '--seed', 0, Number.MAX_SAFE_INTEGER))).toBe('--seed -3: expected a whole number of at least 0');
  });
});
