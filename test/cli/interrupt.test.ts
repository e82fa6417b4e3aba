/** Ctrl-C, SIGTERM and workers that die: the process ends soon, says one line, and leaves nothing half-written. */
import { describe, expect, it } from 'vitest';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { existsSync, openSync, closeSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { complaint, framewalk, scratch } from './framewalk.js';

const folder = scratch();

/** A trace whose replay takes minutes when the whole state is checked after every event. */
const rows = Array.from({ length: 20_000 }, (_, i) => `${i + 1},1,1,write,0x${(0x10000000 + i * 4096).toString(16)},8,,,,`);
writeFileSync(join(folder, 'long.csv'), ['time,pid,tid,op,addr,size,addr2,arg,flags,cpu', '0,1,1,mmap,0x10000000,81920000,,,r|w,', ...rows].join('\n'));

/** Sends the signal once a file or folder whose name begins with `name` is there and some more work is done. */
const interrupt = (name: string, signal: NodeJS.Signals) => (child: ChildProcess) => {
  void (async () => {
    while (!readdirSync(folder).some((entry) => entry.startsWith(name)) && child.exitCode === null) await sleep(50);
    await sleep(1000);
    child.kill(signal);
  })();
};

describe('an interrupted run', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends its workers with exit code %d', async (signal, code) => {
    const args = ['run', 'long.csv', '--audit', '1', '--out', 'interrupted/here'];
    const outcome = await framewalk(args, { cwd: folder, started: interrupt('interrupted', signal) });
    expect(complaint(outcome)).toBe('framewalk: interrupted; nothing was written');
    expect(outcome).toMatchObject({ code, stdout: '' });
    expect(existsSync(join(folder, 'interrupted'))).toBe(false);
  });
});

describe('an interrupted import', () => {
  it('leaves no file', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.csv')]);
    // A pipe whose writer never ends; opened for reading too, so that opening does not wait.
    const writer = openSync(join(folder, 'pipe.csv'), 'r+');
    writeSync(writer, 'time,pid,tid,op,addr,size,addr2,arg,flags,cpu\n1,1,1,mmap,0x1000,4096,,,r|w,\n');
    const outcome = await framewalk(['import', 'pipe.csv', '-o', 'piped.fwt'], { cwd: folder, started: interrupt('piped.fwt', 'SIGINT') });
    closeSync(writer);
    expect(complaint(outcome)).toBe('framewalk: interrupted; nothing was written');
    expect(outcome).toMatchObject({ code: 130, stdout: '' });
    expect(readdirSync(folder).filter((name) => name.includes('piped'))).toEqual([]);
  });
});

describe('a worker', () => {
  it('that runs out of memory is one line, and nothing is written', async () => {
    const greed =
      'import { isMainThread } from "node:worker_threads"; if (!isMainThread) { const a = []; for (;;) a.push(Array.from({ length: 10000 }, () => ({}))); }';
    const nodeArguments = ['--max-old-space-size=64', '--import', `data:text/javascript,${encodeURIComponent(greed)}`];
    const outcome = await framewalk(['run', 'long.csv', '--pmm', 'buddy', '--out', 'greedy'], { cwd: folder, nodeArguments });
    expect(outcome.stderr).toContain('framewalk: long on x86-64, buddy, recorded: ');
    expect(outcome.stderr).toContain('give Node more memory');
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(join(folder, 'greedy'))).toBe(false);
  });

  it('that dies is told, and nothing is written', async () => {
    const nodeArguments = [
      '--import',
      `data:text/javascript,${encodeURIComponent('import { isMainThread } from "node:worker_threads"; if (!isMainThread) process.exit(7);')}`,
    ];
    const outcome = await framewalk(['run', 'long.csv', '--pmm', 'buddy', '--out', 'dead'], { cwd: folder, nodeArguments });
    expect(complaint(outcome)).toContain('long on x86-64, buddy, recorded: its worker ended before the replay did');
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(join(folder, 'dead'))).toBe(false);
  });
});
