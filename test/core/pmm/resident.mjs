/**
 * `node resident.mjs DIST STRATEGY FIRST:COUNT...` makes the strategy over these ranges of frames, works with it a little, and prints by how
 * many bytes the resident memory of this process grew: the least of three tries, as the workings of Node move the number now and then, while
 * touching an array does so every time.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, name, ...ranges] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(dist, 'core', 'pmm', file)));
const [{ pmms }, { memoryMapFromRanges }, { MAX_ORDER }] = await Promise.all(['registry.js', 'memory-map.js', 'allocator.js'].map(load));
const map = memoryMapFromRanges(
  ranges.map((range) => {
    const [first, count] = range.split(':').map(Number);
    return { first, count };
  }),
);

function grown() {
  const before = process.memoryUsage().rss;
  const pmm = pmms.get(name).create({ map, cpus: 1, seed: 1 });
  for (let i = 0; i < 500; i++) pmm.allocate(0, 0, 0, -1, 0);
  for (let order = 0; order <= MAX_ORDER; order++) pmm.freeBlocks(order);
  return { pmm, bytes: process.memoryUsage().rss - before };
}

// All three stay alive, so that nothing large is given back in between.
const tries = [grown(), grown(), grown()];
process.stdout.write(`${Math.min(...tries.map(({ bytes }) => bytes))}\n`);
