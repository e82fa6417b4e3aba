/** Reading traces: decoding a container deflated and plain, importing CSV and perf script output. Median of three, one core. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { exportCsv, importTrace, openFwt } from '../../dist/traces/index.js';
import { writeSynthetic } from './synthetic.mjs';

const RECORDING = fileURLToPath(new URL('../fixtures/recordings/pyfork/', import.meta.url));
const ROWS = 3e6;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function seconds(act) {
  const times = [];
  for (let i = 0; i < 3; i++) {
    const began = performance.now();
    await act();
    times.push((performance.now() - began) / 1000);
  }
  return median(times);
}

function decode(path) {
  const trace = openFwt(path, 'trace');
  let rows = 0;
  for (const block of trace.blocks()) rows += block.length;
  trace.close();
  return rows;
}

export async function bench() {
  const space = mkdtempSync(join(tmpdir(), 'framewalk-bench-'));
  try {
    const plain = join(space, 'plain.fwt');
    const packed = join(space, 'packed.fwt');
    const rows = writeSynthetic(plain, ROWS, 'none');
    writeSynthetic(packed, ROWS, 'deflate');
    const none = await seconds(() => decode(plain));
    const deflate = await seconds(() => decode(packed));
    const csv = join(space, 'trace.csv');
    const trace = openFwt(plain, 'trace');
    exportCsv(trace, csv);
    trace.close();
    const fromCsv = await seconds(() => importTrace([csv], join(space, 'csv.fwt'), { codec: 'none' }));
    const text = gunzipSync(readFileSync(join(RECORDING, 'events.perf.txt.gz'))).toString('latin1');
    const lines = text.split('\n').length * 30;
    const perf = join(space, 'perf.txt');
    writeFileSync(perf, text.repeat(30));
    const fromPerf = await seconds(() => importTrace([perf], join(space, 'perf.fwt'), { codec: 'none' }));
    return [
      { name: 'decode .fwt', unit: 'M events/s', values: { none: rows / none / 1e6, deflate: rows / deflate / 1e6 } },
      { name: 'size of .fwt', unit: 'B/event', values: { none: statSync(plain).size / rows, deflate: statSync(packed).size / rows } },
      { name: 'import CSV (no quotes)', unit: 'M rows/s', values: { csv: rows / fromCsv / 1e6 } },
      { name: 'import perf script', unit: 'M lines/s', values: { perf: lines / fromPerf / 1e6 } },
    ];
  } finally {
    rmSync(space, { recursive: true, force: true });
  }
}
