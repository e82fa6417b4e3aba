/**
 * Strategy `buddy-zones`: binary buddies in the three zones of a PC, with the watermarks that decide which zone serves a
 * request. DMA lies below 16 MiB, DMA32 below 4 GiB, Normal above.
 *
 * Source: Linux 6.12 mm/page_alloc.c (get_page_from_freelist, __zone_watermark_ok, __alloc_pages_slowpath, build_zonerefs_node),
 * the figures: linux-zones.ts. Every request may use all zones and asks for Normal first, then DMA32, then DMA; each zone below
 * keeps lowmem_reserve frames for those who cannot go higher. A request tries all zones three times:
 *
 *   1. above low + reserve (the fast path; below it, kswapd would wake),
 *   2. above min + reserve (the slow path, ALLOC_WMARK_MIN),
 *   3. whatever is free (ALLOC_NO_WATERMARKS). Linux would reclaim before that; a replay has nothing to reclaim, and a frame that is free
 *      is not refused here.
 *
 * Not modelled: requests for a lower zone (GFP_DMA, GFP_DMA32), ZONE_MOVABLE, reclaim, watermark boosts, high-atomic reserves,
 * per-CPU lists (`buddy-pcp`), migrate types (`buddy-migrate`), NUMA.
 * `steps` counts zones looked at and the nodes of their lists.
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeBlockLists } from './block-lists.js';
import { makeHeld } from './held.js';
import { framesOfRanges, lowmemReserve, watermarks, ZONE_NAMES, zoneRanges } from './linux-zones.js';

const enum K {
  maxOrder = 10,
  zones = 3,
  dmaEnd = 1 << 12,
  dma32End = 1 << 20,
}

function create({ map }: PmmOptions): FrameAllocator {
  const total = map.usableFrames;
  const ranges = zoneRanges(map);
  const managed = ranges.map(framesOfRanges);
  const held = makeHeld(map);
  const lists = makeBlockLists(map, ranges);
  const { freeIn } = lists;
  /** By pass * 8 + zone: what must be left after the request for the zone to serve it. */
  const marks = new Int32Array(32);
  managed.forEach((frames, zone) => {
    const { min, low } = watermarks(frames, total);
    const reserve = lowmemReserve(zone, managed);
    marks[zone] = low + reserve;
    marks[8 + zone] = min + reserve;
    marks[16 + zone] = -1;
  });
  /** Zones looked at by allocates [0], frees [1]. */
  const work = new Float64Array(16);

  function allocate(order: number, _kind: number, _cpu: number, _near: number, _owner: number): number {
    if (order < 0 || order > K.maxOrder) {
      work[0]! += 1;
      return -1;
    }
    const more = ((1 << order) - 1) | 0;
    let examined = 0;
    for (let pass = 0; pass < 24; pass = (pass + 8) | 0) {
      for (let zone = K.zones - 1; zone >= 0; zone = (zone - 1) | 0) {
        examined = (examined + 1) | 0;
        // __zone_watermark_ok: strictly more than the mark, and a block that is large enough.
        if (((freeIn[zone]! - more) | 0) <= marks[pass + zone]! || !lists.has(order, zone)) continue;
        const frame = lists.take(order, zone);
        held.take(frame, order);
        work[0]! += examined;
        return frame;
      }
    }
    work[0]! += examined;
    return -1;
  }

  function free(frame: number, order: number, _cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code === 0) lists.give(frame, order, zoneOf(frame));
    return code;
  }

  const zoneOf = (frame: number): number => (frame < K.dmaEnd ? 0 : frame < K.dma32End ? 1 : 2);

  function validate(): void {
    held.validate('buddy-zones');
    const free = lists.validate('buddy-zones', held);
    if (free !== held.freeFrames()) throw new Error(`buddy-zones: the zones hold ${free} free frames, but ${held.freeFrames()} are free`);
    ZONE_NAMES.forEach((name, zone) => {
      let inZone = 0;
      for (const { first, count } of ranges[zone] ?? []) for (let frame = first; frame < first + count; frame++) inZone += held.isFree(frame);
      if (inZone !== freeIn[zone]!) throw new Error(`buddy-zones: zone ${name} has ${inZone} free frames, ${freeIn[zone]} counted`);
    });
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: total,
    maxOrder: MAX_ORDER,
    freeBlocks: lists.freeBlocks,
    steps: () => work[0]! + work[1]! + lists.steps(),
    isFree: held.isFree,
    validate,
  };
}

export const buddyZones: PmmStrategy = {
  name: 'buddy-zones',
  title: 'Binary buddies in zones DMA, DMA32 and Normal, with watermarks and lowmem reserves',
  source: 'Linux 6.12 mm/page_alloc.c (get_page_from_freelist, __setup_per_zone_wmarks, setup_per_zone_lowmem_reserve)',
  create,
};
