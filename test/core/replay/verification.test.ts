/** Samples and recorded faults against the model: counted, judged, and the first that is wrong is named with what led to it. */
import { describe, expect, it } from 'vitest';
import { Flag, Op, Quantity } from '../../../traces/event.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { replayed, verified } from './verifying.js';

const A = 0x7f00_0000_0000;
const PAGE = 4096;
const RW = Flag.r | Flag.w;
const mapped: Fields = { op: Op.mmap, addr: A, size: 16 * PAGE, flags: RW };
const fault = (op: Op, page: number, more: Partial<Fields> = {}): Fields => ({ op, addr: A + page * PAGE, size: 1, flags: Flag.fault, ...more });
const present = { flags: Flag.fault | Flag.present };
const sample = (quantity: Quantity, size: number, more: Partial<Fields> = {}): Fields => ({ op: Op.sample, arg: quantity, size, ...more });

describe('samples', () => {
  it('are exact when each is met', () => {
    const events = [mapped, fault(Op.write, 0), sample(Quantity.RssAnon, 4), sample(Quantity.VmSize, 64), fault(Op.write, 1), sample(Quantity.RssAnon, 8)];
    expect(verified(events)).toMatchObject({
      verdict: 'exact',
      quantities: [
        { quantity: 'vm_size_kb', verdict: 'exact', samples: 1, racy: 0, exact: 1, max_error: 0 },
        { quantity: 'rss_anon_kb', verdict: 'exact', samples: 2, racy: 0, exact: 2, max_error: 0 },
      ],
      divergences: [],
      unmatched: { count: 0, first_event: null },
    });
  });

  it('that are not: the first is named with the last exact one, the last event and its mapping', () => {
    const events: Fields[] = [
      { op: Op.exec, text: 'cat' },
      mapped,
      fault(Op.write, 3),
      sample(Quantity.RssAnon, 4),
      fault(Op.write, 5),
      sample(Quantity.RssAnon, 4),
      sample(Quantity.RssAnon, 100),
    ];
    const { verdict, quantities, divergences, processes } = verified(events);
    expect(verdict).toBe('differs');
    expect(quantities).toEqual([{ quantity: 'rss_anon_kb', verdict: 'differs', samples: 3, racy: 0, exact: 1, max_error: 92 }]);
    expect(divergences).toEqual([
      {
        quantity: 'rss_anon_kb',
        event: 5,
        time: 5000,
        pid: 1,
        command: 'cat',
        measured: 4,
        predicted: 8,
        since: 3,
        after: { event: 4, op: 'write', address: A + 5 * PAGE, area: { start: A, end: A + 16 * PAGE, protection: 'rw-p', name: '' } },
      },
    ]);
    expect(processes).toEqual([{ pid: 1, command: 'cat', quantity: 'rss_anon_kb', samples: 3, racy: 0, exact: 1, lowest_error: -92, highest_error: 4 }]);
  });

  it('that are racy are counted apart and never judged, right or wrong', () => {
    const racy = { flags: Flag.racy };
    const events = [mapped, sample(Quantity.VmSize, 64), sample(Quantity.VmSize, 64, racy), sample(Quantity.VmSize, 1, racy)];
    expect(verified(events)).toMatchObject({ verdict: 'exact', quantities: [{ samples: 1, racy: 2, exact: 1, max_error: 0 }], divergences: [] });
    expect(verified(events.slice(0, 1).concat(events.slice(2)))).toMatchObject({ verdict: 'unsampled', quantities: [{ samples: 0, racy: 2, exact: 0 }] });
  });

  it('of how many of the address spaces that fork and exec made', () => {
    const exact = (pid: number): Fields => sample(Quantity.VmSize, 64, { pid });
    const forked: Fields[] = [mapped, exact(1), { op: Op.fork, arg: 2 }, exact(2), exact(2)];
    // The first process was there before the recording; a vfork's child has its parent's space until its exec.
    const vforked: Fields[] = [{ op: Op.vfork, arg: 3, flags: Flag.vm }, exact(3), { op: Op.exec, pid: 3, text: 'cat' }];
    expect(verified([...forked, ...vforked]).address_spaces).toEqual({ count: 2, sampled: 1 });
    expect(verified([...forked, ...vforked, sample(Quantity.VmSize, 0, { pid: 3, flags: Flag.racy })]).address_spaces).toEqual({ count: 2, sampled: 1 });
    expect(verified([...forked, ...vforked, sample(Quantity.VmSize, 0, { pid: 3 })]).address_spaces).toEqual({ count: 2, sampled: 2 });
  });

  it('of nobody are never exact', () => {
    expect(verified([mapped])).toMatchObject({ verdict: 'unsampled', quantities: [] });
    expect(verified([mapped, sample(Quantity.VmSize, 64), sample(Quantity.VmSize, 64, { pid: 9 })])).toMatchObject({
      verdict: 'differs',
      unmatched: { count: 1, first_event: 2 },
    });
  });

  it('of what the model has no value for are named', () => {
    expect(verified([mapped, sample(Quantity.VmSize, 64), sample(Quantity.majorFaults, 3)])).toMatchObject({
      verdict: 'exact',
      not_predicted: ['major_faults'],
    });
  });
});

describe('recorded faults', () => {
  it('are expected where the model faults the same way', () => {
    const events = [mapped, fault(Op.read, 0), fault(Op.write, 0, present), fault(Op.write, 1), { op: Op.fork, arg: 2 }, fault(Op.write, 1, present)];
    const more = [fault(Op.write, 1, { pid: 2, ...present })];
    expect(verified([...events, ...more]).faults).toEqual({
      recorded: 5,
      predicted: 5,
      breaks_recorded: 3,
      breaks_predicted: 3,
      breaks_copied: 2,
      breaks_reused: 1,
      error_codes: true,
      unexpected: 0,
      surprises: [],
    });
  });

  it('are surprises, by access and cause, where it does not', () => {
    const events = [
      mapped,
      fault(Op.write, 0),
      fault(Op.write, 0, present),
      fault(Op.read, 1),
      fault(Op.write, 1),
      fault(Op.write, 2, present),
      fault(Op.read, 40),
      ...[0, 0, 0, 0].map(() => fault(Op.read, 0)),
    ];
    const { faults } = verified(events);
    expect(faults).toMatchObject({ recorded: 10, predicted: 4, breaks_recorded: 2, breaks_predicted: 1, unexpected: 8 });
    expect(faults?.surprises.map(({ access, cause, count, places }) => [access, cause, count, places.map(({ event }) => event)])).toEqual([
      ['read', 'the model has the page mapped and allows the access: no fault expected', 4, [7, 8, 9]],
      ['write', 'the model has the page mapped and allows the access: no fault expected', 1, [2]],
      ['write', 'recorded on a present page, in the model nothing maps the page', 1, [5]],
      ['write', 'recorded on an absent page, in the model the page is mapped and write-protected', 1, [4]],
      ['read', 'the model refuses the access', 1, [6]],
    ]);
    expect(faults?.surprises[4].places).toEqual([{ event: 6, time: 6000, pid: 1, command: '', address: A + 40 * PAGE, area: null }]);
  });

  it('without error codes do not say whether a page was present', () => {
    const { faults } = verified([mapped, fault(Op.read, 0), fault(Op.write, 0), fault(Op.write, 0)]);
    expect(faults).toMatchObject({ error_codes: false, breaks_recorded: 0, breaks_predicted: 1, unexpected: 1, surprises: [{ access: 'write', count: 1 }] });
  });

  it('are none in a recording of every access', () => {
    expect(verified([mapped, { op: Op.write, addr: A, size: 8 }]).faults).toBe(null);
  });
});

describe('RssFile under the policy that follows the kernel', () => {
  const file: readonly Fields[] = [
    { op: Op.object, pid: -1, arg: 7, size: 64 * PAGE, flags: Flag.file, text: '/lib/libc.so.6' },
    { op: Op.mmap, addr: A, size: 64 * PAGE, flags: Flag.r, arg: 7 },
    fault(Op.read, 0),
    sample(Quantity.RssFile, 64),
    fault(Op.read, 20),
  ];
  const linux = { spec: { policy: 'linux' } } as const;

  it('may leave what was measured where fault-around maps pages', () => {
    const events = [...file, sample(Quantity.RssFile, 120), sample(Quantity.RssFile, 120)];
    expect(verified(events, linux)).toMatchObject({ verdict: 'limited', limits: [{ quantity: 'rss_file_kb', pids: [1], samples: 2 }] });
  });

  it.each([
    ['at another moment', [sample(Quantity.RssFile, 128), sample(Quantity.RssFile, 120)], linux],
    ['when it comes back at another moment', [sample(Quantity.RssFile, 120), sample(Quantity.RssFile, 128)], linux],
    [
      'when the recording follows the page cache',
      [{ op: Op.cache, pid: -1, arg: 7, size: PAGE, addr2: 60 * PAGE, flags: Flag.present }, sample(Quantity.RssFile, 120)],
      linux,
    ],
    ['without a rule', [sample(Quantity.RssFile, 120)], { spec: { policy: 'linux', without: ['vdso'] } }],
    ['under the textbook', [sample(Quantity.RssFile, 120)], {}],
  ])('but not %s', (_, samples, circumstances) => {
    expect(verified([...file, ...samples], circumstances)).toMatchObject({ verdict: 'differs', limits: [] });
  });
});

it('names mappings as /proc/PID/maps does', () => {
  const place = (flags: number, object = 0, more: readonly Fields[] = []): unknown => {
    const { divergences } = verified([
      { op: Op.object, pid: -1, arg: 7, size: 16 * PAGE, flags: Flag.file, text: '/lib/libc.so.6' },
      { op: Op.mmap, addr: A, size: 16 * PAGE, flags, arg: object },
      ...more,
      sample(Quantity.VmSize, 1),
    ]);
    return [divergences[0].after?.area?.protection, divergences[0].after?.area?.name];
  };
  expect(place(Flag.r | Flag.x, 7)).toEqual(['r-xp', '/lib/libc.so.6']);
  expect(place(RW | Flag.shared)).toEqual(['rw-s', '']);
  expect(place(RW | Flag.growsdown)).toEqual(['rw-p', '[stack]']);
  expect(place(Flag.r | Flag.x | Flag.vdso)).toEqual(['r-xp', '[vdso]']);
  expect(place(Flag.r | Flag.vvar)).toEqual(['r--p', '[vvar]']);
});

it('what is not covered is told from the header, the losses and the events', () => {
  const plain = [mapped, sample(Quantity.VmSize, 64)];
  expect(verified(plain, { kernel: { release: '6.18.2', thp: 'madvise' } }).not_covered).toEqual([]);
  const advised = [12, 14, 21, 25].map((arg): Fields => ({ op: Op.madvise, addr: A, size: PAGE, arg }));
  const high: Fields = { op: Op.mmap, addr: 2 ** 47 - PAGE, size: 2 * PAGE, flags: RW };
  const { not_covered } = verified([...plain, ...advised, high], {
    kernel: { release: '5.10.0-9', thp: 'always' },
    losses: ['hugetlb mapping, imported as small pages'],
  });
  const words = [/Linux 5\.10\.0-9/, /RSS is approximate/, /`always`/, /hugetlb mappings: 1/, /khugepaged/, /MADV_COLLAPSE/, /KSM/, /swap/, /5-level/];
  expect(not_covered.map((line, i) => words[i].test(line))).toEqual(words.map(() => true));
});

it('a run that does not ask for it is not verified, and says the same otherwise', () => {
  const events = [mapped, fault(Op.read, 0), fault(Op.write, 0, present), sample(Quantity.RssAnon, 4), { op: Op.munmap, addr: A, size: 16 * PAGE }];
  const { verification, timing, ...watched } = replayed(events);
  const { timing: other, ...alone } = replayed(events, { spec: { verify: false } });
  expect(verification).toBeDefined();
  expect(alone).toEqual(watched);
  expect([timing.wall_s > 0, other.wall_s > 0]).toEqual([true, true]);
});
