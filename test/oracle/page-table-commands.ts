/**
 * Generated command sequences over page tables: each command does the same to the tables and to the oracle and compares what both answer.
 * Addresses come from few indices per level, so that commands meet each other's leaves and tables.
 */
import fc from 'fast-check';
import { ENOMEM, type ArchGeometry } from '../../arch/arch.js';
import { agree, compare, splitPage, zappedPages, MAX_SPACES, type Rig } from './page-table-rig.js';
import type { Leaf, Told } from './page-table-model.js';
import type { PageTableOracle } from './page-tables.js';

type Act = (model: PageTableOracle, real: Rig) => void;

/** Commands run by all sequences so far, for the test that asks how many there were. */
export const executed = { commands: 0, outOfMemory: 0, byName: new Map<string, number>() };

class Command implements fc.Command<PageTableOracle, Rig> {
  constructor(
    private readonly name: string,
    private readonly args: readonly unknown[],
    private readonly possible: (model: PageTableOracle) => boolean,
    private readonly act: Act,
  ) {}
  check(model: Readonly<PageTableOracle>): boolean {
    return this.possible(model as PageTableOracle);
  }
  run(model: PageTableOracle, real: Rig): void {
    model.told = [];
    real.told.length = 0;
    this.act(model, real);
    agree(real.told.map(line), model.told.map(line), 'what the observer was told');
    executed.commands++;
    compare(model, real, executed.commands % 4 === 0);
    executed.byName.set(this.name, (executed.byName.get(this.name) ?? 0) + 1);
  }
  toString(): string {
    return `${this.name}(${this.args.map((a) => (typeof a === 'number' && Math.abs(a) > 4095 ? `${a < 0 ? '-' : ''}0x${Math.abs(a).toString(16)}` : String(a))).join(', ')})`;
  }
}

const line = (t: Told): string => `${t.what} ${t.frame} ${t.flags} ${t.level}`;

function same(code: number, expected: number): void {
  agree(code, expected, 'the answer');
  if (code === ENOMEM) executed.outOfMemory++;
}

const largestFirst = (a: [number, Leaf], b: [number, Leaf]): number => b[1].level - a[1].level || a[0] - b[0];

function sameZapped(model: PageTableOracle, real: Rig): void {
  const { count, pages } = zappedPages(real.tables);
  agree(count, model.zapped.length, 'leaves touched');
  agree(pages, model.zapped.slice(0, 32), 'pages touched');
}

export function commandArbitraries(geometry: ArchGeometry): fc.Arbitrary<fc.Command<PageTableOracle, Rig>>[] {
  const entries = 2 ** geometry.indexBits;
  const { levels } = geometry;
  const span = (level: number): number => entries ** (level - 1);
  const pages = 2 ** (geometry.vaBits - geometry.pageShift);
  const half = pages / 2;
  const maxLeaf = Math.max(...geometry.leafLevels);
  const any = fc.integer({ min: 0, max: entries - 1 });
  const rootEntries = pages / span(levels);

  const indexAt = (level: number): fc.Arbitrary<number> =>
    level === 1
      ? fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 0, 1, 2, 31, 32, entries - 1) }, { weight: 1, arbitrary: any })
      : fc.oneof({ weight: 12, arbitrary: fc.constantFrom(0, 0, 0, 1, 5 % entries, entries - 1) }, { weight: 1, arbitrary: any });
  const rootIndex = (kernel: boolean): fc.Arbitrary<number> => {
    const low = rootEntries / 2;
    return fc.constantFrom(...(kernel ? [-low, -1, 0] : [0, 0, 5 % low, low - 1]));
  };
  const page = (kernel: boolean): fc.Arbitrary<number> =>
    fc
      .tuple(rootIndex(kernel), ...Array.from({ length: levels - 1 }, (_, k) => indexAt(levels - 1 - k)))
      .map((indices) => indices.reduce((sum, i, k) => sum + i * span(levels - k), 0));
  const aligned = (kernel: boolean, level: number): fc.Arbitrary<number> => page(kernel).map((p) => Math.floor(p / span(level)) * span(level));

  const process = fc.integer({ min: 0, max: MAX_SPACES - 1 });
  /** A pid and pages that go with it. */
  const at = fc.oneof({ weight: 4, arbitrary: fc.tuple(process, page(false)) }, { weight: 1, arbitrary: fc.tuple(fc.constant(-1), page(true)) });
  const atLarge = (level: number): fc.Arbitrary<[number, number]> =>
    fc.oneof({ weight: 3, arbitrary: fc.tuple(process, aligned(false, level)) }, { weight: 1, arbitrary: fc.tuple(fc.constant(-1), aligned(true, level)) });
  const fewPages = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 5 }) },
    { weight: 2, arbitrary: fc.integer({ min: 30, max: 70 }) },
    { weight: 1, arbitrary: fc.constantFrom(entries - 1, entries, entries + 1) },
  );
  const manyPages = fc.oneof(
    { weight: 5, arbitrary: fewPages },
    { weight: 2, arbitrary: fc.constantFrom(entries, 2 * entries, 3 * entries + 1) },
    { weight: 1, arbitrary: fc.constantFrom(span(3), span(3) + 5, half, pages) },
  );
  const flags = fc.constantFrom(7, 5, 0x207, 0x205, 0x27, 0x67, 0x800007, 0x107);
  const frame = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const physical = fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 39));
  const attr = fc.constantFrom(undefined, 7, 5, 0x207, 0x800003);
  /** Bits to clear and to set; a leaf that is made non-present gets a software bit, so that it stays a leaf. */
  const attributeChange = fc.constantFrom([2, 0], [0, 2], [1, 0x400], [0x400, 1], [0x800000, 0], [2, 0x800000], [0, 0], [0xc0, 0x40]) as fc.Arbitrary<
    [number, number]
  >;
  const keep = fc.constantFrom(0, 0, 1);
  const size = geometry.pageShift;

  const make = <T extends unknown[]>(
    name: string,
    arbitrary: fc.Arbitrary<T>,
    act: (model: PageTableOracle, real: Rig, ...args: T) => void,
    possible: (model: PageTableOracle, args: NoInfer<T>) => boolean = () => true,
  ): fc.Arbitrary<fc.Command<PageTableOracle, Rig>> =>
    arbitrary.map(
      (args) =>
        new Command(
          name,
          args,
          (model) => possible(model, args),
          (model, real) => act(model, real, ...args),
        ),
    );
  const lives = (model: PageTableOracle, [[pid]]: readonly [readonly [number, number], ...unknown[]]): boolean => model.spaces.has(pid);
  const bytes = (n: number): number => n * 2 ** size;

  const vmapTo = (model: PageTableOracle, real: Rig, pid: number, pa: number, va: number, length: number, a: number | undefined): void => {
    same(real.tables.vmap(pid, pa, va, length, a), model.vmap(pid, pa, va, length, a));
  };

  return [
    make('create', fc.tuple(process), (m, r, pid) => same(r.tables.createSpace(pid), m.createSpace(pid))),
    make(
      'destroy',
      fc.tuple(fc.integer({ min: -1, max: MAX_SPACES - 1 })),
      (m, r, pid) => same(r.tables.destroySpace(pid), m.destroySpace(pid)),
      (m, [pid]) => (m.spaces.get(pid)?.withdrawn ?? 0) === 0,
    ),
    make('vmap', fc.tuple(at, physical, fewPages, fc.constantFrom(0, 0, 1, -1), attr), (m, r, [pid, p], f, n, off, a) =>
      vmapTo(m, r, pid, bytes(f), bytes(p), Math.max(bytes(n) - off, 0), a),
    ),
    make('vmapLarge', fc.tuple(atLarge(2), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3 }), attr), (m, r, [pid, p], f, n, a) =>
      vmapTo(m, r, pid, bytes(f * span(2)), bytes(p), bytes(n * span(2)), (a ?? 3) | 128),
    ),
    make('vmapHuge', fc.tuple(atLarge(3), fc.constantFrom(0, 1), fc.constantFrom(-1, 0, 1), fc.constantFrom(-1, 0, 1)), (m, r, [pid, p], f, before, after) =>
      vmapTo(m, r, pid, bytes((f + 2) * span(3) + before * span(2)), bytes(p + before * span(2)), bytes(span(3) + (after - before) * span(2)), 0x83),
    ),
    make('vunmap', fc.tuple(at, manyPages), (m, r, [pid, p], n) => same(r.tables.vunmap(pid, bytes(p), bytes(n)), m.vunmap(pid, bytes(p), bytes(n)))),
    make('lookUp', fc.tuple(at, fc.integer({ min: 0, max: 4095 }), fc.boolean()), (m, r, [pid, p], offset, other) => {
      const asked = other && pid < 0 ? 0 : pid;
      const va = bytes(p) + offset;
      const expected = m.vgetmapping(asked, va);
      const got = new Int32Array(1);
      agree(r.tables.vgetmapping(asked, va, got), expected?.pa ?? -1);
      if (expected !== undefined) agree(got[0], expected.attr);
      const pa = expected?.pa ?? bytes(7);
      agree(r.tables.vismappedto(asked, va, pa), expected === undefined ? 0 : 1);
      agree(r.tables.vismappedto(asked, va, pa + bytes(1)), 0);
      const leaf = m.findLeaf(asked, p);
      const q = r.tables.findLeaf(asked, ...splitPage(r.tables, p));
      agree(q >= 0, leaf !== undefined);
      if (leaf !== undefined) agree([r.tables.pt[q]! & 0xffffff, r.tables.leafLevel()], [leaf.flags, leaf.level]);
      const steps = r.tables.walkLevels(asked, va);
      agree(steps.at(-1)?.leaf ?? false, leaf !== undefined);
      for (let level = 1; level <= levels; level++) {
        agree(r.tables.tableAt(asked, ...splitPage(r.tables, p), level) !== 0, m.tableExists(asked, p, level), 'a table');
      }
    }),
    make(
      'mapLeaf',
      fc.tuple(at, flags, frame),
      (m, r, [pid, p], fl, f) => same(r.tables.mapLeaf(pid, ...splitPage(r.tables, p), fl, f), m.mapLeaf(pid, p, fl, f)),
      lives,
    ),
    make(
      'mapLarge',
      fc
        .integer({ min: 2, max: maxLeaf })
        .chain((level) => fc.tuple(atLarge(level), fc.constant(level), flags, fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 0, 0, 1))),
      (m, r, [pid, p], level, fl, f, off) =>
        same(r.tables.mapLarge(pid, ...splitPage(r.tables, p + off), level, fl, f * span(level)), m.mapLarge(pid, p + off, level, fl, f * span(level))),
      lives,
    ),
    make(
      'unmapRange',
      fc.tuple(at, manyPages, fc.integer({ min: 0, max: 3 }), keep),
      (m, r, [pid, p], n, before, k) => {
        same(r.tables.unmapRange(pid, p - before, p + n, k), m.unmapRange(pid, p - before, p + n, k));
        sameZapped(m, r);
      },
      lives,
    ),
    make(
      'protectRange',
      fc.tuple(at, manyPages, attributeChange),
      (m, r, [pid, p], n, [clear, set]) => {
        same(r.tables.protectRange(pid, p, p + n, clear, set), m.protectRange(pid, p, p + n, clear, set));
        sameZapped(m, r);
      },
      lives,
    ),
    make(
      'freeTables',
      fc.tuple(at, manyPages, manyPages, manyPages),
      (m, r, [pid, p], n, below, above) =>
        same(r.tables.freeTables(pid, p, p + n, p - below, p + n + above), m.freeTables(pid, p, p + n, p - below, p + n + above)),
      lives,
    ),
    make(
      'ensureTable',
      fc.tuple(at, fc.integer({ min: 1, max: levels })),
      (m, r, [pid, p], level) => {
        const handle = r.tables.ensureTable(pid, ...splitPage(r.tables, p), level);
        same(Math.min(handle, 1), m.ensureTable(pid, p, level));
        if (handle > 0) agree(r.tables.tableAt(pid, ...splitPage(r.tables, p), level), handle);
      },
      lives,
    ),
    make(
      'copySpace',
      fc.tuple(process, process),
      (m, r, from, to) => same(r.tables.copySpace(from, to), m.copySpace(from, to)),
      (m, [from, to]) => {
        const target = m.spaces.get(to);
        return from !== to && m.spaces.has(from) && target !== undefined && target.leaves.size + target.tables.size === 0;
      },
    ),
    make(
      'fork',
      fc.tuple(process, process),
      (m, r, from, to) => {
        same(r.tables.createSpace(to), m.createSpace(to));
        if (m.spaces.has(to)) same(r.tables.copySpace(from, to), m.copySpace(from, to));
      },
      (m, [from, to]) => m.spaces.has(from) && !m.spaces.has(to),
    ),
    make(
      'copyRange',
      fc.tuple(process, process, page(false), manyPages),
      (m, r, from, to, p, n) => same(r.tables.copyRange(from, to, p, p + n), m.copyRange(from, to, p, p + n)),
      (m, [from, to]) => from !== to && m.spaces.has(from) && m.spaces.has(to),
    ),
    make(
      'moveRange',
      fc.tuple(at, page(false), fc.boolean(), manyPages, keep),
      (m, r, [pid, p], q, congruent, n, k) => {
        const target = congruent ? q + (((p % span(2)) + span(2)) % span(2)) - (q % span(2)) : q;
        const result = r.tables.moveRange(pid, p, target, n, k);
        same(result, m.moveRange(pid, p, target, n, k));
        sameZapped(m, r);
      },
      lives,
    ),
    // A leaf that there is, large ones first, and its surroundings: to a place that may be aligned for it.
    make(
      'moveLeaf',
      fc.tuple(at, page(false), any, fc.constantFrom(0, 0, 1, span(2)), fc.constantFrom(0, 0, 1), keep),
      (m, r, [pid], q, k, off, around, kept) => {
        const leaves = [...m.spaces.get(pid)!.leaves].filter(([first]) => first >= 0).sort(largestFirst);
        const [first, leaf] = leaves[k % Math.min(leaves.length, 4)] ?? [0, { level: 1 }];
        const target = Math.floor(q / span(leaf.level)) * span(leaf.level) + off;
        const start = Math.max(first - around, 0);
        const length = first + span(leaf.level) + around - start;
        same(r.tables.moveRange(pid, start, target, length, kept), m.moveRange(pid, start, target, length, kept));
        sameZapped(m, r);
      },
      lives,
    ),
    make(
      'copyLeaf',
      fc.tuple(process, process, any, fc.constantFrom(0, 0, 1, -1)),
      (m, r, from, to, k, around) => {
        const leaves = [...m.spaces.get(k % 2 === 0 ? from : to)!.leaves].sort(largestFirst);
        const [first, leaf] = leaves[k % Math.min(leaves.length, 4)] ?? [0, { level: 1 }];
        const [start, end] = [first - around, first + span(leaf.level) + around];
        same(r.tables.copyRange(from, to, start, end), m.copyRange(from, to, start, end));
      },
      (m, [from, to]) => from !== to && m.spaces.has(from) && m.spaces.has(to),
    ),
    make('splitLarge', fc.tuple(at), (m, r, [pid, p]) => same(r.tables.splitLarge(pid, ...splitPage(r.tables, p), 0), m.splitLarge(pid, p, false)), lives),
    make('deposit', fc.tuple(at), (m, r, [pid]) => same(Math.min(r.tables.deposit(pid), 1), m.deposit(pid)), lives),
    make(
      'withdraw',
      fc.tuple(at, fc.constantFrom('attach', 'split', 'release')),
      (m, r, [pid, p], use) => {
        const table = r.tables.withdraw(pid);
        same(Math.min(table, 1), m.withdraw(pid));
        if (table === 0) return;
        let code = -1;
        if (use === 'attach') {
          code = r.tables.attachTable(pid, ...splitPage(r.tables, p), table);
          same(code, m.attachTable(pid, p));
        } else if (use === 'split' && m.findLeaf(pid, p)?.level === 2) {
          code = r.tables.splitLarge(pid, ...splitPage(r.tables, p), table);
          same(code, m.splitLarge(pid, p, true));
        }
        if (code !== 0) {
          r.tables.releaseTable(pid, table);
          m.releaseTable(pid);
        }
      },
      lives,
    ),
    make('frames', fc.tuple(fc.integer({ min: 0, max: 12 })), (m, r, n) => {
      r.frames.limit = r.frames.taken.size + n;
      m.free = n;
    }),
  ];
}
