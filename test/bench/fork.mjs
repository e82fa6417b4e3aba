/** fork and exit of an address space by its size: microseconds a fork (copying tables, write-protecting) and an exit, and ns per page of each. */
import { architectures } from '../../dist/arch/registry.js';
import { makeFrames } from '../../dist/core/vmm/frames.js';
import { memoryMapFromSize } from '../../dist/core/pmm/memory-map.js';
import { pmms } from '../../dist/core/pmm/registry.js';

const SIZES = [100, 1e3, 1e4, 1e5, 1e6];
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

export async function bench() {
  const map = memoryMapFromSize(16 * 2 ** 30);
  const frames = makeFrames(pmms.get('free-stack').create({ map, cpus: 1, seed: 1 }), map);
  const { ref } = frames;
  const tables = architectures.get('x86-64').create({
    frames: frames.tableFrames,
    totalFrames: map.frames,
    maxSpaces: 1024,
    observer: {
      dropped: (f) => frames.put(f),
      copied: (f) => {
        ref[f] = (ref[f] + 1) | 0;
      },
    },
  });
  const fork = {};
  const exit = {};
  for (const size of SIZES) {
    tables.createSpace(1);
    for (let page = 0; page < size; page++) tables.mapLeaf(1, page >> 18, (page & 262143) << 12, 7, frames.take(1, 1, -1, 1));
    const forks = [];
    const exits = [];
    const times = Math.max(5, Math.min(2000, 2e6 / size));
    for (let i = 0; i < times; i++) {
      tables.createSpace(2);
      const a = performance.now();
      tables.copySpace(1, 2);
      const b = performance.now();
      tables.destroySpace(2);
      const c = performance.now();
      forks.push((b - a) * 1000);
      exits.push((c - b) * 1000);
    }
    fork[size] = median(forks);
    exit[size] = median(exits);
    tables.destroySpace(1);
  }
  const perPage = (values) => Object.fromEntries(SIZES.map((size) => [size, (values[size] * 1000) / size]));
  return [
    { name: 'fork, by pages mapped', unit: 'us', values: fork },
    { name: 'exit, by pages mapped', unit: 'us', values: exit },
    { name: 'fork, per page', unit: 'ns', values: perPage(fork) },
    { name: 'exit, per page', unit: 'ns', values: perPage(exit) },
  ];
}
