/**
 * `npm run bench`: runs every benchmark module beside this file, or those whose names contain one of the arguments, and prints a table for each.
 *
 * A module exports `async function bench()`, which returns rows `{ name, unit, values: { label: number } }`. Each runs in a Node process of its own, one after
 * the other, so that none meets what another one left in the heap or in the compiler's feedback.
 *
 *     npm run bench                 all
 *     npm run bench -- vma pmm      the modules whose names contain vma or pmm
 *     npm run bench -- --json       the rows as JSON lines, for programs
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Parts of other modules. */
const NOT_BENCHES = ['run.mjs', 'cell.mjs', 'synthetic.mjs'];

const folder = fileURLToPath(new URL('.', import.meta.url));
const self = fileURLToPath(import.meta.url);

/** Four significant digits, without an exponent. */
function digits(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const decimals = Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(decimals, 6));
}

/** Rows with the same labels share one header. */
function table(rows) {
  const lines = [];
  let header = '';
  for (const group of grouped(rows)) {
    const labels = Object.keys(group[0].values);
    const cells = [['', 'unit', ...labels], ...group.map((row) => [row.name, row.unit, ...labels.map((label) => digits(row.values[label]))])];
    const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)));
    const text = cells.map((line) =>
      line
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    );
    if (header !== '') lines.push('');
    header = text[0];
    lines.push(...text);
  }
  return lines.map((line) => `  ${line}`.trimEnd()).join('\n');
}

function grouped(rows) {
  const groups = new Map();
  for (const row of rows) {
    const key = Object.keys(row.values).join('\0');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return groups.values();
}

/** In the child: one module's rows into a file, so that what the module prints stays visible. */
async function child(module, file) {
  const { bench } = await import(new URL(module, import.meta.url).href);
  writeFileSync(file, JSON.stringify(await bench()));
}

function parent(words) {
  const json = words.includes('--json');
  const wanted = words.filter((word) => word !== '--json');
  const all = readdirSync(folder)
    .filter((name) => name.endsWith('.mjs') && !NOT_BENCHES.includes(name))
    .sort();
  const modules = all.filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)));
  if (modules.length === 0) {
    process.stderr.write(`framewalk: no benchmark is called ${wanted.join(' or ')}; there are ${all.map((name) => name.replace('.mjs', '')).join(', ')}\n`);
    return 2;
  }
  const space = mkdtempSync(join(tmpdir(), 'framewalk-bench-'));
  let failed = 0;
  try {
    for (const name of modules) {
      const file = join(space, 'rows.json');
      if (!json) process.stdout.write(`\n${name.replace('.mjs', '')}\n`);
      const run = spawnSync(process.execPath, ['--expose-gc', self, '--module', name, file], { stdio: ['ignore', 2, 2] });
      if (run.status !== 0) {
        process.stderr.write(`framewalk: the benchmark ${name} failed\n`);
        failed++;
        continue;
      }
      const rows = JSON.parse(readFileSync(file, 'utf8'));
      if (json) for (const row of rows) process.stdout.write(`${JSON.stringify({ module: name.replace('.mjs', ''), ...row })}\n`);
      else process.stdout.write(`${table(rows)}\n`);
    }
  } finally {
    rmSync(space, { recursive: true, force: true });
  }
  return failed === 0 ? 0 : 3;
}

const words = process.argv.slice(2);
if (words[0] === '--module') await child(`./${words[1]}`, words[2]);
else process.exitCode = parent(words);
