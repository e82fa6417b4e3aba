import { describe, expect, it } from 'vitest';
import { closestName, makeRegistry, UnknownNameError } from '../../arch/registry-core.js';
import { pmms } from '../../core/pmm/registry.js';

const parts = makeRegistry('part', [{ id: 'bitmap' }, { id: 'free-stack' }, { id: 'buddy' }], ({ id }) => id);

describe('registry', () => {
  it('gives parts by name, in the order of registration', () => {
    expect(parts.names()).toEqual(['bitmap', 'free-stack', 'buddy']);
    expect(parts.all().map(({ id }) => id)).toEqual(parts.names());
    expect(parts.get('buddy').id).toBe('buddy');
    expect([parts.has('buddy'), parts.has('Buddy')]).toEqual([true, false]);
  });

  it('answers an unknown name with the known ones and the closest', () => {
    expect(() => parts.get('budy')).toThrow(UnknownNameError);
    expect(() => parts.get('budy')).toThrow(/^unknown part 'budy'; known: bitmap, free-stack, buddy; did you mean 'buddy'\?$/);
    expect(() => parts.get('slab')).toThrow(/^unknown part 'slab'; known: bitmap, free-stack, buddy$/);
    expect(() => parts.get('toString')).toThrow(UnknownNameError);
  });

  it('rejects two parts of one name', () => {
    expect(() => makeRegistry('part', ['a', 'b', 'a'], (name) => name)).toThrow("two entries of the part registry are named 'a'");
  });

  it('holds the strategies', () => {
    expect(pmms.names()).toEqual(expect.arrayContaining(['bitmap', 'free-stack', 'buddy']));
    for (const { title, source } of pmms.all()) expect([title, source]).not.toContain('');
  });
});

describe('closestName', () => {
  const names = ['x86-64', 'x86-64-la57', 'riscv-sv39', 'riscv-sv48', 'buddy', 'ab'];
  it.each([
    ['x86_64', 'x86-64'],
    ['X86-64', 'x86-64'],
    ['x8664', 'x86-64'],
    ['riscv-sv84', 'riscv-sv48'],
    ['riscv-sv39x', 'riscv-sv39'],
    ['bdudy', 'buddy'],
    ['ac', 'ab'],
    ['', undefined],
    ['completely-else', undefined],
  ])('of %j is %j', (name, expected) => {
    expect(closestName(name, names)).toBe(expected);
  });
});
