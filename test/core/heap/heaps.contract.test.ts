/** What every process-heap layout must do, against a Map of live blocks a space; generated calls on a small machine. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeapCount, HeapLive } from '../../../core/heap/process-heap.js';
import { heaps } from '../../../core/heap/registry.js';
import { FrameCell } from '../../../core/vmm/frames.js';
import { Reject } from '../../../core/vmm/rejections.js';
import { Flag } from '../../../traces/event.js';
import { buildRig } from '../vmm/rig.js';
import type { Rig } from '../vmm/rig.js';

const SPLIT = 2 ** 30;
/** Recorded blocks lie here; 4 KiB apart or in one run of 96 bytes. */
const BASE = 48 * SPLIT;

interface Block {
  readonly bytes: number;
  readonly align: number;
  /** Where it lies now. */
  readonly at: number;
}
/** Blocks of a space by recorded address. */
type Model = Map<number, Block>;

type Command =
  | { readonly kind: 'allocate'; readonly pid: number; readonly addr: number; readonly bytes: number; readonly align: number }
  | { readonly kind: 'release'; readonly pid: number; readonly addr: number }
  | { readonly kind: 'fork'; readonly pid: number; readonly child: number }
  | { readonly kind: 'exit'; readonly pid: number };

const pid = fc.constantFrom(1, 1, 1, 2, 3);
/** 16-byte aligned places far enough apart that blocks of up to 96 bytes do not overlap, and some of their own for large ones. */
const small = fc.nat(40).map((n) => BASE + n * 96 + 16);
const large = fc.nat(5).map((n) => BASE + SPLIT + n * 2 ** 20 + 16);
const align = fc.constantFrom(16, 16, 16, 32, 64, 4096);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('allocate' as const), pid, addr: small, bytes: fc.nat(96), align }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('allocate' as const),
      pid,
      addr: large,
      bytes: fc.integer({ min: 97, max: 300_000 }),
      align: fc.constantFrom(16, 4096, 65536),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('release' as const), pid, addr: fc.oneof(small, large) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fork' as const), pid, child: pid }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('exit' as const), pid }) },
);

/** As expect().toBe, without its cost: this is asked a hundred thousand times. */
function same<T>(found: T, wanted: T, what: string): void {
  if (found !== wanted) throw new Error(`${what}: ${String(found)}, not ${String(wanted)}`);
}

function parts(address: number): [number, number] {
  const hi = Math.floor(address / SPLIT);
  return [hi, address - hi * SPLIT];
}

/** Runs the commands on the machine and on the model, compares after every one. */
function run({ vmm, start }: Rig, places: boolean, commands: readonly Command[]): void {
  const { heap, processes, machine } = vmm;
  const { counts } = machine.rejections;
  const spaces = new Map<number, Model>();
  const spaceOf = (id: number): number => processes.space[vmm.processOf(id)]! - 1;
  const follow = (s: number, address: number): number => (heap.follow(s, ...parts(address)) === 0 ? -1 : heap.place[0]! * SPLIT + heap.place[1]!);
  const modelOf = (id: number): Model => {
    if (!spaces.has(id)) spaces.set(id, new Map());
    spaceOf(id);
    return spaces.get(id)!;
  };
  let wild = counts[Reject.wildFree]!;
  let twice = counts[Reject.doubleAllocation]!;
  const frees = heap.counts[HeapCount.frees]!;
  let freed = 0;
  let n = 0;

  for (const c of commands) {
    if (c.kind === 'allocate') {
      const blocks = modelOf(c.pid);
      const s = spaceOf(c.pid);
      if (blocks.has(c.addr)) twice++;
      expect(heap.allocate(s, ...parts(c.addr), c.bytes, c.align)).toBe(1);
      const at = heap.place[0]! * SPLIT + heap.place[1]!;
      if (places) expect(at % c.align).toBe(0);
      else expect(at).toBe(c.addr);
      blocks.set(c.addr, { bytes: c.bytes, align: c.align, at });
    } else if (c.kind === 'release') {
      const known = modelOf(c.pid).delete(c.addr);
      if (known) freed++;
      else wild++;
      expect(heap.release(spaceOf(c.pid), ...parts(c.addr))).toBe(known ? 1 : 0);
    } else if (c.kind === 'fork') {
      if (c.child === c.pid || spaces.has(c.child)) continue;
      const blocks = modelOf(c.pid);
      spaceOf(c.pid);
      expect(processes.fork(processes.slotOf(c.pid), c.child, false)).toBeGreaterThanOrEqual(0);
      spaces.set(c.child, new Map(blocks));
    } else if (spaces.delete(c.pid)) processes.exit(processes.slotOf(c.pid), true);

    let live = 0;
    let bytes = 0;
    for (const [id, blocks] of spaces) {
      const s = spaceOf(id);
      const taken: [number, number][] = [];
      for (const [addr, b] of blocks) {
        live++;
        bytes += b.bytes;
        same(heap.blockBytes(s, ...parts(addr)), b.bytes, `bytes of the block at ${addr}`);
        taken.push([b.at, b.at + Math.max(1, b.bytes)]);
        // First, middle and last byte move together.
        for (const k of [0, b.bytes >> 1, Math.max(0, b.bytes - 1)]) same(follow(s, addr + k), b.at + k, `place of byte ${k} of the block at ${addr}`);
        // What a block lies in is mapped, whole.
        for (const end of [b.at, b.at + Math.max(1, b.bytes) - 1])
          same(machine.vmas.find(machine.tree[s]!, Math.floor(end / 4096)) !== 0, true, `mapping of ${end}`);
      }
      taken.sort((a, b) => a[0] - b[0]);
      for (let i = 1; i < taken.length; i++) same(taken[i]![0] >= taken[i - 1]![1], true, `blocks apart at ${taken[i]![0]}`);
    }
    expect([heap.liveBytes[HeapLive.blocks], heap.liveBytes[HeapLive.bytes]]).toEqual([live, bytes]);
    expect([counts[Reject.wildFree], counts[Reject.doubleAllocation], heap.counts[HeapCount.frees]! - frees]).toEqual([wild, twice, freed]);
    if (++n % 8 === 0) heap.validate();
  }
  vmm.audit();
  processes.exitAll();
  vmm.settle();
  expect(heap.liveBytes[HeapLive.blocks]).toBe(0);
  expect(machine.heapPages[0]).toBe(0);
  expect(machine.frames.cells[FrameCell.used]).toBe(start);
}

describe.each([...heaps.names()])('process heap %s', (heap) => {
  it('holds what a Map holds', () => {
    let rig = buildRig({ heap });
    const property = fc.property(fc.array(command, { minLength: 20, maxLength: 120 }), (commands) => {
      try {
        run(rig, rig.vmm.heap.places, commands);
      } catch (error) {
        rig = buildRig({ heap });
        throw error;
      }
    });
    fc.assert(property, { numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? 40), interruptAfterTimeLimit: 50_000, markInterruptAsFailure: true });
  });

  it('peaks stay, steps and calls are counted', () => {
    const { vmm } = buildRig({ heap });
    const s = vmm.processes.space[vmm.processOf(1)]! - 1;
    for (let i = 0; i < 3; i++) vmm.heap.allocate(s, 48, i * 256 + 16, 100, 16);
    for (let i = 0; i < 3; i++) vmm.heap.release(s, 48, i * 256 + 16);
    expect([...vmm.heap.liveBytes.slice(0, 4)]).toEqual([0, 300, 0, 3]);
    expect([vmm.heap.counts[HeapCount.allocations], vmm.heap.counts[HeapCount.frees]]).toEqual([3, 3]);
  });
});

describe('recorded', () => {
  it('maps what no recorded mapping holds, around those that do', () => {
    const { vmm } = buildRig();
    const s = vmm.processes.space[vmm.processOf(1)]! - 1;
    const page = BASE / 4096;
    vmm.mmap(s, BASE + 4096, 4096, Flag.r | Flag.w, 0, 0);
    // Pages 0 to 2: the middle one is mapped.
    expect(vmm.heap.allocate(s, 48, 4000, 5000, 16)).toBe(1);
    expect(vmm.heap.counts[HeapCount.implicitMappings]).toBe(1);
    expect(vmm.machine.vmPages[s]).toBe(3);
    expect([0, 1, 2, 3].map((i) => vmm.machine.vmas.find(vmm.machine.tree[s]!, page + i) !== 0)).toEqual([true, true, true, false]);
    // A block inside them needs none.
    vmm.heap.allocate(s, 48, 16, 100, 16);
    expect(vmm.heap.counts[HeapCount.implicitMappings]).toBe(1);
    vmm.audit();
  });
});

describe('first-fit', () => {
  /** A heap with short words: blocks are named by numbers; places are bytes above the heap's start. */
  function firstFit() {
    const { vmm } = buildRig({ heap: 'first-fit' });
    const { heap } = vmm;
    const s = vmm.processes.space[vmm.processOf(1)]! - 1;
    return {
      vmm,
      s,
      heap,
      take: (block: number, bytes: number): number => {
        expect(heap.allocate(s, 48, block * 4096, bytes, 16)).toBe(1);
        return heap.place[0]! * SPLIT + heap.place[1]! - 2 ** 44;
      },
      give: (block: number): number => heap.release(s, 48, block * 4096),
      steps: () => heap.counts[HeapCount.steps],
    };
  }

  it('Knuth: a chunk is cut from the first that fits, a freed one joins free neighbours on both sides', () => {
    const { vmm, take, give, steps, s } = firstFit();
    // Chunks of 16 bytes of tags and the block, rounded up to 16; a block lies 16 bytes into its chunk.
    expect([take(1, 100), take(2, 100), take(3, 100), take(4, 100)]).toEqual([16, 144, 272, 400]);
    // The heap grew once, by 128 KiB.
    expect(vmm.machine.vmPages[s]).toBe(32);
    give(2);
    // 64 bytes fit into the hole of 128, whose rest of 48 bytes is a chunk of its own.
    expect(take(5, 64)).toBe(144);
    expect(take(6, 32)).toBe(224);
    vmm.heap.validate();
    // Lower neighbour free, then the upper, then the middle one: all of [0, 384) is one chunk again.
    give(1);
    give(3);
    give(5);
    give(6);
    vmm.heap.validate();
    expect(take(7, 368)).toBe(16);
    const before = steps()!;
    // No hole is left but the rest of the heap: one chunk is looked at.
    expect(take(8, 16)).toBe(528);
    expect(steps()).toBe(before + 1);
    vmm.audit();
  });

  it('a rest too small for a chunk stays with the block; alignments are met inside the heap; large blocks are mapped alone', () => {
    const { vmm, take, give, heap, s } = firstFit();
    take(1, 48);
    take(2, 100);
    give(1);
    // A hole of 64 bytes for a chunk of 48: 16 bytes are no chunk, so the whole hole goes.
    expect(take(3, 32)).toBe(16);
    expect(take(4, 16)).toBe(208);
    expect(heap.allocate(s, 48, 5 * 4096, 100, 4096)).toBe(1);
    expect(heap.place[1]! % 4096).toBe(0);
    const pages = vmm.machine.vmPages[s]!;
    expect(take(100, 2 ** 20)).toBe(2 ** 44 + 16);
    expect(vmm.machine.vmPages[s]).toBe(pages + 257);
    give(100);
    expect(vmm.machine.vmPages[s]).toBe(pages);
    for (const align of [65536, 8192, 32]) {
      expect(heap.allocate(s, 48, 2 ** 20, 2 ** 18, align)).toBe(1);
      expect(heap.place[1]! % align).toBe(0);
      expect(vmm.machine.vmPages[s]).toBe(pages + Math.ceil((2 ** 18 + align) / 4096));
      heap.release(s, 48, 2 ** 20);
      expect(vmm.machine.vmPages[s]).toBe(pages);
    }
    vmm.audit();
  });

  it('recorded heap memory does not exist: touches of blocks follow them, touches of headers are left out and counted', () => {
    const { vmm, heap, s } = firstFit();
    vmm.brk(s, BASE);
    vmm.brk(s, BASE + 65536);
    expect(vmm.machine.vmPages[s]).toBe(0);
    vmm.mmap(s, BASE + SPLIT, 4 * 4096, Flag.r | Flag.w, 0, 0);
    heap.allocate(s, 48, 16, 100, 16);
    heap.allocate(s, 49, 16, 100, 16);
    // The page of the second block went from its recorded mapping; the three others stay.
    expect(vmm.machine.vmPages[s]).toBe(32 + 3);
    expect([heap.follow(s, 48, 115), heap.place[0], heap.place[1]]).toEqual([1, 16384, 115]);
    expect(heap.follow(s, 48, 8)).toBe(0);
    expect(heap.follow(s, 49, 8)).toBe(0);
    expect(heap.counts[HeapCount.skippedTouches]).toBe(2);
    expect([heap.follow(s, 49, 4096), heap.place[0], heap.place[1]]).toEqual([1, 49, 4096]);
    expect(heap.counts[HeapCount.leftOutMappings]).toBe(2);
    vmm.audit();
  });
});
