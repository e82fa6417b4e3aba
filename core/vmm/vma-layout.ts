/**
 * How the VMA store (vma-tree.ts) lies in its arrays.
 *
 * A node is a block of 512 bytes in one buffer seen as doubles and as int32 words:
 *
 *      words 0..79    keys      40 doubles: leaf: first page of each VMA; inner: separators, key[i] <= everything below child i and
 *                               > everything below child i-1; key[0] of an inner node is -Infinity, every unused key Infinity
 *      words 80..119  entries   leaf: VMA ids; inner: node numbers
 *      word  120      count     entries in use
 *      word  121      link      next free node
 */
export const enum Node {
  bytes = 512,
  wordShift = 7,
  keyShift = 6,
  capacity = 40,
  min = 10,
  mergeLimit = 30,
  entries = 80,
  count = 120,
  link = 121,
}

/** Words of a tree's record. */
export const enum Tree {
  shift = 3,
  root = 0,
  /** Levels of inner nodes above the leaves. */
  height = 1,
  count = 2,
  first = 3,
  last = 4,
  /** The last answer of find. */
  hit = 5,
  /** Next free tree. */
  link = 6,
  live = 7,
}

/** Ids of VMAs are multiples of this. */
export const enum Id {
  step = 4,
}

/** Cells of the mutable state. */
export const enum Pool {
  freeVma = 0,
  /** The highest id ever given. */
  vmas = 1,
  liveVmas = 2,
  freeNode = 3,
  nodes = 4,
  freeTree = 5,
  trees = 6,
  /** The VMA that a clone linked last. */
  tail = 7,
  cells = 32,
}

/** The arrays, as vma-tree.ts makes them. */
export interface VmaArrays {
  readonly start: Float64Array;
  readonly end: Float64Array;
  /** Neighbours in address order. */
  readonly before: Int32Array;
  readonly after: Int32Array;
  /** The nodes, as doubles and as words. */
  readonly keys: Float64Array;
  readonly words: Int32Array;
  readonly trees: Int32Array;
  readonly hitStart: Float64Array;
  readonly pool: Int32Array;
}
