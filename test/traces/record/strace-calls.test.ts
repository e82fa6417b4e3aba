/** strace's lines as tracepoints among perf's lines, in the order of time. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { linesOf, StraceCalls } from '../../../traces/record/strace-calls.js';
import { newIn, scratch } from './machine.js';

const folder = scratch();

function merged(strace: readonly string[], perf: readonly string[]): { lines: string[]; unknown: number } {
  const left = [...strace];
  const calls = new StraceCalls(() => left.shift() ?? null);
  const text = perf.map((line) => calls.put(line)).join('') + calls.rest();
  return { lines: text.split('\n').slice(0, -1), unknown: calls.unknown };
}

describe('a call', () => {
  it('in one line: its beginning, and its end after its duration', () => {
    expect(merged(['7 100.000000010 mmap(0, 0x2000, 0x3, 0x22, 0xffffffff, 0) = 0x7f0000000000 <0.000000090>'], []).lines).toEqual([
      'strace 7 [000] 100.000000010: raw_syscalls:sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)',
      'strace 7 [000] 100.000005100: raw_syscalls:sys_exit: NR 9 = 139637976727552',
    ]);
  });
  it('in two lines, another thread in between', () => {
    const lines = [
      '7 1.000000001 brk(0 <unfinished ...>',
      '8 1.000000002 close(0x3)   = 0 <0.000000001>',
      '7 1.000900000 <... brk resumed>) = 0x5000 <0.000899999>',
    ];
    expect(merged(lines, []).lines.map((line) => line.replace(/raw_syscalls:/, ''))).toEqual([
      'strace 7 [000] 1.000000001: sys_enter: NR 12 (0, 0, 0, 0, 0, 0)',
      'strace 8 [000] 1.000000002: sys_enter: NR 3 (3, 0, 0, 0, 0, 0)',
      'strace 8 [000] 1.000005003: sys_exit: NR 3 = 0',
      'strace 7 [000] 1.000900000: sys_exit: NR 12 = 20480',
    ]);
  });
  it('that failed, with the name of the error; at the last nanosecond of a second', () => {
    expect(merged(['7 1.999999999 mmap(0, 0, 0x1, 0x2, 0x3, 0) = -1 EINVAL (Invalid argument) <0.000000001>'], []).lines[1]).toBe(
      'strace 7 [000] 2.000005000: raw_syscalls:sys_exit: NR 9 = -1',
    );
  });
  it('whose line cannot be read is counted; signals and exits are none', () => {
    expect(merged(['7 1.000000001 +++ exited with 0 +++', '7 1.000000002 --- SIGCHLD {} ---', 'what is this', ''], [])).toEqual({ lines: [], unknown: 1 });
  });
});

describe('among lines of perf', () => {
  const fault = (time: string): string => `app 7/7 [001] ${time}: page-faults:u: 7f0000000000`;
  it('each stands where its time says', () => {
    const { lines } = merged(['7 1.000000500 munmap(0x1000, 0x1000) = 0 <0.000000001>'], [fault('1.000000400'), fault('1.000009000')]);
    expect(lines.map((line) => /(\S+): (?:raw_syscalls:)?(\w[\w-]*)/.exec(line)?.slice(1).join(' '))).toEqual([
      '1.000000400 page-faults',
      '1.000000500 sys_enter',
      '1.000005501 sys_exit',
      '1.000009000 page-faults',
    ]);
  });
  it.each([
    ['vfork()', '4100'],
    ['clone3({flags=CLONE_VM|CLONE_VFORK|CLONE_CLEAR_SIGHAND, exit_signal=SIGCHLD}, 88)', '4100'],
    ['clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f)', '0'],
    ['clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0}, 88)', '10100'],
  ])('%s: the record of the fork gets the flags', (call, flags) => {
    const record = 'app 7/7 [000] 1.000000200: PERF_RECORD_FORK(8:8):(7:7)';
    const { lines } = merged([`7 1.000000100 ${call} = 8 <0.000001000>`], [record, fault('1.000000300')]);
    expect(lines).toEqual([record, `strace 7 [000] 1.000000200: task:task_newtask: pid=8 comm=strace clone_flags=${flags}`, fault('1.000000300')]);
  });
  it('a fork of a thread that strace did not see stays as it is', () => {
    const record = 'app 9/9 [000] 1.000000200: PERF_RECORD_FORK(8:8):(9:9)';
    expect(merged(['7 1.000000100 vfork() = 8 <0.000001000>'], [record]).lines).toEqual([record]);
  });
});

it('lines of a file come one by one, the last one without a line feed too', () => {
  const path = join(newIn(folder), 'lines');
  mkdirSync(folder, { recursive: true });
  const long = 'x'.repeat(600_000);
  writeFileSync(path, `a\n\n${long}\nlast`);
  const next = linesOf(path);
  expect([next(), next(), next(), next(), next(), next()]).toEqual(['a', '', long, 'last', null, null]);
});
