import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { architectures } from '../../../arch/registry.js';
import { heaps } from '../../../core/heap/registry.js';
import { lookupConfig } from '../../../core/lookup/configs.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { makeReplayer } from '../../../core/replay/replayer.js';
import { FrameCell, Use } from '../../../core/vmm/frames.js';
import { VmmCounter } from '../../../core/vmm/machine.js';
import { makeVmm } from '../../../core/vmm/vmm.js';
import type { Vmm } from '../../../core/vmm/vmm.js';
import { createBlock, Flag, Op, OP_NAMES } from '../../../traces/event.js';
import type { TraceEvent } from '../../../traces/event.js';
import { VmmModel } from '../../oracle/vmm-model.js';

const MEMORY = 16 * 2 ** 20;
/** Three neighbourhoods: around a 2 MiB border, another PDPT entry, another PML4 entry. */
const BASES = [0x7ffff0, 0x40000 * 3, 2 ** 27 + 512];
const SPAN = 24;

type Fields = Partial<TraceEvent> & { op: Op };

const pid = fc.constantFrom(1, 1, 1, 2, 2, 3, 4);
const page = fc.tuple(fc.constantFrom(...BASES), fc.nat(SPAN - 1)).map(([base, i]) => base + i);
const pages = fc.integer({ min: 1, max: 9 });
const prot = fc.constantFrom(Flag.r, Flag.r | Flag.w, Flag.r | Flag.w, Flag.r | Flag.x, 0);
const object = fc.integer({ min: 1, max: 4 });

const event: fc.Arbitrary<Fields> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({
      op: fc.constantFrom(Op.read, Op.write, Op.write, Op.fetch),
      pid,
      addr: page.map((p) => p * 4096),
      size: fc.constantFrom(1, 8, 5000),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      op: fc.constant(Op.mmap),
      pid,
      addr: page.map((p) => p * 4096),
      size: pages.map((n) => n * 4096),
      flags: fc
        .tuple(prot, fc.constantFrom(Flag.fixed, Flag.fixed, Flag.fixed, 0), fc.constantFrom(0, 0, Flag.shared, Flag.growsdown, Flag.populate, Flag.locked))
        .map(([a, b, c]) => a | b | c),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant(Op.mmap),
      pid,
      addr: page.map((p) => p * 4096),
      size: pages.map((n) => n * 4096),
      addr2: fc.nat(5).map((n) => n * 4096),
      arg: object,
      flags: fc.tuple(prot, fc.constantFrom(0, Flag.shared, Flag.shared | Flag.populate)).map(([a, b]) => a | b | Flag.fixed),
    }),
  },
  { weight: 8, arbitrary: fc.record({ op: fc.constant(Op.munmap), pid, addr: page.map((p) => p * 4096), size: fc.integer({ min: 1, max: 16 * 4096 }) }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant(Op.mprotect), pid, addr: page.map((p) => p * 4096), size: pages.map((n) => n * 4096), flags: prot }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant(Op.madvise),
      pid,
      addr: page.map((p) => p * 4096),
      size: pages.map((n) => n * 4096),
      arg: fc.constantFrom(4, 8, 22, 23),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant(Op.mremap),
      pid,
      addr: page.map((p) => p * 4096),
      size: pages.map((n) => n * 4096),
      addr2: page.map((p) => p * 4096),
      arg: pages.map((n) => n * 4096),
      flags: fc.constantFrom(0, 0, Flag.dontunmap),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant(Op.mlock), pid, addr: page.map((p) => p * 4096), size: pages.map((n) => n * 4096) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant(Op.munlock), pid, addr: page.map((p) => p * 4096), size: pages.map((n) => n * 4096) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constantFrom(Op.fork, Op.fork, Op.vfork), pid, arg: pid, flags: fc.constantFrom(0, 0, 0, Flag.vm) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant(Op.thread), pid, arg: fc.constant(77) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant(Op.exec), pid }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant(Op.exit), pid, flags: fc.constantFrom(0, Flag.group) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant(Op.brk), pid, addr: fc.nat(12).map((n) => (BASES[1]! + 40) * 4096 + n * 3000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant(Op.object),
      size: fc.nat(6 * 4096),
      arg: object,
      flags: fc.constantFrom(Flag.file, Flag.file, Flag.shm, Flag.remove),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant(Op.cache),
      addr2: fc.nat(5).map((n) => n * 4096),
      size: pages.map((n) => n * 4096),
      arg: object,
      flags: fc.constantFrom(Flag.present, Flag.absent),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom(Op.malloc, Op.calloc), pid, addr: page.map((p) => p * 4096 + 16), size: fc.nat(9000) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant(Op.free), pid, addr: page.map((p) => p * 4096 + 16) }) },
);

interface Rig {
  vmm: Vmm;
  feed: (e: Fields, n: number) => void;
  start: number;
}

function build(pmm: string): Rig {
  const map = memoryMapFromSize(MEMORY);
  const vmm = makeVmm({
    arch: architectures.get('x86-64'),
    pmm: pmms.get(pmm).create({ map, cpus: 1, seed: 1 }),
    map,
    lookup: lookupConfig('default'),
    cpus: 1,
    kernelHeap: true,
    heapLayout: heaps.get('recorded'),
    implicitMappings: false,
  });
  const start = vmm.machine.frames.cells[FrameCell.used]!;
  const block = createBlock();
  const replayer = makeReplayer(vmm, block, {
    cpus: 1,
    touches: true,
    touchBlocks: false,
    touchMappings: false,
    onOom: 'fail',
    pids: [],
    window: null,
    onSample: () => undefined,
  });
  const feed = (e: Fields, n: number): void => {
    const addr = e.addr ?? 0;
    block.length = 1;
    block.op[0] = e.op;
    block.pid[0] = e.pid ?? 1;
    block.addrHi[0] = Math.floor(addr / 2 ** 30);
    block.addrLo[0] = addr - Math.floor(addr / 2 ** 30) * 2 ** 30;
    block.size[0] = e.size ?? 0;
    block.addr2[0] = e.addr2 ?? 0;
    block.arg[0] = e.arg ?? 0;
    block.flags[0] = e.flags ?? 0;
    replayer.run(0, 1, n);
  };
  return { vmm, feed, start };
}

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
      if (p === undefined) m.reject(Reject_unknownProcess);
      else if (e.op === Op.munmap) m.munmap(p.space, addr, size);
      else if (!p.space.blocks.delete(addr)) m.reject(Reject_wildFree);
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
      for (let p = from; p <= Math.floor((addr + size - 1) / 4096); p++) m.access(s, p, e.op === Op.read ? 'read' : e.op === Op.write ? 'write' : 'fetch');
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
      if (s.blocks.has(addr)) m.reject(Reject_doubleAllocation);
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
const Reject_unknownProcess = 0;
const Reject_wildFree = 4;
const Reject_doubleAllocation = 10;

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
  vmm.audit();
  vmm.processes.exitAll();
  vmm.settle();
  vmm.machine.frames.validate();
  expect(vmm.machine.frames.cells[FrameCell.used], 'frames after everything went').toBe(start);
}

describe('the plain policy does what a model with one entry per page does', () => {
  it.each([...pmms.names()])(
    'on %s',
    (pmm) => {
      // One machine serves all runs: each leaves it as it found it. A run that fails leaves it broken; shrinking goes on with a new one.
      let rig = build(pmm);
      const property = fc.property(fc.array(event, { minLength: 20, maxLength: 160 }), (events) => {
        try {
          run(rig, events);
        } catch (error) {
          rig = build(pmm);
          throw error;
        }
      });
      fc.assert(property, { numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? 100), interruptAfterTimeLimit: 100_000, markInterruptAsFailure: true });
    },
    150_000,
  );
});
