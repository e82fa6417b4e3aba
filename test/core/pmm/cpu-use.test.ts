/** Several CPUs in front of a strategy: the strategy answers as it would alone, and what is counted is what a list of all operations says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { CpuCount, watchCpus } from '../../../core/pmm/cpu-use.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { pcpTwin } from '../../oracle/pmm-models-pcp.js';

const CPUS = 3;
const MAP = memoryMapFromSize(4 * 2 ** 20);

interface Operation {
  readonly cpu: number;
  /** Order of a request, or which of the held blocks goes back. */
  readonly order: number;
  readonly pick: number | null;
}

const operation: fc.Arbitrary<Operation> = fc.record({
  cpu: fc.nat(CPUS - 1),
  order: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(10) }),
  pick: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 2, arbitrary: fc.nat() }),
});

/** What was asked and answered: the CPU, the frame, the order. */
interface Done {
  readonly what: 'take' | 'give' | 'fail';
  readonly cpu: number;
  readonly frame: number;
  readonly order: number;
  /** Uses of shared state that the operation made. */
  readonly uses: number;
}

/** Runs the operations on a strategy; `uses` reads its count of shared uses. */
function played(pmm: FrameAllocator, operations: readonly Operation[], uses: () => number): Done[] {
  const held: { frame: number; order: number }[] = [];
  return operations.map(({ cpu, order, pick }): Done => {
    const before = uses();
    if (pick !== null && held.length > 0) {
      const [block] = held.splice(pick % held.length, 1);
      if (block === undefined) throw new Error('no such block');
      if (pmm.free(block.frame, block.order, cpu) !== 0) throw new Error(`block ${block.frame} was refused`);
      return { what: 'give', cpu, ...block, uses: uses() - before };
    }
    const asked = Math.min(order, pmm.maxOrder);
    const frame = pmm.allocate(asked, 1, cpu, -1, 0);
    if (frame >= 0) held.push({ frame, order: asked });
    return { what: frame >= 0 ? 'take' : 'fail', cpu, frame, order: asked, uses: uses() - before };
  });
}

/** The counts that a list of operations amounts to. */
function counted(list: readonly Done[]): number[][] {
  const rows = Array.from({ length: CPUS }, () => new Array<number>(CpuCount.length).fill(0));
  const takers = new Map<number, number>();
  let last = 0;
  for (const { what, cpu, frame, uses } of list) {
    const row = rows[cpu] ?? [];
    const add = (count: CpuCount, n = 1): void => void (row[count] = (row[count] ?? 0) + n);
    if (what === 'take') {
      add(CpuCount.allocations);
      takers.set(frame, cpu);
    } else if (what === 'give') {
      add(CpuCount.frees);
      if (takers.get(frame) !== cpu) add(CpuCount.remoteFrees);
    }
    add(CpuCount.sharedUses, uses);
    if (uses > 0 && cpu !== last) add(CpuCount.handOvers);
    if (uses > 0) last = cpu;
  }
  return rows;
}

describe.each(pmms.names())('%s on three CPUs', (name) => {
  it('answers as it would alone, and is counted', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
        const alone = pmms.get(name).create({ map: MAP, cpus: CPUS, seed: 1 });
        let calls = 0;
        const uses = alone.sharedUses === undefined ? () => calls : alone.sharedUses;
        // Without a count of its own, a strategy takes the one lock with every call.
        const counting = { ...alone, allocate: (...a: Parameters<FrameAllocator['allocate']>) => (calls++, alone.allocate(...a)) };
        const freeing = { ...counting, free: (...a: Parameters<FrameAllocator['free']>) => (calls++, alone.free(...a)) };
        const expected = played(freeing, operations, uses);

        const { pmm, counts } = watchCpus(pmms.get(name).create({ map: MAP, cpus: CPUS, seed: 1 }), MAP.frames, CPUS);
        const real = played(pmm, operations, () => 0);
        expect(real.map(({ frame }) => frame)).toEqual(expected.map(({ frame }) => frame));
        expect(Array.from({ length: CPUS }, (_, cpu) => [...counts.slice(cpu * CpuCount.length, (cpu + 1) * CpuCount.length)])).toEqual(counted(expected));
        expect(pmm.freeFrames()).toBe(alone.freeFrames());
        expect(pmm.steps()).toBe(alone.steps());
        pmm.validate();
      }),
      { seed: 77, numRuns: 25 },
    );
  });
});

describe('uses of what all CPUs share', () => {
  it('are every call where there is one lock, and a call now and then with lists per CPU', () => {
    // Four of llfree's trees.
    const map = memoryMapFromSize(64 * 2 ** 20);
    const uses = (name: string): number => {
      const { pmm, counts } = watchCpus(pmms.get(name).create({ map, cpus: 2, seed: 1 }), map.frames, 2);
      for (let round = 0; round < 100; round++)
        for (const cpu of [0, 1]) {
          const frame = pmm.allocate(0, 1, cpu, -1, 0);
          pmm.free(frame, 0, cpu);
        }
      return counts[CpuCount.sharedUses]! + counts[CpuCount.length + CpuCount.sharedUses]!;
    };
    expect(uses('buddy')).toBe(400);
    expect(uses('bitmap')).toBe(400);
    // A batch is brought to each CPU once.
    expect(uses('buddy-pcp')).toBe(2);
    // A tree is reserved by each CPU once.
    expect(uses('llfree')).toBe(2);
  });

  it('change hands when another CPU made the last one', () => {
    const { pmm, counts } = watchCpus(pmms.get('buddy').create({ map: MAP, cpus: 2, seed: 1 }), MAP.frames, 2);
    const a = pmm.allocate(0, 1, 0, -1, 0);
    const b = pmm.allocate(0, 1, 1, -1, 0);
    pmm.free(b, 0, 1);
    pmm.free(a, 0, 1);
    pmm.free(a, 0, 0); // refused, under the lock all the same
    //                      allocations, frees, remote frees, shared uses, hand-overs
    expect([...counts]).toEqual([1, 0, 0, 2, 1, 1, 2, 1, 3, 1]);
  });

  it('of buddy-pcp are those that its twin makes', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
        const pmm = pmms.get('buddy-pcp').create({ map: MAP, cpus: CPUS, seed: 1 });
        const uses = pmm.sharedUses;
        if (uses === undefined) throw new Error('buddy-pcp does not count its locks');
        const real = played(pmm, operations, uses);
        const twin = pcpTwin(MAP, CPUS);
        for (const { what, cpu, frame, order, uses: made } of real) {
          const before = twin.locks();
          if (what === 'give') twin.free(frame, order, cpu);
          else expect(twin.allocate(order, 1, cpu, -1, 0)).toBe(frame);
          expect(made).toBe(twin.locks() - before);
        }
      }),
      { seed: 78, numRuns: 40 },
    );
  });
});
