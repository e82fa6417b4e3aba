/**
 * Records the page allocator of this machine while a C project is built (make -j2), replays it over every PMM strategy, and prints the two tables of docs/page-traces.md:
 * npm run compare:pages [-- FILE.pages.fwt BUDDYINFO_BEFORE BUDDYINFO_AFTER]
 *
 * With files it compares those instead of recording. Needs root, perf and gcc to record.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'cli', 'main.js');
/** Strategies whose free blocks are compared with the machine's. */
const BUDDIES = ['buddy', 'buddy-pcp', 'buddy-migrate'];

const work = mkdtempSync(join(tmpdir(), 'framewalk-pages-'));

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: work, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.error?.message ?? done.stderr}`);
  return done.stdout;
}

/** A C project of a few files for make. */
function project() {
  const folder = join(work, 'project');
  mkdirSync(folder, { recursive: true });
  const body = (name, i) =>
    `int ${name}${i}(int *a, int n) { int s = ${i}; for (int k = 0; k < n; k++) { if (a[k] % ${i + 2} == 0) s += a[k] * ${i + 3}; else s ^= a[n - k - 1]; } return s; }`;
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) writeFileSync(join(folder, `${name}.c`), `${Array.from({ length: 12 }, (_, i) => body(name, i)).join('\n')}\n`);
  writeFileSync(join(folder, 'main.c'), 'int main(void) { return 0; }\n');
  const objects = [...names, 'main'].map((name) => `${name}.o`).join(' ');
  writeFileSync(join(folder, 'Makefile'), `prog: ${objects}\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\n`);
  return folder;
}

/** Free blocks by order, all zones together. */
function freeBlocks(buddyinfo) {
  const lines = buddyinfo.split('\n').flatMap((line) => /zone +\S+ +(.*)$/.exec(line)?.[1] ?? []);
  return lines.map((line) => line.trim().split(/\s+/).map(Number)).reduce((sum, blocks) => blocks.map((n, order) => n + (sum[order] ?? 0)), []);
}

function table(header, rows) {
  process.stdout.write(`\n${[header, header.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`);
}

const signed = (n) => (n > 0 ? `+${n}` : n < 0 ? `\u2212${-n}` : '0');

let [trace, before, after] = process.argv.slice(2);
if (trace === undefined) {
  const folder = project();
  before = join(work, 'buddyinfo.before');
  after = join(work, 'buddyinfo.after');
  writeFileSync(before, readFileSync('/proc/buddyinfo', 'utf8'));
  run(process.execPath, [main, 'record', '--pages', '--no-truth', '-o', 'build.fwt', '--', 'make', '-s', '-j2', '-C', folder]);
  writeFileSync(after, readFileSync('/proc/buddyinfo', 'utf8'));
  trace = join(work, 'build.pages.fwt');
  if (process.env['KEEP_PAGES'] !== undefined) {
    mkdirSync(process.env['KEEP_PAGES'], { recursive: true });
    for (const [file, name] of [
      [trace, 'build.pages.fwt'],
      [before, 'buddyinfo.before'],
      [after, 'buddyinfo.after'],
    ])
      copyFileSync(file, join(process.env['KEEP_PAGES'], name));
  }
}
const pmms = JSON.parse(run(process.execPath, [main, 'list', 'pmms', '--json'])).map(({ name }) => name);
const result = JSON.parse(run(process.execPath, [main, 'run', trace, '--memory', '4GiB', '--pmm', pmms.join(','), '--out', join(work, 'out'), '--json']));

const info = JSON.parse(run(process.execPath, [main, 'info', trace, '--json']));
process.stdout.write(`${info.events_count} requests in ${(info.duration_ns / 1e9).toFixed(1)} s\n`);
const ends = (cell) => [cell.fragmentation[0], cell.fragmentation.at(-1)];
table(
  [
    'strategy',
    'steps a request',
    'requests refused',
    'free blocks of order 10 at the end',
    'unusable for 2 MiB at the peak',
    'free in whole 2 MiB at the peak',
    'broken 2 MiB blocks at the peak',
  ],
  result.cells.map((cell) => {
    const { metrics } = cell;
    return [
      `\`${cell.config.pmm}\``,
      metrics.pmm_steps_per_op.toFixed(2),
      metrics.alloc_failures_count,
      ends(cell)[1].freeBlocks[10],
      `${(metrics.unusable_free_index_order_9 * 100).toFixed(1)} %`,
      `${(metrics.free_huge_score * 100).toFixed(1)} %`,
      metrics.broken_blocks_count,
    ];
  }),
);
const [first, last] = [before, after].map((file) => freeBlocks(readFileSync(file, 'utf8')));
const orders = Array.from({ length: 11 }, (_, order) => order);
const frames = (change) => signed(change.reduce((sum, n, order) => sum + n * 2 ** order, 0));
const rows = [['this machine', orders.map((order) => last[order] - first[order])]];
for (const name of BUDDIES) {
  const [start, end] = ends(result.cells.find(({ config }) => config.pmm === name));
  rows.push([`\`${name}\``, orders.map((order) => end.freeBlocks[order] - start.freeBlocks[order])]);
}
table(
  ['change of free blocks of order', ...orders, 'frames'],
  rows.map(([name, change]) => [name, ...change.map(signed), frames(change)]),
);
rmSync(work, { recursive: true, force: true });
