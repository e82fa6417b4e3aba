/** Replays a list of events with everything that a verification looks at. */
import { lookupConfig } from '../../../core/lookup/configs.js';
import { memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { runCell } from '../../../core/replay/cell.js';
import type { CellSpec } from '../../../core/replay/cell.js';
import type { Verification } from '../../../core/replay/result.js';
import { MemoryTarget } from '../../../traces/bytes.js';
import { emptyHeader } from '../../../traces/format.js';
import { FwtTrace } from '../../../traces/fwt.js';
import { FwtWriter } from '../../../traces/fwt-writer.js';
import type { Fields } from '../../oracle/vmm-events.js';

/** Names of losses and facts about the kernel that the trace's header holds. */
export interface Circumstances {
  readonly kernel?: Record<string, string>;
  readonly losses?: readonly string[];
  readonly spec?: Partial<Pick<CellSpec, 'policy' | 'without' | 'verify' | 'pmm' | 'cpus' | 'spread' | 'kernelHeap' | 'age' | 'repeat' | 'audit'>>;
}

export function traceOf(events: readonly Fields[], { kernel = {}, losses = [] }: Omit<Circumstances, 'spec'> = {}): FwtTrace {
  const target = new MemoryTarget(1 << 20);
  const writer = new FwtWriter(target, { codec: 'none' });
  events.forEach(({ op, pid = 1, tid = pid, addr = 0, size = 0, addr2 = 0, arg = 0, flags = 0, cpu = 0, text, time }, i) =>
    writer.push(time ?? i * 1000, pid, tid, op, addr, size, addr2, arg, flags, cpu, text),
  );
  for (const cause of losses) writer.loss(cause, 'a:1');
  const header = emptyHeader('csv');
  writer.finish({ ...header, kernel, captured: { ...header.captured, mappings: true, processes: true, touches: 'faults', samples: true } });
  return new FwtTrace(target.source(), 'list', 'list');
}

export function replayed(events: readonly Fields[], { spec = {}, ...circumstances }: Circumstances = {}): ReturnType<typeof runCell> {
  return runCell(traceOf(events, circumstances), {
    arch: 'x86-64',
    pmm: 'buddy',
    heap: 'recorded',
    policy: 'plain',
    without: [],
    touch: 'recorded',
    tlb: lookupConfig('default'),
    map: memoryMapFromSize(64 * 2 ** 20),
    kernelHeap: true,
    onOom: 'fail',
    cpus: 1,
    seed: 1,
    pids: [],
    window: null,
    audit: 0,
    samplePoints: 4,
    verify: true,
    ...spec,
  });
}

export function verified(events: readonly Fields[], circumstances?: Circumstances): Verification {
  const { verification } = replayed(events, circumstances);
  if (verification === undefined) throw new Error('nothing was verified');
  return verification;
}
