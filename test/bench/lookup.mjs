/**
 * Nanoseconds per lookup: a hit in each TLB level, a walk that finds its PDE cached, a walk of all four levels. Default lookup unit over x86-64 tables, one
 * machine for all patterns as in a replay; addresses come from arrays, random ones cannot be foreseen by the processor's branch predictor. The loop's own
 * cost (and for the cold walk that of forgetting the space) is subtracted. Imports compiled code: build first.
 */
import { architectures } from '../../dist/arch/registry.js';
import { lookupConfig } from '../../dist/core/lookup/configs.js';
import { makeLookup } from '../../dist/core/lookup/lookup.js';

const PAGES = 16384; // 64 MiB: what 32 PDEs reach
const FIRST = 0x7f0000000000 / 4096;
const STREAM = 1 << 14;
const RUNS = 200;
const WRITABLE = 7; // P, R/W, U/S

const hi = new Int32Array(STREAM);
const lo = new Int32Array(STREAM);
const kind = new Int32Array(STREAM);

/** Fills the stream; `pageAt` gets the position and a random number. */
function fill(pageAt) {
  let seed = 12345;
  for (let i = 0; i < STREAM; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    const page = FIRST + pageAt(i, seed >>> 8);
    hi[i] = Math.floor(page / 262144);
    lo[i] = (page % 262144) * 4096;
    kind[i] = (seed >>> 5) & 1;
  }
}

/** Lower quartile, in ns per element of the stream, of many short runs: most of what other programs take from this one is left out. */
function measure(pass) {
  const times = [];
  for (let k = 0; k < RUNS; k++) {
    const start = performance.now();
    pass();
    times.push(((performance.now() - start) * 1e6) / STREAM);
  }
  return times.sort((a, b) => a - b)[RUNS >> 2];
}

export async function bench() {
  let next = 1;
  const tables = architectures.get('x86-64').create({
    frames: { allocate: () => next++, free: () => 0 },
    totalFrames: 1 << 20,
    maxSpaces: 8,
    observer: { dropped: () => undefined, copied: () => undefined },
  });
  tables.createSpace(0);
  for (let p = 0; p < PAGES; p++) {
    const page = FIRST + p;
    tables.mapLeaf(0, Math.floor(page / 262144), (page % 262144) * 4096, WRITABLE, (1 << 19) + p);
  }
  const { access, flushSpace, spill } = makeLookup({ config: lookupConfig('default'), tables, cpus: 1, maxSpaces: 8 });
  const passes = {
    loop: () => {
      let sum = 0;
      for (let i = 0; i < STREAM; i++) sum = (sum + (hi[i] ^ lo[i] ^ kind[i])) | 0;
      return sum;
    },
    lookups: () => {
      for (let i = 0; i < STREAM; i++) access(0, hi[i], lo[i], kind[i], 0);
      spill();
    },
    flushes: () => {
      for (let i = 0; i < STREAM; i++) flushSpace(0);
      spill();
    },
    cold: () => {
      for (let i = 0; i < STREAM; i++) {
        flushSpace(0);
        access(0, hi[i], lo[i], kind[i], 0);
      }
      spill();
    },
  };
  const patterns = {
    'L1 hit, youngest way': (i) => i % 16,
    'L1 hit, random way': (_, random) => random % 64,
    'L2 hit, random': (_, random) => random % 1500,
    'walk, PDE cached, random': (_, random) => random % PAGES,
  };
  // Everything runs for a while before anything is measured: the compiler has seen all paths.
  for (let k = 0; k < 5; k++) {
    for (const pattern of Object.values(patterns)) {
      fill(pattern);
      for (let j = 0; j < 10; j++) passes.lookups();
    }
    for (const pass of Object.values(passes)) pass();
  }
  const loop = measure(passes.loop);
  const values = {};
  for (const [label, pattern] of Object.entries(patterns)) {
    fill(pattern);
    passes.lookups();
    values[label] = measure(passes.lookups) - loop;
  }
  values['walk of 4 reads, random'] = measure(passes.cold) - measure(passes.flushes);
  return [{ name: 'lookup', unit: 'ns', values }];
}
