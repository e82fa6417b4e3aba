import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scanner } from '../../traces/scan.js';

const at = (line: string, position = 0): Scanner => new Scanner().over(line, position);

describe('Scanner', () => {
  it('hexadecimal numbers are signed 64-bit ones, as BigInt has them', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.boolean(), fc.boolean(), (value, prefix, upper) => {
        const digits = upper ? value.toString(16).toUpperCase() : value.toString(16);
        const scan = at(`${prefix ? '0x' : ''}${digits},`);
        expect(scan.hex()).toBe(Number(BigInt.asIntN(64, value)));
        expect(scan.peek()).toBe(44);
      }),
    );
    expect(at('ffffffffff600000').hex()).toBe(-10485760);
  });

  it('decimal numbers', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const scan = at(`${value} `);
        expect(scan.decimal()).toBe(value + 0);
        expect(scan.peek()).toBe(32);
      }),
    );
  });

  it('a number that is not there is NaN and does not move', () => {
    for (const text of ['', 'x', '-', ' 1', '12345678123456781']) {
      const scan = at(text);
      if (text.length < 10) expect(scan.decimal()).toBeNaN();
      expect(scan.hex()).toBeNaN();
      expect(scan.seconds()).toBe(false);
      expect(scan.at).toBe(0);
    }
  });

  it('seconds keep their nanoseconds, whatever the number of digits', () => {
    for (const [text, whole, nanos] of [
      ['1795334173.782098', 1795334173, 782098000],
      ['0.000000001', 0, 1],
      ['5.', 5, 0],
      ['7.1234567899', 7, 123456789],
    ] as const) {
      const scan = at(text);
      expect(scan.seconds()).toBe(true);
      expect([scan.whole, scan.nanos, scan.at]).toEqual([whole, nanos, text.length]);
    }
  });

  it('words, blanks and searches', () => {
    const scan = at('  a=1 b=2 last');
    scan.blanks();
    expect(scan.eat('x')).toBe(false);
    expect(scan.eat('a=')).toBe(true);
    expect(scan.word()).toBe('1');
    expect(scan.skipTo('nothing')).toBe(false);
    expect(scan.skipTo('b=')).toBe(true);
    expect(scan.toLast(61)).toBe(false);
    expect(scan.word()).toBe('2');
    scan.blanks();
    expect(scan.word()).toBe('last');
    expect(at('a=1=2').toLast(61)).toBe(true);
    expect(scan.peek()).toBeNaN();
  });
});
