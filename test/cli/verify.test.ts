/** verify from outside: what it prints, its exit codes, what it writes, and what it says about bad input. */
import { describe, expect, it } from 'vitest';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AblationResult } from '../../reports/verify/ablation.js';
import { complaint, framewalk, MAIN, ROOT, scratch } from './framewalk.js';

const folder = scratch();
const inside = { cwd: folder };
const RECORDINGS = join(ROOT, 'test', 'fixtures', 'recordings');

interface Program {
  readonly file: string;
  readonly label: string;
  readonly exact: boolean;
  readonly verdict: string;
  readonly quantities: Readonly<Record<string, { samples: number; exact: number; max_error: number }>>;
  readonly divergences: readonly { quantity: string; pid: number; measured: number; predicted: number; event: number }[];
}
const programs = (stdout: string): readonly Program[] => (JSON.parse(stdout) as { programs: readonly Program[] }).programs;

/** Four pages written; what the kernel would have said then, with `anonymous` for RssAnon. */
const csv = (anonymous: number | null): string =>
  [
    'time,pid,tid,op,addr,size,addr2,arg,flags,cpu',
    '0,1,1,mmap,0x10000000,65536,,,r|w,',
    ...[0, 1, 2, 3].map((page) => `${page + 1},1,1,write,0x1000${page}000,1,,,fault,`),
    ...(anonymous === null ? [] : ['10,1,1,sample,,64,,1,,', '10,1,1,sample,,12,,2,,', `10,1,1,sample,,${anonymous},,3,,`]),
    '20,1,1,exit,,,,0,group,',
    '',
  ].join('\n');
writeFileSync(join(folder, 'good.csv'), csv(16));
writeFileSync(join(folder, 'bad.csv'), csv(20));
writeFileSync(join(folder, 'silent.csv'), csv(null));

describe('verify', () => {
  it('ends with 0 when every sample is exact', async () => {
    const outcome = await framewalk(['verify', 'good.csv'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^good: exact in every sample\n {2}good\.csv · 9 events · 1 sample of 1 process · kernel not recorded · policy \w+\n/);
    expect(outcome.stdout).not.toContain('\r');
    expect(outcome.stdout).not.toContain('\u001b');
    expect(readdirSync(folder).sort()).toEqual(['bad.csv', 'good.csv', 'silent.csv']);
  });

  it('ends with 1 when one is not, and names the first', async () => {
    const outcome = await framewalk(['verify', 'good.csv', 'bad.csv'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    expect(outcome.stdout).toContain('bad: DIFFERS: rss_anon_kb\n');
    expect(outcome.stdout).toContain('rss_anon_kb: event 7 at 0.000000 s, process 1: predicted 16 kB, measured 20 kB (-4)\n');
  });

  it('never takes no samples for exact', async () => {
    const outcome = await framewalk(['verify', 'silent.csv', '--json'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    expect(programs(outcome.stdout)).toMatchObject([{ exact: false, verdict: 'unsampled', quantities: {} }]);
    expect((await framewalk(['verify', 'silent.csv'], inside)).stdout).toContain('silent: NOTHING TO COMPARE: the recording holds no samples\n');
  });

  it('prints one entry for each argument as JSON, the same for any number of workers', async () => {
    const one = await framewalk(['verify', 'bad.csv', 'good.csv', 'good.csv', '--json', '--workers', '1'], inside);
    const two = await framewalk(['verify', 'bad.csv', 'good.csv', 'good.csv', '--json', '--workers', '2'], inside);
    expect(two.stdout).toBe(one.stdout);
    expect(Object.keys(JSON.parse(one.stdout) as object)).toEqual(['programs']);
    expect(programs(one.stdout).map(({ file, label, exact }) => [file, label, exact])).toEqual([
      ['bad.csv', 'bad', false],
      ['good.csv', 'good', true],
      ['good.csv', 'good#2', true],
    ]);
    expect(programs(one.stdout)[0].quantities).toEqual({
      vm_size_kb: { samples: 1, exact: 1, max_error: 0 },
      vm_pte_kb: { samples: 1, exact: 1, max_error: 0 },
      rss_anon_kb: { samples: 1, exact: 0, max_error: 4 },
    });
  });

  it('writes the report and verify.json when told where', async () => {
    const outcome = await framewalk(['verify', 'good.csv', '--out', 'proof'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('proof/verify.json');
    expect(readdirSync(join(folder, 'proof'))).toEqual(expect.arrayContaining(['report.html', 'results.json', 'verify.json']));
    expect(programs(readFileSync(join(folder, 'proof', 'verify.json'), 'utf8'))).toMatchObject([{ label: 'good', exact: true }]);
    expect(readFileSync(join(folder, 'proof', 'report.html'), 'utf8')).toContain('id="proof"');
  });
});

interface Checked extends Program {
  readonly faults: { readonly recorded: number; readonly breaks_recorded: number; readonly breaks_predicted: number };
  readonly limits: readonly { readonly quantity: string; readonly samples: number }[];
}

describe('perf recordings', () => {
  it('are predicted exactly, but for what came to the page cache of gcc', async () => {
    const names = ['gcc', 'pyfork', 'shm'];
    const outcome = await framewalk(['verify', ...names.map((name) => join(RECORDINGS, name)), '--json']);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    const checked = programs(outcome.stdout) as readonly Checked[];
    expect(checked.map(({ label, verdict, exact }) => [label, verdict, exact])).toEqual([
      ['gcc', 'limited', false],
      ['pyfork', 'exact', true],
      ['shm', 'exact', true],
    ]);
    checked.forEach(({ quantities, faults }, i) => {
      const samples = [1185, 1265, 57][i];
      for (const name of ['vm_size_kb', 'vm_pte_kb', 'rss_anon_kb', 'rss_shmem_kb', 'threads'])
        expect([name, quantities[name]]).toEqual([name, { samples, exact: samples, max_error: 0 }]);
      expect(Math.abs(faults.breaks_predicted / faults.breaks_recorded - 1)).toBeLessThan(0.015);
    });
    const [gcc] = checked;
    expect(gcc.quantities['rss_file_kb'].exact).toBeGreaterThanOrEqual(346);
    expect(gcc.limits).toMatchObject([{ quantity: 'rss_file_kb', samples: 1185 - gcc.quantities['rss_file_kb'].exact }]);
  });

  it.each([
    ['vm_size_kb', 3],
    ['vm_pte_kb', 4],
    ['rss_anon_kb', 5],
    ['rss_file_kb', 6],
    ['rss_shmem_kb', 7],
  ])('with one wrong %s are caught, and the number named', async (quantity, column) => {
    cpSync(join(RECORDINGS, 'shm'), join(folder, 'doctored'), { recursive: true });
    const truth = join(folder, 'doctored', 'truth.csv');
    const lines = readFileSync(truth, 'utf8').split('\n');
    const right = Number(lines[50].split(',')[column]);
    lines[50] = lines[50]
      .split(',')
      .map((field, i) => (i === column ? right + 4 : field))
      .join(',');
    writeFileSync(truth, lines.join('\n'));
    const outcome = await framewalk(['verify', 'doctored', '--json'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    const [wrong] = programs(outcome.stdout);
    expect(wrong).toMatchObject({ exact: false, verdict: 'differs' });
    expect(wrong.quantities[quantity]).toEqual({ samples: 57, exact: 56, max_error: 4 });
    expect(wrong.divergences).toMatchObject([{ quantity, measured: right + 4, predicted: right }]);
  });

  it('without a rule differ, and the ablation says so of every rule', async () => {
    const shm = join(RECORDINGS, 'shm');
    const without = await framewalk(['verify', shm, '--without', 'exec-args,vdso']);
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('shm: DIFFERS: rss_anon_kb, rss_file_kb\n');
    expect(without.stdout).toContain(' · policy linux without exec-args, vdso\n');
    const ablation = await framewalk(['verify', shm, '--ablation', '--json']);
    expect(ablation).toMatchObject({ code: 0, stderr: '' });
    const { rules } = JSON.parse(ablation.stdout) as AblationResult;
    const { stdout } = await framewalk(['list', 'policies', '--json']);
    const known = (JSON.parse(stdout) as { name: string; rules: { name: string }[] }[]).find(({ name }) => name === 'linux')?.rules ?? [];
    expect(rules.map(({ rule }) => rule)).toEqual([null, ...known.map(({ name }) => name)]);
    const lost = (name: string): number | undefined => rules.find(({ rule }) => rule === name)?.recordings[0].quantities['rss_anon_kb'].no_longer_exact;
    expect([lost('exec-args'), lost('vdso')]).toEqual([57, 0]);
    // A replay a rule: on a machine that does other things as well, more than a minute.
  }, 300_000);

  it('with a broken truth.csv are bad input', async () => {
    cpSync(join(RECORDINGS, 'shm'), join(folder, 'broken'), { recursive: true });
    writeFileSync(join(folder, 'broken', 'truth.csv'), 'time_ns,pid,vm_size_kb\n1,2,x\n');
    const outcome = await framewalk(['verify', 'broken'], inside);
    expect(complaint(outcome)).toMatch(/^framewalk: broken\/truth\.csv:2: vm_size_kb 'x' is not a decimal number/);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('the library', () => {
  it('verifies as the command does', async () => {
    const library = (await import(join(dirname(MAIN), 'library.js'))) as typeof import('../../cli/library.js');
    const paths = ['good.csv', 'bad.csv'].map((name) => join(folder, name));
    const result = await library.verify({ recordings: paths, workers: 1 });
    const printed = await framewalk(['verify', ...paths, '--json']);
    expect(`${JSON.stringify(result, null, 2)}\n`).toBe(printed.stdout);
    expect(library.verifyExitCode(result.programs)).toBe(1);
    expect(library.verifyText(result.programs)).toBe((await framewalk(['verify', ...paths])).stdout);
    await expect(library.verify({ recordings: paths, without: ['no-such-rule'] })).rejects.toThrow('without no-such-rule: ');
    await expect(library.ablate({ recordings: paths, policy: 'plain' })).rejects.toThrow('policy plain has no rules');
  });
});

describe('bad input of verify', () => {
  it.each([
    [[], 'no recording given'],
    [['nowhere.fwt'], 'nowhere.fwt: cannot read: no such file or directory'],
    [['good.csv', '--without', 'no-such-rule'], '--without no-such-rule: '],
    [['good.csv', '--policy', 'lunix'], '--policy lunix: unknown name'],
    [['good.csv', '--pmm', 'bitmap,buddy'], '--pmm bitmap,buddy: takes one name'],
    [['good.csv', '--markdown'], '--markdown prints the tables of --ablation'],
    [['good.csv', '--ablation', '--out', 'bad'], '--out does not go with --ablation'],
    [['good.csv', '--ablation', '--without', 'x'], '--without does not go with --ablation'],
    [['good.csv', '--ablation', '--json', '--markdown'], '--json and --markdown'],
    [['good.csv', '--ablation', '--policy', 'plain'], '--ablation: policy plain has no rules'],
    [['good.csv', '--out', 'good.csv'], '--out good.csv: is a file'],
    [['good.csv', '--ablatoin'], '--ablatoin: unknown flag, did you mean --ablation?'],
    [['.'], '.: '],
  ])('%j is one line and exit code 2, and nothing is written', async (args, line) => {
    const outcome = await framewalk(['verify', ...args], inside);
    expect(complaint(outcome)).toContain(`framewalk: ${line}`);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(join(folder, 'bad'))).toBe(false);
  });
});
