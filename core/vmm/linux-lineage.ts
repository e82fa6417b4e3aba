/**
 * Which VMAs merge under the `linux` policy, and the anonymous lineage (anon_vma) that decides it.
 *
 * Models: mm/vma.c (is_mergeable_vma, is_mergeable_anon_vma, can_vma_merge_before and _after) and mm/rmap.c (__anon_vma_prepare, find_mergeable_anon_vma) of
 * Linux 6.18. A lineage is a number; a VMA gets one when its first private page is written, from a neighbour it could merge with, else a fresh one. VMAs whose
 * lineage came by fork (VmaFlag.forked) neither lend it nor merge with one that has none.
 *
 * Not modelled: chains of more than two generations (a child never takes over the lineage of an ancestor that is gone), memory policies, names of
 * anonymous memory, VMAs of drivers.
 */
import { Flag } from '../../traces/event.js';
import type { Machine } from './machine.js';
import { VmaFlag } from './vma-flags.js';

export type Lineage = ReturnType<typeof makeLineage>;

export function makeLineage(machine: Machine) {
  const { vmas, tree, rules } = machine;
  const { start, end, flags, object, offset, lineage, next, prev } = vmas;
  const byLineage = rules['merge-anon-vma'];
  /** [0] the last lineage given out. */
  const last = new Int32Array(32);

  /** Bits in which neighbours must agree: all but those that only count. */
  const mergeMask: number = ~(VmaFlag.blocks | VmaFlag.heap | VmaFlag.forked | (rules['merge-accounted'] !== 0 ? 0 : VmaFlag.accounted | Flag.noreserve));
  /** Bits in which they must agree to share a lineage: rights may change until they merge. */
  const lineageMask: number = mergeMask & ~(Flag.r | Flag.w | Flag.x);
  /** Mappings that the kernel makes for itself never merge (VM_SPECIAL). */
  const special: number = Flag.vdso | Flag.vvar;

  /** A fresh lineage. */
  function fresh(): number {
    const n = (last[0]! + 1) | 0;
    last[0] = n;
    return n;
  }

  /** VMA `t` takes in memory of lineage `from` (0 = none), which came by fork or did not. */
  function anonFits(t: number, from: number, forked: number): boolean {
    if (byLineage === 0) return true;
    const own = lineage[t]!;
    if (own === 0) return from === 0 || forked === 0;
    if (from === 0) return (flags[t]! & VmaFlag.forked) === 0;
    return own === from;
  }

  /** Memory of flags `f` at page `from` may become the end of VMA `p` (0 = none). */
  function fitsAfter(p: number, from: number, f: number, obj: number, off: number, line: number): boolean {
    return (
      p !== 0 &&
      end[p] === from &&
      ((flags[p]! ^ f) & mergeMask) === 0 &&
      (f & special) === 0 &&
      object[p] === obj &&
      offset[p]! + (from - start[p]!) === off &&
      anonFits(p, line, f & VmaFlag.forked)
    );
  }

  /** Memory of flags `f` that ends at page `to` may become the beginning of VMA `n` (0 = none); `off` is the offset of `to`. */
  function fitsBefore(n: number, to: number, f: number, obj: number, off: number, line: number): boolean {
    return (
      n !== 0 &&
      start[n] === to &&
      ((flags[n]! ^ f) & mergeMask) === 0 &&
      (f & special) === 0 &&
      object[n] === obj &&
      offset[n] === off &&
      anonFits(n, line, f & VmaFlag.forked)
    );
  }

  /** VMAs `a` and `b` above it may become one. */
  function compatible(a: number, b: number): boolean {
    return fitsAfter(a, start[b]!, flags[b]!, object[b]!, offset[b]!, lineage[b]!);
  }

  /** What fits both between VMA `a` and VMA `b` may join them: that each agrees with it does not say that they agree with each other (can_vma_merge_right). */
  function bridges(a: number, b: number): boolean {
    return byLineage === 0 || lineage[a] === 0 || lineage[b] === 0 || lineage[a] === lineage[b];
  }

  function lends(v: number, a: number, b: number): number {
    if (v === 0 || lineage[v] === 0 || (flags[v]! & VmaFlag.forked) !== 0) return 0;
    return end[a] === start[b] && ((flags[a]! ^ flags[b]!) & lineageMask) === 0 && object[a] === object[b] && offset[a]! + (end[a]! - start[a]!) === offset[b]
      ? lineage[v]!
      : 0;
  }

  /** VMA `v` of space `s` is about to get its first private page. */
  function prepare(s: number, v: number): void {
    const t = tree[s]!;
    const n = next(t, v);
    let line = lends(n, v, n);
    if (line === 0) {
      const p = prev(t, v);
      line = lends(p, p, v);
    }
    lineage[v] = line === 0 ? fresh() : line;
  }

  return { fresh, prepare, fitsAfter, fitsBefore, compatible, bridges };
}
