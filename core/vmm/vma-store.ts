/** Contract of the VMA store: records in a pool of columns, one ordered index per address space. */
export interface VmaStore {
  // ---- columns, by VMA id (positive, not dense; 0 = none)
  /** First page (VPN, may be negative) and one past the last. */
  readonly start: Float64Array;
  readonly end: Float64Array;
  /** Flag bits r, w, x, shared, grows-down, stack, locked, vdso, vvar (traces/event.ts), plus VMM bits above them. */
  readonly flags: Int32Array;
  /** Object index (0 = anonymous) and page offset of `start` in it. */
  readonly object: Int32Array;
  readonly offset: Float64Array;
  /** The anonymous lineage (what Linux calls anon_vma), 0 = no private page written yet. */
  readonly lineage: Int32Array;
  /** Handle of the descriptor on the kernel heap, 0 = none. */
  readonly heap: Int32Array;

  /** A fresh VMA id with all columns 0. Throws when the pool (2^22 VMAs) is used up. */
  alloc(): number;
  release(vma: number): void;
  /** Live VMAs over all trees. */
  live(): number;

  // ---- trees, one per address space (ids start at 1)
  createTree(): number;
  /** Frees the index; the VMAs in it must have been released or are released with it (releaseVmas = 1). */
  destroyTree(tree: number, releaseVmas: number): void;
  count(tree: number): number;
  /** Puts a VMA whose start/end are set into the tree; it must not overlap another. */
  insert(tree: number, vma: number): void;
  /** Takes the VMA out of the tree (its id stays allocated). */
  remove(tree: number, vma: number): void;
  /** Changes a VMA's start without changing the order. (Its end is a plain store into `end`.) */
  setStart(tree: number, vma: number, start: number): void;
  /** The VMA that contains the page, or 0. Remembers the last answer of each tree. */
  find(tree: number, page: number): number;
  /** The first VMA whose end is above the page, or 0. */
  findFrom(tree: number, page: number): number;
  /** Neighbours of a VMA that is in the tree, in address order, or 0. */
  next(tree: number, vma: number): number;
  prev(tree: number, vma: number): number;
  first(tree: number): number;
  last(tree: number): number;
  /** Copies a tree: fresh ids, every column equal. Order-preserving, so first/next walk both in step. */
  clone(tree: number): number;
  /** Throws an Error naming the first broken invariant of the tree; 0 = of every tree and of the pool. */
  validate(tree: number): void;
}
