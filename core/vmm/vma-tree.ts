/**
 * The VMA store: records in a pool of columns, one B+tree per address space.
 *
 * Models: what mm/mmap.c of Linux keeps in a maple tree per mm_struct (lib/maple_tree.c, since 6.1; a B-tree over ranges). Here it is a
 * classic B+tree (Bayer and McCreight 1972; Comer, "The Ubiquitous B-Tree", 1979) keyed by the first page, with the VMAs themselves
 * linked in address order, so that a neighbour is one load and a leaf needs no links.
 *
 * Does not model: the maple tree's node sizes (what a VMA costs is paid on the kernel heap), locks, RCU.
 *
 * Nodes, trees and the pool: vma-layout.ts.
 *
 * Balance: all leaves have the same depth. A node other than a root holds at least 10 and at most 40 entries: a full one splits into parts of
 * at least 10 (at the place of the insertion if that is an end, so that ascending and descending runs leave nodes three quarters full),
 * one that falls below 10 merges with a neighbour if both fit into 30, else the two share their entries evenly (at least 15 each).
 * So the height is at most log10(VMAs) + 1, and n VMAs in t trees need at most n/10 + n/100 + ... + t < n/9 + t nodes.
 *
 * Long for one file because the functions share the captured arrays: closures over `const` typed arrays compile to constant addresses.
 */
import { UserError } from '../../traces/event.js';
import { Id, Node, Pool, Tree } from './vma-layout.js';
import type { VmaStore } from './vma-store.js';
import { makeVmaCheck } from './vma-tree-check.js';

export interface VmaStoreOptions {
  /** VMAs that may live at once over all trees; storage is reserved, not touched. Default 2^22. */
  readonly maxVmas?: number;
  /** Address spaces that may live at once. Default 2^16. */
  readonly maxTrees?: number;
}

/** Makes the store; once per isolate in a replay. */
export function makeVmaStore(options: VmaStoreOptions = {}): VmaStore {
  const maxVmas = options.maxVmas ?? 1 << 22;
  const maxTrees = options.maxTrees ?? 1 << 16;
  const maxNodes = Math.ceil(maxVmas / 9) + maxTrees + 16;

  // A VMA's columns stand side by side, so that one costs three cache lines instead of nine: ids are multiples of 4, and each column is a view of records
  // of four elements that starts at its own element.
  const doubles = new SharedArrayBuffer((maxVmas + 2) * Id.step * 8);
  const start = new Float64Array(doubles, 0);
  const end = new Float64Array(doubles, 8);
  const offset = new Float64Array(doubles, 16);
  const integers = new SharedArrayBuffer((maxVmas + 2) * Id.step * 4);
  const flags = new Int32Array(integers, 0);
  const object = new Int32Array(integers, 4);
  const lineage = new Int32Array(integers, 8);
  const heap = new Int32Array(integers, 12);
  const links = new SharedArrayBuffer((maxVmas + 2) * Id.step * 4);
  // Neighbours in address order. `before` of a free id is the next free id.
  const before = new Int32Array(links, 0);
  const after = new Int32Array(links, 4);

  const buffer = new SharedArrayBuffer((maxNodes + 1) * Node.bytes);
  const keys = new Float64Array(buffer);
  const words = new Int32Array(buffer);
  const trees = new Int32Array((maxTrees + 1) << Tree.shift);
  // First page of each tree's last answer: `start` of a VMA found at random is far away, and the searches only read `end`.
  const hitStart = new Float64Array(maxTrees + 1);
  const pool = new Int32Array(Pool.cells);
  // The path of the last descent, by level: the inner node and which child was taken.
  const pathNode = new Int32Array(32);
  const pathSlot = new Int32Array(32);

  // ---- VMA ids

  function takeVma(): number {
    const v = pool[Pool.freeVma]!;
    if (v !== 0) {
      pool[Pool.freeVma] = before[v]!;
    } else {
      const w = (pool[Pool.vmas]! + Id.step) | 0;
      if (w > maxVmas * Id.step)
        throw new UserError(
          `more than ${maxVmas} VMAs live at once: the VMA pool is used up; replay fewer processes (--pid) or a part of the trace (--window)`,
        );
      pool[Pool.vmas] = w;
      pool[Pool.liveVmas]!++;
      return w;
    }
    pool[Pool.liveVmas]!++;
    return v;
  }

  function alloc(): number {
    const v = takeVma();
    start[v] = 0;
    end[v] = 0;
    flags[v] = 0;
    object[v] = 0;
    offset[v] = 0;
    lineage[v] = 0;
    heap[v] = 0;
    return v;
  }

  function release(vma: number): void {
    before[vma] = pool[Pool.freeVma]!;
    pool[Pool.freeVma] = vma;
    pool[Pool.liveVmas]!--;
  }

  function live(): number {
    return pool[Pool.liveVmas]!;
  }

  // ---- nodes and trees

  function takeNode(): number {
    let n = pool[Pool.freeNode]!;
    if (n !== 0) {
      pool[Pool.freeNode] = words[((n << Node.wordShift) + Node.link) | 0]!;
    } else {
      n = (pool[Pool.nodes]! + 1) | 0;
      if (n > maxNodes) throw new Error('vma-tree: the node pool is smaller than its proven bound');
      pool[Pool.nodes] = n;
      clearKeys(n, 0, Node.capacity);
    }
    return n;
  }

  /** Marks the keys from position p up to q as unused. */
  function clearKeys(n: number, p: number, q: number): void {
    const k = n << Node.keyShift;
    for (let i = p; i < q; i = (i + 1) | 0) keys[(k + i) | 0] = Infinity;
  }

  /** A free node has no entries and no keys. */
  function giveNode(n: number): void {
    const w = n << Node.wordShift;
    clearKeys(n, 0, words[(w + Node.count) | 0]!);
    words[(w + Node.count) | 0] = 0;
    words[(w + Node.link) | 0] = pool[Pool.freeNode]!;
    pool[Pool.freeNode] = n;
  }

  function takeTree(): number {
    let id = pool[Pool.freeTree]!;
    if (id !== 0) {
      pool[Pool.freeTree] = trees[((id << Tree.shift) + Tree.link) | 0]!;
    } else {
      id = (pool[Pool.trees]! + 1) | 0;
      if (id > maxTrees)
        throw new UserError(`more than ${maxTrees} address spaces live at once; replay fewer processes (--pid) or a part of the trace (--window)`);
      pool[Pool.trees] = id;
    }
    const t = id << Tree.shift;
    trees[(t + Tree.height) | 0] = 0;
    trees[(t + Tree.count) | 0] = 0;
    trees[(t + Tree.first) | 0] = 0;
    trees[(t + Tree.last) | 0] = 0;
    trees[(t + Tree.hit) | 0] = 0;
    hitStart[id] = 0;
    trees[(t + Tree.live) | 0] = 1;
    return id;
  }

  function createTree(): number {
    const id = takeTree();
    trees[((id << Tree.shift) + Tree.root) | 0] = takeNode();
    return id;
  }

  function giveSubtree(n: number, height: number): void {
    if (height !== 0) {
      const w = n << Node.wordShift;
      const c = words[(w + Node.count) | 0]!;
      for (let i = 0; i < c; i++) giveSubtree(words[(w + Node.entries + i) | 0]!, (height - 1) | 0);
    }
    giveNode(n);
  }

  function destroyTree(tree: number, releaseVmas: number): void {
    const t = tree << Tree.shift;
    if (trees[(t + Tree.live) | 0] !== 1) throw new Error(`vma-tree: destroyTree(${tree}) of a tree that is not live`);
    const first = trees[(t + Tree.first) | 0]!;
    if (releaseVmas !== 0 && first !== 0) {
      // The list by `before` from the last to the first goes onto the free list as it is.
      before[first] = pool[Pool.freeVma]!;
      pool[Pool.freeVma] = trees[(t + Tree.last) | 0]!;
      pool[Pool.liveVmas] = (pool[Pool.liveVmas]! - trees[(t + Tree.count) | 0]!) | 0;
    }
    giveSubtree(trees[(t + Tree.root) | 0]!, trees[(t + Tree.height) | 0]!);
    trees[(t + Tree.root) | 0] = 0;
    trees[(t + Tree.height) | 0] = 0;
    trees[(t + Tree.count) | 0] = 0;
    trees[(t + Tree.first) | 0] = 0;
    trees[(t + Tree.last) | 0] = 0;
    trees[(t + Tree.hit) | 0] = 0;
    hitStart[tree] = 0;
    trees[(t + Tree.live) | 0] = 0;
    trees[(t + Tree.link) | 0] = pool[Pool.freeTree]!;
    pool[Pool.freeTree] = tree;
  }

  function count(tree: number): number {
    return trees[((tree << Tree.shift) + Tree.count) | 0]!;
  }

  // ---- searching

  /**
   * How many keys of the node whose first key has index `k` are <= page. Comparisons are added as numbers instead of branched on (which way a search
   * goes cannot be predicted), and the first four look at one key of each cache line, so that a node that is far away costs one trip, not one
   * a step. Unused keys are Infinity.
   */
  function rank(k: number, page: number): number {
    const line = (+(keys[(k + 7) | 0]! <= page) + +(keys[(k + 15) | 0]! <= page) + +(keys[(k + 23) | 0]! <= page) + +(keys[(k + 31) | 0]! <= page)) << 3;
    const b = (k + line) | 0;
    return (
      (line +
        +(keys[b]! <= page) +
        +(keys[(b + 1) | 0]! <= page) +
        +(keys[(b + 2) | 0]! <= page) +
        +(keys[(b + 3) | 0]! <= page) +
        +(keys[(b + 4) | 0]! <= page) +
        +(keys[(b + 5) | 0]! <= page) +
        +(keys[(b + 6) | 0]! <= page) +
        +(keys[(b + 7) | 0]! <= page)) |
      0
    );
  }

  /** The leaf whose range of separators holds the page. */
  function leafOf(t: number, page: number): number {
    let n = trees[(t + Tree.root) | 0]!;
    for (let h = trees[(t + Tree.height) | 0]!; h !== 0; h = (h - 1) | 0) {
      n = words[((n << Node.wordShift) + Node.entries - 1 + rank(n << Node.keyShift, page)) | 0]!;
    }
    return n;
  }

  /** The same, and remembers the way in pathNode and pathSlot. */
  function leafWithPath(t: number, page: number): number {
    let n = trees[(t + Tree.root) | 0]!;
    for (let h = trees[(t + Tree.height) | 0]!; h !== 0; h = (h - 1) | 0) {
      const slot = (rank(n << Node.keyShift, page) - 1) | 0;
      pathNode[h] = n;
      pathSlot[h] = slot;
      n = words[((n << Node.wordShift) + Node.entries + slot) | 0]!;
    }
    return n;
  }

  /** The last VMA that starts at or below the page, or 0. */
  function floorOf(t: number, page: number): number {
    const n = leafOf(t, page);
    const w = n << Node.wordShift;
    const p = rank(n << Node.keyShift, page);
    if (p !== 0) return words[(w + Node.entries - 1 + p) | 0]!;
    return words[(w + Node.count) | 0] !== 0 ? before[words[(w + Node.entries) | 0]!]! : 0;
  }

  function find(tree: number, page: number): number {
    const hit = trees[((tree << Tree.shift) + Tree.hit) | 0]!;
    // Id 0 holds the empty range [0, 0).
    return hitStart[tree]! <= page && page < end[hit]! ? hit : search(tree, page);
  }

  /** find without the remembered answer, which it renews. */
  function search(tree: number, page: number): number {
    const t = tree << Tree.shift;
    const n = leafOf(t, page);
    const k = n << Node.keyShift;
    const e = ((n << Node.wordShift) + Node.entries) | 0;
    const p = rank(k, page);
    let v = 0;
    let from = 0;
    if (p !== 0) {
      v = words[(e + p - 1) | 0]!;
      from = keys[(k + p - 1) | 0]!;
    } else {
      // The VMA before a leaf may reach beyond the separator.
      if (words[((n << Node.wordShift) + Node.count) | 0] === 0) return 0;
      v = before[words[e]!]!;
      from = start[v]!;
    }
    if (v === 0 || page >= end[v]!) return 0;
    trees[(t + Tree.hit) | 0] = v;
    hitStart[tree] = from;
    return v;
  }

  function findFrom(tree: number, page: number): number {
    const t = tree << Tree.shift;
    const hit = trees[(t + Tree.hit) | 0]!;
    if (hitStart[tree]! <= page && page < end[hit]!) return hit;
    const v = floorOf(t, page);
    if (v === 0) return trees[(t + Tree.first) | 0]!;
    return page < end[v]! ? v : after[v]!;
  }

  function next(_tree: number, vma: number): number {
    return after[vma]!;
  }

  function prev(_tree: number, vma: number): number {
    return before[vma]!;
  }

  function first(tree: number): number {
    return trees[((tree << Tree.shift) + Tree.first) | 0]!;
  }

  function last(tree: number): number {
    return trees[((tree << Tree.shift) + Tree.last) | 0]!;
  }

  // ---- inserting

  /** Puts (key, entry) at position p of a node that is not full. */
  function putEntry(n: number, p: number, key: number, entry: number): void {
    const w = n << Node.wordShift;
    const e = (w + Node.entries) | 0;
    const k = n << Node.keyShift;
    const c = words[(w + Node.count) | 0]!;
    for (let i = c; i > p; i = (i - 1) | 0) {
      keys[(k + i) | 0] = keys[(k + i - 1) | 0]!;
      words[(e + i) | 0] = words[(e + i - 1) | 0]!;
    }
    keys[(k + p) | 0] = key;
    words[(e + p) | 0] = entry;
    words[(w + Node.count) | 0] = (c + 1) | 0;
  }

  /** Moves `moved` entries from position p of node a to position q (its end or its beginning made free) of node b. */
  function copyEntries(a: number, p: number, b: number, q: number, moved: number): void {
    const ka = ((a << Node.keyShift) + p) | 0;
    const kb = ((b << Node.keyShift) + q) | 0;
    const ea = ((a << Node.wordShift) + Node.entries + p) | 0;
    const eb = ((b << Node.wordShift) + Node.entries + q) | 0;
    if (a === b && p < q) {
      for (let i = (moved - 1) | 0; i >= 0; i = (i - 1) | 0) {
        keys[(kb + i) | 0] = keys[(ka + i) | 0]!;
        words[(eb + i) | 0] = words[(ea + i) | 0]!;
      }
    } else {
      for (let i = 0; i < moved; i = (i + 1) | 0) {
        keys[(kb + i) | 0] = keys[(ka + i) | 0]!;
        words[(eb + i) | 0] = words[(ea + i) | 0]!;
      }
    }
  }

  /** Splits the full node n, puts (key, entry) at its position p in one of the halves, and returns the new right node. */
  function splitNode(n: number, p: number, key: number, entry: number): number {
    const right = takeNode();
    const mid = p === Node.capacity ? Node.mergeLimit : p === 0 ? Node.min : Node.capacity >> 1;
    copyEntries(n, mid, right, 0, (Node.capacity - mid) | 0);
    words[((n << Node.wordShift) + Node.count) | 0] = mid;
    words[((right << Node.wordShift) + Node.count) | 0] = (Node.capacity - mid) | 0;
    clearKeys(n, mid, Node.capacity);
    if (p <= mid) putEntry(n, p, key, entry);
    else putEntry(right, (p - mid) | 0, key, entry);
    return right;
  }

  /** Inserts into a full leaf: splits it and as many ancestors as are full. */
  function insertSplitting(t: number, leaf: number, p: number, key: number, vma: number): void {
    let right = splitNode(leaf, p, key, vma);
    const height = trees[(t + Tree.height) | 0]!;
    for (let h = 1; h <= height; h = (h + 1) | 0) {
      const parent = pathNode[h]!;
      const separator = keys[right << Node.keyShift]!;
      const slot = (pathSlot[h]! + 1) | 0;
      if (words[((parent << Node.wordShift) + Node.count) | 0]! < Node.capacity) {
        putEntry(parent, slot, separator, right);
        if (h !== 1) keys[right << Node.keyShift] = -Infinity;
        return;
      }
      if (h !== 1) keys[right << Node.keyShift] = -Infinity;
      right = splitNode(parent, slot, separator, right);
    }
    const root = takeNode();
    putEntry(root, 0, -Infinity, trees[(t + Tree.root) | 0]!);
    putEntry(root, 1, keys[right << Node.keyShift]!, right);
    if (height !== 0) keys[right << Node.keyShift] = -Infinity;
    trees[(t + Tree.root) | 0] = root;
    trees[(t + Tree.height) | 0] = (height + 1) | 0;
  }

  function insert(tree: number, vma: number): void {
    const t = tree << Tree.shift;
    const key = start[vma]!;
    const stop = end[vma]!;
    const leaf = leafWithPath(t, key);
    const w = leaf << Node.wordShift;
    const c = words[(w + Node.count) | 0]!;
    const p = rank(leaf << Node.keyShift, key);
    // The neighbours from the leaf where it has them: the columns of a large tree are far away.
    let left = 0;
    let right = 0;
    let bound = stop;
    if (p !== c) {
      right = words[(w + Node.entries + p) | 0]!;
      bound = keys[((leaf << Node.keyShift) + p) | 0]!;
      left = p !== 0 ? words[(w + Node.entries + p - 1) | 0]! : before[right]!;
    } else if (p !== 0) {
      left = words[(w + Node.entries + p - 1) | 0]!;
      right = after[left]!;
      if (right !== 0) bound = start[right]!;
    }
    if (leaf === 0 || key >= stop || bound < stop || (left !== 0 && end[left]! > key)) throw badInsert(tree, vma, left, right);
    before[vma] = left;
    after[vma] = right;
    if (left !== 0) after[left] = vma;
    else trees[(t + Tree.first) | 0] = vma;
    if (right !== 0) before[right] = vma;
    else trees[(t + Tree.last) | 0] = vma;
    trees[(t + Tree.count) | 0] = (trees[(t + Tree.count) | 0]! + 1) | 0;
    if (c < Node.capacity) putEntry(leaf, p, key, vma);
    else insertSplitting(t, leaf, p, key, vma);
  }

  function badInsert(tree: number, vma: number, left: number, right: number): Error {
    const range = (v: number): string => (v === 0 ? 'none' : `${v} [${start[v]}, ${end[v]})`);
    if (trees[((tree << Tree.shift) + Tree.live) | 0] !== 1) return new Error(`vma-tree: insert into tree ${tree}, which is not live`);
    return new Error(`vma-tree: VMA ${range(vma)} is empty or overlaps a neighbour in tree ${tree}: ${range(left)}, ${range(right)}`);
  }

  // ---- removing

  function notInTree(tree: number, vma: number): Error {
    return new Error(`vma-tree: VMA ${vma} [${start[vma]}, ${end[vma]}) is not in tree ${tree}`);
  }

  function dropEntry(n: number, p: number): number {
    const w = n << Node.wordShift;
    const e = (w + Node.entries) | 0;
    const k = n << Node.keyShift;
    const c = (words[(w + Node.count) | 0]! - 1) | 0;
    for (let i = p; i < c; i = (i + 1) | 0) {
      keys[(k + i) | 0] = keys[(k + i + 1) | 0]!;
      words[(e + i) | 0] = words[(e + i + 1) | 0]!;
    }
    keys[(k + c) | 0] = Infinity;
    words[(w + Node.count) | 0] = c;
    return c;
  }

  /** The leaf fell below Node.min: merges or evens out along the remembered path. */
  function rebalance(t: number): void {
    const height = trees[(t + Tree.height) | 0]!;
    for (let h = 1; h <= height; h = (h + 1) | 0) {
      const parent = pathNode[h]!;
      const pw = parent << Node.wordShift;
      const siblings = words[(pw + Node.count) | 0]!;
      const slot = pathSlot[h]!;
      // The right one of the two; the separator between them is its key in the parent.
      const j = slot + 1 < siblings ? (slot + 1) | 0 : slot;
      const a = words[(pw + Node.entries - 1 + j) | 0]!;
      const b = words[(pw + Node.entries + j) | 0]!;
      const ca = words[((a << Node.wordShift) + Node.count) | 0]!;
      const cb = words[((b << Node.wordShift) + Node.count) | 0]!;
      const sum = (ca + cb) | 0;
      // While the two exchange entries, the right one's first key is the separator: an inner node's is -Infinity otherwise, a leaf's its first VMA's.
      if (h !== 1) keys[b << Node.keyShift] = keys[((parent << Node.keyShift) + j) | 0]!;
      if (sum > Node.mergeLimit) {
        const half = sum >> 1;
        if (ca < half) {
          const moved = (half - ca) | 0;
          copyEntries(b, 0, a, ca, moved);
          copyEntries(b, moved, b, 0, (cb - moved) | 0);
          clearKeys(b, (cb - moved) | 0, cb);
        } else {
          const moved = (ca - half) | 0;
          copyEntries(b, 0, b, moved, cb);
          copyEntries(a, half, b, 0, moved);
          clearKeys(a, half, ca);
        }
        words[((a << Node.wordShift) + Node.count) | 0] = half;
        words[((b << Node.wordShift) + Node.count) | 0] = (sum - half) | 0;
        keys[((parent << Node.keyShift) + j) | 0] = keys[b << Node.keyShift]!;
        if (h !== 1) keys[b << Node.keyShift] = -Infinity;
        return;
      }
      copyEntries(b, 0, a, ca, cb);
      words[((a << Node.wordShift) + Node.count) | 0] = sum;
      giveNode(b);
      const rest = dropEntry(parent, j);
      if (h === height) {
        if (rest === 1) {
          trees[(t + Tree.root) | 0] = a;
          trees[(t + Tree.height) | 0] = (height - 1) | 0;
          giveNode(parent);
        }
        return;
      }
      if (rest >= Node.min) return;
    }
  }

  function remove(tree: number, vma: number): void {
    const t = tree << Tree.shift;
    const key = start[vma]!;
    const leaf = leafWithPath(t, key);
    const w = leaf << Node.wordShift;
    const c = words[(w + Node.count) | 0]!;
    const p = (rank(leaf << Node.keyShift, key) - 1) | 0;
    if (p < 0 || words[(w + Node.entries + p) | 0] !== vma) throw notInTree(tree, vma);
    const left = p !== 0 ? words[(w + Node.entries + p - 1) | 0]! : before[vma]!;
    const right = p + 1 < c ? words[(w + Node.entries + p + 1) | 0]! : after[vma]!;
    if (left !== 0) after[left] = right;
    else trees[(t + Tree.first) | 0] = right;
    if (right !== 0) before[right] = left;
    else trees[(t + Tree.last) | 0] = left;
    trees[(t + Tree.count) | 0] = (trees[(t + Tree.count) | 0]! - 1) | 0;
    if (trees[(t + Tree.hit) | 0] === vma) {
      trees[(t + Tree.hit) | 0] = 0;
      hitStart[tree] = 0;
    }
    if (dropEntry(leaf, p) < Node.min) rebalance(t);
  }

  function setStart(tree: number, vma: number, page: number): void {
    const t = tree << Tree.shift;
    const key = start[vma]!;
    const leaf = leafWithPath(t, key);
    const w = leaf << Node.wordShift;
    const c = words[(w + Node.count) | 0]!;
    const p = (rank(leaf << Node.keyShift, key) - 1) | 0;
    if (p < 0 || words[(w + Node.entries + p) | 0] !== vma) throw notInTree(tree, vma);
    const left = before[vma]!;
    const right = after[vma]!;
    if ((left !== 0 && start[left]! >= page) || (right !== 0 && start[right]! <= page))
      throw new Error(`vma-tree: start ${page} would change the order of VMA ${vma} in tree ${tree}`);
    start[vma] = page;
    if (trees[(t + Tree.hit) | 0] === vma) hitStart[tree] = page;
    keys[((leaf << Node.keyShift) + p) | 0] = page;
    // The separators on either side of the leaf must stay between what they separate.
    const height = trees[(t + Tree.height) | 0]!;
    if (page < key) {
      if (p !== 0) return;
      for (let h = 1; h <= height; h = (h + 1) | 0) {
        if (pathSlot[h] === 0) continue;
        const k = ((pathNode[h]! << Node.keyShift) + pathSlot[h]!) | 0;
        if (page < keys[k]!) keys[k] = page;
        return;
      }
    } else if (p + 1 === c) {
      for (let h = 1; h <= height; h = (h + 1) | 0) {
        const n = pathNode[h]!;
        const slot = (pathSlot[h]! + 1) | 0;
        if (slot === words[((n << Node.wordShift) + Node.count) | 0]) continue;
        const k = ((n << Node.keyShift) + slot) | 0;
        if (page >= keys[k]!) keys[k] = start[right]!;
        return;
      }
    }
  }

  // ---- copying

  /** Fills leaf m with fresh copies of the VMAs of leaf n, linked behind Pool.tail. */
  function copyLeaf(n: number, m: number): void {
    const kn = n << Node.keyShift;
    const km = m << Node.keyShift;
    const en = ((n << Node.wordShift) + Node.entries) | 0;
    const em = ((m << Node.wordShift) + Node.entries) | 0;
    const c = words[((n << Node.wordShift) + Node.count) | 0]!;
    let tail = pool[Pool.tail]!;
    let free = pool[Pool.freeVma]!;
    let fresh = pool[Pool.vmas]!;
    for (let i = 0; i < c; i = (i + 1) | 0) {
      const v = words[(en + i) | 0]!;
      let u = free;
      if (u !== 0) free = before[u]!;
      else u = fresh = (fresh + Id.step) | 0;
      start[u] = start[v]!;
      end[u] = end[v]!;
      flags[u] = flags[v]!;
      object[u] = object[v]!;
      offset[u] = offset[v]!;
      lineage[u] = lineage[v]!;
      heap[u] = heap[v]!;
      before[u] = tail;
      after[tail] = u;
      tail = u;
      keys[(km + i) | 0] = keys[(kn + i) | 0]!;
      words[(em + i) | 0] = u;
    }
    words[((m << Node.wordShift) + Node.count) | 0] = c;
    pool[Pool.tail] = tail;
    pool[Pool.freeVma] = free;
    pool[Pool.vmas] = fresh;
  }

  function copySubtree(n: number, height: number): number {
    const m = takeNode();
    if (height === 0) {
      copyLeaf(n, m);
      return m;
    }
    const wn = n << Node.wordShift;
    const wm = m << Node.wordShift;
    const c = words[(wn + Node.count) | 0]!;
    for (let i = 0; i < c; i = (i + 1) | 0) {
      keys[((m << Node.keyShift) + i) | 0] = keys[((n << Node.keyShift) + i) | 0]!;
      words[(wm + Node.entries + i) | 0] = copySubtree(words[(wn + Node.entries + i) | 0]!, (height - 1) | 0);
    }
    words[(wm + Node.count) | 0] = c;
    return m;
  }

  function clone(tree: number): number {
    const t = tree << Tree.shift;
    if (trees[(t + Tree.live) | 0] !== 1) throw new Error(`vma-tree: clone of tree ${tree}, which is not live`);
    const c = trees[(t + Tree.count) | 0]!;
    if (pool[Pool.liveVmas]! + c > maxVmas)
      throw new UserError(`more than ${maxVmas} VMAs live at once: the VMA pool is used up; replay fewer processes (--pid) or a part of the trace (--window)`);
    const id = takeTree();
    const u = id << Tree.shift;
    const height = trees[(t + Tree.height) | 0]!;
    pool[Pool.tail] = 0;
    trees[(u + Tree.root) | 0] = copySubtree(trees[(t + Tree.root) | 0]!, height);
    const tail = pool[Pool.tail]!;
    // Id 0 served as the head of the list.
    trees[(u + Tree.first) | 0] = after[0]!;
    trees[(u + Tree.last) | 0] = tail;
    after[tail] = 0;
    after[0] = 0;
    trees[(u + Tree.height) | 0] = height;
    trees[(u + Tree.count) | 0] = c;
    pool[Pool.liveVmas] = (pool[Pool.liveVmas]! + c) | 0;
    return id;
  }

  return {
    start,
    end,
    flags,
    object,
    offset,
    lineage,
    heap,
    alloc,
    release,
    live,
    createTree,
    destroyTree,
    count,
    insert,
    remove,
    setStart,
    find,
    findFrom,
    next,
    prev,
    first,
    last,
    clone,
    validate: makeVmaCheck({ start, end, before, after, keys, words, trees, hitStart, pool }),
  };
}
