/** What every importer must stand, on what real recorders printed: any chunks, line ends, packing, cuts and dirt. */
import { gzipSync } from 'node:zlib';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EventList } from '../../../traces/event-list.js';
import { UserError } from '../../../traces/event.js';
import { HEAD_BYTES, type TraceFormat } from '../../../traces/format.js';
import { importInto } from '../../../traces/import.js';
import { heaptrackFormat } from '../../../traces/formats/heaptrack.js';
import { lackeyFormat } from '../../../traces/formats/lackey.js';
import { perfFormat } from '../../../traces/formats/perf.js';
import { straceFormat } from '../../../traces/formats/strace.js';
import { detectFormat, TRACE_FORMATS } from '../../../traces/registry.js';
import { importBytes, sample, SAMPLES, show } from './importing.js';

const OF_FORMAT: readonly (readonly [string, TraceFormat])[] = [
  ['perf_pagefaults_user.txt', perfFormat],
  ['perf_script_pagefault.txt', perfFormat],
  ['strace_bash.txt', straceFormat],
  ['strace_gcc.txt', straceFormat],
  ['strace_madv.txt', straceFormat],
  ['strace_mthread.txt', straceFormat],
  ['strace_prefixes.txt', straceFormat],
  ['strace_shm.txt', straceFormat],
  ['lackey.txt', lackeyFormat],
  ['heaptrack_raw.zst', heaptrackFormat],
  ['heaptrack_interpreted.zst', heaptrackFormat],
];
/** Of other recorders, and close enough to be taken for one of ours. */
const OF_NOBODY = ['lttng_ust.txt', 'tracefs_page_alloc_stacks.txt', 'valgrind_tracemalloc.txt'];

const withCrLf = (text: string): string => text.replace(/\n/g, '\r\n');

describe.each(OF_FORMAT)('%s', (name, format) => {
  it('is found by content, and claimed by no other format', async () => {
    const head = (await sample(name)).slice(0, HEAD_BYTES);
    expect(detectFormat(head, 'anything').name).toBe(format.name);
    expect(detectFormat(withCrLf(head), 'anything').name).toBe(format.name);
    for (const other of TRACE_FORMATS) if (other !== format) expect([other.name, other.detect(head, name)]).toEqual([other.name, 0]);
  });

  it('is found in a head that was cut within a line', async () => {
    const head = (await sample(name)).slice(0, 3000);
    expect(format.detect(head.slice(0, head.lastIndexOf('\n') + 5), '')).toBeGreaterThan(0.1);
  });

  it('gives the same events in chunks of 1, 7 and 64 bytes, with carriage returns, and without the last newline', async () => {
    const text = await sample(name);
    const short = text.slice(0, text.indexOf('\n', 20_000) + 1 || text.length);
    const whole = await importBytes(format, Buffer.from(short, 'latin1'));
    for (const chunkBytes of [1, 7, 64]) expect((await importBytes(format, Buffer.from(short, 'latin1'), { chunkBytes })).events).toEqual(whole.events);
    expect((await importBytes(format, Buffer.from(withCrLf(short), 'latin1'))).events).toEqual(whole.events);
    expect((await importBytes(format, Buffer.from(short.trimEnd(), 'latin1'))).events).toEqual(whole.events);
    expect(whole.events.length).toBeGreaterThan(20);
  });

  it('gives the same events from a gzip file without a telling name', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'framewalk-'));
    try {
      const bytes = Buffer.from(await sample(name), 'latin1');
      writeFileSync(join(directory, 'data'), gzipSync(bytes));
      const list = new EventList();
      await importInto([join(directory, 'data')], list);
      expect(list.events).toEqual((await importBytes(format, bytes)).events);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('cut at every byte: events of the whole, a few losses, or an error of one line', async () => {
    const text = await sample(name);
    const short = Buffer.from(text.slice(0, 1500), 'latin1');
    const whole = new Set((await importBytes(format, Buffer.from(text.slice(0, 20_000), 'latin1'))).events.map(show));
    for (let length = 0; length < short.length; length++) {
      try {
        const { events, losses } = await importBytes(format, short.subarray(0, length));
        // Only what ends the file may differ: a number that lost digits, an exit that the format puts at the end.
        expect(events.filter((event) => !whole.has(show(event))).length).toBeLessThanOrEqual(2);
        expect(losses.filter(({ cause }) => !cause.startsWith('mapping of a file that')).length).toBeLessThanOrEqual(1);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).message).toMatch(/^sample(:\d+)?: .+$/);
      }
    }
  });

  it('counts dirt between its lines with the place of the first', async () => {
    const lines = (await sample(name)).split('\n');
    const clean = await importBytes(format, Buffer.from(lines.join('\n'), 'latin1'));
    lines.splice(9, 0, 'some words that no recorder prints');
    lines.splice(15, 0, '\u0001\u0002 \u00ff');
    const dirty = await importBytes(format, Buffer.from(lines.join('\n'), 'latin1'));
    expect(dirty.events.map(({ op, addr, size }) => [op, addr, size])).toEqual(clean.events.map(({ op, addr, size }) => [op, addr, size]));
    const more = dirty.losses.filter((loss) => !clean.losses.some(({ cause }) => cause === loss.cause));
    expect(more.reduce((sum, { count }) => sum + count, 0)).toBe(2);
    expect(more[0]?.first).toBe('sample:10');
    await expect(importBytes(format, Buffer.from(lines.slice(9).join('\n'), 'latin1'), { strict: true })).rejects.toThrow(/^sample:1: /);
  });
});

describe.each(OF_NOBODY)('%s', (name) => {
  it('is claimed by no format', async () => {
    const head = await sample(name);
    for (const format of TRACE_FORMATS) expect([format.name, format.detect(head, name)]).toEqual([format.name, 0]);
    await expect(importInto([SAMPLES + name], new EventList())).rejects.toThrow(/not in a trace format I know/);
  });
});
