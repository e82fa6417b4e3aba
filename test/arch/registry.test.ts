/** The registry of architectures and the registry in general. */
import { describe, expect, it } from 'vitest';
import { UnknownNameError, closestName, makeRegistry } from '../../arch/registry-core.js';
import { architectures } from '../../arch/registry.js';

describe('architectures', () => {
  it('knows x86-64 with its geometry', () => {
    expect(architectures.names()).toContain('x86-64');
    for (const name of architectures.names()) {
      const { geometry, title, source } = architectures.get(name);
      expect(geometry.name).toBe(name);
      expect(title.length * source.length).toBeGreaterThan(0);
      expect(geometry.tableNames.length).toBe(geometry.levels + 1);
      expect(geometry.leafLevels).toEqual(geometry.leafLevels.map((_, k) => k + 1));
    }
  });

  it('answers an unknown name with the known ones and the closest', () => {
    expect(() => architectures.get('x86_64')).toThrow(UnknownNameError);
    expect(() => architectures.get('x86_64')).toThrow(/unknown architecture 'x86_64'; known: x86-64.*did you mean 'x86-64'/);
    expect(() => architectures.get('vax')).toThrow(/known: x86-64/);
  });
});

describe('a registry', () => {
  const of = (...names: string[]) =>
    makeRegistry(
      'thing',
      names.map((name) => ({ name })),
      (thing) => thing.name,
    );
  it('keeps its order', () => {
    const things = of('b', 'a', 'c');
    expect(things.names()).toEqual(['b', 'a', 'c']);
    expect(things.all().map((thing) => thing.name)).toEqual(['b', 'a', 'c']);
    expect([things.has('a'), things.has('d')]).toEqual([true, false]);
  });
  it('refuses two of one name', () => {
    expect(() => of('a', 'b', 'a')).toThrow(/named 'a'/);
  });
  it('guesses only what resembles', () => {
    expect(closestName('budy', ['bitmap', 'buddy', 'free-stack'])).toBe('buddy');
    expect(closestName('Free-Stakc', ['bitmap', 'buddy', 'free-stack'])).toBe('free-stack');
    expect(closestName('slab', ['bitmap', 'buddy'])).toBeUndefined();
  });
});
