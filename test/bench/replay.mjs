/**
 * The whole replay: events per second of one cell, decoding, TLB, page-walk caches, kernel heap and metrics included; two cells on two workers against the
 * same two on one; resident memory for a trace and for one ten times as long; the start of a 1 TiB memory.
 *
 * With FRAMEWALK_YARDSTICK=DIR (a folder with gen.c, replay.c, tocsv.c of a C replay of the same work) its 20 M event trace is used and the ratio to the C
 * program's events per second is printed; both run in turn and the median of the pairs counts, so that a shared machine's noise falls on both. The two cells
 * replay that trace then too.
 * FRAMEWALK_BENCH_EVENTS sets the length of the synthetic trace that is used otherwise (default 3 M).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeSynthetic } from './synthetic.mjs';

const CELL = fileURLToPath(new URL('./cell.mjs', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const PMMS = ['free-stack', 'bitmap', 'buddy'];
const C_STRATEGY = { bitmap: '0', 'free-stack': '1', buddy: '2' };
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** One cell in a fresh process: { rows, seconds, startup, rss, start } (seconds without start-up). */
function cell(trace, pmm, memory = '4GiB', policy = 'plain') {
  return JSON.parse(execFileSync(process.execPath, [CELL, trace, pmm, memory, policy], { encoding: 'utf8' }));
}

/** Seconds of `run` with two cells on the given number of workers. */
function twoCells(trace, workers, out) {
  const began = performance.now();
  const options = ['--policy', 'plain', '--heap', 'recorded', '--touch', 'recorded', '--pmm', 'free-stack,buddy', '--workers', String(workers), '--out', out];
  const done = spawnSync(process.execPath, [MAIN, 'run', trace, ...options], { stdio: 'ignore' });
  if (done.status !== 0) throw new Error(`run ended with ${done.status}`);
  return (performance.now() - began) / 1000;
}

export async function bench() {
  const space = mkdtempSync(join(tmpdir(), 'framewalk-bench-'));
  const rows = [];
  try {
    const yardstick = process.env['FRAMEWALK_YARDSTICK'];
    const events = Number(process.env['FRAMEWALK_BENCH_EVENTS'] ?? 3e6);
    const trace = join(space, 'synthetic.fwt');
    writeSynthetic(trace, events);
    // Start-up and writing take the same time whatever the trace: on a short one they hide what a second worker gains.
    let scaled = trace;
    if (yardstick !== undefined && existsSync(join(yardstick, 'replay.c'))) {
      scaled = join(space, 'yardstick.fwt');
      rows.push(...againstC(yardstick, space, scaled));
    }
    const speed = Object.fromEntries(PMMS.map((pmm) => [pmm, median([1, 2, 3].map(() => cell(trace, pmm)).map((r) => r.rows / r.seconds / 1e6))]));
    rows.push({ name: `one cell, ${events / 1e6} M synthetic events`, unit: 'M events/s', values: speed });
    // Both in turn, so that a shared machine's noise falls on both.
    const policies = [1, 2, 3, 4, 5].map(() => ['plain', 'linux'].map((policy) => cell(trace, 'buddy', '4GiB', policy)).map((r) => r.rows / r.seconds / 1e6));
    const perPolicy = { plain: median(policies.map(([plain]) => plain)), linux: median(policies.map(([, linux]) => linux)) };
    rows.push({
      name: 'policies, buddy',
      unit: 'M events/s',
      values: { ...perPolicy, 'linux/plain': median(policies.map(([plain, linux]) => linux / plain)) },
    });
    const pairs = [1, 2, 3].map(() => twoCells(scaled, 1, join(space, 'a')) / twoCells(scaled, 2, join(space, 'b')));
    rows.push({
      name: `two cells, ${scaled === trace ? events / 1e6 : 20} M events: time on one worker / on two`,
      unit: 'ratio',
      values: { 'one/two': median(pairs) },
    });
    const short = cell(trace, 'buddy').rss / 2 ** 20;
    const long = join(space, 'long.fwt');
    writeSynthetic(long, events * 10);
    rows.push({ name: 'resident memory', unit: 'MiB', values: { 'the trace': short, 'ten times as long': cell(long, 'buddy').rss / 2 ** 20 } });
    const tib = PMMS.map((pmm) => [pmm, cell(trace, pmm, 'start:1TiB')]);
    rows.push({ name: '--memory 1TiB: time to the first event', unit: 'ms', values: Object.fromEntries(tib.map(([pmm, r]) => [pmm, r.startup * 1000])) });
    rows.push({ name: '--memory 1TiB: resident memory then', unit: 'MiB', values: Object.fromEntries(tib.map(([pmm, r]) => [pmm, r.rss / 2 ** 20])) });
  } finally {
    rmSync(space, { recursive: true, force: true });
  }
  return rows;
}

/** rows/s of framewalk over events/s of the C program, per strategy, on 20 M events that are written to `trace`. */
function againstC(source, space, trace) {
  for (const name of ['gen', 'replay', 'tocsv']) execFileSync('gcc', ['-O2', '-o', join(space, name), join(source, `${name}.c`), '-lm']);
  const binary = join(space, 't.bin');
  const csv = join(space, 't.csv');
  execFileSync(join(space, 'gen'), ['20000000', '1', binary], { stdio: 'ignore' });
  const said = spawnSync(join(space, 'tocsv'), [binary, csv], { encoding: 'utf8' }).stderr;
  execFileSync(process.execPath, [MAIN, 'import', csv, '--codec', 'none', '-o', trace], { stdio: 'ignore' });
  rmSync(csv);
  const minor = Number(/minor=(\d+)/.exec(said)?.[1]);
  const cow = Number(/cow=(\d+)/.exec(said)?.[1]);
  const ratios = {};
  const speeds = {};
  for (const pmm of PMMS) {
    const pairs = [1, 2, 3].map(() => {
      const c = Number(/Mev\/s=([\d.]+)/.exec(execFileSync(join(space, 'replay'), [binary, C_STRATEGY[pmm]], { encoding: 'utf8' }))?.[1]);
      const ours = cell(trace, pmm);
      if (ours.minor !== minor || ours.cow !== cow)
        throw new Error(`${pmm}: ${ours.minor} faults and ${ours.cow} breaks, the C program counts ${minor} and ${cow}`);
      return [ours.rows / ours.seconds / 1e6, c];
    });
    ratios[pmm] = median(pairs.map(([ours, c]) => ours / c));
    speeds[pmm] = median(pairs.map(([ours]) => ours));
  }
  return [
    { name: "rows/s over the C program's events/s (20 M events)", unit: 'ratio', values: ratios },
    { name: 'the same, by itself', unit: 'M rows/s', values: speeds },
  ];
}
