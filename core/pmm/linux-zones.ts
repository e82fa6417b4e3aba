/**
 * What Linux computes about a zone before it hands out its first page: watermarks, the frames each zone keeps from requests
 * that could be served higher up, and the sizes of the per-CPU lists. Figures as of Linux 6.12, one node, default sysctls.
 *
 * Sources: mm/page_alloc.c (calculate_min_free_kbytes, __setup_per_zone_wmarks, setup_per_zone_lowmem_reserve, zone_batchsize,
 * zone_highsize, zone_set_pageset_high_and_batch); arch/x86/mm/init.c (zone_sizes_init); Documentation/admin-guide/sysctl/vm.rst.
 * Not modelled: the larger min_free_kbytes that khugepaged asks for while transparent huge pages are on, watermark boosts, ZONE_MOVABLE,
 * pages that the kernel's image and the memory map itself take (managed = usable frames here).
 */
import type { FrameRange, MemoryMap } from './memory-map.js';

/** Zones of x86-64 in the order of their addresses: DMA below 16 MiB, DMA32 below 4 GiB, Normal above. */
export const ZONE_NAMES = ['DMA', 'DMA32', 'Normal'] as const;
const ZONE_ENDS = [2 ** 12, 2 ** 20, 2 ** 31];
/** sysctl_lowmem_reserve_ratio: DMA, DMA32; what lies above a zone, divided by this, is kept free in it. */
const LOWMEM_RESERVE_RATIO = [256, 256];
/** watermark_scale_factor, in ten-thousandths of the zone. */
const WATERMARK_SCALE = 10;
const PAGES_PER_MIB = 256;
/** MIN_PERCPU_PAGELIST_HIGH_FRACTION: the lists of all CPUs together hold at most this part of the zone. */
const HIGH_FRACTION = 8;

export interface Watermarks {
  readonly min: number;
  readonly low: number;
  readonly high: number;
}

/** min_free_kbytes for this much memory: 4 * sqrt(KiB), between 128 KiB and 256 MiB. */
export function minFreeKbytes(lowmemKbytes: number): number {
  const root = Math.floor(Math.sqrt(lowmemKbytes * 16));
  return Math.min(Math.max(root, 128), 262144);
}

/** Watermarks of a zone with `managed` of the `total` frames there are. */
export function watermarks(managed: number, total: number): Watermarks {
  const minPages = Math.floor(minFreeKbytes(total * 4) / 4);
  const min = total === 0 ? 0 : Math.floor((minPages * managed) / total);
  const gap = Math.max(Math.floor(min / 4), Math.floor((managed * WATERMARK_SCALE) / 10000));
  return { min, low: min + gap, high: min + 2 * gap };
}

/** Frames that the zone keeps from requests which may use every zone up to Normal. `managed` by zone. */
export function lowmemReserve(zone: number, managed: readonly number[]): number {
  const ratio = LOWMEM_RESERVE_RATIO[zone];
  if (ratio === undefined || managed[zone] === 0) return 0;
  return Math.floor(managed.slice(zone + 1).reduce((sum, frames) => sum + frames, 0) / ratio);
}

/** Pages moved between a per-CPU list and the zone at a time: 63 from 1 GiB on. */
export function batchSize(managed: number): number {
  const quarter = Math.max(Math.floor(Math.min(managed >>> 10, PAGES_PER_MIB) / 4), 1);
  return Math.max(2 ** (31 - Math.clz32(quarter + (quarter >> 1))) - 1, 1);
}

/** Between these the kernel tunes how many pages the lists of a CPU may hold. */
export function highMarks(managed: number, total: number, batch: number, cpus: number): { min: number; max: number } {
  const share = (pages: number): number => Math.max(Math.floor(pages / cpus), batch * 4);
  return { min: share(watermarks(managed, total).low), max: share(Math.floor(managed / HIGH_FRACTION)) };
}

/** The usable ranges of each zone, cut at the zones' ends. */
export function zoneRanges(map: MemoryMap): FrameRange[][] {
  return ZONE_ENDS.map((end, zone) => {
    const from = zone === 0 ? 0 : ZONE_ENDS[zone - 1]!;
    return map.usable
      .map(({ first, count }) => ({ first: Math.max(first, from), end: Math.min(first + count, end) }))
      .filter((range) => range.first < range.end)
      .map((range) => ({ first: range.first, count: range.end - range.first }));
  });
}

export const framesOfRanges = (ranges: readonly FrameRange[]): number => ranges.reduce((sum, { count }) => sum + count, 0);
