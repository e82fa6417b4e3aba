/**
 * Blame: who keeps broken 2 MiB blocks from being whole. A block is broken when it has free and taken frames and no hole; every taken frame in it has a
 * holder (a process and the mapping it is in, an object of the page cache, a slab cache, a page table), a kind and the event that took it.
 *
 * The replay only notes the event (core/vmm/frames.ts, `born`); holders are found by walking what refers to the frames when it is asked for.
 */
import { FrameCell, PIECE_FRAMES, PIECE_SHIFT, Use } from '../vmm/frames.js';
import { mappingName } from '../vmm/mapping-name.js';
import { ObjectCell, ObjectKind } from '../vmm/objects.js';
import { walkKernelHalf, walkUserHalf } from '../vmm/table-walk.js';
import type { Vmm } from '../vmm/vmm.js';
import { FRAME_USES, KIND_MOVES } from './result.js';
import type { Blame, BlameKind, BlameRow } from './result.js';

/** Rows kept: the worst of all, and the worst of what cannot be moved, which those would hide. */
const WORST = 30;
const WORST_PINNED = 10;
/** Frames that nothing refers to, by use. */
const UNREFERRED: Readonly<Record<number, string>> = {
  [Use.table]: 'deposited page table',
  [Use.kernel]: 'kernel pages',
  [Use.movable]: 'movable pages',
  [Use.aged]: 'aged memory',
  [Use.agedPinned]: 'aged memory of the kernel',
};

interface Holder {
  /** null: no process's. */
  readonly pid: number | null;
  readonly command: string;
  readonly mapping: string;
}

interface Tally {
  /** Index into the snapshot's holders; 0 = nothing refers to these frames. */
  readonly holder: number;
  readonly use: number;
  blocks: number;
  alone: number;
  frames: number;
  firstEvent: number;
  /** The broken block counted last. */
  last: number;
}

/** What was counted at one moment; `blameOf` makes the rows. */
export interface BlameSnapshot {
  readonly blame: Omit<Blame, 'holders' | 'rows'>;
  readonly holders: readonly Holder[];
  readonly tallies: readonly Tally[];
}

/** `holes`: frames of each 2 MiB piece that are holes in the memory map. */
export function makeBlame(vmm: Vmm, holes: ArrayLike<number>) {
  const { machine, processes, objects } = vmm;
  const { frames, tables, vmas, tree, kernelHeap, pages } = machine;
  const { cells, pieces, use, born } = frames;
  const { space, pidOf, commands } = processes;
  const { tableNames } = tables.geometry;

  /** Pieces that have free and taken frames and no hole, ascending. */
  function brokenPieces(): number[] {
    const broken: number[] = [];
    for (let piece = 0; piece < cells[FrameCell.pieceLimit]!; piece++) {
      if (holes[piece] !== 0) continue;
      let taken = 0;
      for (let u = 1; u < Use.length; u++) taken += pieces[(piece << PIECE_SHIFT) | u]!;
      if (taken > 0 && taken < PIECE_FRAMES) broken.push(piece);
    }
    return broken;
  }

  /** The holder of each frame of the broken pieces, PIECE_FRAMES a piece, as an index into `holders`. The first that is found to refer to a frame holds it. */
  function holdersOf(broken: readonly number[]): { of: Int32Array; holders: Holder[] } {
    const place = new Int32Array(cells[FrameCell.pieceLimit]!).fill(-1);
    for (let i = 0; i < broken.length; i++) place[broken[i]!] = i;
    const holders: Holder[] = [{ pid: null, command: '', mapping: '' }];
    const of = new Int32Array(broken.length * PIECE_FRAMES);
    const hold = (frame: number, id: number): void => {
      const i = place[frame >>> 9] ?? -1;
      if (i < 0) return;
      const at = i * PIECE_FRAMES + (frame & (PIECE_FRAMES - 1));
      if (of[at] === 0) of[at] = id;
    };
    /** Numbers of one party's holders by mapping. */
    const party = (pid: number | null, command: string): ((mapping: string) => number) => {
      const known = new Map<string, number>();
      return (mapping) => {
        let id = known.get(mapping);
        if (id === undefined) {
          id = holders.push({ pid, command, mapping }) - 1;
          known.set(mapping, id);
        }
        return id;
      };
    };

    const nobodys = party(null, '');
    hold(machine.zeroFrame, nobodys('zero page'));
    walkKernelHalf(tables, { table: (frame, level) => hold(frame, nobodys(tableName(level))) });
    const seen = new Set<number>();
    for (let p = 0; p < processes.cells[0]!; p++) {
      const s = space[p]! - 1;
      if (s < 0 || seen.has(s)) continue;
      seen.add(s);
      const own = party(pidOf[p]!, commands.get(p) ?? '');
      let end = -Infinity;
      let id = 0;
      walkUserHalf(tables, s, {
        table: (frame, level) => hold(frame, own(tableName(level))),
        leaf: (page, frame, count) => {
          // A large leaf fills its pieces, which are not broken then.
          if (count > 1) return;
          if (page >= end) {
            const v = vmas.find(tree[s]!, page);
            end = v === 0 ? page + 1 : vmas.end[v]!;
            id = own(v === 0 ? '[no mapping]' : nameOf(v));
          }
          hold(frame, id);
        },
      });
    }
    for (let o = 1; o <= objects.cells[ObjectCell.last]!; o++) {
      if (objects.kind[o] === ObjectKind.none) continue;
      const id = nobodys(objectName(o));
      for (let page = pages.nextFrom(o, 0); page >= 0; page = pages.nextFrom(o, page + 1)) hold(pages.foundFrame(), id);
    }
    kernelHeap.eachFrame((frame, cache) => hold(frame, nobodys(`slab ${cache}`)));
    return { of, holders };
  }

  const tableName = (level: number): string => `page table (${tableNames[level]})`;
  const objectName = (o: number): string => objects.names.get(o) ?? (objects.kind[o] === ObjectKind.file ? '[file]' : '[shared memory]');

  function nameOf(v: number): string {
    const name = mappingName(vmas, objects.names, v);
    if (name !== '') return name;
    return vmas.object[v] === 0 ? '[anonymous]' : objectName(vmas.object[v]!);
  }

  /** Who holds the broken blocks now, after `event` events. */
  function take(event: number): BlameSnapshot {
    const broken = brokenPieces();
    const { of, holders } = holdersOf(broken);
    const tallies: (Tally | undefined)[] = [];
    const kinds: BlameKind[] = FRAME_USES.map((kind) => ({ kind, movable: KIND_MOVES[kind], blocks: 0, alone: 0, frames: 0 }));
    let free = 0;
    let pinned = 0;
    for (let i = 0; i < broken.length; i++) {
      const first = broken[i]! * PIECE_FRAMES;
      let parties = 0;
      let party: Tally | undefined;
      for (let j = 0; j < PIECE_FRAMES; j++) {
        const u = use[first + j]!;
        if (u === Use.free) {
          free++;
          continue;
        }
        const holder = of[i * PIECE_FRAMES + j]!;
        const tally = (tallies[holder * Use.length + u] ??= { holder, use: u, blocks: 0, alone: 0, frames: 0, firstEvent: Infinity, last: -1 });
        tally.frames++;
        tally.firstEvent = Math.min(tally.firstEvent, born[first + j]!);
        if (tally.last === i) continue;
        tally.last = i;
        tally.blocks++;
        parties++;
        party = tally;
      }
      if (parties === 1) party!.alone++;
      pinned += countKinds(broken[i]!, kinds);
    }
    const blame = { event, broken_blocks: broken.length, free_frames: free, pinned_blocks: pinned, kinds: kinds.filter((kind) => kind.frames > 0) };
    return { blame, holders, tallies: tallies.filter((tally) => tally !== undefined) };
  }

  /** Adds what a broken piece holds of each kind; 1 when some of it cannot be moved. */
  function countKinds(piece: number, kinds: readonly BlameKind[]): number {
    let pinned = 0;
    let parties = 0;
    let party: BlameKind | undefined;
    for (let u = 1; u < kinds.length; u++) {
      const held = pieces[(piece << PIECE_SHIFT) | u]!;
      if (held === 0) continue;
      const kind = kinds[u]!;
      kind.blocks++;
      kind.frames += held;
      if (!kind.movable) pinned = 1;
      parties++;
      party = kind;
    }
    if (parties === 1) party!.alone++;
    return pinned;
  }

  return { take };
}

/** The snapshot as a result: the worst rows, worst first, in an order that nothing but their content decides. */
export function blameOf({ blame, holders, tallies }: BlameSnapshot): Blame {
  const rows = tallies.map(({ holder, use, blocks, alone, frames, firstEvent }): BlameRow => {
    const kind = FRAME_USES[use]!;
    const { pid, command, mapping } = holders[holder]!;
    const name = holder === 0 ? (UNREFERRED[use] ?? '[not mapped]') : mapping;
    return { pid, command, mapping: name, kind, movable: KIND_MOVES[kind], blocks, alone, frames, first_event: firstEvent };
  });
  rows.sort(worstFirst);
  const pinned = new Set(rows.filter(({ movable }) => !movable).slice(0, WORST_PINNED));
  return { ...blame, holders: tallies.length, rows: rows.filter((row, i) => i < WORST || pinned.has(row)) };
}

function worstFirst(a: BlameRow, b: BlameRow): number {
  const byNumbers = b.blocks - a.blocks || b.frames - a.frames || a.first_event - b.first_event || (a.pid ?? -1) - (b.pid ?? -1);
  if (byNumbers !== 0) return byNumbers;
  const [one, other] = [`${a.mapping}\0${a.kind}`, `${b.mapping}\0${b.kind}`];
  return one < other ? -1 : one > other ? 1 : 0;
}
