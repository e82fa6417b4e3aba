/** Naive twins of `buddy-zones` and `buddy-migrate`, after the text of Linux' mm/page_alloc.c. */
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { framesOf, NaiveBuddy, usableFrames, type Twin } from './pmm-twin.js';

const DMA = 0;
const DMA32 = 1;
const NORMAL = 2;

export function zonesTwin(map: MemoryMap): Twin {
  const zoneOf = (frame: number): number => (frame < 16 * 256 ? DMA : frame < 4 * 1024 * 256 ? DMA32 : NORMAL);
  const buddy = new NaiveBuddy(map, zoneOf);
  const frames = usableFrames(map);
  const managed = [DMA, DMA32, NORMAL].map((zone) => frames.filter((frame) => zoneOf(frame) === zone).length);
  const minAll = Math.floor(Math.max(128, Math.floor(Math.sqrt(frames.length * 4 * 16))) / 4);
  const min = managed.map((n) => Math.floor((minAll * n) / frames.length));
  const low = min.map((n, zone) => n + Math.max(Math.floor(n / 4), Math.floor(((managed[zone] ?? 0) * 10) / 10000)));
  const above = (zone: number): number => managed.slice(zone + 1).reduce((a, b) => a + b, 0);
  const reserve = [DMA, DMA32, NORMAL].map((zone) => ((managed[zone] ?? 0) > 0 && zone !== NORMAL ? Math.floor(above(zone) / 256) : 0));
  const nothing = [-Infinity, -Infinity, -Infinity];
  return {
    allocate(order) {
      if (order > 10) return -1;
      for (const marks of [low, min, nothing]) {
        for (const zone of [NORMAL, DMA32, DMA]) {
          const left = buddy.free(zone) - (2 ** order - 1);
          if (left > (marks[zone] ?? 0) + (reserve[zone] ?? 0) && buddy.has(order, zone)) return buddy.take(order, zone);
        }
      }
      return -1;
    },
    free: (frame, order) => buddy.give(frame, order, zoneOf(frame)),
  };
}

const MOVABLE = 0;
const UNMOVABLE = 1;
const RECLAIMABLE = 2;
const FALLBACKS = [
  [RECLAIMABLE, UNMOVABLE],
  [RECLAIMABLE, MOVABLE],
  [UNMOVABLE, MOVABLE],
];
const PAGEBLOCK = 512;

export function migrateTwin(map: MemoryMap): Twin {
  const buddy = new NaiveBuddy(map);
  const usable = new Set(usableFrames(map));
  const lowest = map.usable[0]?.first ?? 0;
  /** Type of each pageblock that is not movable. */
  const types = new Map<number, number>();
  /** Type that each frame handed out was asked for with. */
  const used = new Map<number, number>();
  const typeAt = (frame: number): number => types.get(Math.floor(frame / PAGEBLOCK)) ?? MOVABLE;

  function suitable(order: number, type: number): number | undefined {
    return (FALLBACKS[type] ?? []).find((other) => buddy.list(order, other).length > 0);
  }

  function claim(block: number, type: number, from: number): boolean {
    const frames = framesOf(block * PAGEBLOCK, 9);
    if ((frames[0] ?? 0) < lowest || (frames.at(-1) ?? 0) >= map.frames) return false;
    const free = frames.filter((frame) => usable.has(frame) && !used.has(frame)).length;
    const movable = frames.filter((frame) => used.get(frame) === MOVABLE).length;
    const alike = type === MOVABLE ? movable : from === MOVABLE ? PAGEBLOCK - free - movable : 0;
    if (free + alike < PAGEBLOCK / 2) return false;
    for (const frame of frames) {
      for (let order = 0; order < 9; order++) {
        if (!buddy.list(order, from).includes(frame)) continue;
        buddy.remove(frame, order);
        buddy.list(order, type).unshift(frame); // the end of the list, as the last element goes first
      }
    }
    types.set(block, type);
    return true;
  }

  function steal(order: number, type: number): number {
    let at = 10;
    while (at >= order && suitable(at, type) === undefined) at--;
    if (at < order) return -1;
    const mayClaim = at >= 4 || type !== MOVABLE;
    if (!mayClaim) for (at = order; suitable(at, type) === undefined; ) at++;
    const from = suitable(at, type) ?? MOVABLE;
    const frame = buddy.list(at, from).at(-1) ?? -1;
    if (at >= 9) {
      buddy.list(at, from).pop();
      for (const f of framesOf(frame, at)) types.set(Math.floor(f / PAGEBLOCK), type);
      return buddy.split(frame, order, at, type);
    }
    if (mayClaim && claim(Math.floor(frame / PAGEBLOCK), type, from)) return buddy.take(order, type);
    buddy.list(at, from).pop();
    return buddy.split(frame, order, at, from);
  }

  return {
    allocate(order, kind) {
      if (order > 10) return -1;
      const type = kind === 1 ? MOVABLE : kind === 2 ? RECLAIMABLE : UNMOVABLE;
      let frame = buddy.take(order, type);
      if (frame < 0) frame = steal(order, type);
      if (frame >= 0) for (const f of framesOf(frame, order)) used.set(f, type);
      return frame;
    },
    free(frame, order) {
      for (const f of framesOf(frame, order)) used.delete(f);
      const pieces = order === 10 ? [frame, frame + PAGEBLOCK] : [frame];
      for (const piece of pieces) {
        const type = typeAt(piece);
        buddy.give(piece, Math.min(order, 9), type);
        const pair = Math.floor(piece / 1024) * 1024;
        if (!buddy.list(10, type).includes(pair)) continue;
        types.set(pair / PAGEBLOCK, type);
        types.set(pair / PAGEBLOCK + 1, type);
      }
    },
  };
}
