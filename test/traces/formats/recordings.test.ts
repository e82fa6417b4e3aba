/** What the imported events map is what the kernel said it was, at every moment it said it: VmSize of every sample, and no touch outside a mapping. */
import { describe, expect, it } from 'vitest';
import { Flag, Op, OP_NAMES, Quantity, type TraceEvent } from '../../../traces/event.js';
import { perfFormat } from '../../../traces/formats/perf.js';
import { MappedRanges } from '../../oracle/mapped-ranges.js';
import { importRecording, RECORDINGS } from './importing.js';

function vmSizes(events: readonly TraceEvent[]): { samples: number; wrong: number; wild: number } {
  const oracle = new MappedRanges();
  let samples = 0;
  let wrong = 0;
  for (const event of events) {
    if (event.op !== Op.sample) oracle.apply(event);
    else if (event.arg === Quantity.VmSize) {
      samples++;
      if (oracle.vmSize(event.pid) !== event.size) wrong++;
    }
  }
  return { samples, wrong, wild: oracle.wild.length };
}

describe.each([
  ['gcc', 1185, ['fork', 'vfork', 'exec', 'mmap', 'munmap', 'brk']],
  ['pyfork', 1265, ['fork', 'exec', 'mmap', 'munmap', 'brk']],
  ['shm', 57, ['fork', 'exec', 'mmap', 'munmap']],
])('%s', (name, samples, needed) => {
  it('VmSize equals vm_size_kb in every sample', async () => {
    const { events } = await importRecording(perfFormat, RECORDINGS + name);
    expect(vmSizes(events)).toEqual({ samples, wrong: 0, wild: 0 });
  });

  it('and would not, were any kind of event left out that happened while it was watched', async () => {
    const { events } = await importRecording(perfFormat, RECORDINGS + name);
    const kinds = [Op.fork, Op.vfork, Op.exec, Op.mmap, Op.munmap, Op.brk].filter((kind) => vmSizes(events.filter(({ op }) => op !== kind)).wrong > 0);
    expect(kinds.map((kind) => OP_NAMES[kind])).toEqual(needed);
    expect(vmSizes(events.filter(({ flags, op }) => op !== Op.mmap || (flags & Flag.growsdown) === 0)).wrong).toBeGreaterThan(0);
  });
});
