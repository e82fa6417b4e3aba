/** Micro-traces whose answer under the linux policy is counted by hand. */
import { describe, expect, it } from 'vitest';
import { Use } from '../../../core/vmm/frames.js';
import { VmmCounter } from '../../../core/vmm/machine.js';
import { rulesOf } from '../../../core/vmm/policies.js';
import { Flag, Op } from '../../../traces/event.js';
import { buildRig } from './rig.js';

const RW = Flag.r | Flag.w;
const PAGE = 4096;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Begins a GiB, in a 512 GiB of its own. */
const A = 513 * GIB;
const DONTNEED = 4;
const HUGEPAGE = 14;

/** A machine under the linux policy, `without` some rules. */
function machine(...without: string[]) {
  const rig = buildRig({ policy: 'linux', without, memory: 64 * MIB });
  const { vmm, feed } = rig;
  const { counters, tables, rss } = vmm.machine;
  const spaceOf = (pid: number): number => vmm.processes.space[vmm.processes.slotOf(pid)]! - 1;
  return {
    ...rig,
    run: (...events: Parameters<typeof feed>[0][]): void => {
      events.forEach((e) => feed(e));
      vmm.audit();
    },
    faults: () => counters[VmmCounter.minorFaults]!,
    breaks: () => counters[VmmCounter.cowBreaks]!,
    reuses: () => counters[VmmCounter.reuses]!,
    /** VmPTE in kB: all tables but the root. */
    vmPte: (pid = 1) => [1, 2, 3].reduce((sum, level) => sum + tables.spaceTables[spaceOf(pid) * 8 + level]! * 4, 0),
    anon: (pid = 1) => rss[spaceOf(pid) * 8 + Use.anonymous]!,
    file: (pid = 1) => rss[spaceOf(pid) * 8 + Use.file]!,
    shmem: (pid = 1) => rss[spaceOf(pid) * 8 + Use.shared]!,
    vmas: (pid = 1) => vmm.vmaCount(spaceOf(pid)),
  };
}
const map = (addr: number, size: number, more = {}) => ({ op: Op.mmap, addr, size, flags: RW | Flag.fixed, ...more });
const touch = (addr: number, op = Op.write, pid = 1) => ({ op, pid, addr, size: 1 });

/** 4 MiB of advised memory that `ops` touched. */
const huge = (without: string[], ops: readonly Op[], flags = 0) => {
  const m = machine(...without);
  m.run(map(A, 4 * MIB, { flags: RW | Flag.fixed | flags }), { op: Op.madvise, addr: A, size: 4 * MIB, arg: HUGEPAGE });
  for (const op of ops) m.run(touch(A + 5 * PAGE, op));
  return m;
};

describe('counted by hand', () => {
  it('1 GiB touched every 2 MiB: 512 faults and 2052 kB of tables beyond the PDPT; munmap gives them back', () => {
    const { run, faults, vmPte, anon } = machine();
    // A page next door keeps the PDPT.
    run(map(A - GIB, PAGE), touch(A - GIB));
    const before = vmPte();
    const seen = faults();
    run(map(A, GIB));
    run(...Array.from({ length: 512 }, (_, i) => touch(A + i * 2 * MIB)));
    expect(faults() - seen).toBe(512);
    expect(vmPte() - before).toBe(2052);
    run({ op: Op.madvise, addr: A, size: GIB, arg: DONTNEED });
    expect(anon()).toBe(1);
    run({ op: Op.munmap, addr: A, size: GIB });
    expect(vmPte()).toBe(before);
  });

  it("fork and 4096 pages written in the child: 4096 breaks, as many tables as the parent's; then the parent reuses its own", () => {
    const { run, breaks, reuses, vmPte, anon } = machine();
    run(map(A, 16 * MIB));
    run(...Array.from({ length: 4096 }, (_, i) => touch(A + i * PAGE)));
    run({ op: Op.fork, pid: 1, arg: 2 });
    expect(vmPte(2)).toBe(vmPte(1));
    run(...Array.from({ length: 4096 }, (_, i) => touch(A + i * PAGE, Op.write, 2)));
    expect(breaks()).toBe(4096);
    expect([anon(1), anon(2)]).toEqual([4096, 4096]);
    run(...Array.from({ length: 4096 }, (_, i) => touch(A + i * PAGE)));
    expect([breaks(), reuses()]).toEqual([4096, 4096]);
    expect(vmPte(2)).toBe(vmPte(1));
  }, 60_000);

  it('MADV_DONTNEED, then reads: the zero page, which is nobody’s; munmap: the tables are back where they were', () => {
    const { run, anon, vmPte, vmm } = machine();
    run(map(A - GIB, PAGE), touch(A - GIB));
    const before = vmPte();
    run(map(A, 4 * MIB));
    run(...Array.from({ length: 1024 }, (_, i) => touch(A + i * PAGE)));
    expect(vmPte() - before).toBe(12);
    run({ op: Op.madvise, addr: A, size: 4 * MIB, arg: DONTNEED });
    // Both PTs are gone, the PD stays.
    expect([anon(), vmPte() - before]).toEqual([1, 4]);
    run(...Array.from({ length: 1024 }, (_, i) => touch(A + i * PAGE, Op.read)));
    expect([anon(), vmPte() - before]).toEqual([1, 12]);
    expect(vmm.machine.counters[VmmCounter.zeroMaps]).toBe(1024);
    run({ op: Op.munmap, addr: A, size: 4 * MIB });
    expect(vmPte()).toBe(before);
  }, 60_000);
});

describe('each rule, on and off', () => {
  it('free-tables: a table stays while a VMA overlaps its span, even when it is empty', () => {
    const tables = (...without: string[]) => {
      const { run, vmPte } = machine(...without);
      run(map(A, 2 * PAGE), touch(A), { op: Op.munmap, addr: A, size: PAGE });
      return vmPte();
    };
    expect([tables(), tables('free-tables')]).toEqual([12, 0]);
  });

  it('pt-reclaim: MADV_DONTNEED frees the PTs it covers wholly', () => {
    const tables = (...without: string[]) => {
      const { run, vmPte } = machine(...without);
      run(map(A, 6 * MIB), touch(A), touch(A + 2 * MIB), touch(A + 4 * MIB));
      run({ op: Op.madvise, addr: A + PAGE, size: 5 * MIB, arg: DONTNEED });
      return vmPte();
    };
    expect([tables(), tables('pt-reclaim')]).toEqual([16, 20]);
  });

  it('huge-pages: one fault takes 512 pages and a PT in reserve', () => {
    const m = huge([], [Op.write]);
    expect([m.anon(), m.vmPte(), m.faults()]).toEqual([512, 12, 1]);
    expect(huge(['huge-pages'], [Op.write]).anon()).toBe(1);
  });

  it('huge-zero: a read maps the huge zero page, a write replaces it', () => {
    const m = huge([], [Op.read]);
    expect([m.anon(), m.vmPte()]).toEqual([0, 12]);
    m.run(touch(A));
    expect([m.anon(), m.breaks()]).toEqual([512, 1]);
    const off = huge(['huge-zero'], [Op.read, Op.write]);
    expect([off.anon(), off.vmPte()]).toEqual([1, 12]);
  });

  it('huge-deposit: without it a huge page needs no PT', () => {
    expect([huge([], [Op.write]).vmPte(), huge(['huge-deposit'], [Op.write]).vmPte()]).toEqual([12, 8]);
  });

  it('a huge page is split by what touches a part of it, and uses its PT for that', () => {
    const m = huge([], [Op.write]);
    m.run({ op: Op.munmap, addr: A + MIB, size: PAGE });
    expect([m.anon(), m.vmPte()]).toEqual([511, 12]);
    const p = huge([], [Op.write]);
    p.run({ op: Op.mprotect, addr: A, size: MIB, flags: Flag.r });
    expect([p.anon(), p.vmPte(), p.vmas()]).toEqual([512, 12, 2]);
    const f = huge([], [Op.write]);
    f.run({ op: Op.fork, pid: 1, arg: 2 });
    expect([f.anon(2), f.vmPte(2)]).toEqual([512, 12]);
    f.run(touch(A, Op.write, 2));
    expect([f.anon(2), f.vmPte(2), f.breaks()]).toEqual([512, 12, 1]);
    const d = huge([], [Op.write]);
    d.run({ op: Op.madvise, addr: A, size: 2 * MIB, arg: DONTNEED });
    expect([d.anon(), d.vmPte()]).toEqual([0, 8]);
  });

  it('stack-small: a MAP_STACK mapping stays small', () => {
    expect([huge([], [Op.write], Flag.stack).anon(), huge(['stack-small'], [Op.write], Flag.stack).anon()]).toEqual([1, 512]);
  });

  it('exec-args and exec-stack: argument pages are anonymous; the tables they were gathered in come and go', () => {
    const exec = (...without: string[]) => {
      const m = machine(...without);
      const stack = 2 ** 47 - 8 * GIB;
      m.run(map(stack, 33 * PAGE, { flags: RW | Flag.growsdown }));
      const { tablesPeak } = m.vmm.machine;
      m.run({ op: Op.write, addr: stack + 31 * PAGE, size: 2 * PAGE, flags: Flag.args | Flag.kernel });
      return [m.anon(), m.vmPte(), tablesPeak[1]];
    };
    expect(exec()).toEqual([2, 12, 6]);
    expect(exec('exec-stack')).toEqual([2, 12, 4]);
    expect(exec('exec-args')).toEqual([0, 0, 1]);
  });

  it('move-tables: a PD that moves whole is there at the target, though it holds nothing (mm/mremap.c move_normal_pud)', () => {
    const m = machine();
    m.run(map(A, GIB), touch(A), { op: Op.madvise, addr: A, size: 2 * MIB, arg: DONTNEED });
    expect(m.vmPte()).toBe(8);
    m.run({ op: Op.mremap, addr: A + 512 * GIB, size: GIB, addr2: A, arg: GIB, flags: Flag.fixed });
    expect(m.vmPte()).toBe(8);
  });

  it('move-tables: an empty PT makes one at the target', () => {
    const move = (...without: string[]) => {
      const m = machine(...without);
      // The target's neighbour keeps its PDPT; the source's page is dropped, its PT stays.
      m.run(map(A, 2 * PAGE), touch(A), { op: Op.madvise, addr: A, size: PAGE, arg: DONTNEED });
      m.run({ op: Op.mremap, addr: A + GIB, size: PAGE, addr2: A, arg: PAGE, flags: Flag.fixed });
      return m.vmPte();
    };
    expect([move(), move('move-tables')]).toEqual([20, 12]);
  });

  it('move-tables: a whole slot takes its PT along', () => {
    const m = machine();
    m.run(map(A, 4 * MIB), touch(A), touch(A + 2 * MIB), { op: Op.mremap, addr: A + GIB, size: 4 * MIB, addr2: A, arg: 4 * MIB, flags: Flag.fixed });
    expect([m.anon(), m.vmPte()]).toEqual([2, 16]);
  });

  it('lazy-fork: what has no anonymous page starts empty in the child', () => {
    const fork = (...without: string[]) => {
      const m = machine(...without);
      m.run({ op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.file }, map(A, 64 * PAGE, { arg: 1, flags: Flag.r | Flag.fixed }), touch(A, Op.read));
      m.run({ op: Op.fork, pid: 1, arg: 2 });
      return [m.file(2), m.vmPte(2)];
    };
    expect(fork()).toEqual([0, 0]);
    expect(fork('lazy-fork')).toEqual([16, 12]);
  });

  it('fork-tables: an empty PT is copied too', () => {
    const fork = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, 2 * PAGE), touch(A), { op: Op.madvise, addr: A, size: PAGE, arg: DONTNEED }, { op: Op.fork, pid: 1, arg: 2 });
      return m.vmPte(2);
    };
    expect([fork(), fork('fork-tables')]).toEqual([12, 0]);
  });

  it('merge-anon-vma: memory written by the parent does not merge with new memory of the child', () => {
    const vmas = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, PAGE), touch(A), { op: Op.fork, pid: 1, arg: 2 }, map(A + PAGE, PAGE, { pid: 1 }), map(A + PAGE, PAGE, { pid: 2 }));
      return [m.vmas(1), m.vmas(2)];
    };
    expect(vmas()).toEqual([1, 2]);
    expect(vmas('merge-anon-vma')).toEqual([1, 1]);
  });

  it('merge-accounted: what was once writable stays apart from what never was', () => {
    const vmas = (...without: string[]) => {
      const m = machine(...without);
      m.run({ op: Op.object, arg: 1, size: 8 * PAGE, flags: Flag.file });
      m.run(map(A, PAGE, { arg: 1, flags: Flag.r | Flag.fixed }), map(A + PAGE, PAGE, { arg: 1, addr2: PAGE }));
      m.run({ op: Op.mprotect, addr: A + PAGE, size: PAGE, flags: Flag.r });
      return m.vmas();
    };
    expect([vmas(), vmas('merge-accounted')]).toEqual([2, 1]);
  });

  it('zero-page: reading takes no frame', () => {
    const read = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, PAGE), touch(A, Op.read));
      return m.anon();
    };
    expect([read(), read('zero-page')]).toEqual([0, 1]);
  });

  it('shared-mm: what a vfork child writes is its parent’s', () => {
    const vfork = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, 2 * PAGE), touch(A), { op: Op.vfork, pid: 1, arg: 2, flags: Flag.vm }, touch(A + PAGE, Op.write, 2));
      return [m.anon(1), m.anon(2)];
    };
    expect(vfork()).toEqual([2, 2]);
    expect(vfork('shared-mm')).toEqual([1, 2]);
  });

  it('stack-growth: a fault below the stack extends it', () => {
    const grow = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, PAGE, { flags: RW | Flag.growsdown }), touch(A - 3 * PAGE));
      return [m.anon(), m.vmm.machine.vmPages[1]];
    };
    expect(grow()).toEqual([1, 4]);
    expect(grow('stack-growth')).toEqual([0, 1]);
  });

  it('vdso: its pages are file pages, vvar’s are not counted', () => {
    const read = (...without: string[]) => {
      const m = machine(...without);
      const rx = Flag.r | Flag.x;
      m.run(map(A, 2 * PAGE, { flags: rx | Flag.vdso }), map(A + MIB, PAGE, { flags: Flag.r | Flag.vvar }), touch(A, Op.fetch), touch(A + MIB, Op.read));
      return [m.file(), m.anon(), m.vmPte()];
    };
    expect(read()).toEqual([1, 0, 12]);
    expect(read('vdso')).toEqual([0, 0, 12]);
  });

  it('populate: MAP_POPULATE brings every page', () => {
    const populate = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, 3 * PAGE, { flags: RW | Flag.fixed | Flag.populate }));
      return m.anon();
    };
    expect([populate(), populate('populate')]).toEqual([3, 0]);
  });

  it('reuse: the last one to map a page writes it without a copy', () => {
    const write = (...without: string[]) => {
      const m = machine(...without);
      m.run(map(A, PAGE), touch(A), { op: Op.fork, pid: 1, arg: 2 }, { op: Op.exit, pid: 2, flags: Flag.group }, touch(A));
      return [m.breaks(), m.reuses()];
    };
    expect(write()).toEqual([0, 1]);
    expect(write('reuse')).toEqual([1, 0]);
  });

  it('write-notify: a shared file page that was read faults again when it is written', () => {
    const faults = (...without: string[]) => {
      const m = machine(...without);
      m.run(
        { op: Op.object, arg: 1, size: PAGE, flags: Flag.file },
        map(A, PAGE, { arg: 1, flags: RW | Flag.shared | Flag.fixed }),
        touch(A, Op.read),
        touch(A),
      );
      return m.faults();
    };
    expect([faults(), faults('write-notify')]).toEqual([2, 1]);
  });

  it('fault-around: 16 pages, aligned, within VMA and file, without what is not cached', () => {
    const read = (page: number, without: string[] = [], absent = false) => {
      const m = machine(...without);
      m.run({ op: Op.object, arg: 1, size: 40 * PAGE, flags: Flag.file });
      if (absent) m.run({ op: Op.cache, addr2: 17 * PAGE, size: 2 * PAGE, arg: 1, flags: Flag.absent });
      m.run(map(A, 48 * PAGE, { arg: 1, flags: Flag.r | Flag.fixed }), touch(A + page * PAGE, Op.read));
      return m.file();
    };
    expect([read(20), read(39), read(20, [], true), read(20, ['fault-around'])]).toEqual([16, 8, 14, 1]);
  });

  it('fault-around: a VMA that begins inside a window gets 16 pages from its own beginning', () => {
    const m = machine();
    m.run(
      { op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.file },
      map(A + 5 * PAGE, 64 * PAGE, { arg: 1, flags: Flag.r | Flag.fixed }),
      touch(A + 6 * PAGE, Op.read),
    );
    expect(m.file()).toBe(16);
    m.run(touch(A + 21 * PAGE, Op.read));
    expect(m.file()).toBe(27);
  });

  it('fault-around: a write takes one page, and a page that must be read comes with the cached ones around it', () => {
    const m = machine();
    m.run({ op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.file }, map(A, 64 * PAGE, { arg: 1 }), touch(A));
    expect([m.file(), m.anon()]).toEqual([0, 1]);
    m.run({ op: Op.cache, addr2: 20 * PAGE, size: PAGE, arg: 1, flags: Flag.absent }, touch(A + 20 * PAGE, Op.read));
    expect([m.file(), m.vmm.machine.counters[VmmCounter.majorFaults]]).toEqual([16, 1]);
  });

  it('shmem-around: pages that another process put into the object come along', () => {
    const read = (...without: string[]) => {
      const m = machine(...without);
      m.run({ op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.shm, text: '/dev/shm/one' });
      for (const pid of [1, 2]) m.run(map(A, 64 * PAGE, { pid, arg: 1, flags: RW | Flag.shared | Flag.fixed }));
      for (const page of [0, 3, 15, 16]) m.run(touch(A + page * PAGE));
      m.run(touch(A + 2 * PAGE, Op.read, 2));
      return [m.shmem(1), m.shmem(2)];
    };
    expect(read()).toEqual([4, 4]);
    expect(read('shmem-around')).toEqual([4, 1]);
  });

  it('shmem-around: each page of a System V segment faults by itself', () => {
    const m = machine();
    m.run({ op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.shm, text: '/SYSV00000000' });
    for (const pid of [1, 2]) m.run(map(A, 64 * PAGE, { pid, arg: 1, flags: RW | Flag.shared | Flag.fixed }));
    m.run(touch(A), touch(A + PAGE), touch(A, Op.read, 2));
    expect([m.shmem(1), m.shmem(2)]).toEqual([2, 1]);
  });

  it('folios: one that overlaps the window is mapped whole', () => {
    const read = (...without: string[]) => {
      const m = machine(...without);
      m.run({ op: Op.object, arg: 1, size: 64 * PAGE, flags: Flag.file });
      m.run({ op: Op.cache, addr2: 0, size: 32 * PAGE, arg: 1 + 5 * 2 ** 48, flags: Flag.present });
      m.run(map(A, 64 * PAGE, { arg: 1, flags: Flag.r | Flag.fixed }), touch(A + PAGE, Op.read));
      return m.file();
    };
    expect([read(), read('folios')]).toEqual([32, 16]);
  });
});

describe('what an independent oracle showed', () => {
  const B = A + GIB;
  const protect = (addr: number, size: number, flags: number) => ({ op: Op.mprotect, addr, size, flags });
  const lock = (addr: number, size: number, flags = 0) => ({ op: Op.mlock, addr, size, flags });

  it('a stack keeps 256 pages from accessible memory below it (mm/vma.c expand_downwards)', () => {
    const grown = (below: number) => {
      const m = machine();
      m.run(map(A, PAGE, { flags: below | Flag.fixed }), map(A + 301 * PAGE, PAGE, { flags: RW | Flag.growsdown }));
      m.run(touch(A + 257 * PAGE), touch(A + 256 * PAGE));
      return m.vmm.machine.vmPages[1];
    };
    expect([grown(RW), grown(0)]).toEqual([46, 47]);
  });

  it('growing a stack gives it a lineage, whatever the access was (mm/vma.c expand_downwards)', () => {
    const m = machine();
    m.run(map(A, PAGE, { flags: RW | Flag.growsdown }), touch(A - PAGE, Op.read), { op: Op.fork, pid: 1, arg: 2 });
    expect([m.anon(1), m.vmPte(2)]).toEqual([0, 12]);
  });

  it('mprotect grants writes at once to pages that are nobody else’s (mm/mprotect.c can_change_pte_writable)', () => {
    const m = machine();
    m.run(map(A, 2 * PAGE), touch(A), protect(A, 2 * PAGE, Flag.r), protect(A, 2 * PAGE, RW), touch(A));
    expect([m.faults(), m.reuses()]).toEqual([1, 0]);
    // A page that was shared by fork is claimed by a fault, even when nobody else is left.
    m.run({ op: Op.fork, pid: 1, arg: 2 }, { op: Op.exit, pid: 2, flags: Flag.group }, protect(A, 2 * PAGE, Flag.r), protect(A, 2 * PAGE, RW), touch(A));
    expect([m.faults(), m.reuses()]).toEqual([2, 1]);
  });

  it('mprotect that changes nothing splits no huge page (mm/mprotect.c mprotect_fixup)', () => {
    const m = huge([], [Op.write]);
    m.run(protect(A, PAGE, RW), { op: Op.fork, pid: 1, arg: 2 }, { op: Op.exit, pid: 2, flags: Flag.group }, touch(A), touch(A + PAGE));
    expect(m.reuses()).toBe(1);
  });

  it('locked memory that becomes writable is written at once (mm/mprotect.c mprotect_fixup)', () => {
    const m = machine();
    m.run(map(A, 2 * PAGE, { flags: Flag.r | Flag.locked | Flag.fixed }), protect(A, PAGE, RW));
    expect([m.anon(), m.breaks()]).toEqual([1, 1]);
  });

  it('MADV_POPULATE_WRITE writes shared pages too (mm/gup.c faultin_page_range)', () => {
    const m = machine();
    m.run({ op: Op.object, arg: 1, size: PAGE, flags: Flag.file }, map(A, PAGE, { arg: 1, flags: RW | Flag.shared | Flag.fixed }));
    m.run({ op: Op.madvise, addr: A, size: PAGE, arg: 23 }, touch(A));
    expect(m.faults()).toBe(1);
  });

  it('mlock after mlock2(MLOCK_ONFAULT) brings pages, growth of what is locked on fault does not (mm/mlock.c, mm/gup.c)', () => {
    const m = machine();
    m.run(map(A, 2 * PAGE), lock(A, 2 * PAGE, Flag.onfault), { op: Op.mremap, addr: A, size: 3 * PAGE, addr2: A, arg: 2 * PAGE });
    expect(m.anon()).toBe(0);
    m.run(lock(A, 3 * PAGE), { op: Op.mremap, addr: A, size: 4 * PAGE, addr2: A, arg: 3 * PAGE });
    expect([m.anon(), m.vmas()]).toEqual([4, 1]);
  });

  it('mlock leaves the vdso’s flags alone but brings its pages (mm/mlock.c mlock_fixup, mm/gup.c __mm_populate)', () => {
    const m = machine();
    m.run(map(A, 2 * PAGE, { flags: Flag.r | Flag.x | Flag.vdso }), map(A + MIB, PAGE, { flags: Flag.r | Flag.vvar }), lock(A, PAGE), lock(A + MIB, PAGE));
    expect([m.file(), m.vmas(), m.faults()]).toEqual([1, 2, 1]);
  });

  it('a growing heap merges with what is below it only (mm/vma.c do_brk_flags)', () => {
    const m = machine();
    m.run({ op: Op.brk, addr: A }, { op: Op.brk, addr: A + PAGE }, map(A + 2 * PAGE, PAGE), { op: Op.brk, addr: A + 2 * PAGE });
    expect(m.vmas()).toBe(2);
  });

  it('a mapping that grows does not merge with what is below it (mm/vma.c vma_merge_extend)', () => {
    const m = machine();
    m.run(map(A, 4 * PAGE), lock(A, 2 * PAGE, Flag.onfault), { op: Op.fork, pid: 1, arg: 2 });
    m.run({ op: Op.mremap, pid: 2, addr: A + 2 * PAGE, size: 3 * PAGE, addr2: A + 2 * PAGE, arg: 2 * PAGE });
    expect(m.vmas(2)).toBe(2);
  });

  it('one that grows up to memory without a lineage merges with it, though its own came by fork (mm/vma.c can_vma_merge_right; seen on Linux 6.18)', () => {
    const m = machine();
    m.run(map(A, 8 * PAGE), lock(A, 2 * PAGE), { op: Op.fork, pid: 1, arg: 2 }, { op: Op.munmap, pid: 2, addr: A + PAGE, size: PAGE });
    expect(m.vmas(2)).toBe(2);
    m.run({ op: Op.mremap, pid: 2, addr: A, size: 2 * PAGE, addr2: A, arg: PAGE });
    expect(m.vmas(2)).toBe(1);
  });

  it('beyond the end of a file the upper tables are made, and what the window holds of it is mapped (mm/memory.c do_read_fault)', () => {
    const m = machine();
    m.run({ op: Op.object, arg: 1, size: 20 * PAGE, flags: Flag.file }, map(A, 64 * PAGE, { arg: 1, flags: Flag.r | Flag.fixed }));
    m.run(touch(A + 40 * PAGE, Op.read));
    expect([m.file(), m.vmPte(), m.faults()]).toEqual([0, 8, 0]);
    m.run(touch(A + 25 * PAGE, Op.read));
    expect([m.file(), m.vmPte(), m.faults()]).toEqual([4, 12, 0]);
  });

  it('MREMAP_DONTUNMAP takes along the PT of a first part of a slot, and whole PDs (mm/mremap.c try_realign_addr, move_normal_pud)', () => {
    const move = (from: number, size: number) => {
      const m = machine();
      m.run(map(from, size), touch(from), touch(from + size - PAGE));
      m.run({ op: Op.mremap, addr: from + 4 * GIB, size, addr2: from, arg: size, flags: Flag.dontunmap | Flag.fixed });
      return m.vmPte();
    };
    // PDPT, and a PD and a PT at the target; the old PD stays unless it moved.
    expect([move(A + PAGE, 2 * MIB - PAGE), move(B, GIB)]).toEqual([16, 16]);
  });

  it('a huge page that MADV_DONTNEED covers is dropped whole (mm/memory.c zap_pmd_range)', () => {
    const m = huge(['pt-reclaim'], [Op.write]);
    m.run({ op: Op.madvise, addr: A, size: 2 * MIB, arg: DONTNEED });
    expect(m.vmPte()).toBe(8);
  });

  it('a page that is shared is of no folio any more', () => {
    const m = machine();
    m.run({ op: Op.object, arg: 1, size: 32 * PAGE, flags: Flag.file }, { op: Op.cache, addr2: 0, size: 32 * PAGE, arg: 1 + 5 * 2 ** 48, flags: Flag.present });
    // The frames of the folio come back, as anonymous pages that are shared then.
    m.run({ op: Op.object, arg: 1, flags: Flag.remove }, map(A, 40 * PAGE));
    m.run(...Array.from({ length: 40 }, (_, i) => touch(A + i * PAGE)), { op: Op.exec, pid: 2 });
    m.run({ op: Op.share, addr: A, size: 40 * PAGE, addr2: A, arg: 2, flags: RW }, touch(A + 20 * PAGE, Op.read, 2));
    expect(m.shmem(2)).toBe(16);
  });
});

describe('rules by name', () => {
  it('an unknown one is answered with the closest', () => {
    expect(() => rulesOf('linux', ['pt-reclam'])).toThrow(/unknown rule 'pt-reclam' of policy 'linux'; known: free-tables, .*did you mean 'pt-reclaim'\?/);
    expect(() => rulesOf('plain', ['reuse'])).toThrow("unknown rule 'reuse' of policy 'plain'; it has none");
  });

  it('plain has none of them, linux all but those left out', () => {
    expect(new Set(Object.values(rulesOf('plain', [])))).toEqual(new Set([0]));
    const rules = rulesOf('linux', ['reuse', 'vdso']);
    expect(Object.entries(rules).flatMap(([name, on]) => (on === 0 ? [name] : []))).toEqual(['vdso', 'reuse']);
  });
});
