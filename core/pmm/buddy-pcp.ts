/**
 * Strategy `buddy-pcp`: binary buddies of one zone with per-CPU lists of free pages in front of them. Orders 0-3 and the
 * order of a huge page are served from the CPU's own lists, which are refilled from the buddies and emptied to them a batch
 * at a time.
 *
 * Source: Linux 6.12 mm/page_alloc.c (rmqueue_pcplist, __rmqueue_pcplist, nr_pcp_alloc, rmqueue_bulk, free_unref_page_commit,
 * nr_pcp_free, nr_pcp_high, free_pcppages_bulk, drain_all_pages); batch and high mark: linux-zones.ts. A CPU's lists may hold
 * `high` frames, which is tuned between high_min and high_max: it grows while pages are asked for or freed in a row, and
 * shrinks while the zone is below its high watermark.
 *
 * Frames in the lists are free. When the buddies cannot serve a request, the lists of all CPUs are drained and it is tried
 * once more, as Linux does after a reclaim that freed nothing. `freeBlocks` counts what the buddies would hold then.
 * Not modelled: migrate types, reclaim, the cache's size (PCPF_FREE_HIGH_BATCH), the decay of idle lists (decay_pcp_high),
 * which depends on a clock, and zones (see `buddy-zones`).
 *
 * A list is a ring of first frames. Its youngest end is `top`, where pages are freed and taken; batches leave at `bottom`:
 *
 *     ring[base + (i & mask)], bottom <= i < top
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { makeHeld } from './held.js';
import { batchSize, highMarks, watermarks } from './linux-zones.js';
import { reserveInt32 } from './reserve.js';

const enum K {
  maxOrder = 10,
  /** PAGE_ALLOC_COSTLY_ORDER. */
  costlyOrder = 3,
  hugeOrder = 9,
  /** Lists of a CPU: orders 0-3 and huge pages. */
  lists = 5,
  hugeList = 4,
  /** CONFIG_PCP_BATCH_SCALE_MAX. */
  scaleMax = 5,
}

/** Words of a CPU, from cpu * 32 on. */
const enum Pcp {
  /** Frames in its lists. */
  count = 0,
  high = 1,
  allocFactor = 2,
  freeCount = 3,
  /** 1: the last free was of a high order (PCPF_PREV_FREE_HIGH_ORDER). */
  previousHigh = 4,
  /** By list: see the head of this file. */
  top = 8,
  bottom = 16,
}

const orderOfList = (list: number): number => (list === K.hugeList ? K.hugeOrder : list);

function create({ map, cpus }: PmmOptions): FrameAllocator {
  const total = map.usableFrames;
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable]);
  const { freeIn } = lists;
  const batch = batchSize(total);
  const { min: highMin, max: highMax } = highMarks(total, total, batch, cpus);
  const highWatermark = watermarks(total, total).high;
  /** A list may be over the high mark by a batch, which is two blocks at least. */
  const capacity = 2 ** (32 - Math.clz32(highMax + 2 * batch + 2 * 512));
  const mask = capacity - 1;
  const ring = reserveInt32(capacity * K.lists * cpus);
  const pcp = new Int32Array(Math.max(cpus * 32, 128));
  /** [0] 1 while the zone was seen below its high watermark (ZONE_BELOW_HIGH). */
  const zone = new Int32Array(32);
  /** Requests [0], frees [1], blocks moved to and from the buddies [2]. */
  const work = new Float64Array(16);
  for (let cpu = 0; cpu < cpus; cpu++) pcp[cpu * 32 + Pcp.high] = Math.min(highMin, highMax);

  const clampHigh = (high: number): number => Math.min(Math.max(high, highMin), highMax);

  function allocate(order: number, _kind: number, cpu: number, _near: number, _owner: number): number {
    work[0]! += 1;
    if (order < 0 || order > K.maxOrder) return -1;
    noteWatermark(order);
    let frame = -1;
    if (order <= K.costlyOrder || order === K.hugeOrder) {
      const list = order === K.hugeOrder ? K.hugeList : order;
      const base = cpu << 5;
      // rmqueue_pcplist
      pcp[base + Pcp.freeCount] = pcp[base + Pcp.freeCount]! >> 1;
      const top = pcp[base + Pcp.top + list]!;
      if (top === pcp[base + Pcp.bottom + list]!) {
        frame = takeAfterRefill(cpu, list, order);
      } else {
        frame = ring[((cpu * K.lists + list) * capacity + ((top - 1) & mask)) | 0]!;
        pcp[base + Pcp.top + list] = (top - 1) | 0;
        pcp[base + Pcp.count] = (pcp[base + Pcp.count]! - (1 << order)) | 0;
      }
    } else {
      frame = lists.take(order, 0);
      if (frame < 0 && drainAll() !== 0) frame = lists.take(order, 0);
    }
    if (frame >= 0) held.take(frame, order);
    return frame;
  }

  /** Each request looks whether it brings the zone below its high watermark (get_page_from_freelist, __zone_watermark_ok). */
  function noteWatermark(order: number): void {
    if (zone[0] === 0 && (freeIn[0]! - ((1 << order) - 1) <= highWatermark || (order !== 0 && !lists.has(order, 0)))) zone[0] = 1;
  }

  function takeAfterRefill(cpu: number, list: number, order: number): number {
    if (refill(cpu, list, order) === 0 && (drainAll() === 0 || refill(cpu, list, order) === 0)) return -1;
    const base = cpu << 5;
    const top = (pcp[base + Pcp.top + list]! - 1) | 0;
    pcp[base + Pcp.top + list] = top;
    pcp[base + Pcp.count] = (pcp[base + Pcp.count]! - (1 << order)) | 0;
    return ring[((cpu * K.lists + list) * capacity + (top & mask)) | 0]!;
  }

  /** Blocks to bring into an empty list (nr_pcp_alloc). */
  function blocksToBring(base: number, order: number): number {
    pcp[base + Pcp.high] = clampHigh(pcp[base + Pcp.high]!);
    let high = pcp[base + Pcp.high]!;
    let n = order === 0 ? batch << pcp[base + Pcp.allocFactor]! : batch;
    if (highMin !== highMax && zone[0] === 0) {
      high = Math.min(high + n, highMax);
      pcp[base + Pcp.high] = high;
    }
    if (order === 0) {
      const most = Math.max(high - pcp[base + Pcp.count]! - batch, batch);
      if (n <= most && pcp[base + Pcp.allocFactor]! < K.scaleMax) pcp[base + Pcp.allocFactor]! += 1;
      n = Math.min(n, most);
    }
    return n > 1 ? Math.max(n >> order, 2) : n;
  }

  /** Brings a batch into an empty list, the first block taken at its top (rmqueue_bulk); the number of blocks. */
  function refill(cpu: number, list: number, order: number): number {
    const base = cpu << 5;
    const want = blocksToBring(base, order);
    const start = ((cpu * K.lists + list) * capacity) | 0;
    let bottom = pcp[base + Pcp.top + list]!;
    let n = 0;
    for (; n < want; n = (n + 1) | 0) {
      const frame = lists.take(order, 0);
      if (frame < 0) break;
      bottom = (bottom - 1) | 0;
      ring[start + (bottom & mask)] = frame;
    }
    pcp[base + Pcp.bottom + list] = bottom;
    pcp[base + Pcp.count]! += n << order;
    return n;
  }

  function free(frame: number, order: number, cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    if (order > K.costlyOrder && order !== K.hugeOrder) {
      lists.give(frame, order, 0);
      return 0;
    }
    // free_unref_page_commit
    const list = order === K.hugeOrder ? K.hugeList : order;
    const base = cpu << 5;
    pcp[base + Pcp.allocFactor] = pcp[base + Pcp.allocFactor]! >> 1;
    const top = pcp[base + Pcp.top + list]!;
    ring[((cpu * K.lists + list) * capacity + (top & mask)) | 0] = frame;
    pcp[base + Pcp.top + list] = (top + 1) | 0;
    const count = (pcp[base + Pcp.count]! + (1 << order)) | 0;
    pcp[base + Pcp.count] = count;
    const freed = pcp[base + Pcp.freeCount]!;
    const freeHigh = order > 0 && order <= K.costlyOrder && freed >= batch && pcp[base + Pcp.previousHigh] === 1;
    pcp[base + Pcp.previousHigh] = order > 0 && order <= K.costlyOrder ? 1 : 0;
    if (freed < batch << K.scaleMax) pcp[base + Pcp.freeCount] = (freed + (1 << order)) | 0;
    if (freeHigh || zone[0] !== 0 || count >= pcp[base + Pcp.high]!) trim(cpu, list, freeHigh);
    return 0;
  }

  /** Sets the high mark anew (nr_pcp_high), and empties the lists down from it (nr_pcp_free). */
  function trim(cpu: number, list: number, freeHigh: boolean): void {
    const base = cpu << 5;
    const count = pcp[base + Pcp.count]!;
    const freed = pcp[base + Pcp.freeCount]!;
    let high = clampHigh(pcp[base + Pcp.high]!);
    pcp[base + Pcp.high] = high;
    if (freeHigh) {
      pcp[base + Pcp.high] = Math.max(high - (batch << K.scaleMax), highMin);
      high = 0;
    } else if (highMin !== highMax) {
      if (zone[0] !== 0) {
        pcp[base + Pcp.high] = Math.max(high - Math.max(freed, batch), highMin);
        high = Math.max(count, highMin);
      } else if (count >= high && high < freed + batch) pcp[base + Pcp.high] = clampHigh(freed + batch);
    }
    if (count < high) return;
    let n = Math.min(Math.max(freed, batch), high - batch);
    if (freeHigh) n = Math.min(count, batch << K.scaleMax);
    else if (high < batch) n = 1;
    emptyLists(cpu, n, list);
    if (zone[0] !== 0 && freeIn[0]! > highWatermark) zone[0] = 0;
  }

  /** Moves at least `frames` frames from a CPU's lists to the buddies, the oldest of each list first, list by list from `first` on (free_pcppages_bulk). */
  function emptyLists(cpu: number, frames: number, first: number): void {
    const base = cpu << 5;
    let left = Math.min(frames, pcp[base + Pcp.count]!);
    let list = first;
    while (left > 0) {
      while (pcp[base + Pcp.top + list]! === pcp[base + Pcp.bottom + list]!) list = list === K.lists - 1 ? 0 : (list + 1) | 0;
      const order = orderOfList(list);
      const start = ((cpu * K.lists + list) * capacity) | 0;
      let bottom = pcp[base + Pcp.bottom + list]!;
      const top = pcp[base + Pcp.top + list]!;
      do {
        lists.give(ring[start + (bottom & mask)]!, order, 0);
        bottom = (bottom + 1) | 0;
        left = (left - (1 << order)) | 0;
        pcp[base + Pcp.count] = (pcp[base + Pcp.count]! - (1 << order)) | 0;
        work[2]! += 1;
      } while (left > 0 && bottom !== top);
      pcp[base + Pcp.bottom + list] = bottom;
      list = list === K.lists - 1 ? 0 : (list + 1) | 0;
    }
  }

  /** Empties the lists of all CPUs; the number of frames that were in them. */
  function drainAll(): number {
    let drained = 0;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const count = pcp[(cpu << 5) + Pcp.count]!;
      drained += count;
      for (let left = count; left > 0; left = pcp[(cpu << 5) + Pcp.count]!) emptyLists(cpu, Math.min(left, batch << K.scaleMax), 0);
    }
    return drained;
  }

  const steps = (): number => work[0]! + work[1]! + work[2]! + lists.steps();

  function validate(): void {
    held.validate('buddy-pcp');
    let cached = 0;
    const seen = new Set<number>();
    for (let cpu = 0; cpu < cpus; cpu++) {
      let count = 0;
      for (let list = 0; list < K.lists; list++) {
        const order = orderOfList(list);
        const length = (pcp[cpu * 32 + Pcp.top + list]! - pcp[cpu * 32 + Pcp.bottom + list]!) | 0;
        if (length < 0 || length > capacity) throw new Error(`buddy-pcp: list ${list} of CPU ${cpu} holds ${length} blocks`);
        for (let i = 0; i < length; i++) {
          const frame = ring[(cpu * K.lists + list) * capacity + ((pcp[cpu * 32 + Pcp.bottom + list]! + i) & mask)]!;
          const what = `buddy-pcp: block ${frame} of order ${order} in a list of CPU ${cpu}`;
          if (frame % 2 ** order !== 0 || held.isFree(frame) === 0 || !held.isClear(frame, order)) throw new Error(`${what} is not free`);
          for (let f = frame; f < frame + 2 ** order; f++) {
            if (seen.has(f)) throw new Error(`${what} is in a list twice`);
            seen.add(f);
          }
          if (lists.blockAround(frame, order) >= 0) throw new Error(`${what} is with the buddies too`);
        }
        count += length * 2 ** order;
      }
      if (count !== pcp[cpu * 32 + Pcp.count]!)
        throw new Error(`buddy-pcp: the lists of CPU ${cpu} hold ${count} frames, ${pcp[cpu * 32 + Pcp.count]} counted`);
      cached += count;
    }
    const free = lists.validate('buddy-pcp', held);
    if (free + cached !== held.freeFrames())
      throw new Error(`buddy-pcp: ${free} frames in the buddies and ${cached} in lists, but ${held.freeFrames()} are free`);
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: total,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    isFree: held.isFree,
    validate,
  };
}

export const buddyPcp: PmmStrategy = {
  name: 'buddy-pcp',
  title: 'Binary buddies with per-CPU page lists, batch and high mark as Linux computes them',
  source: 'Linux 6.12 mm/page_alloc.c (rmqueue_pcplist, free_unref_page_commit, zone_batchsize, zone_highsize)',
  create,
};
