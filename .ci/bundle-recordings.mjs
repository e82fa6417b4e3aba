/**
 * Makes the bundled recordings from what the recorders wrote (traces/recordings/README.md tells the commands): node .ci/bundle-recordings.mjs RAW [OUT [NAME...]]
 *
 * RAW holds one file or directory a recording, under the names below. The program must have been built (npm run build).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FwtWriter } from '../dist/traces/index.js';
import { importInto } from '../dist/traces/import.js';

const linux = { release: '6.18', thp: 'madvise', pt_reclaim: 'y' };
const recordings = {
  bash: { kernel: linux, about: 'shell script with some 48 forks, pipes and substitutions' },
  gcc: { kernel: linux, about: 'gcc -c of a small file: driver, cc1, as' },
  madv: { kernel: linux, about: 'large mappings with madvise, mremap, mlock, populate and huge pages' },
  pyfork: { kernel: linux, about: 'python: os.fork with copy-on-write in parent, child and grandchild' },
  shm: { kernel: linux, about: 'System V and POSIX shared memory with a fork' },
  'sort-threads': { kernel: linux, about: 'sort -n --parallel=4 -S 40M of 700000 numbers' },
  // Of a kernel that was told to give each anonymous read a page of its own.
  threads: { kernel: { ...linux, zero_page: 'n' }, about: 'eight threads that allocate, touch, free and map at the same time' },
  advise: { kernel: { ...linux, zero_page: 'n' }, about: 'mremap, MADV_DONTNEED, MADV_HUGEPAGE, mlock, populate and mprotect, with a pause after each' },
  'sqlite-heap': { kernel: {}, about: 'sqlite3 in memory: 20000 rows, an index, grouping, updates, deletions' },
  'perl-heap': { kernel: {}, about: 'perl counting words with hashes of arrays' },
  'sort-every-access': { kernel: {}, about: 'sort /etc/services, every fetch, load and store' },
};

const [raw, out = new URL('../traces/recordings/', import.meta.url).pathname, ...names] = process.argv.slice(2);
if (raw === undefined) {
  console.error('usage: node .ci/bundle-recordings.mjs RAW [OUT [NAME...]]');
  process.exit(2);
}
mkdirSync(out, { recursive: true });
for (const [name, { kernel, about }] of Object.entries(recordings)) {
  if (names.length > 0 && !names.includes(name)) continue;
  const writer = new FwtWriter(join(out, `${name}.fwt`), { codec: 'deflate', strict: true });
  const header = await importInto([join(raw, name)], writer, { strict: true });
  Object.assign(header.kernel, kernel);
  header.provenance.program = about;
  const { rows } = writer.finish(header);
  console.log(`${name}: ${rows} events`);
}
