/**
 * page_alloc and page_free events: recordings of a kernel's own page allocator drive the PMM directly. The recorded frame number names the block; the
 * strategy under test places it anew.
 */
import { FrameKind } from '../../arch/arch.js';
import { Flag } from '../../traces/event.js';
import { IntMap } from '../int-map.js';
import type { Machine } from '../vmm/machine.js';

export function makePageBlocks(machine: Machine) {
  const { frames } = machine;
  /** Recorded frame -> first frame here. */
  const blocks = new IntMap(256);
  const orders = new IntMap(256);

  /** 1, or 0 without a block of that order. */
  function allocate(recorded: number, order: number, flags: number): number {
    const kind = (flags & Flag.movable) !== 0 ? FrameKind.movable : (flags & Flag.reclaimable) !== 0 ? FrameKind.reclaimable : FrameKind.unmovable;
    if (!(order >= 0 && order <= 30)) return 0;
    const first = frames.takeBlock(order, kind, -1);
    if (first < 0) return 0;
    const old = blocks.get(recorded, -1);
    if (old >= 0) frames.releaseBlock(old, orders.get(recorded, 0)); // its free was not recorded
    blocks.set(recorded, first);
    orders.set(recorded, order);
    return 1;
  }

  /** 1, or 0 when no allocation of that frame was seen. */
  function release(recorded: number, order: number): number {
    const first = blocks.get(recorded, -1);
    if (first < 0 || orders.get(recorded, -1) !== order) return 0;
    blocks.delete(recorded);
    orders.delete(recorded);
    frames.releaseBlock(first, order);
    return 1;
  }

  return { allocate, release };
}
