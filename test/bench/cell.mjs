/** One cell in this process, for test/bench/replay.mjs: `cell.mjs TRACE PMM MEMORY [POLICY]`; MEMORY `start:SIZE` stops at the first event. Prints one JSON line. */
import { parseSize } from '../../dist/cli/size.js';
import { lookupConfig } from '../../dist/core/lookup/configs.js';
import { memoryMapFromSize } from '../../dist/core/pmm/memory-map.js';
import { runCell } from '../../dist/core/replay/cell.js';
import { inlineDeeply } from '../../dist/core/replay/compiler.js';
import { openTrace } from '../../dist/traces/index.js';

const [, , file, pmm, memory, policy = 'plain'] = process.argv;
const startOnly = memory.startsWith('start:');
inlineDeeply();
const trace = await openTrace(file);
const result = runCell(trace, {
  arch: 'x86-64',
  pmm,
  heap: 'recorded',
  policy,
  touch: 'recorded',
  tlb: lookupConfig('default'),
  map: memoryMapFromSize(parseSize(startOnly ? memory.slice(6) : memory, 'MEMORY')),
  kernelHeap: true,
  onOom: 'fail',
  cpus: 1,
  seed: 1,
  pids: startOnly ? [-2] : [],
  window: startOnly ? [0, 1] : null,
  audit: 0,
});
const { timing, metrics } = result;
const { minor_faults_count: minor, cow_breaks_count: cow } = metrics;
console.log(JSON.stringify({ rows: trace.rows, seconds: timing.wall_s - timing.startup_s, startup: timing.startup_s, rss: timing.max_rss_bytes, minor, cow }));
