/**
 * Strategy `llfree`: LLFree's two levels. Below, a bit field and a counter for each 2 MiB (llfree-lower.ts); above, trees of
 * eight such children, 16 MiB, of which each CPU reserves one and allocates from it alone.
 *
 * Sources: Wrenger et al., LLFree: Scalable and Optionally-Persistent Page-Frame Allocation, USENIX ATC 2023, sections 3 and 4;
 * github.com/luhsra/llfree-rs core/src/llfree.rs and trees.rs as of 2024 (the search for a tree to reserve). Without lock-free
 * updates, which a replay does not need, and without persistence.
 *
 * allocate: from the CPU's tree, at the row of its last allocation. A tree's counter has two parts: what its CPU knows of, and what other
 * CPUs freed in it since; if the first is too small, the second is added to it. If the tree has nothing, another one is reserved, beginning
 * near the old one (or at the CPU's share of memory, if it has none), the first of:
 *
 *   1. trees nearby with 1/16 to 1/2 of their frames free,
 *   2. trees a little further with 1/64 to 15/16 of them free,
 *   3. any tree with enough free frames,
 *
 * looked at alternately after and before the start. If there is none, all reservations are given up and 3 is tried again.
 * free: into the CPU's own tree, or else into the tree's counter for all; after four frees in one tree a CPU reserves it for
 * itself, if more than 1/16 of it is free, so that it fills up what it empties.
 * Not modelled: tiers (separate trees for huge and for movable frames).
 */
import { MAX_ORDER, type FrameAllocator, type PmmOptions, type PmmStrategy } from './allocator.js';
import { makeHeld } from './held.js';
import { makeLower } from './llfree-lower.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum K {
  maxOrder = 10,
  treeShift = 12,
  treeFrames = 4096,
  /** Entries of the tree array in a cache line: where searches are aligned. */
  line = 16,
  /** Frees in one tree after which it is reserved. */
  frees = 4,
}

/** Words of a CPU, from cpu * 8 on. */
const enum Local {
  /** Reserved tree or -1. */
  tree = 0,
  /** Free frames in it that the CPU knows of. */
  free = 1,
  /** Row of the last allocation. */
  row = 2,
  /** Tree of the last frees, and how many there were before the last one. */
  freedTree = 3,
  frees = 4,
}

function create({ map, cpus }: PmmOptions): FrameAllocator {
  const held = makeHeld(map);
  const lower = makeLower(map, held);
  const { trees, childFree, fullRows, mixed } = lower;
  const { bits } = held;
  /** Free frames of each tree, but for those that the CPU which reserved it knows of. */
  const treeFree = reserveInt32(trees);
  const reserved = reserveUint8(trees);
  const local = new Int32Array(Math.max(cpus * 8, 128));
  /** Trees that there are for each CPU. */
  const share = Math.floor(trees / cpus);
  /** Trees nearby. */
  const near = Math.min(Math.max(share >> 2, K.line / 4), K.line * 2);
  /** Requests and trees looked at [0], frees [1], updates of the tree array [2]. */
  const work = new Float64Array(16);
  for (const { first, count } of map.usable)
    for (let tree = first >>> K.treeShift; tree <= (first + count - 1) >>> K.treeShift; tree++) treeFree[tree] = lower.freeInTree(tree);
  for (let cpu = 0; cpu < cpus; cpu++) local.fill(-1, cpu * 8, cpu * 8 + 8);

  /** The short way: a single frame from the row of the last allocation, where the CPU knows of free frames in its tree. */
  function allocate(order: number, _kind: number, cpu: number, _near: number, _owner: number): number {
    work[0]! += 1;
    const base = cpu << 3;
    const free = local[base + Local.free]!;
    if (order !== 0 || free <= 0) return allocateBlock(order, cpu) | 0;
    const row = local[base + Local.row]!;
    const used = bits[row]!;
    // A child that is a hole has no free frame, though no bit of it is set.
    const inChild = childFree[row >>> 4]!;
    if (used === -1 || inChild === 0 || mixed[row >>> 4]! !== 0) return allocateBlock(order, cpu) | 0;
    local[base + Local.free] = (free - 1) | 0;
    const bit = ~used & (used + 1);
    const frame = ((row << 5) + 31 - Math.clz32(bit)) | 0;
    held.take(frame, 0);
    if ((used | bit) === -1) fullRows[row >>> 4] = fullRows[row >>> 4]! | (1 << (row & 15));
    childFree[row >>> 4] = inChild - 1;
    return frame;
  }

  function allocateBlock(order: number, cpu: number): number {
    if (order < 0 || order > K.maxOrder) return -1;
    const base = cpu << 3;
    const size = 1 << order;
    const tree = local[base + Local.tree]!;
    if (tree >= 0) {
      let free = local[base + Local.free]!;
      if (free < size && free + treeFree[tree]! >= size) {
        free = (free + treeFree[tree]!) | 0;
        treeFree[tree] = 0;
        work[2]! += 1;
        local[base + Local.free] = free;
      }
      if (free >= size) {
        const frame = lower.get(tree, local[base + Local.row]!, order);
        if (frame >= 0) {
          local[base + Local.free] = (free - size) | 0;
          local[base + Local.row] = frame >>> 5;
          return frame;
        }
      }
    }
    return reserveTree(order, cpu);
  }

  function reserveTree(order: number, cpu: number): number {
    const tree = local[(cpu << 3) + Local.tree]!;
    const from = tree >= 0 ? tree : Math.imul(share, cpu);
    const start = from & -K.line;
    const size = 1 << order;
    let frame = search(start, 1, near, Math.max(size, K.treeFrames / 16), K.treeFrames / 2, order, cpu);
    if (frame < 0) frame = search(start, 1, 2 * near, Math.max(size, K.treeFrames / 64), K.treeFrames - K.treeFrames / 16, order, cpu);
    if (frame < 0) frame = search(start, 0, trees, size, K.treeFrames, order, cpu);
    if (frame < 0 && drain() !== 0) frame = search(start, 0, trees, size, K.treeFrames, order, cpu);
    return frame;
  }

  /** Reserves the first tree with low to high free frames that has a block, and takes it; -1 if there is none. */
  function search(start: number, first: number, end: number, low: number, high: number, order: number, cpu: number): number {
    let frame = -1;
    let i = first | 0;
    for (; frame < 0 && (i = nextFit(start, i, end, low, high)) < end; i = (i + 1) | 0) {
      const tree = treeAt(start, i);
      frame = lower.get(tree, tree << 7, order);
      if (frame >= 0) swap(cpu, tree, (treeFree[tree]! - (1 << order)) | 0, frame >>> 5);
    }
    work[0]! += i - first;
    return frame;
  }

  /** The trees in the order of a search: start, start - 1, start + 1, start - 2, and so on, as on a ring. */
  function treeAt(start: number, i: number): number {
    let tree = (start + ((i >> 1) ^ -(i & 1))) | 0;
    while (tree >= trees) tree = (tree - trees) | 0;
    while (tree < 0) tree = (tree + trees) | 0;
    return tree;
  }

  /** The first of them, from `first` on, that nobody has reserved and that has low to high free frames; `end` if there is none. */
  function nextFit(start: number, first: number, end: number, low: number, high: number): number {
    const from = start | 0;
    const least = low | 0;
    const most = high | 0;
    const stop = end | 0;
    let i = first | 0;
    for (; i < stop; i = (i + 1) | 0) {
      const tree = treeAt(from, i);
      const free = treeFree[tree]!;
      if (free >= least && free <= most && reserved[tree] === 0) break;
    }
    return i;
  }

  /** The CPU gives up its tree for another one, of whose free frames it knows. */
  function swap(cpu: number, tree: number, free: number, row: number): void {
    giveUp(cpu);
    const base = cpu << 3;
    reserved[tree] = 1;
    treeFree[tree] = 0;
    work[2]! += 1;
    local[base + Local.tree] = tree;
    local[base + Local.free] = free;
    local[base + Local.row] = row;
  }

  function giveUp(cpu: number): number {
    const base = cpu << 3;
    const tree = local[base + Local.tree]!;
    if (tree < 0) return 0;
    treeFree[tree] = (treeFree[tree]! + local[base + Local.free]!) | 0;
    reserved[tree] = 0;
    work[2]! += 1;
    local[base + Local.tree] = -1;
    local[base + Local.free] = 0;
    return 1;
  }

  /** Ends all reservations; how many there were. */
  function drain(): number {
    let n = 0;
    for (let cpu = 0; cpu < cpus; cpu++) n += giveUp(cpu);
    return n;
  }

  function free(frame: number, order: number, cpu: number): number {
    work[1]! += 1;
    const code = held.give(frame, order, K.maxOrder);
    if (code !== 0) return code;
    if (order === 0) {
      const child = frame >>> 9;
      childFree[child] = childFree[child]! + 1;
      fullRows[child] = fullRows[child]! & ~(1 << ((frame >>> 5) & 15));
    } else lower.give(frame, order);
    const base = cpu << 3;
    const tree = frame >>> K.treeShift;
    const size = 1 << order;
    let mayReserve = false;
    if (local[base + Local.freedTree]! !== tree) {
      local[base + Local.freedTree] = tree;
      local[base + Local.frees] = 0;
    } else if (local[base + Local.frees]! >= K.frees) mayReserve = true;
    else local[base + Local.frees] = (local[base + Local.frees]! + 1) | 0;
    if (local[base + Local.tree]! === tree) {
      local[base + Local.free] = (local[base + Local.free]! + size) | 0;
      return 0;
    }
    const now = (treeFree[tree]! + size) | 0;
    treeFree[tree] = now;
    work[2]! += 1;
    if (mayReserve && reserved[tree] === 0 && now > K.treeFrames / 16) swap(cpu, tree, now, tree << 7);
    return 0;
  }

  const steps = (): number => work[0]! + work[1]! + lower.steps();

  function validate(): void {
    held.validate('llfree');
    lower.validate();
    const known = new Map<number, number>();
    for (let cpu = 0; cpu < cpus; cpu++) {
      const tree = local[cpu * 8 + Local.tree]!;
      if (tree < 0) continue;
      if (known.has(tree)) throw new Error(`llfree: tree ${tree} is reserved twice`);
      known.set(tree, local[cpu * 8 + Local.free]!);
    }
    for (let tree = 0; tree < trees; tree++) {
      const mine = known.get(tree);
      if ((mine !== undefined) !== (reserved[tree] === 1))
        throw new Error(`llfree: tree ${tree} is ${mine === undefined ? 'marked as ' : 'not marked as '}reserved`);
      const counted = treeFree[tree]! + (mine ?? 0);
      if (counted !== lower.freeInTree(tree)) throw new Error(`llfree: tree ${tree} has ${lower.freeInTree(tree)} free frames, ${counted} counted`);
    }
  }

  return {
    allocate,
    free,
    freeFrames: held.freeFrames,
    totalFrames: map.usableFrames,
    maxOrder: MAX_ORDER,
    freeBlocks: (order) => held.freeBlocks(order, steps()),
    steps,
    sharedUses: () => work[2]!,
    isFree: held.isFree,
    validate,
  };
}

export const llfree: PmmStrategy = {
  name: 'llfree',
  title: 'LLFree: bit fields and counters per 2 MiB, trees of 16 MiB reserved per CPU',
  source: 'Wrenger et al., LLFree, USENIX ATC 2023; github.com/luhsra/llfree-rs',
  create,
};
