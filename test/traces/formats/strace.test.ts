import { describe, expect, it } from 'vitest';
import { Op, type TraceEvent } from '../../../traces/event.js';
import { straceFormat } from '../../../traces/formats/strace.js';
import { importBytes, sample, show } from './importing.js';

const run = (text: string) => importBytes(straceFormat, text);
const brief = (events: readonly TraceEvent[]): string[] => events.map((event) => show(event).replace(/^\d+ /, ''));
const NAMELESS = 'mapping of a file that the recording does not name: shared with nobody, size unknown';

describe('samples', () => {
  it.each([
    [
      'strace_bash.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 4,
        "exec": 2,
        "exit": 4,
        "fork": 3,
        "mmap": 46,
        "mprotect": 7,
        "munmap": 2,
        "object": 16,
      }
    `),
    ],
    [
      'strace_gcc.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 22,
        "exec": 3,
        "exit": 3,
        "mmap": 91,
        "mprotect": 20,
        "munmap": 3,
        "object": 68,
        "vfork": 2,
      }
    `),
    ],
    [
      'strace_madv.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 11,
        "exec": 1,
        "exit": 1,
        "madvise": 5,
        "mlock": 1,
        "mmap": 186,
        "mprotect": 5,
        "mremap": 2,
        "munmap": 89,
        "object": 2,
      }
    `),
    ],
    [
      'strace_mthread.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 2,
        "exec": 1,
        "exit": 25,
        "madvise": 24,
        "mmap": 65,
        "mprotect": 157,
        "munmap": 54,
        "object": 2,
        "thread": 24,
      }
    `),
    ],
    [
      'strace_prefixes.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 6,
        "exec": 3,
        "exit": 4,
        "fork": 3,
        "mmap": 77,
        "mprotect": 12,
        "munmap": 4,
        "object": 66,
      }
    `),
    ],
    [
      'strace_shm.txt',
      (counts: unknown) =>
        expect(counts).toMatchInlineSnapshot(`
      {
        "brk": 1,
        "exec": 1,
        "exit": 2,
        "fork": 1,
        "mmap": 12,
        "mprotect": 3,
        "munmap": 3,
        "object": 5,
      }
    `),
    ],
  ] as const)('%s', async (name, check) => {
    const { counts, losses, header } = await importBytes(straceFormat, Buffer.from(await sample(name), 'latin1'));
    check(counts);
    expect(losses.filter(({ cause }) => cause !== NAMELESS)).toEqual([]);
    expect(header.captured).toEqual({ heap: false, freePointers: false, mappings: true, processes: true, touches: 'none', samples: false });
    expect(header.clock).toBe(name === 'strace_prefixes.txt' ? 'none' : 'realtime');
  });

  it.each(['strace_bash.txt', 'strace_gcc.txt', 'strace_madv.txt', 'strace_mthread.txt', 'strace_shm.txt'])(
    '%s: an event for each call that succeeded',
    async (name) => {
      const text = await sample(name);
      const { counts } = await importBytes(straceFormat, Buffer.from(text, 'latin1'));
      const done = (call: string): number =>
        text.split('\n').filter((line) => new RegExp(`(?: ${call}\\(|<\\.\\.\\. ${call} resumed).*\\) += `).test(line) && !/\) += (?:-1|\?)/.test(line)).length;
      expect(counts.mmap).toBe(done('mmap') + done('shmat'));
      expect(counts.munmap).toBe(done('munmap') + done('shmdt'));
      expect(counts.mprotect).toBe(done('mprotect'));
      expect(counts.madvise ?? 0).toBe(done('madvise'));
      expect(counts.exec).toBe(done('execve'));
      expect((counts.fork ?? 0) + (counts.vfork ?? 0) + (counts.thread ?? 0)).toBe(done('v?fork') + done('clone3?'));
      expect(counts.exit).toBe(text.split('\n').filter((line) => line.includes('+++ exited with')).length);
    },
  );

  it('every process is born before it does anything, and does nothing after its end', async () => {
    for (const name of ['strace_bash.txt', 'strace_gcc.txt', 'strace_mthread.txt', 'strace_prefixes.txt']) {
      const { events } = await importBytes(straceFormat, Buffer.from(await sample(name), 'latin1'));
      const alive = new Set([events[0]?.tid]);
      for (const { tid, op, arg } of events) {
        if (tid === -1) continue;
        expect(alive.has(tid)).toBe(true);
        if (op === Op.fork || op === Op.vfork || op === Op.thread) alive.add(arg);
        if (op === Op.exit) alive.delete(tid);
      }
      expect(alive.size).toBe(0);
    }
  });
});

describe('lines', () => {
  const CALL = 'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000';
  it.each([
    ['no id, no time', '', 'none', [1, 2]],
    ['id', '77 ', 'none', [1, 2]],
    ['padded id and seconds', '77    1795334173.782098 ', 'realtime', [0, 0]],
    ['nanoseconds', '77 1795334173.782098001 ', 'realtime', [0, 0]],
    ['time of day', '10:17:14 ', 'realtime', [0, 0]],
    ['time of day with microseconds, descriptor numbers and the instruction', '[pid    77] 10:17:14.290158 [   9] [00007f1229cb2ad7] ', 'realtime', [0, 0]],
    ['relative', '     0.002190 ', 'relative', [2190000, 4380000]],
    ['time of day and relative', '10:17:14 (+     0.001153) ', 'realtime', [0, 0]],
  ])('%s', async (_, prefix, clock, times) => {
    const text = `${prefix}${CALL}\n${prefix}${CALL.replace('7f0000000000', '7f0000002000')} <0.000023>\n`;
    const { events, header, losses } = await run(text);
    expect(events.map(({ op, addr, size }) => [op, addr, size])).toEqual([
      [Op.mmap, 0x7f0000000000, 8192],
      [Op.mmap, 0x7f0000002000, 8192],
    ]);
    expect(events.map(({ pid }) => pid)).toEqual(prefix.includes('77') ? [77, 77] : [1, 1]);
    expect(header.clock).toBe(clock);
    expect(events.map(({ time }) => time)).toEqual(times);
    expect(losses).toEqual([]);
    expect(straceFormat.detect(text, '')).toBe(0.9);
  });

  it('past midnight', async () => {
    const { events } = await run(`7 23:59:59.500000 ${CALL}\n7 00:00:01.000000 ${CALL}\n7 00:00:00.900000 ${CALL}\n`);
    expect(events.map(({ time }) => time)).toEqual([0, 1.5e9, 1.5e9]);
  });

  it('numbers of every kind, and words that are not known', async () => {
    const { events, losses } = await run(
      [
        'mmap(0x7f0000000000, 4*1024, PROT_READ|0x2, MAP_SHARED|MAP_ANONYMOUS|MAP_NEVER_HEARD_OF|21<<MAP_HUGE_SHIFT, -1, 0) = 0x7f0000000000',
        'mmap(NULL, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_STACK|MAP_LOCKED|MAP_NORESERVE|MAP_POPULATE|MAP_FIXED_NOREPLACE, -1, 0) = 0x7f0000001000',
        'mmap(NULL, 0x200000, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB, -1, 0) = 0x7f0000200000',
        'madvise(0x7f0000000000, 4096, MADV_POPULATE_WRITE) = 0',
        'madvise(0x7f0000000000, 4096, 0x16 /* MADV_??? */) = 0',
        'madvise(0x7f0000000000, 4096, MADV_FROM_THE_FUTURE) = 0',
        'madvise(0x7f0000000000, 4096, MADV_FROM_THE_FUTURE) = -1 EINVAL (Invalid argument)',
        'mremap(0x7f0000000000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x7f0000900000) = 0x7f0000900000',
        'mlockall(MCL_CURRENT|MCL_FUTURE) = 0',
        'mlock2(0x7f0000000000, 4096, MLOCK_ONFAULT) = 0',
        'munlockall() = 0',
        'pkey_mprotect(0x7f0000000000, 4096, PROT_EXEC, 1) = 0',
        'prctl(PR_SET_NAME, "a, (b"...) = 0',
        'prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) = 0',
        'munmap(0x7f0000000000, 4096) = ?',
        'read(3, "\\") = 5", 10) = 10',
      ].join('\n'),
    );
    expect(brief(events)).toMatchInlineSnapshot(`
      [
        "1/1 mmap 7f0000000000 4096 0 0 b 0",
        "1/1 mmap 7f0000001000 4096 0 0 3f0 0",
        "1/1 mmap 7f0000200000 2097152 0 0 1 0",
        "1/1 madvise 7f0000000000 4096 0 23 0 0",
        "1/1 madvise 7f0000000000 4096 0 22 0 0",
        "1/1 mremap 7f0000900000 8192 7f0000000000 4096 10 0",
        "1/1 mlock 0 0 0 0 30000 0",
        "1/1 mlock 7f0000000000 4096 0 0 8000 0",
        "1/1 munlock 0 0 0 0 0 0",
        "1/1 mprotect 7f0000000000 4096 0 0 4 0",
      ]
    `);
    expect(losses.map(({ cause, first }) => `${first} ${cause}`)).toMatchInlineSnapshot(`
      [
        "sample:3 hugetlb mapping, imported as small pages",
        "sample:6 argument of a memory call that is not known",
        "sample:14 prctl that the event model cannot express",
      ]
    `);
  });

  it('files by the path of -y or -yy, of opens, of memfd_create; by nothing', async () => {
    const map = (fd: string, at: string): string => `mmap(NULL, 4096, PROT_READ, MAP_SHARED, ${fd}, 0x2000) = 0x7f00${at}000`;
    const { events, losses } = await run(
      [
        map('3</a, (b) = \\303\\251\\76.so>', '00000'),
        map('4</dev/zero<char 1:5>>', '00001'),
        map('5', '00002'),
        'openat(AT_FDCWD, "/lib/c.so", O_RDONLY|O_CLOEXEC) = 5',
        map('5', '00003'),
        'dup2(5, 9) = 9',
        map('9', '00004'),
        'close(5) = 0',
        map('5', '00005'),
        'memfd_create("name", 0) = 6',
        'ftruncate(6, 8192) = 0',
        map('6', '00006'),
        'ftruncate(7</memfd:other (deleted)>, 4096) = 0',
        map('7</memfd:other (deleted)>', '00007'),
        'openat(AT_FDCWD, "/none", O_RDONLY) = -1 ENOENT (No such file or directory)',
      ].join('\n'),
    );
    expect(events.filter(({ op }) => op === Op.object).map(({ arg, size, text }) => [arg, size, text])).toEqual([
      [1, 0, '/a, (b) = é>.so'],
      [2, 0, undefined],
      [3, 0, '/lib/c.so'],
      [4, 0, undefined],
      [5, 8192, '/memfd:name'],
      [6, 4096, '/memfd:other (deleted)'],
    ]);
    expect(events.filter(({ op }) => op === Op.mmap).map(({ arg }) => arg)).toEqual([1, 0, 2, 3, 3, 4, 5, 6]);
    expect(losses.map(({ count }) => count)).toEqual([2]);
  });

  it('an unknown call, an exit, a restart: nothing lost; dirt is', async () => {
    const { losses, events } = await run(
      'getpid() = 7\n--- SIGCHLD {si_signo=SIGCHLD} ---\nwait4(-1, 0x7f, 0, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\nexit_group(3) = ?\nwhat\nbrk(0x1\n<... brk resumed>) = 0x5\n+++ killed by SIGSEGV (core dumped) +++\n+++ stopped +++\n',
    );
    expect(losses.map(({ cause, count, first }) => `${first} ${count} ${cause}`)).toEqual([
      'sample:5 2 line that is not a call, a signal or an exit',
      'sample:6 1 call without an end',
      'sample:7 1 call that is resumed and had not begun',
    ]);
    expect(brief(events)).toEqual(['1/1 exit 0 0 0 139 2000 0']);
  });
});

describe('processes', () => {
  it("a child whose lines come before its parent's call returns", async () => {
    const { events, losses } = await run(
      '7 vfork( <unfinished ...>\n8 execve("/bin/x", ["x"], 0x1 /* 3 vars */) = 0\n7 <... vfork resumed>) = 8\n8 +++ exited with 4 +++\n7 +++ exited with 0 +++\n',
    );
    expect(brief(events)).toEqual(['7/7 vfork 0 0 0 8 1000 0', '8/8 exec 0 0 0 8 0 0 x', '8/8 exit 0 0 0 4 2000 0', '7/7 exit 0 0 0 0 2000 0']);
    expect(losses).toEqual([]);
  });

  it('two parents at once: the children wait until they are named', async () => {
    const clone = 'clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>';
    const text = [
      '7 fork() = 8',
      `7 ${clone}`,
      `8 ${clone}`,
      '10 brk(NULL) = 0x5000',
      '9 brk(NULL) = 0x6000',
      '9 brk(0x7000) = 0x7000',
      '8 <... clone resumed>) = 9',
      '7 <... clone resumed>) = 10',
      '9 brk(0x8000) = 0x8000',
    ];
    const { events, losses } = await run(text.join('\n'));
    expect(brief(events)).toEqual([
      '7/7 fork 0 0 0 8 0 0',
      '8/8 fork 0 0 0 9 0 0',
      '9/9 brk 6000 0 0 0 0 0',
      '9/9 brk 7000 0 0 0 0 0',
      '7/7 fork 0 0 0 10 0 0',
      '10/10 brk 5000 0 0 0 0 0',
      '9/9 brk 8000 0 0 0 0 0',
    ]);
    expect(losses).toEqual([]);
    // Cut off before they are named, they are processes of their own.
    expect(brief((await run(text.slice(0, 6).join('\n'))).events)).toEqual([
      '7/7 fork 0 0 0 8 0 0',
      '10/10 brk 5000 0 0 0 0 0',
      '9/9 brk 6000 0 0 0 0 0',
      '9/9 brk 7000 0 0 0 0 0',
    ]);
  });

  it("clone3 with its flags, in a pid namespace of strace's own", async () => {
    const { events } = await run(
      "7 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[3]}, 88) = 3 /* 70 in strace's PID NS */\n70 brk(NULL) = 0x5000\n",
    );
    expect(brief(events)).toEqual(['7/7 thread 0 0 0 70 1000 0', '7/70 brk 5000 0 0 0 0 0']);
  });

  it('exec by a thread that is not the first', async () => {
    const { events, losses } = await run(
      [
        '7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8',
        '8 execve("/bin/x", ["x"], 0x1 /* 3 vars */ <unfinished ...>',
        '7 +++ superseded by execve in pid 8 +++',
        '7 <... execve resumed>) = 0',
        '7 brk(NULL) = 0x5000',
        '7 +++ exited with 0 +++',
      ].join('\n'),
    );
    expect(brief(events)).toEqual(['7/7 thread 0 0 0 8 1000 0', '7/7 exec 0 0 0 8 0 0 x', '7/7 brk 5000 0 0 0 0 0', '7/7 exit 0 0 0 0 2000 0']);
    expect(losses).toEqual([]);
  });

  it('a munmap in flight comes before the mapping that got its range', async () => {
    const { events } = await run(
      [
        '7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8',
        '7 munmap(0x7f0000000000, 8192 <unfinished ...>',
        '8 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000',
        '7 <... munmap resumed>) = 0',
      ].join('\n'),
    );
    expect(brief(events).slice(1)).toEqual(['7/7 munmap 7f0000000000 8192 0 0 0 0', '7/8 mmap 7f0000001000 4096 0 0 1 0']);
  });

  it("prefixes only while there are several processes, and strace's own words in the middle of a line", async () => {
    const { events, losses } = await run(
      [
        'brk(NULL) = 0x1000',
        'clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 8 attached',
        ', child_tidptr=0x7) = 8',
        '[pid     8] brk(0x2000) = 0x2000',
        '[pid     7] brk(0x3000) = 0x3000',
        '[pid     7] +++ exited with 0 +++',
        'brk(0x4000) = 0x4000',
        '+++ exited with 0 +++',
      ].join('\n'),
    );
    expect(brief(events)).toEqual([
      '1/1 brk 1000 0 0 0 0 0',
      '1/1 fork 0 0 0 8 0 0',
      '8/8 brk 2000 0 0 0 0 0',
      '1/1 brk 3000 0 0 0 0 0',
      '1/1 exit 0 0 0 0 2000 0',
      '8/8 brk 4000 0 0 0 0 0',
      '8/8 exit 0 0 0 0 2000 0',
    ]);
    expect(losses).toEqual([]);
  });
});
