/** What can be recorded where: the method chosen, and for each thing that is missing one line with what helps. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planRecording, type Wish } from '../../../traces/record/plan.js';
import { userError } from '../events.js';
import { machineIn, newIn, scratch, type MachineOptions } from './machine.js';

const folder = scratch();

function plan(options: MachineOptions = {}, wish: Partial<Wish> = {}) {
  const here = newIn(folder);
  const machine = machineIn(here, { programs: { perf: '', strace: '', cc: '', app: '' }, ...options });
  return planRecording({ command: ['app'], output: join(here, 'out.fwt'), truth: true, rssTruth: false, heap: false, pages: false, ...wish }, machine);
}
const refused = (options: MachineOptions, wish: Partial<Wish> = {}) => userError(() => plan(options, wish));

describe('the method', () => {
  it('root: tracepoints', () => expect(plan()).toMatchObject({ method: 'kernel', warnings: [] }));
  it('perf_event_paranoid -1 and a readable tracefs: tracepoints without root', () => expect(plan({ uid: 7, paranoid: -1 }).method).toBe('kernel'));
  it('an ordinary user: software page faults and strace', () => {
    const { method, warnings } = plan({ uid: 7 });
    expect(method).toBe('faults');
    expect(warnings).toEqual([expect.stringMatching(/sudo framewalk record.*an estimate$/)]);
  });
  it('perf_event_paranoid 4: strace alone, and which setting helps', () => {
    const { method, warnings, compiler } = plan({ uid: 7, paranoid: 4 });
    expect({ method, compiler }).toEqual({ method: 'calls', compiler: null });
    expect(warnings).toEqual([expect.stringMatching(/a bound: kernel.perf_event_paranoid is 4, with 2 \(sysctl kernel.perf_event_paranoid=2\)/)]);
  });
  it('no perf, an ordinary user: strace alone, and which package helps', () => {
    const { method, warnings } = plan({ uid: 7, programs: { strace: '', app: '' } });
    expect(method).toBe('calls');
    expect(warnings).toEqual([expect.stringContaining('apt-get install linux-perf')]);
  });
  it('no compiler: no readings, and says so', () => {
    const { compiler, warnings } = plan({ programs: { perf: '', app: '' } });
    expect(compiler).toBeNull();
    expect(warnings).toEqual([expect.stringContaining('apt-get install gcc')]);
    expect(plan({ programs: { perf: '', app: '' } }, { truth: false }).warnings).toEqual([]);
  });
  it('a tracepoint that older kernels lack is left out', () => {
    const names = plan({ without: ['sched:sched_prepare_exec', 'mmap:exit_mmap'] }).tracepoints.map(({ name }) => name);
    expect(names).toContain('kmem:rss_stat');
    expect(names).not.toContain('sched:sched_prepare_exec');
  });
});

describe('what is missing', () => {
  it.each<[string, MachineOptions, RegExp]>([
    ['perf', { programs: { strace: '', app: '' } }, /^perf is not on the PATH; install it \(Debian: apt-get install linux-perf/],
    ['tracefs', { without: 'all' }, /^tracefs is not mounted or not readable: mount -t tracefs/],
    ['strace', { uid: 7, programs: { perf: '', app: '' } }, /^strace is not on the PATH, and tracepoints need root.*apt-get install strace/],
    ['perf events', { paranoid: null }, /CONFIG_PERF_EVENTS/],
    ['a tracepoint', { without: ['raw_syscalls:sys_exit'] }, /no tracepoint raw_syscalls:sys_exit \(CONFIG_FTRACE_SYSCALLS\)/],
    ['another system', { platform: 'darwin arm64' }, /works on Linux on x86-64, this is darwin arm64/],
  ])('%s', async (_, options, message) => expect(await refused(options)).toMatch(message));
});

describe('what is asked for beside', () => {
  it('--heap wants heaptrack', async () => {
    expect(await refused({}, { heap: true })).toBe('--heap: heaptrack is not on the PATH; install it (apt-get install heaptrack)');
    expect(plan({ programs: { perf: '', app: '', cc: '', heaptrack: '' } }, { heap: true }).heaptrack).toMatch(/bin\/heaptrack$/);
  });
  it('--pages wants root and the tracepoints of the page allocator', async () => {
    expect(await refused({ uid: 7 }, { pages: true })).toMatch(/^--pages: tracepoints need root/);
    expect(await refused({}, { pages: true })).toMatch(/^--pages: this kernel has no tracepoints kmem:mm_page_alloc/);
  });
});

describe('the command and the output', () => {
  const file = (name: string, mode: number): string => {
    const path = join(folder, name);
    writeFileSync(path, '#!/bin/sh\n');
    chmodSync(path, mode);
    return path;
  };
  it.each([
    ['none', [], /^no command given; say framewalk record/],
    ['an empty name', [''], /command not found/],
    ['not on the PATH', ['nosuch'], /^nosuch: command not found \(not on the PATH\)$/],
    ['no such path', ['./no/such'], /^\.\/no\/such: command not found$/],
    ['a folder', ['/'], /^\/: is a folder/],
  ])('%s', async (_, command, message) => expect(await refused({}, { command })).toMatch(message));
  it('a file that is not executable', async () => expect(await refused({}, { command: [file('plain', 0o644)] })).toMatch(/is not executable; chmod \+x/));
  it('setuid: refused where it would run without its rights, recorded as root', async () => {
    const command = [file('suid', 0o4755)];
    expect(await refused({ uid: 7 }, { command })).toMatch(/is setuid: under strace it would run without the rights of its file; record it as root$/);
    expect(plan({}, { command }).method).toBe('kernel');
    expect(await refused({ uid: 7 }, { command: [file('sgid', 0o2755)] })).toMatch(/is setgid/);
  });
  it('a folder that is not there, and one in the place of the file', async () => {
    expect(await refused({}, { output: join(folder, 'no', 'a.fwt') })).toMatch(/^-o .*cannot write: no such file or directory$/);
    mkdirSync(join(folder, 'a-folder'));
    expect(await refused({}, { output: join(folder, 'a-folder') })).toMatch(/is a folder, expected a file/);
  });
  it('a disk that is almost full', async () => {
    // No bytes are ever free in procfs; writing there is refused first where permissions say so.
    expect(await refused({}, { output: '/proc/self/a.fwt' })).toMatch(/0 MiB are free there, 64 MiB are needed|permission denied/);
  });
});
