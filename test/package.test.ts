/**
 * The package as npm would publish it: packed, laid into an empty folder, used from there as a command and as a library. Its dependencies are linked from this
 * checkout instead of being fetched, so the test needs no network.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'framewalk-package-'));
const installed = join(folder, 'node_modules', 'framewalk');

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly version: string;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

beforeAll(() => {
  // Without scripts: dist/ is built already, and prepack would build it again.
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ filename }] = JSON.parse(packed) as { filename: string }[];
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1']);
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
  // What npm does for a bin: a link to the file, made executable.
  const bin = join(installed, manifest.bin['framewalk']);
  chmodSync(bin, 0o755);
  mkdirSync(join(folder, 'node_modules', '.bin'));
  symlinkSync(bin, join(folder, 'node_modules', '.bin', 'framewalk'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const framewalk = (...args: string[]): string => execFileSync(join(folder, 'node_modules', '.bin', 'framewalk'), args, { cwd: folder, encoding: 'utf8' });

describe('the package', () => {
  it('holds the compiled code, the recordings and the documents, and no sources or tests', () => {
    const top = readdirSync(installed).sort();
    expect(top).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'package.json', 'traces']);
    expect(readdirSync(join(installed, 'traces')).sort()).toEqual(['record', 'recordings']);
    // What record builds on the machine where it records.
    expect(readdirSync(join(installed, 'traces', 'record')).sort()).toEqual(['cache.c', 'readings.h', 'truth.c', 'watch.c']);
    const dist = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' });
    expect(dist.filter((name) => /(?<!\.d)\.ts$|\.map$|stamp/.test(name))).toEqual([]);
  });

  it('runs as a command', () => {
    expect(framewalk('--version')).toBe(`${manifest.version}\n`);
    const recording = readdirSync(join(root, 'traces', 'recordings')).find((name) => name.endsWith('.fwt'));
    const output = framewalk('run', join(root, 'traces', 'recordings', recording ?? 'missing'), '--pmm', 'buddy', '--workers', '1');
    expect(output).toContain('buddy');
    expect(readdirSync(join(folder, 'out'))).toEqual(expect.arrayContaining(['results.csv', 'results.json', 'timing.csv', 'timeline.csv', 'processes.csv']));
  });

  it('is a library in ten lines', () => {
    const program = join(folder, 'program.mjs');
    writeFileSync(program, readme('mjs'));
    const recordings = join(root, 'traces', 'recordings');
    const trace = join(recordings, readdirSync(recordings).find((name) => name.endsWith('.fwt')) ?? 'missing');
    const output = execFileSync(process.execPath, [program, trace], { cwd: folder, encoding: 'utf8' });
    expect(output).toMatch(/^bitmap \d+\nbuddy \d+\n$/);
  });
});

/** The first fenced block of that language in the README: what it shows is what is tested. */
function readme(language: string): string {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const block = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(text)?.[1];
  if (block === undefined) throw new Error(`README.md shows no ${language} program`);
  return block;
}
