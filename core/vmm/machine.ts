/**
 * The simulated machine that the VMM's parts share: frames, page tables, lookup unit, VMA store, kernel heap, page index of objects,
 * and the columns of every address space. Made once per isolate, so that all its typed arrays are constants of the compiled code.
 *
 * Order of construction matters: the ledger first, then the zero page, the tables, the lookup unit, the kernel's own objects.
 */
import type { Architecture, PageTables } from '../../arch/arch.js';
import { FrameKind } from '../../arch/arch.js';
import { reserveFloat64, reserveInt32 } from '../../arch/reserve.js';
import { makeKernelHeap } from '../heap/kernel-heap.js';
import { KernelCache } from '../heap/kernel-heap-contract.js';
import type { KernelHeap } from '../heap/kernel-heap-contract.js';
import type { LookupConfig } from '../lookup/lookup-contract.js';
import { makeLookup } from '../lookup/lookup.js';
import type { FrameAllocator } from '../pmm/allocator.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import { makeFrames, PIECE_FRAMES, Use } from './frames.js';
import { makeNeighbours } from './neighbours.js';
import { makePageIndex } from './page-index.js';
import { PLAIN } from './policies.js';
import type { Rules } from './policies.js';
import { makeRejections } from './rejections.js';
import { makeVmaStore } from './vma-tree.js';

/** Address spaces, processes and objects that may live at once; their columns are reserved, not touched. */
export const MAX_SPACES = 1 << 16;
export const MAX_OBJECTS = 1 << 20;

/** Software bits of a leaf (Attr.avl10, Attr.avl11) are free; Attr.shared marks shared mappings. */

export interface MachineOptions {
  readonly arch: Architecture;
  readonly pmm: FrameAllocator;
  readonly map: MemoryMap;
  readonly lookup: LookupConfig;
  readonly cpus: number;
  /** The VMM's own objects take frames from the PMM. */
  readonly kernelHeap: boolean;
  readonly maxVmas?: number;
  /** What the policy does; the textbook's if not given. */
  readonly rules?: Rules;
}

/** Words of `huge`, the state of 2 MiB leaves over all spaces. */
export const enum HugeCell {
  /** Leaves that stand. */
  leaves = 0,
  /** Leaves dropped since their deposited tables were last let go. */
  dropped = 1,
  /** First frame of the huge zero page, -1 = not made, and the leaves that map it. */
  zero = 2,
  zeroUses = 3,
}

export type Machine = ReturnType<typeof makeMachine>;

/** A kernel heap that costs nothing (`--kernel-heap off`): handles are counted, no frame is taken. */
function freeKernelHeap(): KernelHeap {
  let live = 0;
  return {
    alloc: () => ++live,
    free: () => {
      live--;
    },
    allocBytes: () => ++live,
    reap: () => undefined,
    liveBytes: () => 0,
    heldBytes: () => 0,
    caches: () => [],
    eachFrame: () => undefined,
    validate: () => undefined,
  };
}

export function makeMachine(options: MachineOptions) {
  const rejections = makeRejections();
  const frames = makeFrames(options.pmm, options.map, rejections.event);
  const { ref, use, put, release } = frames;

  const zeroFrame = frames.take(Use.kernel, FrameKind.unmovable, -1, -1);
  /** The space whose leaves are being dropped; -1: the kernel's, whose frames are nobody's; -2: one that ends, whose resident pages need no count. */
  const dropping = new Int32Array(32).fill(-1);
  /** Resident pages: space * 8 + use; index 0 of each holds their sum. */
  const rss = reserveInt32(MAX_SPACES * 8);
  const rssPeak = reserveInt32(MAX_SPACES * 8);

  // Leaves of the zero page hold nothing. They are mixed with others at random, so that is added as a number, not branched on.
  function dropped(f: number): void {
    const s = dropping[0]!;
    if (s === -1) return;
    const hold = +(f !== zeroFrame);
    if (s >= 0) {
      const b = s << 3;
      const u = b | use[f]!;
      rss[u] = (rss[u]! - hold) | 0;
      rss[b] = (rss[b]! - hold) | 0;
    }
    const r = (ref[f]! - hold) | 0;
    if (r > 0) ref[f] = r;
    else release(f);
  }
  function copied(f: number): void {
    ref[f] = (ref[f]! + +(f !== zeroFrame)) | 0;
  }

  const rules = options.rules ?? PLAIN;
  /** See HugeCell. */
  const huge = new Int32Array(32);
  huge[HugeCell.zero] = -1;
  /** The space that a fork fills, whose resident pages are counted leaf by leaf. */
  const copying = new Int32Array(32);

  /** 1: a fork once gave the anonymous frame to two spaces, and no write has claimed it since (the inverse of PageAnonExclusive). */
  const forkedFrames = new Uint8Array(rules.linux !== 0 ? options.map.frames : 0);

  /** `dropped` and `copied` where leaves may be huge and a fork copies only some. */
  function droppedLeaf(f: number, _flags: number, level: number): void {
    if (level === 1) {
      dropped(f);
      return;
    }
    huge[HugeCell.leaves]! -= 1;
    huge[HugeCell.dropped]! += 1;
    if (f === huge[HugeCell.zero]) {
      huge[HugeCell.zeroUses]! -= 1;
      return;
    }
    const s = dropping[0]!;
    if (s >= 0) {
      rss[(s << 3) | Use.anonymous]! -= PIECE_FRAMES;
      rss[s << 3]! -= PIECE_FRAMES;
    }
    frames.putHuge(f);
  }
  function copiedLeaf(f: number, _flags: number, level: number): void {
    const b = copying[0]! << 3;
    if (level === 1) {
      if (f === zeroFrame) return;
      ref[f] = (ref[f]! + 1) | 0;
      forkedFrames[f] = 1;
      const u = b | use[f]!;
      rss[u] = (rss[u]! + 1) | 0;
      rss[b] = (rss[b]! + 1) | 0;
      return;
    }
    huge[HugeCell.leaves]! += 1;
    if (f === huge[HugeCell.zero]) {
      huge[HugeCell.zeroUses]! += 1;
      return;
    }
    for (let g = f; g < f + PIECE_FRAMES; g = (g + 1) | 0) ref[g] = (ref[g]! + 1) | 0;
    forkedFrames.fill(1, f, f + PIECE_FRAMES);
    rss[b | Use.anonymous]! += PIECE_FRAMES;
    rss[b]! += PIECE_FRAMES;
  }

  const tables: PageTables = options.arch.create({
    frames: frames.tableFrames,
    totalFrames: options.map.frames,
    maxSpaces: MAX_SPACES,
    observer: rules.linux !== 0 ? { dropped: droppedLeaf, copied: copiedLeaf } : { dropped, copied },
  });
  const lookup = makeLookup({ config: options.lookup, tables, cpus: options.cpus, maxSpaces: MAX_SPACES });
  const vmas = makeVmaStore(options.maxVmas === undefined ? {} : { maxVmas: options.maxVmas });
  const kernelHeap = options.kernelHeap
    ? makeKernelHeap({
        take: () => frames.take(Use.kernel, FrameKind.kernel, -1, -1),
        give: (f) => {
          frames.release(f);
        },
      })
    : freeKernelHeap();
  const pages = makePageIndex({
    takeNode: () => kernelHeap.alloc(KernelCache.node),
    giveNode: (handle) => kernelHeap.free(handle),
    dropped: (f) => {
      if (f !== zeroFrame) put(f);
    },
    maxObjects: MAX_OBJECTS * 2,
  });
  /** Tree of VMAs, by space. */
  const tree = new Int32Array(MAX_SPACES);

  return {
    arch: options.arch,
    cpus: options.cpus,
    rules,
    huge,
    copying,
    forkedFrames,
    rejections,
    frames,
    zeroFrame,
    dropping,
    rss,
    rssPeak,
    tables,
    lookup,
    vmas,
    kernelHeap,
    pages,
    neighbours: makeNeighbours({ tables, vmas, frames, tree, zeroFrame }),
    // ---- columns of the address spaces
    /** Processes that share the space; 0 = the index is free. */
    users: new Int32Array(MAX_SPACES),
    tree,
    spaceHandle: new Int32Array(MAX_SPACES),
    /** mlockall(MCL_FUTURE). */
    lockFuture: new Int32Array(MAX_SPACES),
    leafTablesPeak: new Int32Array(MAX_SPACES),
    tablesPeak: new Int32Array(MAX_SPACES),
    vmasPeak: new Int32Array(MAX_SPACES),
    /** Pages of all VMAs (VmSize / 4 KiB) and its peak. */
    vmPages: new Float64Array(MAX_SPACES),
    vmPagesPeak: new Float64Array(MAX_SPACES),
    /** Program break in bytes, -1 = not set since exec; and where it began. */
    brk: new Float64Array(MAX_SPACES),
    brkStart: new Float64Array(MAX_SPACES),
    /** Lowest address the next top-down placement may reach (VPN). */
    mmapCursor: new Float64Array(MAX_SPACES),
    /** Pages of VMAs that hold heap blocks, over all spaces and its peak, and live block bytes: see core/heap. */
    heapPages: new Float64Array(2),
    /** Frames whose content was copied, CoW breaks, minor and major faults, reuses, zero-page maps, forks. */
    counters: new Float64Array(16),
    /** [0] current process slot, for fault attribution. */
    current: new Int32Array(32),
    /** Minor faults and CoW breaks by process slot. */
    processFaults: reserveFloat64(MAX_PROCESSES),
    processBreaks: reserveFloat64(MAX_PROCESSES),
  };
}

/** Distinct pids over a whole run; a slot keeps its peaks after the process has gone. */
export const MAX_PROCESSES = 1 << 20;

/** Indices into `counters`. */
export const enum VmmCounter {
  minorFaults = 0,
  majorFaults = 1,
  cowBreaks = 2,
  copiedFrames = 3,
  reuses = 4,
  zeroMaps = 5,
  demandZero = 6,
  forks = 7,
  execs = 8,
  exits = 9,
  implicitMappings = 10,
  implicitProcesses = 11,
  kmaps = 12,
  stackGrowths = 13,
}
