/**
 * The oracle's VMAs: a sorted array of plain objects per space, and when Linux merges two of them (mm/vma.c, mm/rmap.c). Simple and slow on purpose;
 * nothing here comes from core/.
 */
import { Flag } from '../../traces/event.js';
import type { Space, Vma } from './linux-space.js';

/** Bits of vm_flags that calls set on a VMA beyond those of its mmap. */
export const enum Vm {
  account = 1,
  lockOnFault = 2,
  huge = 4,
  noHuge = 8,
  sequential = 16,
  random = 32,
  dontCopy = 64,
  wipeOnFork = 128,
  dontDump = 256,
}

export const RWX = Flag.r | Flag.w | Flag.x;
/** What of an mmap's flags a VMA remembers. */
export const KEPT = RWX | Flag.shared | Flag.growsdown | Flag.stack | Flag.noreserve | Flag.locked | Flag.vdso | Flag.vvar;

/** Which rules hold; those that concern VMAs. */
export interface VmaRules {
  readonly mergeAnonVma: boolean;
  readonly mergeAccounted: boolean;
}

export const isSpecial = (v: Vma): boolean => (v.flags & (Flag.vdso | Flag.vvar)) !== 0;
export const isShared = (v: Vma): boolean => (v.flags & Flag.shared) !== 0;
export const isAnonymous = (v: Vma): boolean => v.object === null && (v.flags & Flag.vvar) === 0;

export function vmaAt(s: Space, page: number): Vma | undefined {
  return s.vmas.find((v) => v.from <= page && page < v.to);
}
export function vmasIn(s: Space, from: number, to: number): Vma[] {
  return s.vmas.filter((v) => v.from < to && v.to > from);
}
function sort(s: Space): void {
  s.vmas.sort((a, b) => a.from - b.from);
}
const neighbour = (s: Space, v: Vma, by: 1 | -1): Vma | undefined => s.vmas[s.vmas.indexOf(v) + by];

/** __split_vma: both parts keep the lineage. */
export function cut(s: Space, v: Vma, at: number): Vma {
  const upper: Vma = { ...v, from: at, pgoff: v.pgoff + at - v.from };
  v.to = at;
  s.vmas.push(upper);
  sort(s);
  return upper;
}
/** Makes [from, to) fall on borders of VMAs. */
export function cutAt(s: Space, from: number, to: number): void {
  for (const at of [from, to]) {
    const v = vmaAt(s, at);
    if (v !== undefined && v.from < at) cut(s, v, at);
  }
}

/** is_mergeable_vma and the offsets, of `a` right below `b`. */
function continues(a: Vma, b: Vma, rules: VmaRules): boolean {
  const ignored = rules.mergeAccounted ? 0 : Vm.account;
  const unreserved = rules.mergeAccounted ? 0 : Flag.noreserve;
  return (
    a.to === b.from &&
    !isSpecial(a) &&
    !isSpecial(b) &&
    (a.flags & ~unreserved) === (b.flags & ~unreserved) &&
    (a.vm & ~ignored) === (b.vm & ~ignored) &&
    a.object === b.object &&
    b.pgoff === a.pgoff + (a.to - a.from)
  );
}
/** is_mergeable_anon_vma: `target` takes over what `source` has. `fresh`: there is no VMA behind it yet whose forks would matter. */
function lineagesAgree(target: Vma, source: Vma, fresh: boolean, rules: VmaRules): boolean {
  if (!rules.mergeAnonVma) return true;
  if (target.anon === null && source.anon !== null) return fresh || !source.forked;
  if (target.anon !== null && source.anon === null) return !target.forked;
  return target.anon === source.anon;
}

export interface Joining {
  /** The range is new and stands for no VMA yet. */
  readonly fresh: boolean;
  /** Only the VMA below may grow (brk). */
  readonly justExpand?: boolean;
}

/** vma_merge_new_range and vma_merge_existing_range: `v`, which is in the list, joins its neighbours where it may. What it became. */
export function joinNeighbours(s: Space, v: Vma, rules: VmaRules, { fresh, justExpand = false }: Joining): Vma {
  const below = neighbour(s, v, -1);
  const above = neighbour(s, v, 1);
  const left = below !== undefined && continues(below, v, rules) && lineagesAgree(below, v, fresh, rules);
  let right = !justExpand && above !== undefined && continues(v, above, rules) && lineagesAgree(above, v, fresh, rules);
  // That each agrees with the middle does not say that they agree with each other (can_vma_merge_right).
  if (left && right && rules.mergeAnonVma) right = below.anon === null || above!.anon === null || below.anon === above!.anon;
  let result = v;
  if (left) result = absorb(s, below, v);
  if (right) result = absorb(s, result, above!);
  return result;
}
function absorb(s: Space, a: Vma, b: Vma): Vma {
  if (a.anon === null) {
    a.anon = b.anon;
    a.forked = b.forked;
  }
  a.to = b.to;
  a.vm |= b.vm;
  s.vmas.splice(s.vmas.indexOf(b), 1);
  return a;
}
export function insert(s: Space, v: Vma): void {
  s.vmas.push(v);
  sort(s);
}

/** __anon_vma_prepare: a VMA that gets its first private page takes the lineage of a neighbour it could merge with but for its rights, or a new one. */
export function prepareLineage(s: Space, v: Vma): void {
  if (v.anon !== null) return;
  const above = neighbour(s, v, 1);
  const below = neighbour(s, v, -1);
  const reusable = (a: Vma | undefined, b: Vma | undefined, old: Vma | undefined): boolean =>
    a !== undefined &&
    b !== undefined &&
    old !== undefined &&
    old.anon !== null &&
    !old.forked &&
    a.to === b.from &&
    a.object === b.object &&
    (a.flags & ~RWX) === (b.flags & ~RWX) &&
    a.vm === b.vm &&
    b.pgoff === a.pgoff + (a.to - a.from);
  if (reusable(v, above, above)) v.anon = above!.anon;
  else if (reusable(below, v, below)) v.anon = below!.anon;
  else v.anon = { lineage: true };
}
