/**
 * Process-heap layout `first-fit`: blocks are placed anew by a textbook allocator with boundary tags (Knuth, The Art of Computer Programming vol. 1,
 * 2.5, Algorithms A and C): the first free chunk that is large enough, cut when the rest is worth a chunk; a freed chunk joins free neighbours at once.
 *
 * A chunk is its block and two tags of 8 bytes, in units of 16 bytes, at least 32 bytes. The heap grows by 128 KiB steps from a break of its own; blocks of
 * 128 KiB and more get a mapping each. It never shrinks. Both lie in a part of the address space that recorded programs do not use.
 *
 * The recorded allocator does not exist here: recorded brk calls and the pages of recorded mappings that hold blocks are left out (counted), an access inside a
 * recorded block follows it to its new place, and an access to left-out memory outside every block (the recorded allocator's own headers) is skipped (counted).
 *
 * Chunks of a space are records of eight words in one region of the arena, so that fork copies them at once:
 *
 *     start (16 B units) | size (units) | prev by address | next by address | prev free | next free | state | -
 *
 * Recorded blocks are intervals of bytes in trees of the VMA store: start, end, `offset` = new address, `object` = chunk (0 = a mapping of its own, of
 * `flags` pages, of which `heap` lie below the block's first).
 */
import { Flag } from '../../traces/event.js';
import { MAX_SPACES } from '../vmm/machine.js';
import type { Machine } from '../vmm/machine.js';
import type { Mappings } from '../vmm/mappings.js';
import { Reject } from '../vmm/rejections.js';
import { makeArena } from './arena.js';
import { HeapCount, HeapLive } from './process-heap.js';
import type { ProcessHeap, ProcessHeapLayout } from './process-heap.js';

const UNIT = 16;
const TAGS_BYTES = 16;
const MIN_UNITS = 2;
const MMAP_THRESHOLD = 131072;
const GROW_BYTES = 131072;
/** Start of the heap and of the mappings of large blocks: 16 TiB and 32 TiB, far from where Linux puts programs, libraries and stacks. */
const HEAP_BASE = 2 ** 44;
const LARGE_BASE_PAGE = 2 ** 45 / 4096;
/** Region of a space: record 0 is its header. */
const RECORD = 8;
const FIRST_LOG = 9;

const enum Word {
  start = 0,
  size = 1,
  prev = 2,
  next = 3,
  prevFree = 4,
  nextFree = 5,
  state = 6,
}
const enum State {
  unused = 0,
  used = 1,
  free = 2,
}
/** Words of the header record. */
const enum Head {
  last = 0,
  free = 1,
  spare = 2,
  records = 3,
  /** Units below the break. */
  units = 4,
}

function create(machine: Machine, mappings: Mappings): ProcessHeap {
  const { vmas, rejections, tree, brkStart } = machine;
  const { reject } = rejections;
  const arena = makeArena();
  const w = arena.words;
  const region = new Int32Array(MAX_SPACES);
  const regionLog = new Int32Array(MAX_SPACES);
  const blockTree = new Int32Array(MAX_SPACES);
  const leftOut = new Int32Array(MAX_SPACES);
  /** Highest recorded break of the space, 0 = none. */
  const recordedBreak = new Float64Array(MAX_SPACES);
  const bytesOf = new Float64Array(MAX_SPACES);
  const blocksOf = new Float64Array(MAX_SPACES);
  const liveBytes = new Float64Array(16);
  const counts = new Float64Array(16);
  const place = new Int32Array(32);

  function grown(s: number, bytes: number, n: number): void {
    bytesOf[s]! += bytes;
    blocksOf[s]! += n;
    liveBytes[HeapLive.bytes]! += bytes;
    liveBytes[HeapLive.blocks]! += n;
    if (liveBytes[HeapLive.bytes]! > liveBytes[HeapLive.bytesPeak]!) liveBytes[HeapLive.bytesPeak] = liveBytes[HeapLive.bytes]!;
    if (liveBytes[HeapLive.blocks]! > liveBytes[HeapLive.blocksPeak]!) liveBytes[HeapLive.blocksPeak] = liveBytes[HeapLive.blocks]!;
  }

  // ---- chunks

  function record(s: number): number {
    let b = region[s]!;
    if (b === 0) {
      b = arena.takeEmpty(FIRST_LOG);
      region[s] = b;
      regionLog[s] = FIRST_LOG;
      w[b + Head.records] = 1;
    }
    const spare = w[b + Head.spare]!;
    if (spare !== 0) {
      w[b + Head.spare] = w[b + spare * RECORD + Word.nextFree]!;
      return spare;
    }
    const n = w[b + Head.records]!;
    if ((n + 1) * RECORD > 1 << regionLog[s]!) {
      const l = regionLog[s]! + 1;
      const bigger = arena.takeEmpty(l);
      w.copyWithin(bigger, b, b + (1 << (l - 1)));
      arena.give(b, l - 1);
      region[s] = bigger;
      regionLog[s] = l;
      b = bigger;
    }
    w[b + Head.records] = n + 1;
    return n;
  }
  function unrecord(b: number, c: number): void {
    const o = b + c * RECORD;
    w[o + Word.state] = State.unused;
    w[o + Word.nextFree] = w[b + Head.spare]!;
    w[b + Head.spare] = c;
  }
  function pushFree(b: number, c: number): void {
    const o = b + c * RECORD;
    const head = w[b + Head.free]!;
    w[o + Word.state] = State.free;
    w[o + Word.prevFree] = 0;
    w[o + Word.nextFree] = head;
    if (head !== 0) w[b + head * RECORD + Word.prevFree] = c;
    w[b + Head.free] = c;
  }
  function popFree(b: number, c: number): void {
    const o = b + c * RECORD;
    const p = w[o + Word.prevFree]!;
    const n = w[o + Word.nextFree]!;
    if (p !== 0) w[b + p * RECORD + Word.nextFree] = n;
    else w[b + Head.free] = n;
    if (n !== 0) w[b + n * RECORD + Word.prevFree] = p;
  }

  /** Cuts a chunk after `units`; the rest becomes a free chunk. The chunk itself is in no list. */
  function cut(s: number, c: number, units: number): void {
    const rest = w[region[s]! + c * RECORD + Word.size]! - units;
    if (rest < MIN_UNITS) return;
    const r = record(s);
    const b = region[s]!;
    const o = b + c * RECORD;
    const q = b + r * RECORD;
    const n = w[o + Word.next]!;
    w[q + Word.start] = w[o + Word.start]! + units;
    w[q + Word.size] = rest;
    w[q + Word.prev] = c;
    w[q + Word.next] = n;
    if (n !== 0) w[b + n * RECORD + Word.prev] = r;
    else w[b + Head.last] = r;
    w[o + Word.next] = r;
    w[o + Word.size] = units;
    pushFree(b, r);
  }

  /** Joins chunk `d` into its lower neighbour `c`; both are in no list. */
  function join(b: number, c: number, d: number): void {
    const o = b + c * RECORD;
    const q = b + d * RECORD;
    const n = w[q + Word.next]!;
    w[o + Word.size]! += w[q + Word.size]!;
    w[o + Word.next] = n;
    if (n !== 0) w[b + n * RECORD + Word.prev] = c;
    else w[b + Head.last] = c;
    unrecord(b, d);
  }

  /** Makes the heap larger by at least `units`; the new memory is a free chunk. 1, or 0 without frames. */
  function growHeap(s: number, units: number): number {
    const have = region[s] === 0 ? 0 : w[region[s]! + Head.units]!;
    const bytes = Math.max(GROW_BYTES, Math.ceil((units * UNIT) / 4096) * 4096);
    const from = (HEAP_BASE + have * UNIT) / 4096;
    const v = mappings.map(s, from, from + bytes / 4096, Flag.r | Flag.w, 0, 0);
    if (v < 0) return reject(Reject.outOfMemory);
    mappings.markBlocks(v);
    const c = record(s);
    const b = region[s]!;
    const last = w[b + Head.last]!;
    const o = b + c * RECORD;
    w[o + Word.start] = have;
    w[o + Word.size] = bytes / UNIT;
    w[o + Word.prev] = last;
    w[o + Word.next] = 0;
    if (last !== 0) w[b + last * RECORD + Word.next] = c;
    w[b + Head.last] = c;
    w[b + Head.units] = have + bytes / UNIT;
    if (last !== 0 && w[b + last * RECORD + Word.state] === State.free) {
      popFree(b, last);
      join(b, last, c);
      pushFree(b, last);
    } else pushFree(b, c);
    return 1;
  }

  /** First free chunk that holds `units` at the alignment (in units), made used and cut; its record, or 0. */
  function firstFit(s: number, units: number, align: number): number {
    const b = region[s]!;
    if (b === 0) return 0;
    for (let c = w[b + Head.free]!; c !== 0; c = w[b + c * RECORD + Word.nextFree]!) {
      counts[HeapCount.steps]! += 1;
      const o = b + c * RECORD;
      const start = w[o + Word.start]!;
      // The block starts one tag (half a unit) into the chunk; alignments above 16 are met by whole units before it.
      const lead = align <= 1 ? 0 : (align - ((start + 1) % align)) % align;
      const skip = lead === 0 ? 0 : lead < MIN_UNITS ? lead + align : lead;
      if (w[o + Word.size]! < skip + units) continue;
      popFree(b, c);
      let chunk = c;
      if (skip > 0) {
        cut(s, c, skip);
        const rest = w[region[s]! + c * RECORD + Word.next]!;
        popFree(region[s]!, rest);
        pushFree(region[s]!, c);
        chunk = rest;
      }
      cut(s, chunk, units);
      w[region[s]! + chunk * RECORD + Word.state] = State.used;
      return chunk;
    }
    return 0;
  }

  function freeChunk(s: number, c: number): void {
    const b = region[s]!;
    let chunk = c;
    const n = w[b + c * RECORD + Word.next]!;
    if (n !== 0 && w[b + n * RECORD + Word.state] === State.free) {
      popFree(b, n);
      join(b, c, n);
    }
    const p = w[b + c * RECORD + Word.prev]!;
    if (p !== 0 && w[b + p * RECORD + Word.state] === State.free) {
      popFree(b, p);
      join(b, p, c);
      chunk = p;
    }
    pushFree(b, chunk);
  }

  // ---- recorded memory that does not exist here

  function blocks(s: number): number {
    if (blockTree[s] === 0) blockTree[s] = vmas.createTree();
    return blockTree[s]!;
  }

  /** Pages [from, to) of recorded heap memory go; what was mapped there is unmapped. */
  function leaveOut(s: number, from: number, to: number): void {
    if (leftOut[s] === 0) leftOut[s] = vmas.createTree();
    const t = leftOut[s]!;
    let p = from;
    while (p < to) {
      const v = vmas.findFrom(t, p);
      const stop = v === 0 ? to : Math.min(to, Math.max(p, vmas.start[v]!));
      if (stop > p) {
        const r = vmas.alloc();
        vmas.start[r] = p;
        vmas.end[r] = stop;
        vmas.insert(t, r);
        const m = vmas.findFrom(tree[s]!, p);
        if (m !== 0 && vmas.start[m]! < stop) {
          counts[HeapCount.leftOutMappings]! += 1;
          if (mappings.unmap(s, p, stop) !== 0) reject(Reject.outOfMemory);
        }
      }
      if (v === 0) break;
      p = Math.max(stop, vmas.end[v]!);
    }
  }

  /** Recorded memory is mapped or unmapped anew: what was left out there is forgotten. */
  function recordedRange(s: number, from: number, to: number): void {
    const t = leftOut[s]!;
    if (t === 0) return;
    for (let v = vmas.findFrom(t, from); v !== 0 && vmas.start[v]! < to; ) {
      const n = vmas.next(t, v);
      const end = vmas.end[v]!;
      if (vmas.start[v]! < from) {
        vmas.end[v] = from;
        if (end > to) {
          const r = vmas.alloc();
          vmas.start[r] = to;
          vmas.end[r] = end;
          vmas.insert(t, r);
        }
      } else if (end > to) vmas.setStart(t, v, to);
      else {
        vmas.remove(t, v);
        vmas.release(v);
      }
      v = n;
    }
  }

  // ---- the contract

  function putAt(address: number): void {
    const hi = Math.floor(address / 1073741824);
    place[0] = hi;
    place[1] = address - hi * 1073741824;
  }

  /** A mapping of its own for a large block; its first page or -1. */
  function large(s: number, pages: number): number {
    let at = LARGE_BASE_PAGE;
    for (let v = vmas.findFrom(tree[s]!, at); v !== 0 && vmas.start[v]! < at + pages; v = vmas.next(tree[s]!, v)) {
      counts[HeapCount.steps]! += 1;
      at = vmas.end[v]!;
    }
    const v = mappings.map(s, at, at + pages, Flag.r | Flag.w, 0, 0);
    if (v < 0) {
      reject(Reject.outOfMemory);
      return -1;
    }
    mappings.markBlocks(v);
    return at;
  }

  function allocate(s: number, hi: number, lo: number, bytes: number, align: number): number {
    const address = hi * 1073741824 + lo;
    const size = Math.max(1, bytes);
    const first = Math.floor(address / 4096);
    const last = Math.floor((address + size - 1) / 4096);
    if (!mappings.inUserHalf(first, last + 1)) return reject(Reject.badRange);
    const t = blocks(s);
    const old = vmas.find(t, address);
    if (old !== 0) {
      reject(Reject.doubleAllocation);
      dropBlock(s, old);
    }
    const above = vmas.findFrom(t, address);
    if (above !== 0 && vmas.start[above]! < address + size) {
      // Blocks cannot overlap: the trace missed the free of what lies there.
      reject(Reject.doubleAllocation);
      for (let v = above; v !== 0 && vmas.start[v]! < address + size; v = vmas.findFrom(t, address)) dropBlock(s, v);
    }
    leaveOut(s, first, last + 1);
    let chunk = 0;
    let at: number;
    let pages = 0;
    let lead = 0;
    if (size >= MMAP_THRESHOLD) {
      pages = Math.ceil((size + Math.max(TAGS_BYTES, align)) / 4096);
      const page = large(s, pages);
      if (page < 0) return 0;
      at = page * 4096 + TAGS_BYTES;
      if (align > TAGS_BYTES) at = Math.ceil(at / align) * align;
      lead = Math.floor(at / 4096) - page;
    } else {
      const units = Math.max(MIN_UNITS, Math.ceil((size + TAGS_BYTES) / UNIT));
      const alignUnits = align > UNIT ? Math.ceil(align / UNIT) : 1;
      chunk = firstFit(s, units, alignUnits);
      if (chunk === 0) {
        if (growHeap(s, units + alignUnits * 2 + MIN_UNITS) === 0) return 0;
        chunk = firstFit(s, units, alignUnits);
      }
      at = HEAP_BASE + w[region[s]! + chunk * RECORD + Word.start]! * UNIT + UNIT;
    }
    const r = vmas.alloc();
    vmas.start[r] = address;
    vmas.end[r] = address + size;
    vmas.offset[r] = at;
    vmas.object[r] = chunk;
    vmas.flags[r] = pages;
    vmas.heap[r] = lead;
    vmas.insert(t, r);
    counts[HeapCount.allocations]! += 1;
    grown(s, bytes, 1);
    vmas.lineage[r] = bytes === 0 ? 1 : 0;
    putAt(at);
    return 1;
  }

  function blockSize(r: number): number {
    return vmas.lineage[r] === 1 ? 0 : vmas.end[r]! - vmas.start[r]!;
  }

  function dropBlock(s: number, r: number): void {
    const chunk = vmas.object[r]!;
    const bytes = blockSize(r);
    if (chunk !== 0) freeChunk(s, chunk);
    else {
      const from = Math.floor(vmas.offset[r]! / 4096) - vmas.heap[r]!;
      if (mappings.unmap(s, from, from + vmas.flags[r]!) !== 0) reject(Reject.outOfMemory);
    }
    vmas.remove(blocks(s), r);
    vmas.release(r);
    grown(s, -bytes, -1);
  }

  function at(s: number, hi: number, lo: number): number {
    if (blockTree[s] === 0) return 0;
    return vmas.find(blockTree[s]!, hi * 1073741824 + lo);
  }

  function release(s: number, hi: number, lo: number): number {
    const r = at(s, hi, lo);
    if (r === 0 || vmas.start[r] !== hi * 1073741824 + lo) return reject(Reject.wildFree);
    dropBlock(s, r);
    counts[HeapCount.frees]! += 1;
    return 1;
  }

  function follow(s: number, hi: number, lo: number): number {
    const address = hi * 1073741824 + lo;
    const r = at(s, hi, lo);
    if (r !== 0) {
      putAt(vmas.offset[r]! + (address - vmas.start[r]!));
      return 1;
    }
    const inBreak = brkStart[s]! >= 0 && address >= brkStart[s]! && address < recordedBreak[s]!;
    if (inBreak || (leftOut[s] !== 0 && vmas.find(leftOut[s]!, Math.floor(address / 4096)) !== 0)) {
      counts[HeapCount.skippedTouches]! += 1;
      return 0;
    }
    place[0] = hi;
    place[1] = lo;
    return 1;
  }

  return {
    allocate,
    release,
    blockBytes: (s, hi, lo) => {
      const r = at(s, hi, lo);
      return r === 0 || vmas.start[r] !== hi * 1073741824 + lo ? -1 : blockSize(r);
    },
    follow,
    place,
    places: true,
    recordedBreak: (s, to) => {
      if (brkStart[s]! < 0) brkStart[s] = to;
      if (recordedBreak[s] === 0) counts[HeapCount.leftOutMappings]! += 1;
      recordedBreak[s] = Math.max(recordedBreak[s]!, to);
    },
    recordedRange,
    forked: (from, to) => {
      if (region[from] !== 0) {
        const l = regionLog[from]!;
        const b = arena.take(l);
        w.copyWithin(b, region[from]!, region[from]! + (1 << l));
        region[to] = b;
        regionLog[to] = l;
      }
      if (blockTree[from] !== 0) blockTree[to] = vmas.clone(blockTree[from]!);
      if (leftOut[from] !== 0) leftOut[to] = vmas.clone(leftOut[from]!);
      recordedBreak[to] = recordedBreak[from]!;
      grown(to, bytesOf[from]!, blocksOf[from]!);
    },
    destroyed: (s) => {
      if (region[s] !== 0) arena.give(region[s]!, regionLog[s]!);
      if (blockTree[s] !== 0) vmas.destroyTree(blockTree[s]!, 1);
      if (leftOut[s] !== 0) vmas.destroyTree(leftOut[s]!, 1);
      region[s] = 0;
      blockTree[s] = 0;
      leftOut[s] = 0;
      recordedBreak[s] = 0;
      grown(s, -bytesOf[s]!, -blocksOf[s]!);
    },
    liveBytes,
    counts,
    validate,
  };

  /** Chunks tile the heap, no two free neighbours, every used chunk has its block. */
  function validate(): void {
    for (let s = 0; s < MAX_SPACES; s++) {
      const b = region[s]!;
      let used = 0;
      if (b !== 0) {
        let units = w[b + Head.units]!;
        let free = 0;
        for (let c = w[b + Head.last]!, above = 0; c !== 0; c = w[b + c * RECORD + Word.prev]!) {
          const o = b + c * RECORD;
          if (w[o + Word.start]! + w[o + Word.size]! !== units) throw new Error(`heap of space ${s}: chunk ${c} does not end where the next begins`);
          units = w[o + Word.start]!;
          const state = w[o + Word.state]!;
          if (state === State.free && above === State.free) throw new Error(`heap of space ${s}: two free neighbours at unit ${units}`);
          if (state === State.used) used++;
          else free++;
          above = state;
        }
        if (units !== 0) throw new Error(`heap of space ${s}: the first chunk starts at unit ${units}`);
        for (let c = w[b + Head.free]!; c !== 0; c = w[b + c * RECORD + Word.nextFree]!) free--;
        if (free !== 0) throw new Error(`heap of space ${s}: free chunks and free list differ by ${free}`);
      }
      if (blockTree[s] === 0) continue;
      const t = blockTree[s]!;
      for (let r = vmas.first(t); r !== 0; r = vmas.next(t, r)) if (vmas.object[r] !== 0) used--;
      if (used !== 0) throw new Error(`heap of space ${s}: used chunks and blocks differ by ${used}`);
    }
  }
}

export const firstFitHeap: ProcessHeapLayout = {
  name: 'first-fit',
  title: 'Blocks are placed anew: first fit with boundary tags over a break of its own, large blocks mapped',
  source: 'Knuth, The Art of Computer Programming vol. 1, section 2.5, Algorithms A and C',
  create,
};
