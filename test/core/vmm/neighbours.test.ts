/** The wishes that user pages carry to strategies which place by mapping, and what those make of them. */
import { describe, expect, it } from 'vitest';
import { nearOfMapping } from '../../../core/pmm/near.js';
import { Flag, Op } from '../../../traces/event.js';
import { buildRig, type Rig } from './rig.js';

const MIB = 2 ** 20;
const BASE = 0x7f00_0000_0000;
const rw = Flag.r | Flag.w;

function prepared(pmm: string, bytes = 16 * MIB): Rig {
  const rig = buildRig({ pmm, memory: 64 * MIB });
  rig.feed({ op: Op.mmap, addr: BASE, size: bytes, flags: rw });
  return rig;
}
const touch = (rig: Rig, page: number, pid = 1): void => rig.feed({ op: Op.write, pid, addr: BASE + page * 4096, size: 8 });

const spaceOf = ({ vmm }: Rig, pid: number): number => vmm.processes.space[vmm.processes.slotOf(pid)]! - 1;

/** Frame of a page of the mapping. */
function frameOf(rig: Rig, page: number, pid = 1): number {
  return rig.vmm.machine.tables.vgetmapping(spaceOf(rig, pid), BASE + page * 4096) / 4096;
}
function nearOf(rig: Rig, page: number): number {
  const addr = BASE + page * 4096;
  const hi = Math.floor(addr / 2 ** 30);
  return rig.vmm.machine.neighbours.nearOf(spaceOf(rig, 1), hi, addr - hi * 2 ** 30, 1);
}

describe('wishes of user pages', () => {
  it('are not worked out for strategies that heed none', () => {
    expect(prepared('buddy').vmm.machine.neighbours.wished).toBe(false);
    expect(prepared('reservations').vmm.machine.neighbours.wished).toBe(true);
  });

  it('within 2 MiB: the nearest page, at its distance; elsewhere the place in the mapping', () => {
    const rig = prepared('reservations');
    const pages = (16 * MIB) / 4096;
    expect(nearOf(rig, 700)).toBe(nearOfMapping(700, 700, pages));
    touch(rig, 700);
    const frame = frameOf(rig, 700);
    expect(frame % 512).toBe(700 % 512);
    expect([nearOf(rig, 512), nearOf(rig, 701), nearOf(rig, 1023)]).toEqual([frame - 188, frame + 1, frame + 323]);
    // The next 2 MiB know nothing of it.
    expect(nearOf(rig, 1024)).toBe(nearOfMapping(1024, 1024, pages));
    for (const page of [1023, 512, 900, 701]) touch(rig, page);
    for (const page of [1023, 512, 900, 701]) expect(frameOf(rig, page)).toBe(frame + page - 700);
    rig.vmm.machine.frames.pmm.validate();
  });

  it('in the whole mapping: pages far apart keep one offset', () => {
    const rig = prepared('ca-paging');
    touch(rig, 3);
    const offset = frameOf(rig, 3) - 3;
    for (const page of [2000, 5, 4000, 1, 3999]) {
      touch(rig, page);
      expect(frameOf(rig, page) - page, `page ${page}`).toBe(offset);
    }
  });

  it('do not follow frames that a fork made common', () => {
    const rig = prepared('ca-paging', 4 * MIB);
    for (let page = 0; page < 10; page++) touch(rig, page);
    const parent = frameOf(rig, 0);
    rig.feed({ op: Op.fork, pid: 1, arg: 2 });
    touch(rig, 4, 2);
    touch(rig, 5, 2);
    const child = frameOf(rig, 4, 2);
    // A place of its own for the child's copies, at one offset again.
    expect(Math.abs(child - parent)).toBeGreaterThan(512);
    expect(frameOf(rig, 5, 2)).toBe(child + 1);
    expect(frameOf(rig, 4)).toBe(parent + 4);
  });

  it('give a mapping one run with eager paging, in whatever order it is touched', () => {
    const rig = prepared('eager');
    for (const page of [17, 4000, 1, 2222, 0, 4095]) touch(rig, page);
    const first = frameOf(rig, 0);
    for (const page of [17, 4000, 1, 2222, 4095]) expect(frameOf(rig, page)).toBe(first + page);
    rig.feed({ op: Op.munmap, addr: BASE, size: 16 * MIB });
    rig.vmm.machine.frames.pmm.validate();
    expect(rig.vmm.machine.frames.pmm.freeBlocks(10)).toBeGreaterThanOrEqual(14);
  });
});
