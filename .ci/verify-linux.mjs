/**
 * Records a list of programs on this machine, verifies each recording and prints the table of docs/verify.md: npm run verify:linux [-- NAME...] [-- --keep DIR]
 *
 *     npm run verify:linux -- --overhead        instead: how much longer three of them take while they are recorded
 *
 * Needs root, perf and a C compiler, and says which programs of the list are not installed. Exit code 1 when VmSize, VmPTE, RssAnon or RssShmem of one differs.
 * Each program is recorded once for the files that it maps, which are then read in order, and a second time for the table. A fault maps what of a file is in the page
 * cache, but for the page at which the next reading ahead would begin (mm/filemap.c, next_uptodate_folio): after a reading in order there is none.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const programs = join(root, '.ci', 'programs');
const main = join(root, 'dist', 'cli', 'main.js');
const JUDGED = ['vm_size_kb', 'vm_pte_kb', 'rss_anon_kb', 'rss_shmem_kb'];
const FEWEST_SAMPLES = 200;

const words = process.argv.slice(2);
const keepAt = words.indexOf('--keep');
const overheadAt = words.indexOf('--overhead');
if (overheadAt >= 0) words.splice(overheadAt, 1);
const work = keepAt < 0 ? mkdtempSync(join(tmpdir(), 'framewalk-verify-')) : words.splice(keepAt, 2)[1];
mkdirSync(work, { recursive: true });

function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: work, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
}

const onPath = (name) => name.includes('/') || process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, name)));

/** A C program of the list, built. */
function built(name, ...flags) {
  const program = join(work, name);
  const done = run('gcc', ['-O1', '-o', program, join(programs, `${name}.c`), ...flags]);
  if (done.status !== 0) throw new Error(`gcc ${name}.c: ${done.stderr}`);
  return program;
}

/** A C project of four files for make. */
function project() {
  const folder = join(work, 'project');
  mkdirSync(folder, { recursive: true });
  for (const name of ['a', 'b', 'c'])
    writeFileSync(
      join(folder, `${name}.c`),
      `#include <stdio.h>\n#include <stdlib.h>\nint ${name}(int n) { return n < 2 ? n : ${name}(n - 1) + ${name}(n - 2); }\n`,
    );
  writeFileSync(join(folder, 'main.c'), 'int a(int), b(int), c(int);\nint main(void) { return a(3) + b(4) + c(5) > 99; }\n');
  writeFileSync(join(folder, 'Makefile'), 'prog: a.o b.o c.o main.o\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\nclean:\n\trm -f *.o prog\n');
  run('make', ['-s', 'clean'], { cwd: folder });
  return folder;
}

/** A C file that takes a compiler a while. */
function functions() {
  const file = join(work, 'functions.c');
  const body = (i) =>
    `int f${i}(int *a, int n) { int s = ${i}; for (int i = 0; i < n; i++) { if (a[i] % ${i + 2} == 0) s += a[i] * ${i + 3}; else s ^= a[n - i - 1]; } return s; }`;
  writeFileSync(file, `${Array.from({ length: 150 }, (_, i) => body(i)).join('\n')}\n`);
  return file;
}

function numbers() {
  const file = join(work, 'numbers.txt');
  let seed = 12345;
  const lines = Array.from({ length: 1_200_000 }, () => (seed = (seed * 1103515245 + 12345) % 2147483648));
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

const SQL =
  "create table t(a integer primary key, b text, c real); with recursive n(i) as (select 1 union all select i+1 from n where i < 150000) insert into t select i, hex(i * 7919), i * 0.5 from n; create index tb on t(b); select count(*), sum(c) from t where b > '4'; update t set c = c + 1 where a % 3 = 0; delete from t where a % 5 = 0; select sum(c) from t;";

/** Name, what is needed, the command line, and what makes it do everything again. */
/** @type {[name: string, needs: string, command: () => string[], prepare?: () => unknown][]} */
const LIST = [
  ['forks', 'bash', () => [join(programs, 'forks.sh')]],
  ['gcc', 'gcc', () => ['gcc', '-O2', '-c', '-o', join(work, 'functions.o'), functions()]],
  ['python-fork', 'python3', () => [pythonPath(), join(programs, 'fork.py')]],
  ['redis', 'redis-server', () => [join(programs, 'redis.sh'), folderFor('redis')], () => folderFor('redis')],
  ['sqlite', 'sqlite3', () => ['sqlite3', ':memory:', SQL]],
  ['git-log', 'git', () => ['git', '-C', root, '--no-pager', 'log', '--stat', '-n', '300']],
  ['make', 'make', () => ['make', '-s', '-j2', '-C', project()], project],
  ['node', 'node', () => [process.execPath, join(programs, 'node.cjs')]],
  ['perl-fork', 'perl', () => ['perl', join(programs, 'fork.pl')]],
  ['sort', 'sort', () => ['sort', '-n', '--parallel=2', '-S', '24M', '-o', join(work, 'sorted'), numbers()]],
  ['threads', 'gcc', () => [built('threads', '-pthread')]],
  ['shm', 'gcc', () => [built('shm')]],
  ['advise', 'gcc', () => [built('advise')]],
];

/** The interpreter itself: a version manager's wrapper would be recorded instead. */
function pythonPath() {
  return run('python3', ['-c', 'import sys; print(sys.executable)']).stdout.trim();
}

function folderFor(name) {
  const folder = join(work, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  return folder;
}

const record = (trace, line, ...flags) =>
  run(process.execPath, [main, 'record', '-o', trace, ...flags, '--', ...line], { stdio: ['ignore', 'ignore', 'pipe'] });

/** Paths of a files.csv: the first field in quotes. */
const mapped = (file) => (existsSync(file) ? [...readFileSync(file, 'utf8').matchAll(/^[^"]*"([^"]+)"/gm)].map(([, path]) => path) : []);

const cell = (quantity) => (quantity === undefined ? '-' : `${quantity.exact}/${quantity.samples}${quantity.max_error > 0 ? ` (${quantity.max_error})` : ''}`);

/** Runs of each kind, one after the other in turns, so that what else the machine does falls on all alike. */
const ROUNDS = 9;
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** Milliseconds that the command takes: bare, recorded without readings, recorded. A recorded one's own time is that of its trace. */
function overhead([name, , command]) {
  const line = command();
  const trace = join(work, `${name}.fwt`);
  const traced = (...flags) => {
    record(trace, line, ...flags);
    return JSON.parse(run(process.execPath, [main, 'info', trace, '--json']).stdout).duration_ns / 1e6;
  };
  const bare = () => {
    const began = performance.now();
    run(line[0], line.slice(1), { stdio: 'ignore' });
    return performance.now() - began;
  };
  const times = [bare, () => traced('--no-truth'), traced].map((kind) => ({ kind, values: [] }));
  for (let round = 0; round < ROUNDS; round++) for (const { kind, values } of times) values.push(kind());
  const [alone, ...others] = times.map(({ values }) => median(values));
  return [name, `${alone.toFixed(0)} ms`, ...others.map((time) => `${time.toFixed(0)} ms (${(time / alone).toFixed(2)} x)`)];
}

function table(header, rows) {
  process.stdout.write([header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n') + '\n');
}

if (overheadAt >= 0) {
  const names = ['gcc', 'forks', 'python-fork'];
  table(
    ['program', 'bare', 'events alone (--no-truth)', 'events and readings'],
    LIST.filter(([name]) => names.includes(name)).map((entry) => overhead(entry)),
  );
  if (keepAt < 0) rmSync(work, { recursive: true, force: true });
  process.exit(0);
}

const rows = [];
let wrong = 0;
const wanted = LIST.filter(([name]) => words.length === 0 || words.includes(name));
for (const [name, needs, command, prepare] of wanted) {
  if (!onPath(needs)) {
    process.stderr.write(`LEFT OUT: ${name}, because ${needs} is not on the PATH\n`);
    continue;
  }
  const line = command();
  const trace = join(work, `${name}.fwt`);
  const first = join(work, `${name}.first`);
  record(trace, line, '--keep', first);
  for (const path of mapped(join(first, 'files.csv'))) run('cat', [path], { stdio: 'ignore' });
  rmSync(first, { recursive: true, force: true });
  rmSync(trace, { force: true });
  prepare?.();
  const recorded = record(trace, line);
  if (!existsSync(trace) || recorded.status !== 0) {
    process.stderr.write(`${name}: ${recorded.stderr}\n`);
    wrong++;
    continue;
  }
  const verified = run(process.execPath, [main, 'verify', trace, '--json']);
  const [program] = JSON.parse(verified.stdout).programs;
  const q = program.quantities;
  const exact = JUDGED.every((quantity) => q[quantity] !== undefined && q[quantity].exact === q[quantity].samples) && program.unmatched_samples.count === 0;
  if (!exact) wrong++;
  const judged = q.vm_size_kb?.samples ?? 0;
  const few = judged < FEWEST_SAMPLES ? ' (short)' : '';
  const losses = program.losses.reduce((sum, loss) => sum + loss.count, 0);
  rows.push([
    name,
    `${judged}${few}`,
    program.racy_samples,
    `${program.address_spaces.sampled}/${program.address_spaces.count}`,
    ...[...JUDGED, 'rss_file_kb', 'minor_faults', 'threads'].map((key) => cell(q[key])),
    losses,
    exact ? 'exact' : 'DIFFERS',
  ]);
  process.stderr.write(`${rows.at(-1).join('  ')}\n`);
}
const header = [
  'program',
  'samples',
  'racy',
  'address spaces',
  'VmSize',
  'VmPTE',
  'RssAnon',
  'RssShmem',
  'RssFile',
  'minor faults',
  'threads',
  'losses',
  'verdict',
];
table(header, rows);
if (keepAt < 0) rmSync(work, { recursive: true, force: true });
process.exitCode = wrong === 0 ? 0 : 1;
