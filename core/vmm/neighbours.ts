/**
 * Where a page would best lie: the wish (`near`, core/pmm/near.ts) that goes with a request for a frame of user memory. Only strategies that
 * place by it are asked with one (FrameAllocator.near); for all others nothing of this runs.
 *
 * A page continues the nearest page of its 2 MiB that has a frame; where the strategy follows the whole mapping, else the page before it, the
 * page behind it, or the page of its mapping that was given a frame last. To continue is to take the frame at the same distance.
 * Frames that somebody else maps too are not continued: after a fork they are the parent's run.
 */
import { Attr, type PageTables } from '../../arch/arch.js';
import { reserveFloat64, reserveInt32 } from '../../arch/reserve.js';
import { NEAR_UNKNOWN, nearOfMapping } from '../pmm/near.js';
import { PIECE_FRAMES, type Frames } from './frames.js';
import type { VmaStore } from './vma-store.js';

/** Pages in 2^30 bytes, what an address's upper half counts. */
const SPLIT_PAGES = 2 ** 18;
/** Ids of VMAs are below this (vma-tree.ts). */
const MAX_VMAS = 2 ** 22;

export interface NeighbourOptions {
  readonly tables: PageTables;
  readonly vmas: VmaStore;
  readonly frames: Frames;
  /** Tree of VMAs, by space. */
  readonly tree: Int32Array;
  readonly zeroFrame: number;
}

export function makeNeighbours({ tables, vmas, frames, tree, zeroFrame }: NeighbourOptions) {
  const { pt, findLeaf } = tables;
  const { start, end, find } = vmas;
  const { ref } = frames;
  const total = frames.map.frames;
  /** 0: the PMM heeds no wishes; 1: within 2 MiB; 2: from any neighbour. */
  const wishes = frames.pmm.near === undefined ? 0 : frames.pmm.near === 'superpage' ? 1 : 2;
  /** By VMA: space, page and frame of the last page that got one. Ids are used again, so the space and the bounds are looked at. */
  const lastSpace = reserveInt32(wishes !== 2 ? 32 : MAX_VMAS);
  const lastFrame = reserveInt32(wishes !== 2 ? 32 : MAX_VMAS);
  const lastPage = reserveFloat64(wishes !== 2 ? 32 : MAX_VMAS);

  /** Frame of a page of the space that nobody else maps, or -1. */
  function ownFrame(s: number, page: number): number {
    const hi = Math.floor(page / SPLIT_PAGES);
    const q = findLeaf(s, hi, (page - hi * SPLIT_PAGES) << 12);
    if (q < 0) return -1;
    const inLeaf = (pt[q]! & Attr.large) === 0 ? 0 : page & (PIECE_FRAMES - 1);
    const f = pt[(q + 1) | 0]! + inLeaf;
    return f === zeroFrame || f >= total || ref[f] !== 1 ? -1 : f;
  }

  /** The wish from the nearest page with a frame in the same 2 MiB of the mapping, or -1. */
  function inSuperpage(s: number, page: number, first: number, end: number): number {
    const low = Math.max(first, page - (((page % PIECE_FRAMES) + PIECE_FRAMES) % PIECE_FRAMES));
    const high = Math.min(end, low - (((low % PIECE_FRAMES) + PIECE_FRAMES) % PIECE_FRAMES) + PIECE_FRAMES);
    for (let away = 1; page - away >= low || page + away < high; away = (away + 1) | 0) {
      const before = page - away >= low ? ownFrame(s, page - away) : -1;
      if (before >= 0 && before + away < total) return before + away;
      const behind = page + away < high ? ownFrame(s, page + away) : -1;
      if (behind >= away) return behind - away;
    }
    return -1;
  }

  /** The wish from the pages at both ends of [page, page + pages), or from the page of the mapping that was placed last; else -1. */
  function inMapping(s: number, v: number, page: number, pages: number): number {
    const before = page > start[v]! ? ownFrame(s, page - 1) : -1;
    if (before >= 0) return before + 1;
    const behind = page + pages < end[v]! ? ownFrame(s, page + pages) : -1;
    if (behind >= pages) return behind - pages;
    const known = lastSpace[v] === s + 1 && lastPage[v]! >= start[v]! && lastPage[v]! < end[v]!;
    return known ? lastFrame[v]! + (page - lastPage[v]!) : -1;
  }

  /** The wish for `pages` pages (1, or a huge page's 512) at an address of the space. */
  function nearOf(s: number, hi: number, lo: number, pages: number): number {
    const page = hi * SPLIT_PAGES + (lo >>> 12);
    const v = find(tree[s]!, page);
    if (v === 0) return NEAR_UNKNOWN;
    const first = start[v]!;
    let wish = pages === 1 ? inSuperpage(s, page, first, end[v]!) : -1;
    if (wish < 0 && wishes === 2) wish = inMapping(s, v, page, pages);
    return wish >= 0 && wish < total ? wish : nearOfMapping(page, page - first, end[v]! - first);
  }

  /** The page at the address has got a frame. */
  function placed(s: number, hi: number, lo: number, f: number): void {
    if (wishes !== 2) return;
    const page = hi * SPLIT_PAGES + (lo >>> 12);
    const v = find(tree[s]!, page);
    lastSpace[v] = s + 1;
    lastPage[v] = page;
    lastFrame[v] = f;
  }

  return {
    /** The PMM heeds wishes. Looked at before the calls: the path of every fault pays for a call even if it answers at once. */
    wished: wishes !== 0,
    nearOf,
    placed,
  };
}
