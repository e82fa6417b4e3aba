/** Small programs whose counts are worked out by hand, on the default machine (buddy, blocks as recorded, kernel heap on). */
import { describe, expect, it } from 'vitest';
import { FrameCell, Use } from '../../../core/vmm/frames.js';
import { VmmCounter } from '../../../core/vmm/machine.js';
import { Flag, Op } from '../../../traces/event.js';
import { buildRig } from './rig.js';

const RW = Flag.r | Flag.w;
const GIB = 2 ** 30;
/** Starts a GiB, so that a mapping of up to a GiB lies under one PD. */
const A = 64 * GIB;

/** A machine and short words for what is counted on it. */
function machine(memory = 64 * 2 ** 20) {
  const rig = buildRig({ memory });
  const { vmm, feed } = rig;
  const { counters, frames, tables, rss } = vmm.machine;
  const spaceOf = (pid: number): number => vmm.processes.space[vmm.processes.slotOf(pid)]! - 1;
  return {
    ...rig,
    run: (...events: Parameters<typeof feed>[0][]): void => events.forEach((e) => feed(e)),
    counts: () => ({
      minor: counters[VmmCounter.minorFaults],
      breaks: counters[VmmCounter.cowBreaks],
      copies: counters[VmmCounter.copiedFrames],
      reuses: counters[VmmCounter.reuses],
      zero: counters[VmmCounter.zeroMaps],
    }),
    frames: () => ({
      anonymous: frames.cells[FrameCell.byUse + Use.anonymous],
      file: frames.cells[FrameCell.byUse + Use.file],
      shared: frames.cells[FrameCell.byUse + Use.shared],
    }),
    kernelFrames: () => frames.cells[FrameCell.byUse + Use.kernel]!,
    movableFrames: () => frames.cells[FrameCell.byUse + Use.movable]!,
    /** PT, PD, PDPT, PML4 of a process. */
    tablesOf: (pid: number) => [1, 2, 3, 4].map((level) => tables.spaceTables[spaceOf(pid) * 8 + level]),
    /** Resident anonymous, file and shared pages. */
    rssOf: (pid: number) => [1, 2, 3].map((use) => rss[spaceOf(pid) * 8 + use]),
    pagesOf: (pid: number) => vmm.machine.vmPages[spaceOf(pid)],
  };
}
const NONE = { minor: 0, breaks: 0, copies: 0, reuses: 0, zero: 0 };

describe('worked examples', () => {
  it('1 GiB touched every 2 MiB: 512 pages need 512 PTs, and munmap gives all of it back', () => {
    const { run, counts, frames, tablesOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: GIB, flags: RW });
    expect(tablesOf(1)).toEqual([0, 0, 0, 1]);
    for (let i = 0; i < 512; i++) run({ op: Op.write, pid: 1, addr: A + i * 2 ** 21, size: 8 });
    expect(counts()).toEqual({ ...NONE, minor: 512 });
    expect(frames()).toEqual({ anonymous: 512, file: 0, shared: 0 });
    expect(tablesOf(1)).toEqual([512, 1, 1, 1]);
    run({ op: Op.munmap, pid: 1, addr: A, size: GIB });
    expect(frames()).toEqual({ anonymous: 0, file: 0, shared: 0 });
    expect(tablesOf(1)).toEqual([0, 0, 0, 1]);
    vmm.audit();
  });

  it('fork and 4096 pages written in the child: 4096 breaks, then the parent writes its own again without a copy', () => {
    const { run, counts, frames, tablesOf, vmm } = machine();
    const all = { addr: A, size: 4096 * 4096 };
    run({ op: Op.mmap, pid: 1, ...all, flags: RW }, { op: Op.write, pid: 1, ...all });
    expect(counts()).toEqual({ ...NONE, minor: 4096 });
    run({ op: Op.fork, pid: 1, arg: 2 });
    expect(frames().anonymous).toBe(4096);
    expect(tablesOf(2)).toEqual([8, 1, 1, 1]);
    run({ op: Op.write, pid: 2, ...all });
    expect(counts()).toEqual({ ...NONE, minor: 8192, breaks: 4096, copies: 4096 });
    expect(frames().anonymous).toBe(8192);
    run({ op: Op.write, pid: 1, ...all });
    expect(counts()).toEqual({ ...NONE, minor: 12288, breaks: 4096, copies: 4096, reuses: 4096 });
    run({ op: Op.exit, pid: 2 });
    expect(frames().anonymous).toBe(4096);
    vmm.audit();
  });

  it('a read of anonymous memory maps the zero page, a write breaks it without copying', () => {
    const { run, counts, frames, rssOf, tablesOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 8192, flags: RW }, { op: Op.read, pid: 1, addr: A, size: 8192 });
    expect(counts()).toEqual({ ...NONE, minor: 2, zero: 2 });
    expect([frames().anonymous, rssOf(1), tablesOf(1)]).toEqual([0, [0, 0, 0], [1, 1, 1, 1]]);
    run({ op: Op.write, pid: 1, addr: A, size: 1 });
    expect(counts()).toEqual({ ...NONE, minor: 3, zero: 2, breaks: 1 });
    expect([frames().anonymous, rssOf(1)]).toEqual([1, [1, 0, 0]]);
    vmm.audit();
  });

  it('a private file page: read from the page cache, copied when written; a first write copies at once', () => {
    const { run, counts, frames, rssOf, vmm } = machine();
    run(
      { op: Op.object, arg: 5, size: 3 * 4096, flags: Flag.file },
      { op: Op.mmap, pid: 1, addr: A, size: 3 * 4096, arg: 5, flags: RW },
      { op: Op.read, pid: 1, addr: A, size: 1 },
    );
    expect([counts(), frames(), rssOf(1)]).toEqual([{ ...NONE, minor: 1 }, { anonymous: 0, file: 1, shared: 0 }, [0, 1, 0]]);
    run({ op: Op.write, pid: 1, addr: A, size: 1 });
    expect([counts(), frames(), rssOf(1)]).toEqual([{ ...NONE, minor: 2, breaks: 1, copies: 1 }, { anonymous: 1, file: 1, shared: 0 }, [1, 0, 0]]);
    run({ op: Op.write, pid: 1, addr: A + 4096, size: 1 });
    expect([counts(), frames(), rssOf(1)]).toEqual([{ ...NONE, minor: 3, breaks: 1, copies: 2 }, { anonymous: 2, file: 2, shared: 0 }, [2, 0, 0]]);
    run({ op: Op.exit, pid: 1 });
    expect(frames()).toEqual({ anonymous: 0, file: 2, shared: 0 });
    vmm.settle();
    expect(frames()).toEqual({ anonymous: 0, file: 0, shared: 0 });
  });

  it('shared anonymous memory across fork: one frame for both, nothing is copied', () => {
    const { run, counts, frames, rssOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 8192, flags: RW | Flag.shared }, { op: Op.write, pid: 1, addr: A, size: 1 }, { op: Op.fork, pid: 1, arg: 2 });
    run({ op: Op.write, pid: 2, addr: A, size: 1 }, { op: Op.write, pid: 1, addr: A, size: 1 }, { op: Op.write, pid: 2, addr: A + 4096, size: 1 });
    run({ op: Op.write, pid: 1, addr: A + 4096, size: 1 });
    expect(counts()).toEqual({ ...NONE, minor: 3 });
    expect([frames(), rssOf(1), rssOf(2)]).toEqual([{ anonymous: 0, file: 0, shared: 2 }, [0, 0, 2], [0, 0, 2]]);
    run({ op: Op.exit, pid: 1 });
    expect(frames().shared).toBe(2);
    run({ op: Op.exit, pid: 2 });
    expect(frames().shared).toBe(0);
    vmm.audit();
  });

  it('a stack grows down to the page touched, up to 8 MiB', () => {
    const { run, counts, pagesOf, vmm } = machine();
    const top = A + 2 ** 24;
    run({ op: Op.mmap, pid: 1, addr: top - 8192, size: 8192, flags: RW | Flag.growsdown | Flag.stack });
    run({ op: Op.write, pid: 1, addr: top - 5 * 4096, size: 1 });
    expect([counts().minor, pagesOf(1)]).toEqual([1, 5]);
    run({ op: Op.write, pid: 1, addr: top - 2048 * 4096, size: 1 });
    expect([counts().minor, pagesOf(1)]).toEqual([2, 2048]);
    run({ op: Op.write, pid: 1, addr: top - 2049 * 4096, size: 1 });
    expect([counts().minor, pagesOf(1)]).toEqual([2, 2048]);
    expect(vmm.machine.counters[VmmCounter.stackGrowths]).toBe(2);
  });

  it('vfork shares the space until the child execs', () => {
    const { run, counts, frames, pagesOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 8192, flags: RW }, { op: Op.write, pid: 1, addr: A, size: 1 });
    run({ op: Op.vfork, pid: 1, arg: 2, flags: Flag.vm }, { op: Op.write, pid: 2, addr: A, size: 1 }, { op: Op.write, pid: 2, addr: A + 4096, size: 1 });
    run({ op: Op.write, pid: 1, addr: A + 4096, size: 1 });
    expect([counts(), frames().anonymous, vmm.processes.cells[5]]).toEqual([{ ...NONE, minor: 2 }, 2, 1]);
    run({ op: Op.exec, pid: 2 });
    expect([pagesOf(1), pagesOf(2), frames().anonymous, vmm.processes.cells[5]]).toEqual([2, 0, 2, 2]);
    run({ op: Op.exit, pid: 2 }, { op: Op.write, pid: 1, addr: A, size: 1 });
    expect(counts()).toEqual({ ...NONE, minor: 2 });
    vmm.audit();
  });

  it('share: a written page moves into the shared object, a page that a fork shares is copied first, untouched pages appear on demand', () => {
    const { run, counts, frames, rssOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 3 * 4096, flags: RW }, { op: Op.write, pid: 1, addr: A, size: 8192 });
    run({ op: Op.fork, pid: 1, arg: 3 }, { op: Op.write, pid: 1, addr: A, size: 1 });
    expect([counts(), frames().anonymous]).toEqual([{ ...NONE, minor: 3, breaks: 1, copies: 1 }, 3]);
    // The other process maps something of its own, so that it is alive.
    run({ op: Op.mmap, pid: 2, addr: A + GIB, size: 4096, flags: RW });
    run({ op: Op.share, pid: 1, addr: A, size: 3 * 4096, addr2: A, arg: 2, flags: RW });
    expect([counts().copies, frames(), rssOf(1), rssOf(2)]).toEqual([2, { anonymous: 2, file: 0, shared: 2 }, [0, 0, 2], [0, 0, 0]]);
    run({ op: Op.write, pid: 2, addr: A, size: 3 * 4096 });
    expect([frames(), rssOf(2)]).toEqual([{ anonymous: 2, file: 0, shared: 3 }, [0, 0, 3]]);
    run({ op: Op.write, pid: 1, addr: A, size: 3 * 4096 }, { op: Op.write, pid: 3, addr: A, size: 8192 });
    expect([counts().copies, frames(), rssOf(1), rssOf(3)]).toEqual([2, { anonymous: 2, file: 0, shared: 3 }, [0, 0, 3], [2, 0, 0]]);
    vmm.audit();
    run({ op: Op.exit, pid: 1 }, { op: Op.exit, pid: 3 });
    expect(frames()).toEqual({ anonymous: 0, file: 0, shared: 3 });
    run({ op: Op.exit, pid: 2 });
    expect(frames().shared).toBe(0);
    vmm.audit();
  });

  it('mremap that keeps the old mapping, right above it: the pages move, both are one mapping then', () => {
    const { run, counts, pagesOf, rssOf, vmm } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 8192, flags: RW }, { op: Op.write, pid: 1, addr: A, size: 8192 });
    run({ op: Op.mremap, pid: 1, addr: A + 8192, size: 8192, addr2: A, arg: 8192, flags: Flag.dontunmap });
    expect([counts().minor, pagesOf(1), rssOf(1), vmm.vmaCount(vmm.processes.space[vmm.processes.slotOf(1)]! - 1)]).toEqual([2, 4, [2, 0, 0], 1]);
    run({ op: Op.write, pid: 1, addr: A + 8192, size: 8192 });
    expect(counts().minor).toBe(2);
    run({ op: Op.write, pid: 1, addr: A, size: 8192 });
    expect([counts().minor, rssOf(1)]).toEqual([4, [4, 0, 0]]);
    vmm.audit();
  });

  it('kmap keeps its page until kunmap, even when the process is gone', () => {
    const { run, frames, vmm, start } = machine();
    run({ op: Op.mmap, pid: 1, addr: A, size: 4096, flags: RW }, { op: Op.write, pid: 1, addr: A, size: 1 });
    const kmaps = vmm.machine.counters[VmmCounter.kmaps]!;
    run({ op: Op.kmap, pid: 1, addr: A });
    expect(vmm.machine.counters[VmmCounter.kmaps]).toBe(kmaps + 1);
    expect(vmm.kmap.state[1]).toBe(1);
    run({ op: Op.exit, pid: 1 });
    vmm.audit();
    expect(frames().anonymous).toBe(1);
    run({ op: Op.kunmap, pid: 1, addr: A });
    expect([frames().anonymous, vmm.kmap.state[1]]).toEqual([0, 0]);
    vmm.settle();
    expect(vmm.machine.frames.cells[FrameCell.used]).toBe(start);
  });

  it('page_alloc takes a block of 2^order frames, for the kernel or movable, page_free gives it back', () => {
    const { run, kernelFrames, movableFrames, vmm } = machine();
    const before = kernelFrames();
    run({ op: Op.page_alloc, addr: 100, arg: 3, flags: Flag.unmovable }, { op: Op.page_alloc, addr: 7, arg: 0, flags: Flag.movable });
    expect([kernelFrames() - before, movableFrames()]).toEqual([8, 1]);
    run({ op: Op.page_free, addr: 100, arg: 3 });
    expect([kernelFrames() - before, movableFrames()]).toEqual([0, 1]);
    run({ op: Op.page_free, addr: 7, arg: 0 });
    expect([kernelFrames() - before, movableFrames()]).toEqual([0, 0]);
    vmm.audit();
  });

  it('kmalloc: 9 blocks of 500 bytes need two slabs of a frame, 10000 bytes three frames; kfree and reaping give them back', () => {
    const { run, kernelFrames, vmm } = machine();
    const before = kernelFrames();
    for (let i = 1; i <= 8; i++) run({ op: Op.kmalloc, addr: -i * 512, size: 500 });
    expect(kernelFrames()).toBe(before + 1);
    run({ op: Op.kmalloc, addr: -4608, size: 500 });
    expect(kernelFrames()).toBe(before + 2);
    run({ op: Op.kmalloc, addr: -65536, size: 10000 });
    expect(kernelFrames()).toBe(before + 5);
    for (let i = 1; i <= 9; i++) run({ op: Op.kfree, addr: -i * 512 });
    run({ op: Op.kfree, addr: -65536 });
    vmm.settle();
    expect(kernelFrames()).toBe(before);
    vmm.audit();
  });
});
