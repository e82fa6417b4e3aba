import { describe, expect, it } from 'vitest';
import { Flag, Op, Quantity, type TraceEvent } from '../../../traces/event.js';
import { perfFormat } from '../../../traces/formats/perf.js';
import { importBytes, importRecording, RECORDINGS, sample, show, type Options } from './importing.js';

const FILES = 'device,inode,size_bytes,path,absent_page_runs\nfe:00,7,20480,/lib/a.so,1+2 4+1\n00:1b,13,4096,/dev/shm/x,\n';

/** Lines of one thread of its own, a microsecond apart. */
function lines(...parts: readonly string[]): string {
  return parts
    .map(
      (part, i) =>
        `prog ${part.startsWith('@') ? part.slice(1, part.indexOf(' ')) : 100} 5.${String(i + 1).padStart(9, '0')}: ${part.startsWith('@') ? part.slice(part.indexOf(' ') + 1) : part}\n`,
    )
    .join('');
}
const run = (text: string, options: Options = {}) => importBytes(perfFormat, text, options);
const EXEC = ['PERF_RECORD_COMM exec: prog:100/100', 'PERF_RECORD_MMAP2 100/100: [0x7ffe00000000(0x21000) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]'];
const DONE = 'sched:sched_process_exec: filename=/bin/prog pid=100 old_pid=100';
const call = (nr: number, args: readonly number[], result: number, ...between: readonly string[]): string[] => [
  `raw_syscalls:sys_enter: NR ${nr} (${[0, 1, 2, 3, 4, 5].map((i) => (args[i] ?? 0).toString(16)).join(', ')})`,
  ...between,
  `raw_syscalls:sys_exit: NR ${nr} = ${result}`,
];
const brief = (events: readonly TraceEvent[]): string[] => events.map((event) => show(event).replace(/^\d+ /, ''));

describe('samples', () => {
  it('page-faults:u and mappings without system calls', async () => {
    const { header, counts, losses, warnings } = await run(await sample('perf_pagefaults_user.txt'));
    expect(counts).toMatchInlineSnapshot(`
      {
        "exec": 2,
        "exit": 3,
        "fetch": 92,
        "fork": 2,
        "mmap": 66,
        "mprotect": 12,
        "object": 19,
        "read": 60,
        "write": 174,
      }
    `);
    expect(losses).toEqual([]);
    expect(header.captured).toEqual({ heap: false, freePointers: false, mappings: false, processes: true, touches: 'user-faults', samples: false });
    expect(warnings).toEqual(["sample: no raw_syscalls events: what was unmapped, and the heap's shrinking, is not in the recording"]);
  });

  it('exceptions:page_fault_* with a processor column, executable mappings only', async () => {
    const { header, counts, losses, events } = await run(await sample('perf_script_pagefault.txt'));
    expect(counts).toMatchInlineSnapshot(`
      {
        "exec": 1,
        "fetch": 26,
        "mmap": 6,
        "object": 5,
        "read": 34,
        "write": 331,
      }
    `);
    expect(losses).toEqual([]);
    expect(header.clock).toBe('monotonic');
    expect(new Set(events.filter(({ pid }) => pid > 0).map(({ cpu }) => cpu))).toEqual(new Set([1]));
  });

  it.each([
    [
      'gcc',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 45,
        "cache": 35,
        "exec": 10,
        "exit": 11,
        "fetch": 609,
        "fork": 8,
        "mmap": 466,
        "mprotect": 45,
        "munmap": 105,
        "object": 38,
        "read": 503,
        "sample": 7110,
        "vfork": 2,
        "write": 1971,
      }
    `),
    ],
    [
      'pyfork',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 36,
        "cache": 57,
        "exec": 8,
        "exit": 13,
        "fetch": 526,
        "fork": 12,
        "mmap": 428,
        "mprotect": 43,
        "munmap": 109,
        "object": 42,
        "read": 386,
        "sample": 7590,
        "write": 14801,
      }
    `),
    ],
    [
      'shm',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 18,
        "cache": 1,
        "exec": 8,
        "exit": 10,
        "fetch": 314,
        "fork": 9,
        "mmap": 279,
        "mprotect": 28,
        "munmap": 26,
        "object": 30,
        "read": 2659,
        "sample": 342,
        "write": 3528,
      }
    `),
    ],
  ] as const)('the recording of %s, with what the kernel said', async (name, check) => {
    const { header, counts, losses, events } = await importRecording(perfFormat, RECORDINGS + name);
    check(counts);
    expect(losses).toEqual([]);
    expect(header.captured).toEqual({ heap: false, freePointers: false, mappings: true, processes: true, touches: 'faults', samples: true });
    // As many pages of arguments as the stack's mapping is larger than what setup_arg_pages adds; both ways of knowing agree.
    const stacks = events.filter(({ op, flags }) => op === Op.mmap && (flags & Flag.growsdown) !== 0);
    const args = events.filter(({ flags }) => (flags & Flag.args) !== 0);
    expect(args.map(({ addr, size }) => [addr + size, size])).toEqual(stacks.map(({ addr, size }) => [addr + size, size - 131072]));
    for (let i = 1; i < events.length; i++) expect((events[i] as TraceEvent).time).toBeGreaterThanOrEqual((events[i - 1] as TraceEvent).time);
  });
});

describe('columns', () => {
  const recording = async (): Promise<string[]> => {
    const text = lines(
      ...EXEC,
      DONE,
      ...call(12, [0], 0x5000000),
      ...call(
        9,
        [0, 8192, 3, 0x22, 0xffffffff, 0],
        0x7f0000000000,
        'PERF_RECORD_MMAP2 100/100: [0x7f0000000000(0x2000) @ 0x7f0000000000 00:00 0 0]: rw-p //anon',
      ),
      'exceptions:page_fault_user: address=0x7f0000000008 ip=0x7f0000001000 error_code=0x6',
      'exceptions:page_fault_kernel: address=0x7f0000001008 ip=copy_to_user error_code=0x3',
    );
    return text.trimEnd().split('\n');
  };
  const shape = /^prog 100 (5\.\d+): (.*)$/;
  const layouts: readonly (readonly [string, string])[] = [
    ['no command', '100 $1: $2'],
    ['pid/tid', 'prog 100/100 $1: $2'],
    ['processor', 'prog 100 [003] $1: $2'],
    ['pid/tid, processor and padding', '     prog   100/100   [003]   $1:    $2'],
    ['a command with blanks and colons', 'my prog: 1 2 100 [003] $1: $2'],
    ['period', 'prog 100 $1:          1 $2'],
  ];
  it.each(layouts)('%s', async (_, layout) => {
    const plain = await recording();
    const other = plain.map((line) => line.replace(shape, layout));
    const expected = (await run(plain.join('\n'))).events;
    const cpu = layout.includes('[003]') ? 3 : 0;
    const { events, losses } = await run(other.join('\n'));
    expect(events).toEqual(expected.map((event) => ({ ...event, cpu: event.pid === -1 ? 0 : cpu })));
    expect(losses).toEqual([]);
    expect(perfFormat.detect(other.join('\n'), '')).toBe(0.95);
  });

  it('microseconds, header comments and call chains', async () => {
    const text =
      '# ========\n# os release : 6.1.0-test\n# captured on    : Sun Nov 22 2026\n# cmdline : perf record -k CLOCK_REALTIME ls \n#\n' +
      'prog 100 5.000001: PERF_RECORD_COMM exec: prog:100/100\nprog 100 5.000004: exceptions:page_fault_user: address=0x1008 ip=0x9 error_code=0x4\n' +
      '\t    7f38c9ba5b70 _start+0x0 (/usr/lib/ld.so)\n\n';
    const { header, events, losses } = await run(text);
    expect(events.map(({ time }) => time)).toEqual([0, 3000]);
    expect(losses).toEqual([]);
    expect(header.kernel).toEqual({ release: '6.1.0-test' });
    expect(header.clock).toBe('realtime');
    expect(header.provenance.command).toBe('perf record -k CLOCK_REALTIME ls ');
  });

  it('seconds since 1970 keep their nanoseconds', async () => {
    const { events, header } = await run(
      'p 7 1795334158.190219001: PERF_RECORD_COMM exec: p:7/7\np 7 1795334158.190219008: exceptions:page_fault_user: address=0x1008 ip=0x9 error_code=0x4\n',
      { sides: { 'truth.csv': 'time_ns,pid,vm_size_kb,racy,begin_ns\n1795334158190219005,7,44,1,1795334158190219002\n' } },
    );
    expect(header.clock).toBe('realtime');
    expect(brief(events)).toEqual([
      '7/7 exec 0 0 0 7 0 0 p',
      `7/7 sample 0 44 3 ${Quantity.VmSize} ${Flag.racy.toString(16)} 0`,
      '7/7 read 1008 1 0 0 2000000 0',
    ]);
    expect(events.map(({ time }) => time)).toEqual([0, 4, 7]);
  });
});

describe('touches', () => {
  it('read, write and fetch from the error code, with who faulted and whether a page was there', async () => {
    const codes = ['4', '5', '6', '7', '14', '15', '0', '2', '3'];
    const { events } = await run(
      lines(
        'PERF_RECORD_COMM exec: prog:100/100',
        ...codes.map((code, i) => `exceptions:page_fault_${i < 6 ? 'user' : 'kernel'}: address=0x1000 ip=0x1 error_code=0x${code}`),
      ),
    );
    const { fault, present, kernel } = { fault: Flag.fault, present: Flag.present, kernel: Flag.kernel };
    expect(events.slice(1).map(({ op, flags }) => [op, flags])).toEqual([
      [Op.read, fault],
      [Op.read, fault | present],
      [Op.write, fault],
      [Op.write, fault | present],
      [Op.fetch, fault],
      [Op.fetch, fault | present],
      [Op.read, fault | kernel],
      [Op.write, fault | kernel],
      [Op.write, fault | present | kernel],
    ]);
  });

  it('software events: the mapping tells what it was; one without an address is a loss', async () => {
    const { events, losses } = await run(
      lines(
        ...EXEC,
        'PERF_RECORD_MMAP2 100/100: [0x400000(0x1000) @ 0 fe:00 7 0]: r-xp /lib/a.so',
        'PERF_RECORD_MMAP2 100/100: [0x500000(0x1000) @ 0 fe:00 8 0]: r--p /lib/b.so',
        'page-faults:u:     7ffe00000010',
        'page-faults:         400010 400010 _start+0x0 (/lib/a.so)',
        '1 page-faults:     500010',
        'page-faults:     faded+0x0 (/lib/a.so)',
        '1 page-faults:  7f00 main+0x5 (/lib/a.so)',
        'minor-faults: 900000',
      ),
    );
    expect(events.filter(({ flags }) => (flags & Flag.fault) !== 0).map(({ op, addr }) => [op, addr])).toEqual([
      [Op.write, 0x7ffe00000010],
      [Op.fetch, 0x400010],
      [Op.read, 0x500010],
      [Op.write, 0x900000],
    ]);
    expect(losses).toEqual([{ cause: 'page fault without address or error_code', count: 2, first: 'sample:8' }]);
  });

  it('faults at kernel addresses are counted', async () => {
    const { events, losses } = await run(lines(EXEC[0] as string, 'exceptions:page_fault_user: address=0xffffffffff600000 ip=0x1 error_code=0x15'));
    expect(events.length).toBe(1);
    expect(losses).toEqual([{ cause: 'fault at a kernel address', count: 1, first: 'sample:2' }]);
  });
});

describe('system calls', () => {
  it('become events where they return; failed ones none', async () => {
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        ...call(12, [0], 0x5000000),
        ...call(12, [0x5021000], 0x5021000),
        ...call(12, [0x9000000], 0x5021000),
        ...call(9, [0x7f0000000000, 0x5000, 0, 0x20 | 0x100 | 0x2000 | 0x4000 | 0x8000 | 0x20000 | 0x100000 | 2, 0xffffffff, 0], 0x7f0000000000),
        ...call(
          9,
          [0, 0x5000, 3, 0x21, 0xffffffff, 0],
          0x7f0000100000,
          'PERF_RECORD_MMAP2 100/100: [0x7f0000100000(0x5000) @ 0 00:01 1037 5]: rw-s /dev/zero (deleted)',
        ),
        ...call(9, [0, 0x5000, 3, 0x21, 0xffffffff, 0], -12),
        ...call(10, [0x7f0000000000, 0x1000, 5], 0),
        ...call(329, [0x7f0000000000, 0x1000, 3, 1], 0),
        ...call(10, [0, 0x1000, 5], -22),
        ...call(25, [0x7f0000000000, 0x5000, 0x9000, 1], 0x7f0000200000),
        ...call(25, [0x7f0000200000, 0x5000, 0x9000, 7, 0x7f0000300000], 0x7f0000300000),
        ...call(28, [0x7f0000300000, 0x1000, 14], 0),
        ...call(149, [0x7f0000300000, 0x1000], 0),
        ...call(325, [0x7f0000300000, 0x1000, 1], 0),
        ...call(150, [0x7f0000300000, 0x1000], 0),
        ...call(151, [7], 0),
        ...call(152, [], 0),
        ...call(11, [0x7f0000300000, 0x9000], 0),
        ...call(157, [15, 0x1234], 0),
        ...call(157, [41, 1], 0),
        ...call(0, [3, 0x1000, 10], 10),
      ),
    );
    expect(brief(events).slice(1)).toMatchInlineSnapshot(`
      [
        "100/100 brk 5000000 0 0 0 0 0",
        "100/100 brk 5021000 0 0 0 0 0",
        "100/100 mmap 7f0000000000 20480 0 0 3f0 0",
        "100/100 mmap 7f0000100000 20480 0 0 b 0",
        "100/100 mprotect 7f0000000000 4096 0 0 5 0",
        "100/100 mprotect 7f0000000000 4096 0 0 3 0",
        "100/100 mremap 7f0000200000 36864 7f0000000000 20480 0 0",
        "100/100 mremap 7f0000300000 36864 7f0000200000 20480 4010 0",
        "100/100 madvise 7f0000300000 4096 0 14 0 0",
        "100/100 mlock 7f0000300000 4096 0 0 0 0",
        "100/100 mlock 7f0000300000 4096 0 0 8000 0",
        "100/100 munlock 7f0000300000 4096 0 0 0 0",
        "100/100 mlock 0 0 0 0 38000 0",
        "100/100 munlock 0 0 0 0 0 0",
        "100/100 munmap 7f0000300000 36864 0 0 0 0",
      ]
    `);
    expect(losses.map(({ cause, count }) => [cause, count])).toEqual([['prctl that the event model cannot express', 1]]);
  });

  it('files: announced before their first use, with size and absent pages; one object a file', async () => {
    const mapped = (start: number, rights: string): string =>
      `PERF_RECORD_MMAP2 100/100: [0x${start.toString(16)}(0x5000) @ 0x1000 fe:00 7 0]: ${rights} /lib/a.so`;
    const { events } = await run(
      lines(
        EXEC[0] as string,
        ...call(9, [0, 0x5000, 1, 2, 3, 0x1000], 0x7f0000000000, mapped(0x7f0000000000, 'r-xp')),
        ...call(9, [0, 0x5000, 1, 1, 3, 0x1000], 0x7f0000100000, mapped(0x7f0000100000, 'r--s')),
        ...call(10, [0x7f0000100000, 0x1000, 3], 0, mapped(0x7f0000100000, 'rw-s')),
      ),
      { sides: { 'files.csv': FILES } },
    );
    expect(brief(events).slice(1)).toEqual([
      '-1/-1 object 0 20480 0 1 40000 0 /lib/a.so',
      '-1/-1 cache 0 8192 1000 1 400000 0',
      '-1/-1 cache 0 4096 4000 1 400000 0',
      '100/100 mmap 7f0000000000 20480 1000 1 5 0',
      '100/100 mmap 7f0000100000 20480 1000 1 9 0',
      '100/100 mprotect 7f0000100000 4096 0 0 3 0',
    ]);
  });

  it('a file that nothing names is an object of its own, and counted', async () => {
    const { events, losses } = await run(
      lines(EXEC[0] as string, ...call(9, [0, 0x5000, 1, 2, 3, 0], 0x7f0000000000), ...call(9, [0, 0x5000, 1, 2, 3, 0], 0x7f0000100000)),
    );
    expect(events.filter(({ op }) => op === Op.mmap).map(({ arg }) => arg)).toEqual([1, 2]);
    expect(losses.map(({ cause, count, first }) => [cause, count, first])).toEqual([
      ['mapping of a file that the recording does not name: shared with nobody, size unknown', 2, 'sample:3'],
    ]);
  });

  const SHM = 'PERF_RECORD_MMAP2 100/100: [0x7f0000000000(0x2000) @ 0 00:1b 13 5]: rw-s /dev/shm/x';
  it('the size that ftruncate sets belongs to the file that is mapped next under that descriptor', async () => {
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        ...call(9, [0, 0x5000, 1, 2, 3, 0], 0x7f0000900000, 'PERF_RECORD_MMAP2 100/100: [0x7f0000900000(0x5000) @ 0 fe:00 7 0]: r--p /lib/a.so'),
        ...call(77, [3, 0x2000], 0),
        ...call(9, [0, 0x2000, 3, 1, 3, 0], 0x7f0000000000, SHM),
        ...call(77, [9, 0x2000], 0),
      ),
      { sides: { 'files.csv': FILES } },
    );
    expect(brief(events).filter((line) => line.includes('object'))).toEqual([
      '-1/-1 object 0 20480 0 1 40000 0 /lib/a.so',
      '-1/-1 object 0 8192 0 2 80000 0 /dev/shm/x',
    ]);
    expect(losses).toEqual([{ cause: 'size set of a file that the recording does not name', count: 1, first: 'sample:11' }]);
  });

  it('with closes recorded, a mapped descriptor keeps its file until it is closed', async () => {
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        ...call(3, [3], 0),
        ...call(9, [0, 0x2000, 3, 1, 3, 0], 0x7f0000000000, SHM),
        ...call(32, [3], 5),
        ...call(77, [5, 0x6000], 0),
        ...call(285, [3, 0, 0x6000, 0x1000], 0),
        ...call(285, [3, 3, 0x1000, 0x1000], 0),
        ...call(3, [3], 0),
        ...call(77, [3, 0x9000], 0),
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '-1/-1 object 0 0 0 1 80000 0 /dev/shm/x',
      '100/100 mmap 7f0000000000 8192 0 1 b 0',
      '-1/-1 object 0 24576 0 1 80000 0',
      '-1/-1 object 0 28672 0 1 80000 0',
      '-1/-1 cache 0 4096 6000 1 200000 0',
      '-1/-1 cache 0 4096 1000 1 400000 0',
    ]);
    expect(losses.map(({ count }) => count)).toEqual([1]);
  });

  it('System V segments: made, attached, detached by a child, removed, and the number used again', async () => {
    const child = (text: string): string => `@200 ${text}`;
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        ...call(29, [0, 0x1800], 16),
        ...call(30, [16, 0, 0x1000], 0x7f0000000000),
        'task:task_newtask: pid=200 comm=prog clone_flags=1200000 oom_score_adj=0',
        ...call(67, [0x7f0000000000], 0).map(child),
        ...call(31, [16, 0], 0),
        ...call(29, [0x77, 0x1000], 16),
        ...call(30, [17, 0, 0], 0x7f0000100000),
        ...call(67, [0x7f0000700000], 0),
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '-1/-1 object 0 6144 0 1 80000 0 /SYSV00000000',
      '100/100 mmap 7f0000000000 8192 0 1 9 0',
      '100/100 fork 0 0 0 200 0 0',
      '200/200 munmap 7f0000000000 8192 0 0 0 0',
      '-1/-1 object 0 0 0 1 180000 0',
      '-1/-1 object 0 4096 0 2 80000 0 /SYSV00000077',
    ]);
    expect(losses.map(({ cause }) => cause)).toEqual([
      'shmat of a segment whose shmget was not recorded',
      'shmdt of a segment whose attachment was not recorded',
    ]);
  });

  it('a munmap in flight comes before the mapping that got its range', async () => {
    const [enter, leave] = call(11, [0x7f0000000000, 0x3000], 0) as [string, string];
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        'task:task_newtask: pid=101 comm=prog clone_flags=3d0f00 oom_score_adj=0',
        enter,
        ...call(9, [0, 0x1000, 3, 0x22, 0xffffffff, 0], 0x7f0000002000).map((text) => `@101 ${text}`),
        leave,
        ...call(11, [0x7f0000002000, 0x1000], 0),
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '100/100 thread 0 0 0 101 1000 0',
      '100/100 munmap 7f0000000000 12288 0 0 0 0',
      '100/101 mmap 7f0000002000 4096 0 0 3 0',
      '100/100 munmap 7f0000002000 4096 0 0 0 0',
    ]);
    expect(losses).toEqual([]);
  });
});

describe('processes', () => {
  it('fork, vfork, thread and a copy that shares, from the flags; from records alone thread or fork', async () => {
    const { events } = await run(
      lines(
        EXEC[0] as string,
        ...['1200000', '4100', '3d0f00', '100'].map((flags, i) => `task:task_newtask: pid=${201 + i} comm=a b clone_flags=${flags} oom_score_adj=0`),
        'PERF_RECORD_FORK(205:205):(100:100)',
        'task:task_newtask: pid=205 comm=prog clone_flags=4100 oom_score_adj=0',
        'PERF_RECORD_FORK(100:206):(100:100)',
        'PERF_RECORD_FORK(207:207):(100:100)',
        '@207 exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4',
        '@206 exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4',
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '100/100 fork 0 0 0 201 0 0',
      '100/100 vfork 0 0 0 202 1000 0',
      '100/100 thread 0 0 0 203 1000 0',
      '100/100 fork 0 0 0 204 1000 0',
      '100/100 vfork 0 0 0 205 1000 0',
      '100/100 thread 0 0 0 206 1000 0',
      '100/100 fork 0 0 0 207 0 0',
      '207/207 read 1000 1 0 0 2000000 0',
      '100/206 read 1000 1 0 0 2000000 0',
    ]);
  });

  it('exec leaves the old space at sched_prepare_exec; its argument pages are those that rss_stat counted last', async () => {
    const { events } = await run(
      lines(
        EXEC[0] as string,
        'kmem:rss_stat: mm_id=1 curr=0 type=MM_ANONPAGES size=4096B',
        'kmem:rss_stat: mm_id=1 curr=0 type=MM_ANONPAGES size=12288B',
        'kmem:rss_stat: mm_id=1 curr=1 type=MM_ANONPAGES size=40960B',
        'kmem:rss_stat: mm_id=1 curr=0 type=MM_FILEPAGES size=40960B',
        'sched:sched_prepare_exec: interp=/bin/sh filename=/some where/a-very-long-program-name pid=100 comm=prog',
        'kmem:rss_stat: mm_id=2 curr=0 type=MM_ANONPAGES size=0B',
        'mmap:exit_mmap: mt_mod 0xffff88810bcd8680, DESTROY',
        'PERF_RECORD_COMM exec: a-very-long-pro:100/100',
        'PERF_RECORD_MMAP2 100/100: [0x7ffe00000000(0x23000) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]',
        'PERF_RECORD_MMAP2 100/100: [0x7f0000000000(0x2000) @ 0 00:00 0 0]: r-xp [vdso]',
        'PERF_RECORD_MMAP2 100/100: [0x7f0000002000(0x2000) @ 0 00:00 0 0]: r--p [vvar_vclock]',
        'exceptions:page_fault_kernel: address=0x7ffe00022000 ip=_copy_to_user error_code=0x2',
        DONE,
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '100/100 exec 0 0 0 100 0 0 a-very-long-pro',
      '100/100 mmap 7ffe00000000 143360 0 0 43 0',
      '100/100 write 7ffe00020000 12288 0 0 1800000 0',
      '100/100 mmap 7f0000000000 8192 0 0 405 0',
      '100/100 mmap 7f0000002000 8192 0 0 801 0',
      '100/100 write 7ffe00022000 1 0 0 2800000 0',
    ]);
    expect(events[1]?.time).toBe(5);
  });

  it('arguments of more than one page: the stack that exec prepares for them is no mapping of the space that a child of vfork shares', async () => {
    const { events } = await run(
      lines(
        ...EXEC,
        'task:task_newtask: pid=101 comm=prog clone_flags=4100 oom_score_adj=0',
        'PERF_RECORD_MMAP2 101/101: [0x7fffffffd000(0x2000) @ 0x7fffffffd 00:00 0 0]: rw-p //anon',
        'sched:sched_prepare_exec: interp=/bin/sh filename=/bin/child pid=101 comm=prog',
        'PERF_RECORD_COMM exec: child:101/101',
        'PERF_RECORD_MMAP2 101/101: [0x7ffe00000000(0x22000) @ 0x7ffffffdd000 00:00 0 0]: rw-p [stack]',
        DONE,
      ),
    );
    expect(events.filter(({ op, pid }) => op === Op.mmap && pid === 101).map(({ addr, size }) => [addr, size])).toEqual([[0x7ffe00000000, 0x22000]]);
    expect(events.filter(({ op }) => op === Op.vfork).length).toBe(1);
  });

  it('an image whose segments leave holes: what the first mapping reserved is cut back', async () => {
    const segment = (start: number, bytes: number, offset: number, rights: string): string =>
      `PERF_RECORD_MMAP2 100/100: [0x${start.toString(16)}(0x${bytes.toString(16)}) @ 0x${offset.toString(16)} fe:00 7 0]: ${rights} /bin/prog`;
    const { events } = await run(
      lines(
        ...EXEC,
        segment(0x555500000000, 0x20000, 0, 'r--p'),
        segment(0x555500004000, 0x3000, 0x2000, 'r-xp'),
        segment(0x55550000a000, 0x2000, 0x5000, 'rw-p'),
        'PERF_RECORD_MMAP2 100/100: [0x55550000c000(0x4000) @ 0x55550000c000 00:00 0 0]: rw-p //anon',
        DONE,
      ),
    );
    expect(brief(events).slice(-3)).toEqual([
      '100/100 munmap 555500003000 4096 0 0 0 0',
      '100/100 munmap 555500007000 12288 0 0 0 0',
      '100/100 munmap 555500010000 65536 0 0 0 0',
    ]);
  });

  it("exec by one of several threads: the others end first, and the caller takes the process's id", async () => {
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        'task:task_newtask: pid=101 comm=prog clone_flags=3d0f00 oom_score_adj=0',
        '@101 sched:sched_prepare_exec: interp=/bin/x filename=/bin/x pid=101 comm=prog',
        'sched:sched_process_exit: comm=prog pid=100 prio=120 group_dead=false',
        'PERF_RECORD_EXIT(100:100):(1:1)',
        'PERF_RECORD_COMM exec: x:100/100',
        'sched:sched_process_exec: filename=/bin/x pid=100 old_pid=101',
        'exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4',
        'sched:sched_process_exit: comm=x pid=100 prio=120 group_dead=true',
        'PERF_RECORD_EXIT(100:100):(1:1)',
      ),
    );
    expect(brief(events).slice(1)).toEqual([
      '100/100 thread 0 0 0 101 1000 0',
      '100/100 exit 0 0 0 0 0 0',
      '100/100 exec 0 0 0 101 0 0 x',
      '100/100 read 1000 1 0 0 2000000 0',
      '100/100 exit 0 0 0 0 2000 0',
    ]);
    expect(losses).toEqual([]);
  });

  it("a fault after a thread's exit is on behalf of one that is left", async () => {
    const { events, losses } = await run(
      lines(
        EXEC[0] as string,
        'task:task_newtask: pid=101 comm=prog clone_flags=3d0f00 oom_score_adj=0',
        '@101 sched:sched_process_exit: comm=prog pid=101 prio=120 group_dead=false',
        '@101 exceptions:page_fault_kernel: address=0x1000 ip=__put_user error_code=0x3',
        'sched:sched_process_exit: comm=prog pid=100 prio=120',
        'exceptions:page_fault_kernel: address=0x1000 ip=__put_user error_code=0x3',
      ),
    );
    expect(brief(events).slice(2)).toEqual(['100/101 exit 0 0 0 0 0 0', '100/100 write 1000 1 0 0 2a00000 0', '100/100 exit 0 0 0 0 2000 0']);
    expect(losses.map(({ cause, first }) => [cause, first])).toEqual([['event of a process after its end', 'sample:6']]);
  });

  it('who was there before is left out and counted until it calls exec; what perf found mapped is imported', async () => {
    const { events, losses } = await run(
      'swapper 0 0.000000000: PERF_RECORD_MMAP -1/0: [0xffffffff81000000(0x1276508) @ 0xffffffff81000000]: x [kernel.kallsyms]_text\n' +
        'perf-exec 0 0.000000000: PERF_RECORD_COMM: perf-exec:100/100\n' +
        'other 300 0.000000000: PERF_RECORD_COMM: other:300/300\n' +
        'other 300 0.000000000: PERF_RECORD_MMAP2 300/300: [0x400000(0x1000) @ 0 fe:00 7 0]: r-xp /bin/other\n' +
        lines(
          'exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4',
          '@0 exceptions:page_fault_kernel: address=0x1000 ip=0x1 error_code=0x4',
          'task:task_newtask: pid=150 comm=perf-exec clone_flags=1200000 oom_score_adj=0',
          '@150 exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4',
          EXEC[0] as string,
          '@300 exceptions:page_fault_user: address=0x400008 ip=0x1 error_code=0x14',
        ),
    );
    expect(brief(events)).toEqual([
      '-1/-1 object 0 0 0 1 40000 0 /bin/other',
      '300/300 mmap 400000 4096 0 1 5 0',
      '100/100 exec 0 0 0 100 0 0 prog',
      '300/300 fetch 400008 1 0 0 2000000 0',
    ]);
    expect(losses).toEqual([{ cause: 'outside the recorded tree', count: 3, first: 'sample:5' }]);
  });
});

describe('the page cache, losses and files beside', () => {
  it('folios that come and go while the file is mapped', async () => {
    const { events } = await run(
      lines(
        ...EXEC,
        'PERF_RECORD_MMAP2 100/100: [0x400000(0x5000) @ 0 fe:00 7 0]: r-xp /lib/a.so',
        'filemap:mm_filemap_add_to_page_cache: dev 254:0 ino 7 pfn=0x1 ofs=16384 order=2',
        'filemap:mm_filemap_delete_from_page_cache: dev 254:0 ino 7 pfn=0x1 ofs=4096 order=0',
        'filemap:mm_filemap_add_to_page_cache: dev 254:0 ino 99 pfn=0x1 ofs=16384 order=2',
      ),
    );
    expect(brief(events).slice(-2)).toEqual([`-1/-1 cache 0 16384 4000 ${1 + 2 * 2 ** 48} 200000 0`, '-1/-1 cache 0 4096 1000 1 400000 0']);
  });

  it('counts what it cannot use, by cause, with the place of the first', async () => {
    const { losses } = await run(
      lines(
        EXEC[0] as string,
        'PERF_RECORD_LOST lost 17',
        'PERF_RECORD_LOST lost 3',
        'PERF_RECORD_THROTTLE',
        'sched:sched_switch: prev_comm=a',
        'cycles:u: 1234',
        'raw_syscalls:sys_exit: NR 9 = 4096',
        'raw_syscalls:sys_enter: NR 9 (zz, 0)',
        'raw_syscalls:sys_exit: NR x',
        'exceptions:page_fault_user: address=0x10000000000000000 ip=0x1 error_code=0x4',
        'task:task_newtask: pid=?',
        'PERF_RECORD_MMAP2 100/100: [nothing]',
        'PERF_RECORD_FORK(x:x)',
        'filemap:mm_filemap_add_to_page_cache: ?',
      ),
    );
    expect(losses.map(({ cause, count, first }) => `${first} ${count} ${cause}`)).toMatchInlineSnapshot(`
      [
        "sample:2 20 records that perf lost",
        "sample:4 1 pauses in which perf recorded nothing (throttled)",
        "sample:5 2 event that is not imported",
        "sample:7 1 system call whose entry was not recorded",
        "sample:8 1 system call without number or arguments",
        "sample:9 1 system call without number or result",
        "sample:10 1 page fault without address or error_code",
        "sample:11 1 task_newtask without pid or clone_flags",
        "sample:12 1 mapping record that cannot be read",
        "sample:13 1 FORK record that cannot be read",
        "sample:14 1 page-cache event that cannot be read",
      ]
    `);
  });

  it('names the file and line that is wrong beside a recording', async () => {
    const text = lines(EXEC[0] as string);
    const wrong = (sides: Record<string, string>): Promise<unknown> => run(text, { sides, file: 'dir/events.txt' });
    await expect(wrong({ 'truth.csv': 'pid,vm_size_kb\n1,2\n' })).rejects.toThrow('dir/truth.csv:1: column time_ns is missing; expected time_ns,pid');
    await expect(wrong({ 'truth.csv': 'time_ns,pid,vm_size_kb\n1,2,3\n5,x,7\n' })).rejects.toThrow("dir/truth.csv:3: pid 'x' is not a decimal number");
    await expect(wrong({ 'files.csv': 'device,inode\n' })).rejects.toThrow(/^dir\/files.csv:1: column size_bytes, path, absent_page_runs is missing/);
    await expect(wrong({ 'files.csv': FILES.replace('1+2', '1') })).rejects.toThrow(/^dir\/files.csv:2: first page/);
  });

  it('paths with commas, quotes and letters beyond ASCII', async () => {
    const path = '/lib/a,"b" é.so';
    const { events } = await run(lines(...EXEC, `PERF_RECORD_MMAP2 100/100: [0x400000(0x5000) @ 0 <0123abcd>]: r-xp ${path}`), {
      sides: { 'files.csv': 'device,inode,size_bytes,path,absent_page_runs\r\nfe:00,9,12345,"/lib/a,""b"" é.so",\r\n' },
    });
    const object = events.find(({ op }) => op === Op.object);
    expect([object?.text, object?.size]).toEqual([path, 12345]);
  });

  it('readings before the first and after the last line are kept', async () => {
    const { events, header } = await run(lines(EXEC[0] as string), {
      sides: { 'truth.csv': 'time_ns,pid,threads,vm_size_kb\n9000000000,100,1,8\n1,100,2,\n' },
    });
    expect(brief(events)).toEqual([
      '100/100 sample 0 2 0 8 0 0',
      '100/100 exec 0 0 0 100 0 0 prog',
      '100/100 sample 0 1 0 8 0 0',
      '100/100 sample 0 8 0 1 0 0',
    ]);
    expect(header.captured.samples).toBe(true);
  });
});
