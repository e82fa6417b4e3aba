/** The recordings that come with the program: what they hold, and that they are what the importers make of the raw ones. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { joinAddr } from '../../arch/address.js';
import { MemoryTarget } from '../../traces/bytes.js';
import { Op, Quantity, type Trace, type TraceEvent } from '../../traces/event.js';
import { openFwt } from '../../traces/fwt.js';
import { FwtWriter } from '../../traces/fwt-writer.js';
import { importInto } from '../../traces/import.js';
import { MappedRanges } from '../oracle/mapped-ranges.js';
import { RECORDINGS } from './formats/importing.js';

const BUNDLED = new URL('../../traces/recordings/', import.meta.url).pathname;
const files = readdirSync(BUNDLED).filter((file) => file.endsWith('.fwt'));

function* eventsOf(trace: Trace): Iterable<TraceEvent> {
  for (const b of trace.blocks()) {
    for (let i = 0; i < b.length; i++) {
      const at = (column: { readonly [row: number]: number }): number => column[i] as number;
      yield {
        time: at(b.time),
        pid: at(b.pid),
        tid: at(b.tid),
        op: at(b.op) as Op,
        addr: joinAddr(at(b.addrHi), at(b.addrLo)),
        size: at(b.size),
        addr2: at(b.addr2),
        arg: at(b.arg),
        flags: at(b.flags),
        cpu: at(b.cpu),
      };
    }
  }
}

describe('bundled recordings', () => {
  it('at least six programs in at most 5 MiB, one with heap calls, one with every access, one with threads', () => {
    expect(files.length).toBeGreaterThanOrEqual(6);
    expect(files.reduce((sum, file) => sum + statSync(BUNDLED + file).size, 0)).toBeLessThanOrEqual(5 << 20);
    const traces = files.map((file) => openFwt(BUNDLED + file, file));
    expect(traces.filter(({ header }) => header.captured.heap && header.captured.freePointers).length).toBeGreaterThanOrEqual(1);
    expect(traces.filter(({ header }) => header.captured.touches === 'all').length).toBeGreaterThanOrEqual(1);
    expect(traces.filter(({ counts }) => (counts[Op.thread] as number) > 1).length).toBeGreaterThanOrEqual(1);
    for (const trace of traces) trace.close();
  });

  it.each(files)('%s: begins at 0, lost nothing, tells nothing of the machine it was converted on, and is in the README', (file) => {
    const trace = openFwt(BUNDLED + file, file);
    expect(trace.losses).toEqual([]);
    let first: number | undefined;
    let rows = 0;
    for (const { time } of eventsOf(trace)) {
      first ??= time;
      rows++;
    }
    expect(first).toBe(0);
    expect(trace.rows).toBe(rows);
    expect(JSON.stringify(trace.header)).not.toMatch(/\/(?:work|tmp|home|root)\b/);
    const row = readFileSync(`${BUNDLED}README.md`, 'utf8')
      .split('\n')
      .find((line) => line.includes(`\`${file}\``));
    expect(row?.replace(/(\d) (\d)/g, '$1$2')).toContain(` ${rows} `);
    trace.close();
  });

  it.each([
    ['bash', 5164],
    ['gcc', 1185],
    ['madv', 339],
    ['pyfork', 1265],
    ['shm', 57],
  ])('%s: what is mapped is what the kernel said, in all of %i samples', (name, expected) => {
    const trace = openFwt(`${BUNDLED}${name}.fwt`, name);
    const oracle = new MappedRanges();
    let samples = 0;
    let wrong = 0;
    for (const event of eventsOf(trace)) {
      if (event.op !== Op.sample) oracle.apply(event);
      else if (event.arg === Quantity.VmSize) {
        samples++;
        if (oracle.vmSize(event.pid) !== event.size) wrong++;
      }
    }
    expect({ samples, wrong, wild: oracle.wild.length }).toEqual({ samples: expected, wrong: 0, wild: 0 });
    trace.close();
  });

  it.each(['gcc', 'pyfork', 'shm'])('%s is what the importer makes of the raw recording', async (name) => {
    const trace = openFwt(`${BUNDLED}${name}.fwt`, name);
    const target = new MemoryTarget(1 << 22);
    const writer = new FwtWriter(target, { strict: true });
    const header = await importInto([RECORDINGS + name], writer, { strict: true });
    expect({ ...trace.header, kernel: {}, provenance: {} }).toEqual(header);
    expect(writer.finish({ ...header, kernel: trace.header.kernel }).hash).toBe(trace.hash);
    trace.close();
  });
});
