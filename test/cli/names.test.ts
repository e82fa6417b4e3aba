import { describe, expect, it } from 'vitest';
import { closest, knownName, knownNames } from '../../cli/names.js';

const PMMS = ['bitmap', 'bitmap-first-fit', 'free-stack', 'buddy', 'buddy-pcp'];

describe('closest names', () => {
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
