/** What no program should do and damaged traces say anyway: counted by cause, never a crash, and nothing of it remains. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { heaps } from '../../../core/heap/registry.js';
import { OutOfFrames } from '../../../core/replay/out-of-frames.js';
import { FrameCell } from '../../../core/vmm/frames.js';
import { Reject } from '../../../core/vmm/rejections.js';
import { Flag, Op } from '../../../traces/event.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { buildRig } from '../vmm/rig.js';
import type { Rig } from '../vmm/rig.js';

const RW = Flag.r | Flag.w;
const A = 0x10_0000_0000;
/** 16 pages at A, of which the first is written. */
const MAPPED: readonly Fields[] = [
  { op: Op.mmap, pid: 1, addr: A, size: 16 * 4096, flags: RW },
  { op: Op.write, pid: 1, addr: A, size: 8 },
];

/** Name, events, causes expected (each once unless a number follows). */
const cases: readonly [string, readonly Fields[], Readonly<Record<number, number>>][] = [
  ['exit of an unknown process', [{ op: Op.exit, pid: 9 }], { [Reject.unknownProcess]: 1 }],
  ['munmap by an unknown process', [{ op: Op.munmap, pid: 9, addr: A, size: 4096 }], { [Reject.unknownProcess]: 1 }],
  ['free by an unknown process', [{ op: Op.free, pid: 9, addr: A }], { [Reject.unknownProcess]: 1 }],
  [
    'free of NULL',
    [
      { op: Op.free, pid: 9, addr: 0 },
      { op: Op.free, pid: 1, addr: 0 },
    ],
    {},
  ],
  ['an access by the kernel', [{ op: Op.read, pid: -1, addr: A, size: 1 }], { [Reject.unknownProcess]: 1 }],
  ['an access by a pid of 2^31 - 1', [{ op: Op.read, pid: 2 ** 31 - 1, addr: A, size: 1 }], { [Reject.notMapped]: 1 }],
  ['free of an unknown pointer', [{ op: Op.free, pid: 1, addr: A + 16 }], { [Reject.wildFree]: 1 }],
  [
    'a double free',
    [
      { op: Op.malloc, pid: 1, addr: A + 16, size: 9 },
      { op: Op.free, pid: 1, addr: A + 16 },
      { op: Op.free, pid: 1, addr: A + 16 },
    ],
    { [Reject.wildFree]: 1 },
  ],
  [
    'a block over a live one',
    [
      { op: Op.malloc, pid: 1, addr: A + 16, size: 9 },
      { op: Op.malloc, pid: 1, addr: A + 16, size: 9 },
    ],
    { [Reject.doubleAllocation]: 1 },
  ],
  ['malloc that returned NULL', [{ op: Op.malloc, pid: 1, addr: 0, size: 9 }], {}],
  ['a block of 2^60 bytes', [{ op: Op.malloc, pid: 1, addr: A + 16, size: 2 ** 60 }], { [Reject.badRange]: 1 }],
  [
    'blocks outside the user half',
    [
      { op: Op.malloc, pid: 1, addr: 2 ** 56, size: 9 },
      { op: Op.malloc, pid: 1, addr: -4096, size: 9 },
    ],
    { [Reject.badRange]: 2 },
  ],
  ['overlapping mmaps without fixed', [{ op: Op.mmap, pid: 1, addr: A + 4096, size: 4096, flags: Flag.r }], { [Reject.overlap]: 1 }],
  [
    'mmaps outside the user half',
    [-4096, 2 ** 47, 2 ** 56, -(2 ** 47)].map((addr) => ({ op: Op.mmap, pid: 1, addr, size: 4096, flags: RW })),
    { [Reject.badRange]: 4 },
  ],
  ['mmaps of 0 and 2^60 bytes', [0, 2 ** 60].map((size) => ({ op: Op.mmap, pid: 1, addr: A, size, flags: RW })), { [Reject.badRange]: 2 }],
  ['munmaps of 0 and 2^60 bytes', [0, 2 ** 60].map((size) => ({ op: Op.munmap, pid: 1, addr: A, size })), { [Reject.badRange]: 2 }],
  ['munmap of nothing', [{ op: Op.munmap, pid: 1, addr: 4096, size: 4096 }], {}],
  [
    'mprotect, mlock, munlock and madvise of 2^60 bytes',
    [Op.mprotect, Op.mlock, Op.munlock, Op.madvise].map((op) => ({ op, pid: 1, addr: A, size: 2 ** 60 })),
    { [Reject.badRange]: 4 },
  ],
  ['mprotect and madvise below 0', [Op.mprotect, Op.madvise].map((op) => ({ op, pid: 1, addr: -8192, size: 4096 })), { [Reject.badRange]: 2 }],
  ['unknown advice', [{ op: Op.madvise, pid: 1, addr: A, size: 4096, arg: 4711 }], { [Reject.unsupportedAdvice]: 1 }],
  ['mremap of a hole', [{ op: Op.mremap, pid: 1, addr: A, size: 4096, addr2: 4096, arg: 4096 }], { [Reject.badMremap]: 1 }],
  [
    'mremap to 0, to 2^60 bytes, to the kernel',
    [
      { op: Op.mremap, pid: 1, addr: A, size: 0, addr2: A, arg: 4096 },
      { op: Op.mremap, pid: 1, addr: A, size: 2 ** 60, addr2: A, arg: 4096 },
      { op: Op.mremap, pid: 1, addr: -(2 ** 30), size: 4096, addr2: A, arg: 4096 },
    ],
    { [Reject.badMremap]: 3 },
  ],
  [
    'accesses outside the user half',
    [-1, -4096, 2 ** 47, A + 2 ** 47, A + 2 ** 48, A + 2 ** 56, A - 2 ** 47].map((addr) => ({ op: Op.read, pid: 1, addr, size: 1 })),
    { [Reject.notMapped]: 7 },
  ],
  ['long accesses outside the user half', [-4096, A + 2 ** 48].map((addr) => ({ op: Op.write, pid: 1, addr, size: 8192 })), { [Reject.notMapped]: 2 }],
  ['an access of 2^60 bytes ends at the first page that nothing maps', [{ op: Op.write, pid: 1, addr: A, size: 2 ** 60 }], { [Reject.notMapped]: 1 }],
  ['an access to a hole', [{ op: Op.fetch, pid: 1, addr: 4096, size: 1 }], { [Reject.notMapped]: 1 }],
  [
    'a fetch from and a write to what may only be read',
    [
      { op: Op.mprotect, pid: 1, addr: A, size: 4096, flags: Flag.r },
      { op: Op.write, pid: 1, addr: A, size: 1 },
      { op: Op.fetch, pid: 1, addr: A, size: 1 },
      { op: Op.read, pid: 1, addr: A, size: 1 },
    ],
    { [Reject.protection]: 2 },
  ],
  [
    'accesses to pages without rights, touched before or not',
    [
      { op: Op.mprotect, pid: 1, addr: A, size: 8192, flags: 0 },
      { op: Op.read, pid: 1, addr: A, size: 1 },
      { op: Op.write, pid: 1, addr: A, size: 1 },
      { op: Op.read, pid: 1, addr: A + 4096, size: 1 },
      { op: Op.mprotect, pid: 1, addr: A, size: 8192, flags: RW },
      { op: Op.read, pid: 1, addr: A, size: 1 },
      { op: Op.write, pid: 1, addr: A, size: 1 },
    ],
    { [Reject.protection]: 3 },
  ],
  ['argument pages that nothing maps', [{ op: Op.write, pid: 1, addr: 4096, size: 8192, flags: Flag.args }], { [Reject.notMapped]: 1 }],
  [
    'fork to a live pid, to itself, to the kernel',
    [
      { op: Op.fork, pid: 1, arg: 2 },
      { op: Op.fork, pid: 1, arg: 2 },
      { op: Op.fork, pid: 1, arg: 1 },
      { op: Op.fork, pid: 1, arg: -1 },
    ],
    { [Reject.existingProcess]: 2, [Reject.unknownProcess]: 1 },
  ],
  [
    'exec without fork',
    [
      { op: Op.exec, pid: 5 },
      { op: Op.exec, pid: 1 },
    ],
    {},
  ],
  [
    'brk below its start, below 0, above the user half',
    [
      { op: Op.brk, pid: 1, addr: 2 ** 32 },
      { op: Op.brk, pid: 1, addr: 2 ** 31 },
      { op: Op.brk, pid: 1, addr: -4096 },
      { op: Op.brk, pid: 1, addr: 2 ** 56 },
    ],
    { [Reject.noBreak]: 1, [Reject.badRange]: 2 },
  ],
  [
    'cache events of unknown objects, below 0, of 2^60 bytes',
    [
      { op: Op.cache, arg: 77, size: 4096, flags: Flag.present },
      { op: Op.object, arg: 5, size: 4096, flags: Flag.file },
      { op: Op.cache, arg: 5, size: 4096, addr2: -8192, flags: Flag.absent },
      { op: Op.cache, arg: 5, size: 2 ** 60, flags: Flag.absent },
      { op: Op.cache, arg: 5, size: 4096, addr2: 2 ** 53, flags: Flag.present },
    ],
    { [Reject.unknownObject]: 1, [Reject.badRange]: 3 },
  ],
  ['removal of an unknown object', [{ op: Op.object, arg: 6, flags: Flag.file | Flag.remove }], {}],
  [
    'pages of an object beyond any size, or below 0',
    [
      { op: Op.mmap, pid: 1, addr: A, size: 8192, addr2: 2 ** 62, arg: 7, flags: RW | Flag.fixed },
      { op: Op.mmap, pid: 1, addr: A + 8192, size: 8192, addr2: -(2 ** 30), arg: 7, flags: RW | Flag.shared | Flag.fixed },
      { op: Op.read, pid: 1, addr: A, size: 1 },
      { op: Op.write, pid: 1, addr: A + 8192, size: 1 },
    ],
    { [Reject.beyondObject]: 2 },
  ],
  [
    'a page behind the end of a file',
    [
      { op: Op.object, arg: 8, size: 4097, flags: Flag.file },
      { op: Op.mmap, pid: 1, addr: A, size: 3 * 4096, arg: 8, flags: Flag.r | Flag.fixed },
      { op: Op.read, pid: 1, addr: A + 4096, size: 1 },
      { op: Op.read, pid: 1, addr: A + 8192, size: 1 },
    ],
    { [Reject.beyondObject]: 1 },
  ],
  [
    'share with an unknown process, of a hole, of nothing, to the kernel',
    [
      { op: Op.fork, pid: 1, arg: 2 },
      { op: Op.share, pid: 1, addr: A, size: 4096, arg: 9, flags: RW },
      { op: Op.share, pid: 1, addr: 4096, size: 4096, arg: 2, flags: RW },
      { op: Op.share, pid: 1, addr: A, size: 0, arg: 2, flags: RW },
      { op: Op.share, pid: 1, addr: A, size: 4096, addr2: -8192, arg: 2, flags: RW },
      { op: Op.share, pid: 1, addr: A, size: 2 ** 60, arg: 2, flags: RW },
    ],
    { [Reject.unknownProcess]: 1, [Reject.badRange]: 4 },
  ],
  [
    'kunmap of what is not mapped, kmap of a hole and of the kernel',
    [
      { op: Op.kunmap, pid: 1, addr: A },
      { op: Op.kmap, pid: 1, addr: 4096 },
      { op: Op.kmap, pid: 1, addr: -4096 },
    ],
    { [Reject.kmapWindow]: 1, [Reject.notMapped]: 2 },
  ],
  [
    'kfree and page_free of nothing, kmalloc above 4 MiB, an order of 99',
    [
      { op: Op.kfree, addr: 64 },
      { op: Op.kfree, addr: 0 },
      { op: Op.page_free, addr: 5, arg: 0 },
      { op: Op.kmalloc, addr: 64, size: 2 ** 60 },
      { op: Op.page_alloc, addr: 5, arg: 99 },
    ],
    { [Reject.wildKfree]: 1, [Reject.wildPageFree]: 1, [Reject.outOfMemory]: 2 },
  ],
];

describe('bad input', () => {
  let rig: Rig;
  beforeAll(() => {
    rig = buildRig();
  });
  afterEach(() => {
    rig.vmm.processes.exitAll();
    rig.vmm.settle();
    rig.vmm.audit();
    expect(rig.vmm.machine.frames.cells[FrameCell.used]).toBe(rig.start);
  });

  it.each(cases)('%s', (_name, events, causes) => {
    const { counts } = rig.vmm.machine.rejections;
    MAPPED.forEach((e) => rig.feed(e));
    const before = counts.slice();
    events.forEach((e) => rig.feed(e));
    const found: Record<number, number> = {};
    counts.forEach((n, cause) => {
      if (n !== before[cause]) found[cause] = n - before[cause]!;
    });
    rig.vmm.audit();
    expect(found).toEqual(causes);
  });

  it('a stack over an object does not grow below the object', () => {
    const { feed, vmm } = rig;
    feed({ op: Op.mmap, pid: 1, addr: A, size: 4096, arg: 9, addr2: 4096, flags: RW | Flag.growsdown });
    feed({ op: Op.write, pid: 1, addr: A - 4096, size: 1 });
    expect(vmm.vmaCount(vmm.processes.space[vmm.processes.slotOf(1)]! - 1)).toBe(1);
    const before = vmm.machine.rejections.counts[Reject.notMapped]!;
    feed({ op: Op.write, pid: 1, addr: A - 8192, size: 1 });
    expect(vmm.machine.rejections.counts[Reject.notMapped]).toBe(before + 1);
  });
});

it('a heap that places blocks refuses ranges outside the user half and overlapping blocks', () => {
  for (const heap of heaps.names()) {
    const { vmm, feed } = buildRig({ heap });
    feed({ op: Op.malloc, pid: 1, addr: A, size: 2 ** 60 });
    feed({ op: Op.malloc, pid: 1, addr: -(2 ** 40), size: 16 });
    feed({ op: Op.malloc, pid: 1, addr: 2 ** 56, size: 16 });
    expect(vmm.machine.rejections.counts[Reject.badRange], heap).toBe(3);
    vmm.audit();
  }
});

describe('out of frames', () => {
  /** A parent with one page, then a child that writes more than there is. */
  const FLOOD: readonly Fields[] = [
    { op: Op.mmap, pid: 1, addr: A, size: 4096, flags: RW },
    { op: Op.write, pid: 1, addr: A, size: 1 },
    { op: Op.mmap, pid: 2, addr: A, size: 100 * 4096, flags: RW },
    { op: Op.write, pid: 2, addr: A, size: 100 * 4096 },
  ];
  it('fail: the access is refused, the process lives on', () => {
    const { vmm, feed, start } = buildRig({ memory: 64 * 4096, onOom: 'fail' });
    FLOOD.forEach((e, n) => feed(e, n));
    expect(vmm.machine.frames.pmm.freeFrames()).toBe(0);
    expect(vmm.machine.rejections.list()).toEqual([{ cause: 'out of frames', count: 1, first: 'event 3' }]);
    expect(vmm.processes.cells[3]).toBe(2);
    vmm.audit();
    feed({ op: Op.munmap, pid: 2, addr: A, size: 100 * 4096 });
    feed({ op: Op.write, pid: 1, addr: A, size: 1 });
    vmm.processes.exitAll();
    vmm.settle();
    expect(vmm.machine.frames.cells[FrameCell.used]).toBe(start);
  });
  it('kill: the process that found none is gone with all it had, others live on, it starts empty if it is heard of again', () => {
    const { vmm, feed } = buildRig({ memory: 64 * 4096, onOom: 'kill' });
    FLOOD.forEach((e, n) => feed(e, n));
    const { processes, machine } = vmm;
    expect([processes.cells[3], processes.space[processes.slotOf(1)] !== 0, processes.space[processes.slotOf(2)]]).toEqual([1, true, 0]);
    vmm.audit();
    feed({ op: Op.read, pid: 2, addr: A, size: 1 }, 4);
    expect(machine.rejections.counts[Reject.notMapped]).toBe(1);
    expect(machine.rejections.counts[Reject.outOfMemory]).toBe(1);
  });
  it('stop: the replay ends at that event', () => {
    const { vmm, feed } = buildRig({ memory: 64 * 4096, onOom: 'stop' });
    FLOOD.slice(0, 3).forEach((e, n) => feed(e, n));
    expect(() => feed(FLOOD[3]!, 3)).toThrow(new OutOfFrames(3));
    vmm.audit();
  });
});
