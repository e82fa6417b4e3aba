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
  /**
   * The top of list 0 at which the lists hold as many frames as the high mark allows: single frames that come and go change the top alone.
   * The lists hold high - (trip - top of list 0) frames.
   */
  trip = 0,
  high = 1,
  allocFactor = 2,
  freeCount = 3,
  /** 1: the last free was of a high order (PCPF_PREV_FREE_HIGH_ORDER). */
  previousHigh = 4,
  /** Not 0: a free of a single frame has more to do than to be put on the list and counted, even below the trip. */
  busy = 5,
  /** By list: see the head of this file. */
  top = 8,
  bottom = 16,
}

const enum Zone {
  /** 1 while the zone was seen below its high watermark (ZONE_BELOW_HIGH). */
  belowHigh = 0,
  /** 1 if the next request for a single frame will be the first to see it below. */
  turnsLow = 1,
}

const orderOfList = (list: number): number => (list === K.hugeList ? K.hugeOrder : list);

function create({ map, cpus }: PmmOptions): FrameAllocator {
  const total = map.usableFrames;
  const frames = map.frames;
  const held = makeHeld(map);
  const { bits, touched } = held;
  const lists = makeBlockLists(map, [map.usable]);
  const { freeIn } = lists;
  const batch = batchSize(total);
  const { min: highMin, max: highMax } = highMarks(total, total, batch, cpus);
  const highWatermark = watermarks(total, total).high;
  /** No free counts from here on. */
  const mostFreed = batch << K.scaleMax;
  /** A list may be over the high mark by a batch, which is two blocks at least. */
  const capacity = 2 ** (32 - Math.clz32(highMax + 2 * batch + 2 * 512));
  const mask = capacity - 1;
  const ring = reserveInt32(capacity * K.lists * cpus);
  const pcp = new Int32Array(Math.max(cpus * 32, 128));
  const zone = new Int32Array(32);
  /** Requests [0], frees [1], blocks moved to and from the buddies [2], times the zone's lock was taken [3]; refused frees are counted with the requests. */
  const work = new Float64Array(16);
  for (let cpu = 0; cpu < cpus; cpu++) {
    pcp[cpu * 32 + Pcp.high] = Math.min(highMin, highMax);
    pcp[cpu * 32 + Pcp.trip] = pcp[cpu * 32 + Pcp.high]!;
    for (let list = 0; list < K.lists; list++) setBottom(cpu, list, 0);
  }
  settle();

  const clampHigh = (high: number): number => Math.min(Math.max(high, highMin), highMax);
  /** Frames that may still come in. */
  const roomOf = (base: number): number => (pcp[base + Pcp.trip]! - pcp[base + Pcp.top]!) | 0;
  const countOf = (base: number): number => (pcp[base + Pcp.high]! - roomOf(base)) | 0;

  /** The place below a list's last block holds -1, so that taking finds out that the list is empty without looking at its bottom. */
  function setBottom(cpu: number, list: number, bottom: number): void {
    pcp[(cpu << 5) + Pcp.bottom + list] = bottom;
    ring[((cpu * K.lists + list) * capacity + ((bottom - 1) & mask)) | 0] = -1;
  }

  /** Changes the high mark; the number of frames stays what it is. */
  function setHigh(base: number, high: number): void {
    pcp[base + Pcp.trip] = (pcp[base + Pcp.trip]! + high - pcp[base + Pcp.high]!) | 0;
    pcp[base + Pcp.high] = high;
  }

  /**
   * After whatever changes the buddies or the flags: what the short ways look at. Below the high watermark every free lowers the high mark, until it
   * is as low as it gets; then it has as little to do as above it.
   */
  function settle(): void {
    const below = zone[Zone.belowHigh]!;
    zone[Zone.turnsLow] = below === 0 && freeIn[0]! <= highWatermark ? 1 : 0;
    for (let cpu = 0; cpu < cpus; cpu = (cpu + 1) | 0) {
      const base = cpu << 5;
      pcp[base + Pcp.busy] = pcp[base + Pcp.previousHigh]! | pcp[base + Pcp.allocFactor]! | (below !== 0 ? pcp[base + Pcp.high]! - highMin : 0);
    }
  }

  // Single frames have a short way through both functions: what it reads and writes is all that an operation costs.

  function allocate(order: number, _kind: number, cpu: number, _near: number, _owner: number): number {
    work[0]! += 1;
    const base = cpu << 5;
    const top = (pcp[base + Pcp.top]! - 1) | 0;
    const frame = ring[(cpu * K.lists * capacity + (top & mask)) | 0]!;
    if (order !== 0 || frame < 0 || zone[Zone.turnsLow] !== 0) return allocateBlock(order, cpu) | 0;
    pcp[base + Pcp.top] = top;
    pcp[base + Pcp.freeCount] = pcp[base + Pcp.freeCount]! >> 1;
    const word = frame >>> 5;
    bits[word] = bits[word]! | (1 << frame);
    return frame;
  }

  function free(frame: number, order: number, cpu: number): number {
    work[1]! += 1;
    if (order !== 0 || frame < 0 || frame >= frames) return freeBlock(frame, order, cpu);
    const base = cpu << 5;
    const top = pcp[base + Pcp.top]!;
    const word = frame >>> 5;
    const used = bits[word]!;
    const bit = 1 << frame;
    if ((used & bit) === 0 || pcp[base + Pcp.busy] !== 0 || ((pcp[base + Pcp.trip]! - top) | 0) <= 1) return freeBlock(frame, order, cpu) | 0;
    bits[word] = used ^ bit;
    ring[(cpu * K.lists * capacity + (top & mask)) | 0] = frame;
    pcp[base + Pcp.top] = (top + 1) | 0;
    const freed = pcp[base + Pcp.freeCount]!;
    if (freed < mostFreed) pcp[base + Pcp.freeCount] = (freed + 1) | 0;
    return 0;
  }

  function allocateBlock(order: number, cpu: number): number {
    if (order < 0 || order > K.maxOrder) return -1;
    // Each request looks whether it finds the zone below its high watermark (get_page_from_freelist, __zone_watermark_ok).
    if (zone[Zone.belowHigh] === 0 && (freeIn[0]! - ((1 << order) - 1) <= highWatermark || (order !== 0 && !lists.has(order, 0)))) {
      zone[Zone.belowHigh] = 1;
      settle();
    }
    let frame = -1;
    if (order <= K.costlyOrder || order === K.hugeOrder) {
      const list = order === K.hugeOrder ? K.hugeList : order;
      const base = cpu << 5;
      // rmqueue_pcplist
      pcp[base + Pcp.freeCount] = pcp[base + Pcp.freeCount]! >> 1;
      frame = pop(cpu, list, order);
      if (frame < 0) frame = takeAfterRefill(cpu, list, order);
    } else {
      work[3]! += 1;
      frame = lists.take(order, 0);
      if (frame < 0 && drainAll() !== 0) {
        work[3]! += 1;
        frame = lists.take(order, 0);
      }
      touched[frame >>> 10] = 1;
      settle();
    }
    if (frame >= 0) held.take(frame, order);
    return frame;
  }

  /** The youngest block of a list, or -1. */
  function pop(cpu: number, list: number, order: number): number {
    const base = cpu << 5;
    const top = (pcp[base + Pcp.top + list]! - 1) | 0;
    const frame = ring[((cpu * K.lists + list) * capacity + (top & mask)) | 0]!;
    if (frame < 0) return -1;
    pcp[base + Pcp.top + list] = top;
    if (list !== 0) pcp[base + Pcp.trip] = (pcp[base + Pcp.trip]! + (1 << order)) | 0;
    return frame;
  }

  function takeAfterRefill(cpu: number, list: number, order: number): number {
    if (refill(cpu, list, order) === 0 && drainAll() !== 0) refill(cpu, list, order);
    settle();
    return pop(cpu, list, order);
  }

  /** Blocks to bring into an empty list (nr_pcp_alloc). */
  function blocksToBring(base: number, order: number): number {
    setHigh(base, clampHigh(pcp[base + Pcp.high]!));
    let n = order === 0 ? batch << pcp[base + Pcp.allocFactor]! : batch;
    if (highMin !== highMax && zone[Zone.belowHigh] === 0) setHigh(base, Math.min(pcp[base + Pcp.high]! + n, highMax));
    if (order === 0) {
      const most = Math.max(roomOf(base) - batch, batch);
      if (n <= most && pcp[base + Pcp.allocFactor]! < K.scaleMax) pcp[base + Pcp.allocFactor]! += 1;
      n = Math.min(n, most);
    }
    return n > 1 ? Math.max(n >> order, 2) : n;
  }

  /** Brings a batch into an empty list, the first block taken at its top (rmqueue_bulk); the number of blocks. */
  function refill(cpu: number, list: number, order: number): number {
    const base = cpu << 5;
    const want = blocksToBring(base, order);
    work[3]! += 1;
    const start = ((cpu * K.lists + list) * capacity) | 0;
    let bottom = pcp[base + Pcp.top + list]!;
    let n = 0;
    for (; n < want; n = (n + 1) | 0) {
      const frame = lists.take(order, 0);
      if (frame < 0) break;
      touched[frame >>> 10] = 1;
      bottom = (bottom - 1) | 0;
      ring[start + (bottom & mask)] = frame;
    }
    setBottom(cpu, list, bottom);
    pcp[base + Pcp.trip] = (pcp[base + Pcp.trip]! - (n << order)) | 0;
    return n;
  }

  function freeBlock(frame: number, order: number, cpu: number): number {
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    if (order > K.costlyOrder && order !== K.hugeOrder) {
      work[3]! += 1;
      lists.give(frame, order, 0);
      settle();
      return 0;
    }
    // free_unref_page_commit
    const list = order === K.hugeOrder ? K.hugeList : order;
    const base = cpu << 5;
    pcp[base + Pcp.allocFactor] = pcp[base + Pcp.allocFactor]! >> 1;
    const top = pcp[base + Pcp.top + list]!;
    ring[((cpu * K.lists + list) * capacity + (top & mask)) | 0] = frame;
    pcp[base + Pcp.top + list] = (top + 1) | 0;
    if (list !== 0) pcp[base + Pcp.trip] = (pcp[base + Pcp.trip]! - (1 << order)) | 0;
    const freed = pcp[base + Pcp.freeCount]!;
    const isHigh = order > 0 && order <= K.costlyOrder;
    const freeHigh = isHigh && freed >= batch && pcp[base + Pcp.previousHigh] === 1;
    pcp[base + Pcp.previousHigh] = isHigh ? 1 : 0;
    if (freed < mostFreed) pcp[base + Pcp.freeCount] = (freed + (1 << order)) | 0;
    if (freeHigh || zone[Zone.belowHigh] !== 0 || roomOf(base) <= 0) trim(cpu, list, freeHigh);
    else settle();
    return 0;
  }

  /** Sets the high mark anew (nr_pcp_high), and empties the lists down from it (nr_pcp_free). */
  function trim(cpu: number, list: number, freeHigh: boolean): void {
    const base = cpu << 5;
    const count = countOf(base);
    const freed = pcp[base + Pcp.freeCount]!;
    let high = clampHigh(pcp[base + Pcp.high]!);
    setHigh(base, high);
    if (freeHigh) {
      setHigh(base, Math.max(high - (batch << K.scaleMax), highMin));
      high = 0;
    } else if (highMin !== highMax) {
      if (zone[Zone.belowHigh] !== 0) {
        setHigh(base, Math.max(high - Math.max(freed, batch), highMin));
        high = Math.max(count, highMin);
      } else if (count >= high && high < freed + batch) setHigh(base, clampHigh(freed + batch));
    }
    if (count >= high) {
      let n = Math.min(Math.max(freed, batch), high - batch);
      if (freeHigh) n = Math.min(count, batch << K.scaleMax);
      else if (high < batch) n = 1;
      emptyLists(cpu, n, list);
      if (zone[Zone.belowHigh] !== 0 && freeIn[0]! > highWatermark) zone[Zone.belowHigh] = 0;
    }
    settle();
  }

  /** Moves at least `frames` frames from a CPU's lists to the buddies, the oldest of each list first, list by list from `first` on (free_pcppages_bulk). */
  function emptyLists(cpu: number, wanted: number, first: number): void {
    const base = cpu << 5;
    let left = Math.min(wanted, countOf(base));
    let list = first;
    work[3]! += 1;
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
        pcp[base + Pcp.trip] = (pcp[base + Pcp.trip]! + (1 << order)) | 0;
        work[2]! += 1;
      } while (left > 0 && bottom !== top);
      setBottom(cpu, list, bottom);
      list = list === K.lists - 1 ? 0 : (list + 1) | 0;
    }
  }

  /** Empties the lists of all CPUs; the number of frames that were in them. */
  function drainAll(): number {
    let drained = 0;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const count = countOf(cpu << 5);
      drained += count;
      for (let left = count; left > 0; left = countOf(cpu << 5)) emptyLists(cpu, Math.min(left, batch << K.scaleMax), 0);
    }
    return drained;
  }

  function freeFrames(): number {
    let free = freeIn[0]!;
    for (let cpu = 0; cpu < cpus; cpu = (cpu + 1) | 0) free = (free + countOf(cpu << 5)) | 0;
    return free;
  }

  const steps = (): number => work[0]! + work[1]! + work[2]! + lists.steps();

  function validate(): void {
    held.validate('buddy-pcp', total - freeFrames());
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
      if (count !== countOf(cpu * 32)) throw new Error(`buddy-pcp: the lists of CPU ${cpu} hold ${count} frames, ${countOf(cpu * 32)} counted`);
    }
    const free = lists.validate('buddy-pcp', held);
    if (free !== freeIn[0]) throw new Error(`buddy-pcp: ${free} frames with the buddies, ${freeIn[0]} counted`);
  }

  return {
    allocate,
    free,
    freeFrames,
    totalFrames: total,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    sharedUses: () => work[3]!,
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
