/**
 * Fragmentation, blame and contiguity from scratch: a note of every frame that the PMM handed out, and a look-up of every page of every mapping. Slow and simple,
 * for the small machines of the property tests.
 */
import type { FrameAllocator } from '../../core/pmm/allocator.js';
import { mappingName } from '../../core/vmm/mapping-name.js';
import { MAX_OBJECTS } from '../../core/vmm/machine.js';
import type { Vmm } from '../../core/vmm/vmm.js';

const BLOCK = 512;
/** More than the generated events can reach of an object. */
const OBJECT_PAGES = 64;
const USES = ['free', 'anonymous', 'file', 'shared', 'table', 'kernel'];

/** Frames handed out, each with the event that took it. */
export class Taken {
  readonly born = new Map<number, number>();
  event = -1;
  failedHuge = 0;
  firstFailedHuge = -1;

  watch(pmm: FrameAllocator): FrameAllocator {
    return {
      ...pmm,
      allocate: (order, kind, cpu, near, owner) => {
        const first = pmm.allocate(order, kind, cpu, near, owner);
        if (first < 0 && order === 9 && this.failedHuge++ === 0) this.firstFailedHuge = this.event;
        for (let f = first; first >= 0 && f < first + 2 ** order; f++) this.born.set(f, this.event);
        return first;
      },
      free: (frame, order, cpu) => {
        const code = pmm.free(frame, order, cpu);
        for (let f = frame; code === 0 && f < frame + 2 ** order; f++) this.born.delete(f);
        return code;
      },
    };
  }

  /** First frames of aligned 2 MiB blocks of which some, but not all frames are taken. */
  broken(frames: number): number[] {
    const blocks: number[] = [];
    for (let first = 0; first + BLOCK <= frames; first += BLOCK) {
      let taken = 0;
      for (let f = first; f < first + BLOCK; f++) if (this.born.has(f)) taken++;
      if (taken > 0 && taken < BLOCK) blocks.push(first);
    }
    return blocks;
  }
}

/** The lowest-level entry of a page that is in use (present or not): its frame, or -1. Huge pages by their part. */
function frameOf(vmm: Vmm, space: number, page: number): { frame: number; present: boolean } | null {
  const { tables } = vmm.machine;
  const hi = Math.floor(page / 262144);
  const lo = (page - hi * 262144) * 4096;
  const table = tables.tableAt(space, hi, lo, 1);
  if (table !== 0) {
    const at = table + (page % 512) * 2;
    return tables.pt[at] === 0 ? null : { frame: tables.pt[at + 1]!, present: (tables.pt[at]! & 1) !== 0 };
  }
  const q = tables.findLeaf(space, hi, lo);
  return q < 0 ? null : { frame: tables.pt[q + 1]! + (page % 512), present: true };
}

/** Live processes with a space of their own or the first of those that share one: [slot, space]. */
function spacesInOrder(vmm: Vmm): [number, number][] {
  const spaces: [number, number][] = [];
  for (let slot = 0; slot < vmm.processes.cells[0]!; slot++) {
    const space = vmm.processes.space[slot]! - 1;
    if (space >= 0 && !spaces.some(([, known]) => known === space)) spaces.push([slot, space]);
  }
  return spaces;
}

/** Every mapped page of a space in address order: page, frame, VMA. */
function* pagesOf(vmm: Vmm, space: number): Generator<{ page: number; frame: number; present: boolean; vma: number }> {
  const { vmas, tree } = vmm.machine;
  for (let vma = vmas.first(tree[space]!); vma !== 0; vma = vmas.next(tree[space]!, vma)) {
    for (let page = vmas.start[vma]!; page < vmas.end[vma]!; page++) {
      const mapped = frameOf(vmm, space, page);
      if (mapped !== null) yield { page, vma, ...mapped };
    }
  }
}

function coveredPages(vmm: Vmm, space: number): number[] {
  const { vmas, tree } = vmm.machine;
  const pages: number[] = [];
  for (let vma = vmas.first(tree[space]!); vma !== 0; vma = vmas.next(tree[space]!, vma))
    for (let page = vmas.start[vma]!; page < vmas.end[vma]!; page++) pages.push(page);
  return pages;
}

function objectName(vmm: Vmm, object: number): string {
  return vmm.objects.names.get(object) ?? (vmm.objects.kind[object] === 2 ? '[file]' : '[shared memory]');
}

/** Who refers to each frame: `pid or blank | mapping`, the first in the documented order. */
export function holders(vmm: Vmm, kernelTables: ReadonlyMap<number, string>): Map<number, string> {
  const { machine, processes, objects } = vmm;
  const { tables, vmas } = machine;
  const held = new Map<number, string>();
  const hold = (frame: number, who: string): void => {
    if (!held.has(frame)) held.set(frame, who);
  };
  const tableName = (level: number): string => `page table (${tables.geometry.tableNames[level]})`;
  hold(machine.zeroFrame, '|zero page');
  for (const [frame, name] of kernelTables) hold(frame, `|${name}`);
  for (const [slot, space] of spacesInOrder(vmm)) {
    const pid = processes.pidOf[slot]!;
    hold(tables.pt[tables.root[space]! + tables.layout.frame]!, `${pid}|${tableName(4)}`);
    for (const { frame, vma } of pagesOf(vmm, space)) {
      const name = mappingName(vmas, objects.names, vma);
      hold(frame, `${pid}|${name !== '' ? name : vmas.object[vma] === 0 ? '[anonymous]' : objectName(vmm, vmas.object[vma]!)}`);
    }
    // A fault that found no page may leave tables above it that are empty.
    for (const page of coveredPages(vmm, space)) {
      const hi = Math.floor(page / 262144);
      for (let level = 1; level <= 3; level++) {
        const table = tables.tableAt(space, hi, (page - hi * 262144) * 4096, level);
        if (table !== 0) hold(tables.pt[table + tables.layout.frame]!, `${pid}|${tableName(level)}`);
      }
    }
  }
  for (let object = 1; object < MAX_OBJECTS && object <= objects.cells[1]!; object++) {
    if (objects.kind[object] === 0) continue;
    for (let page = 0; page < OBJECT_PAGES; page++) {
      const frame = machine.pages.lookup(object, page);
      if (frame >= 0) hold(frame, `|${objectName(vmm, object)}`);
    }
  }
  machine.kernelHeap.eachFrame((frame, cache) => hold(frame, `|slab ${cache}`));
  return held;
}

/** The rows of the blame table, unordered: `pid|mapping|kind blocks alone frames first`. */
export function blameRows(vmm: Vmm, taken: Taken, kernelTables: ReadonlyMap<number, string>): string[] {
  const { use, map } = vmm.machine.frames;
  const held = holders(vmm, kernelTables);
  const perBlock = taken.broken(map.frames).map((first) => {
    const parties = new Map<string, number[]>();
    for (let frame = first; frame < first + BLOCK; frame++) {
      const born = taken.born.get(frame);
      if (born === undefined) continue;
      const kind = USES[use[frame]!]!;
      const unreferred = kind === 'table' ? 'deposited page table' : kind === 'kernel' ? 'kernel pages' : '[not mapped]';
      const who = `${held.get(frame) ?? `|${unreferred}`}|${kind}`;
      parties.set(who, [...(parties.get(who) ?? []), born]);
    }
    return parties;
  });
  return [...new Set(perBlock.flatMap((parties) => [...parties.keys()]))].map((who) => {
    const blocks = perBlock.filter((parties) => parties.has(who));
    const born = blocks.flatMap((parties) => parties.get(who)!);
    return `${who} ${blocks.length} ${blocks.filter((parties) => parties.size === 1).length} ${born.length} ${Math.min(...born)}`;
  });
}

/** Lengths of the maximal ranges in which consecutive pages map to consecutive frames, zero pages left out. */
export function rangesOf(vmm: Vmm, space: number): number[] {
  const { machine } = vmm;
  const zeros = new Set([machine.zeroFrame]);
  if (machine.huge[2]! >= 0) for (let i = 0; i < BLOCK; i++) zeros.add(machine.huge[2]! + i);
  const pages = [...pagesOf(vmm, space)].filter(({ frame, present }) => present && !zeros.has(frame));
  return contiguousRanges(
    pages.map(({ page }) => page),
    pages.map(({ frame }) => frame),
  );
}

/** `pages` ascends; `frames[i]` is what `pages[i]` maps to. */
export function contiguousRanges(pages: ArrayLike<number>, frames: ArrayLike<number>): number[] {
  const starts = Array.from(pages, (_, i) => i).filter((i) => i === 0 || pages[i] !== pages[i - 1]! + 1 || frames[i] !== frames[i - 1]! + 1);
  return starts.map((start, i) => (starts[i + 1] ?? pages.length) - start);
}

/** The fewest ranges, longest first, that cover at least the percentage, by trying each number. */
export function rangesToCover(lengths: readonly number[], percent: number): number {
  const total = lengths.reduce((a, b) => a + b, 0);
  const counts = Array.from({ length: lengths.length + 1 }, (_, n) => n);
  return counts.find((n) => pagesInLongest(lengths, n) * 100 >= total * percent)!;
}

export function pagesInLongest(lengths: readonly number[], count: number): number {
  return [...lengths]
    .sort((a, b) => b - a)
    .slice(0, count)
    .reduce((a, b) => a + b, 0);
}

export { spacesInOrder };
