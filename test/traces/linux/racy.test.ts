/** Which readings are racy, by what the events say about the process meanwhile; and what a software page fault is taken for. */
import { describe, expect, it } from 'vitest';
import { Flag, Op } from '../../../traces/event.js';
import { perfFormat } from '../../../traces/formats/perf.js';
import { importBytes } from '../formats/importing.js';

const at = (nanos: number, event: string, who = '50/50'): string => `app ${who} [000] 9.${String(nanos).padStart(9, '0')}: ${event}\n`;
const EXEC = at(0, 'PERF_RECORD_COMM exec: app:50/50');
const fork = (nanos: number, child: number, flags: string): string =>
  at(nanos, `PERF_RECORD_FORK(${child}:${child}):(50:50)`) + at(nanos + 1, `task:task_newtask: pid=${child} comm=app clone_flags=${flags}`);
const enter = (nanos: number, call: string, who?: string): string => at(nanos, `raw_syscalls:sys_enter: NR ${call}`, who);
const leave = (nanos: number, result: string, who?: string): string => at(nanos, `raw_syscalls:sys_exit: NR ${result}`, who);
const fault = (nanos: number, who?: string): string => at(nanos, 'exceptions:page_fault_user: address=0x5000 ip=0x1 error_code=0x6', who);

/** Whether the reading of process 50 between two moments (nanoseconds into second 9) is racy. */
async function racy(text: string, begin: number, end: number): Promise<boolean> {
  const stamp = (nanos: number): string => String(9e9 + nanos);
  const sides = { 'truth.csv': `time_ns,pid,vm_size_kb,begin_ns\n${stamp(end)},50,4,${stamp(begin)}\n` };
  const { events } = await importBytes(perfFormat, EXEC + text + at(900_000_000, 'PERF_RECORD_COMM: app:50/50'), { sides });
  const [sample] = events.filter(({ op }) => op === Op.sample);
  if (sample === undefined) throw new Error('no sample');
  return (sample.flags & Flag.racy) !== 0;
}

describe('a reading', () => {
  it('within which nothing happened is not', async () => expect(await racy(fault(1000), 2000, 3000)).toBe(false));
  it('within which a page fault began is', async () => expect(await racy(fault(2500), 2000, 3000)).toBe(true));
  it('while a call that changes mappings is open is', async () => {
    const open = enter(1000, '11 (5000, 1000, 0, 0, 0, 0)');
    expect(await racy(open, 2000, 3000)).toBe(true);
    expect(await racy(open + leave(1500, '11 = 0'), 2000, 3000)).toBe(false);
  });
  it('shortly after another thread began something is', async () => {
    const thread = fork(1000, 51, '10100');
    expect(await racy(thread + fault(400_000, '50/51'), 500_000, 510_000)).toBe(true);
    expect(await racy(thread + fault(100_000, '50/51'), 500_000, 510_000)).toBe(false);
  });
  it('while an exec is under way is: its argument pages count in the old space until the new one is in place', async () => {
    const args = at(400_000, 'kmem:rss_stat: mm_id=2 curr=0 type=MM_ANONPAGES size=4096B', '51/51');
    const vfork = fork(1000, 51, '4100');
    expect(await racy(vfork, 700_000, 710_000)).toBe(false);
    expect(await racy(vfork + args, 700_000, 710_000)).toBe(true);
    // The new space is in place.
    const exec = at(450_000, 'sched:sched_prepare_exec: interp=/bin/a filename=/bin/a pid=51 comm=app', '51/51');
    expect(await racy(vfork + args + exec, 700_000, 710_000)).toBe(false);
    // It failed: the thread goes on.
    expect(await racy(vfork + args + enter(450_000, '3 (3, 0, 0, 0, 0, 0)', '51/51'), 700_000, 710_000)).toBe(false);
  });
  it('is not racy for the pages that a fork counted in the space of the child', async () => {
    const counted = at(1000, 'kmem:rss_stat: mm_id=2 curr=0 type=MM_ANONPAGES size=4096B');
    expect(await racy(counted + fork(2000, 51, '0'), 700_000, 710_000)).toBe(false);
  });
});

describe('a software page fault', () => {
  const touched = async (...lines: string[]) => {
    const { events, header } = await importBytes(perfFormat, EXEC + lines.join(''));
    expect(header.captured.touches).toBe('user-faults');
    return events.filter(({ op }) => op === Op.read || op === Op.write || op === Op.fetch).map(({ op }) => op);
  };
  const map = (nanos: number, protection: string): string => enter(nanos, `9 (0, 2000, ${protection}, 22, ffffffff, 0)`) + leave(nanos + 1, '9 = 20480');
  const touch = (nanos: number, address = '5000'): string => at(nanos, `page-faults:u: ${address}`);

  it.each([
    ['a writable mapping: written', '3', Op.write],
    ['a read-only one: read', '1', Op.read],
    ['an executable one: fetched', '5', Op.fetch],
  ])('in %s', async (_, protection, op) => expect(await touched(map(100, protection), touch(200))).toEqual([op]));
  it('after mprotect: as the page is then', async () => {
    expect(await touched(map(100, '3'), enter(110, '10 (5000, 1000, 1, 0, 0, 0)'), leave(120, '10 = 0'), touch(200), touch(210, '6000'))).toEqual([
      Op.read,
      Op.write,
    ]);
  });
  it('after munmap and mremap: of what is there', async () => {
    const move = enter(110, '25 (5000, 2000, 2000, 3, 9000, 0)') + leave(120, '25 = 36864');
    expect(await touched(map(100, '1'), move, touch(200, '9000'), touch(210))).toEqual([Op.read, Op.write]);
    const gone = enter(110, '11 (5000, 1000, 0, 0, 0, 0)') + leave(120, '11 = 0');
    expect(await touched(map(100, '1'), gone, touch(200), touch(210, '6000'))).toEqual([Op.write, Op.read]);
  });
  it('of a child: as the parent mapped it, until exec', async () => {
    const child = (nanos: number): string => at(nanos, 'page-faults:u: 5000', '51/51');
    const exec = at(300, 'PERF_RECORD_COMM exec: b:51/51', '51/51');
    expect(await touched(map(100, '1'), fork(150, 51, '0'), child(200), exec, child(400))).toEqual([Op.read, Op.write]);
  });
});
