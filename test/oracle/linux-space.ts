/** What an address space of the oracle is made of: VMAs in an array, an entry per page, tables as numbers in sets. */
import type { Frame, SharedObject } from './linux-objects.js';

/** anon_vma: only its identity matters. */
export interface Lineage {
  readonly lineage: true;
}

export interface Vma {
  from: number;
  to: number;
  /** r, w, x and the kind, as mmap said them, and `locked`. */
  flags: number;
  vm: number;
  object: SharedObject | null;
  /** vm_pgoff: index in the object; of anonymous memory the page where it was first mapped. */
  pgoff: number;
  anon: Lineage | null;
  /** Its anon_vma_chain has more than one link: it came by fork (vma_is_fork_child). */
  forked: boolean;
}

export interface Page {
  /** null: the zero page, small or huge, or a page of the kernel's (vvar). */
  frame: Frame | null;
  write: boolean;
  dirty: boolean;
}

export interface Space {
  users: number;
  vmas: Vma[];
  pages: Map<number, Page>;
  /** 2 MiB slots that one leaf maps; their 512 pages are in `pages` like all others. */
  huge: Map<number, 'page' | 'zero'>;
  /** Tables by the number of their span. */
  pts: Set<number>;
  pds: Set<number>;
  pdpts: Set<number>;
  brk: number;
  brkStart: number;
  /** What mlockall(MCL_FUTURE) said. */
  lockFuture: boolean;
}

export function emptySpace(): Space {
  return {
    users: 0,
    vmas: [],
    pages: new Map(),
    huge: new Map(),
    pts: new Set(),
    pds: new Set(),
    pdpts: new Set(),
    brk: -1,
    brkStart: -1,
    lockFuture: false,
  };
}
