/**
 * The pages of shared objects: page number within the object -> frame, one radix tree per object.
 *
 * Models: the page cache's XArray (Linux lib/xarray.c, include/linux/xarray.h): nodes of 64 slots (XA_CHUNK_SHIFT 6), a tree no higher than its largest
 * page needs (xas_expand), nodes that go when they are empty (xas_delete_node), a tree that shrinks while only slot 0 of its root is
 * used (xas_shrink), and no node at all while page 0 is the only one. So the number of nodes, and with it the kernel memory, is Linux' own
 * for base pages. Each node is paid for by a handle on the kernel heap.
 *
 * Does not model: marks (dirty, writeback), entries of several pages (folios), shadow entries.
 *
 * Object o: roots[4 o] = what its root holds, [4 o + 1] = height, [4 o + 2] = pages.
 *
 *      height 0   empty, or page 0's frame + 1 in the root itself
 *      height h   a node; slot i of a node at level l (1 = leaf) holds pages i * 64^(l-1) and on: a node number, or frame + 1 in a leaf
 *
 * One long factory because the functions share the captured arrays: closures over `const` typed arrays compile to constant addresses.
 */
import { reserveInt32 } from '../../arch/reserve.js';
import { ENOMEM } from '../../arch/arch.js';
import { UserError } from '../../traces/event.js';

/** Pages of an object are numbered below this. */
export const MAX_PAGE = 2 ** 40;

const enum Root {
  shift = 2,
  head = 0,
  height = 1,
  pages = 2,
}

const enum Meta {
  shift = 2,
  count = 0,
  handle = 1,
  /** Which slots are used: 0-31, 32-63. */
  low = 2,
  high = 3,
}

const enum State {
  freeNode = 0,
  nodes = 1,
  live = 2,
  found = 3,
  cells = 32,
}

/** Levels a page number in two int32 halves is cut into: five of 6 bits in the lower 30 bits, two above. */
const enum Cut {
  bits = 6,
  mask = 63,
  lowLevels = 5,
  low = 1073741824,
}

export interface PageIndexOptions {
  /** Nodes that may live at once (256 bytes each; storage is reserved, not touched). Default 2^21. */
  readonly maxNodes?: number;
  /** Objects are numbered below this. Default 2^20. */
  readonly maxObjects?: number;
  /** The kernel-heap handle (> 0) that pays for a node, or 0 when there is no memory. */
  takeNode(): number;
  giveNode(handle: number): void;
  /** A frame left the index through `clear`. */
  dropped(frame: number): void;
}

export interface PageIndex {
  /** Frame of a page of object `o`, or -1. */
  lookup(o: number, page: number): number;
  /** Adds a page that is not there. 0, or -ENOMEM (no memory for a node): then nothing changed. Throws if the page is there or not below 2^40. */
  insert(o: number, page: number, frame: number): number;
  /** Takes the page out: its frame, or -1 when it was not there. Nodes that became empty are given back. */
  remove(o: number, page: number): number;
  /** Pages of the object. */
  count(o: number): number;
  /** The first page >= `page`, or -1; `foundFrame` then tells its frame. */
  nextFrom(o: number, page: number): number;
  /** Frame of the page that the last nextFrom returned. */
  foundFrame(): number;
  /** Takes every page out, in ascending order, calling `dropped` for each frame. */
  clear(o: number): void;
  /** Live nodes over all objects. */
  nodes(): number;
  /** Throws an Error naming the first broken invariant. Looks at objects below `objects`, and at as many from `second` on. */
  validate(objects: number, second?: number): void;
}

/** Makes the index of all objects; once per isolate in a replay. */
export function makePageIndex(options: PageIndexOptions): PageIndex {
  const maxNodes = options.maxNodes ?? 1 << 21;
  const maxObjects = options.maxObjects ?? 1 << 20;
  const slots = reserveInt32((maxNodes + 1) << Cut.bits);
  const meta = reserveInt32((maxNodes + 1) << Meta.shift);
  const roots = reserveInt32(maxObjects << Root.shift);
  const state = new Int32Array(State.cells);
  const pathNode = new Int32Array(32);
  const taken = new Int32Array(32);
  // Pages below one slot of a node, by level: 64^(level - 1).
  const span = new Float64Array(16);
  for (let l = 1; l < 16; l++) span[l] = 64 ** (l - 1);

  /** The slot of the page in a node at `level`. */
  function slotOf(page: number, level: number): number {
    const hi = (page / Cut.low) | 0;
    return level <= Cut.lowLevels
      ? ((page - hi * Cut.low) >>> ((level - 1) * Cut.bits)) & Cut.mask
      : (hi >>> ((level - 1 - Cut.lowLevels) * Cut.bits)) & Cut.mask;
  }

  /** Levels a tree needs to hold the page. */
  function levelsFor(page: number): number {
    let h = 0;
    while (page >= span[(h + 1) | 0]!) h = (h + 1) | 0;
    return h;
  }

  // ---- nodes; a free one has all slots 0

  function takeNode(handle: number): number {
    let n = state[State.freeNode]!;
    if (n !== 0) {
      state[State.freeNode] = meta[((n << Meta.shift) + Meta.count) | 0]!;
    } else {
      n = (state[State.nodes]! + 1) | 0;
      if (n > maxNodes) throw new UserError(`page index: more than ${maxNodes} nodes live at once; replay a part of the trace (--window)`);
      state[State.nodes] = n;
    }
    const m = n << Meta.shift;
    meta[(m + Meta.count) | 0] = 0;
    meta[(m + Meta.handle) | 0] = handle;
    meta[(m + Meta.low) | 0] = 0;
    meta[(m + Meta.high) | 0] = 0;
    state[State.live] = (state[State.live]! + 1) | 0;
    return n;
  }

  function giveNode(n: number): void {
    const m = n << Meta.shift;
    const handle = meta[(m + Meta.handle) | 0]!;
    meta[(m + Meta.count) | 0] = state[State.freeNode]!;
    meta[(m + Meta.handle) | 0] = 0;
    state[State.freeNode] = n;
    state[State.live] = (state[State.live]! - 1) | 0;
    options.giveNode(handle);
  }

  function setSlot(n: number, slot: number, value: number): void {
    const m = n << Meta.shift;
    slots[((n << Cut.bits) + slot) | 0] = value;
    meta[(m + Meta.count) | 0] = (meta[(m + Meta.count) | 0]! + 1) | 0;
    const word = (m + Meta.low + (slot >>> 5)) | 0;
    meta[word] = meta[word]! | (1 << (slot & 31));
  }

  /** Empties the slot; returns how many are left. */
  function clearSlot(n: number, slot: number): number {
    const m = n << Meta.shift;
    slots[((n << Cut.bits) + slot) | 0] = 0;
    const word = (m + Meta.low + (slot >>> 5)) | 0;
    meta[word] = meta[word]! & ~(1 << (slot & 31));
    const left = (meta[(m + Meta.count) | 0]! - 1) | 0;
    meta[(m + Meta.count) | 0] = left;
    return left;
  }

  /** The first used slot >= `slot`, or -1. */
  function nextSlot(n: number, slot: number): number {
    const m = ((n << Meta.shift) + Meta.low) | 0;
    if (slot < 32) {
      const w = meta[m]! & (-1 << slot);
      if (w !== 0) return (31 - Math.clz32(w & -w)) | 0;
      slot = 32;
    }
    if (slot > 63) return -1;
    const w = meta[(m + 1) | 0]! & (-1 << (slot & 31));
    return w !== 0 ? (63 - Math.clz32(w & -w)) | 0 : -1;
  }

  // ---- pages

  function lookup(o: number, page: number): number {
    const r = o << Root.shift;
    let n = roots[r]!;
    const h = roots[(r + Root.height) | 0]!;
    if (page < Cut.low && h <= Cut.lowLevels) {
      const p = page | 0;
      let shift = (h * Cut.bits) | 0;
      if (p >>> shift !== 0) return -1;
      while (shift !== 0 && n !== 0) {
        shift = (shift - Cut.bits) | 0;
        n = slots[((n << Cut.bits) + ((p >>> shift) & Cut.mask)) | 0]!;
      }
      return (n - 1) | 0;
    }
    return lookupFar(n, h, page);
  }

  function lookupFar(root: number, height: number, page: number): number {
    if (page >= span[(height + 1) | 0]!) return -1;
    let n = root;
    for (let l = height; l !== 0 && n !== 0; l = (l - 1) | 0) n = slots[((n << Cut.bits) + slotOf(page, l)) | 0]!;
    return (n - 1) | 0;
  }

  /** Nodes that an insertion of the page will need. */
  function missing(r: number, page: number): number {
    const head = roots[r]!;
    const need = levelsFor(page);
    if (head === 0) return need;
    const h = roots[(r + Root.height) | 0]!;
    if (need > h) return (need - h + need - 1) | 0;
    let n = head;
    for (let l = h; l > 1; l = (l - 1) | 0) {
      n = slots[((n << Cut.bits) + slotOf(page, l)) | 0]!;
      if (n === 0) return (l - 1) | 0;
    }
    return 0;
  }

  function insert(o: number, page: number, frame: number): number {
    const r = o << Root.shift;
    const h = roots[(r + Root.height) | 0]!;
    if (h !== 0 && page < Cut.low && h <= Cut.lowLevels) {
      // The leaf is there more often than not: a file's pages come in runs.
      const p = page | 0;
      let shift = (h * Cut.bits) | 0;
      if (p >>> shift === 0) {
        let n = roots[r]!;
        while (shift !== Cut.bits && n !== 0) {
          shift = (shift - Cut.bits) | 0;
          n = slots[((n << Cut.bits) + ((p >>> shift) & Cut.mask)) | 0]!;
        }
        if (n !== 0) {
          if (slots[((n << Cut.bits) + (p & Cut.mask)) | 0] !== 0) throw present(o, page);
          setSlot(n, p & Cut.mask, (frame + 1) | 0);
          roots[(r + Root.pages) | 0] = (roots[(r + Root.pages) | 0]! + 1) | 0;
          return 0;
        }
      }
    }
    return insertGrowing(o, page, frame);
  }

  function present(o: number, page: number): Error {
    return new Error(`page index: page ${page} of object ${o} is there already`);
  }

  /** Inserts where nodes may be missing. */
  function insertGrowing(o: number, page: number, frame: number): number {
    const r = o << Root.shift;
    if (!(page >= 0 && page < MAX_PAGE)) throw new Error(`page index: page ${page} of object ${o} is not in [0, 2^40)`);
    if (lookup(o, page) >= 0) throw present(o, page);
    // All nodes first, so that nothing changes when memory runs out. What pays for a node may itself give up pages of this
    // object, so what is missing is asked again after each.
    let got = 0;
    for (let need = missing(r, page); got < need; need = missing(r, page)) {
      const handle = options.takeNode();
      if (handle === 0) {
        while (got !== 0) {
          got = (got - 1) | 0;
          options.giveNode(taken[got]!);
        }
        return ENOMEM;
      }
      taken[got] = handle;
      got = (got + 1) | 0;
    }
    const surplus = missing(r, page);
    const need = levelsFor(page);
    let h = roots[(r + Root.height) | 0]!;
    let head = roots[r]!;
    let use = 0;
    if (head === 0) h = need;
    while (h < need) {
      const n = takeNode(taken[use]!);
      use = (use + 1) | 0;
      setSlot(n, 0, head);
      head = n;
      h = (h + 1) | 0;
    }
    roots[(r + Root.height) | 0] = h;
    if (h === 0) {
      head = (frame + 1) | 0;
    } else {
      if (head === 0) {
        head = takeNode(taken[use]!);
        use = (use + 1) | 0;
      }
      let n = head;
      for (let l = h; l > 1; l = (l - 1) | 0) {
        const slot = slotOf(page, l);
        let below = slots[((n << Cut.bits) + slot) | 0]!;
        if (below === 0) {
          below = takeNode(taken[use]!);
          use = (use + 1) | 0;
          setSlot(n, slot, below);
        }
        n = below;
      }
      setSlot(n, slotOf(page, 1), (frame + 1) | 0);
    }
    roots[r] = head;
    roots[(r + Root.pages) | 0] = (roots[(r + Root.pages) | 0]! + 1) | 0;
    if (use !== surplus) throw new Error(`page index: ${use} nodes used where ${surplus} were missing`);
    while (got > use) {
      got = (got - 1) | 0;
      options.giveNode(taken[got]!);
    }
    return 0;
  }

  function remove(o: number, page: number): number {
    const r = o << Root.shift;
    const frame = lookup(o, page);
    if (frame < 0) return -1;
    const height = roots[(r + Root.height) | 0]!;
    roots[(r + Root.pages) | 0] = (roots[(r + Root.pages) | 0]! - 1) | 0;
    if (height === 0) {
      roots[r] = 0;
      return frame;
    }
    let n = roots[r]!;
    for (let l = height; l !== 0; l = (l - 1) | 0) {
      pathNode[l] = n;
      n = slots[((n << Cut.bits) + slotOf(page, l)) | 0]!;
    }
    let l = 1;
    while (clearSlot(pathNode[l]!, slotOf(page, l)) === 0) {
      giveNode(pathNode[l]!);
      if (l === height) {
        roots[r] = 0;
        roots[(r + Root.height) | 0] = 0;
        return frame;
      }
      l = (l + 1) | 0;
    }
    if (l === height) shrink(r);
    return frame;
  }

  /** Drops roots of which only slot 0 is used. */
  function shrink(r: number): void {
    let n = roots[r]!;
    let h = roots[(r + Root.height) | 0]!;
    while (h !== 0 && meta[((n << Meta.shift) + Meta.count) | 0] === 1 && slots[n << Cut.bits] !== 0) {
      const below = slots[n << Cut.bits]!;
      clearSlot(n, 0);
      giveNode(n);
      n = below;
      h = (h - 1) | 0;
    }
    roots[r] = n;
    roots[(r + Root.height) | 0] = h;
  }

  function count(o: number): number {
    return roots[((o << Root.shift) + Root.pages) | 0]!;
  }

  function nextFrom(o: number, page: number): number {
    const r = o << Root.shift;
    const head = roots[r]!;
    if (head === 0) return -1;
    const height = roots[(r + Root.height) | 0]!;
    if (height !== 0 && page < Cut.low && height <= Cut.lowLevels) {
      // The next page is mostly in the same leaf.
      const q = page | 0;
      let shift = (height * Cut.bits) | 0;
      if (q >>> shift === 0) {
        let n = head;
        while (shift !== Cut.bits && n !== 0) {
          shift = (shift - Cut.bits) | 0;
          n = slots[((n << Cut.bits) + ((q >>> shift) & Cut.mask)) | 0]!;
        }
        if (n !== 0) {
          const slot = nextSlot(n, q & Cut.mask);
          if (slot >= 0) {
            state[State.found] = (slots[((n << Cut.bits) + slot) | 0]! - 1) | 0;
            return ((q & ~Cut.mask) + slot) | 0;
          }
        }
      }
    }
    let p = page > 0 ? page : 0;
    const limit = span[(height + 1) | 0]!;
    while (p < limit) {
      let n = head;
      let l = height;
      while (l !== 0) {
        const wanted = slotOf(p, l);
        const slot = nextSlot(n, wanted);
        if (slot < 0) break;
        const s = span[l]!;
        if (slot !== wanted) p = Math.floor(p / (s * 64)) * (s * 64) + slot * s;
        n = slots[((n << Cut.bits) + slot) | 0]!;
        l = (l - 1) | 0;
      }
      if (l === 0) {
        state[State.found] = (n - 1) | 0;
        return p;
      }
      // Nothing more in this node: on to the first page behind it.
      const s = span[l]! * 64;
      p = (Math.floor(p / s) + 1) * s;
    }
    return -1;
  }

  function foundFrame(): number {
    return state[State.found]!;
  }

  function clearNode(n: number, level: number): void {
    for (let slot = nextSlot(n, 0); slot >= 0; slot = nextSlot(n, (slot + 1) | 0)) {
      const x = slots[((n << Cut.bits) + slot) | 0]!;
      slots[((n << Cut.bits) + slot) | 0] = 0;
      if (level === 1) options.dropped((x - 1) | 0);
      else clearNode(x, (level - 1) | 0);
    }
    giveNode(n);
  }

  function clear(o: number): void {
    const r = o << Root.shift;
    const head = roots[r]!;
    const height = roots[(r + Root.height) | 0]!;
    if (head === 0) return;
    roots[r] = 0;
    roots[(r + Root.height) | 0] = 0;
    roots[(r + Root.pages) | 0] = 0;
    if (height === 0) options.dropped((head - 1) | 0);
    else clearNode(head, height);
  }

  function nodes(): number {
    return state[State.live]!;
  }

  // ---- checks

  function fail(what: string): never {
    throw new Error(`page index: ${what}`);
  }

  function validate(objects: number, second = 0): void {
    const owner = new Map<number, number>();
    let live = 0;
    const check = (o: number, n: number, level: number): number => {
      if (n <= 0 || n > state[State.nodes]!) fail(`object ${o} leads to node ${n}, which was never made`);
      if (owner.has(n)) fail(`node ${n} belongs to objects ${owner.get(n)} and ${o}`);
      owner.set(n, o);
      live++;
      const m = n << Meta.shift;
      if (meta[m + Meta.handle] === 0) fail(`node ${n} of object ${o} is not paid for`);
      let used = 0;
      let pages = 0;
      for (let slot = 0; slot < 64; slot++) {
        const x = slots[(n << Cut.bits) + slot]!;
        const bit = (meta[m + Meta.low + (slot >>> 5)]! >>> (slot & 31)) & 1;
        if ((x !== 0 ? 1 : 0) !== bit) fail(`node ${n} of object ${o}: slot ${slot} holds ${x}, its bit is ${bit}`);
        if (x === 0) continue;
        used++;
        pages += level === 1 ? 1 : check(o, x, level - 1);
      }
      if (used === 0 || used !== meta[m + Meta.count]) fail(`node ${n} of object ${o} counts ${meta[m + Meta.count]} slots, ${used} are used`);
      return pages;
    };
    const checkTree = (o: number): void => {
      const r = o << Root.shift;
      const head = roots[r]!;
      const height = roots[r + Root.height]!;
      if (head === 0 && height !== 0) fail(`object ${o} is empty and ${height} levels high`);
      const pages = height === 0 ? (head === 0 ? 0 : 1) : check(o, head, height);
      if (pages !== roots[r + Root.pages]) fail(`object ${o} counts ${roots[r + Root.pages]} pages, holds ${pages}`);
      if (height !== 0 && meta[(head << Meta.shift) + Meta.count] === 1 && slots[head << Cut.bits] !== 0) fail(`object ${o} is higher than it needs to be`);
    };
    for (let o = 0; o < objects; o++) {
      checkTree(o);
      if (second !== 0) checkTree(second + o);
    }
    if (live !== state[State.live]) fail(`${live} nodes in use, ${state[State.live]} counted`);
    let free = 0;
    for (let n = state[State.freeNode]!; n !== 0; n = meta[(n << Meta.shift) + Meta.count]!) {
      if (owner.has(n)) fail(`node ${n} of object ${owner.get(n)} is free`);
      for (let slot = 0; slot < 64; slot++) if (slots[(n << Cut.bits) + slot] !== 0) fail(`the free node ${n} is not empty`);
      if (++free > state[State.nodes]!) fail('the list of free nodes is circular');
    }
    if (free + live !== state[State.nodes]) fail(`${free} free and ${live} used nodes of ${state[State.nodes]}`);
  }

  return { lookup, insert, remove, count, nextFrom, foundFrame, clear, nodes, validate };
}
