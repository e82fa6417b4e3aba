/** Generated events on few pages of few processes, so that they meet. Addresses lie around a 2 MiB border and under two other upper tables. */
import fc from 'fast-check';
import { Flag, Op } from '../../traces/event.js';
import type { TraceEvent } from '../../traces/event.js';

/** Three neighbourhoods: around a 2 MiB border, another PDPT entry, another PML4 entry. */
export const BASES = [0x7ffff0, 0x40000 * 3, 2 ** 27 + 512];
const SPAN = 12;

export type Fields = Partial<TraceEvent> & { op: Op };

const pid = fc.constantFrom(1, 1, 1, 1, 2, 2, 3);
const page = fc.tuple(fc.constantFrom(BASES[0]!, BASES[0]!, BASES[1]!, BASES[2]!), fc.nat(SPAN - 1)).map(([base, i]) => base + i);
const pages = fc.integer({ min: 1, max: 9 });
const prot = fc.constantFrom(Flag.r, Flag.r | Flag.w, Flag.r | Flag.w, Flag.r | Flag.x, 0);
const object = fc.integer({ min: 1, max: 4 });

/** An event that the oracle models. */
export const modelledEvent: fc.Arbitrary<Fields> = fc.oneof(
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

/** An event of any kind but `sample`. */
export const anyEvent: fc.Arbitrary<Fields> = fc.oneof(
  { weight: 40, arbitrary: modelledEvent },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant(Op.share),
      pid,
      addr: page.map((p) => p * 4096),
      size: pages.map((n) => n * 4096),
      addr2: fc.oneof(
        fc.constant(0),
        page.map((p) => p * 4096),
      ),
      arg: pid,
      flags: prot,
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom(Op.kmap, Op.kunmap), pid, addr: page.map((p) => p * 4096) }) },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom(Op.kmalloc, Op.kfree), addr: fc.nat(9).map((n) => n * 64), size: fc.constantFrom(0, 8, 100, 4096, 20000) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constantFrom(Op.page_alloc, Op.page_free), addr: fc.nat(5), arg: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom(Op.realloc, Op.memalign),
      pid,
      addr: page.map((p) => p * 4096 + 16),
      size: fc.nat(300_000),
      addr2: page.map((p) => p * 4096 + 16),
      arg: fc.constantFrom(0, 16, 64, 4096),
    }),
  },
);
