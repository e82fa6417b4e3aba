/**
 * Contract of the lookup unit: TLB and page-walk caches in front of the page tables, as hardware has them.
 * Per CPU; entries are tagged with an address-space id (PCID), so a process switch flushes nothing by default.
 */
import type { PageTables } from '../../arch/arch.js';

/** What the walker reads of the page tables: nothing else of the architecture is needed to translate. */
export type WalkedTables = Pick<PageTables, 'geometry' | 'root' | 'kernelRoot' | 'pt' | 'tableOf'>;

/** One level of a TLB. The number of sets (entries / ways) need not be a power of two: index = page modulo sets. */
export interface TlbLevel {
  readonly entries: number;
  readonly ways: number;
  /** Cycles of a whole lookup that ends with a hit here (not on top of the level before). */
  readonly hitCycles: number;
}

/** A page-walk cache; 0 entries = absent. */
export interface WalkCache {
  readonly entries: number;
  readonly ways: number;
}

export interface LookupConfig {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  /** None, one or two levels, nearest first; a level holds 4 KiB and large translations alike. */
  readonly tlb: readonly TlbLevel[];
  /** Entries and ways of the page-walk caches by level of the entry they hold: PDE (2), PDPTE (3), PML4E (4). 0 entries = absent. */
  readonly walkCaches: { readonly pde: WalkCache; readonly pdpte: WalkCache; readonly pml4e: WalkCache };
  /**
   * What invalidating one page does to the walk caches: `path` forgets the entries that lead to the page (AMD64 APM vol. 2, 3.1.7, EFER.TCE = 1),
   * `space` all entries of the address space (Intel SDM vol. 3A, 4.10.4.1, INVLPG).
   */
  readonly invalidation: 'path' | 'space';
  /** Cycles of one table read during a walk. */
  readonly walkReadCycles: number;
  /** Cycles a walk costs besides its reads. */
  readonly walkBaseCycles: number;
  /** Cycles of a minor fault's entry and exit (not the kernel's work). */
  readonly faultCycles: number;
  /** ASID-tagged (PCID); false: a switch of the space flushes. */
  readonly pcid: boolean;
}

/** How an address is used. */
export const enum Access {
  read = 0,
  write = 1,
  fetch = 2,
}

/** Indices into `counters`. */
export const enum LookupCounter {
  lookups = 0,
  l1Hits = 1,
  l2Hits = 2,
  misses = 3,
  /** Hits whose permission did not suffice (first write through a clean or read-only entry): walked again. */
  permissionWalks = 4,
  walks = 5,
  walkRefs = 6,
  pdeHits = 7,
  pdpteHits = 8,
  pml4eHits = 9,
  pageInvalidations = 10,
  spaceFlushes = 11,
  /** Walks that ended in a page fault. */
  faults = 12,
  length = 13,
}

export interface Lookup {
  /**
   * One access by `space` (pid of the page tables) on `cpu`: 1 = translated (A/D bits set, TLB filled), 0 = page fault: nothing maps the
   * page or the entry forbids the access. After the fault was resolved call `retry`, which walks again without a new lookup being counted;
   * resolving it must not look this page up on this CPU.
   * `space` is -1 (kernel) or below maxSpaces, the address canonical (arch/address.ts splits it), `kind` an Access; nothing of that is checked here.
   * A page is looked up under the kernel's id when it lies in the upper half, whichever space uses it.
   */
  access(space: number, hi: number, lo: number, kind: number, cpu: number): number;
  retry(space: number, hi: number, lo: number, kind: number, cpu: number): number;
  /** Forgets one page of a space on every CPU: its TLB entries of any size, and of the walk caches what `invalidation` says. */
  invalidatePage(space: number, hi: number, lo: number): void;
  /** Forgets everything of a space on every CPU, in O(1): a new address-space id. Also called when a space is created or its tables are freed. */
  flushSpace(space: number): void;
  /** The space now runs on this CPU. Without PCIDs it starts with nothing there (a flush, counted); the kernel's entries stay, -1 changes nothing. */
  switchSpace(space: number, cpu: number): void;
  /** Hot counters since the last `spill`, int32; spill() adds them to `counters` (exact doubles). Call at least every 2^24 accesses. */
  readonly counters: Float64Array;
  spill(): void;
  /** Table reads per walk: [1..levels] -> walks, summed by spill. */
  readonly walkLengths: Float64Array;
  /**
   * Cycles so far, an exact integer: l1Hits * tlb[0].hitCycles + l2Hits * tlb[1].hitCycles + walks * walkBaseCycles + walkRefs * walkReadCycles
   * + faults * faultCycles. Spills.
   */
  cycles(): number;
}

export interface LookupOptions {
  readonly config: LookupConfig;
  readonly tables: WalkedTables;
  readonly cpus: number;
  readonly maxSpaces: number;
}
