/** verify from outside: what it prints, its exit codes, what it writes, and what it says about bad input. */
import { describe, expect, it } from 'vitest';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
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

describe('a perf recording', () => {
  /** A copy of shm in which the kernel said 4 kB more at one moment. */
  const doctored = (): { time: string; measured: number } => {
    cpSync(join(RECORDINGS, 'shm'), join(folder, 'doctored'), { recursive: true });
    const truth = join(folder, 'doctored', 'truth.csv');
    const lines = readFileSync(truth, 'utf8').split('\n');
    const fields = lines[30].split(',');
    const measured = Number(fields[3]) + 4;
    lines[30] = [...fields.slice(0, 3), measured, ...fields.slice(4)].join(',');
    writeFileSync(truth, lines.join('\n'));
    return { time: fields[0], measured };
  };

  it('with one wrong number is caught, and the number named', async () => {
    const { measured } = doctored();
    const outcome = await framewalk(['verify', join(RECORDINGS, 'shm'), 'doctored', '--json'], inside);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    const [whole, wrong] = programs(outcome.stdout);
    const { samples } = whole.quantities['vm_size_kb'];
    expect(samples).toBe(57);
    expect(whole.quantities['vm_size_kb']).toEqual({ samples, exact: samples, max_error: 0 });
    expect(wrong.quantities['vm_size_kb']).toEqual({ samples, exact: samples - 1, max_error: 4 });
    expect(wrong.divergences.find(({ quantity }) => quantity === 'vm_size_kb')).toMatchObject({ measured, predicted: measured - 4 });
  });

  it('with a broken truth.csv is bad input', async () => {
    doctored();
    writeFileSync(join(folder, 'doctored', 'truth.csv'), 'time_ns,pid,vm_size_kb\n1,2,x\n');
    const outcome = await framewalk(['verify', 'doctored'], inside);
    expect(complaint(outcome)).toMatch(/^framewalk: doctored\/truth\.csv:2: vm_size_kb 'x' is not a decimal number/);
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
