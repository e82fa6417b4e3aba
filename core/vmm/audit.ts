/**
 * The audit: recomputes the VMM's state from the page tables, VMAs and objects alone and compares it with what was counted along the way.
 * Slow and independent on purpose; `--audit N` runs it every N events, tests after every phase.
 */
import { Attr } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { PIECE_FRAMES, Use } from './frames.js';
import { HugeCell, MAX_OBJECTS } from './machine.js';
import type { Machine } from './machine.js';
import { ObjectCell, ObjectKind } from './objects.js';
import type { Objects } from './objects.js';

/** Throws an Error that names the first broken invariant. Looks at spaces up to `lastSpace`, the highest that was ever used; `kmapped`: frames the kernel maps for itself. */
export function audit(machine: Machine, objects: Objects, lastSpace: number, kmapped: readonly number[]): void {
  const { tables, frames, vmas, tree, users, rss, vmPages, zeroFrame, pages, rules, huge } = machine;
  frames.validate();
  tables.validate();
  machine.kernelHeap.validate();
  pages.validate(objects.cells[ObjectCell.last]! + 1, MAX_OBJECTS);
  const holds = new Int32Array(frames.ref.length);
  for (const f of kmapped) if (f !== zeroFrame) holds[f]! += 1;
  const { pt, tableOf, layout, geometry } = tables;
  let hugeLeaves = 0;
  let hugeZeros = 0;

  for (let s = 0; s <= lastSpace; s++) {
    if (users[s] === 0) continue;
    const t = tree[s]!;
    vmas.validate(t);
    let size = 0;
    for (let v = vmas.first(t); v !== 0; v = vmas.next(t, v)) {
      size += vmas.end[v]! - vmas.start[v]!;
      if (vmas.object[v] !== 0 && objects.kind[vmas.object[v]!] === ObjectKind.none) throw new Error(`space ${s}: a VMA maps a dead object`);
    }
    if (size !== vmPages[s]) throw new Error(`space ${s}: VMAs cover ${size} pages, counted ${vmPages[s]}`);
    const resident = new Int32Array(8);
    let leafTables = 0;
    let hugeHere = 0;
    const table = (handle: number, level: number, base: number): void => {
      if (level === 1) leafTables++;
      if (rules['free-tables'] !== 0) {
        const v = vmas.findFrom(t, base);
        if (v === 0 || vmas.start[v]! >= base + 2 ** (level * geometry.indexBits))
          throw new Error(`space ${s}: no VMA overlaps the level-${level} table at page ${base}`);
      }
      visit(handle, level, base);
    };
    /** A leaf of the linux policy that maps 512 pages. */
    const visitHuge = (e: number, f: number, page: number): void => {
      hugeHere++;
      const v = vmas.find(t, page);
      if (v === 0 || vmas.end[v]! < page + PIECE_FRAMES) throw new Error(`space ${s}: the huge page at ${page} is not in one VMA`);
      const rights = vmas.flags[v]! & (Flag.r | Flag.w | Flag.x);
      if ((rights !== 0) !== ((e & Attr.present) !== 0)) throw new Error(`space ${s}: huge page ${page} has rights ${rights} and leaf ${e}`);
      if ((e & Attr.write) !== 0 && ((rights & Flag.w) === 0 || f === huge[HugeCell.zero])) throw new Error(`space ${s}: huge page ${page} may be written`);
      if (vmas.object[v] !== 0) throw new Error(`space ${s}: huge page ${page} is not anonymous`);
      if (f === huge[HugeCell.zero]) {
        hugeZeros++;
        return;
      }
      for (let g = f; g < f + PIECE_FRAMES; g++) {
        if (frames.use[g] !== Use.anonymous) throw new Error(`space ${s}: huge page ${page} maps frame ${g} of use ${frames.use[g]}`);
        holds[g]! += 1;
      }
      resident[Use.anonymous]! += PIECE_FRAMES;
      resident[0]! += PIECE_FRAMES;
    };
    const visit = (handle: number, level: number, base: number): void => {
      const user = level === geometry.levels ? 256 : 512;
      for (let i = 0; i < user; i++) {
        const e = pt[handle + i * 2]!;
        if (e === 0) continue;
        const f = pt[handle + i * 2 + 1]!;
        const page = base + i * 2 ** ((level - 1) * geometry.indexBits);
        if (level > 1) {
          if ((e & Attr.large) !== 0) visitHuge(e, f, page);
          else table(tableOf[f]!, level - 1, page);
          continue;
        }
        const v = vmas.find(t, page);
        if (v === 0) throw new Error(`space ${s}: page ${page} is mapped outside every VMA`);
        const rights = vmas.flags[v]! & (Flag.r | Flag.w | Flag.x);
        if ((rights !== 0) !== ((e & Attr.present) !== 0)) throw new Error(`space ${s}: page ${page} has rights ${rights} and leaf ${e}`);
        if ((e & Attr.write) !== 0 && (rights & Flag.w) === 0) throw new Error(`space ${s}: page ${page} may be written against its VMA`);
        if (((e & Attr.shared) !== 0) !== ((vmas.flags[v]! & Flag.shared) !== 0)) throw new Error(`space ${s}: page ${page} and its VMA differ in sharing`);
        if (f === zeroFrame) {
          if ((e & Attr.write) !== 0) throw new Error(`space ${s}: page ${page} may write the zero page`);
          continue;
        }
        const u = frames.use[f]!;
        if (u !== Use.anonymous && u !== Use.file && u !== Use.shared) throw new Error(`space ${s}: page ${page} maps frame ${f} of use ${u}`);
        if ((e & Attr.write) !== 0 && (e & Attr.shared) === 0 && u !== Use.anonymous)
          throw new Error(`space ${s}: page ${page} may write frame ${f} of an object privately`);
        if (rules.linux !== 0 && u === Use.anonymous && vmas.lineage[v] === 0)
          throw new Error(`space ${s}: page ${page} is anonymous in a VMA without lineage`);
        holds[f]! += 1;
        resident[u]! += 1;
        resident[0]! += 1;
      }
    };
    visit(tables.root[s]!, geometry.levels, 0);
    hugeLeaves += hugeHere;
    const spare = tables.spaceTables[s * 8 + 1]! - leafTables;
    if (spare !== (rules['huge-deposit'] !== 0 ? hugeHere : 0)) throw new Error(`space ${s}: ${spare} tables in reserve for ${hugeHere} huge pages`);
    for (let u = 0; u <= Use.shared; u++) {
      if (resident[u] !== rss[s * 8 + u]) throw new Error(`space ${s}: ${resident[u]} pages of use ${u} resident, counted ${rss[s * 8 + u]}`);
    }
  }
  if (hugeLeaves !== huge[HugeCell.leaves]) throw new Error(`${hugeLeaves} huge pages, counted ${huge[HugeCell.leaves]}`);
  if (hugeZeros !== huge[HugeCell.zeroUses]) throw new Error(`${hugeZeros} huge zero pages, counted ${huge[HugeCell.zeroUses]}`);
  if (huge[HugeCell.dropped] !== 0) throw new Error(`${huge[HugeCell.dropped]} huge pages went without the tables they kept in reserve`);
  for (let o = 1; o <= objects.cells[ObjectCell.last]!; o++) {
    if (objects.kind[o] === ObjectKind.none) continue;
    for (let p = pages.nextFrom(o, 0); p >= 0; p = pages.nextFrom(o, p + 1)) holds[pages.lookup(o, p)]! += 1;
    for (let p = pages.nextFrom(o + MAX_OBJECTS, 0); p >= 0; p = pages.nextFrom(o + MAX_OBJECTS, p + 1)) {
      if (pages.lookup(o, p) >= 0) throw new Error(`object ${o}: page ${p} is both cached and marked absent`);
    }
  }
  for (let f = 0; f < holds.length; f++) {
    const u = frames.use[f]!;
    if (u === Use.anonymous || u === Use.file || u === Use.shared) {
      if (holds[f] !== frames.ref[f]) throw new Error(`frame ${f} is held ${holds[f]} times, counted ${frames.ref[f]}`);
    } else if (holds[f] !== 0) throw new Error(`frame ${f} of use ${u} is mapped`);
    if (u === Use.table && pt[tableOf[f]! + layout.frame] !== f) throw new Error(`frame ${f} counts as a table but holds none`);
  }
}
