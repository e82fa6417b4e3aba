/** Worked examples of the lookup unit, computed by hand. */
import { describe, expect, it } from 'vitest';
import { Attr } from '../../../arch/arch.js';
import { addrHi, addrLo } from '../../../arch/address.js';
import { architectures } from '../../../arch/registry.js';
import { lookupConfig, lookupConfigs } from '../../../core/lookup/configs.js';
import { Access, LookupCounter } from '../../../core/lookup/lookup-contract.js';
import type { LookupConfig, WalkedTables } from '../../../core/lookup/lookup-contract.js';
import { makeLookup } from '../../../core/lookup/lookup.js';
import { makeTinyTables } from './tables.js';

const RW = Attr.write | Attr.user;
const PAGE = 0x5_0a0f_0321; // a distinct index on every level: PML4 0xa, PDPT 0x28, PD 0x78, PT 0x121
const split = (page: number): [number, number] => [addrHi(page * 4096), addrLo(page * 4096)];

function unit(tables: WalkedTables, config: LookupConfig, cpus = 1, maxSpaces = 4) {
  const lookup = makeLookup({ config, tables, cpus, maxSpaces });
  const count = (c: LookupCounter): number => {
    lookup.spill();
    return lookup.counters[c]!;
  };
  /** What the counters gained by the action: hits in level 1 and 2, misses, permission walks, reads. */
  const gained = (action: () => void): { l1: number; l2: number; miss: number; permission: number; refs: number } => {
    const now = (): number[] =>
      [LookupCounter.l1Hits, LookupCounter.l2Hits, LookupCounter.misses, LookupCounter.permissionWalks, LookupCounter.walkRefs].map((c) => count(c));
    const before = now();
    action();
    const [l1, l2, miss, permission, refs] = now().map((n, i) => n - before[i]!);
    return { l1: l1!, l2: l2!, miss: miss!, permission: permission!, refs: refs! };
  };
  const touch = (page: number, kind: number = Access.read, space = 0, cpu = 0): number => lookup.access(space, ...split(page), kind, cpu);
  return { lookup, count, gained, touch };
}
function machine(config: LookupConfig = lookupConfig('default'), cpus = 1) {
  const tables = makeTinyTables(4);
  return { tables, ...unit(tables, config, cpus) };
}
const hit = { l1: 1, l2: 0, miss: 0, permission: 0, refs: 0 };
const hit2 = { l1: 0, l2: 1, miss: 0, permission: 0, refs: 0 };
const miss = (refs: number) => ({ l1: 0, l2: 0, miss: 1, permission: 0, refs });

describe('walks', () => {
  it('read 4 entries when everything is cold, 1 with the PDE cached, 2 with the PDPTE, 3 with the PML4E', () => {
    const { tables, lookup, gained, touch } = machine();
    const GIB = 262144;
    for (const page of [PAGE, PAGE + 1, PAGE + 512, PAGE + GIB]) tables.map(0, page, 1, RW);
    expect(gained(() => touch(PAGE))).toEqual(miss(4));
    expect(gained(() => touch(PAGE + 1))).toEqual(miss(1));
    expect(gained(() => touch(PAGE + 512))).toEqual(miss(2));
    expect(gained(() => touch(PAGE + GIB))).toEqual(miss(3));
    expect(gained(() => touch(PAGE))).toEqual(hit);
    expect([...lookup.walkLengths]).toEqual([0, 1, 1, 1, 1]);
  });

  it('read what there is before they fault, and find the tables of a failed walk cached', () => {
    const { tables, count, gained, touch, lookup } = machine();
    expect(gained(() => expect(touch(PAGE)).toBe(0))).toEqual(miss(1));
    tables.map(0, PAGE + 1, 1, RW);
    expect(gained(() => expect(touch(PAGE)).toBe(0))).toEqual(miss(4));
    tables.map(0, PAGE, 1, RW);
    expect(gained(() => expect(lookup.retry(0, ...split(PAGE), Access.read, 0)).toBe(1))).toEqual({ ...miss(1), miss: 0 });
    expect(count(LookupCounter.faults)).toBe(2);
    expect(count(LookupCounter.lookups)).toBe(2);
  });

  it('set A on every level and D in the leaf on the first write only', () => {
    const { tables, touch } = machine();
    tables.map(0, PAGE, 1, RW);
    const flags = (level: number): number => tables.pt[tables.entry(0, PAGE, level)]! & (Attr.accessed | Attr.dirty);
    touch(PAGE);
    expect([1, 2, 3, 4].map(flags)).toEqual([Attr.accessed, Attr.accessed, Attr.accessed, Attr.accessed]);
    touch(PAGE, Access.write);
    expect([1, 2].map(flags)).toEqual([Attr.accessed | Attr.dirty, Attr.accessed]);
  });
});

describe('permissions', () => {
  it('walk again for the first write to a page that was read, then hit', () => {
    const { tables, gained, touch } = machine();
    tables.map(0, PAGE, 1, RW);
    touch(PAGE);
    expect(gained(() => touch(PAGE, Access.write))).toEqual({ l1: 0, l2: 0, miss: 0, permission: 1, refs: 1 });
    expect(gained(() => touch(PAGE, Access.write))).toEqual(hit);
    expect(gained(() => touch(PAGE))).toEqual(hit);
  });

  it('fault on a write to a read-only page and on a fetch from an XD page, without A or D', () => {
    const { tables, touch } = machine();
    tables.map(0, PAGE, 1, Attr.user | Attr.noExecute);
    expect(touch(PAGE, Access.write)).toBe(0);
    expect(touch(PAGE, Access.fetch)).toBe(0);
    expect(tables.pt[tables.entry(0, PAGE, 1)]! & (Attr.accessed | Attr.dirty)).toBe(0);
    expect(touch(PAGE)).toBe(1);
    expect(touch(PAGE, Access.fetch)).toBe(0);
  });
});

describe('replacement', () => {
  it('evicts the least recently used of a 4-way set: pages 0 16 32 48, then 0 again, 64 takes the place of 16', () => {
    const { tables, gained, touch } = machine({ ...lookupConfig('default'), tlb: [{ entries: 64, ways: 4, hitCycles: 1 }] });
    for (const p of [0, 16, 32, 48, 64]) tables.map(0, PAGE * 512 + p, 1, RW);
    const at = (p: number) => gained(() => touch(PAGE * 512 + p));
    for (const p of [0, 16, 32, 48]) expect(at(p).miss).toBe(1);
    expect(at(0)).toEqual(hit);
    expect(at(64)).toEqual(miss(1)); // order now 64 0 48 32
    for (const p of [32, 48, 0, 64]) expect(at(p)).toEqual(hit); // order 64 0 48 32
    expect(at(16)).toEqual(miss(1)); // takes the place of 32
    expect(at(48)).toEqual(hit);
    expect(at(32)).toEqual(miss(1)); // takes the place of 0: order 32 48 16 64
    expect(at(0)).toEqual(miss(1)); // takes the place of 64
    expect([16, 48, 32].map((p) => at(p))).toEqual([hit, hit, hit]);
  });

  it('finds in level 2 what level 1 evicted, and brings it back', () => {
    const { tables, gained, touch } = machine();
    for (let p = 0; p < 5; p++) tables.map(0, p * 16, 1, RW);
    for (let p = 0; p < 5; p++) touch(p * 16);
    expect(gained(() => touch(0))).toEqual(hit2);
    expect(gained(() => touch(0))).toEqual(hit);
  });

  it('fills the place of an invalidated page first', () => {
    const { tables, lookup, gained, touch } = machine({ ...lookupConfig('default'), tlb: [{ entries: 4, ways: 4, hitCycles: 1 }] });
    for (let p = 0; p < 5; p++) tables.map(0, p, 1, RW);
    for (let p = 0; p < 4; p++) touch(p);
    lookup.invalidatePage(0, ...split(2));
    touch(4);
    expect([0, 1, 3, 4].map((p) => gained(() => touch(p)).l1)).toEqual([1, 1, 1, 1]);
  });
});

describe('large pages', () => {
  it('are one entry each, found after a walk that is one or two reads shorter', () => {
    const { tables, lookup, gained, touch } = machine();
    tables.map(0, 512, 2, RW);
    const gib = 512 ** 3 * 3 + 262144 * 2;
    tables.map(0, gib, 3, RW);
    expect(gained(() => touch(512))).toEqual(miss(3));
    expect(gained(() => touch(1023))).toEqual(hit);
    expect(gained(() => touch(gib))).toEqual(miss(2));
    expect(gained(() => touch(gib + 262143))).toEqual(hit);
    lookup.invalidatePage(0, ...split(700));
    expect(gained(() => touch(1000)).miss).toBe(1);
    expect(gained(() => touch(gib + 77))).toEqual(hit);
  });
});

describe('forgetting', () => {
  it('of a page drops the walk-cache entries that lead to it, or with Intel semantics all of the space', () => {
    for (const [invalidation, otherRefs] of [
      ['path', 1],
      ['space', 4],
    ] as const) {
      const { tables, lookup, gained, touch } = machine({ ...lookupConfig('default'), invalidation });
      const far = PAGE + 512 * 512 * 512;
      for (const p of [PAGE, far, far + 1]) tables.map(0, p, 1, RW);
      touch(PAGE);
      touch(far);
      lookup.invalidatePage(0, ...split(PAGE));
      expect(gained(() => touch(far + 1))).toEqual(miss(otherRefs));
      expect(gained(() => touch(PAGE))).toEqual(miss(4));
      expect(gained(() => touch(far))).toEqual(hit);
    }
  });

  it('of a space leaves other spaces alone', () => {
    const { tables, lookup, gained, touch } = machine();
    for (const space of [0, 1]) tables.map(space, PAGE, 1, RW);
    touch(PAGE, Access.read, 0);
    touch(PAGE, Access.read, 1);
    lookup.flushSpace(0);
    expect(gained(() => touch(PAGE, Access.read, 1))).toEqual(hit);
    expect(gained(() => touch(PAGE, Access.read, 0))).toEqual(miss(4));
  });

  it('happens at a switch without PCIDs, on that CPU only, and spares the kernel', () => {
    const { tables, lookup, gained, touch } = machine({ ...lookupConfig('default'), pcid: false }, 2);
    tables.map(0, PAGE, 1, RW);
    tables.map(-1, -PAGE, 1, RW);
    for (const cpu of [0, 1]) {
      lookup.switchSpace(0, cpu);
      touch(PAGE, Access.read, 0, cpu);
      touch(-PAGE, Access.read, 0, cpu);
    }
    lookup.switchSpace(1, 0);
    lookup.switchSpace(0, 0);
    lookup.switchSpace(-1, 1);
    lookup.switchSpace(0, 1);
    expect(gained(() => touch(PAGE, Access.read, 0, 0)).miss).toBe(1);
    expect(gained(() => touch(PAGE, Access.read, 0, 1))).toEqual(hit);
    expect(gained(() => touch(-PAGE, Access.read, 1, 0))).toEqual(hit);
  });

  it('survives ids running out once: 57-bit addresses leave 32767 of them', () => {
    const tables = makeTinyTables(4, 5, 57);
    const { lookup, gained, touch } = unit(tables, lookupConfig('default'));
    for (const space of [0, 1]) tables.map(space, PAGE, 1, RW);
    const gain = gained(() => {
      for (let i = 0; i < 40_000; i++) {
        lookup.flushSpace(0);
        touch(PAGE, Access.read, 0);
        touch(PAGE, Access.read, 1);
      }
    });
    // Space 0 misses each time; space 1, never flushed, when it is new and when everything was cleared.
    expect(gain).toEqual({ l1: 39_998, l2: 0, miss: 40_002, permission: 0, refs: 40_002 * 5 });
  });
});

describe('counting', () => {
  it('is exact over many spills and costs cycles by the table', () => {
    const { tables, lookup, touch, count } = machine();
    tables.map(0, PAGE, 1, RW);
    for (let i = 0; i < 1000; i++) {
      touch(PAGE);
      if (i % 7 === 0) lookup.spill();
    }
    touch(PAGE + 99);
    expect(count(LookupCounter.lookups)).toBe(1001);
    // 999 hits of 1 cycle; 2 walks of 10, 4 + 1 reads of 14, 1 fault of 800.
    expect(lookup.cycles()).toBe(999 + 20 + 70 + 800);
    expect(lookup.cycles()).toBe(999 + 20 + 70 + 800);
  });
});

describe('every registered lookup unit', () => {
  it('translates over every architecture, and has hits unless it has no TLB', () => {
    for (const arch of architectures.all()) {
      for (const config of lookupConfigs) {
        const tables = arch.create({
          frames: {
            allocate: (
              (next) => () =>
                next++
            )(1),
            free: () => 0,
          },
          totalFrames: 100_000,
          maxSpaces: 4,
          observer: { dropped: () => undefined, copied: () => undefined },
        });
        expect(tables.createSpace(0)).toBe(0);
        const bytes = tables.PAGE_SIZE;
        const va = 0x12_3456 * bytes;
        expect(tables.vmap(0, 5000 * bytes, va, 100 * bytes, Attr.write | Attr.user)).toBe(0);
        const { lookup, count } = unit(tables, config);
        const attr = new Int32Array(16);
        for (let round = 0; round < 2; round++) {
          for (let i = 0; i < 100; i++) expect(lookup.access(0, addrHi(va + i * bytes), addrLo(va + i * bytes), i & 1, 0)).toBe(1);
        }
        expect(lookup.access(0, addrHi(va + 100 * bytes), addrLo(va + 100 * bytes), 0, 0)).toBe(0);
        tables.vgetmapping(0, va + bytes, attr);
        expect(attr[0]! & (Attr.accessed | Attr.dirty)).toBe(Attr.accessed | Attr.dirty);
        tables.vgetmapping(0, va, attr);
        expect(attr[0]! & (Attr.accessed | Attr.dirty)).toBe(Attr.accessed);
        const hits = count(LookupCounter.l1Hits) + count(LookupCounter.l2Hits);
        expect(hits).toBe(config.tlb.length === 0 ? 0 : 100);
        expect(hits + count(LookupCounter.misses)).toBe(201);
      }
    }
  });

  it('has a name of its own, a title and a source; default comes first', () => {
    expect(lookupConfigs[0]!.name).toBe('default');
    for (const { title, source } of lookupConfigs) expect(title.length * source.length).toBeGreaterThan(0);
    expect(() => lookupConfig('defualt')).toThrow(
      "unknown lookup unit 'defualt'; known: default, none, skylake-sp, jaguar, cortex-a53; did you mean 'default'?",
    );
  });

  it('cannot have sizes that make no sense', () => {
    const tlb = (entries: number, ways: number) => () => machine({ ...lookupConfig('default'), tlb: [{ entries, ways, hitCycles: 1 }] });
    for (const [entries, ways] of [
      [64, 3],
      [64, 0],
      [-4, 4],
      [6.5, 1],
      [2 ** 21, 4],
    ]) {
      expect(tlb(entries!, ways!)).toThrow('lookup unit default: TLB level 1 of');
    }
    const three = Array.from({ length: 3 }, () => ({ entries: 4, ways: 4, hitCycles: 1 }));
    expect(() => machine({ ...lookupConfig('default'), tlb: three })).toThrow('lookup unit default: at most two TLB levels');
  });

  it('may be fully associative with more ways than a byte counts', () => {
    const { tables, gained, touch } = machine({ ...lookupConfig('default'), tlb: [{ entries: 300, ways: 300, hitCycles: 1 }] });
    for (let p = 0; p <= 300; p++) tables.map(0, p, 1, RW);
    for (let p = 0; p < 300; p++) touch(p);
    expect(gained(() => touch(0))).toEqual(hit);
    expect(gained(() => touch(300)).miss).toBe(1);
    expect(gained(() => touch(1)).miss).toBe(1);
    expect(gained(() => touch(0))).toEqual(hit);
  });
});
