/** PMMs of the user's from outside: run, check-pmm, what they say about modules that are wrong. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { complaint, framewalk, ROOT, scratch } from './framewalk.js';

const folder = scratch();
const inside = { cwd: folder };
const fixture = (path: string): string => join(ROOT, 'test', 'fixtures', 'pmm', path);
for (const name of [
  'own/kalloc.wasm',
  'own/bitmap.wasm',
  'own/typed.ts',
  'broken/allocators.mjs',
  'broken/misaligned.mjs',
  'broken/no-order-check.mjs',
  'broken/double-hand-out.mjs',
  'broken/endless.mjs',
])
  copyFileSync(fixture(name), join(folder, name.split('/')[1] ?? name));

/** A process that writes 64 pages and ends. */
writeFileSync(
  join(folder, 'small.csv'),
  [
    'time,pid,tid,op,addr,size,addr2,arg,flags,cpu',
    '0,1,1,mmap,0x10000000,262144,,,r|w,',
    ...Array.from({ length: 64 }, (_, page) => `${page + 1},1,1,write,0x${(0x10000000 + page * 4096).toString(16)},8,,,,`),
    '99,1,1,exit,,,,0,group,',
    '',
  ].join('\n'),
);

const results = (out: string, file: string): string => readFileSync(join(folder, out, file), 'utf8');
interface Stored {
  readonly cells: readonly { readonly config: { readonly pmm: string; readonly pmmHash: string }; readonly metrics: Record<string, number | null> }[];
}

describe('run', () => {
  it('takes files of each kind beside names, the same bytes for any number of workers', async () => {
    const pmm = 'free-stack,./kalloc.wasm,bitmap.wasm,./typed.ts';
    for (const workers of ['1', '2']) {
      const outcome = await framewalk(['run', 'small.csv', '--memory', '64MiB', '--pmm', pmm, '--workers', workers, '--out', `w${workers}`], inside);
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      for (const name of ['kalloc.wasm', 'bitmap.wasm', 'typed.ts']) expect(outcome.stdout).toContain(name);
    }
    for (const file of ['results.csv', 'timeline.csv', 'processes.csv', 'results.json']) {
      expect(results('w2', file).replaceAll('w2', 'w1').replaceAll('--workers 2', '--workers 1')).toBe(results('w1', file));
    }
    const { cells } = JSON.parse(results('w1', 'results.json')) as Stored;
    expect(cells.map(({ config }) => config.pmm)).toEqual(['free-stack', 'kalloc.wasm', 'bitmap.wasm', 'typed.ts']);
    expect(cells.map(({ config }) => /^[0-9a-f]{64}$/.test(config.pmmHash))).toEqual([false, true, true, true]);
    expect(new Set(cells.map(({ metrics }) => metrics['frames_peak'])).size).toBe(1);
  });

  it('finds files of a matrix file beside it', async () => {
    mkdirSync(join(folder, 'below'));
    copyFileSync(fixture('own/kalloc.wasm'), join(folder, 'below', 'kernel.wasm'));
    writeFileSync(join(folder, 'below', 'matrix.yaml'), 'traces: ../small.csv\npmm: [buddy, kernel.wasm]\nmemory: 64MiB\nout: results\n');
    const outcome = await framewalk(['run', '--matrix', 'below/matrix.yaml'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(results('below/results', 'results.csv')).toContain('kernel.wasm');
  });

  it('notices in the gate that a module is another one', async () => {
    copyFileSync(fixture('own/kalloc.wasm'), join(folder, 'mine.wasm'));
    const run = ['run', 'small.csv', '--memory', '64MiB', '--pmm', 'mine.wasm', '--out', 'gate'];
    await framewalk(run, inside);
    expect((await framewalk(['bless', '--baseline', 'base.json', 'gate'], inside)).code).toBe(0);
    expect((await framewalk(['check', '--baseline', 'base.json', 'gate'], inside)).code).toBe(0);
    copyFileSync(fixture('own/bitmap.wasm'), join(folder, 'mine.wasm'));
    await framewalk(run, inside);
    expect((await framewalk(['check', '--baseline', 'base.json', 'gate'], inside)).code).toBe(2);
  });

  it.each([
    ['nothing.wasm', /^framewalk: --pmm nothing\.wasm: cannot read/],
    ['.', /unknown name/],
    ['./', /^framewalk: --pmm \.\/: not a file; expected a module of a PMM/],
    ['buddy,./below/../kalloc.wasm,kalloc.wasm', /kalloc\.wasm have the same name; rename one of them/],
    ['budy,kalloc.wasm', /^framewalk: --pmm budy: unknown name, did you mean buddy\?/],
    [
      'double-hand-out.mjs',
      /^framewalk: small on double-hand-out\.mjs: hands out frame 0, of which frame 0 is in use; framewalk check-pmm double-hand-out\.mjs looks for/,
    ],
  ])('says in one line what is wrong with --pmm %s', async (pmm, message) => {
    const outcome = await framewalk(['run', 'small.csv', '--memory', '64MiB', '--pmm', pmm, '--out', 'nowhere'], inside);
    expect(outcome.code).toBe(2);
    expect(complaint(outcome)).toMatch(message);
  });

  it('says what is wrong with a module before other cells are replayed', async () => {
    // Replayed first, the other module would be what the run ends with.
    const pmm = 'double-hand-out.mjs,kalloc.wasm';
    const outcome = await framewalk(['run', 'small.csv', '--memory', '4GiB', '--pmm', pmm, '--workers', '1', '--out', 'nowhere'], inside);
    expect(outcome.code).toBe(2);
    expect(complaint(outcome)).toMatch(
      /^framewalk: kalloc\.wasm: keeps its data in the free frames \(flag 1\): at most 3 GiB of memory can be simulated for it/,
    );
  });

  it("says at which event a module throws, and that it is the module's doing", async () => {
    writeFileSync(
      join(folder, 'throwing.mjs'),
      'export default { create: () => ({ maxOrder: 0, n: 0, allocate() { if (this.n === 70) throw new TypeError("no list"); return this.n++; }, free: () => 0 }) };',
    );
    const outcome = await framewalk(['run', 'small.csv', '--memory', '64MiB', '--pmm', 'throwing.mjs', '--out', 'nowhere'], inside);
    expect(outcome.code).toBe(2);
    expect(complaint(outcome)).toMatch(
      /^framewalk: small on throwing\.mjs: at event \d+: throws TypeError: no list in allocate; framewalk check-pmm throwing\.mjs looks for/,
    );
  });

  it('ends a module that never returns', async () => {
    const outcome = await framewalk(['run', 'small.csv', '--memory', '64MiB', '--pmm', 'endless.mjs', '--pmm-timeout', '2', '--out', 'nowhere'], inside);
    expect(outcome.code).toBe(2);
    expect(complaint(outcome)).toMatch(/small on x86-64, endless\.mjs, recorded: no progress for 2 s near event 0; the PMM may never return/);
  });
});

describe('check-pmm', () => {
  it('is content with what keeps the contract', async () => {
    const outcome = await framewalk(['check-pmm', './typed.ts'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^\.\/typed\.ts: keeps the contract: [\d ]+ requests in [\d ]+ sequences over 3 memories\n$/);
  });

  it('shows the shortest sequence that breaks it, and exits with 1', async () => {
    const outcome = await framewalk(['check-pmm', 'misaligned.mjs'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    expect(outcome.stdout).toBe(
      'misaligned.mjs: hands out frames 3 to 4 for order 1, which are not aligned to their size\n\n  usable frames 3 to 31, 40 to 89, 128 to 199\n  1  allocate  order 1\n',
    );
    const json = await framewalk(['check-pmm', 'misaligned.mjs', '--json'], inside);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      pmm: 'misaligned.mjs',
      keeps: false,
      violation: { cpus: 1, afterwards: false, steps: [{ action: 'allocate', order: 1, frame: null, of: null }] },
    });
  });

  it('shows six requests of a buddy that merges without a look at the order', async () => {
    expect((await framewalk(['check-pmm', 'no-order-check.mjs'], inside)).stdout.split('\n')).toEqual([
      'no-order-check.mjs: hands out frames 0 to 1, of which frame 1 is in use',
      '',
      '  usable frames 0 to 63',
      '  1  allocate  order 0 -> 0',
      '  2  allocate  order 0 -> 1',
      '  3  allocate  order 0 -> 2',
      '  4  free      order 0, frame 0',
      '  5  free      order 0, frame 2',
      '  6  allocate  order 1',
      '',
    ]);
  });

  it('ends one that never returns', async () => {
    const outcome = await framewalk(['check-pmm', 'endless.mjs', '--timeout', '1'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    expect(outcome.stdout).toBe(
      'endless.mjs: never returns when a block comes back\n\n  usable frames 3 to 31, 40 to 89, 128 to 199\n  1  allocate  order 0\n  2  free      order 0, what 1 was given\n',
    );
  });

  it.each([
    ['text.wasm', 'hello', /^framewalk: text\.wasm: not a WebAssembly module/],
    ['order.mjs', 'export default { create: () => ({ maxOrder: 11, allocate() {}, free() {} }) };', /^framewalk: order\.mjs: its allocator's maxOrder is 11/],
    ['syntax.mjs', 'export default {', /^framewalk: syntax\.mjs: cannot be loaded: SyntaxError/],
    ['types.ts', 'export default { create: (): number => };', /^framewalk: types\.ts: cannot be loaded/],
    ['enum.ts', 'enum A { b }\nexport default { create: () => A };', /^framewalk: enum\.ts: cannot be loaded/],
    ['other.c', 'int x;', /^framewalk: check-pmm other\.c: unknown name/],
  ])('says in one line why %s cannot be checked', async (name, content, message) => {
    writeFileSync(join(folder, name), content);
    const outcome = await framewalk(['check-pmm', name], inside);
    expect(outcome.code).toBe(2);
    expect(complaint(outcome)).toMatch(message);
  });

  it('checks those of framewalk too', async () => {
    const outcome = await framewalk(['check-pmm', 'bitmap', '--seed', '5'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect((await framewalk(['check-pmm', 'bitmapp'], inside)).stderr).toContain('did you mean bitmap?');
  });
});
