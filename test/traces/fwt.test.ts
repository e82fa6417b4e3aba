import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { joinAddr } from '../../arch/address.js';
import { MemoryTarget } from '../../traces/bytes.js';
import { BLOCK_ROWS, Flag, Op, OP_NAMES, type TraceEvent } from '../../traces/event.js';
import { canWriteZstd, prepareCodec } from '../../traces/fwt-codec.js';
import { ContainerWriter } from '../../traces/fwt-container.js';
import { BlockEncoder } from '../../traces/fwt-encode.js';
import { CODEC_NAMES, COLUMNS, DESCRIPTOR_BYTES, Encoding, type CodecName } from '../../traces/fwt-layout.js';
import { openFwt } from '../../traces/fwt.js';
import { FwtWriter } from '../../traces/fwt-writer.js';
import { container, event, eventsOf, inFolder, plain, sampleHeader, userError } from './events.js';

const CODECS: readonly CodecName[] = canWriteZstd() ? CODEC_NAMES : ['none', 'deflate'];

/** Rows that are the same for a seed, in every shape of column there is an encoding for. */
function shaped(rows: number, shape: number): TraceEvent[] {
  let seed = 12345 + shape;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 4294967296) * below);
  };
  const events: TraceEvent[] = [];
  let time = 1e15;
  // Integers that rise by steps of one byte and of two.
  let slow = 0;
  let fast = 0;
  for (let i = 0; i < rows; i++) {
    if (shape === 5) {
      slow += random(256);
      fast += random(30000);
    }
    time += shape === 0 ? 100 : shape === 1 ? random(200) : shape === 2 ? random(60000) : random(4e9);
    events.push(
      plain({
        time: shape === 4 ? random(2 ** 52) : time,
        op: (1 + random(shape === 0 ? 1 : 31)) as Op,
        pid: shape === 0 ? 7 : shape === 5 ? slow : random(300),
        tid: shape < 2 ? (shape === 0 ? 7 : i) : shape === 5 ? random(400) * 5000011 : random(3),
        addr: shape === 3 ? -(random(2 ** 40) + 1) : 2 ** 46 + (shape === 1 ? i * 8 : random(2 ** 33)),
        size: shape === 2 ? 2 ** random(60) : shape === 3 ? random(400) * 2 ** 44 : random(5000) * 7919,
        addr2: random(1000) === 0 ? random(2 ** 50) : 0,
        arg: shape === 4 ? -random(2 ** 45) : random(100) === 0 ? 1 : 0,
        flags: shape === 4 ? random(2 ** 32) | 0 : shape === 5 ? fast : random(2) === 0 ? Flag.r : Flag.dma32,
        cpu: shape < 2 ? 0 : random(8),
      }),
    );
  }
  return events;
}

describe('.fwt round trips', () => {
  it('gives back any events, for every codec', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.constantFrom(...CODECS), (events, codec) => {
        const trace = openFwt(container(events, codec), 't');
        expect(eventsOf(trace)).toEqual(events);
        expect(trace.rows).toBe(events.length);
        expect(trace.header).toEqual(sampleHeader());
        for (let op = 1; op < OP_NAMES.length; op++) expect(trace.counts[op]).toBe(events.filter((e) => e.op === op).length);
      }),
      { numRuns: 150 },
    );
  });

  it('gives back blocks of every shape, one after the other in the same reused block', () => {
    // The last block ends within four rows.
    const events = [...[0, 1, 2, 3, 4, 5, 0].flatMap((shape) => shaped(BLOCK_ROWS, shape)), ...shaped(5003, 5)];
    const trace = openFwt(container(events, 'deflate'), 't');
    let row = 0;
    let wrong = -1;
    for (const b of trace.blocks()) {
      for (let k = 0; k < b.length; k++, row++) {
        const e = events[row]!;
        const same =
          b.time[k] === e.time &&
          b.pid[k] === e.pid &&
          b.tid[k] === e.tid &&
          b.op[k] === e.op &&
          joinAddr(b.addrHi[k]!, b.addrLo[k]!) === e.addr &&
          b.size[k] === e.size &&
          b.addr2[k] === e.addr2 &&
          b.arg[k] === e.arg &&
          b.flags[k] === e.flags &&
          b.cpu[k] === e.cpu;
        if (!same && wrong < 0) wrong = row;
      }
    }
    expect(wrong).toBe(-1);
    expect(row).toBe(events.length);
  });

  it('decodes a block the same whatever its columns held before', () => {
    const shapes = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 1, max: 900 })), { minLength: 2, maxLength: 6 });
    const encoder = new BlockEncoder();
    fc.assert(
      fc.property(shapes, (list) => {
        // Blocks of different lengths, which a writer of whole traces does not make.
        const target = new MemoryTarget(1 << 24);
        const writer = new ContainerWriter(target, 'none');
        const parts = list.map(([shape, rows]) => shaped(rows, shape));
        for (const part of parts) for (const block of openFwt(container(part), 't').blocks()) writer.block(encoder.encode(block), block.length);
        writer.finish({ header: sampleHeader(), losses: [], rows: parts.flat().length, counts: {}, hash: '', objects: [] });
        expect(eventsOf(openFwt(target.source().memory!, 't'))).toEqual(parts.flat());
      }),
      { numRuns: 20 },
    );
  });

  it('uses every encoding', () => {
    const used = new Set<number>();
    for (const shape of [0, 1, 2, 3, 4]) {
      for (const block of openFwt(container(shaped(3000, shape)), 't').blocks()) {
        const raw = new BlockEncoder().encode(block);
        const table = new DataView(raw.buffer, raw.byteOffset);
        for (let column = 0; column < COLUMNS; column++)
          used.add(table.getUint32(column * DESCRIPTOR_BYTES, true) * 10 + table.getUint32(column * DESCRIPTOR_BYTES + 4, true));
      }
    }
    const code = (encoding: Encoding, width: number): number => encoding * 10 + width;
    const expected = [code(Encoding.constant, 0), code(Encoding.copy, 0), code(Encoding.sparse, 0), code(Encoding.texts, 0), code(Encoding.delta, 0)];
    for (const width of [1, 2, 4]) expected.push(code(Encoding.offset, width), code(Encoding.delta, width));
    expected.push(code(Encoding.dictionary, 1), code(Encoding.dictionary, 2), code(Encoding.plain, 1), code(Encoding.plain, 8));
    expect([...used].sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b));
  });

  it('can be read twice at the same time', () => {
    const trace = openFwt(container(shaped(BLOCK_ROWS + 10, 2)), 't');
    const a = trace.blocks();
    const b = trace.blocks();
    const first = a.next().value!;
    const time = first.time[5];
    b.next();
    b.next();
    expect(first.length).toBe(BLOCK_ROWS);
    expect(first.time[5]).toBe(time);
  });

  it('reads bytes at any alignment', () => {
    const events = shaped(500, 3);
    const bytes = container(events);
    for (const shift of [1, 4, 8]) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift);
      moved.set(bytes);
      expect(eventsOf(openFwt(moved, 't'))).toEqual(events);
    }
  });

  it('starts a new block when the texts of one are long, and keeps them', () => {
    const long = 'x'.repeat(5 << 20);
    const events = Array.from({ length: 10 }, (_, i) => plain({ op: Op.object, arg: i, text: `${i}${long}` }));
    const trace = openFwt(container(events, 'deflate'), 't');
    expect(trace.blockCount).toBe(3);
    expect(eventsOf(trace).map((e) => e.text?.slice(0, 2))).toEqual(events.map((e) => e.text?.slice(0, 2)));
  });

  it('refuses to read after close', () => {
    const trace = openFwt(container([plain({ op: Op.exit })]), 't');
    trace.close();
    expect(() => [...trace.blocks()]).toThrow('closed');
  });
});

describe('.fwt hash', () => {
  it('is the same for every codec and after repacking', () => {
    const events = shaped(BLOCK_ROWS + 100, 1);
    const hashes = CODECS.map((codec) => openFwt(container(events, codec), 't').hash);
    expect(new Set(hashes).size).toBe(1);
    const target = new MemoryTarget(1 << 24);
    openFwt(container(events, 'deflate'), 't').repack(new ContainerWriter(target, 'none'));
    const repacked = openFwt(target.source().memory!, 't');
    expect(repacked.hash).toBe(hashes[0]);
    expect(repacked.codec).toBe('none');
    expect(eventsOf(repacked)).toEqual(events);
  });

  it('changes with any field of any event, and with what matters of the header, and with nothing else', () => {
    const base = [plain({ op: Op.malloc, addr: 4096 }), plain({ op: Op.free, addr: 4096, time: 5 })];
    const hash = (events: TraceEvent[], header = sampleHeader()): string => openFwt(container(events, 'none', header), 't').hash;
    const seen = new Set([hash(base)]);
    const changes: Partial<TraceEvent>[] = [
      { time: 1 },
      { pid: 2 },
      { tid: 2 },
      { op: Op.calloc },
      { addr: 4097 },
      { addr: 2 ** 40 },
      { size: 1 },
      { addr2: 1 },
      { arg: 1 },
      { flags: 1 },
      { cpu: 1 },
      { text: 'x' },
    ];
    for (const change of changes) seen.add(hash([{ ...base[0]!, ...change }, base[1]!]));
    seen.add(hash([base[0]!, { ...base[1]!, text: 'x' }]));
    seen.add(hash([base[0]!]));
    seen.add(hash([base[1]!, base[0]!]));
    seen.add(hash(base, { ...sampleHeader(), pageSize: 16384 }));
    seen.add(hash(base, { ...sampleHeader(), kernel: {} }));
    expect(seen.size).toBe(changes.length + 6);
    expect(hash(base, { ...sampleHeader(), provenance: {}, clock: 'other', source: 'other' })).toBe(hash(base));
  });
});

describe('.fwt index', () => {
  it('lists the objects that events announce', () => {
    const trace = openFwt(
      container([
        plain({ op: Op.object, arg: 3, flags: Flag.file, text: '/bin/sh' }),
        plain({ op: Op.object, arg: 4, flags: Flag.shm }),
        plain({ op: Op.object, arg: 3, flags: Flag.file, size: 9, text: '/other' }),
        plain({ op: Op.object, arg: 4, flags: Flag.shm | Flag.remove }),
        plain({ op: Op.object, arg: 5 }),
      ]),
      't',
    );
    expect(trace.objects).toEqual([
      { id: 3, kind: 'file', path: '/bin/sh' },
      { id: 4, kind: 'shm', path: '' },
      { id: 5, kind: 'unknown', path: '' },
    ]);
  });

  it('keeps losses by cause with the first place', () => {
    const target = new MemoryTarget(1 << 20);
    const writer = new FwtWriter(target);
    writer.loss('a', 'f:1');
    writer.loss('b', 'f:2');
    writer.loss('a', 'f:3');
    writer.finish(sampleHeader());
    expect(openFwt(target.source().memory!, 't').losses).toEqual([
      { cause: 'a', count: 2, first: 'f:1' },
      { cause: 'b', count: 1, first: 'f:2' },
    ]);
  });
});

describe('.fwt sizes', () => {
  it('packs a mixed trace into less than 8 bytes an event', () => {
    const events: TraceEvent[] = [];
    let seed = 1;
    const random = (below: number): number => Math.floor(((seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 4294967296) * below);
    for (let i = 0; i < BLOCK_ROWS; i++) {
      const op = [Op.malloc, Op.free, Op.read, Op.write][random(4)]!;
      events.push(
        plain({
          time: i * 1000 + random(1000),
          op,
          pid: 100 + random(64),
          addr: 0x555555600000 + random(1 << 20) * 16,
          size: op === Op.malloc ? random(4000) : op === Op.free ? 0 : 1,
        }),
      );
    }
    expect(container(events, 'deflate').length / events.length).toBeLessThan(8.5);
    expect(container(events, 'none').length / events.length).toBeLessThan(14);
  });
});

describe('.fwt writer', () => {
  it.each([
    ['a fraction', { size: 0.5 }],
    ['NaN', { arg: NaN }],
    ['infinity', { addr2: Infinity }],
    ['2^64', { arg: 2 ** 64 }],
    ['an address beyond 57 bits', { addr: 2 ** 56 }],
    ['an address that is not a number', { addr: NaN }],
  ])('calls %s a defect of the importer', (_, fields) => {
    expect(() => container([plain({ op: Op.malloc }), plain({ op: Op.malloc, ...fields })])).toThrow(/whole number|57 bits/);
    expect(() => container([plain({ op: Op.malloc, ...fields })])).toThrow(/whole number|57 bits/);
  });

  it('writes zstd where Node can, and says which Node can elsewhere', async () => {
    const events = shaped(300, 2);
    if (canWriteZstd()) expect(eventsOf(openFwt(container(events, 'zstd'), 't'))).toEqual(events);
    else expect(await userError(() => container(events, 'zstd'))).toMatch(/--codec zstd.*Node 22\.15.*--codec deflate/);
  });

  it('is read from a file as from memory', () =>
    inFolder((folder) => {
      const events = shaped(BLOCK_ROWS + 77, 3);
      for (const codec of CODECS) {
        const path = `${folder}/${codec}.fwt`;
        const writer = new FwtWriter(path, { codec });
        for (const e of events) writer.push(e.time, e.pid, e.tid, e.op, e.addr, e.size, e.addr2, e.arg, e.flags, e.cpu, e.text);
        writer.finish(sampleHeader());
        const trace = openFwt(path, 't');
        expect(eventsOf(trace)).toEqual(events);
        expect(eventsOf(trace)).toEqual(events);
        trace.close();
      }
    }));
});

describe('zstd blocks', () => {
  it('are asked to be prepared, then read', async () => {
    await prepareCodec('zstd');
    const trace = openFwt(readFileSync(new URL('../fixtures/traces/zstd-blocks.fwt', import.meta.url)), 't');
    expect(trace.codec).toBe('zstd');
    expect(eventsOf(trace)).toEqual(shaped(300, 2));
  });
});
