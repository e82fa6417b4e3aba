import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { closest, editDistance, knownName, knownNames } from '../../cli/names.js';

const PMMS = ['bitmap', 'bitmap-first-fit', 'free-stack', 'buddy', 'buddy-pcp'];

/** The definition, without a table: what the fast one must agree with on short words. */
function slowDistance(a: string, b: string): number {
  if (a === '' || b === '') return Math.max(a.length, b.length);
  const tail = (s: string, n: number): string => s.slice(0, s.length - n);
  let best = Math.min(slowDistance(tail(a, 1), b) + 1, slowDistance(a, tail(b, 1)) + 1, slowDistance(tail(a, 1), tail(b, 1)) + (a.at(-1) === b.at(-1) ? 0 : 1));
  if (a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)) best = Math.min(best, slowDistance(tail(a, 2), tail(b, 2)) + 1);
  return best;
}

describe('closest names', () => {
  it('counts edits as the definition does', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 });
    fc.assert(fc.property(word, word, (a, b) => editDistance(a, b) === slowDistance(a, b)));
  });

  it.each([
    ['budy', 'buddy'],
    ['bitmpa', 'bitmap'],
    ['Buddy', 'buddy'],
    ['free_stack', 'free-stack'],
    ['free', 'free-stack'],
  ])('%s means %s', (typed, meant) => {
    expect(closest(typed, PMMS)).toBe(meant);
  });

  it('does not guess wildly', () => {
    expect(closest('slab', PMMS)).toBeUndefined();
  });

  it('words the error', () => {
    expect(() => knownName('budy', '--pmm', PMMS)).toThrow(
      '--pmm budy: unknown name, did you mean buddy? (known: bitmap, bitmap-first-fit, free-stack, buddy, buddy-pcp)',
    );
    expect(() => knownName('slab', '--pmm', PMMS)).toThrow('--pmm slab: unknown name (known: bitmap,');
  });

  it('reads lists', () => {
    expect(knownNames('bitmap, buddy', '--pmm', PMMS)).toEqual(['bitmap', 'buddy']);
    expect(() => knownNames('bitmap,,buddy', '--pmm', PMMS)).toThrow('--pmm bitmap,,buddy: empty name in the list');
    expect(() => knownNames('bitmap,bitmap', '--pmm', PMMS)).toThrow('--pmm bitmap,bitmap: bitmap is named twice');
  });
});
