/** What is noted and left out while perf's text passes: the shell that held the command back, mapped files, the page cache, faults of no effect. */
import { describe, expect, it } from 'vitest';
import { lineKey, RawEvents, stateAtStart } from '../../../traces/record/raw-events.js';
import { readingsOf } from '../../../traces/record/readings.js';

const line = (time: string, event: string, who = '50/50'): string => `  app ${who} [000] ${time}: ${event}\n`;
const fault = (time: string, address: string, who?: string): string => line(time, `exceptions:page_fault_user: address=${address} ip=0x1 error_code=0x4`, who);
const BEGIN = line('9.000000005', 'sched:sched_prepare_exec: interp=/bin/app filename=/bin/app pid=50 comm=sh');

function passed(...chunks: string[]): { raw: RawEvents; text: string } {
  const raw = new RawEvents(50);
  return { raw, text: chunks.map((chunk) => raw.pass(chunk)).join('') };
}

describe('the beginning', () => {
  it('what the shell did before it became the command is left out, its faults counted; the argument pages stay', () => {
    const shell = fault('9.000000001', '0x1000') + line('9.000000002', 'raw_syscalls:sys_enter: NR 3 (3, 0, 0, 0, 0, 0)') + fault('9.000000003', '0x2000');
    const args = line('9.000000004', 'kmem:rss_stat: mm_id=1 curr=0 type=MM_ANONPAGES size=4096B');
    const { raw, text } = passed(shell + args + BEGIN + fault('9.000000006', '0x1000'));
    expect(text).toBe(args + BEGIN + fault('9.000000006', '0x1000'));
    expect(raw.faultsBefore).toBe(2);
    expect(raw.first).toBe('9.000000005');
  });
  it('is found in chunks of any size', () => {
    const whole = fault('9.000000001', '0x1000') + BEGIN + fault('9.000000006', '0x1000') + fault('9.000000007', '0x2000');
    for (const size of [1, 7, 64, 1000]) {
      const chunks = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) => whole.slice(i * size, (i + 1) * size));
      expect(passed(...chunks).text).toBe(passed(whole).text);
    }
  });
});

describe('what is noted', () => {
  it('files that are mapped, once each; anonymous memory is none', () => {
    const map = (time: string, rest: string): string => line(time, `PERF_RECORD_MMAP2 50/50: [0x1000(0x1000) @ 0 ${rest}`);
    const { raw } = passed(
      BEGIN,
      map('9.1', 'fe:00 42 7]: r--p /lib/a b.so'),
      map('9.2', 'fe:00 42 7]: r-xp /lib/a b.so'),
      map('9.3', '00:00 0 0]: rw-p //anon'),
    );
    expect([...raw.files]).toEqual(['fe:00\t42\t/lib/a b.so']);
  });
  it('records that perf lost', () => expect(passed(BEGIN + line('9.1', 'PERF_RECORD_LOST lost 12')).raw.lost).toBe(12));
  it('pages that came to the page cache were not there at first', () => {
    const add = (time: string, ofs: number, order: number): string =>
      line(time, `filemap:mm_filemap_add_to_page_cache: dev 254:0 ino 2a pfn=0x1 ofs=${ofs} order=${order}`);
    const { raw } = passed(BEGIN + add('9.000000011', 0, 0) + add('9.000000012', 4096, 1) + add('9.000000013', 65536, 0));
    expect(stateAtStart('device,inode\nfe:00,42,100000,"/a",\nfe:00,43,1,"/b",5+1\n', raw.added)).toBe(
      'device,inode\nfe:00,42,100000,"/a",0+3 10+1\nfe:00,43,1,"/b",5+1\n',
    );
  });
});

describe('a fault of no effect', () => {
  it('is the first of two equal ones of a thread with nothing in between', () => {
    const twice = fault('9.000000010', '0x1000') + fault('9.000000011', '0x5000', '50/51') + fault('9.000000012', '0x1000');
    const { raw } = passed(BEGIN + twice);
    expect(raw.givenUp).toEqual([{ key: lineKey(fault('9.000000010', '0x1000')), pid: 50, from: 9_000_000_010, until: 9_000_000_012 }]);
  });
  it('two with a call between them, or at another address, both count', () => {
    const call = line('9.000000011', 'raw_syscalls:sys_exit: NR 28 = 0');
    expect(passed(BEGIN + fault('9.000000010', '0x1000') + call + fault('9.000000012', '0x1000') + fault('9.000000013', '0x2000')).raw.givenUp).toEqual([]);
  });
});

describe('readings', () => {
  const HEADER = 'time_ns,pid,vm_size_kb,minor_faults,major_faults,begin_ns';
  it('have the faults of the command alone', () => {
    expect(readingsOf(`${HEADER}\n10,50,4,30,1,9\n11,60,4,30,0,9\n`, 50, { minor: 20, major: 1 }, [])).toBe(
      `${HEADER},racy\n10,50,4,10,0,9,\n11,60,4,30,0,9,\n`,
    );
  });
  it('of a process that waited for a disk tell no minor faults', () => {
    expect(readingsOf(`${HEADER}\n10,60,4,30,2,9\n`, 50, { minor: 0, major: 0 }, [])).toBe(`${HEADER},racy\n10,60,4,,2,9,\n`);
  });
  it('while a fault is under way that comes to nothing are racy', () => {
    const open = { key: '', pid: 60, from: 5, until: 11 };
    expect(readingsOf(`${HEADER}\n10,60,4,3,0,9\n12,60,4,3,0,11\n10,50,4,3,0,9\n`, 1, { minor: 0, major: 0 }, [open])).toBe(
      `${HEADER},racy\n10,60,4,3,0,9,1\n12,60,4,3,0,11,\n10,50,4,3,0,9,\n`,
    );
  });
});
