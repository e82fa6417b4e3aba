/**
 * Memory as a machine's /proc/buddyinfo and /proc/pagetypeinfo describe it (Linux mm/vmstat.c, frag_show and pagetypeinfo_show): as many free blocks of each
 * order, as many pageblocks of each migrate type. Zones and nodes are added up. Where the free blocks lie is not in those files: it is drawn.
 *
 * All memory is taken frame by frame, then the free blocks are given back: aligned, and never two halves of a larger block, which a buddy allocator would have
 * joined. Walking down the orders, each block that is split hands at most one of its halves on as free.
 */
import { FrameKind } from '../../../arch/arch.js';
import { UserError } from '../../../traces/event.js';
import { MAX_ORDER } from '../allocator.js';
import { seeded, xorshift } from '../xorshift.js';
import type { AgedFrames } from './contract.js';

/** What is counted of each migrate type; others of the kernel's (CMA, HighAtomic, Isolate) count as movable. */
export interface ByType {
  readonly unmovable: number;
  readonly reclaimable: number;
  readonly movable: number;
}

export interface MachineLayout {
  readonly kind: 'machine';
  /** Frames of all pageblocks. */
  readonly frames: number;
  readonly framesByType: ByType;
  /** Free blocks by order, 0 to MAX_ORDER. */
  readonly free: readonly ByType[];
}

const TYPES = ['unmovable', 'reclaimable', 'movable'] as const;
const KINDS = [FrameKind.unmovable, FrameKind.reclaimable, FrameKind.movable] as const;
const TOP = 2 ** MAX_ORDER;
const MIB_FRAMES = 256;

/** Ages memory so. UserError when the machine's free blocks do not fit into the memory that is simulated. */
export function takeMachine({ frames: machineFrames, framesByType, free }: MachineLayout, frames: AgedFrames, usableFrames: number, seed: number): void {
  if (machineFrames > usableFrames)
    throw new UserError(
      `--age: the machine of these files has ${machineFrames / MIB_FRAMES} MiB, the simulated memory ${Math.floor(usableFrames / MIB_FRAMES)} MiB; give --memory ${machineFrames / MIB_FRAMES}MiB or more`,
    );
  let state = seeded(seed);
  const draw = (n: number): number => {
    state = xorshift(state);
    return (state >>> 0) % n;
  };
  function shuffle(list: number[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = draw(i + 1);
      const one = list[i]!;
      list[i] = list[j]!;
      list[j] = one;
    }
  }

  const typeOf = takeAll();
  // What the machine does not have is free in whole blocks.
  let areas = wholeAreas();
  const more = Math.max(0, areas.length - Math.floor(machineFrames / TOP));
  const given: { readonly frame: number; readonly order: number }[] = [];
  for (let order = MAX_ORDER; order >= 0; order--) {
    const wanted = free[order]!;
    areas = giveOfOrder(
      order,
      areas,
      TYPES.map((type) => wanted[type] + (order === MAX_ORDER && type === 'movable' ? more : 0)),
    );
  }
  // Strategies that give out last what came back first should not find the blocks sorted.
  const turns = Array.from(given, (_, i) => i);
  shuffle(turns);
  for (const turn of turns) {
    const { frame, order } = given[turn]!;
    for (let f = frame; f < frame + 2 ** order; f++) frames.release(f, 0);
  }

  /** Takes every frame there is, pageblocks' worth of one type after the other. By frame: 1 + its type, 0 = not had. */
  function takeAll(): Uint8Array {
    let types = new Uint8Array(1 << 16);
    const wanted = [framesByType.unmovable, framesByType.reclaimable, Infinity];
    for (const [type, kind] of KINDS.entries()) {
      for (let n = 0; n < wanted[type]!; n++) {
        const frame = frames.take(0, kind);
        if (frame < 0) return types;
        if (frame >= types.length) {
          const longer = new Uint8Array(2 * Math.max(types.length, frame));
          longer.set(types);
          types = longer;
        }
        types[frame] = type + 1;
      }
    }
    return types;
  }

  function isHad(frame: number, order: number): boolean {
    for (let f = frame; f < frame + 2 ** order; f++) if (typeOf[f] === 0) return false;
    return true;
  }

  /** First frames of the blocks of the largest order of which every frame is had. */
  function wholeAreas(): number[] {
    const out: number[] = [];
    for (let frame = 0; frame + TOP <= typeOf.length; frame += TOP) if (isHad(frame, MAX_ORDER)) out.push(frame);
    return out;
  }

  /** Chooses free blocks of an order, of `wanted[type]` each as far as there are any; what is left, as blocks of the order below. */
  function giveOfOrder(order: number, blocks: readonly number[], wanted: readonly number[]): number[] {
    // Below the largest order `blocks` are pairs: both halves of a block that was split.
    const pairs = order === MAX_ORDER ? 1 : 2;
    const queues: number[][] = TYPES.map(() => []);
    for (let i = 0; i < blocks.length; i += pairs) queues[typeOf[blocks[i]!]! - 1]!.push(i);
    for (const queue of queues) shuffle(queue);
    const chosen = new Uint8Array(blocks.length);
    let missing = 0;
    const choose = (queue: number[]): void => {
      const i = queue.pop()! + (pairs === 1 ? 0 : draw(2));
      chosen[i] = 1;
      given.push({ frame: blocks[i]!, order });
    };
    for (const [type, queue] of queues.entries()) {
      const n = Math.min(wanted[type]!, queue.length);
      for (let k = 0; k < n; k++) choose(queue);
      missing += wanted[type]! - n;
    }
    for (const queue of [...queues].reverse()) {
      for (; missing > 0 && queue.length > 0; missing--) choose(queue);
    }
    if (missing > 0)
      throw new UserError(`--age: ${missing} of the free blocks of order ${order} do not fit into the simulated memory; do both files come from one machine?`);
    const below: number[] = [];
    if (order === 0) return below;
    for (const [i, frame] of blocks.entries()) if (chosen[i] === 0) below.push(frame, frame + 2 ** (order - 1));
    return below;
  }
}
