/** The VMA store against a sorted array of plain objects: every command's result and the whole state behind it are compared. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeVmaStore } from '../../../core/vmm/vma-tree.js';
import type { VmaStore } from '../../../core/vmm/vma-store.js';

interface Range {
  id: number;
  start: number;
  end: number;
  mark: number;
}

/** One address space in the oracle: ranges in order. */
interface Space {
  tree: number;
  ranges: Range[];
}

interface Model {
  spaces: Space[];
}

let executed = 0;

/** As expect(got).toBe(want), at a fraction of its price: it runs millions of times. */
function same(got: unknown, want: unknown, what: string): void {
  if (!Object.is(got, want)) throw new Error(`${what}: ${String(got)} instead of ${String(want)}`);
}

/** The whole of a tree, forwards, backwards and by the columns, against its oracle. */
function compare(store: VmaStore, space: Space): void {
  const { tree, ranges } = space;
  same(store.count(tree), ranges.length, 'count');
  same(store.first(tree), ranges[0]?.id ?? 0, 'first');
  same(store.last(tree), ranges.at(-1)?.id ?? 0, 'last');
  for (let i = 0; i < ranges.length; i++) {
    const r = ranges[i]!;
    if (store.start[r.id] !== r.start || store.end[r.id] !== r.end || store.flags[r.id] !== r.mark) throw new Error(`columns of VMA ${r.id} differ`);
    if (store.next(tree, r.id) !== (ranges[i + 1]?.id ?? 0)) throw new Error(`next of ${r.id} differs`);
    if (store.prev(tree, r.id) !== (ranges[i - 1]?.id ?? 0)) throw new Error(`prev of ${r.id} differs`);
  }
}

const slow = {
  find: (ranges: Range[], page: number): number => ranges.find((r) => r.start <= page && page < r.end)?.id ?? 0,
  findFrom: (ranges: Range[], page: number): number => ranges.find((r) => r.end > page)?.id ?? 0,
};

function put(store: VmaStore, space: Space, start: number, end: number, mark: number): void {
  const id = store.alloc();
  for (const column of [store.start, store.end, store.flags, store.object, store.offset, store.lineage, store.heap]) {
    if (column[id] !== 0) throw new Error(`a fresh VMA ${id} has a column that is not 0`);
  }
  store.start[id] = start;
  store.end[id] = end;
  store.flags[id] = mark;
  store.object[id] = mark ^ 1;
  store.offset[id] = mark * 2;
  store.lineage[id] = mark ^ 3;
  store.heap[id] = mark ^ 5;
  store.insert(space.tree, id);
  const at = space.ranges.findIndex((r) => r.start > start);
  space.ranges.splice(at < 0 ? space.ranges.length : at, 0, { id, start, end, mark });
}

abstract class Step implements fc.Command<Model, VmaStore> {
  constructor(readonly which: number) {}
  check(): boolean {
    return true;
  }
  abstract act(space: Space, store: VmaStore, model: Model): void;
  run(model: Model, store: VmaStore): void {
    executed++;
    const space = model.spaces[this.which % model.spaces.length]!;
    this.act(space, store, model);
    store.validate(0);
    for (const s of model.spaces) compare(store, s);
    same(
      store.live(),
      model.spaces.reduce((sum, s) => sum + s.ranges.length, 0),
      'live',
    );
  }
}

class Insert extends Step {
  constructor(
    which: number,
    readonly start: number,
    readonly length: number,
    readonly mark: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    const end = this.start + this.length;
    if (space.ranges.some((r) => r.start < end && this.start < r.end)) return;
    put(store, space, this.start, end, this.mark);
  }
  override toString(): string {
    return `insert(${this.which}, ${this.start}, ${this.length})`;
  }
}

/** Many at once, ascending, descending or scattered, so that nodes split. */
class Fill extends Step {
  constructor(
    which: number,
    readonly from: number,
    readonly many: number,
    readonly order: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    for (let i = 0; i < this.many; i++) {
      const k = this.order === 0 ? i : this.order === 1 ? this.many - 1 - i : (i * 37) % this.many;
      const start = this.from + k * 3;
      if (space.ranges.some((r) => r.start < start + 2 && start < r.end)) continue;
      put(store, space, start, start + 2, k);
    }
  }
  override toString(): string {
    return `fill(${this.which}, ${this.from}, ${this.many}, ${this.order})`;
  }
}

class Remove extends Step {
  constructor(
    which: number,
    readonly at: number,
    readonly many: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    for (let i = 0; i < this.many && space.ranges.length > 0; i++) {
      const [gone] = space.ranges.splice((this.at + i * 7) % space.ranges.length, 1);
      store.remove(space.tree, gone!.id);
      store.release(gone!.id);
    }
  }
  override toString(): string {
    return `remove(${this.which}, ${this.at}, ${this.many})`;
  }
}

class SetStart extends Step {
  constructor(
    which: number,
    readonly at: number,
    readonly fraction: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    if (space.ranges.length === 0) return;
    const i = this.at % space.ranges.length;
    const r = space.ranges[i]!;
    const low = space.ranges[i - 1]?.end ?? r.start - 20;
    const page = low + Math.floor(this.fraction * (r.end - low));
    store.setStart(space.tree, r.id, page);
    r.start = page;
  }
  override toString(): string {
    return `setStart(${this.which}, ${this.at}, ${this.fraction})`;
  }
}

class SetEnd extends Step {
  constructor(
    which: number,
    readonly at: number,
    readonly fraction: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    if (space.ranges.length === 0) return;
    const i = this.at % space.ranges.length;
    const r = space.ranges[i]!;
    const high = space.ranges[i + 1]?.start ?? r.end + 20;
    r.end = r.start + 1 + Math.floor(this.fraction * (high - r.start));
    store.end[r.id] = r.end;
  }
  override toString(): string {
    return `setEnd(${this.which}, ${this.at}, ${this.fraction})`;
  }
}

class Find extends Step {
  constructor(
    which: number,
    readonly page: number,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore): void {
    for (let page = this.page; page < this.page + 12; page++) {
      same(store.findFrom(space.tree, page), slow.findFrom(space.ranges, page), `findFrom ${page}`);
      same(store.find(space.tree, page), slow.find(space.ranges, page), `find ${page}`);
    }
    for (const r of space.ranges) {
      if (store.find(space.tree, r.start) !== r.id || store.find(space.tree, r.end - 1) !== r.id) throw new Error(`VMA ${r.id} is not found`);
      if (store.find(space.tree, r.end) !== slow.find(space.ranges, r.end)) throw new Error(`page ${r.end} is found wrongly`);
    }
  }
  override toString(): string {
    return `find(${this.which}, ${this.page})`;
  }
}

class Clone extends Step {
  override act(space: Space, store: VmaStore, model: Model): void {
    if (model.spaces.length >= 5) return;
    const tree = store.clone(space.tree);
    const copy: Space = { tree, ranges: [] };
    let v = store.first(tree);
    for (const r of space.ranges) {
      for (const column of [store.start, store.end, store.flags, store.object, store.offset, store.lineage, store.heap]) {
        if (column[v] !== column[r.id]) throw new Error(`the copy ${v} of VMA ${r.id} differs`);
      }
      copy.ranges.push({ ...r, id: v });
      v = store.next(tree, v);
    }
    expect(v).toBe(0);
    const ids = new Set(model.spaces.flatMap((s) => s.ranges.map((r) => r.id)));
    expect(copy.ranges.some((r) => ids.has(r.id))).toBe(false);
    model.spaces.push(copy);
  }
  override toString(): string {
    return `clone(${this.which})`;
  }
}

class Destroy extends Step {
  constructor(
    which: number,
    readonly releaseFirst: boolean,
  ) {
    super(which);
  }
  override act(space: Space, store: VmaStore, model: Model): void {
    if (this.releaseFirst) for (const r of space.ranges) store.release(r.id);
    store.destroyTree(space.tree, this.releaseFirst ? 0 : 1);
    model.spaces.splice(model.spaces.indexOf(space), 1);
    if (model.spaces.length === 0) model.spaces.push({ tree: store.createTree(), ranges: [] });
  }
  override toString(): string {
    return `destroy(${this.which}, ${this.releaseFirst})`;
  }
}

class Create extends Step {
  override act(_space: Space, store: VmaStore, model: Model): void {
    if (model.spaces.length < 5) model.spaces.push({ tree: store.createTree(), ranges: [] });
  }
  override toString(): string {
    return 'create';
  }
}

const which = fc.nat(4);
const page = fc.integer({ min: -400, max: 400 });
const at = fc.nat(1000);
const fraction = fc.double({ min: 0, max: 0.999, noNaN: true });

describe('VMA store', () => {
  it('does what a sorted array does', () => {
    executed = 0;
    const store = makeVmaStore({ maxVmas: 8192, maxTrees: 16 });
    fc.assert(
      fc.property(
        fc.commands(
          [
            fc.tuple(which, page, fc.integer({ min: 1, max: 9 }), fc.nat(1000)).map((x) => new Insert(...x)),
            fc.tuple(which, page, fc.integer({ min: 1, max: 9 }), fc.nat(1000)).map((x) => new Insert(...x)),
            fc.tuple(which, page, fc.integer({ min: 20, max: 150 }), fc.nat(2)).map((x) => new Fill(...x)),
            fc.tuple(which, at, fc.integer({ min: 1, max: 3 })).map((x) => new Remove(...x)),
            fc.tuple(which, at, fc.integer({ min: 1, max: 90 })).map((x) => new Remove(...x)),
            fc.tuple(which, at, fraction).map((x) => new SetStart(...x)),
            fc.tuple(which, at, fraction).map((x) => new SetEnd(...x)),
            fc.tuple(which, page).map((x) => new Find(...x)),
            which.map((x) => new Clone(x)),
            fc.tuple(which, fc.boolean()).map((x) => new Destroy(...x)),
            which.map((x) => new Create(x)),
          ],
          { maxCommands: 300, size: '+2' },
        ),
        (commands) => {
          const model: Model = { spaces: [{ tree: store.createTree(), ranges: [] }] };
          fc.modelRun(() => ({ model, real: store }), commands);
          for (const s of model.spaces) store.destroyTree(s.tree, 1);
          expect(store.live()).toBe(0);
          store.validate(0);
        },
      ),
      { numRuns: 150 },
    );
    expect(executed).toBeGreaterThan(20_000);
  });

  it('holds 200 000 VMAs inserted in one random order and removed in another', () => {
    const many = 200_000;
    const store = makeVmaStore({ maxVmas: many, maxTrees: 4 });
    const tree = store.createTree();
    const shuffled = (seed: number): Int32Array => {
      const order = Int32Array.from({ length: many }, (_, i) => i);
      let x = seed;
      for (let i = many - 1; i > 0; i--) {
        x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
        const j = x % (i + 1);
        const o = order[i]!;
        order[i] = order[j]!;
        order[j] = o;
      }
      return order;
    };
    const idOf = new Int32Array(many);
    const base = -(2 ** 34);
    for (const k of shuffled(1)) {
      const v = store.alloc();
      idOf[k] = v;
      store.start[v] = base + k * 4;
      store.end[v] = base + k * 4 + 3;
      store.insert(tree, v);
    }
    store.validate(0);
    for (let k = 0, v = store.first(tree); k < many; k++, v = store.next(tree, v)) if (v !== idOf[k]) throw new Error(`VMA ${k} is not in its place`);
    for (const k of shuffled(2)) {
      if (store.find(tree, base + k * 4 + 2) !== idOf[k]) throw new Error(`VMA ${k} is not found`);
      if (store.find(tree, base + k * 4 + 3) !== 0) throw new Error(`the gap behind VMA ${k} is found`);
      if (store.findFrom(tree, base + k * 4 + 3) !== (k + 1 < many ? idOf[k + 1] : 0)) throw new Error(`the VMA behind ${k} is not found`);
    }
    let left = many;
    for (const k of shuffled(3)) {
      store.remove(tree, idOf[k]!);
      store.release(idOf[k]!);
      if (--left % 50_000 === 0) store.validate(0);
      if (store.find(tree, base + k * 4) !== 0) throw new Error(`VMA ${k} is found after its removal`);
    }
    expect(store.count(tree)).toBe(0);
    store.destroyTree(tree, 1);
    store.validate(0);
    expect(store.live()).toBe(0);
  });

  it('keeps 20 000 VMAs findable while they come, go, grow and shrink', () => {
    const store = makeVmaStore({ maxVmas: 30_000, maxTrees: 2 });
    const tree = store.createTree();
    let x = 7;
    const random = (n: number): number => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return (x >>> 0) % n;
    };
    // One place of ten pages each; a VMA lies somewhere within its place.
    const places = 20_000;
    const idAt = new Int32Array(places);
    for (let round = 0; round < 400_000; round++) {
      const k = round < places ? (round * 7919) % places : random(places);
      const v = idAt[k]!;
      const base = (k - places / 2) * 10;
      if (v === 0) {
        const id = store.alloc();
        store.start[id] = base + random(9);
        store.end[id] = store.start[id]! + 1 + random(base + 10 - store.start[id]! - 1);
        store.insert(tree, id);
        idAt[k] = id;
      } else if (random(2) === 0) {
        store.setStart(tree, v, base + random(store.end[v]! - base));
      } else if (random(3) !== 0) {
        store.end[v] = store.start[v]! + 1 + random(base + 10 - store.start[v]!);
      } else {
        store.remove(tree, v);
        store.release(v);
        idAt[k] = 0;
      }
      const q = random(places);
      const page = (q - places / 2) * 10 + random(10);
      const u = idAt[q]!;
      same(store.find(tree, page), u !== 0 && store.start[u]! <= page && page < store.end[u]! ? u : 0, `find ${page}`);
      if (round % 25_000 === 0) store.validate(0);
    }
    store.validate(0);
    let v = store.first(tree);
    for (const id of idAt) {
      if (id === 0) continue;
      same(v, id, 'walk');
      v = store.next(tree, v);
    }
    same(v, 0, 'end of the walk');
  });

  it('copies a large tree and keeps the two apart', () => {
    const store = makeVmaStore({ maxVmas: 20_000, maxTrees: 4 });
    const tree = store.createTree();
    for (let k = 0; k < 5000; k++) {
      const v = store.alloc();
      store.start[v] = k * 2;
      store.end[v] = k * 2 + 1;
      store.insert(tree, v);
    }
    const copy = store.clone(tree);
    store.validate(0);
    for (let k = 0; k < 5000; k += 2) store.remove(copy, store.find(copy, k * 2));
    expect([store.count(tree), store.count(copy)]).toEqual([5000, 2500]);
    store.validate(tree);
    store.validate(copy);
  });

  it('hands a destroyed tree and its VMAs out again', () => {
    const store = makeVmaStore({ maxVmas: 100, maxTrees: 2 });
    const tree = store.createTree();
    for (let k = 0; k < 50; k++) {
      const v = store.alloc();
      store.start[v] = k;
      store.end[v] = k + 1;
      store.insert(tree, v);
    }
    for (let round = 0; round < 1000; round++) {
      const copy = store.clone(tree);
      expect(copy).toBe(2);
      store.destroyTree(copy, 1);
    }
    store.validate(0);
    expect(store.live()).toBe(50);
  });

  it('says which limit is reached, and changes nothing', () => {
    const store = makeVmaStore({ maxVmas: 3, maxTrees: 2 });
    const tree = store.createTree();
    for (let k = 0; k < 2; k++) {
      const v = store.alloc();
      store.start[v] = k;
      store.end[v] = k + 1;
      store.insert(tree, v);
    }
    expect(() => store.clone(tree)).toThrow(/more than 3 VMAs/);
    store.validate(0);
    store.alloc();
    expect(() => store.alloc()).toThrow(/more than 3 VMAs/);
    expect(store.live()).toBe(3);
    store.createTree();
    expect(() => store.createTree()).toThrow(/more than 2 address spaces/);
  });

  describe('stops at a broken invariant', () => {
    const make = (): { store: VmaStore; tree: number; a: number; b: number } => {
      const store = makeVmaStore({ maxVmas: 100, maxTrees: 4 });
      const tree = store.createTree();
      const put = (start: number, end: number): number => {
        const v = store.alloc();
        store.start[v] = start;
        store.end[v] = end;
        store.insert(tree, v);
        return v;
      };
      return { store, tree, a: put(10, 20), b: put(30, 40) };
    };
    const ranged = (store: VmaStore, start: number, end: number): number => {
      const v = store.alloc();
      store.start[v] = start;
      store.end[v] = end;
      return v;
    };
    it.each([
      [19, 21],
      [5, 11],
      [12, 13],
      [10, 20],
      [15, 35],
      [29, 31],
      [25, 25],
    ])('insert of [%i, %i)', (start, end) => {
      const { store, tree } = make();
      expect(() => store.insert(tree, ranged(store, start, end))).toThrow(/empty or overlaps/);
      store.validate(tree);
    });
    it('trees and VMAs that are not there', () => {
      const { store, tree, a } = make();
      const other = store.createTree();
      expect(() => store.remove(other, a)).toThrow(/not in tree/);
      expect(() => store.setStart(other, a, 11)).toThrow(/not in tree/);
      store.destroyTree(other, 1);
      expect(() => store.destroyTree(other, 1)).toThrow(/not live/);
      expect(() => store.clone(other)).toThrow(/not live/);
      expect(() => store.insert(other, ranged(store, 1, 2))).toThrow(/not live/);
      store.validate(tree);
    });
    it('a start that would change the order', () => {
      const { store, tree, a, b } = make();
      expect(() => store.setStart(tree, b, 10)).toThrow(/change the order/);
      expect(() => store.setStart(tree, a, 30)).toThrow(/change the order/);
      store.validate(tree);
    });
    it('validate sees a changed column, an overlap and a released VMA', () => {
      const one = make();
      one.store.start[one.a] = 9;
      expect(() => one.store.validate(one.tree)).toThrow(/starts at 9/);
      const two = make();
      two.store.end[two.a] = 31;
      expect(() => two.store.validate(two.tree)).toThrow(/above 30/);
      const three = make();
      three.store.release(three.b);
      expect(() => three.store.validate(0)).toThrow(/tree 1/);
    });
  });
});
