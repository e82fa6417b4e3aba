/** Worked examples, computed by hand, of the lookup unit. */
import { describe, expect, it } from 'vitest';
import { Attr } from '../../../arch/arch.js';
import { lookupConfig } from '../../../core/lookup/configs.js';
import { Access, LookupCounter } from '../../../core/lookup/lookup-contract.js';
import type { LookupConfig } from '../../../core/lookup/lookup-contract.js';
import { makeLookup } from '../../../core/lookup/lookup.js';
import { makeTinyTables } from './tables.js';

const RW = Attr.write | Attr.user;
const split = (page: number): [number, number] => [Math.floor(page / 262144), (page - Math.floor(page / 262144) * 262144) * 4096];

function machine(config: LookupConfig = lookupConfig('default'), cpus = 1, maxSpaces = 4) {
  const tables = makeTinyTables(maxSpaces);
  const lookup = makeLookup({ config, tables, cpus, maxSpaces });
  const count = (c: LookupCounter): number => {
    lookup.spill();
    return lookup.counters[c]!;
  };
  const touch = (page: number, kind: number = Access.read, space = 0, cpu = 0): number => lookup.access(space, ...split(page), kind, cpu);
  return { tables, lookup, count, touch };
}

describe('a walk', () => {
  it('reads 4 entries when everything is cold, then 1 with the PDE cached, and none from the TLB', () => {
    const { tables, count, touch } = machine();
    tables.map(0, 0x12345, 1, RW);
    tables.map(0, 0x12346, 1, RW);
    expect(touch(0x12345)).toBe(1);
    expect(count(LookupCounter.walkRefs)).toBe(4);
    expect(touch(0x12346)).toBe(1);
    expect(count(LookupCounter.walkRefs)).toBe(5);
    expect(count(LookupCounter.pdeHits)).toBe(1);
    expect(touch(0x12345)).toBe(1);
    expect(count(LookupCounter.walkRefs)).toBe(5);
    expect(count(LookupCounter.l1Hits)).toBe(1);
    expect(count(LookupCounter.lookups)).toBe(3);
    expect(count(LookupCounter.misses)).toBe(2);
  });
});
