/**
 * Watching a replay: sample points, the picture of memory, fragmentation, contiguity. Runs between segments of the loop, never inside it.
 */
import { freeHugeScore, indices, largestFreeBlock } from '../metrics/fragmentation.js';
import { LookupCounter } from '../lookup/lookup-contract.js';
import { MAX_ORDER } from '../pmm/allocator.js';
import { FrameCell, PIECE_FRAMES, PIECE_SHIFT, Use } from '../vmm/frames.js';
import { VmmCounter } from '../vmm/machine.js';
import type { Vmm } from '../vmm/vmm.js';
import { blameOf, makeBlame } from './blame.js';
import { GROWTH, makeContiguity } from './contiguity.js';
import { FRAME_USES } from './result.js';
import type { Blame, FragmentationPoint, MemoryPicture, TableLevel, Timeline } from './result.js';

/** Pieces of a picture at most; larger memories get larger pieces. */
const MAX_PIECES = 2048;

export type Observer = ReturnType<typeof makeObserver>;

export interface Watched {
  /** Memory was aged, and the trace is of a page allocator: both have columns of their own. */
  readonly aged: boolean;
  readonly pages: boolean;
  /** The trace is replayed in several rounds, each with a peak of its own. */
  readonly rounds: boolean;
}

export function makeObserver(vmm: Vmm, { aged, pages, rounds }: Watched) {
  const { machine, processes, heap } = vmm;
  const { frames, tables, lookup, counters, vmas, tree, users } = machine;
  const { cells, pieces, pmm, map } = frames;
  const levels = tables.geometry.levels;
  const holes = holeFrames();
  const blame = makeBlame(vmm, holes);
  const contiguity = makeContiguity(vmm);

  const columns = [
    ...[
      'event',
      'time_ns',
      'processes_count',
      'vmas_count',
      'anonymous_frames',
      'file_frames',
      'shared_frames',
      'table_frames',
      'kernel_frames',
      ...(pages ? ['movable_frames'] : []),
      ...(aged ? ['aged_frames'] : []),
      'free_frames',
      'free_huge_frames',
    ],
    ...Array.from({ length: levels }, (_, l) => `table_frames_level_${l + 1}`),
    ...Array.from({ length: levels }, (_, l) => `table_entries_level_${l + 1}`),
    ...['heap_live_bytes', 'minor_faults_count', 'cow_breaks_count', 'lookups_count', 'tlb_misses_count', 'walks_count', 'walk_refs'],
    ...['pmm_allocs_count', 'pmm_frees_count', 'pmm_steps_count', 'unusable_free_index_order_9'],
    ...['free_huge_ratio', 'largest_free_block_frames', 'huge_failures_count'],
  ];
  const rows: number[][] = [];
  const fragmentation: FragmentationPoint[] = [];
  const peak = {
    used: -1,
    event: 0,
    limit: 0,
    pieces: new Uint16Array(pieces.length),
    tables: [] as TableLevel[],
    unusable: 0,
    freeHuge: 1,
    /** Frames in use when contiguity and blame were measured last. */
    measuredAt: 0,
    blame: blame.take(0),
    ranges: [0, 0, 0] as readonly number[],
  };
  /** Of the round that is replayed. `mapped`: pages of all processes when contiguity was measured last. */
  const round = { used: -1, unusable: 0, freeHuge: 1, mapped: 0, ranges: [0, 0, 0] as readonly number[] };
  /** At the last sample point. */
  const end = { unusable: 0, freeHuge: 1 };
  let vmasPeak = 0;

  /** Frames of each 2 MiB piece that are holes in the memory map. */
  function holeFrames(): Uint16Array {
    const n = Math.ceil(map.frames / PIECE_FRAMES);
    const out = new Uint16Array(n).fill(PIECE_FRAMES);
    for (const { first, count } of map.usable) {
      for (let p = Math.floor(first / PIECE_FRAMES); p * PIECE_FRAMES < first + count; p++) {
        out[p]! -= Math.min(first + count, (p + 1) * PIECE_FRAMES) - Math.max(first, p * PIECE_FRAMES);
      }
    }
    return out;
  }

  /** 2 MiB pieces without holes at or above each piece index: those above the highest used piece are free without a look. */
  const wholeAbove = new Int32Array(holes.length + 1);
  for (let p = holes.length - 1; p >= 0; p--) wholeAbove[p] = wholeAbove[p + 1]! + (holes[p] === 0 ? 1 : 0);

  /** Free frames in 2 MiB pieces that are wholly free. */
  function wholeFree(): number {
    const limit = cells[FrameCell.pieceLimit]!;
    let n = wholeAbove[limit]!;
    for (let p = 0; p < limit; p++) {
      if (holes[p] !== 0) continue;
      const b = p << PIECE_SHIFT;
      let used = 0;
      for (let u = 1; u < Use.length; u++) used |= pieces[b | u]!;
      if (used === 0) n++;
    }
    return n * PIECE_FRAMES;
  }

  /** Keeps what the pieces hold now; the picture is drawn from it when it is asked for. */
  function keepPeak(event: number): void {
    peak.event = event;
    peak.limit = cells[FrameCell.pieceLimit]!;
    peak.pieces.set(pieces.subarray(0, peak.limit << PIECE_SHIFT));
  }

  function picture(event: number, held: Uint16Array, limit: number): MemoryPicture {
    const group = Math.max(1, Math.ceil(holes.length / MAX_PIECES));
    const out: number[] = [];
    for (let p = 0; p < holes.length; p += group) {
      const at = out.length;
      for (let u = 0; u < FRAME_USES.length; u++) out.push(0);
      for (let q = p; q < Math.min(holes.length, p + group); q++) {
        let used = 0;
        for (let u = 1; u < Use.length && q < limit; u++) {
          const n = held[(q << PIECE_SHIFT) | u]!;
          out[at + u]! += n;
          used += n;
        }
        out[at + Use.reserved]! += holes[q]!;
        out[at]! += PIECE_FRAMES - holes[q]! - used;
      }
    }
    return { event, framesPerPiece: PIECE_FRAMES * group, pieces: out };
  }
  const peakPicture = (): MemoryPicture => picture(peak.event, peak.pieces, peak.limit);
  const endPicture = (event: number): MemoryPicture => picture(event, pieces, cells[FrameCell.pieceLimit]!);

  function tableLevels(): TableLevel[] {
    return tables.occupancy().map(({ level, tables: n, entries }) => ({ level, name: tables.geometry.tableNames[level]!, tables: n, entries }));
  }

  function freeBlocks(): number[] {
    return Array.from({ length: MAX_ORDER + 1 }, (_, order) => pmm.freeBlocks(order));
  }

  const hugeScore = (blocks: readonly number[]): number => Math.round(freeHugeScore(blocks) * 1e9) / 1e9;

  const agedFrames = (): number => cells[FrameCell.byUse + Use.aged]! + cells[FrameCell.byUse + Use.agedPinned]!;

  /** Requests of 2 MiB that could not be served. */
  const hugeFailures = (): number => frames.totals[4]! + frames.totals[5]!;

  /** Takes a sample point after `event` events. */
  function sample(event: number, time: number): void {
    lookup.spill();
    frames.spill();
    const used = cells[FrameCell.used]!;
    const blocks = freeBlocks();
    const { unusableIndex, fragmentationIndex } = indices(blocks);
    const unusable = unusableIndex[9]!;
    let vmaCount = 0;
    for (let s = 1; s <= processes.cells[2]!; s++) if (users[s]! > 0) vmaCount += vmas.count(tree[s]!);
    vmasPeak = Math.max(vmasPeak, vmaCount);
    const occupancy = tables.occupancy();
    rows.push([
      event,
      time,
      processes.cells[3]!,
      vmaCount,
      cells[FrameCell.byUse + Use.anonymous]!,
      cells[FrameCell.byUse + Use.file]!,
      cells[FrameCell.byUse + Use.shared]!,
      cells[FrameCell.byUse + Use.table]!,
      cells[FrameCell.byUse + Use.kernel]!,
      ...(pages ? [cells[FrameCell.byUse + Use.movable]!] : []),
      ...(aged ? [agedFrames()] : []),
      pmm.freeFrames(),
      wholeFree(),
      ...occupancy.map((level) => level.tables),
      ...occupancy.map((level) => level.entries),
      heap.liveBytes[0]!,
      counters[VmmCounter.minorFaults]!,
      counters[VmmCounter.cowBreaks]!,
      lookup.counters[LookupCounter.lookups]!,
      lookup.counters[LookupCounter.misses]!,
      lookup.counters[LookupCounter.walks]!,
      lookup.counters[LookupCounter.walkRefs]!,
      frames.totals[0]!,
      frames.totals[1]!,
      pmm.steps(),
      unusable / 1000,
      hugeScore(blocks),
      largestFreeBlock(blocks),
      hugeFailures(),
    ]);
    fragmentation.push({
      event,
      freeBlocks: blocks,
      unusableIndex,
      fragmentationIndex,
    });
    contiguity.sample(event);
    end.unusable = unusable;
    end.freeHuge = hugeScore(blocks);
    if (rounds) sampleRound(used);
    if (used <= peak.used) return;
    peak.used = used;
    keepPeak(event);
    peak.tables = tableLevels();
    peak.unusable = unusable;
    peak.freeHuge = end.freeHuge;
    if (used > peak.measuredAt * GROWTH) {
      peak.measuredAt = used;
      peak.blame = blame.take(event);
      peak.ranges = contiguity.overall();
    }
  }

  /** A round begins: its own peak is looked for. */
  function startRound(): void {
    round.used = -1;
    round.mapped = 0;
    round.ranges = [0, 0, 0];
  }

  /** Contiguity is measured by what processes map, which is the same in every round; what is in use also counts the page cache of the rounds before. */
  function sampleRound(used: number): void {
    if (used > round.used) {
      round.used = used;
      round.unusable = end.unusable;
      round.freeHuge = end.freeHuge;
    }
    const mapped = contiguity.mapped();
    if (mapped <= round.mapped * GROWTH) return;
    round.mapped = mapped;
    round.ranges = contiguity.overall();
  }

  /** How much free memory is in large blocks right now. */
  function freeNow(): { unusable: number; freeHuge: number; largest: number } {
    const blocks = freeBlocks();
    return { unusable: indices(blocks).unusableIndex[9]!, freeHuge: hugeScore(blocks), largest: largestFreeBlock(blocks) };
  }

  const timeline = (): Timeline => ({ columns, rows });
  return {
    sample,
    startRound,
    freeNow,
    agedFrames,
    round,
    peakPicture,
    endPicture,
    peakBlame: (): Blame => blameOf(peak.blame),
    endBlame: (event: number): Blame => blameOf(blame.take(event)),
    contiguity: contiguity.list,
    tableLevels,
    freeBlocks,
    timeline,
    fragmentation,
    peak,
    end,
    hugeFailures,
    vmasPeak: () => vmasPeak,
  };
}
