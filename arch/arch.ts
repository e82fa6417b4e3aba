/**
 * The architecture contract: what the VMM asks of virtual-memory hardware.
 *
 * The four C functions of the kernel design (vmap, vunmap, vismappedto, vgetmapping) plus what a VMM needs
 * to decide when tables live and die. Levels are counted from the leaf: 1 = PT (maps 4 KiB pages),
 * 2 = PD, 3 = PDPT, 4 = PML4.
 *
 * An address space is named by the small integer `pid` of its owner (the VMM passes its space index);
 * -1 is the kernel's.
 */

/** Negative error codes (Linux numbers), as the C functions return them. */
export const EPERM = -1;
export const ESRCH = -3;
export const ENOMEM = -12;
export const EEXIST = -17;
export const EINVAL = -22;

/** The memory cannot hold even the kernel's root table. */
export class OutOfMemoryError extends RangeError {
  override name = 'OutOfMemoryError';
}

/** What a frame is asked for; PMM strategies that group by mobility use it, others ignore it. */
export const enum FrameKind {
  unmovable = 0,
  movable = 1,
  reclaimable = 2,
  table = 3,
  kernel = 4,
}

/** Where tables get their frames: the part of a physical memory manager that page tables need. */
export interface FrameSource {
  /**
   * First frame of a free block of 2^order frames, now owned by the caller, or -1.
   * `near` is a wished-for frame or -1; `owner` a small integer naming who asks (space index, -1 = kernel).
   */
  allocate(order: number, kind: number, cpu: number, near: number, owner: number): number;
  /** Gives a block back; 0 or a negative error code (double or foreign free). */
  free(frame: number, order: number, cpu: number): number;
}

/** Attribute bits of an entry, in the architecture-neutral places vmap takes and vgetmapping returns. */
export const enum Attr {
  present = 1 << 0,
  write = 1 << 1,
  user = 1 << 2,
  writeThrough = 1 << 3,
  cacheDisable = 1 << 4,
  accessed = 1 << 5,
  dirty = 1 << 6,
  /** Large leaf: the largest of 1 GiB / 2 MiB that alignment and size allow. */
  large = 1 << 7,
  global = 1 << 8,
  /** Software bit (AVL 9): a shared mapping, fork must not write-protect it. */
  shared = 1 << 9,
  avl10 = 1 << 10,
  avl11 = 1 << 11,
  noExecute = 1 << 23,
}

/**
 * What the owner of the mapped frames wants to know when leaves go or multiply. The functions are called without `this`, once a leaf and
 * in ascending order of addresses, in the middle of an operation: they must not call the page tables.
 */
export interface LeafObserver {
  /** A leaf was removed by unmapRange or destroySpace; `frame` word 1 of the entry (the first frame's bits 0-31), `level` 1, 2 or 3, `flags` word 0. */
  dropped(frame: number, flags: number, level: number): void;
  /** A leaf was copied to another space by copySpace/copyRange (same arguments; the new space holds it too). */
  copied(frame: number, flags: number, level: number): void;
}

/** One step of a walk, for people and for tests: `walkLevels` returns them from the root downwards. */
export interface WalkStep {
  readonly level: number;
  readonly index: number;
  readonly tableFrame: number;
  /** The 64 bits of the entry as the manual numbers them, as 16 hex digits. */
  readonly entry: string;
  readonly present: boolean;
  readonly leaf: boolean;
}

export interface ArchGeometry {
  readonly name: string;
  readonly pageShift: number;
  readonly levels: number;
  readonly indexBits: number;
  readonly vaBits: number;
  /** Names of the tables by level, index 1..levels, as the manual calls them (PT, PD, PDPT, PML4). */
  readonly tableNames: readonly string[];
  /** Levels at which a leaf may stand (x86-64: 1, 2, 3). */
  readonly leafLevels: readonly number[];
}

/**
 * Page tables of one simulated machine. Made once per isolate (its typed arrays then become constants of
 * the compiled code). Tables live in a slab `pt` of int32 words; a table's *handle* is the word offset of
 * its block there. Handle 0 is never a table. Entries are two int32 words: word 0 = 24 flag bits and frame
 * bits 32-39, word 1 = frame bits 0-31.
 *
 * An entry is in use when word 0 is not 0. A leaf whose present bit was cleared (protectRange) stays in use: it keeps its frame, is copied,
 * moved and dropped like any other, and only a walk does not see it.
 *
 * The four C functions check all their arguments. The policy functions expect canonical addresses and throw Error for a space that does not
 * exist (findLeaf, tableAt and withdraw find nothing there); for a process' pid the upper half is -EINVAL or, in a range, left out.
 */
export interface PageTables {
  readonly geometry: ArchGeometry;
  readonly PAGE_SIZE: number;

  // ---- the four functions of the C design
  /**
   * Maps [va, va+size) to [pa, pa+size), bytes. 0 or -EINVAL, -ESRCH, -EEXIST, -ENOMEM, looked for in this order; on error nothing changed.
   * `attr`: Attr bits, `present` is implied; default write | user for processes, write for the kernel. With `large` the leaves are the
   * largest that va, pa and size allow, -EINVAL when that is not at least level 2. The observer is not told of what vmap and vunmap do.
   */
  vmap(pid: number, pa: number, va: number, size: number, attr?: number): number;
  /** Removes the mappings of [va, va+size), skipping holes, splitting large leaves, freeing tables that became empty. 0 or an error as vmap (-ENOMEM: no frame for a split). */
  vunmap(pid: number, va: number, size: number): number;
  /** 1 if va maps to the frame that holds pa in that space, else 0. A process sees the kernel's half through its own root. */
  vismappedto(pid: number, va: number, pa: number): number;
  /** Physical byte address va maps to, or -1; attr[0] receives the attributes (Attr bits). */
  vgetmapping(pid: number, va: number, attr?: Int32Array): number;

  // ---- spaces
  /** Makes space `pid` (0 <= pid < maxSpaces). 0, -EEXIST, -EINVAL or -ENOMEM (no frame for the root table). */
  createSpace(pid: number): number;
  /** Drops every leaf (observer.dropped), frees every table including the root and deposited ones. 0, -ESRCH, or -EPERM for the kernel. */
  destroySpace(pid: number): number;
  /** Handle of each space's root table by pid, 0 = no such space; the kernel's is `kernelRoot()`. */
  readonly root: Int32Array;
  kernelRoot(): number;

  // ---- raw storage, for the hardware walker in core/lookup
  readonly pt: Int32Array;
  /** Table handle by frame; meaningful only for frames that hold a table. */
  readonly tableOf: Int32Array;
  /** Word offsets inside a table's block. */
  readonly layout: {
    readonly words: number;
    readonly bitmap: number;
    readonly count: number;
    readonly frame: number;
    readonly summary: number;
    readonly level: number;
  };

  // ---- what policies use; addresses split into hi/lo (arch/address.ts), page ranges as VPNs (doubles), end exclusive
  /** Word index in `pt` of the present leaf entry that maps the address, or -1. Its level is in `leafLevel()`. */
  findLeaf(pid: number, hi: number, lo: number): number;
  leafLevel(): number;
  /**
   * Installs or replaces the 4 KiB leaf: word 0 = flags (permuted layout) | present, word 1 = frame; allocates missing tables. The observer
   * is not told of a replaced leaf. 0, -ENOMEM (nothing changed), -EEXIST when a large leaf maps the address.
   */
  mapLeaf(pid: number, hi: number, lo: number, flags: number, frame: number): number;
  /** Installs a large leaf at level 2 or 3 where no table or leaf stands. 0, -EEXIST, -ENOMEM, -EINVAL (level, or address or frame not aligned). */
  mapLarge(pid: number, hi: number, lo: number, level: number, flags: number, frame: number): number;
  /**
   * Removes leaves of [start, end), calls observer.dropped for each, records the first 32 page numbers for
   * invalidation (see `zapped*`). Large leaves that stick out are split first (-ENOMEM possible before anything changed).
   * keepTables = 0 frees the tables in the range that are empty then. Returns the number of leaves removed or -ENOMEM.
   */
  unmapRange(pid: number, start: number, end: number, keepTables: number): number;
  /** Of the last unmapRange, protectRange or moveRange (the source): leaves touched, whether a table was freed (1; also by freeTables), and the first 32 addresses as (hi, lo) pairs. */
  readonly zapped: Int32Array; // [0] = count, [1] = tables freed; then pairs from index 2
  /**
   * Clears then sets flag bits of every leaf in [start, end), splitting large leaves that stick out. Returns the leaves that are different now, or
   * -ENOMEM (nothing changed). Who clears `present` must leave another bit set (a software bit): a leaf without any bit is an Error.
   */
  protectRange(pid: number, start: number, end: number, clear: number, set: number): number;
  /**
   * Frees the tables that [start, end) touches, that hold no entry and whose whole span lies inside [floor, ceiling) pages; then the tables above, up to
   * level `highest` (default: all but the root). Returns tables freed.
   */
  freeTables(pid: number, start: number, end: number, floor: number, ceiling: number, highest?: number): number;
  /** Makes sure the tables down to `level` exist for the address. Handle of that table, -ENOMEM (nothing changed) or -EEXIST (a large leaf is in the way). */
  ensureTable(pid: number, hi: number, lo: number, level: number): number;
  /** Handle of the table at `level` for the address, or 0. */
  tableAt(pid: number, hi: number, lo: number, level: number): number;
  /**
   * Fork: copies every user table and leaf of `from` into the fresh space `to` (which must hold only its root); leaves that
   * are writable and not `shared` lose the write bit in both. Accessed bits are cleared in the copy. 0 or -ENOMEM (nothing changed: all tables are
   * taken before the first leaf is copied). Deposited tables are not copied.
   */
  copySpace(from: number, to: number): number;
  /** The same for [start, end) only, creating tables where the source has them. 0, -ENOMEM or -EEXIST (something stands in the target); nothing changed then. */
  copyRange(from: number, to: number, start: number, end: number): number;
  /**
   * Moves leaves of [start, start+pages) to target (mremap); tables are made as needed, emptied ones kept unless keepTables = 0. A large leaf
   * moves whole where the target is aligned and free of tables, else it is split. Leaves moved, or -EINVAL (the ranges overlap or leave the
   * space), -EEXIST (a leaf stands in the target), -ENOMEM; nothing changed then.
   */
  moveRange(pid: number, start: number, target: number, pages: number, keepTables: number): number;
  /**
   * Moves a whole leaf table, with what it holds, from the level-2 entry of page `from` to that of page `to`, whose level-2 table must exist; both pages
   * are the first of such an entry. 1, or 0 when no leaf table stands at `from` or something stands at `to`. Translations of what moved are the caller's to invalidate.
   */
  moveLeafTable(pid: number, from: number, to: number): number;
  /**
   * Splits the large leaf that maps the address one level down. `table`: a withdrawn leaf table to use (for a level-2 leaf), or 0 to
   * take a new one. 0, -EINVAL (no large leaf there), -ENOMEM.
   */
  splitLarge(pid: number, hi: number, lo: number, table: number): number;
  /**
   * Deposits an unused leaf table in the space (huge pages keep one in reserve): handle or -ENOMEM. withdraw takes the latest one out
   * again, 0 when none; it then belongs to the caller, who passes it to splitLarge, attachTable or releaseTable.
   */
  deposit(pid: number): number;
  withdraw(pid: number): number;
  /** Puts a withdrawn table under the level-2 entry of the address. 0, -EEXIST, -ENOMEM (nothing changed). */
  attachTable(pid: number, hi: number, lo: number, table: number): number;
  /** Frees a withdrawn table. */
  releaseTable(pid: number, table: number): void;
  /** The CPU whose per-CPU lists table frames come from and go to; 0 until set. */
  setCpu(cpu: number): void;
  /** The levels a walk visits for the address, root first. */
  walkLevels(pid: number, va: number): WalkStep[];

  // ---- accounting
  /** Live tables by level (index 1..levels), all spaces and the kernel. */
  readonly tableCount: Int32Array;
  /** Live tables of one space: index pid * 8 + level; deposited ones count at level 1. */
  readonly spaceTables: Int32Array;
  /** The same for the kernel: index level. */
  readonly kernelTables: Int32Array;
  /** Entries in use by level over all live tables (for occupancy), computed by a scan. */
  occupancy(): { level: number; tables: number; entries: number }[];
  /** Throws an Error naming the first broken invariant. Reads every entry of every table. */
  validate(): void;
}

/** What an architecture is built with. */
export interface ArchOptions {
  readonly frames: FrameSource;
  readonly totalFrames: number;
  readonly maxSpaces: number;
  readonly observer: LeafObserver;
  /** Tables that may live at once; storage is reserved, not touched. Default: as many as frames, at most 2^19. */
  readonly maxTables?: number;
}

/** A registry entry: one file, one line in arch/registry.ts. */
export interface Architecture {
  readonly geometry: ArchGeometry;
  readonly title: string;
  readonly source: string;
  /** Throws OutOfMemoryError when there is no frame for the kernel's root. To be called once per isolate where speed matters. */
  create(options: ArchOptions): PageTables;
}
