/**
 * All leaves and tables of an address space, in address order: for what is measured now and then (contiguity, blame), never inside the replay loop.
 */
import { Attr } from '../../arch/arch.js';
import type { PageTables } from '../../arch/arch.js';

export interface TableVisitor {
  /** A leaf: first page (VPN), first frame, pages it maps; `present` is false for one that a walk does not see but that keeps its frame. */
  leaf?(page: number, frame: number, pages: number, present: boolean): void;
  /** A table: its frame and its level (1 = the lowest). */
  table?(frame: number, level: number): void;
}

/** Visits the entries from `from` to before `to` of the table `root`, of the highest level, and everything below them. The root itself is no table of the visit. */
function walk(tables: PageTables, root: number, from: number, to: number, visitor: TableVisitor): void {
  const { pt, tableOf, geometry, layout } = tables;
  const perTable = 2 ** geometry.indexBits;
  const visit = (table: number, level: number, base: number, first: number, end: number): void => {
    const span = 2 ** ((level - 1) * geometry.indexBits);
    const bitmap = table + layout.bitmap;
    for (let i = first; i < end; i++) {
      // Most tables are mostly empty: a word of the bitmap says so of 32 entries.
      const rest = pt[bitmap + (i >>> 5)]! >>> (i & 31);
      if (rest === 0) {
        i |= 31;
        continue;
      }
      i += 31 - Math.clz32(rest & -rest);
      if (i >= end) return;
      const word = pt[table + i * 2]!;
      const frame = pt[table + i * 2 + 1]!;
      if (level === 1 || (word & Attr.large) !== 0) visitor.leaf?.(base + i * span, frame, span, (word & Attr.present) !== 0);
      else {
        visitor.table?.(frame, level - 1);
        visit(tableOf[frame]!, level - 1, base + i * span, 0, perTable);
      }
    }
  };
  visit(root, geometry.levels, 0, from, to);
}

/** Entries of a root that are the processes' half; the rest are the kernel's. */
function userEntries({ geometry }: PageTables): number {
  return 2 ** (geometry.vaBits - 1 - geometry.pageShift - (geometry.levels - 1) * geometry.indexBits);
}

/** A process's half of its space: every leaf and every table, its root included. */
export function walkUserHalf(tables: PageTables, space: number, visitor: TableVisitor): void {
  const root = tables.root[space]!;
  visitor.table?.(tables.pt[root + tables.layout.frame]!, tables.geometry.levels);
  walk(tables, root, 0, userEntries(tables), visitor);
}

/** The kernel's half, which all spaces share, and the kernel's own root. Pages are counted from the start of the whole address space here. */
export function walkKernelHalf(tables: PageTables, visitor: TableVisitor): void {
  const root = tables.kernelRoot();
  visitor.table?.(tables.pt[root + tables.layout.frame]!, tables.geometry.levels);
  walk(tables, root, userEntries(tables), 2 * userEntries(tables), visitor);
}
