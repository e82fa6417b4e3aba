/**
 * What a call of the user's allocator costs: ns per call (half a pair of free and allocate of one random frame, half of memory held) of docs/own-pmm/buddy.c and kalloc.c
 * compiled to WebAssembly, bare and with the account in front as a replay has it, and of the same C code compiled for this machine. Medians of rounds that are short enough to
 * lie between two switches of a busy machine; each number comes from a process of its own, the three in turn, three times. Without a C compiler the last one is missing.
 *
 * kalloc.c writes into each frame, over a large memory into one that no cache holds. A loop of nothing but calls hides that: while one frame's line is fetched, the processor is several calls ahead, as far as the
 * stores that wait for it leave room. The more compact the code the further, so such a loop compares how far ahead each side gets. The last case therefore writes some words that are cached between
 * two pairs, on both sides, as a replay would; then neither gets ahead, and what is left is what a call costs more (docs/own-pmm.md).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Allocator, memory, its frames, words written between two pairs. */
const CASES = [
  ['buddy', '16 MiB', 1 << 12, 0],
  ['buddy', '256 MiB', 1 << 16, 0],
  ['kalloc', '16 MiB', 1 << 12, 0],
  ['kalloc', '256 MiB', 1 << 16, 0],
  ['kalloc', '256 MiB', 1 << 16, 128],
];
const PAIRS = 1 << 10;
const WARM_UP = 400;
const ROUNDS = 1501;
const dist = (path) => new URL(`../../dist/${path}`, import.meta.url).href;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** ns per call; `what` is bare or account. */
export async function callNs(allocator, what, frames, between) {
  const { loadOwn } = await import(dist('core/pmm/own/load.js'));
  const { memoryMapFromSize } = await import(dist('core/pmm/memory-map.js'));
  const options = { map: memoryMapFromSize(frames * 4096), cpus: 1, seed: 1 };
  const strategy = await loadOwn(here(`../fixtures/pmm/own/${allocator}.wasm`));
  const { allocate, free } = what === 'bare' ? strategy.raw(options) : strategy.create(options);
  const count = frames >> 1;
  const held = new Int32Array(frames);
  for (let i = 0; i < count; i++) held[i] = allocate(0, 1, 0, -1, 0);
  const slots = new Int32Array(PAIRS);
  const state = new Int32Array(32).fill(12345);
  const draw = () => {
    let x = state[0];
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    state[0] = x;
    return x >>> 0;
  };
  const words = new Int32Array(128);
  const pairs = () => {
    for (let i = 0; i < PAIRS; i = (i + 1) | 0) {
      const slot = slots[i];
      free(held[slot], 0, 0);
      held[slot] = allocate(0, 1, 0, -1, 0);
      for (let k = 0; k < between; k = (k + 1) | 0) words[k & 63] = i;
    }
  };
  const empty = () => {
    for (let i = 0; i < PAIRS; i = (i + 1) | 0) {
      held[slots[i]] = (held[slots[i]] + 0) | 0;
      for (let k = 0; k < between; k = (k + 1) | 0) words[k & 63] = i;
    }
  };
  const time = (run) => {
    const start = process.hrtime.bigint();
    run();
    return Number(process.hrtime.bigint() - start) / PAIRS;
  };
  const busy = [];
  const idle = [];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (let i = 0; i < PAIRS; i++) slots[i] = draw() % count;
    const without = time(empty);
    const pair = time(pairs);
    if (round < 0) continue;
    idle.push(without);
    busy.push(pair);
  }
  return (median(busy) - median(idle)) / 2;
}

function inProcess(...args) {
  const code = `import(${JSON.stringify(import.meta.url)}).then((m) => m.callNs(...${JSON.stringify(args)})).then((v) => console.log(v))`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));
}

export async function bench() {
  const space = mkdtempSync(join(tmpdir(), 'framewalk-own-pmm-'));
  try {
    const programs = {};
    for (const allocator of ['buddy', 'kalloc']) {
      const program = join(space, allocator);
      const sources = [here('own-pmm.c'), here(`../../docs/own-pmm/${allocator}.c`)];
      const gcc = spawnSync('gcc', ['-O2', `-D${allocator.toUpperCase()}`, '-o', program, ...sources], { stdio: ['ignore', 'ignore', 'inherit'] });
      if (gcc.status === 0) programs[allocator] = program;
    }
    return CASES.map(([allocator, size, frames, between]) => {
      const program = programs[allocator];
      const rounds = [1, 2, 3].map(() => [
        inProcess(allocator, 'bare', frames, between),
        inProcess(allocator, 'account', frames, between),
        program === undefined ? NaN : Number(execFileSync(program, [String(frames), String(between)])),
      ]);
      const [bare, account, c] = [0, 1, 2].map((i) => median(rounds.map((round) => round[i])));
      const values = {
        'wasm, bare': bare,
        'wasm, in a replay': account,
        ...(program === undefined ? {} : { 'in C': c, 'over C': median(rounds.map((round) => round[1] - round[2])) }),
      };
      return { name: `a call of ${allocator}.c, ${size}${between === 0 ? '' : `, ${between} words written between two pairs`}`, unit: 'ns', values };
    });
  } finally {
    rmSync(space, { recursive: true, force: true });
  }
}
