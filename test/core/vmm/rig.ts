/** A small simulated machine with a replayer that takes one event at a time. */
import { architectures } from '../../../arch/registry.js';
import { heaps } from '../../../core/heap/registry.js';
import { lookupConfig } from '../../../core/lookup/configs.js';
import type { FrameAllocator } from '../../../core/pmm/allocator.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { pmms } from '../../../core/pmm/registry.js';
import { makeReplayer } from '../../../core/replay/replayer.js';
import { FrameCell } from '../../../core/vmm/frames.js';
import { rulesOf } from '../../../core/vmm/policies.js';
import { makeVmm } from '../../../core/vmm/vmm.js';
import type { Vmm } from '../../../core/vmm/vmm.js';
import { createBlock } from '../../../traces/event.js';
import type { Fields } from '../../oracle/vmm-events.js';

export interface RigOptions {
  readonly pmm?: string;
  readonly heap?: string;
  readonly memory?: number;
  readonly onOom?: 'kill' | 'fail' | 'stop';
  readonly implicitMappings?: boolean;
  readonly kernelHeap?: boolean;
  readonly touchBlocks?: boolean;
  readonly cpus?: number;
  readonly policy?: string;
  readonly without?: readonly string[];
  /** What stands between the machine and its PMM. */
  readonly watch?: (pmm: FrameAllocator) => FrameAllocator;
}
export interface Rig {
  vmm: Vmm;
  /** Replays one event as number `n`. */
  feed: (e: Fields, n?: number) => void;
  start: number;
}

/** A machine with a replayer; `start` are the frames it uses before anything ran. */
export function buildRig(options: RigOptions = {}): Rig {
  const { pmm = 'buddy', heap = 'recorded', memory = 16 * 2 ** 20, onOom = 'fail', implicitMappings = false, kernelHeap = true, cpus = 1 } = options;
  const map = memoryMapFromSize(memory);
  const vmm = makeVmm({
    arch: architectures.get('x86-64'),
    pmm: (options.watch ?? ((made) => made))(pmms.get(pmm).create({ map, cpus, seed: 1 })),
    map,
    lookup: lookupConfig('default'),
    cpus,
    kernelHeap,
    heapLayout: heaps.get(heap),
    implicitMappings,
    rules: rulesOf(options.policy ?? 'plain', options.without ?? []),
  });
  const start = vmm.machine.frames.cells[FrameCell.used]!;
  const block = createBlock();
  const replayer = makeReplayer(vmm, block, {
    cpus,
    spread: 'recorded',
    touches: true,
    touchBlocks: options.touchBlocks ?? false,
    touchMappings: false,
    onOom,
    pids: [],
    window: null,
    onSample: () => undefined,
  });
  const feed = (e: Fields, n = 0): void => {
    const addr = e.addr ?? 0;
    block.length = 1;
    block.op[0] = e.op;
    block.pid[0] = e.pid ?? 1;
    block.addrHi[0] = Math.floor(addr / 2 ** 30);
    block.addrLo[0] = addr - Math.floor(addr / 2 ** 30) * 2 ** 30;
    block.size[0] = e.size ?? 0;
    block.addr2[0] = e.addr2 ?? 0;
    block.arg[0] = e.arg ?? 0;
    block.flags[0] = e.flags ?? 0;
    block.text.clear();
    if (e.text !== undefined) block.text.set(0, e.text);
    replayer.run(0, 1, n);
  };
  return { vmm, feed, start };
}
