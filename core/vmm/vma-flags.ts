/** Bits that the VMM adds to a VMA's flags; the trace's own (traces/event.ts) say rights, sharing and kind. */

/** VMM bits of a VMA's flags, in places that no mmap event uses for what a VMA keeps. */
export const enum VmaFlag {
  // ---- of the linux policy (include/linux/mm.h)
  /** VM_ACCOUNT: private and once writable. */
  accounted = 1 << 12,
  /** Its lineage came by fork: vma_is_fork_child. */
  forked = 1 << 13,
  /** VM_HUGEPAGE and VM_NOHUGEPAGE. */
  huge = 1 << 14,
  noHuge = 1 << 15,
  /** VM_SEQ_READ and VM_RAND_READ. */
  sequential = 1 << 16,
  random = 1 << 17,
  /** VM_DONTCOPY, VM_WIPEONFORK, VM_DONTDUMP, VM_MERGEABLE. */
  dontFork = 1 << 18,
  wipeOnFork = 1 << 19,
  dontDump = 1 << 20,
  mergeable = 1 << 21,
  /** VM_LOCKONFAULT. */
  lockOnFault = 1 << 22,
  // ---- of every policy
  /** Heap blocks live in it (counted as heap memory). */
  blocks = 1 << 27,
  /** Made for a block or an access that no recorded mapping holds. */
  implicit = 1 << 28,
  /** Grown by brk. */
  heap = 1 << 29,
}

/** Every bit of the linux policy. */
export const LINUX_BITS = (1 << 23) - (1 << 12);
