/**
 * Generated events for the `linux` policy, and how the oracle takes them. Addresses lie around a GiB border and around one of 512 GiB, in steps of a page and of
 * a quarter of 2 MiB, so that slots, PDs and PDPTs are met, shared between neighbours, emptied and moved.
 */
import fc from 'fast-check';
import { Flag, Op, OP_NAMES } from '../../traces/event.js';
import type { LinuxCalls } from './linux-calls.js';
import { isAnonymous, isShared, isSpecial, RWX, vmaAt, vmasIn } from './linux-vmas.js';
import type { Vma } from './linux-space.js';
import type { Fields } from './vmm-events.js';

const PAGE = 4096;
const STEP = 128;
const GIB_BORDER = 0x7fc0000000 / PAGE;
const TOP_BORDER = 0x8000000000 / PAGE;
const HEAP = GIB_BORDER + 2 * 262144 - 5;
const SPECIAL = GIB_BORDER + 3 * 262144;
/** Pages that one event may bring: more is slow and shows nothing new. */
const MOST_PAGES = 6000;

const pid = fc.constantFrom(1, 1, 1, 1, 2, 2, 3);
const smallPage = fc.tuple(fc.constantFrom(GIB_BORDER, GIB_BORDER, TOP_BORDER), fc.integer({ min: -14, max: 14 })).map(([base, i]) => base + i);
const largePage = fc
  .tuple(fc.constantFrom(GIB_BORDER, GIB_BORDER, TOP_BORDER), fc.integer({ min: -12, max: 12 }), fc.constantFrom(0, 0, 0, 3))
  .map(([base, n, odd]) => base + n * STEP + odd);
const smallRange = fc.record({ page: smallPage, pages: fc.integer({ min: 1, max: 12 }) });
const largeRange = fc.record({
  page: largePage,
  pages: fc.oneof(
    fc.integer({ min: 1, max: 12 }).map((n) => n * STEP),
    fc.integer({ min: 1, max: 700 }),
  ),
});
const range = fc.oneof(smallRange, smallRange, largeRange).map(({ page, pages }) => ({ addr: page * PAGE, size: pages * PAGE }));
const slots = fc.tuple(fc.integer({ min: -2, max: 1 }), fc.integer({ min: 1, max: 3 })).map(([n, count]) => ({
  addr: (GIB_BORDER + n * 512) * PAGE,
  size: count * 512 * PAGE,
}));
const place = fc.oneof(smallPage, smallPage, largePage, largePage).map((page) => page * PAGE);
const prot = fc.constantFrom(Flag.r, Flag.r | Flag.w, Flag.r | Flag.w, Flag.r | Flag.x, 0);
const RW = Flag.r | Flag.w;
const kind = fc.constantFrom(...[0, 0, 0, 0, 0, 0, Flag.shared, Flag.growsdown, Flag.growsdown, Flag.populate, Flag.locked, Flag.stack, Flag.noreserve]);

/** An event, and for most where it aims: at what a process has mapped by then. Without it few would hit anything. */
export interface Aimed extends Fields {
  /** Which VMA, where in it, how much of it. */
  readonly aim?: readonly [number, number, number];
}

/** One kind of event: its operations, where, and the rest of its fields. */
function kindOf(weight: number, ops: readonly Op[], where: fc.Arbitrary<Partial<Aimed>>, more: fc.Arbitrary<Partial<Aimed>> = fc.constant({})) {
  return {
    weight,
    arbitrary: fc.tuple(fc.constantFrom(...ops), pid, where, more).map(([op, p, at, rest]): Aimed => ({ op, pid: p, ...at, ...rest })),
  };
}
const nowhere = fc.constant({});
const aim = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)).map((numbers): Partial<Aimed> => ({ aim: numbers }));
/** Mostly what is there, now and then anything. */
const aimed = fc.tuple(range, fc.oneof({ weight: 4, arbitrary: aim }, { weight: 1, arbitrary: nowhere })).map(([r, a]) => ({ ...r, ...a }));
const flagsOf = (flags: fc.Arbitrary<number>): fc.Arbitrary<Partial<Aimed>> => flags.map((f) => ({ flags: f }));
const objectPages = fc.integer({ min: 0, max: 40 }).map((n) => n * PAGE);

const mappings = [
  kindOf(9, [Op.mmap], range, flagsOf(fc.tuple(prot, kind).map(([a, b]) => a | b | Flag.fixed))),
  kindOf(5, [Op.mmap], slots, fc.constant({ flags: RW | Flag.fixed })),
  kindOf(
    1,
    [Op.mmap],
    fc.constantFrom(0, 0, 512).map((n) => ({ addr: (GIB_BORDER + n) * PAGE, size: 2 ** 30 })),
    fc.constant({ flags: RW | Flag.fixed }),
  ),
  kindOf(
    9,
    [Op.mmap],
    range,
    fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom(0, 0, 3, 16, 30), prot, fc.constantFrom(0, 0, Flag.shared, Flag.shared | Flag.populate))
      .map(([arg, offset, a, b]) => ({ arg, addr2: offset * PAGE, flags: a | b | Flag.fixed })),
  ),
  kindOf(
    1,
    [Op.mmap],
    fc.nat(3).map((n) => ({ addr: (SPECIAL + n) * PAGE, size: 2 * PAGE })),
    flagsOf(fc.constantFrom(Flag.r | Flag.x | Flag.vdso, Flag.r | Flag.vvar).map((f) => f | Flag.fixed)),
  ),
  kindOf(6, [Op.munmap], aimed),
  kindOf(
    4,
    [Op.brk],
    fc.nat(24).map((n) => ({ addr: HEAP * PAGE + n * 3000 })),
  ),
  kindOf(
    9,
    [Op.mremap],
    fc.tuple(aimed, place, fc.nat(9)).map(([r, target, how]) => ({ ...r, addr2: target, arg: how })),
    flagsOf(fc.constantFrom(0, 0, 0, Flag.dontunmap)),
  ),
];
const advice = [
  kindOf(7, [Op.mprotect], aimed, flagsOf(prot)),
  kindOf(
    9,
    [Op.madvise],
    aimed,
    fc.constantFrom(4, 4, 4, 8, 3, 22, 23, 14, 14, 15, 10, 11, 18, 19, 0, 1, 2, 16, 17).map((arg) => ({ arg })),
  ),
  kindOf(
    5,
    [Op.madvise],
    slots,
    fc.constantFrom(14, 14, 14, 4).map((arg) => ({ arg })),
  ),
  kindOf(3, [Op.mlock, Op.munlock], aimed, flagsOf(fc.constantFrom(0, 0, Flag.onfault))),
  kindOf(1, [Op.mlock, Op.munlock], fc.constant({ addr: 0, size: 0 }), flagsOf(fc.constantFrom(Flag.current, Flag.future))),
];
const processes = [
  kindOf(8, [Op.fork, Op.fork, Op.fork, Op.vfork], nowhere, flagsOf(fc.constantFrom(0, 0, 0, Flag.vm))),
  kindOf(1, [Op.thread], nowhere, fc.constant({ arg: 77 })),
  kindOf(1, [Op.exec], nowhere),
  kindOf(4, [Op.exit], nowhere, flagsOf(fc.constantFrom(0, Flag.group))),
  kindOf(
    2,
    [Op.share],
    aimed,
    fc.tuple(place, pid, fc.constantFrom(Flag.r, RW)).map(([addr2, arg, flags]) => ({ addr2, arg, flags })),
  ),
  kindOf(2, [Op.write], aimed, fc.constant({ flags: Flag.args | Flag.kernel })),
];
const objects = [
  kindOf(
    2,
    [Op.object],
    nowhere,
    fc
      .tuple(fc.integer({ min: 1, max: 4 }), objectPages, fc.constantFrom(0, 0, Flag.remove))
      .map(([arg, size, remove]) => ({ arg, size, flags: (arg < 3 ? Flag.file : Flag.shm) | remove, ...(arg === 4 ? { text: '/SYSV00000001' } : {}) })),
  ),
  kindOf(
    4,
    [Op.cache],
    nowhere,
    fc
      .tuple(
        fc.integer({ min: 1, max: 3 }),
        fc.nat(9),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(Flag.present, Flag.absent),
        fc.constantFrom(0, 0, 2, 3, 5),
      )
      .map(([id, at, pages, flags, order]) => {
        // A folio is aligned to its size and comes whole.
        const size = flags === Flag.present ? 2 ** order : 1;
        return { addr2: at * size * PAGE, size: Math.ceil(pages / size) * size * PAGE, arg: id + (flags === Flag.present ? order : 0) * 2 ** 48, flags };
      }),
  ),
];

const linuxEvent: fc.Arbitrary<Aimed> = fc.oneof(
  kindOf(
    40,
    [Op.read, Op.write, Op.write, Op.fetch],
    fc.tuple(place, aim).map(([addr, a]) => ({ addr, ...a })),
    fc.constantFrom(1, 8, 9000, 70_000).map((size) => ({ size })),
  ),
  kindOf(
    3,
    [Op.read, Op.write],
    place.map((addr) => ({ addr, size: 1 })),
  ),
  ...mappings,
  ...advice,
  ...processes,
  ...objects,
);

/** What runs before the generated events: two files, a piece of shared memory, a System V segment; object 5 is never announced. */
const OPENING: readonly Aimed[] = [
  { op: Op.object, arg: 1, size: 40 * PAGE, flags: Flag.file },
  { op: Op.object, arg: 2, size: 700 * PAGE, flags: Flag.file },
  { op: Op.object, arg: 3, size: 64 * PAGE, flags: Flag.shm, text: '/dev/shm/one' },
  { op: Op.object, arg: 4, size: 64 * PAGE, flags: Flag.shm, text: '/SYSV00000000' },
];

/** Memory that is huge from the start: rare otherwise, as it takes three events in a row. */
const HUGE_START: readonly Aimed[] = [
  { op: Op.mmap, pid: 1, addr: (GIB_BORDER - 512) * PAGE, size: 3 * 512 * PAGE, flags: RW | Flag.fixed },
  { op: Op.madvise, pid: 1, addr: (GIB_BORDER - 512) * PAGE, size: 3 * 512 * PAGE, arg: 14 },
  { op: Op.write, pid: 1, addr: GIB_BORDER * PAGE, size: 1 },
];
/** A run: the objects, perhaps huge memory, then anything. */
export const linuxEvents: fc.Arbitrary<readonly Aimed[]> = fc
  .tuple(fc.boolean(), fc.array(linuxEvent, { maxLength: 120, size: 'max' }))
  .map(([huge, events]) => [...OPENING, ...(huge ? HUGE_START : []), ...events]);

/** What an aimed event is, given what is mapped now. */
export function resolve(m: LinuxCalls, { aim: at, ...e }: Aimed): Fields {
  const alive = [...m.processes.keys()];
  const e2: Fields = { ...e };
  if (alive.length > 0 && e.op !== Op.object && e.op !== Op.cache) e2.pid = alive[e.pid! % alive.length]!;
  if (e.op === Op.share && alive.length > 0) e2.arg = alive[e.arg! % alive.length]!;
  // At most four at a time.
  if (e.op === Op.fork || e.op === Op.vfork) e2.arg = [1, 2, 3, 4].find((id) => !alive.includes(id)) ?? 1;
  const vmas = m.processes.get(e2.pid!)?.space.vmas ?? [];
  if (at === undefined || vmas.length === 0) return e.op === Op.mremap ? moved(e2, e2.addr! / PAGE, e2.size! / PAGE) : e2;
  const v = vmas[at[0] % vmas.length]!;
  const pages = v.to - v.from;
  const slot = Math.ceil(v.from / 512) * 512;
  const inside = (page: number): number => Math.min(v.to - 1, Math.max(v.from, page));
  const from = [v.from, v.to - 1, inside(v.from + (at[1] >> 3)), inside(v.from + at[1] * 37), inside(slot), inside(slot), inside(slot + at[1]), v.from][
    at[1] % 8
  ]!;
  const count = [1, 1 + (at[2] % 9), v.to - from, v.to - from, pages >> 1, 512, 512, 128][at[2] % 8]!;
  if (e.op === Op.read || e.op === Op.write || e.op === Op.fetch) {
    const below = (v.flags & Flag.growsdown) !== 0 && at[2] % 5 === 0 ? v.from - 1 - (at[2] >> 3) : from;
    e2.addr = below * PAGE;
    if (((e.flags ?? 0) & Flag.args) !== 0) e2.size = Math.min(3, v.to - from) * PAGE;
    return e2;
  }
  const most = Math.max(1, Math.min(count, v.to - from));
  if (e.op === Op.mremap) return moved(e2, from, most);
  e2.addr = from * PAGE;
  e2.size = most * PAGE;
  return e2;
}
/** The mremap of [from, from + pages): where to, and how large it is then, by what the event's fields chose. */
function moved(e: Fields, from: number, pages: number): Fields {
  const how = e.arg! % 10;
  const target = e.addr2! / PAGE;
  // Half of all moves keep the place within 2 MiB, so that tables can move whole.
  const to = how < 3 ? from : how < 7 ? target - (target % 512) + (from % 512) : target;
  const size = (e.flags ?? 0) !== 0 ? pages : Math.max(1, pages + [1, -1, 40, 0, 0, 0, 5, 0, 0, -3][how]!);
  return { ...e, addr: to * PAGE, size: size * PAGE, addr2: from * PAGE, arg: pages * PAGE };
}

/** VMAs that hold every page of [from, to); null if there is a hole. */
function covering(m: LinuxCalls, id: number, from: number, to: number): Vma[] | null {
  const p = m.processes.get(id);
  if (p === undefined) return null;
  const found = vmasIn(p.space, from, to);
  const pages = found.reduce((sum, v) => sum + Math.min(to, v.to) - Math.max(from, v.from), 0);
  return pages === to - from ? found : null;
}

/** Whether Linux would let the call pass: what it refuses is in no recording. */
export function possible(m: LinuxCalls, e: Fields): boolean {
  const id = e.pid ?? 1;
  const from = (e.addr ?? 0) / PAGE;
  const to = from + (e.size ?? 0) / PAGE;
  const s = m.processes.get(id)?.space;
  const touched = s === undefined ? [] : vmasIn(s, from, to);
  const brings = e.op === Op.share || e.op === Op.mlock || e.op === Op.mprotect || (e.op === Op.madvise && (e.arg === 22 || e.arg === 23 || e.arg === 3));
  if (brings && to - from > MOST_PAGES) return false;
  // With everything locked, 1 GiB would be.
  if (s !== undefined && ((e.op === Op.mmap && s.lockFuture) || (e.op === Op.mlock && e.size === 0)) && m.size(s) + to - from > MOST_PAGES) return false;
  if (e.op === Op.mprotect && touched.some(isSpecial)) return false;
  if (e.op === Op.mremap && (e.size ?? 0) > (e.arg ?? 0) + MOST_PAGES * PAGE) return false;
  if (e.op === Op.madvise) {
    if (touched.some(isSpecial)) return false;
    if (e.arg === 4) return touched.every((v) => (v.flags & Flag.locked) === 0);
    if (e.arg === 8 || e.arg === 18) return touched.every((v) => isAnonymous(v) && !isShared(v));
    if (e.arg === 22 || e.arg === 23) {
      const need = e.arg === 23 ? Flag.w : RWX;
      return covering(m, id, from, to)?.every((v) => (v.flags & need) !== 0) ?? false;
    }
  }
  if (e.op === Op.mremap) {
    const old = e.addr2! / PAGE;
    const oldPages = e.arg! / PAGE;
    const v = s === undefined ? undefined : vmaAt(s, old);
    if (v === undefined || isSpecial(v) || v.to < old + oldPages) return false;
    if (((e.flags ?? 0) & Flag.dontunmap) !== 0 && (e.size !== e.arg || from === old)) return false;
    if (from !== old) return from >= old + oldPages || old >= to;
    return to <= old + oldPages || (v.to === old + oldPages && vmasIn(s!, v.to, to).length === 0);
  }
  if (e.op === Op.share) {
    const other = m.processes.get(e.arg!);
    const at = e.addr2! / PAGE;
    if (other === undefined || (other.space === s && at < to && from < at + to - from)) return false;
    return covering(m, id, from, to)?.every((v) => !isSpecial(v)) ?? false;
  }
  if (e.op === Op.write && ((e.flags ?? 0) & Flag.args) !== 0) {
    return covering(m, id, Math.floor(from), Math.ceil(to))?.every((v) => (v.flags & Flag.w) !== 0 && isAnonymous(v)) ?? false;
  }
  return true;
}

/** The same event on the oracle. */
export function apply(m: LinuxCalls, e: Fields): void {
  const id = e.pid ?? 1;
  const addr = e.addr ?? 0;
  const size = e.size ?? 0;
  const arg = e.arg ?? 0;
  const flags = e.flags ?? 0;
  const from = Math.floor(addr / PAGE);
  const to = from + Math.ceil(size / PAGE);
  switch (e.op) {
    case Op.sample:
      return;
    case Op.object:
      if ((flags & Flag.remove) !== 0) m.objects.remove(arg);
      else m.objects.announce(arg, size, (flags & Flag.file) !== 0 ? 'file' : 'shm', e.text ?? '');
      m.collect();
      return;
    case Op.cache: {
      const o = m.objects.named(arg % 2 ** 48);
      if (o === undefined) return;
      m.objects.cache(o, Math.floor(e.addr2! / PAGE), Math.ceil(size / PAGE), (flags & Flag.present) !== 0, Math.floor(arg / 2 ** 48));
      m.objects.needsIo = false;
      return;
    }
    case Op.exit:
      m.exit(id, (flags & Flag.group) !== 0);
      return;
    case Op.munmap: {
      const p = m.processes.get(id);
      if (p !== undefined) m.unmap(p.space, from, Math.ceil((addr + size) / PAGE));
      return;
    }
    default:
      break;
  }
  const s = m.process(id).space;
  switch (e.op) {
    case Op.read:
    case Op.write:
    case Op.fetch: {
      const end = Math.floor((addr + Math.max(size, 1) - 1) / PAGE) + 1;
      if ((flags & Flag.args) !== 0) m.execArgs(s, from, end);
      else for (let p = from; p < end && m.access(s, p, e.op === Op.read ? 'read' : e.op === Op.write ? 'write' : 'fetch'); p++);
      return;
    }
    case Op.mmap:
      m.mmap(s, addr, size, flags, arg, e.addr2 ?? 0);
      return;
    case Op.mprotect:
      m.protect(s, from, to, flags);
      return;
    case Op.madvise:
      m.advise(s, from, to, arg);
      return;
    case Op.mremap:
      m.remap(s, Math.floor(e.addr2! / PAGE), Math.ceil(arg / PAGE), from, to - from, (flags & Flag.dontunmap) !== 0);
      return;
    case Op.mlock:
      m.lock(s, from, Math.ceil((addr + size) / PAGE), flags);
      return;
    case Op.munlock:
      m.unlock(s, from, Math.ceil((addr + size) / PAGE));
      return;
    case Op.fork:
    case Op.vfork:
      m.fork(id, arg, (flags & Flag.vm) !== 0);
      return;
    case Op.thread:
      m.process(id).threads++;
      return;
    case Op.exec:
      m.exec(id);
      return;
    case Op.brk:
      m.setBreak(s, addr);
      return;
    case Op.share: {
      const other = m.processes.get(arg)?.space;
      if (other !== undefined) m.share(s, from, to, other, e.addr2! / PAGE, flags);
      return;
    }
    default:
      throw new Error(`the oracle has no ${OP_NAMES[e.op]}`);
  }
}
