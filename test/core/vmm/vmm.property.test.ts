import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heaps } from '../../../core/heap/registry.js';
import { pmms } from '../../../core/pmm/registry.js';
import { FrameCell, Use } from '../../../core/vmm/frames.js';
import { VmmCounter } from '../../../core/vmm/machine.js';
import { Reject } from '../../../core/vmm/rejections.js';
import type { Vmm } from '../../../core/vmm/vmm.js';
import { Flag, Op, OP_NAMES } from '../../../traces/event.js';
import { anyEvent, modelledEvent } from '../../oracle/vmm-events.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { VmmModel } from '../../oracle/vmm-model.js';
import { buildRig } from './rig.js';
import type { Rig } from './rig.js';

/** Whether an mremap stays within what the oracle models: one run of equal covers, no overlap, growth into free pages or elsewhere. */
function modelled(m: VmmModel, e: Fields): boolean {
  if (e.op !== Op.mremap) return true;
  const s = m.processes.get(e.pid!)?.space;
  if (s === undefined) return false;
  const from = e.addr2! / 4096;
  const to = e.addr! / 4096;
  const n = e.arg! / 4096;
  const size = e.size! / 4096;
  const first = s.covers.get(from);
  if (first === undefined) return false;
  for (let i = 0; i < n; i++) {
    const c = s.covers.get(from + i);
    if (c === undefined || c.flags !== first.flags || c.object !== first.object || (c.object !== null && c.index !== first.index + i)) return false;
  }
  if (to === from) {
    if ((e.flags ?? 0) !== 0) return false;
    const after = s.covers.get(from + n);
    const mergesOn =
      after !== undefined && after.flags === first.flags && after.object === first.object && (after.object === null || after.index === first.index + n);
    if (size > n && mergesOn) return false;
    for (let i = n; i < size; i++) if (s.covers.has(from + i)) return false;
    return true;
  }
  return to >= from + n || from >= to + size;
}

/** The same event on the oracle. */
function apply(m: VmmModel, e: Fields): void {
  const id = e.pid ?? 1;
  const addr = e.addr ?? 0;
  const size = e.size ?? 0;
  const from = Math.floor(addr / 4096);
  const to = from + Math.ceil(size / 4096);
  const flags = e.flags ?? 0;
  switch (e.op) {
    case Op.object:
      m.announce(e.arg!, size, (flags & Flag.file) !== 0 ? 'file' : 'shm', (flags & Flag.remove) !== 0);
      return;
    case Op.cache:
      m.cache(e.arg!, e.addr2! / 4096, Math.ceil(size / 4096), (flags & Flag.present) !== 0);
      return;
    case Op.exit:
      m.exit(id, (flags & Flag.group) !== 0);
      return;
    case Op.munmap:
    case Op.free: {
      const p = m.processes.get(id);
      if (p === undefined) m.reject(Reject.unknownProcess);
      else if (e.op === Op.munmap) m.munmap(p.space, addr, size);
      else if (!p.space.blocks.delete(addr)) m.reject(Reject.wildFree);
      return;
    }
    default:
      break;
  }
  const s = m.process(id).space;
  switch (e.op) {
    case Op.read:
    case Op.write:
    case Op.fetch:
      for (let p = from; p <= Math.floor((addr + size - 1) / 4096); p++)
        if (!m.access(s, p, e.op === Op.read ? 'read' : e.op === Op.write ? 'write' : 'fetch')) return;
      return;
    case Op.mmap:
      m.mmap(s, addr, size, flags, e.arg ?? 0, e.addr2 ?? 0);
      return;
    case Op.mprotect:
      m.protect(s, from, to, flags);
      return;
    case Op.madvise:
      if (e.arg === 4) m.zap(s, from, to);
      else if (e.arg !== 8) m.populate(s, from, to, e.arg === 23);
      return;
    case Op.mremap:
      m.remap(s, e.addr2! / 4096, Math.ceil(e.arg! / 4096), from, to - from, (flags & Flag.dontunmap) !== 0);
      return;
    case Op.mlock:
    case Op.munlock:
      m.lock(s, from, to, e.op === Op.mlock);
      return;
    case Op.fork:
    case Op.vfork:
      m.fork(id, e.arg!, (flags & Flag.vm) !== 0);
      return;
    case Op.thread:
      m.process(id).threads++;
      return;
    case Op.exec:
      m.exec(id);
      return;
    case Op.brk:
      m.brk(s, addr);
      return;
    case Op.malloc:
    case Op.calloc: {
      if (s.blocks.has(addr)) m.reject(Reject.doubleAllocation);
      for (let p = from; p <= Math.floor((addr + Math.max(size, 1) - 1) / 4096); p++) {
        if (!s.covers.has(p)) s.covers.set(p, { flags: Flag.r | Flag.w, object: null, index: 0 });
      }
      s.blocks.set(addr, size);
      return;
    }
    default:
      throw new Error(`the oracle has no ${OP_NAMES[e.op]}`);
  }
}

/** The counts that only grow, to be taken off those of an earlier run on the same machine. */
function counts(vmm: Vmm): number[] {
  const { counters, rejections } = vmm.machine;
  return [VmmCounter.minorFaults, VmmCounter.majorFaults, VmmCounter.cowBreaks, VmmCounter.copiedFrames, VmmCounter.reuses]
    .map((i) => counters[i]!)
    .concat([...rejections.counts.slice(0, 18)]);
}

function compare(m: VmmModel, vmm: Vmm, base: readonly number[], what: string): void {
  const { machine, processes, objects } = vmm;
  const { frames, tables, rss, vmPages } = machine;
  const grown = counts(vmm).map((n, i) => n - base[i]!);
  const seen = {
    minor: grown[0],
    major: grown[1],
    breaks: grown[2],
    copies: grown[3],
    reuses: grown[4],
    anonymous: frames.cells[FrameCell.byUse + Use.anonymous],
    file: frames.cells[FrameCell.byUse + Use.file],
    shared: frames.cells[FrameCell.byUse + Use.shared],
    objects: objects.cells[2],
    rejected: grown.slice(5),
    live: vmm.heap.liveBytes[0],
  };
  const spaces = m.spaces();
  const expected = {
    minor: m.minor,
    major: m.major,
    breaks: m.breaks,
    copies: m.copies,
    reuses: m.reuses,
    anonymous: m.framesOf('anonymous'),
    file: m.framesOf('file'),
    shared: m.framesOf('shared'),
    objects: m.objects.size,
    rejected: Array.from({ length: 18 }, (_, cause) => m.rejected.get(cause) ?? 0),
    live: [...spaces].reduce((sum, s) => sum + [...s.blocks.values()].reduce((a, b) => a + b, 0), 0),
  };
  expect(seen, what).toEqual(expected);
  for (const [id, p] of m.processes) {
    const s = processes.space[processes.slotOf(id)]! - 1;
    expect(s, `${what}: process ${id} is alive`).toBeGreaterThanOrEqual(0);
    const here = [1, 2, 3]
      .map((use) => rss[s * 8 + use])
      .concat(
        vmPages[s]!,
        [1, 2, 3, 4].map((level) => tables.spaceTables[s * 8 + level]!),
      );
    const there = [m.resident(p.space, 'anonymous'), m.resident(p.space, 'file'), m.resident(p.space, 'shared'), p.space.covers.size, ...m.tables(p.space)];
    expect(here, `${what}: rss by use, pages, tables by level of process ${id}`).toEqual(there);
  }
}

/** Everything ends: nothing may be left. */
function leave(vmm: Vmm, start: number): void {
  vmm.audit();
  vmm.processes.exitAll();
  vmm.settle();
  vmm.audit();
  expect(vmm.machine.frames.cells[FrameCell.used], 'frames after everything went').toBe(start);
}

function run({ vmm, feed, start }: Rig, events: readonly Fields[]): void {
  const model = new VmmModel();
  const base = counts(vmm);
  let n = 0;
  for (const e of events) {
    if (!modelled(model, e)) continue;
    feed(e, n);
    apply(model, e);
    compare(model, vmm, base, `event ${n} ${OP_NAMES[e.op]} ${JSON.stringify(e)}`);
    if (n % 50 === 49) vmm.audit();
    n++;
  }
  leave(vmm, start);
}

describe('the plain policy does what a model with one entry per page does', () => {
  it.each([...pmms.names()])(
    'on %s',
    (pmm) => {
      // One machine serves all runs: each leaves it as it found it. A run that fails leaves it broken; shrinking goes on with a new one.
      let rig = buildRig({ pmm });
      const property = fc.property(fc.array(modelledEvent, { minLength: 20, maxLength: 160 }), (events) => {
        try {
          run(rig, events);
        } catch (error) {
          rig = buildRig({ pmm });
          throw error;
        }
      });
      fc.assert(property, { numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? 100), interruptAfterTimeLimit: 100_000, markInterruptAsFailure: true });
    },
    150_000,
  );
});

/** Frees what a kernel would have to free itself: kmap slots, kmalloc and page blocks. */
const KERNEL_FREES: readonly Fields[] = [
  ...Array.from({ length: 10 }, (_, n): Fields => ({ op: Op.kfree, addr: n * 64 })),
  ...Array.from({ length: 24 }, (_, n): Fields => ({ op: Op.page_free, addr: n >> 2, arg: n & 3 })),
];

/** One seed for all: whether frames run out at all, which the test insists on, is no matter of chance then. FC_SEED explores others. */
const seed = Number(process.env['FC_SEED'] ?? 20031);

describe('when frames run out, what fails leaves no trace', () => {
  const cells = [...pmms.names()].flatMap((pmm, i) => [...heaps.names()].map((heap, j) => [pmm, heap, [20, 26, 34, 48][(i * 2 + j) % 4]!] as const));
  it.each(cells)('%s, heap %s, %i frames', (pmm, heap, frames) => {
    let rig = buildRig({ pmm, heap, memory: frames * 4096 });
    let failures = 0;
    const property = fc.property(fc.array(anyEvent, { minLength: 60, maxLength: 200 }), (events) => {
      try {
        const { vmm, feed, start } = rig;
        const { rejections, frames: ledger } = vmm.machine;
        const mapped = new Set<string>();
        events.forEach((e, n) => {
          const before = rejections.counts[Reject.outOfMemory]!;
          feed(e, n);
          if (e.op === Op.kmap) mapped.add(`${e.pid}:${e.addr}`);
          if (rejections.counts[Reject.outOfMemory] !== before) {
            failures++;
            vmm.audit();
          }
        });
        for (const key of mapped) feed({ op: Op.kunmap, pid: Number(key.split(':')[0]), addr: Number(key.split(':')[1]) });
        KERNEL_FREES.forEach((e) => feed(e));
        leave(vmm, start);
        expect(ledger.cells[FrameCell.user]).toBe(0);
      } catch (error) {
        rig = buildRig({ pmm, heap, memory: frames * 4096 });
        throw error;
      }
    });
    fc.assert(property, { seed, numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? 15), interruptAfterTimeLimit: 50_000, markInterruptAsFailure: true });
    expect(failures).toBeGreaterThan(0);
  });
});
