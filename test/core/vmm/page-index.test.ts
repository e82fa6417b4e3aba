/** The pages of shared objects against one Map per object; nodes against a count made from the page numbers alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makePageIndex, type PageIndex } from '../../../core/vmm/page-index.js';

const ENOMEM = -12;

/** Nodes an XArray needs for these pages: its height follows from the largest page, and each level has a node per distinct prefix. */
function nodesFor(pages: Iterable<number>): number {
  const list = [...pages];
  if (list.length === 0) return 0;
  const largest = Math.max(...list);
  let nodes = 0;
  for (let size = 64; size / 64 <= largest; size *= 64) nodes += new Set(list.map((p) => Math.floor(p / size))).size;
  return nodes;
}

/** Node handles with a limit; notices double frees. */
function makeNodes(limit: number) {
  const out = new Set<number>();
  let next = 1;
  return {
    out,
    take(): number {
      if (out.size >= limit) return 0;
      out.add(next);
      return next++;
    },
    give(handle: number): void {
      if (!out.delete(handle)) throw new Error(`node handle ${handle} given back twice`);
    },
  };
}

const OBJECTS = 4;

interface Model {
  objects: Map<number, number>[];
}

interface Real {
  index: PageIndex;
  nodes: ReturnType<typeof makeNodes>;
  limit: number;
  dropped: number[];
}

let executed = 0;

/** As expect(got).toBe(want), at a fraction of its price: it runs millions of times. */
function same(got: unknown, want: unknown, what: string): void {
  if (!Object.is(got, want)) throw new Error(`${what}: ${String(got)} instead of ${String(want)}`);
}

abstract class Step implements fc.Command<Model, Real> {
  constructor(readonly o: number) {}
  check(): boolean {
    return true;
  }
  abstract act(pages: Map<number, number>, real: Real, model: Model): void;
  run(model: Model, real: Real): void {
    executed++;
    this.act(model.objects[this.o]!, real, model);
    const { index, nodes } = real;
    index.validate(OBJECTS);
    let need = 0;
    for (let o = 0; o < OBJECTS; o++) {
      const pages = model.objects[o]!;
      same(index.count(o), pages.size, `count of object ${o}`);
      for (const [page, frame] of pages)
        if (index.lookup(o, page) !== frame) throw new Error(`object ${o} page ${page}: ${index.lookup(o, page)} instead of ${frame}`);
      need += nodesFor(pages.keys());
    }
    same(index.nodes(), need, 'nodes');
    same(nodes.out.size, need, 'handles');
  }
}

class Insert extends Step {
  constructor(
    o: number,
    readonly page: number,
    readonly frame: number,
    readonly many: number,
  ) {
    super(o);
  }
  override act(pages: Map<number, number>, { index, limit, nodes }: Real): void {
    for (let p = this.page; p < this.page + this.many && p < 2 ** 40; p++) {
      if (pages.has(p)) {
        if (p === this.page) expect(() => index.insert(this.o, p, this.frame)).toThrow(/already/);
        continue;
      }
      // Any insertion needs at most 13 nodes: only near the limit they are counted.
      let fits = nodes.out.size + 13 <= limit;
      const before = fits ? 0 : nodesFor(pages.keys());
      pages.set(p, this.frame);
      if (!fits) fits = nodes.out.size + nodesFor(pages.keys()) - before <= limit;
      if (!fits) pages.delete(p);
      same(index.insert(this.o, p, this.frame), fits ? 0 : ENOMEM, `insert of page ${p}`);
    }
  }
  override toString(): string {
    return `insert(${this.o}, ${this.page}, ${this.frame}, ${this.many})`;
  }
}

class Remove extends Step {
  constructor(
    o: number,
    readonly page: number,
    readonly many: number,
  ) {
    super(o);
  }
  override act(pages: Map<number, number>, { index }: Real): void {
    for (let p = this.page; p < this.page + this.many; p++) {
      same(index.remove(this.o, p), pages.get(p) ?? -1, `remove of page ${p}`);
      pages.delete(p);
    }
  }
  override toString(): string {
    return `remove(${this.o}, ${this.page}, ${this.many})`;
  }
}

class RemoveOne extends Step {
  constructor(
    o: number,
    readonly at: number,
  ) {
    super(o);
  }
  override act(pages: Map<number, number>, { index }: Real): void {
    const page = [...pages.keys()][this.at % Math.max(1, pages.size)];
    if (page === undefined) return;
    expect(index.remove(this.o, page)).toBe(pages.get(page));
    pages.delete(page);
    expect([index.lookup(this.o, page), index.remove(this.o, page)]).toEqual([-1, -1]);
  }
  override toString(): string {
    return `removeOne(${this.o}, ${this.at})`;
  }
}

class Look extends Step {
  constructor(
    o: number,
    readonly page: number,
  ) {
    super(o);
  }
  override act(pages: Map<number, number>, { index }: Real): void {
    for (let p = this.page; p < this.page + 70; p++) same(index.lookup(this.o, p), pages.get(p) ?? -1, `lookup of page ${p}`);
    const sorted = [...pages.keys()].sort((a, b) => a - b);
    for (const from of [this.page, 0, 2 ** 39]) {
      const next = sorted.find((p) => p >= from) ?? -1;
      expect(index.nextFrom(this.o, from)).toBe(next);
      if (next >= 0) expect(index.foundFrame()).toBe(pages.get(next));
    }
  }
  override toString(): string {
    return `look(${this.o}, ${this.page})`;
  }
}

class Walk extends Step {
  override act(pages: Map<number, number>, { index }: Real): void {
    const seen: [number, number][] = [];
    for (let p = index.nextFrom(this.o, 0); p >= 0; p = index.nextFrom(this.o, p + 1)) seen.push([p, index.foundFrame()]);
    expect(seen).toEqual([...pages].sort((a, b) => a[0] - b[0]));
  }
  override toString(): string {
    return `walk(${this.o})`;
  }
}

class Clear extends Step {
  override act(pages: Map<number, number>, { index, dropped }: Real): void {
    dropped.length = 0;
    index.clear(this.o);
    expect(dropped).toEqual([...pages].sort((a, b) => a[0] - b[0]).map((x) => x[1]));
    pages.clear();
  }
  override toString(): string {
    return `clear(${this.o})`;
  }
}

const object = fc.nat(OBJECTS - 1);
const frame = fc.oneof(fc.constant(0), fc.nat(2 ** 30));
/** Near the places where a tree gets another level, and anywhere. */
const page = fc.oneof(
  fc.nat(70),
  fc.nat(5000),
  fc.constantFrom(0, 63, 64, 4095, 4096, 262143, 262144, 2 ** 24 - 1, 2 ** 24, 2 ** 30 - 1, 2 ** 30, 2 ** 36 - 1, 2 ** 36, 2 ** 40 - 1),
  fc.double({ min: 0, max: 2 ** 40 - 1, noNaN: true }).map(Math.floor),
);

function setup(limit: number): { model: Model; real: Real } {
  const nodes = makeNodes(limit);
  const dropped: number[] = [];
  const index = makePageIndex({ maxNodes: 4000, maxObjects: OBJECTS, takeNode: nodes.take, giveNode: nodes.give, dropped: (f) => dropped.push(f) });
  return { model: { objects: Array.from({ length: OBJECTS }, () => new Map<number, number>()) }, real: { index, nodes, limit, dropped } };
}

describe('page index', () => {
  it('does what a Map does, with the nodes an XArray has', () => {
    executed = 0;
    fc.assert(
      fc.property(
        fc.oneof(fc.constant(100_000), fc.integer({ min: 0, max: 30 })),
        fc.commands(
          [
            fc.tuple(object, page, frame, fc.constant(1)).map((x) => new Insert(...x)),
            fc.tuple(object, page, frame, fc.integer({ min: 2, max: 150 })).map((x) => new Insert(...x)),
            fc.tuple(object, page, fc.integer({ min: 1, max: 200 })).map((x) => new Remove(...x)),
            fc.tuple(object, fc.nat(1000)).map((x) => new RemoveOne(...x)),
            fc.tuple(object, fc.nat(1000)).map((x) => new RemoveOne(...x)),
            fc.tuple(object, page).map((x) => new Look(...x)),
            object.map((o) => new Walk(o)),
            object.map((o) => new Clear(o)),
          ],
          { maxCommands: 150, size: '+2' },
        ),
        (limit, commands) => {
          const { model, real } = setup(limit);
          fc.modelRun(() => ({ model, real }), commands);
          for (let o = 0; o < OBJECTS; o++) real.index.clear(o);
          expect([real.index.nodes(), real.nodes.out.size]).toEqual([0, 0]);
          real.index.validate(OBJECTS);
        },
      ),
      { numRuns: 160 },
    );
    expect(executed).toBeGreaterThan(10_000);
  });

  it('needs no node for page 0 alone, and grows and shrinks as an XArray', () => {
    const { real } = setup(1000);
    const { index } = real;
    index.insert(0, 0, 7);
    expect([index.nodes(), index.lookup(0, 0), index.lookup(0, 1)]).toEqual([0, 7, -1]);
    index.insert(0, 63, 8);
    expect(index.nodes()).toBe(1);
    index.insert(0, 64, 9);
    expect(index.nodes()).toBe(3);
    index.insert(0, 2 ** 40 - 1, 10);
    expect(index.nodes()).toBe(3 + 5 + 6);
    index.remove(0, 2 ** 40 - 1);
    expect(index.nodes()).toBe(3);
    index.remove(0, 64);
    expect(index.nodes()).toBe(1);
    index.remove(0, 63);
    expect([index.nodes(), index.lookup(0, 0), index.count(0)]).toEqual([0, 7, 1]);
  });

  it('refuses pages outside its range', () => {
    const { real } = setup(10);
    for (const bad of [-1, 2 ** 40, Number.NaN]) expect(() => real.index.insert(0, bad, 1)).toThrow(/not in \[0, 2\^40\)/);
    expect([real.index.lookup(0, -1), real.index.lookup(0, 2 ** 41)]).toEqual([-1, -1]);
  });

  describe('stands a node source that takes pages of the same object away', () => {
    it.each([
      { name: 'as many nodes needed as before', there: [5000], put: 70, at: 1, left: [70], nodes: 2 },
      { name: 'more needed: the tree had been higher', there: [0, 64], put: 128, at: 1, gone: 64, left: [0, 128], nodes: 3 },
      { name: 'fewer needed when the first is taken', there: [70], put: 64 ** 3, at: 1, left: [64 ** 3], nodes: 4 },
      { name: 'fewer needed when the last is taken: one goes back', there: [262143], put: 5, at: 2, left: [5], nodes: 1 },
    ])('$name', ({ there, put, at, gone, left, nodes }) => {
      const out = new Set<number>();
      let next = 1;
      let takes = -Infinity;
      const index: PageIndex = makePageIndex({
        maxNodes: 100,
        maxObjects: 1,
        takeNode: () => {
          if (++takes === at) {
            if (gone === undefined) index.clear(0);
            else index.remove(0, gone);
          }
          out.add(next);
          return next++;
        },
        giveNode: (h) => {
          if (!out.delete(h)) throw new Error(`handle ${h} given back twice`);
        },
        dropped: () => undefined,
      });
      for (const p of there) index.insert(0, p, p + 1);
      takes = 0;
      expect(index.insert(0, put, put + 1)).toBe(0);
      expect(takes).toBeGreaterThanOrEqual(at);
      index.validate(1);
      const seen: number[] = [];
      for (let p = index.nextFrom(0, 0); p >= 0; p = index.nextFrom(0, p + 1)) seen.push(p);
      expect([seen, index.nodes(), out.size]).toEqual([left, nodes, nodes]);
      for (const p of left) expect(index.lookup(0, p)).toBe(p + 1);
    });
  });

  it('validate sees a page that was counted wrongly', () => {
    const { real } = setup(10);
    real.index.insert(1, 5, 1);
    expect(() => real.index.validate(1)).toThrow(/1 counted/);
  });
});
