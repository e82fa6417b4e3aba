/**
 * Imports point one way: cli -> reports -> core -> {arch, traces}; arch imports nothing of ours, traces only arch/address.ts. Packages that sources import are
 * dependencies (not devDependencies), and plain numbers become branded ones in arch/address.ts alone. The wrong tree in fixtures shows that each rule can fail.
 */
import { describe, expect, it } from 'vitest';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  cli: ['cli', 'reports', 'core', 'arch', 'traces'],
  reports: ['reports', 'core', 'arch', 'traces'],
  core: ['core', 'arch', 'traces'],
  traces: ['traces'],
  arch: ['arch'],
};
const dependencies = Object.keys((JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }).dependencies);

/** Source text without comments; strings stay, because import paths are strings. */
function withoutComments(text: string): string {
  return text.replace(
    /('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, literal: string | undefined) => literal ?? ' ',
  );
}

function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const forms = [
    /^\s*(?:import|export)\s[\w\s{},*$]*?\bfrom\s*['"]([^'"\n]+)['"]/gm,
    /^\s*import\s*['"]([^'"\n]+)['"]/gm,
    /\bimport\s*\(\s*['"]([^'"\n]+)['"]/g,
    /\bnew URL\(\s*['"]([^'"\n]+)['"]\s*,\s*import\.meta\.url/g,
  ];
  return forms.flatMap((form) => Array.from(code.matchAll(form), (match) => match[1]));
}

function violations(tree: string): string[] {
  const wrong: string[] = [];
  for (const layer of Object.keys(LAYERS)) {
    for (const entry of readdirSync(join(tree, layer), { recursive: true, encoding: 'utf8' })) {
      if (!/\.m?[tj]s$/.test(entry)) continue;
      const file = posix.join(layer, entry.replaceAll('\\', '/'));
      const text = readFileSync(join(tree, file), 'utf8');
      for (const specifier of importsOf(text)) {
        if (specifier.startsWith('node:')) continue;
        if (!specifier.startsWith('.')) {
          const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
          if (!dependencies.includes(name)) wrong.push(`${file}: package ${name}`);
          continue;
        }
        const target = posix.join(posix.dirname(file), specifier);
        const folder = target.split('/')[0];
        const allowed = LAYERS[layer].includes(folder) || (layer === 'traces' && target === 'arch/address.js') || posix.basename(target) === 'package.json';
        if (!allowed) wrong.push(`${file}: ${target}`);
      }
      if (file !== 'arch/address.ts' && /\bas (PhysAddr|VirtAddr|Frame|Page)\b/.test(withoutComments(text))) wrong.push(`${file}: casts to a branded number`);
    }
  }
  return wrong.sort();
}

describe('the direction of imports', () => {
  it('is kept by the sources', () => {
    expect(violations(root)).toEqual([]);
  });

  it('is noticed where it is broken', () => {
    expect(violations(join(root, 'test', 'fixtures', 'imports-wrong'))).toEqual([
      'arch/upwards.ts: traces/event.js',
      'core/pmm/upwards.ts: reports/csv.js',
      'reports/multiline.ts: cli/several-lines.js',
      'reports/upwards.ts: cli/main.js',
      'reports/upwards.ts: package vitest',
      'reports/worker.ts: casts to a branded number',
      'reports/worker.ts: cli/worker.js',
      'traces/formats/beside.ts: arch/x86-64.js',
    ]);
  });
});
