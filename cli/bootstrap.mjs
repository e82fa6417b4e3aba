#!/usr/bin/env node
/**
 * What `npm start`, `npm test`, `npm run check`, `npm run build` and `npm run bench` run: brings a fresh clone to the point where the asked-for thing
 * can happen (installs what is missing, builds what is out of date), then does it. Plain JavaScript without dependencies, because nothing is installed
 * or compiled when it starts.
 *
 * "Installed" means that npm's own record of node_modules names every package of package-lock.json in its version; "built" means that dist/.stamp holds
 * the hash of the sources. Neither looks at clocks, so a checkout of another branch is noticed and a second start does nothing.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const SOURCE_FOLDERS = ['arch', 'cli', 'core', 'reports', 'traces'];

/** Prints one line and ends the process: what is wrong here is the machine or the tree, not the program. */
function fail(message, code = 2) {
  process.stderr.write(`framewalk: ${message}\n`);
  process.exit(code);
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Every package of the lock file that this machine needs stands in npm's record of node_modules, in the locked version. */
function isInstalled() {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = readJson(join(root, 'package-lock.json')).packages;
  const present = readJson(record).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional === true || entry.peer === true || present[path]?.version === entry.version,
  );
}

function install() {
  if (isInstalled()) return;
  process.stderr.write('framewalk: installing the packages of package-lock.json\n');
  const args = ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  const run = npm === undefined ? spawnSync('npm', args, installOptions) : spawnSync(process.execPath, [npm, ...args], installOptions);
  if (run.error !== undefined) fail(`npm could not be started (${run.error.message}); install npm and try again`);
  if (run.status !== 0) fail('npm ci failed (see above); is the npm registry reachable?');
}
const installOptions = { cwd: root, stdio: ['ignore', 2, 2] };

function* sourceFiles(folder) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* sourceFiles(path);
    else if (entry.name.endsWith('.ts')) yield path;
  }
}

/** Hash of everything that decides what the compiler writes. */
function sourceHash() {
  const hash = createHash('sha256');
  const files = ['package.json', 'tsconfig.json', 'package-lock.json', ...SOURCE_FOLDERS.flatMap((folder) => [...sourceFiles(folder)])];
  for (const path of files)
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  return hash.digest('hex');
}

/** Compiles aside and swaps the folders, so that dist/ is always one whole build and holds nothing of removed sources. */
function build() {
  const dist = join(root, 'dist');
  const stamp = join(dist, '.stamp');
  const hash = sourceHash();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  process.stderr.write('framewalk: building\n');
  const aside = mkdtempSync(join(root, 'dist.'));
  const old = `${aside}.old`;
  const run = tool('tsc', ['-p', 'tsconfig.json', '--outDir', aside], ['ignore', 2, 2]);
  if (run !== 0) {
    rmSync(aside, { recursive: true, force: true });
    fail('the build failed (see above)', 3);
  }
  writeFileSync(join(aside, '.stamp'), hash);
  if (existsSync(dist)) renameSync(dist, old);
  // mkdtemp makes it its owner's alone; whoever may read the sources may run it.
  chmodSync(aside, 0o755);
  renameSync(aside, dist);
  rmSync(old, { recursive: true, force: true });
}

/** Runs a program of node_modules/.bin; its exit status. */
function tool(name, args, stdio = 'inherit', env = process.env) {
  const run = spawnSync(process.execPath, [realBin(name), ...args], { cwd: root, stdio, env });
  if (run.error !== undefined) fail(`${name} could not be started: ${run.error.message}`, 3);
  return run.status ?? 3;
}

/** The JavaScript file behind a command, so that no shell and no link is needed. */
function realBin(name) {
  const owner = { tsc: 'typescript' }[name] ?? name;
  const bin = readJson(join(root, 'node_modules', owner, 'package.json')).bin;
  return join(root, 'node_modules', owner, typeof bin === 'string' ? bin : bin[name]);
}

/**
 * The checks besides the tests: name, command, arguments.
 * @type {[string, string, string[]][]}
 */
const CHECKS = [
  ['types of sources and tests', 'tsc', ['-p', 'test/tsconfig.json']],
  ['lint', 'oxlint', ['--type-aware', '--report-unused-disable-directives', '--deny-warnings', '.']],
  ['format', 'prettier', ['--check', '--log-level=warn', '.']],
  ['package', 'publint', ['run', '--strict', '--pack=npm']],
];

/** Runs every check, even after one failed; names of those that failed. */
function check() {
  /** @type {string[]} */
  const failed = [];
  for (const [name, command, args] of CHECKS) {
    const status = tool(command, args);
    process.stdout.write(`${status === 0 ? 'ok     ' : 'FAILED '} ${name}\n`);
    if (status !== 0) failed.push(name);
  }
  return failed;
}

/** Checks and tests; prints `N passed, N failed`, writes the same line to the file FRAMEWALK_SUMMARY names. */
function test(args) {
  const whole = args.length === 0;
  const failedChecks = whole ? check() : [];
  const folder = mkdtempSync(join(tmpdir(), 'framewalk-test-'));
  const report = join(folder, 'vitest.json');
  const status = tool('vitest', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args]);
  let passed = whole ? CHECKS.length - failedChecks.length : 0;
  let failed = failedChecks.length;
  if (existsSync(report)) {
    const result = readJson(report);
    passed += result.numPassedTests;
    failed += result.numFailedTests;
    // A file that could not even be loaded has no test that could have failed.
    failed += result.testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some((one) => one.status === 'failed')).length;
    for (const file of result.testResults) {
      for (const one of file.assertionResults) {
        if (one.status !== 'passed' && one.status !== 'failed') process.stdout.write(`LEFT OUT: ${one.fullName}\n`);
      }
    }
  }
  rmSync(folder, { recursive: true, force: true });
  if (status !== 0 && failed === 0) failed = 1;
  const line = `${passed} passed, ${failed} failed`;
  for (const name of failedChecks) process.stdout.write(`FAILED check: ${name}\n`);
  process.stdout.write(`${line}\n`);
  if (process.env.FRAMEWALK_SUMMARY !== undefined) writeFileSync(process.env.FRAMEWALK_SUMMARY, line);
  process.exitCode = failed === 0 ? 0 : 1;
}

/** Replays the bundled recordings; further arguments go to `framewalk run`. */
async function start(args) {
  const folder = join(root, 'traces', 'recordings');
  const files = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.fwt'))
        .sort()
    : [];
  if (files.length === 0) fail('traces/recordings holds no .fwt file to replay; restore it from the repository');
  process.chdir(root);
  const main = join(root, 'dist', 'cli', 'main.js');
  process.argv = [process.execPath, main, 'run', ...files.map((name) => join('traces', 'recordings', name)), ...args];
  await import(pathToFileURL(main).href);
}

const [node] = process.versions.node.split('.').map(Number);
const minor = Number(process.versions.node.split('.')[1]);
if (node < 20 || (node === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old: framewalk needs 20.19 or newer`);

const [task, ...rest] = process.argv.slice(2);
install();
switch (task) {
  case 'build':
    build();
    break;
  case 'start':
    build();
    await start(rest);
    break;
  case 'check':
    build();
    if (check().length > 0) process.exitCode = 1;
    break;
  case 'test':
    build();
    test(rest);
    break;
  case 'bench':
    build();
    process.argv = [process.execPath, join(root, 'test', 'bench', 'run.mjs'), ...rest];
    await import(pathToFileURL(process.argv[1]).href);
    break;
  default:
    fail(`cli/bootstrap.mjs ${task ?? ''}: expected one of start, test, check, build, bench`);
}
