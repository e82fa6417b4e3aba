/** Ranges against one entry a page, on generated commands. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ranges } from '../../../traces/linux/ranges.js';

const SPAN = 64;

describe('Ranges', () => {
  it('agree with an array of pages after every command', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ start: fc.nat(SPAN - 1), length: fc.integer({ min: 1, max: 20 }), protection: fc.nat(7), object: fc.nat(3), clone: fc.boolean() }),
          { maxLength: 40 },
        ),
        (commands) => {
          let ranges = new Ranges();
          const pages = Array.from({ length: SPAN + 20 }, () => '');
          for (const { start, length, protection, object, clone } of commands) {
            if (clone) {
              const before = ranges;
              ranges = ranges.clone();
              before.set({ start: 0, end: SPAN, protection: 0, object: 9, shift: 0 });
            }
            ranges.set({ start, end: start + length, protection, object, shift: 0 });
            pages.fill(`${protection} ${object}`, start, start + length);
            for (let page = 0; page < pages.length; page++) {
              const range = ranges.at(page);
              expect(range === undefined ? '' : `${range.protection} ${range.object}`).toBe(pages[page]);
            }
            const found = ranges.within(start - 3, start + 9);
            for (let i = 1; i < found.length; i++) expect((found[i] as { start: number }).start).toBeGreaterThanOrEqual((found[i - 1] as { end: number }).end);
            const gaps = ranges.gaps(0, SPAN).flatMap((gap) => Array.from({ length: gap.end - gap.start }, (_, i) => gap.start + i));
            expect(gaps).toEqual(Array.from({ length: SPAN }, (_, i) => i).filter((page) => pages[page] === ''));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
