/**
 * `share`: a range of one process becomes memory that another process has too (the kernel design's sharing between processes).
 *
 * The range is turned into an object that holds its pages; both processes map that object shared. Private pages that only this process maps move
 * into the object; pages it shares copy-on-write with others, and pages of private file mappings, are copied first, so that nobody else sees later writes.
 */
import { Attr, EINVAL, ENOMEM, FrameKind } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { Access } from '../lookup/lookup-contract.js';
import type { Faults } from './fault.js';
import { FrameCell, Use } from './frames.js';
import type { Kmap } from './kmap.js';
import type { Lineage } from './linux-lineage.js';
import { VmmCounter } from './machine.js';
import type { Machine } from './machine.js';
import type { Mappings } from './mappings.js';
import { ObjectKind } from './objects.js';
import type { Objects } from './objects.js';

export type Sharing = ReturnType<typeof makeSharing>;

export function makeSharing(machine: Machine, objects: Objects, mappings: Mappings, faults: Faults, kmap: Kmap, lineages: Lineage) {
  const { vmas, tables, lookup, frames, zeroFrame, tree, pages, counters } = machine;
  const { start, end, flags, object, offset, lineage } = vmas;
  const { ref, use } = frames;
  const { pt } = tables;
  const linux = machine.rules.linux;

  /** Moves one present private page of the space into object `o` at `index`. 0 or -ENOMEM. */
  function moveIn(s: number, hi: number, lo: number, q: number, o: number, index: number): number {
    const f = pt[q + 1]!;
    let g = f;
    if (use[f] === Use.anonymous && ref[f] === 1) {
      if (pages.insert(o, index, f) !== 0) return ENOMEM;
      frames.reuse(f, Use.shared);
    } else {
      g = frames.take(Use.shared, FrameKind.movable, -1, o);
      if (g < 0) return ENOMEM;
      if (kmap.touch(f) !== 0 || kmap.touch(g) !== 0 || pages.insert(o, index, g) !== 0) {
        frames.release(g);
        return ENOMEM;
      }
      counters[VmmCounter.copiedFrames]! += 1;
    }
    const was = g === f ? Use.anonymous : use[f]!;
    ref[g]! += 1;
    // Not of the folio that the frame once was a part of.
    frames.folioOrder[g] = 0;
    if (g === f) {
      pt[q] = pt[q]! | Attr.shared;
    } else {
      pt[q] = (pt[q]! & ~Attr.dirty) | Attr.shared;
      pt[q + 1] = g;
      ref[f]! -= 1;
    }
    faults.subResident(s, was);
    faults.addResident(s, Use.shared);
    lookup.invalidatePage(s, hi, lo);
    return 0;
  }

  /** Memory ran out halfway: pages of VMA `v` below `to` that went into object `o` are private again; the object goes. */
  function moveBack(s: number, v: number, o: number, to: number): void {
    const from = start[v]!;
    // Copies of file pages are anonymous now.
    if (linux !== 0 && lineage[v] === 0) lineages.prepare(s, v);
    for (let i = pages.nextFrom(o, 0); i >= 0 && from + i < to; i = pages.nextFrom(o, i + 1)) {
      const f = pages.remove(o, i);
      const hi = Math.floor((from + i) / 262144);
      const q = tables.findLeaf(s, hi, (from + i - hi * 262144) << 12);
      frames.put(f);
      frames.reuse(f, Use.anonymous);
      pt[q] = pt[q]! & ~Attr.shared;
      faults.subResident(s, Use.shared);
      faults.addResident(s, Use.anonymous);
    }
    objects.acquire(o);
    objects.releaseMap(o);
  }

  function hide(s: number, from: number, to: number): void {
    machine.dropping[0] = s;
    if (tables.protectRange(s, from, to, Attr.present, 0) > 0) mappings.shootdown(s);
  }

  /** Turns the private VMA `v` into a shared mapping of a fresh object. Object index or -ENOMEM. */
  function convert(s: number, v: number): number {
    const o = objects.create(ObjectKind.transient, 0, -1);
    if (o < 0) return ENOMEM;
    const from = start[v]!;
    const source = object[v]!;
    if (mappings.flatten(s, from, end[v]!) === 0) {
      objects.acquire(o);
      objects.releaseMap(o);
      return ENOMEM;
    }
    // Pages without any right are not present: they come along like the others.
    const hidden = (flags[v]! & (Flag.r | Flag.w | Flag.x)) === 0;
    if (hidden) tables.protectRange(s, from, end[v]!, 0, Attr.present);
    for (let p = from; p < end[v]!; p++) {
      const hi = Math.floor(p / 262144);
      const lo = (p - hi * 262144) << 12;
      let q = tables.findLeaf(s, hi, lo);
      if (q >= 0 && pt[q + 1] === zeroFrame) {
        mappings.zap(s, p, p + 1);
        continue;
      }
      if (q < 0 && source === 0) continue;
      if (q < 0) {
        // The file's content must come along: fault it in, then copy it like any other page.
        if (hidden || faults.fault(s, hi, lo, Access.read) === 0) {
          if (frames.cells[FrameCell.failed] === 0) continue;
          moveBack(s, v, o, p);
          return ENOMEM;
        }
        q = tables.findLeaf(s, hi, lo);
      }
      if (moveIn(s, hi, lo, q, o, p - from) !== 0) {
        moveBack(s, v, o, p);
        if (hidden) hide(s, from, end[v]!);
        return ENOMEM;
      }
    }
    if (hidden) hide(s, from, end[v]!);
    objects.acquire(o);
    if (source !== 0) objects.releaseMap(source);
    object[v] = o;
    offset[v] = 0;
    lineage[v] = 0;
    flags[v]! |= Flag.shared;
    return o;
  }

  /** Shares [from, from + pages) of space `s` with space `t` at page `to` (-1: the VMM chooses) with rights r, w. 0, -EINVAL, -ENOMEM. */
  function share(s: number, from: number, count: number, t: number, to: number, rights: number): number {
    if (count <= 0 || !mappings.inUserHalf(from, from + count)) return EINVAL;
    let covered = from;
    for (let v = vmas.find(tree[s]!, from); v !== 0 && start[v]! <= covered && covered < from + count; v = vmas.next(tree[s]!, v)) covered = end[v]!;
    if (covered < from + count) return EINVAL;
    const at = to === -1 ? mappings.findFree(t, count) : to;
    if (at < 0 || !mappings.inUserHalf(at, at + count)) return EINVAL;
    if (s === t && at < from + count && from < at + count) return EINVAL;
    if (mappings.isolate(s, from, from + count) !== 0) return ENOMEM;
    for (let v = vmas.find(tree[s]!, from); v !== 0 && start[v]! < from + count; v = vmas.next(tree[s]!, v)) {
      if ((flags[v]! & Flag.shared) === 0 && convert(s, v) < 0) return ENOMEM;
      const code = mappings.map(
        t,
        at + (start[v]! - from),
        at + (end[v]! - from),
        (rights & (Flag.r | Flag.w)) | Flag.shared | Flag.fixed,
        object[v]!,
        offset[v]!,
      );
      if (code < 0) return code;
    }
    return 0;
  }

  return { share };
}
