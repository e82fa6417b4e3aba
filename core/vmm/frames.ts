/**
 * The frame ledger: what every physical frame is used for, by whom, and how many hold it.
 *
 * It stands between the PMM and everybody who takes frames, so that peaks, the picture of memory and "who held what"
 * are counted in one place. A frame's `ref` counts the leaves that map it plus one for the page index of an object that
 * holds it; its mapcount is therefore ref for anonymous frames and ref - 1 for file and shared ones.
 */
import { FrameKind } from '../../arch/arch.js';
import type { FrameSource } from '../../arch/arch.js';
import type { FrameAllocator } from '../pmm/allocator.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import { reserveFloat64, reserveInt32, reserveUint16, reserveUint8 } from '../pmm/reserve.js';

/** Uses of a frame; the order of FRAME_USES in core/replay/result.ts. */
export const enum Use {
  free = 0,
  anonymous = 1,
  file = 2,
  shared = 3,
  table = 4,
  kernel = 5,
  reserved = 6,
  /** Pages of a recorded page allocator that can be moved. */
  movable = 7,
  /** Taken before the trace by `--age`: what can be moved and what cannot. Not among the frames in `used`. */
  aged = 8,
  agedPinned = 9,
  length = 10,
}

/** Words a 2 MiB piece has in `pieces`, as a shift: a count a use. */
export const PIECE_SHIFT = 4;

/** Words of the ledger's `cells`. */
export const enum FrameCell {
  used = 0,
  usedPeak = 1,
  user = 2,
  userPeak = 3,
  tablePeak = 4,
  kernelPeak = 5,
  cpu = 6,
  failures = 7,
  /** 1 once an allocation failed since the flag was cleared. */
  failed = 8,
  /** One past the highest 2 MiB piece that ever held a used frame: pictures stop there. */
  pieceLimit = 9,
  /** Current frames by use start here. */
  byUse = 16,
  length = 32,
}

/** Histogram of steps per operation: exact below 1024, then by powers of two. */
export const STEP_BINS = 1024 + 32;
/** Frames in a 2 MiB piece of memory, the unit of the picture. */
export const PIECE_FRAMES = 512;

/** Order of a block of 2 MiB. */
const HUGE_ORDER = 9;

export type Frames = ReturnType<typeof makeFrames>;

/** `event[0]`: number of the event that is being replayed. */
export function makeFrames(pmm: FrameAllocator, map: MemoryMap, event: Float64Array) {
  const total = map.frames;
  const ref = reserveInt32(total);
  const use = reserveUint8(total);
  /** Number of the event that took the frame; meaningful only for frames in use. */
  const born = reserveFloat64(total);
  /** Order of the page-cache folio that a frame belongs to; 0 where none was told. */
  const folioOrder = reserveUint8(total);
  const pieces = reserveUint16(Math.ceil(total / PIECE_FRAMES) << PIECE_SHIFT);
  const cells = new Int32Array(FrameCell.length);
  const allocSteps = new Float64Array(STEP_BINS);
  const freeSteps = new Float64Array(STEP_BINS);
  // [0] allocations, [1] frees as of the last spill, [2] failures, [3] the PMM's steps when last looked at, [4] huge pages not to be had, [5] other requests of
  // order 9 not to be had, [6] event of the first of either, -1 before
  const totals = new Float64Array(16);
  totals[6] = -1;
  const allocate = pmm.allocate;
  const giveBack = pmm.free;
  const steps = pmm.steps;
  totals[3] = steps();

  function bin(n: number): number {
    return n < 1024 ? n | 0 : (1024 + 21 - Math.clz32(n | 0)) | 0;
  }

  /** Steps of the PMM since the last look: those of the operation that just ended. */
  function stepsTaken(): number {
    const now = steps();
    const n = now - totals[3]!;
    totals[3] = now;
    return n;
  }

  function noteFailure(): number {
    cells[FrameCell.failures]! += 1;
    cells[FrameCell.failed] = 1;
    return -1;
  }

  /** A request of 2 MiB could not be served; `counter`: 4 or 5 of `totals`. */
  function noteHugeFailure(counter: number): void {
    totals[counter]! += 1;
    if (totals[6]! < 0) totals[6] = event[0]!;
  }

  /** One frame for `u` (Use), with ref 1; -1 when the PMM has none. */
  function take(u: number, kind: number, near: number, who: number): number {
    const f = allocate(0, kind, cells[FrameCell.cpu]!, near, who);
    allocSteps[bin(stepsTaken())]! += 1;
    if (f < 0) return noteFailure();
    ref[f] = 1;
    use[f] = u;
    born[f] = event[0]!;
    const piece = f >>> 9;
    if (piece >= cells[FrameCell.pieceLimit]!) cells[FrameCell.pieceLimit] = piece + 1;
    const p = (piece << PIECE_SHIFT) | u;
    pieces[p] = pieces[p]! + 1;
    const held = (cells[FrameCell.byUse + u]! + 1) | 0;
    cells[FrameCell.byUse + u] = held;
    const used = (cells[FrameCell.used]! + 1) | 0;
    cells[FrameCell.used] = used;
    if (used > cells[FrameCell.usedPeak]!) cells[FrameCell.usedPeak] = used;
    if (u <= Use.shared) {
      const user = (cells[FrameCell.user]! + 1) | 0;
      cells[FrameCell.user] = user;
      if (user > cells[FrameCell.userPeak]!) cells[FrameCell.userPeak] = user;
    } else if (u === Use.table) {
      if (held > cells[FrameCell.tablePeak]!) cells[FrameCell.tablePeak] = held;
    } else if (u === Use.kernel && held > cells[FrameCell.kernelPeak]!) cells[FrameCell.kernelPeak] = held;
    return f;
  }

  /** Gives a frame back to the PMM whatever its ref. */
  function release(f: number): number {
    const u = use[f]!;
    const code = giveBack(f, 0, cells[FrameCell.cpu]!);
    freeSteps[bin(stepsTaken())]! += 1;
    if (code !== 0) throw new Error(`frame ${f} (use ${u}) could not be given back: error ${code}`);
    ref[f] = 0;
    use[f] = Use.free;
    const p = ((f >>> 9) << PIECE_SHIFT) | u;
    pieces[p] = pieces[p]! - 1;
    cells[FrameCell.byUse + u] = (cells[FrameCell.byUse + u]! - 1) | 0;
    cells[FrameCell.used] = (cells[FrameCell.used]! - 1) | 0;
    if (u <= Use.shared) cells[FrameCell.user] = (cells[FrameCell.user]! - 1) | 0;
    return 0;
  }

  /** Drops one hold; the last one frees the frame. */
  function put(f: number): void {
    const r = (ref[f]! - 1) | 0;
    if (r > 0) ref[f] = r;
    else release(f);
  }

  /** A frame changes what it is used for (sharing a private page). */
  function reuse(f: number, u: number): void {
    const old = use[f]!;
    const piece = (f >>> 9) << PIECE_SHIFT;
    use[f] = u;
    pieces[piece | old]! -= 1;
    pieces[piece | u]! += 1;
    cells[FrameCell.byUse + old]! -= 1;
    cells[FrameCell.byUse + u]! += 1;
  }

  /** Counts from here on: operations and their steps, failures, peaks. Steps taken so far. */
  function startCounting(): number {
    stepsTaken();
    allocSteps.fill(0);
    freeSteps.fill(0);
    totals[2] = 0;
    totals[4] = 0;
    totals[5] = 0;
    totals[6] = -1;
    cells[FrameCell.failures] = 0;
    cells[FrameCell.failed] = 0;
    cells[FrameCell.usedPeak] = cells[FrameCell.used]!;
    cells[FrameCell.userPeak] = cells[FrameCell.user]!;
    cells[FrameCell.tablePeak] = cells[FrameCell.byUse + Use.table]!;
    cells[FrameCell.kernelPeak] = cells[FrameCell.byUse + Use.kernel]!;
    return totals[3]!;
  }

  /** Does `work` without counting its operations. Steps of the PMM that it took. */
  function uncounted(work: () => void): number {
    stepsTaken();
    const counted = [Float64Array.from(allocSteps), Float64Array.from(freeSteps), Float64Array.from(totals)] as const;
    const { [FrameCell.failures]: failures, [FrameCell.failed]: failed } = cells;
    work();
    allocSteps.set(counted[0]);
    freeSteps.set(counted[1]);
    totals.set(counted[2]);
    cells[FrameCell.failures] = failures!;
    cells[FrameCell.failed] = failed!;
    return stepsTaken();
  }

  /** Brings `totals` up to date; call at least every 2^30 operations. Each operation has its place in a histogram, so those say how many there were. */
  function spill(): void {
    totals[2]! += cells[FrameCell.failures]!;
    cells[FrameCell.failures] = 0;
    totals[0] = -(totals[2]! + totals[4]!);
    totals[1] = 0;
    for (let b = 0; b < STEP_BINS; b++) {
      totals[0]! += allocSteps[b]!;
      totals[1]! += freeSteps[b]!;
    }
  }

  /** The source page tables take their frames from. */
  const tableFrames: FrameSource = {
    allocate: (_order, _kind, _cpu, near, who) => take(Use.table, FrameKind.table, near, who),
    free: (f) => release(f),
  };

  /** Notes 2^order frames that the PMM gave as in use for `u`. */
  function fillBlock(first: number, order: number, u: number): number {
    const n = 1 << order;
    cells[FrameCell.pieceLimit] = Math.max(cells[FrameCell.pieceLimit]!, ((first + n - 1) >>> 9) + 1);
    for (let f = first; f < first + n; f++) {
      ref[f] = 1;
      use[f] = u;
      born[f] = event[0]!;
      pieces[((f >>> 9) << PIECE_SHIFT) | u]! += 1;
    }
    cells[FrameCell.byUse + u]! += n;
    return n;
  }

  /** The same frames are in use no more. How many of what use. */
  function emptyBlock(first: number, order: number): number {
    const n = 1 << order;
    const u = use[first]!;
    for (let f = first; f < first + n; f++) {
      ref[f] = 0;
      use[f] = Use.free;
      pieces[((f >>> 9) << PIECE_SHIFT) | u]! -= 1;
    }
    cells[FrameCell.byUse + u]! -= n;
    return n;
  }

  /** Blocks of 2^order frames of `u` for page_alloc events: ledger per frame, PMM per block. First frame or -1. */
  function takeBlock(order: number, u: number, kind: number, who: number): number {
    if (order === 0) return take(u, kind, -1, who);
    const first = allocate(order, kind, cells[FrameCell.cpu]!, -1, who);
    allocSteps[bin(stepsTaken())]! += 1;
    if (first < 0) {
      if (order === HUGE_ORDER) noteHugeFailure(5);
      return noteFailure();
    }
    cells[FrameCell.used]! += fillBlock(first, order, u);
    if (cells[FrameCell.used]! > cells[FrameCell.usedPeak]!) cells[FrameCell.usedPeak] = cells[FrameCell.used]!;
    if (u === Use.kernel && cells[FrameCell.byUse + u]! > cells[FrameCell.kernelPeak]!) cells[FrameCell.kernelPeak] = cells[FrameCell.byUse + u]!;
    return first;
  }

  /** A block for memory that is aged: counted apart from what the trace uses, and no failure when there is none. First frame or -1. */
  function takeAged(order: number, kind: number): number {
    const first = allocate(order, kind, cells[FrameCell.cpu]!, -1, -1);
    if (first >= 0) fillBlock(first, order, kind === FrameKind.movable ? Use.aged : Use.agedPinned);
    return first;
  }

  /** Gives back a block of aged memory, or a part of one. */
  function releaseAged(first: number, order: number): void {
    const code = giveBack(first, order, cells[FrameCell.cpu]!);
    if (code !== 0) throw new Error(`aged block ${first} of order ${order} could not be given back: error ${code}`);
    emptyBlock(first, order);
  }

  /** 512 frames for one huge page of user memory, each with ref 1; first frame, or -1 when no such block is free. */
  function takeHuge(u: number, near: number, who: number): number {
    const first = allocate(HUGE_ORDER, FrameKind.movable, cells[FrameCell.cpu]!, near, who);
    allocSteps[bin(stepsTaken())]! += 1;
    if (first < 0) {
      // Not a failure: who asked takes a small page then.
      noteHugeFailure(4);
      return -1;
    }
    ref.fill(1, first, first + PIECE_FRAMES);
    use.fill(u, first, first + PIECE_FRAMES);
    born.fill(event[0]!, first, first + PIECE_FRAMES);
    // A block of 512 frames is one whole piece, being aligned to its size.
    const piece = first >>> HUGE_ORDER;
    pieces[(piece << PIECE_SHIFT) | u]! += PIECE_FRAMES;
    cells[FrameCell.pieceLimit] = Math.max(cells[FrameCell.pieceLimit]!, piece + 1);
    cells[FrameCell.byUse + u]! += PIECE_FRAMES;
    cells[FrameCell.used]! += PIECE_FRAMES;
    cells[FrameCell.usedPeak] = Math.max(cells[FrameCell.usedPeak]!, cells[FrameCell.used]!);
    if (u <= Use.shared) {
      cells[FrameCell.user]! += PIECE_FRAMES;
      cells[FrameCell.userPeak] = Math.max(cells[FrameCell.userPeak]!, cells[FrameCell.user]!);
    } else cells[FrameCell.kernelPeak] = Math.max(cells[FrameCell.kernelPeak]!, cells[FrameCell.byUse + u]!);
    return first;
  }

  /** Drops one hold of each frame of a huge page; a page that nobody holds any part of goes back as one block. */
  function putHuge(first: number): void {
    let whole = 1;
    for (let f = first; f < first + PIECE_FRAMES; f = (f + 1) | 0) whole &= ref[f] === 1 ? 1 : 0;
    if (whole === 0) {
      for (let f = first; f < first + PIECE_FRAMES; f = (f + 1) | 0) put(f);
      return;
    }
    const u = use[first]!;
    const code = giveBack(first, HUGE_ORDER, cells[FrameCell.cpu]!);
    freeSteps[bin(stepsTaken())]! += 1;
    if (code !== 0) throw new Error(`huge page ${first} could not be given back: error ${code}`);
    ref.fill(0, first, first + PIECE_FRAMES);
    use.fill(Use.free, first, first + PIECE_FRAMES);
    pieces[((first >>> HUGE_ORDER) << PIECE_SHIFT) | u]! -= PIECE_FRAMES;
    cells[FrameCell.byUse + u]! -= PIECE_FRAMES;
    cells[FrameCell.used]! -= PIECE_FRAMES;
    if (u <= Use.shared) cells[FrameCell.user]! -= PIECE_FRAMES;
  }

  function releaseBlock(first: number, order: number): void {
    if (order === 0) {
      release(first);
      return;
    }
    const code = giveBack(first, order, cells[FrameCell.cpu]!);
    freeSteps[bin(stepsTaken())]! += 1;
    if (code !== 0) throw new Error(`block ${first} of order ${order} could not be given back: error ${code}`);
    cells[FrameCell.used]! -= emptyBlock(first, order);
  }

  /** Compares the ledger with the PMM; throws an Error naming the first difference. */
  function validate(): void {
    const byUse = new Int32Array(Use.length);
    for (let f = 0; f < total; f++) {
      const u = use[f]!;
      byUse[u]! += 1;
      if (u !== Use.free && pmm.isFree(f) === 1) throw new Error(`frame ${f} is in use (${u}) but free in the PMM`);
      if (u !== Use.free && ref[f]! <= 0) throw new Error(`frame ${f} is in use (${u}) with ref ${ref[f]}`);
      if (u === Use.free && ref[f] !== 0) throw new Error(`frame ${f} is free with ref ${ref[f]}`);
    }
    let used = 0;
    let aged = 0;
    for (let u = 1; u < Use.length; u++) {
      if (u >= Use.aged) aged += byUse[u]!;
      else used += byUse[u]!;
      if (byUse[u] !== cells[FrameCell.byUse + u]) throw new Error(`use ${u}: ${byUse[u]} frames, counted ${cells[FrameCell.byUse + u]}`);
    }
    if (used !== cells[FrameCell.used]) throw new Error(`${used} frames in use, counted ${cells[FrameCell.used]}`);
    if (pmm.freeFrames() + used + aged !== pmm.totalFrames) throw new Error(`${pmm.freeFrames()} free + ${used + aged} used is not ${pmm.totalFrames}`);
  }

  return {
    pmm,
    map,
    ref,
    use,
    born,
    folioOrder,
    pieces,
    cells,
    totals,
    allocSteps,
    freeSteps,
    take,
    release,
    put,
    reuse,
    takeBlock,
    releaseBlock,
    takeAged,
    releaseAged,
    takeHuge,
    putHuge,
    spill,
    startCounting,
    uncounted,
    tableFrames,
    validate,
  };
}
