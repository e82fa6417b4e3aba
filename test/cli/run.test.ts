/** run, import, export and info from outside: what they write, and what they say about bad input. */
import { describe, expect, it } from 'vitest';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaint, framewalk, MAIN, ROOT, scratch } from './framewalk.js';

const folder = scratch();
const inside = { cwd: folder };

/** A process that maps `pages` pages, writes each, forks, writes half of them in the child, and ends. */
function csv(pages: number): string {
  const lines = ['time,pid,tid,op,addr,size,addr2,arg,flags,cpu', `0,1,1,mmap,0x10000000,${pages * 4096},,,r|w,`];
  let time = 1;
  const write = (pid: number, page: number): void => {
    lines.push(`${time++},${pid},${pid},write,0x${(0x10000000 + page * 4096).toString(16)},8,,,,`);
  };
  for (let page = 0; page < pages; page++) write(1, page);
  lines.push(`${time++},1,1,fork,,,,2,,`);
  for (let page = 0; page < pages / 2; page++) write(2, page);
  lines.push(`${time++},2,2,exit,,,,0,group,`, `${time++},1,1,exit,,,,0,group,`);
  return `${lines.join('\n')}\n`;
}
writeFileSync(join(folder, 'small.csv'), csv(64));

/** results.csv as a list of records. */
function results(out: string): Record<string, string>[] {
  const [header, ...rows] = readFileSync(join(folder, out, 'results.csv'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  return rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i]])));
}

describe('run', () => {
  it('writes the results of every cell, prints a table and where they are', async () => {
    const outcome = await framewalk(['run', 'small.csv'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).not.toContain('\u001b');
    expect(outcome.stdout).not.toContain('\r');
    expect(outcome.stdout).toContain('out/results.csv');
    expect(readdirSync(join(folder, 'out'))).toEqual(expect.arrayContaining(['processes.csv', 'results.csv', 'results.json', 'timeline.csv', 'timing.csv']));
    expect(results('out').map((cell) => cell['pmm'])).toEqual(['bitmap', 'free-stack', 'buddy']);
    for (const cell of results('out')) {
      expect(cell).toMatchObject({ trace: 'small', arch: 'x86-64', minor_faults_count: '96', cow_breaks_count: '32', events_rejected_count: '0' });
    }
  });

  it('takes its options from a matrix file, flags over it', async () => {
    writeFileSync(join(folder, 'matrix.yaml'), 'traces: small.csv\npmm: [buddy, bitmap]\nmemory: 1GiB\nseed: 3\nout: from-matrix\n');
    const outcome = await framewalk(['run', '--matrix', join(folder, 'matrix.yaml'), '--seed', '9', '--workers', '1'], { cwd: join(folder, '..') });
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(results('from-matrix').map(({ pmm, memory_bytes, seed }) => [pmm, memory_bytes, seed])).toEqual([
      ['buddy', '1073741824', '9'],
      ['bitmap', '1073741824', '9'],
    ]);
  });

  it('gives the same bytes for any number of workers', async () => {
    await framewalk(['run', 'small.csv', '--workers', '1', '--out', 'one'], inside);
    await framewalk(['run', 'small.csv', '--workers', '2', '--out', 'two'], inside);
    for (const file of ['results.csv', 'timeline.csv', 'processes.csv', 'results.json']) {
      expect(readFileSync(join(folder, 'one', file), 'utf8')).toBe(readFileSync(join(folder, 'two', file), 'utf8'));
    }
  });

  it('replays in aged memory, round after round, to the same bytes for any number of workers', async () => {
    const how = ['run', 'small.csv', '--memory', '64MiB', '--age', 'fresh, 7:.5:2', '--repeat', '3'];
    expect(await framewalk([...how, '--workers', '1', '--out', 'aged-one'], inside)).toMatchObject({ code: 0, stderr: '' });
    expect(await framewalk([...how, '--workers', '2', '--out', 'aged-two'], inside)).toMatchObject({ code: 0, stderr: '' });
    for (const file of ['results.csv', 'timeline.csv', 'fragmentation.csv', 'blame.csv', 'contiguity.csv', 'rounds.csv', 'results.json']) {
      expect(readFileSync(join(folder, 'aged-one', file), 'utf8')).toBe(readFileSync(join(folder, 'aged-two', file), 'utf8'));
    }
    expect(results('aged-one').map(({ pmm, age }) => [pmm, age])).toEqual(
      ['bitmap', 'free-stack', 'buddy'].flatMap((pmm) => ['', '7:0.5:2'].map((age) => [pmm, age])),
    );
    for (const cell of results('aged-one')) expect(cell).toMatchObject({ repeat: '3', minor_faults_count: '288', cow_breaks_count: '96' });
    const report = readFileSync(join(folder, 'aged-one', 'report.html'), 'utf8');
    for (const text of ['Round after round', '3 rounds; aged memory lives on between them', '50 % in use, 2 rounds of churn']) expect(report).toContain(text);
  });

  it('takes memory as the files of a machine say, also from beside a matrix file', async () => {
    const proc = join(ROOT, 'test', 'fixtures', 'proc');
    const run = await framewalk(['run', 'small.csv', '--pmm', 'buddy', '--age', `${proc}/buddyinfo,${proc}/pagetypeinfo`, '--out', 'machine'], inside);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    // 3136 pageblocks of 2 MiB.
    expect(results('machine')[0]).toMatchObject({ age: 'buddyinfo+pagetypeinfo', memory_bytes: String(3136 * 2 ** 21) });
    expect(readFileSync(join(folder, 'machine', 'fragmentation.csv'), 'utf8')).toContain('small,x86-64,buddy,recorded,0,3,3873,');
    for (const name of ['buddyinfo', 'pagetypeinfo']) writeFileSync(join(folder, name), readFileSync(join(proc, name)));
    writeFileSync(join(folder, 'age.yaml'), 'traces: small.csv\npmm: buddy\nage: buddyinfo, pagetypeinfo\nout: machine-again\n');
    expect(await framewalk(['run', '--matrix', join(folder, 'age.yaml')], { cwd: join(folder, '..') })).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(folder, 'machine-again', 'results.csv'), 'utf8')).toBe(readFileSync(join(folder, 'machine', 'results.csv'), 'utf8'));
  });

  it('prints JSON for programs', async () => {
    const outcome = await framewalk(['run', 'small.csv', '--pmm', 'buddy', '--json', '--out', 'json'], inside);
    const printed = JSON.parse(outcome.stdout) as { cells: { config: { pmm: string } }[] };
    expect(printed.cells.map((cell) => cell.config.pmm)).toEqual(['buddy']);
    expect(outcome.stdout).toBe(readFileSync(join(folder, 'json', 'results.json'), 'utf8'));
  });

  it('says when memory ran out, and goes on', async () => {
    const outcome = await framewalk(['run', 'small.csv', '--pmm', 'buddy', '--memory', '128KiB', '--out', 'oom'], inside);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain('small on buddy: out of frames');
    expect(Number(results('oom')[0]['alloc_failures_count'])).toBeGreaterThan(0);
  });

  it('is gated: unchanged passes, one frame worse does not', async () => {
    await framewalk(['run', 'small.csv', '--pmm', 'buddy', '--out', 'gate'], inside);
    expect(await framewalk(['bless', 'gate', '--baseline', 'baseline.json'], inside)).toMatchObject({ code: 0, stdout: 'baseline.json: 1 cells blessed\n' });
    expect(await framewalk(['check', 'gate', '--baseline', 'baseline.json'], inside)).toMatchObject({ code: 0, stderr: '' });
    const text = readFileSync(join(folder, 'baseline.json'), 'utf8');
    const frames = Number(/"frames_peak": (\d+)/.exec(text)?.[1]);
    writeFileSync(join(folder, 'baseline.json'), text.replace(`"frames_peak": ${frames}`, `"frames_peak": ${frames - 1}`));
    const worse = await framewalk(['check', 'gate', '--baseline', 'baseline.json'], inside);
    expect(worse.code).toBe(1);
    expect(worse.stdout).toMatch(new RegExp(`WORSE +frames_peak +small +x86-64/buddy/recorded +${frames - 1} -> ${frames} `));
    expect((await framewalk(['check', 'gate', '--baseline', 'nowhere.json'], inside)).code).toBe(2);
  });
});

describe('bad input of run', () => {
  it.each([
    [['nowhere.fwt'], 'nowhere.fwt: cannot read: no such file or directory'],
    [['small.csv', '--pmm', 'budy'], '--pmm budy: unknown name, did you mean buddy? (known: bitmap, free-stack, buddy'],
    [['small.csv', '--arch', 'x86_64'], '--arch x86_64: unknown name, did you mean x86-64?'],
    [['small.csv', '--memory', '4GB'], '--memory 4GB: unknown unit GB; write 4GiB'],
    [['small.csv', '--memory', '-1'], '--memory -1: expected a size'],
    [['small.csv', '--memory', '4KiB'], '--memory is too small for the first page table: give at least 64KiB'],
    [['small.csv', '--matrix', 'nowhere.yaml'], '--matrix nowhere.yaml: cannot read: no such file or directory'],
    [['small.csv', '--out', 'small.csv'], '--out small.csv: is a file, expected a folder'],
    [['small.csv', '--out', 'small.csv/out'], '--out small.csv/out: cannot write: a part of the path is not a directory'],
    [['small.csv', '--out', '/proc/framewalk/out'], '--out /proc/framewalk/out: cannot write: no such file or directory'],
    [['small.csv', '--age', '7:0.6'], '--age 7:0.6: expected SEED:UTILISATION:CHURN, such as 1:0.6:3, two files'],
    [['small.csv', '--age', '7:1.5:2'], '--age 7:1.5:2: UTILISATION is 1.5; expected a share of memory above 0, up to 0.99'],
    [['small.csv', '--age', '7:60%:2'], '--age 7:60%:2: UTILISATION is 60%; expected'],
    [['small.csv', '--age', '7:0.6:x'], '--age 7:0.6:x: CHURN x: expected a whole number from 0 to 1000'],
    [['small.csv', '--age', '-1:0.6:1'], '--age -1:0.6:1: SEED -1: expected a whole number from 0 to 4294967295'],
    [['small.csv', '--age', 'small.csv'], '--age small.csv: expected SEED:UTILISATION:CHURN'],
    [['small.csv', '--age', '1:0.6:3,'], '--age 1:0.6:3,: expected SEED:UTILISATION:CHURN'],
    [['small.csv', '--age', 'fresh,fresh'], '--age fresh,fresh: fresh is there twice'],
    [['small.csv', '--age', 'small.csv,nowhere'], '--age nowhere: cannot read: no such file or directory'],
    [['small.csv', '--age', 'small.csv,small.csv'], '--age small.csv,small.csv: expected one file as /proc/buddyinfo and one as /proc/pagetypeinfo'],
    [['small.csv', '--repeat', '0'], '--repeat 0: expected a whole number from 1 to 1000'],
    [['small.csv', '--pnm', 'buddy'], '--pnm: unknown flag, did you mean --pmm?'],
    [[], 'no trace given'],
  ])('%j is one line and exit code 2, and nothing is written', async (args, line) => {
    const out = args.includes('--out') ? [] : ['--out', 'bad/deep'];
    const outcome = await framewalk(['run', ...args, ...out], inside);
    expect(complaint(outcome)).toContain(line);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(join(folder, 'bad'))).toBe(false);
  });

  it('a limit on file sizes, as a full disk, leaves no file behind', () => {
    mkdirSync(join(folder, 'full'));
    const script = `ulimit -f 1; exec "${process.execPath}" "${MAIN}" run small.csv --pmm buddy --out full`;
    expect(() => execFileSync('bash', ['-c', script], { cwd: folder, stdio: 'pipe' })).toThrow(/framewalk: full\/\S+: cannot (be written|write)/);
    expect(readdirSync(join(folder, 'full'))).toEqual([]);
  });

  it('a broken line of a trace is counted, and an error with --strict', async () => {
    writeFileSync(join(folder, 'broken.csv'), csv(4).replace('1,1,1,write,0x10000000,8,,,,', '1,1,1,write,0x10000000,-8,,,,'));
    const counted = await framewalk(['run', 'broken.csv', '--pmm', 'buddy', '--out', 'broken'], inside);
    expect(counted).toMatchObject({ code: 0 });
    expect(counted.stdout).toContain('broken: lines or records of the recording that were not understood: 1');
    const strict = await framewalk(['run', 'broken.csv', '--strict', '--out', 'strict'], inside);
    expect(complaint(strict)).toContain('framewalk: broken.csv:3: ');
    expect(strict.code).toBe(2);
    expect(existsSync(join(folder, 'strict'))).toBe(false);
  });
});

describe('import, export and info', () => {
  it('go round', async () => {
    expect(await framewalk(['import', 'small.csv', '-o', 'round.fwt', '--codec', 'none'], inside)).toMatchObject({
      code: 0,
      stdout: 'round.fwt: 100 events\n',
      stderr: '',
    });
    expect(await framewalk(['export', 'round.fwt', '-o', 'round.csv'], inside)).toMatchObject({ code: 0, stderr: '' });
    expect(await framewalk(['import', 'round.csv', '-o', 'again.fwt', '--codec', 'none'], inside)).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(folder, 'again.fwt')).equals(readFileSync(join(folder, 'round.fwt')))).toBe(true);
    const piped = execFileSync('bash', ['-c', `"${process.execPath}" "${MAIN}" export round.fwt -o /dev/stdout | cat`], { cwd: folder, encoding: 'utf8' });
    expect(piped).toBe(readFileSync(join(folder, 'round.csv'), 'utf8'));
  });

  it('info counts', async () => {
    const info = JSON.parse((await framewalk(['info', 'small.csv', '--json'], inside)).stdout) as Record<string, unknown>;
    expect(info).toMatchObject({ events_count: 100, events: { mmap: 1, fork: 1, write: 96, exit: 2 }, processes: 2, losses: [] });
    const text = (await framewalk(['info', 'small.csv'], inside)).stdout;
    expect(text).toMatch(/^small\n {2}format +csv\n {2}events +100\n/);
    expect(text).toContain('\nno losses\n');
  });

  it.each([
    [['import', 'small.csv'], '--output is missing; say framewalk import FILE... -o OUT.fwt'],
    [['import', 'nowhere.csv', '-o', 'x.fwt'], 'nowhere.csv: cannot read: no such file or directory'],
    [['import', 'small.csv', '-o', 'x.fwt', '--format', 'cvs'], '--format cvs: unknown name, did you mean csv?'],
    [['import', 'small.csv', '-o', 'nowhere/x.fwt'], 'nowhere/x.fwt: cannot write: no such file or directory'],
    [['import', 'small.csv', '-o', '/dev/full'], '/dev/full: cannot write: no space left on the device'],
    [['import', 'small.csv', '-o', '.'], '.: is a directory, the name of a file to write was expected'],
    [['import', '/dev/null', '-o', 'x.fwt'], '/dev/null: the file is empty'],
    [['export', 'small.csv', '-o', '/dev/full'], '/dev/full: cannot write: no space left on the device'],
    [['export', 'small.csv'], '--output is missing'],
    [['info', 'matrix.txt'], 'matrix.txt: not in a trace format I know'],
  ])('%j is one line and exit code 2', async (args, line) => {
    writeFileSync(join(folder, 'matrix.txt'), 'this is not a trace\n');
    const outcome = await framewalk(args, inside);
    expect(complaint(outcome)).toContain(`framewalk: ${line}`);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(readdirSync(folder).filter((name) => name.includes('tmp') || name === 'x.fwt')).toEqual([]);
  });

  it('a reader of an export that leaves is quiet', () => {
    const script = `"${process.execPath}" "${MAIN}" export small.csv -o /dev/stdout | head -n 1; exit \${PIPESTATUS[0]}`;
    expect(execFileSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', stdio: 'pipe' })).toMatch(/^[#t]/);
  });
});
