import { describe, expect, it } from 'vitest';
import { Flag, Op } from '../../../traces/event.js';
import { pageAllocFormat } from '../../../traces/formats/page-alloc.js';
import { detectFormat } from '../../../traces/registry.js';
import { importBytes } from './importing.js';

const PERF = [
  '             cc1  9273/9274  [000] 11902.536283510: kmem:mm_page_alloc: page=0x1ffc7e pfn=0x1ffc7e order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_ZERO',
  '  a b: (sd-pam)    12/12    [001] 11902.536440226: kmem:mm_page_alloc: page=0x1000 pfn=0x1000 order=3 migratetype=0 gfp_flags=GFP_KERNEL',
  '         swapper     0/0     [001] 11902.536440300: kmem:mm_page_free: page=0x1000 pfn=0x1000 order=3',
  '             cc1  9273/9274  [000] 11902.536450000: kmem:mm_page_alloc: page=(nil) pfn=0x0 order=9 migratetype=1 gfp_flags=GFP_TRANSHUGE',
  '             cc1  9273/9274  [000] 11902.536460000: kmem:mm_page_alloc: page=0x77 pfn=0x77 order=0 migratetype=2 gfp_flags=GFP_NOFS|__GFP_RECLAIMABLE',
  '             cc1  9273/9274  [000] 11902.536470000: kmem:mm_page_free_batched: page=0x77 pfn=0x77 order=0',
  '             cc1  9273/9274  [000] 11902.536470000: kmem:mm_page_alloc_zone_locked: page=0x77 pfn=0x77 order=0 migratetype=1 cpu=0 percpu_refill=1',
  '             cc1  9273/9274  [000] 11902.536480000: kmem:mm_page_alloc: page=0x78 pfn=0x78 order=0 migratetype=3 gfp_flags=GFP_ATOMIC',
].join('\n');

const fields = (text: string) => importBytes(pageAllocFormat, text);

describe('page-alloc', () => {
  it('reads what perf script prints', async () => {
    const { events, losses, header } = await fields(`${PERF}\n`);
    expect(losses).toEqual([]);
    expect(events.map(({ time, pid, tid, op, addr, arg, flags, cpu }) => [time, pid, tid, op, addr, arg, flags, cpu])).toEqual([
      [0, 9273, 9274, Op.page_alloc, 0x1ffc7e, 0, Flag.movable, 0],
      [156716, 12, 12, Op.page_alloc, 0x1000, 3, Flag.unmovable, 1],
      [156790, 0, 0, Op.page_free, 0x1000, 3, 0, 1],
      [176490, 9273, 9274, Op.page_alloc, 0x77, 0, Flag.reclaimable, 0],
      [196490, 9273, 9274, Op.page_alloc, 0x78, 0, Flag.unmovable, 0],
    ]);
    expect(header).toMatchObject({ source: 'page-alloc', clock: 'monotonic', provenance: { refused_allocations: '1', clock_start: '11902.536283510' } });
  });

  it('reads what tracefs prints, with call chains and the events of others among them', async () => {
    const { events, losses } = await fields(
      [
        '# tracer: nop',
        '#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION',
        '         python3-1587    [000] ...1.  1746.820267: rss_stat: mm_id=617169566 curr=1 type=MM_FILEPAGES size=1298432B',
        '         python3-1587    [000] .....  1746.821085: mm_page_alloc: page=000000003e4ad104 pfn=0x23e8dd order=0 migratetype=0 gfp_flags=GFP_KERNEL_ACCOUNT',
        '         python3-1587    [000] .....  1746.821090: <stack trace>',
        ' => trace_event_raw_event_mm_page_alloc',
        ' => __alloc_pages',
        '          <idle>-0       [001] d....  1746.821128: mm_page_free: page=0000000072c1cf4e pfn=0x23e8de order=2',
        '',
      ].join('\n'),
    );
    expect(events.map(({ time, tid, op, addr, arg, flags, cpu }) => [time, tid, op, addr, arg, flags, cpu])).toEqual([
      [0, 1587, Op.page_alloc, 0x23e8dd, 0, Flag.unmovable, 0],
      [43000, 0, Op.page_free, 0x23e8de, 2, 0, 1],
    ]);
    expect(losses).toEqual([]);
  });

  it('reads pfns in decimal, as kernels before 5.2 print them, and thread groups of tracefs', async () => {
    const { events } = await fields('  kworker/u4:2-77  (  70) [003] d..1  10.000002: mm_page_free: page=ffffea0000 pfn=4242 order=1\n');
    expect(events).toMatchObject([{ tid: 77, op: Op.page_free, addr: 4242, arg: 1, cpu: 3 }]);
  });

  it('counts what it cannot read, and what the recorder lost', async () => {
    const { events, losses } = await fields(
      [
        'hello',
        'cc1 1/1 [000] 1.000000000: kmem:mm_page_alloc: page=0x1 pfn=0xz order=0 migratetype=1',
        'cc1 1/1 [000] 1.000000000: kmem:mm_page_free: page=0x1 pfn=0x1',
        'cc1 1/1 [000] 1.000000000: kmem:mm_page_free: page=0x1 pfn=0xffffffffffff order=0',
        'cc1 x [000] now: kmem:mm_page_free: page=0x1 pfn=0x1 order=0',
        'CPU:1 [LOST 77 EVENTS]',
        'cc1 1/1 [000] 1.000000000: kmem:mm_page_free: page=0x1 pfn=0x1 order=0',
        '# a comment',
        '',
      ].join('\n'),
    );
    expect(events).toHaveLength(1);
    expect(losses).toEqual([
      { cause: 'line that is no event', count: 1, first: 'sample:1' },
      { cause: 'event of the page allocator without a readable pfn and order', count: 3, first: 'sample:2' },
      { cause: 'event of the page allocator without a readable time and thread', count: 1, first: 'sample:5' },
      { cause: 'events that the recorder lost', count: 1, first: 'sample:6' },
    ]);
  });

  it('cut off anywhere, it reads what is whole', async () => {
    for (let end = 0; end <= PERF.length; end++) {
      const { events } = await fields(PERF.slice(0, end));
      expect(events.length).toBeLessThanOrEqual(5);
    }
  });

  it('is told from a recording of a program by what most events are', () => {
    expect(detectFormat(PERF, 'x').name).toBe('page-alloc');
    const faults = Array.from(
      { length: 20 },
      (_, i) => `cc1 1/1 [000] 1.0000000${10 + i}: exceptions:page_fault_user: address=0x7f0${i}000 ip=0x1 error_code=0x6`,
    ).join('\n');
    expect(detectFormat(`${faults}\n${PERF}`, 'x').name).toBe('perf');
  });
});
