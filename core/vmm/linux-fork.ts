/**
 * fork under the `linux` policy: which VMAs and which tables a child gets.
 *
 * Models: dup_mmap (mm/mmap.c), copy_page_range and vma_needs_copy (mm/memory.c), copy_huge_pmd (mm/huge_memory.c), anon_vma_fork (mm/rmap.c) of Linux 6.18. Tables
 * are copied for VMAs that have a lineage and for vvar; all others start empty in the child and fault in again. Copying goes by the parent's tables in the
 * VMA's range, whether they hold something or not. Locked memory is not locked in the child.
 *
 * Not modelled: pages that are pinned for I/O, which the kernel copies at once.
 */
import { ENOMEM } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { Use } from './frames.js';
import type { Lineage } from './linux-lineage.js';
import { HugeCell } from './machine.js';
import type { Machine } from './machine.js';
import { VmaFlag } from './vma-flags.js';

export type LinuxFork = ReturnType<typeof makeLinuxFork>;

export function makeLinuxFork(machine: Machine, userPages: number, lineages: Lineage) {
  const { vmas, tables, tree, rules, rss, rssPeak, copying, huge } = machine;
  const { start, end, flags, lineage, first, next } = vmas;
  const lazy = rules['lazy-fork'];
  const whole = rules['fork-tables'];
  const deposits = rules['huge-deposit'];

  /** Takes the VMAs that are not to be inherited out of a fresh copy of the parent's, before anything is held for them. Pages taken out. */
  function leaveOut(t: number): number {
    let pages = 0;
    for (let v = first(t); v !== 0; ) {
      const n = next(t, v);
      if ((flags[v]! & VmaFlag.dontFork) !== 0) {
        pages += end[v]! - start[v]!;
        vmas.remove(t, v);
        vmas.release(v);
      }
      v = n;
    }
    return pages;
  }

  /** Fills the tables of space `to`, whose VMAs are copies of those of `from`. 0, or -ENOMEM: what was copied goes with the space. */
  function copyTables(from: number, to: number): number {
    const b = to << 3;
    for (let u = 0; u < 8; u++) rss[b | u] = 0;
    copying[0] = to;
    const before = huge[HugeCell.leaves]!;
    let code = 0;
    for (let v = first(tree[to]!); v !== 0; v = next(tree[to]!, v)) {
      const f = flags[v]!;
      const line = lineage[v]!;
      flags[v] = f & ~(Flag.locked | VmaFlag.lockOnFault);
      if ((f & VmaFlag.wipeOnFork) !== 0) {
        lineage[v] = 0;
        flags[v]! &= ~VmaFlag.forked;
        continue;
      }
      if (line !== 0) {
        lineage[v] = lineages.fresh();
        flags[v]! |= VmaFlag.forked;
      }
      if (line === 0 && lazy !== 0 && (f & Flag.vvar) === 0) continue;
      code = tables.copyRange(from, to, start[v]!, end[v]!);
      if (code < 0) break;
    }
    // Each huge leaf of the child keeps a table of its own in reserve.
    if (deposits !== 0) for (let n = huge[HugeCell.leaves]! - before; n > 0 && code >= 0; n--) code = tables.deposit(to);
    if (whole === 0) tables.freeTables(to, 0, userPages, 0, userPages);
    for (let u = 0; u <= Use.shared; u++) rssPeak[b | u] = rss[b | u]!;
    return code < 0 ? ENOMEM : 0;
  }

  return { leaveOut, copyTables };
}
