/** The registry of architectures. */
import { describe, expect, it } from 'vitest';
import { UnknownNameError } from '../../arch/registry-core.js';
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
