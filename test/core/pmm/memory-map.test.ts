import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isUsable, memoryMapFromRanges, memoryMapFromSize, parseE820, usableIn, usableWord } from '../../../core/pmm/memory-map.js';
import { UserError } from '../../../traces/event.js';

const BOOT_LOG = readFileSync(new URL('../../fixtures/pmm/e820-boot.log', import.meta.url), 'utf8');

describe('memoryMapFromSize', () => {
  it('rounds down to whole frames and has no holes', () => {
    expect(memoryMapFromSize(4096)).toEqual({ usable: [{ first: 0, count: 1 }], frames: 1, usableFrames: 1 });
    expect(memoryMapFromSize(3 * 4096 + 4095).frames).toBe(3);
    expect(memoryMapFromSize(2 ** 40).usableFrames).toBe(2 ** 28);
    expect(memoryMapFromSize(2 ** 43 - 4096).frames).toBe(2 ** 31 - 1);
  });

  it.each([4095, 0, -4096, NaN, Infinity, 2 ** 43, 2 ** 50])('refuses %d bytes with one line that names the flag', (bytes) => {
    expect(() => memoryMapFromSize(bytes)).toThrow(UserError);
    expect(() => memoryMapFromSize(bytes)).toThrow(/^--memory: .*\d[KGT]iB$/);
  });
});

describe('memoryMapFromRanges', () => {
  it('sorts, joins overlapping and adjacent ranges, drops empty ones', () => {
    const map = memoryMapFromRanges([
      { first: 50, count: 10 },
      { first: 10, count: 5 },
      { first: 15, count: 5 },
      { first: 12, count: 1 },
      { first: 30, count: 0 },
      { first: 55, count: 10 },
    ]);
    expect(map).toEqual({
      usable: [
        { first: 10, count: 10 },
        { first: 50, count: 15 },
      ],
      frames: 65,
      usableFrames: 25,
    });
  });

  it('refuses what is no frame range', () => {
    expect(() => memoryMapFromRanges([])).toThrow(/at least one usable frame/);
    for (const range of [
      { first: -1, count: 5 },
      { first: 0.5, count: 1 },
      { first: 2 ** 31 - 2, count: 2 },
    ]) {
      expect(() => memoryMapFromRanges([range])).toThrow(RangeError);
    }
  });
});

describe('questions to a map', () => {
  it('answer as a list of usable frames would', () => {
    const range = fc.record({ first: fc.integer({ min: 0, max: 300 }), count: fc.integer({ min: 1, max: 70 }) });
    fc.assert(
      fc.property(
        fc.array(range, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 0, max: 200 }),
        (ranges, from, length) => {
          const usable = new Set(ranges.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i)));
          const map = memoryMapFromRanges(ranges);
          expect(map.usableFrames).toBe(usable.size);
          expect(map.frames).toBe(Math.max(...usable) + 1);
          const frames = Array.from({ length: 400 }, (_, frame) => frame);
          expect(frames.filter((frame) => isUsable(map, frame))).toEqual([...usable].sort((a, b) => a - b));
          expect(usableIn(map, from, length)).toBe([...usable].filter((frame) => frame >= from && frame < from + length).length);
          for (let word = 0; word < 13; word++) {
            let mask = 0;
            for (let bit = 0; bit < 32; bit++) if (usable.has(word * 32 + bit)) mask |= 1 << bit;
            expect(usableWord(map, word)).toBe(mask);
          }
        },
      ),
    );
  });
});

describe('parseE820', () => {
  it('reads the boot log of a real machine, other lines and all', () => {
    const map = parseE820(BOOT_LOG, 'boot.log');
    expect(map.usable).toEqual([
      { first: 0, count: 0x9f },
      { first: 0x100, count: 0xc0000 - 0x100 },
      { first: 0x100000, count: 0x540000 },
    ]);
    // The kernel's ranges of that boot (its "node 0" lines) are these, less frame 0, which it takes for itself.
    expect(map.usableFrames - 1).toBe(0x9e + (0xc0000 - 0x100) + 0x540000);
    expect(map.frames).toBe(0x640000);
  });

  it('reads the plain form, comments, blank lines, CRLF, with or without 0x', () => {
    const text = '# my machine\r\n\r\n0x0 0x9fbff usable\r\n100000-1FFFFF USABLE\r\n  0xa0000 - 0xfffff   ACPI NVS  \r\n';
    expect(parseE820(text, 'm').usable).toEqual([
      { first: 0, count: 0x9f },
      { first: 0x100, count: 0x100 },
    ]);
  });

  it('shrinks partial pages inwards, after joining ranges that touch', () => {
    expect(parseE820('0x800 0x27ff usable', 'm').usable).toEqual([{ first: 1, count: 1 }]);
    expect(parseE820('0x1800 0x2fff usable\n0x1000 0x17ff usable', 'm').usable).toEqual([{ first: 1, count: 2 }]);
  });

  it('lets whatever is not usable win, in any order', () => {
    const lines = [
      '0x0 0xffff usable',
      '0x4000 0x4fff reserved',
      '0x7800 0x8000 ACPI data',
      '0x6000 0x6fff usable',
      '0x2000 0x2fff type 20',
      '0xf000 0xffffffffffffffff persistent (type 7)',
    ];
    const expected = [
      { first: 0, count: 2 },
      { first: 3, count: 1 },
      { first: 5, count: 2 },
      { first: 9, count: 6 },
    ];
    expect(parseE820(lines.join('\n'), 'm').usable).toEqual(expected);
    expect(parseE820([...lines].reverse().join('\n'), 'm').usable).toEqual(expected);
  });

  it('finds the pages whose every byte is usable, for any entries', () => {
    const entry = fc.record({ first: fc.integer({ min: 0, max: 79 }), length: fc.integer({ min: 1, max: 40 }), usable: fc.boolean() });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), (entries) => {
        // Units of a quarter page.
        const bytes = Array.from({ length: 120 }, (_, unit) => {
          const over = entries.filter((e) => unit >= e.first && unit < e.first + e.length);
          return over.length > 0 && over.every((e) => e.usable);
        });
        const pages = Array.from({ length: 30 }, (_, page) => page).filter((page) => bytes.slice(page * 4, page * 4 + 4).every(Boolean));
        const text = entries
          .map((e) => `0x${(e.first * 1024).toString(16)} 0x${((e.first + e.length) * 1024 - 1).toString(16)} ${e.usable ? 'usable' : 'reserved'}`)
          .join('\n');
        if (pages.length === 0) expect(() => parseE820(text, 'm')).toThrow(/no usable page/);
        else {
          const map = parseE820(text, 'm');
          expect(Array.from({ length: 30 }, (_, page) => page).filter((page) => isUsable(map, page))).toEqual(pages);
        }
      }),
    );
  });

  it.each([
    ['', /^m: no usable page; expected lines such as/],
    ['0x0 0xfff reserved', /^m: no usable page/],
    ['0x0 0xffe usable', /^m: no usable page/],
    ['# c\n0x0 usable', /^m:2: no e820 entry: '0x0 usable'; expected/],
    ['0x0 0xfff usable\nhello world foo', /^m:2: no e820 entry/],
    ['0x0 0x1ffffffffffffffff usable', /^m:1: no e820 entry/],
    ['x BIOS-e820: [mem 0x0000-] usable\n', /^m:1: no e820 entry/],
    ['0x2000 0x1fff usable', /^m:1: the entry ends at 1fff, before its start 2000/],
    ['0x0 0xfff wobbly', /^m:1: unknown type 'wobbly'; expected usable, reserved/],
    ['0x0 0x7ffffffffff usable', /^m:1: usable memory ends at .*cut the entry/],
    ['0x0 0xffffffffffffffff usable', /^m:1: usable memory ends at/],
  ])('answers %j with one line that says where and what', (text, message) => {
    expect(() => parseE820(text, 'm')).toThrow(UserError);
    expect(() => parseE820(text, 'm')).toThrow(message);
  });

  it('takes usable memory up to the last frame below 8 TiB', () => {
    expect(parseE820('0x7ffffffe000 0x7ffffffefff usable', 'm').frames).toBe(2 ** 31 - 1);
  });
});
