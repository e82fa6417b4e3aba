/**
 * The linux policy on generated events, with all of its rules and without each of them: the audit, which recomputes everything from tables, VMAs and objects,
 * must hold after what was refused and at the end, and when everything has gone nothing may be left.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heaps } from '../../../core/heap/registry.js';
import { pmms } from '../../../core/pmm/registry.js';
import { FrameCell } from '../../../core/vmm/frames.js';
import { policies } from '../../../core/vmm/policies.js';
import { Reject } from '../../../core/vmm/rejections.js';
import { Flag, Op } from '../../../traces/event.js';
import { anyEvent } from '../../oracle/vmm-events.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { buildRig } from './rig.js';
import type { Rig, RigOptions } from './rig.js';

/** Around a GiB border, so that slots of 2 MiB, PDs and PDPTs are met. */
const BIG = 0x7fc0000000 / 4096 - 1024;
const STEP = 128;
const pid = fc.constantFrom(1, 1, 1, 2, 3);
const place = fc.nat(15).map((n) => (BIG + n * STEP) * 4096);
const bytes = fc.oneof(
  fc.integer({ min: 1, max: 16 }).map((n) => n * STEP * 4096),
  fc.integer({ min: 1, max: 700 }).map((n) => n * 4096),
);

/** Large anonymous mappings and what may be done to them. */
const largeEvent: fc.Arbitrary<Fields> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant(Op.mmap),
      pid,
      addr: place,
      size: bytes,
      flags: fc
        .constantFrom(0, 0, 0, Flag.stack, Flag.noreserve, Flag.shared, Flag.vvar, Flag.vdso)
        .map((f) => f | Flag.r | (f === Flag.vvar || f === Flag.vdso ? 0 : Flag.w) | Flag.fixed),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant(Op.madvise),
      pid,
      addr: place,
      size: bytes,
      arg: fc.constantFrom(14, 14, 14, 15, 4, 4, 23, 22, 10, 11, 18, 19, 0, 1, 2),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constantFrom(Op.write, Op.write, Op.read),
      pid,
      addr: place.chain((a) => fc.nat(STEP * 4096 - 9).map((n) => a + n)),
      size: fc.constant(1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant(Op.munmap), pid, addr: place, size: bytes }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant(Op.mprotect), pid, addr: place, size: bytes, flags: fc.constantFrom(0, Flag.r, Flag.r | Flag.w) }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant(Op.mremap), pid, addr: place, size: bytes, addr2: place, arg: bytes, flags: fc.constantFrom(0, 0, Flag.dontunmap) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant(Op.mlock), pid, addr: place, size: bytes, flags: fc.constantFrom(0, Flag.onfault) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant(Op.fork), pid, arg: pid }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant(Op.share), pid, addr: place, size: bytes, addr2: fc.constant(0), arg: pid, flags: fc.constant(Flag.r | Flag.w) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant(Op.write), pid, addr: place, size: fc.constant(9000), flags: fc.constant(Flag.args) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom(Op.exec, Op.exit), pid, flags: fc.constant(Flag.group) }) },
);
const event = fc.oneof(largeEvent, largeEvent, anyEvent);

function leave({ vmm, feed, start }: Rig, mapped: Iterable<string>): void {
  for (const key of mapped) feed({ op: Op.kunmap, pid: Number(key.split(':')[0]), addr: Number(key.split(':')[1]) });
  for (let n = 0; n < 10; n++) feed({ op: Op.kfree, addr: n * 64 });
  for (let n = 0; n < 24; n++) feed({ op: Op.page_free, addr: n >> 2, arg: n & 3 });
  vmm.audit();
  vmm.processes.exitAll();
  vmm.settle();
  vmm.audit();
  expect(vmm.machine.frames.cells[FrameCell.used], 'frames after everything went').toBe(start);
}

function holds(options: RigOptions, runs: number): void {
  let rig = buildRig(options);
  const property = fc.property(fc.array(event, { minLength: 40, maxLength: 160 }), (events) => {
    try {
      const mapped = new Set<string>();
      events.forEach((e, n) => {
        const { counts } = rig.vmm.machine.rejections;
        const before = counts[Reject.outOfMemory];
        rig.feed(e, n);
        if (e.op === Op.kmap) mapped.add(`${e.pid}:${e.addr}`);
        if (counts[Reject.outOfMemory] !== before || n % 20 === 19) rig.vmm.audit();
      });
      leave(rig, mapped);
    } catch (error) {
      rig = buildRig(options);
      throw error;
    }
  });
  fc.assert(property, { numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? runs), interruptAfterTimeLimit: 50_000, markInterruptAsFailure: true });
}

describe('the linux policy keeps its books', () => {
  it.each([...pmms.names()])('on %s', (pmm) => holds({ policy: 'linux', pmm, memory: 48 * 2 ** 20 }, 20), 60_000);
  it.each([...pmms.names()])('on %s when frames run out', (pmm) => holds({ policy: 'linux', pmm, memory: 3 * 2 ** 20 }, 20), 60_000);
  it.each([...heaps.names()])('with heap %s', (heap) => holds({ policy: 'linux', heap, memory: 6 * 2 ** 20 }, 20), 60_000);
  it.each(policies.get('linux').rules.map((rule) => rule.name))(
    'without %s',
    (rule) => holds({ policy: 'linux', without: [rule], memory: 12 * 2 ** 20 }, 6),
    60_000,
  );
});
