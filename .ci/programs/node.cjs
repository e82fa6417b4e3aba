// Objects that come and go, typed arrays, a worker of the thread pool.
const { gzipSync, gzip } = require('node:zlib');
const kept = new Map();
for (let round = 0; round < 60; round++) {
  for (let i = 0; i < 3000; i++) kept.set(i, { round, name: `entry ${i}`, list: new Array(16).fill(i) });
  const bytes = new Uint8Array(1 << 20).fill(round);
  gzipSync(bytes);
  if (round % 5 === 0) gzip(bytes, () => undefined);
}
