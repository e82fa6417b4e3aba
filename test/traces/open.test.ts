import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { EventList } from '../../traces/event-list.js';
import { Op, type Trace, type TraceEvent } from '../../traces/event.js';
import { exportCsv } from '../../traces/export-csv.js';
import { openFwt } from '../../traces/fwt.js';
import { importInto } from '../../traces/import.js';
import { importTrace, openTrace } from '../../traces/open.js';
import { detectFormat, formatByName, TRACE_FORMATS } from '../../traces/registry.js';
import { openShared, shareTrace } from '../../traces/share.js';
import { container, eventsOf, inFolder, plain, sampleHeader, temporaryTraces, userError } from './events.js';

const NAMES = 'time,pid,tid,op,addr,size,addr2,arg,flags,cpu';
const manyEvents = (count: number): TraceEvent[] =>
  Array.from({ length: count }, (_, i) => plain({ op: Op.write, time: i * 7, addr: (i * 7919 * 4096) % 2 ** 40, size: (i * 31) % 5000 }));

/** Writes the events as CSV and returns the path. */
function csvFile(folder: string, events: TraceEvent[], name = 'a.csv'): string {
  exportCsv(openFwt(container(events), 't'), `${folder}/${name}`);
  return `${folder}/${name}`;
}

describe('openTrace', () => {
  it('opens containers and other formats, packed or not, by content and whatever their names', () =>
    inFolder(async (folder) => {
      const events = manyEvents(500);
      const csv = readFileSync(csvFile(folder, events));
      writeFileSync(`${folder}/one.csv`, container(events, 'deflate'));
      writeFileSync(`${folder}/two.fwt`, csv);
      writeFileSync(`${folder}/three.zst`, zlib.gzipSync(csv));
      mkdirSync(`${folder}/four`);
      writeFileSync(`${folder}/four/events.bin`, csv);
      const hashes = new Set<string>();
      for (const name of ['one.csv', 'two.fwt', 'three.zst', 'four']) {
        const trace = await openTrace(`${folder}/${name}`);
        expect(trace.name).toBe(name.replace(/\..*/, ''));
        expect(eventsOf(trace)).toEqual(events);
        hashes.add(trace.hash);
        trace.close();
      }
      expect(hashes.size).toBe(1);
      expect((await openTrace(`${folder}/one.csv`, { name: 'mine' })).name).toBe('mine');
    }));

  it('takes the format that is asked for', () =>
    inFolder(async (folder) => {
      const path = csvFile(folder, manyEvents(3));
      expect((await openTrace(path, { format: 'csv' })).rows).toBe(3);
      expect(await userError(() => openTrace(path, { format: 'fwt' }))).toContain('not a .fwt trace');
      expect(await userError(() => openTrace(path, { format: 'cvs' }))).toMatch(/--format cvs: unknown trace format; known: .*csv/);
      writeFileSync(`${folder}/b.fwt`, container(manyEvents(3)));
      expect((await openTrace(`${folder}/b.fwt`, { format: 'fwt' })).rows).toBe(3);
    }));

  it('says what it knows when it does not know the format', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/x`, 'hello\nworld\n');
      expect(await userError(() => openTrace(`${folder}/x`))).toMatch(/x: not in a trace format I know \(fwt, .*csv.*\); name it with --format NAME/);
      writeFileSync(`${folder}/x`, Buffer.from([0, 255, 3, 128, 10]));
      expect(await userError(() => openTrace(`${folder}/x`))).toContain('not in a trace format I know');
      writeFileSync(`${folder}/x`, zlib.gzipSync(container([])));
      expect(await userError(() => openTrace(`${folder}/x`))).toContain('a packed .fwt trace; unpack it first');
      writeFileSync(`${folder}/x`, '');
      expect(await userError(() => openTrace(`${folder}/x`))).toBe(`${folder}/x: the file is empty; a trace was expected`);
      writeFileSync(`${folder}/x`, zlib.gzipSync(''));
      expect(await userError(() => openTrace(`${folder}/x`))).toBe(`${folder}/x: the file is empty; a trace was expected`);
      expect(await userError(() => openTrace(`${folder}/y`))).toBe(`${folder}/y: cannot read: no such file or directory`);
    }));

  it('goes to a temporary file beyond the limit, and removes it on close', () =>
    inFolder(async (folder) => {
      const events = manyEvents(150_000);
      const path = csvFile(folder, events);
      const small = await openTrace(path, { traceMemory: 1 << 16 });
      const large = await openTrace(path);
      expect(temporaryTraces()).toHaveLength(1);
      expect(small.hash).toBe(large.hash);
      expect(eventsOf(small)).toEqual(eventsOf(large));
      expect(eventsOf(small)).toEqual(eventsOf(small));
      small.close();
      small.close();
      expect(temporaryTraces()).toEqual([]);
    }));

  it('leaves no temporary file when the import fails', () =>
    inFolder(async (folder) => {
      const rows = Array.from({ length: 150_000 }, (_, i) => `${i * 97},${i % 50},1,read,0x${(i * 65536).toString(16)},,,,,`);
      writeFileSync(`${folder}/a.csv`, `${NAMES}\n${rows.join('\n')}\n1,1,1,"`);
      expect(await userError(() => openTrace(`${folder}/a.csv`, { traceMemory: 1 << 16 }))).toContain('ends within quotes');
      expect(temporaryTraces()).toEqual([]);
    }));

  it('reports progress and warnings, and stops at the first loss when strict', () =>
    inFolder(async (folder) => {
      const text = `${NAMES},x\n${'1,1,1,read,,,,,,,\n'.repeat(100_000)}1,1,1,raed,,,,,,,\n`;
      writeFileSync(`${folder}/a.csv`, text);
      const warnings: string[] = [];
      let last = [0, 0];
      const trace = await openTrace(`${folder}/a.csv`, { onWarning: (message) => warnings.push(message), onProgress: (done, total) => (last = [done, total]) });
      expect(warnings).toEqual([`${folder}/a.csv:1: unknown column ignored: x`]);
      expect(last).toEqual([text.length, text.length]);
      expect(trace.losses).toEqual([{ cause: 'unknown op', count: 1, first: `${folder}/a.csv:100002` }]);
      expect(await userError(() => openTrace(`${folder}/a.csv`, { strict: true }))).toBe(
        `${folder}/a.csv:100002: unknown op (without --strict it is counted and left out)`,
      );
    }));

  it('reads from a pipe', () =>
    inFolder((folder) => {
      const path = csvFile(folder, manyEvents(2000));
      expect(spawnSync('mkfifo', [`${folder}/pipe`]).status).toBe(0);
      const feeder = new Worker(`require('fs').writeFileSync(${JSON.stringify(`${folder}/pipe`)}, require('fs').readFileSync(${JSON.stringify(path)}))`, {
        eval: true,
      });
      return openTrace(`${folder}/pipe`).then(async (trace) => {
        await feeder.terminate();
        expect(trace.rows).toBe(2000);
      });
    }));
});

describe('importTrace', () => {
  it('writes a container of any codec, and repacks one', () =>
    inFolder(async (folder) => {
      const events = manyEvents(70_000);
      const csv = csvFile(folder, events);
      const first = await importTrace([csv], `${folder}/a.fwt`);
      const second = await importTrace([`${folder}/a.fwt`], `${folder}/b.fwt`, { codec: 'none' });
      await importTrace([`${folder}/b.fwt`], `${folder}/b.fwt`, { codec: 'deflate' });
      expect(first.rows).toBe(70_000);
      expect(first.counts).toEqual({ write: 70_000 });
      expect(second.hash).toBe(first.hash);
      expect(readFileSync(`${folder}/b.fwt`).equals(readFileSync(`${folder}/a.fwt`))).toBe(true);
      expect(eventsOf(openFwt(`${folder}/b.fwt`, 'b'))).toEqual(events);
      expect(readdirSync(folder).sort()).toEqual(['a.csv', 'a.fwt', 'b.fwt']);
    }));

  it('makes the same bytes from the same input', () =>
    inFolder(async (folder) => {
      const csv = csvFile(folder, manyEvents(1000));
      await importTrace([csv], `${folder}/a.fwt`);
      await importTrace([csv], `${folder}/b.fwt`);
      expect(readFileSync(`${folder}/a.fwt`).equals(readFileSync(`${folder}/b.fwt`))).toBe(true);
    }));

  it('joins the parts of a recording, but not containers', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/1`, `${NAMES}\n1,1,1,read,,,,,,\n`);
      writeFileSync(`${folder}/2`, `${NAMES}\n2,1,1,read,,,,,,\nx\n`);
      const { rows, losses } = await importTrace([`${folder}/1`, `${folder}/2`], `${folder}/a.fwt`);
      expect(rows).toBe(2);
      expect(losses[0]?.first).toBe(`${folder}/2:3`);
      expect(await userError(() => importTrace([`${folder}/1`, `${folder}/a.fwt`], `${folder}/b.fwt`))).toContain('it cannot be one of several inputs');
      expect(await userError(() => importTrace([`${folder}/a.fwt`], `${folder}/b.fwt`, { strict: true }))).toContain(`${folder}/2:3: wrong number of fields`);
      expect(await userError(() => importTrace([], `${folder}/b.fwt`))).toBe('no input file given');
      expect(readdirSync(folder).sort()).toEqual(['1', '2', 'a.fwt']);
    }));

  it('leaves nothing half-written when the input is bad or the output cannot be written', () =>
    inFolder(async (folder) => {
      const csv = csvFile(folder, manyEvents(70_000));
      writeFileSync(`${folder}/bad.csv`, readFileSync(csv, 'utf8') + '1,1,1,"');
      const out = `${folder}/a.fwt`;
      await userError(() => importTrace([`${folder}/bad.csv`], out));
      await userError(() => importTrace([`${folder}/missing.csv`], out));
      expect(await userError(() => importTrace([csv], '/dev/full'))).toBe('/dev/full: cannot write: no space left on the device');
      expect(await userError(() => importTrace([csv], `${folder}/no/a.fwt`))).toContain('cannot write: no such file or directory');
      writeFileSync(`${folder}/cut.fwt`, container(manyEvents(100)).slice(0, -9));
      await userError(() => importTrace([`${folder}/cut.fwt`], out));
      const damaged = container(manyEvents(100));
      damaged[200]! ^= 4;
      writeFileSync(`${folder}/cut.fwt`, damaged);
      await userError(() => importTrace([`${folder}/cut.fwt`], out));
      expect(readdirSync(folder).sort()).toEqual(['a.csv', 'bad.csv', 'cut.fwt']);
    }));
});

describe('shareTrace', () => {
  const throughClone = <T>(value: T): T => structuredClone(value);

  it('shares memory when it fits and a path when not, with the same events', () =>
    inFolder(async (folder) => {
      const events = manyEvents(100_000);
      await importTrace([csvFile(folder, events)], `${folder}/a.fwt`);
      const trace = await openTrace(`${folder}/a.fwt`);
      const inMemory = shareTrace(trace);
      const onDisk = shareTrace(trace, 1000);
      expect('bytes' in inMemory).toBe(true);
      expect(onDisk).toEqual({ name: 'a', file: `${folder}/a.fwt`, path: `${folder}/a.fwt` });
      for (const shared of [inMemory, onDisk]) {
        const opened = await openShared(throughClone(shared));
        expect(opened.hash).toBe(trace.hash);
        expect(opened.name).toBe('a');
        expect(opened.header).toEqual(trace.header);
        expect(eventsOf(opened)).toEqual(events);
        opened.close();
      }
      trace.close();
      // The memory outlives the trace.
      expect((await openShared(inMemory)).rows).toBe(events.length);
    }));

  it('shares what is in memory without copying it, and needs little more than the blocks', () =>
    inFolder(async (folder) => {
      const trace = await openTrace(csvFile(folder, manyEvents(1000)));
      const shared = shareTrace(trace);
      expect('bytes' in shared && shared.bytes === trace.source.memory?.buffer).toBe(true);
      const other = openFwt(container(manyEvents(1000), 'deflate'), 'x');
      const copied = shareTrace(other, other.rawBytes + 8192);
      expect('bytes' in copied && copied.bytes.byteLength < other.rawBytes + 8192).toBe(true);
    }));

  it('shares a temporary file while the trace is open', () =>
    inFolder(async (folder) => {
      const events = manyEvents(100_000);
      const trace = await openTrace(csvFile(folder, events), { traceMemory: 4096 });
      const shared = shareTrace(trace, 4096);
      expect('path' in shared).toBe(true);
      expect(eventsOf(await openShared(shared))).toEqual(events);
      trace.close();
      expect(await userError(() => openShared(shared))).toContain('no such file');
    }));

  it('shares any implementation of Trace', async () => {
    const inner = openFwt(container(manyEvents(300)), 'x');
    const other: Trace = {
      name: 'other',
      header: inner.header,
      losses: [{ cause: 'c', count: 3, first: 'f:1' }],
      rows: inner.rows,
      counts: inner.counts,
      hash: inner.hash,
      blocks: () => inner.blocks(),
      close: () => inner.close(),
    };
    const opened = await openShared(shareTrace(other));
    expect(eventsOf(opened)).toEqual(manyEvents(300));
    expect(opened.losses).toEqual(other.losses);
    expect(opened.hash).toBe(inner.hash);
  });
});

describe('the registry', () => {
  it('has distinct names and says where each format comes from', () => {
    expect(new Set(TRACE_FORMATS.map((f) => f.name)).size).toBe(TRACE_FORMATS.length);
    for (const format of TRACE_FORMATS) {
      expect(format.name).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(format.title.length).toBeGreaterThan(3);
      expect(format.source.length).toBeGreaterThan(3);
      expect(formatByName(format.name)).toBe(format);
    }
  });

  it('lets no format claim what is none, or throw at anything', () => {
    const heads = ['', '\n\n\n', 'hello world\n', '\u0000'.repeat(1000), '{"a": 1}\n', '<html>', 'a,b,c\n1,2,3\n', '\u00ff\u00d8\u00ff', 'x'.repeat(65536)];
    for (const format of TRACE_FORMATS) for (const head of heads) expect([format.name, format.detect(head, `events.${format.name}`)]).toEqual([format.name, 0]);
  });

  it('finds csv among all formats', () => {
    expect(detectFormat(`${NAMES}\n1,2,3,read,,,,,,\n`, '/x/events.perf.txt').name).toBe('csv');
  });

  it('imports into any sink', () =>
    inFolder(async (folder) => {
      const sink = new EventList();
      const header = await importInto([csvFile(folder, manyEvents(5))], sink);
      expect(sink.events).toEqual(manyEvents(5));
      expect(header).toEqual(sampleHeader());
    }));
});
