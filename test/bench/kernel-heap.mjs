/** The kernel heap (ns per object taken and given back) and the page index of shared objects (ns per lookup). Imports compiled code: build first. */
import { makeKernelHeap } from '../../dist/core/heap/kernel-heap.js';
import { makePageIndex } from '../../dist/core/vmm/page-index.js';

function makeRandom(seed) {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** A stack of frames: the cheapest source there is. */
function makeFrames() {
  const stack = new Int32Array(1 << 20);
  const state = new Int32Array(32);
  return {
    take() {
      return state[0] > 0 ? stack[--state[0]] : state[1]++;
    },
    give(frame) {
      stack[state[0]++] = frame;
    },
  };
}

/** ns per free + alloc at random among `live` objects of a cache. */
function churn(heap, cache, live, random, rounds) {
  const handles = new Int32Array(live);
  for (let i = 0; i < live; i++) handles[i] = heap.alloc(cache);
  const some = 100_000;
  const picks = new Int32Array(some);
  const times = [];
  for (let r = 0; r < rounds; r++) {
    for (let i = 0; i < some; i++) picks[i] = random() % live;
    const t0 = performance.now();
    for (let i = 0; i < some; i++) {
      const k = picks[i];
      heap.free(handles[k]);
      handles[k] = heap.alloc(cache);
    }
    times.push(((performance.now() - t0) * 1e6) / some);
  }
  for (let i = 0; i < live; i++) heap.free(handles[i]);
  return median(times);
}

/** ns per object: 20 taken in a row, then given back (what fork and exit do). */
function burst(heap, cache, rounds) {
  const handles = new Int32Array(32);
  const times = [];
  for (let r = 0; r < rounds; r++) {
    const t0 = performance.now();
    for (let k = 0; k < 1000; k++) {
      for (let i = 0; i < 20; i++) handles[i] = heap.alloc(cache);
      for (let i = 0; i < 20; i++) heap.free(handles[i]);
    }
    times.push(((performance.now() - t0) * 1e6) / 20_000);
  }
  return median(times);
}

function bytes(heap, random, rounds) {
  const live = 10_000;
  const some = 100_000;
  const handles = new Int32Array(live);
  const sizes = new Int32Array(some);
  const picks = new Int32Array(some);
  const times = [];
  for (let r = 0; r < rounds; r++) {
    for (let i = 0; i < some; i++) {
      sizes[i] = 1 + (random() % 512);
      picks[i] = random() % live;
    }
    const t0 = performance.now();
    for (let i = 0; i < some; i++) {
      const k = picks[i];
      if (handles[k] !== 0) heap.free(handles[k]);
      handles[k] = heap.allocBytes(sizes[i]);
    }
    times.push(((performance.now() - t0) * 1e6) / some);
  }
  for (let i = 0; i < live; i++) if (handles[i] !== 0) heap.free(handles[i]);
  return median(times);
}

function lookups(index, o, pages, random, rounds) {
  const some = 100_000;
  const picks = new Float64Array(some);
  const times = [];
  let sum = 0;
  for (let r = 0; r < rounds; r++) {
    for (let i = 0; i < some; i++) picks[i] = random() % pages;
    const t0 = performance.now();
    for (let i = 0; i < some; i++) sum += index.lookup(o, picks[i]);
    times.push(((performance.now() - t0) * 1e6) / some);
  }
  if (sum <= 0) throw new Error('nothing found');
  return median(times);
}

export async function bench() {
  const random = makeRandom(12345);
  const heap = makeKernelHeap(makeFrames());
  churn(heap, 0, 1000, random, 5);
  const rows = [
    {
      name: 'kernel heap free + alloc (VMAs, random)',
      unit: 'ns',
      values: { '1e3': churn(heap, 0, 1000, random, 21), '1e5': churn(heap, 0, 100_000, random, 21), '1e6': churn(heap, 0, 1_000_000, random, 7) },
    },
    { name: 'kernel heap alloc + free (20 in a row)', unit: 'ns', values: { vma: burst(heap, 0, 101), node: burst(heap, 4, 101) } },
    { name: 'kernel heap kfree + kmalloc (1-512 bytes)', unit: 'ns', values: { '1e4': bytes(heap, random, 21) } },
  ];
  const index = makePageIndex({ takeNode: () => heap.alloc(4), giveNode: (h) => heap.free(h), dropped: () => undefined });
  const sizes = [
    ['1', 1],
    ['64', 64],
    ['4096', 4096],
    ['262144', 262144],
    ['1e6', 1_000_000],
  ];
  const lookup = { name: 'page index lookup (random)', unit: 'ns', values: {} };
  const fill = { name: 'page index insert (ascending)', unit: 'ns', values: {} };
  const clear = { name: 'page index clear', unit: 'ns', values: {} };
  const walk = { name: 'page index nextFrom (walk)', unit: 'ns', values: {} };
  for (const [label, pages] of sizes) {
    // Many small objects, or one large one, so that each clock reading spans enough work.
    const objects = Math.ceil(4096 / pages);
    const times = { fill: [], clear: [], walk: [] };
    const timed = (name, act) => {
      const t0 = performance.now();
      act();
      times[name].push(((performance.now() - t0) * 1e6) / pages / objects);
    };
    for (let r = 0; r < (pages > 10_000 ? 7 : 200); r++) {
      timed('fill', () => {
        for (let o = 0; o < objects; o++) for (let p = 0; p < pages; p++) index.insert(o, p, p + 1);
      });
      timed('walk', () => {
        for (let o = 0; o < objects; o++) for (let p = index.nextFrom(o, 0); p >= 0; p = index.nextFrom(o, p + 1));
      });
      timed('clear', () => {
        for (let o = 0; o < objects; o++) index.clear(o);
      });
    }
    for (let p = 0; p < pages; p++) index.insert(0, p, p + 1);
    lookup.values[label] = lookups(index, 0, pages, random, 21);
    index.clear(0);
    fill.values[label] = median(times.fill);
    clear.values[label] = median(times.clear);
    walk.values[label] = median(times.walk);
  }
  rows.push(lookup, fill, walk, clear);
  return rows;
}
