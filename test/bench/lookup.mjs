/**
 * Nanoseconds per lookup: a hit in each TLB level, a walk that finds its PDE cached, a cold walk of all levels.
 * One machine, as in a replay; the addresses come from arrays, the loop's own cost is subtracted.
 */
import { lookupConfig } from '../../dist/core/lookup/configs.js';
import { makeLookup } from '../../dist/core/lookup/lookup.js';

const PAGES = 16384; // 64 MiB: what 32 PDEs reach
const STREAM = 1 << 16;
const FIRST = 0x7f0000000000 / 4096;

/** Page tables as the contract lays them out, just enough of them: one space, PAGES leaves in a row. */
function tables() {
  const words = 1072;
  const leafTables = PAGES / 512;
  const pt = new Int32Array(words * (leafTables + 8));
  const tableOf = new Int32Array(64);
  for (let t = 0; t < leafTables + 8; t++) tableOf[t] = t * words;
  const flags = 0x67; // P, R/W, U/S, A, D
  const set = (table, index, frame) => {
    pt[table * words + index * 2] = flags;
    pt[table * words + index * 2 + 1] = frame;
  };
  const at = (level) => Math.floor(FIRST / 512 ** (level - 1)) % 512;
  set(1, at(4), 2);
  set(2, at(3), 3);
  for (let i = 0; i < leafTables; i++) {
    set(3, at(2) + i, 4 + i);
    for (let p = 0; p < 512; p++) set(4 + i, p, 1000 + i * 512 + p);
  }
  const geometry = { name: 'bench', pageShift: 12, levels: 4, indexBits: 9, vaBits: 48, tableNames: [], leafLevels: [1, 2, 3] };
  return { geometry, root: new Int32Array(64).fill(words), kernelRoot: () => words, pt, tableOf };
}

const hi = new Int32Array(STREAM);
const lo = new Int32Array(STREAM);
const kind = new Int32Array(STREAM);

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

export async function bench() {
  const lookup = makeLookup({ config: lookupConfig('default'), tables: tables(), cpus: 1, maxSpaces: 8 });
  const { access, flushSpace } = lookup;
  const stream = (rounds) => {
    let found = 0;
    for (let r = 0; r < rounds; r++) for (let i = 0; i < STREAM; i++) found += access(0, hi[i], lo[i], kind[i], 0);
    lookup.spill();
    return found;
  };
  const empty = (rounds) => {
    let sum = 0;
    for (let r = 0; r < rounds; r++) for (let i = 0; i < STREAM; i++) sum = (sum + (hi[i] ^ lo[i] ^ kind[i])) | 0;
    return sum;
  };
  const flushes = (rounds) => {
    for (let r = 0; r < rounds; r++) for (let i = 0; i < STREAM; i++) flushSpace(0);
  };
  const cold = (rounds) => {
    let found = 0;
    for (let r = 0; r < rounds; r++) {
      for (let i = 0; i < STREAM; i++) {
        flushSpace(0);
        found += access(0, hi[i], lo[i], kind[i], 0);
      }
    }
    return found;
  };
  const measure = (f, rounds = 30) => {
    let best = Infinity;
    for (let k = 0; k < 5; k++) {
      const start = performance.now();
      f(rounds);
      best = Math.min(best, ((performance.now() - start) * 1e6) / (rounds * STREAM));
    }
    return best;
  };
  const patterns = {
    'L1 hit, youngest way': (i) => i % 16,
    'L1 hit, any way': (i, random) => random % 64,
    'L2 hit': (i, random) => random % 1500,
    'walk, PDE cached': (i, random) => random % PAGES,
  };
  for (const p of Object.values(patterns)) {
    fill(p);
    stream(10);
  }
  flushes(10);
  cold(10);
  empty(10);
  const loop = measure(empty);
  const values = {};
  for (const [name, p] of Object.entries(patterns)) {
    fill(p);
    stream(2);
    values[name] = measure(stream) - loop;
  }
  fill((i) => (i * 513) % PAGES);
  values['cold walk, 4 reads'] = measure(cold) - measure(flushes);
  for (const k of Object.keys(values)) values[k] = Math.round(values[k] * 10) / 10;
  return [{ name: 'lookup', unit: 'ns', values }];
}
