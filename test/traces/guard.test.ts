import { describe, expect, it } from 'vitest';
import { Op } from '../../traces/event.js';
import { EventList } from '../../traces/event-list.js';
import { heaptrackFormat } from '../../traces/formats/heaptrack.js';
import { lackeyFormat } from '../../traces/formats/lackey.js';
import { perfFormat } from '../../traces/formats/perf.js';
import { straceFormat } from '../../traces/formats/strace.js';
import { FwtWriter } from '../../traces/fwt-writer.js';
import { MemoryTarget } from '../../traces/bytes.js';
import { guarded } from '../../traces/guard.js';
import { importBytes } from './formats/importing.js';

describe('guarded', () => {
  it('passes on what the container accepts, and counts the rest', () => {
    const list = new EventList();
    const writer = new FwtWriter(new MemoryTarget(1 << 22));
    const losses: string[] = [];
    const emit = guarded({ push: (...event) => (list.push(...event), writer.push(...event)) }, (cause) => losses.push(cause));
    const push = (addr: number, size = 1, addr2 = 0, pid = 1): void => emit(0, pid, pid, Op.read, addr, size, addr2, 0, 0, 0);
    for (const addr of [0, 2 ** 56 - 8, -(2 ** 56), -4096]) push(addr);
    expect(losses).toEqual([]);
    for (const addr of [2 ** 56, -(2 ** 56) - 16, NaN, Infinity]) push(addr);
    push(0, 1, NaN);
    push(0, -1);
    push(0, NaN);
    push(0, 1, 0, 2 ** 31);
    expect(list.events.length).toBe(4);
    expect(losses).toEqual([
      ...Array.from({ length: 5 }, () => 'address that is not canonical'),
      'size that is negative',
      'size that is negative',
      'process or thread id beyond 31 bits',
    ]);
    writer.abort();
  });

  it.each([
    ['perf', perfFormat, 'p 7 5.000000001: exceptions:page_fault_user: address=0x0123456789abcdef ip=0x1 error_code=0x4\n'],
    [
      'perf',
      perfFormat,
      'p 7 5.000000001: raw_syscalls:sys_enter: NR 9 (0, ffffffffffffffff, 3, 22, ffffffff, 0)\np 7 5.000000002: raw_syscalls:sys_exit: NR 9 = 4096\n',
    ],
    ['strace', straceFormat, '7 munmap(0x123456789abcdef0, 4096) = 0\n'],
    ['lackey', lackeyFormat, 'I  0123456789abcdef,3\n'],
    ['heaptrack', heaptrackFormat, 'v 10400 3\nX a\n+ 10 1 123456789abcdef0\n'],
  ])('%s: an impossible number is a loss', async (_, format, text) => {
    const { events, losses } = await importBytes(format, text);
    expect(events.filter(({ op }) => op !== Op.exit)).toEqual([]);
    expect(losses.length).toBe(1);
  });
});
