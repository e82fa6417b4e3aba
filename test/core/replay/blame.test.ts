/** Blame by hand: who is named, and which rows are kept. The generated sequences are in fragmentation.oracle.test.ts. */
import { describe, expect, it } from 'vitest';
import { blameOf, makeBlame } from '../../../core/replay/blame.js';
import type { Blame } from '../../../core/replay/result.js';
import { Flag, Op } from '../../../traces/event.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { buildRig } from '../vmm/rig.js';

const MIB = 2 ** 20;
const RW = Flag.r | Flag.w;
const HEAP = 0x555500000000;
const LIBRARY = 0x7f0000000000;
const STACK = 0x7ffc00000000;

function machine(pmm = 'buddy', policy = 'plain') {
  const rig = buildRig({ pmm, policy, memory: 8 * MIB });
  let n = 0;
  const holes = new Uint16Array(4);
  return {
    run: (...events: Fields[]): void => events.forEach((e) => rig.feed(e, n++)),
    blame: (): Blame => blameOf(makeBlame(rig.vmm, holes).take(n)),
    holes,
  };
}

const PROGRAM: Fields[] = [
  { op: Op.exec, pid: 7, text: 'prog' },
  { op: Op.object, arg: 5, size: 3 * 4096, flags: Flag.file, text: '/lib/a.so' },
  { op: Op.mmap, pid: 7, addr: LIBRARY, size: 3 * 4096, arg: 5, flags: RW | Flag.fixed },
  { op: Op.mmap, pid: 7, addr: STACK, size: 8192, flags: RW | Flag.fixed | Flag.growsdown },
  { op: Op.brk, pid: 7, addr: HEAP },
  { op: Op.brk, pid: 7, addr: HEAP + 5 * 4096 },
  { op: Op.read, pid: 7, addr: LIBRARY, size: 1 },
  { op: Op.write, pid: 7, addr: LIBRARY + 4096, size: 1 },
  { op: Op.write, pid: 7, addr: STACK, size: 1 },
  { op: Op.write, pid: 7, addr: HEAP, size: 1 },
  { op: Op.write, pid: 7, addr: HEAP + 4096, size: 1 },
];

describe('blame', () => {
  it('names file, private copy, stack, heap, page tables, slabs, with kind and event', () => {
    const { run, blame } = machine();
    run(...PROGRAM);
    const { rows, broken_blocks, pinned_blocks, free_frames, kinds } = blame();
    // Everything lies in the first of four blocks.
    expect({ broken_blocks, pinned_blocks }).toEqual({ broken_blocks: 1, pinned_blocks: 1 });
    expect(free_frames).toBe(512 - kinds.reduce((sum, kind) => sum + kind.frames, 0));
    const own = rows.filter((row) => row.pid === 7).map((r) => [r.command, r.mapping, r.kind, r.movable, r.frames, r.first_event]);
    expect(own).toEqual(
      expect.arrayContaining([
        ['prog', '[heap]', 'anonymous', true, 2, 9],
        ['prog', '[stack]', 'anonymous', true, 1, 8],
        // Written privately: a copy of the file's page, in the mapping of the file.
        ['prog', '/lib/a.so', 'anonymous', true, 1, 7],
        ['prog', '/lib/a.so', 'file', true, 1, 6],
        // Heap, library and stack lie under PTs and PDs of their own; library and stack share a PML4 entry.
        ['prog', 'page table (PT)', 'table', false, 3, 6],
      ]),
    );
    const kernels = rows.filter((row) => row.pid === null);
    expect(kernels.map(({ mapping, kind, first_event }) => [mapping, kind, first_event])).toEqual(
      expect.arrayContaining([
        ['zero page', 'kernel', -1],
        ['page table (PML4)', 'table', -1],
        // The copied page was first brought to the page cache.
        ['/lib/a.so', 'file', 7],
        ['slab vma', 'kernel', expect.any(Number)],
      ]),
    );
    expect(rows.every(({ blocks, alone }) => blocks === 1 && alone === 0)).toBe(true);
  });

  it('names the page cache when the process has gone, and counts blocks that one holder alone keeps broken', () => {
    const { run, blame } = machine('random');
    run(...PROGRAM, { op: Op.exit, pid: 7, flags: Flag.group });
    const { rows, broken_blocks } = blame();
    expect(rows.find(({ mapping }) => mapping === '/lib/a.so')).toMatchObject({ pid: null, command: '', kind: 'file', frames: 2, first_event: 6 });
    expect(rows.some(({ pid }) => pid !== null)).toBe(false);
    expect(broken_blocks).toBeGreaterThan(1);
  });

  it('knows when the huge page was taken of which a part is left', () => {
    const { run, blame } = machine('buddy', 'linux');
    run(
      { op: Op.mmap, pid: 7, addr: 2 ** 40, size: 2 * MIB, flags: RW | Flag.fixed },
      { op: Op.madvise, pid: 7, addr: 2 ** 40, size: 2 * MIB, arg: 14 },
      { op: Op.write, pid: 7, addr: 2 ** 40, size: 1 },
      { op: Op.munmap, pid: 7, addr: 2 ** 40, size: 4096 },
    );
    expect(blame().rows[0]).toMatchObject({ pid: 7, mapping: '[anonymous]', kind: 'anonymous', blocks: 1, alone: 1, frames: 511, first_event: 2 });
  });

  it('has nothing to say of blocks with holes, of whole ones and of full ones', () => {
    const { run, blame, holes } = machine();
    holes[0] = 1;
    run({ op: Op.page_alloc, addr: 0, arg: 9 });
    expect(blame()).toMatchObject({ broken_blocks: 0, pinned_blocks: 0, free_frames: 0, kinds: [], holders: 0, rows: [] });
    // The first of these lies in the block with a hole, the second breaks a block.
    run({ op: Op.page_alloc, addr: 512, arg: 8 }, { op: Op.page_alloc, addr: 1024, arg: 8 });
    expect(blame()).toMatchObject({ broken_blocks: 1, pinned_blocks: 1, free_frames: 256, holders: 1 });
    expect(blame().rows).toEqual([
      { pid: null, command: '', mapping: 'kernel pages', kind: 'kernel', movable: false, blocks: 1, alone: 1, frames: 256, first_event: 2 },
    ]);
  });

  it('keeps the worst thirty rows and, behind them, up to the tenth that cannot be moved', () => {
    const { run, blame } = machine();
    run(PROGRAM[0]!);
    for (let i = 0; i < 40; i++) {
      run(
        { op: Op.object, arg: 100 + i, size: 8192, flags: Flag.file, text: `/file-${i}` },
        { op: Op.mmap, pid: 7, addr: LIBRARY + i * 65536, size: 8192, arg: 100 + i, flags: Flag.r | Flag.fixed | Flag.populate },
      );
    }
    const { rows, holders } = blame();
    const pinned = rows.filter(({ movable }) => !movable);
    expect(holders).toBeGreaterThan(40);
    expect(rows.slice(0, 30).filter(({ mapping }) => mapping.startsWith('/file-')).length).toBeGreaterThan(25);
    expect(rows.slice(30).every(({ movable }) => !movable)).toBe(true);
    expect(pinned.length).toBe(10);
  });
});
