/**
 * The VMA store: ns per operation in one tree of 1e3, 1e5 and 1e6 VMAs at random places, and ns per copy of a tree of 20 (a fork) with its end (an exit).
 * Inserts and removals happen at `size` VMAs (a tenth more at most). Imports compiled code: build first.
 */
import { makeVmaStore } from '../../dist/core/vmm/vma-tree.js';

/** xorshift32: the same order in every run. */
function makeRandom(seed) {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

function shuffled(count, random) {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const o = order[i];
    order[i] = order[j];
    order[j] = o;
  }
  return order;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

function insertAt(store, tree, start, length) {
  const v = store.alloc();
  store.start[v] = start;
  store.end[v] = start + length;
  store.insert(tree, v);
  return v;
}

/** Nanoseconds per call of insert, remove, find, setStart and next in trees of `size` VMAs each; `trees` of them, so that small ones are timed together. */
function measure(store, size, trees, random, rounds) {
  const tree = Array.from({ length: trees }, () => store.createTree());
  // VMAs of 3 pages every 8; the places between take what is inserted under the clock.
  for (const t of tree) for (const k of shuffled(size, random)) insertAt(store, t, k * 8, 3);
  const each = Math.ceil(size / 10);
  const some = each * trees;
  const places = new Float64Array(some);
  const where = Int32Array.from({ length: some }, (_, i) => tree[i % trees]);
  const ids = new Int32Array(some);
  const results = { insert: [], remove: [], find: [], setStart: [], next: [] };
  const timed = (name, count, act) => {
    const t0 = performance.now();
    const sum = act();
    results[name].push(((performance.now() - t0) * 1e6) / count);
    return sum;
  };
  for (let r = 0; r < rounds; r++) {
    for (let t = 0; t < trees; t++) {
      const taken = new Set();
      while (taken.size < each) taken.add(random() % size);
      let n = t;
      for (const k of taken) {
        places[n] = k * 8 + 4;
        n += trees;
      }
    }
    timed('insert', some, () => {
      for (let i = 0; i < some; i++) ids[i] = insertAt(store, where[i], places[i], 2);
    });
    for (let i = 0; i < some; i++) places[i] = (random() % size) * 8 + 1;
    const sum = timed('find', some, () => {
      let sum = 0;
      for (let i = 0; i < some; i++) sum += store.find(where[i], places[i]);
      return sum;
    });
    timed('setStart', some, () => {
      for (let i = 0; i < some; i++) store.setStart(where[i], ids[i], store.start[ids[i]] + 1);
    });
    timed('remove', some, () => {
      for (let i = 0; i < some; i++) {
        store.remove(where[i], ids[i]);
        store.release(ids[i]);
      }
    });
    const seen = timed('next', size * trees, () => {
      let n = 0;
      for (let t = 0; t < trees; t++) for (let v = store.first(tree[t]); v !== 0; v = store.next(tree[t], v)) n++;
      return n;
    });
    if (sum === 0 || seen !== size * trees) throw new Error('the trees do not hold what was put in');
  }
  for (const t of tree) store.destroyTree(t, 1);
  return Object.fromEntries(Object.entries(results).map(([name, values]) => [name, median(values)]));
}

/** Nanoseconds per clone and per destroyTree of a tree of `size` VMAs. */
function measureClone(store, size, rounds) {
  const tree = store.createTree();
  for (let k = 0; k < size; k++) insertAt(store, tree, k * 8, 3);
  const copies = new Int32Array(64);
  const clone = [];
  const destroy = [];
  for (let r = 0; r < rounds; r++) {
    let t0 = performance.now();
    for (let i = 0; i < 64; i++) copies[i] = store.clone(tree);
    clone.push(((performance.now() - t0) * 1e6) / 64);
    t0 = performance.now();
    for (let i = 0; i < 64; i++) store.destroyTree(copies[i], 1);
    destroy.push(((performance.now() - t0) * 1e6) / 64);
  }
  store.destroyTree(tree, 1);
  return { clone: median(clone), destroy: median(destroy) };
}

export async function bench() {
  const store = makeVmaStore();
  const random = makeRandom(12345);
  // Small trees first and often, as in a replay.
  measure(store, 20, 500, random, 200);
  const sizes = [
    ['20', 20, 500, 300],
    ['1e3', 1000, 1, 3000],
    ['1e5', 100_000, 1, 20],
    ['1e6', 1_000_000, 1, 5],
  ];
  // Copies before the large trees: those leave ids scattered over all columns behind.
  measureClone(store, 20, 3000);
  const fork = measureClone(store, 20, 5000);
  const larger = measureClone(store, 1000, 300);
  const names = { insert: 'VMA insert', remove: 'VMA remove', find: 'VMA find (random)', setStart: 'VMA setStart', next: 'VMA next' };
  const rows = Object.values(names).map((name) => ({ name, unit: 'ns', values: {} }));
  for (const [label, size, trees, rounds] of sizes) {
    const result = measure(store, size, trees, random, rounds);
    Object.keys(names).forEach((key, i) => {
      rows[i].values[label] = result[key];
    });
  }
  rows.push({ name: 'copy of a whole tree', unit: 'ns', values: { 20: fork.clone, '1e3': larger.clone } });
  rows.push({ name: 'end of a whole tree', unit: 'ns', values: { 20: fork.destroy, '1e3': larger.destroy } });
  return rows;
}
