/**
 * Process-heap layout `recorded`: every block lives where the trace says it lived. Blocks in no recorded mapping get an implicit one, counted.
 */
import { Flag } from '../../traces/event.js';
import type { Machine } from '../vmm/machine.js';
import { VmaFlag } from '../vmm/mappings.js';
import type { Mappings } from '../vmm/mappings.js';
import { Reject } from '../vmm/rejections.js';
import { makeBlockTable } from './block-table.js';
import { HeapCount, HeapLive } from './process-heap.js';
import type { ProcessHeap, ProcessHeapLayout } from './process-heap.js';

function create(machine: Machine, mappings: Mappings): ProcessHeap {
  const { vmas, tree, rejections } = machine;
  const { start, end, flags } = vmas;
  const find = vmas.find;
  const { reject } = rejections;
  const blocks = makeBlockTable();
  const findBlock = blocks.find;
  const putBlock = blocks.put;
  const liveBytes = new Float64Array(16);
  const counts = new Float64Array(16);
  const place = new Int32Array(32);

  function grown(bytes: number, n: number): void {
    const live = liveBytes[HeapLive.bytes]! + bytes;
    liveBytes[HeapLive.bytes] = live;
    if (live > liveBytes[HeapLive.bytesPeak]!) liveBytes[HeapLive.bytesPeak] = live;
    const count = liveBytes[HeapLive.blocks]! + n;
    liveBytes[HeapLive.blocks] = count;
    if (count > liveBytes[HeapLive.blocksPeak]!) liveBytes[HeapLive.blocksPeak] = count;
  }

  /** Maps what of [from, to) nothing maps yet. 1, or 0 without frames. */
  function mapHoles(s: number, from: number, to: number): number {
    if (!mappings.inUserHalf(from, to)) return reject(Reject.badRange);
    let made = 0;
    let p = from;
    while (p < to) {
      const v = vmas.findFrom(tree[s]!, p);
      if (v !== 0 && start[v]! <= p) {
        p = end[v]!;
        continue;
      }
      const stop = v === 0 ? to : Math.min(to, start[v]!);
      const m = mappings.map(s, p, stop, Flag.r | Flag.w | VmaFlag.implicit, 0, 0);
      if (m < 0) return reject(Reject.outOfMemory);
      mappings.markBlocks(m);
      made = 1;
      p = stop;
    }
    counts[HeapCount.implicitMappings]! += made;
    return 1;
  }

  function allocate(s: number, hi: number, lo: number, bytes: number, _align: number): number {
    const page = hi * 262144 + (lo >>> 12);
    const last = (lo & 4095) + bytes <= 4096 ? page : Math.floor((hi * 1073741824 + lo + bytes - 1) / 4096);
    const v = find(tree[s]!, page);
    if (v !== 0 && end[v]! > last) {
      if ((flags[v]! & VmaFlag.blocks) === 0) mappings.markBlocks(v);
    } else if (mapHoles(s, page, last + 1) === 0) return 0;
    const old = putBlock(s, hi, lo, bytes);
    if (old >= 0) {
      // The trace missed its free: the old block ends here.
      reject(Reject.doubleAllocation);
      grown(-old, -1);
    }
    counts[HeapCount.allocations]! += 1;
    grown(bytes, 1);
    place[0] = hi;
    place[1] = lo;
    return 1;
  }

  function release(s: number, hi: number, lo: number): number {
    const e = findBlock(s, hi, lo);
    if (e < 0) return reject(Reject.wildFree);
    grown(-blocks.sizeAt(e), -1);
    blocks.removeAt(s, e);
    counts[HeapCount.frees]! += 1;
    return 1;
  }

  return {
    allocate,
    release,
    blockBytes: (s, hi, lo) => {
      const e = findBlock(s, hi, lo);
      return e < 0 ? -1 : blocks.sizeAt(e);
    },
    follow: (_s, hi, lo) => {
      place[0] = hi;
      place[1] = lo;
      return 1;
    },
    place,
    places: false,
    recordedBreak: () => undefined,
    recordedRange: () => undefined,
    forked: (from, to) => {
      blocks.copy(from, to);
      grown(blocks.bytes[to]!, blocks.count[to]!);
    },
    destroyed: (s) => {
      grown(-blocks.bytes[s]!, -blocks.count[s]!);
      blocks.clear(s);
    },
    liveBytes,
    counts,
    validate: () => {
      let n = 0;
      let bytes = 0;
      for (let s = 0; s < blocks.count.length; s++) {
        n += blocks.count[s]!;
        bytes += blocks.bytes[s]!;
      }
      if (n !== liveBytes[HeapLive.blocks]) throw new Error(`heap tables hold ${n} blocks, counted ${liveBytes[HeapLive.blocks]}`);
      if (bytes !== liveBytes[HeapLive.bytes]) throw new Error(`heap tables hold ${bytes} bytes, counted ${liveBytes[HeapLive.bytes]}`);
    },
  };
}

export const recorded: ProcessHeapLayout = {
  name: 'recorded',
  title: 'Blocks stay where the trace recorded them',
  source: "the trace's own addresses",
  create,
};
