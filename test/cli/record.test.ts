/** `framewalk record` as a user calls it: what it refuses, and (where the machine allows it) real recordings that verify. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { complaint, framewalk, MAIN, scratch } from './framewalk.js';
import { NOBODY, recordSuite, whyNotAsNobody, whyNotAsRoot } from './recorder.js';

const folder = scratch();
const EXACT = ['vm_size_kb', 'vm_pte_kb', 'rss_anon_kb', 'rss_shmem_kb'];

interface Program {
  readonly samples: number;
  readonly quantities: Readonly<Record<string, { readonly samples: number; readonly exact: number; readonly max_error: number }>>;
  readonly unmatched_samples: { readonly count: number };
}

async function verified(trace: string, ...flags: string[]): Promise<Program> {
  const { stdout, stderr } = await framewalk(['verify', trace, '--json', ...flags], { cwd: folder });
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as { programs: [Program] }).programs[0];
}

describe('what is refused', () => {
  it.each([
    ['a command that is not there', ['nosuchprogram'], {}, /^framewalk: .*(nosuchprogram: command not found|record works on Linux)/],
    ['no command', [], {}, /^framewalk: .*(no command given|record works on Linux)/],
    ['a machine without perf and strace', ['/bin/true'], { PATH: folder }, /^framewalk: .*(is not on the PATH.*install it|record works on Linux)/],
  ])('%s: one line, exit code 125, nothing written', async (_, command, env, message) => {
    const outcome = await framewalk(['record', '-o', 'refused.fwt', '--', ...command], { cwd: folder, env });
    expect(complaint(outcome)).toMatch(message);
    expect(outcome).toMatchObject({ code: 125, stdout: '' });
    expect(readdirSync(folder).filter((name) => name.includes('refused'))).toEqual([]);
  });
  it('flags end at the command', async () => {
    const outcome = await framewalk(['record', 'nosuchprogram', '--help'], { cwd: folder });
    expect(complaint(outcome)).not.toContain('unknown');
    expect(outcome.code).toBe(125);
  });
});

const SCRIPT = 'for i in 1 2 3 4 5 6; do (/bin/echo $i; sleep 0.01) | /bin/cat; done; read line; echo "got $line"; exit 5';

recordSuite('recorded as root', whyNotAsRoot(), [
  [
    "standard input, output and the exit code are the command's, and the prediction is exact",
    async () => {
      const run = spawnSync(process.execPath, [MAIN, 'record', '-o', 'script.fwt', '--', '/bin/sh', '-c', SCRIPT], {
        cwd: folder,
        input: 'a line\n',
        encoding: 'utf8',
      });
      expect(run).toMatchObject({ status: 5, stdout: '1\n2\n3\n4\n5\n6\ngot a line\n' });
      expect(run.stderr).toMatch(/^framewalk: script\.fwt: \d+ events\n$/);
      const { quantities, unmatched_samples: unmatched, samples } = await verified('script.fwt');
      expect(samples).toBeGreaterThan(20);
      expect(unmatched.count).toBe(0);
      for (const name of EXACT) expect({ name, ...quantities[name] }).toMatchObject({ name, exact: quantities[name]!.samples, max_error: 0 });
    },
  ],
  [
    'what is verified does not depend on the strategy that hands out frames',
    async () => {
      const [first, ...others] = await Promise.all(['bitmap', 'free-stack', 'buddy'].map((pmm) => verified('script.fwt', '--pmm', pmm)));
      for (const other of others) expect(other.quantities).toEqual(first!.quantities);
    },
  ],
  [
    'a process that outlives its parent is recorded to its end',
    async () => {
      const outcome = await framewalk(['record', '-o', 'outlives.fwt', '--', '/bin/sh', '-c', '(sleep 4; /bin/echo late) & echo early'], { cwd: folder });
      expect(outcome).toMatchObject({ code: 0, stdout: 'early\nlate\n' });
      expect(outcome.stderr).toContain('what it started is recorded until it ends as well');
      const info = await framewalk(['info', 'outlives.fwt', '--json'], { cwd: folder });
      expect((JSON.parse(info.stdout) as { processes: number }).processes).toBeGreaterThan(2);
    },
  ],
  [
    'Ctrl-C ends the command and keeps what was recorded',
    async () => {
      const outcome = await framewalk(['record', '-o', 'stopped.fwt', '--', '/bin/sh', '-c', 'echo begun; exec sleep 60'], {
        cwd: folder,
        started: (child) =>
          child.stdout?.once('data', () => {
            void sleep(200).then(() => child.kill('SIGINT'));
          }),
      });
      expect(outcome.code).toBe(130);
      expect(existsSync(join(folder, 'stopped.fwt'))).toBe(true);
      const info = await framewalk(['info', 'stopped.fwt', '--json'], { cwd: folder });
      expect((JSON.parse(info.stdout) as { events: { exec: number } }).events.exec).toBeGreaterThan(0);
    },
  ],
  [
    'a second Ctrl-C ends a command that heeds none, and what was recorded is kept',
    async () => {
      const outcome = await framewalk(['record', '-o', 'deaf.fwt', '--', '/bin/sh', '-c', 'trap "" INT; echo begun; while :; do sleep 0.1; done'], {
        cwd: folder,
        started: (child) =>
          child.stdout?.once('data', () => {
            void sleep(200)
              .then(() => child.kill('SIGINT'))
              .then(() => sleep(200))
              .then(() => child.kill('SIGINT'));
          }),
      });
      expect(outcome).toMatchObject({ code: 143, stderr: expect.stringMatching(/deaf\.fwt: \d+ events\n$/) as string });
      expect(existsSync(join(folder, 'deaf.fwt'))).toBe(true);
    },
  ],
  [
    'a command that is killed has the code of its signal, and its recording is kept',
    async () => {
      const outcome = await framewalk(['record', '-o', 'killed.fwt', '--no-truth', '--', '/bin/sh', '-c', 'kill -9 $$'], { cwd: folder });
      expect(outcome.code).toBe(137);
      expect(existsSync(join(folder, 'killed.fwt'))).toBe(true);
    },
  ],
]);

recordSuite('the page allocator, recorded as root', whyNotAsRoot(), [
  [
    'lies beside the trace, on its clock',
    async () => {
      const outcome = await framewalk(['record', '--pages', '--no-truth', '-o', 'paged.fwt', '--', '/bin/true'], { cwd: folder });
      expect(outcome.code).toBe(0);
      const pages = JSON.parse((await framewalk(['info', 'paged.pages.fwt', '--json'], { cwd: folder })).stdout) as {
        events: Record<string, number>;
        provenance: { clock_start: string };
      };
      expect(pages.events['page_alloc']).toBeGreaterThan(50);
      expect(pages.events['page_free']).toBeGreaterThan(10);
      const info = await framewalk(['info', 'paged.fwt', '--json'], { cwd: folder });
      const { provenance } = JSON.parse(info.stdout) as { provenance: { clock_start: string; pages: string } };
      expect(provenance.pages).toBe('paged.pages.fwt');
      expect(Math.abs(Number(provenance.clock_start) - Number(pages.provenance.clock_start))).toBeLessThan(5);
      const run = await framewalk(['run', 'paged.pages.fwt', '--pmm', 'buddy,llfree', '--out', 'paged'], { cwd: folder });
      expect(run.code).toBe(0);
      expect(run.stdout).toContain('paged.pages: estimate: every recorded request to the page allocator is replayed');
    },
  ],
]);

recordSuite('recorded as an ordinary user', whyNotAsNobody(), [
  [
    'is an estimate: says so, is near, and is called so when it is replayed',
    async () => {
      const home = join(folder, 'nobody');
      mkdirSync(home);
      chmodSync(folder, 0o755);
      chmodSync(home, 0o777);
      const run = spawnSync(process.execPath, [MAIN, 'record', '-o', 'user.fwt', '--', '/bin/sh', '-c', SCRIPT], {
        cwd: home,
        uid: NOBODY,
        gid: NOBODY,
        input: '\n',
        encoding: 'utf8',
      });
      expect(run).toMatchObject({ status: 5, stdout: '1\n2\n3\n4\n5\n6\ngot \n' });
      expect(run.stderr).toContain('an estimate');
      const { quantities, samples } = await verified(join(home, 'user.fwt'));
      expect(samples).toBeGreaterThan(20);
      // A few pages that the kernel touched itself, and the tables they need, are not in the recording.
      expect(quantities['vm_pte_kb']!.max_error).toBeLessThanOrEqual(40);
      expect(quantities['rss_anon_kb']!.max_error).toBeLessThanOrEqual(100);
      const replayed = await framewalk(['run', join(home, 'user.fwt'), '--pmm', 'buddy', '--out', 'user-run'], { cwd: folder });
      expect(replayed.stdout).toContain('user: estimate: ');
    },
  ],
]);
