/**
 * What a PMM operation costs: ns per pair of free and allocate of one frame at 50, 90 and 99 % full, and what a terabyte
 * costs at start. A random held frame is freed and another allocated in its place; the loop without the two calls is taken
 * off. Over 256 MiB the strategy's state lies in the caches of a CPU (the cost of the instructions), over 4 GiB it does not.
 *
 * Runs on the compiled code (dist/). Each number comes from a Node process of its own, because closures over typed arrays
 * compile to constants only while one instance of them exists, and a process's memory can only grow. Many short rounds
 * and their median, so that other work on the machine disturbs little; a strategy that takes long gets fewer.
 *
 * Ratios are of one run, each side measured three times in turn: of LLFree and reservations to buddy, and, with FRAMEWALK_YARDSTICK=DIR
 * (a folder with the core.h of a C program that has the same allocators), of four strategies to that. The C allocators neither notice a wrong free nor count what they do, as every strategy here must; for the two
 * whose work is less than that, there is a second ratio, to C that does it as well.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const FULL = [50, 90, 99];
const PAIRS = 1 << 16;
const WARM_UP = 40;
const ROUNDS = 200;
/** Time for the rounds of one number; then five must do. */
const BUDGET_NS = 4e9;
const C_STRATEGY = { bitmap: 0, 'free-stack': 1, buddy: 2, 'buddy-pcp': 3 };
/** Of these, the ones that C is to keep the same books for. */
const KEPT = ['free-stack', 'buddy-pcp'];
/** Strategies whose cost is compared with that of buddy. */
const TO_BUDDY = ['llfree', 'reservations'];

const dist = (path) => new URL(`../../dist/${path}`, import.meta.url).href;

/** Xorshift32 (Marsaglia 2003): the same frames are freed in every run. */
function makeRandom(seed) {
  const state = new Int32Array(32).fill(seed);
  return () => {
    let x = state[0];
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    state[0] = x;
    return x >>> 0;
  };
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** ns of one pair: free a random held frame, allocate another in its place. */
async function pairNs(name, memory, percent) {
  const { pmms } = await import(dist('core/pmm/registry.js'));
  const { memoryMapFromSize } = await import(dist('core/pmm/memory-map.js'));
  const pmm = pmms.get(name).create({ map: memoryMapFromSize(memory), cpus: 1, seed: 1 });
  const { allocate, free } = pmm;
  const all = Math.floor(memory / 4096);
  const count = Math.floor((all * percent) / 100);
  const held = new Int32Array(all);
  const random = makeRandom(12345);
  for (let i = 0; i < all; i++) held[i] = allocate(0, 1, 0, -1, 0);
  for (let i = all - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const frame = held[i];
    held[i] = held[j];
    held[j] = frame;
  }
  for (let i = count; i < all; i++) if (free(held[i], 0, 0) !== 0) throw new Error(`${name}: a held frame was refused`);
  const slots = new Int32Array(PAIRS);
  const pairs = () => {
    for (let i = 0; i < PAIRS; i = (i + 1) | 0) {
      const slot = slots[i];
      free(held[slot], 0, 0);
      held[slot] = allocate(0, 1, 0, -1, 0);
    }
  };
  const empty = () => {
    for (let i = 0; i < PAIRS; i = (i + 1) | 0) {
      const slot = slots[i];
      held[slot] = (held[slot] + 0) | 0;
    }
  };
  const time = (run) => {
    const start = process.hrtime.bigint();
    run();
    return Number(process.hrtime.bigint() - start) / PAIRS;
  };
  const busy = [];
  const idle = [];
  let spent = 0;
  for (let round = -WARM_UP; round < ROUNDS && (spent < BUDGET_NS || busy.length < 5); round++) {
    if (spent > BUDGET_NS / 4 && round < 0) round = 0;
    for (let i = 0; i < PAIRS; i++) slots[i] = random() % count;
    const without = time(empty);
    const pair = time(pairs);
    spent += (pair + without) * PAIRS;
    if (round < 0) continue;
    idle.push(without);
    busy.push(pair);
  }
  pmm.validate();
  return Math.round((median(busy) - median(idle)) * 10) / 10;
}

/** Milliseconds and MiB of resident memory that making the strategy over a terabyte takes, first frame included. */
async function start(name) {
  const { pmms } = await import(dist('core/pmm/registry.js'));
  const { memoryMapFromSize } = await import(dist('core/pmm/memory-map.js'));
  const map = memoryMapFromSize(1024 * GIB);
  const before = process.memoryUsage().rss;
  const begin = process.hrtime.bigint();
  const pmm = pmms.get(name).create({ map, cpus: 1, seed: 1 });
  const frame = pmm.allocate(0, 1, 0, -1, 0);
  const ms = Number(process.hrtime.bigint() - begin) / 1e6;
  if (frame < 0) throw new Error(`${name}: there is no first frame`);
  return { ms: Math.round(ms * 100) / 100, MiB: Math.max(0, Math.round(((process.memoryUsage().rss - before) / MIB) * 10) / 10) };
}

/** Runs one measurement of this file in a process of its own. */
function inProcess(what, ...args) {
  const code = `import(${JSON.stringify(import.meta.url)}).then((m) => m.${what}(...${JSON.stringify(args)})).then((v) => console.log(JSON.stringify(v)))`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));
}

export { pairNs, start };

/** Rows {name, unit, values}: per strategy the pair at each degree of filling, and the start of 1 TiB. */
export async function bench() {
  const { pmms } = await import(dist('core/pmm/registry.js'));
  const names = pmms.names();
  const rows = [];
  for (const [size, memory] of [
    ['256 MiB', 256 * MIB],
    ['4 GiB', 4 * GIB],
  ]) {
    for (const name of names) {
      const values = Object.fromEntries(FULL.map((percent) => [`${percent} % full`, inProcess('pairNs', name, memory, percent)]));
      rows.push({ name: `${name}, ${size}: free + allocate`, unit: 'ns', values });
    }
  }
  rows.push(...ratios());
  const starts = names.map((name) => [name, inProcess('start', name)]);
  rows.push({ name: 'start over 1 TiB', unit: 'ms', values: Object.fromEntries(starts.map(([name, { ms }]) => [name, ms])) });
  rows.push({ name: 'resident memory of it', unit: 'MiB', values: Object.fromEntries(starts.map(([name, { MiB }]) => [name, MiB])) });
  return rows;
}

/** Quotients of two measurements made in turn, the median of three. */
function quotients(name, unit, measure, against) {
  const values = FULL.map((percent) => {
    const pairs = [1, 2, 3].map(() => [measure(percent), against(percent)]);
    return [`${percent} % full`, Math.round(median(pairs.map(([a, b]) => a / b)) * 100) / 100];
  });
  return { name, unit, values: Object.fromEntries(values) };
}

function ratios() {
  const rows = [];
  const memory = 4 * GIB;
  const ns = (name) => (percent) => inProcess('pairNs', name, memory, percent);
  for (const name of TO_BUDDY) rows.push(quotients(`${name} / buddy, 4 GiB`, 'ratio', ns(name), ns('buddy')));
  const yardstick = process.env['FRAMEWALK_YARDSTICK'];
  if (yardstick === undefined || !existsSync(join(yardstick, 'core.h'))) return rows;
  const space = mkdtempSync(join(tmpdir(), 'framewalk-pmm-'));
  try {
    for (const [size, frames] of [
      ['256 MiB', 1 << 16],
      ['4 GiB', 1 << 20],
    ]) {
      const program = join(space, `pmm-${frames}`);
      const source = fileURLToPath(new URL('./pmm-yardstick.c', import.meta.url));
      execFileSync('gcc', ['-O2', '-w', `-DNFR=${frames}u`, '-I', yardstick, source, '-o', program]);
      const c =
        (strategy, ...kept) =>
        (percent) =>
          Number(execFileSync(program, [String(strategy), String(percent), ...kept], { encoding: 'utf8' }));
      for (const [name, strategy] of Object.entries(C_STRATEGY)) {
        const js = (percent) => inProcess('pairNs', name, frames * 4096, percent);
        rows.push(quotients(`${name} / the same in C, ${size}`, 'ratio', js, c(strategy)));
        if (KEPT.includes(name)) rows.push(quotients(`${name} / C that marks and counts too, ${size}`, 'ratio', js, c(strategy, 'kept')));
      }
    }
  } finally {
    rmSync(space, { recursive: true, force: true });
  }
  return rows;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await bench());
