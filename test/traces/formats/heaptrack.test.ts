import { describe, expect, it } from 'vitest';
import { Op } from '../../../traces/event.js';
import { heaptrackFormat } from '../../../traces/formats/heaptrack.js';
import { importBytes, sample, show } from './importing.js';

const run = (text: string) => importBytes(heaptrackFormat, text);

describe('samples', () => {
  it('raw: each block is freed at most once, where it was', async () => {
    const { counts, losses, header, events } = await run(await sample('heaptrack_raw.zst'));
    expect(counts).toMatchInlineSnapshot(`
      {
        "exit": 1,
        "free": 6603,
        "malloc": 6619,
      }
    `);
    expect(losses).toEqual([]);
    expect(header.captured).toEqual({ heap: true, freePointers: true, mappings: false, processes: false, touches: 'none', samples: false });
    expect(header.provenance.command).toMatch(/^sqlite3 :memory: create table/);
    expect(header.provenance.memory_bytes).toBe(String(0x5e2922 * 4096));
    const live = new Map<number, number>();
    for (const { op, addr, size } of events) {
      if (op === Op.malloc) {
        expect(live.has(addr)).toBe(false);
        live.set(addr, size);
      } else if (op === Op.free) expect(live.delete(addr)).toBe(true);
    }
    expect(live.size).toBe(16);
  });

  it('interpreted: the same calls and sizes, without pointers', async () => {
    const raw = await run(await sample('heaptrack_raw.zst'));
    const { header, losses, events, warnings } = await run(await sample('heaptrack_interpreted.zst'));
    expect(header.captured.freePointers).toBe(false);
    expect(losses).toEqual([]);
    expect(events.map(({ op, size }) => [op, size])).toEqual(raw.events.map(({ op, size }) => [op, size]));
    expect(events.every(({ addr }) => addr === 0)).toBe(true);
    expect(warnings).toEqual(["sample: an interpreted heaptrack file has no pointers; record with 'heaptrack --raw' to replay where blocks were"]);
  });
});

describe('lines', () => {
  it('a realloc is a free and a malloc; time in milliseconds; the program ends with the file', async () => {
    const { events, header, losses } = await run('v 10400 3\nX ls -l\nI 1000 10\nt 7f 0\nc a\n+ 20 1 1000\nc 14\n- 1000\n+ 40 1 2000\nR 3\nS x\nA\n# end\n');
    expect(events.map(show)).toEqual([
      '10000000 1/1 malloc 1000 32 0 0 0 0',
      '20000000 1/1 free 1000 0 0 0 0 0',
      '20000000 1/1 malloc 2000 64 0 0 0 0',
      '20000000 1/1 exit 0 0 0 0 2000 0',
    ]);
    expect(header.clock).toBe('relative');
    expect(losses).toEqual([]);
  });

  it('counts what is broken, with its line', async () => {
    const { losses, events } = await run('v 10400 3\n+ 20 1\n+ 20 1 zz\n- \n- 10 20\nc x\n+ 20 1 1000\n+ 0\nq 1\nword\na \n+ 20 1 1000 7\n');
    expect(events.length).toBe(2);
    expect(losses.map(({ cause, count, first }) => `${first} ${count} ${cause}`)).toEqual([
      'sample:2 8 line with fields that are missing or not hexadecimal',
      'sample:9 1 line of an unknown kind',
      'sample:10 1 line that is no letter with fields',
    ]);
  });

  it('interpreted: allocations that were never announced, or are not live', async () => {
    const { losses, events } = await run('v 10400 3\na 10 1\n+ 0\n- 0\n- 0\n+ 5\n+ 20 1 1000\n');
    expect(events.map(({ op, size, arg }) => [op, size, arg])).toEqual([
      [Op.malloc, 16, 0],
      [Op.free, 0, 0],
      [Op.exit, 0, 0],
    ]);
    expect(losses.map(({ cause, count }) => [cause, count])).toEqual([
      ['free of an allocation that is not live', 1],
      ['line with fields that are missing or not hexadecimal', 2],
    ]);
  });

  it('a newer format, or none, is an error', async () => {
    await expect(run('v 20000 4\nX a\n')).rejects.toThrow('sample:1: heaptrack file format 4; formats up to 3 can be read');
    await expect(run('X a\n+ 1 1 1000\n')).rejects.toThrow("sample:1: no version line 'v VERSION FORMAT'; expected a file that heaptrack wrote");
  });
});
