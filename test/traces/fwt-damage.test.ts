import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createBlock, Flag, Op } from '../../traces/event.js';
import { BLOCK_HEADER_BYTES, FILE_HEADER_BYTES } from '../../traces/fwt-layout.js';
import { openFwt } from '../../traces/fwt.js';
import { FwtWriter } from '../../traces/fwt-writer.js';
import { openTrace } from '../../traces/open.js';
import { container, eventsOf, inFolder, plain, sampleHeader, userError } from './events.js';

const EVENTS = [
  plain({ op: Op.exec, time: 5 }),
  plain({ op: Op.object, arg: 1, flags: Flag.file, text: '/bin/true', time: 9 }),
  plain({ op: Op.mmap, addr: 0x400000, size: 8192, arg: 1, time: 10 }),
  plain({ op: Op.exit, time: 11, pid: 3, tid: 3 }),
];

/** What is read is not looked at here, so one block serves thousands of traces. */
const block = createBlock();
const readAll = (bytes: Uint8Array): unknown => [...openFwt(bytes, 'x.fwt').blocks(block)];

describe.each(['none', 'deflate'] as const)('a damaged container, codec %s', (codec) => {
  const whole = container(EVENTS, codec);

  it('is reported when it is cut off at any byte', async () => {
    for (let length = 0; length < whole.length; length++) {
      const message = await userError(() => readAll(whole.slice(0, length)));
      expect(message).toMatch(
        /^x\.fwt: (the file is empty; a \.fwt trace|cut off (after \d+ bytes, within the file header|in the header of block|in block|after \d+ whole blocks)|its end \(the index)/,
      );
    }
  });

  it('says which part is missing', async () => {
    const missing = (length: number): Promise<string> => userError(() => readAll(whole.slice(0, length)));
    const payload = FILE_HEADER_BYTES + BLOCK_HEADER_BYTES;
    expect(await missing(7)).toContain('within the file header');
    expect(await missing(FILE_HEADER_BYTES + 8)).toContain('in the header of block 0');
    expect(await missing(payload + 16)).toMatch(/in block 0, \d+ bytes of it and the index are missing/);
    expect(await missing(whole.length - 1)).toContain('its end (the index behind 1 blocks)');
  });

  it('is reported when any bit is changed', async () => {
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = whole.slice();
        bytes[at]! ^= 1 << bit;
        await userError(() => readAll(bytes));
      }
    }
  });

  it('is reported when something follows it', async () => {
    for (const extra of [1, 8, 40]) expect(await userError(() => readAll(Buffer.concat([whole, Buffer.alloc(extra)])))).toContain('cut off or damaged');
  });

  it('is reported when a block changes between two readings of a file', () =>
    inFolder(async (folder) => {
      const path = `${folder}/a.fwt`;
      writeFileSync(path, whole);
      const trace = openFwt(path, 'a');
      expect(eventsOf(trace)).toEqual(EVENTS);
      const bytes = whole.slice();
      bytes[FILE_HEADER_BYTES + BLOCK_HEADER_BYTES + 3]! ^= 1;
      writeFileSync(path, bytes);
      expect(await userError(() => eventsOf(trace))).toMatch(/a\.fwt: block 0 is damaged \(its CRC is wrong\); copy or import it again/);
      writeFileSync(path, whole.slice(0, 60));
      expect(await userError(() => eventsOf(trace))).toContain('became shorter');
      trace.close();
    }));
});

/** `bytes` with a word of the file header changed and its CRC put right. */
function withHeaderWord(bytes: Uint8Array, index: number, value: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(index * 4, value, true);
  view.setUint32(12, zlib.crc32(copy.subarray(0, 12)), true);
  return copy;
}

describe('a container that cannot be read', () => {
  const whole = container(EVENTS);

  it('says which version it has when it is newer', async () => {
    expect(await userError(() => readAll(withHeaderWord(whole, 1, 2)))).toBe(
      'x.fwt: .fwt version 2, this framewalk reads up to version 1; use a newer framewalk',
    );
  });

  it('is no container without the magic', async () => {
    expect(await userError(() => readAll(withHeaderWord(whole, 0, 0x12345678)))).toBe('x.fwt: not a .fwt trace (it does not begin with FWT1)');
    expect(await userError(() => readAll(Buffer.from('time,pid,tid,op,addr\n1,2,3,4,5\n')))).toContain('not a .fwt trace');
  });

  it('is read by path only when it is a file', async () => {
    expect(await userError(() => openFwt('/nonexistent/x.fwt', 'x'))).toBe('/nonexistent/x.fwt: cannot read: no such file or directory');
    expect(await userError(() => openFwt('/tmp', 'x'))).toContain('must be a file');
    expect(await userError(() => openFwt('/dev/null', 'x'))).toContain('must be a file');
  });

  it('has a block packed with something this version does not know', async () => {
    const bytes = whole.slice();
    const view = new DataView(bytes.buffer, FILE_HEADER_BYTES);
    view.setUint32(8, 9, true);
    view.setUint32(28, zlib.crc32(bytes.subarray(FILE_HEADER_BYTES, FILE_HEADER_BYTES + 28)), true);
    expect(await userError(() => readAll(bytes))).toContain('packed with codec 9');
  });

  it('has a payload that contradicts itself though its CRC is right', async () => {
    const spoil = (offset: number, value: number): Uint8Array => {
      const bytes = whole.slice();
      const at = FILE_HEADER_BYTES;
      const view = new DataView(bytes.buffer, at);
      view.setUint32(BLOCK_HEADER_BYTES + offset, value, true);
      const stored = view.getUint32(16, true);
      view.setUint32(20, zlib.crc32(bytes.subarray(at + BLOCK_HEADER_BYTES, at + BLOCK_HEADER_BYTES + Math.ceil(stored / 8) * 8)), true);
      view.setUint32(28, zlib.crc32(bytes.subarray(at, at + 28)), true);
      return bytes;
    };
    for (const [offset, value] of [
      [0, 77],
      [0, 7],
      [4, 3],
      [8, 0x7ffffff8],
      [8, 3],
      [3 * 32, 2],
      [11 * 32, 0],
      [11 * 32 + 12, 4000],
      [11 * 32 + 8, 0x7ffffff0],
    ] as const)
      expect(await userError(() => readAll(spoil(offset, value)))).toMatch(/x\.fwt: block 0 is damaged/);
  });
});

describe('a container that cannot be written', () => {
  const write = (path: string): void => {
    const writer = new FwtWriter(path, { codec: 'none' });
    for (let i = 0; i < 70000; i++) writer.push(i * 97, 1, 1, Op.write, i * 4096, i, 0, 0, 0, 0);
    writer.finish(sampleHeader());
  };

  it('says so when the disk is full', async () => {
    expect(await userError(() => write('/dev/full'))).toBe('/dev/full: cannot write: no space left on the device');
  });

  it('says so when the folder is missing, is a file, or the name is a folder', () =>
    inFolder(async (folder) => {
      expect(await userError(() => write(`${folder}/no/x.fwt`))).toBe(`${folder}/no/x.fwt: cannot write: no such file or directory`);
      writeFileSync(`${folder}/file`, '');
      expect(await userError(() => write(`${folder}/file/x.fwt`))).toContain('a part of the path is not a directory');
      mkdirSync(`${folder}/sub`);
      expect(await userError(() => write(`${folder}/sub`))).toContain('is a directory, the name of a file to write was expected');
      expect(readdirSync(folder).sort()).toEqual(['file', 'sub']);
    }));

  it('is never seen under its name before it is whole, and leaves nothing when given up', () =>
    inFolder((folder) => {
      const path = `${folder}/x.fwt`;
      const writer = new FwtWriter(path);
      for (let i = 0; i < 70000; i++) writer.push(i, 1, 1, Op.write, i, 0, 0, 0, 0, 0);
      expect(readdirSync(folder)).toEqual([`x.fwt.tmp-${process.pid}`]);
      writer.abort();
      writer.abort();
      expect(readdirSync(folder)).toEqual([]);
      write(path);
      expect(readdirSync(folder)).toEqual(['x.fwt']);
    }));

  it('leaves an older file as it was when the import fails', () =>
    inFolder((folder) => {
      const path = `${folder}/x.fwt`;
      writeFileSync(path, 'old');
      const writer = new FwtWriter(path);
      expect(() => {
        writer.push(0, 1, 1, Op.malloc, 0, 0.5, 0, 0, 0, 0);
        writer.finish(sampleHeader());
      }).toThrow('whole number');
      expect(readdirSync(folder)).toEqual(['x.fwt']);
      expect(readFileSync(path, 'utf8')).toBe('old');
    }));

  it('writes devices and pipes directly', () => {
    expect(() => write('/dev/null')).not.toThrow();
  });
});

describe('openTrace of a damaged container', () => {
  it('names the file', () =>
    inFolder(async (folder) => {
      const path = `${folder}/cut.fwt`;
      writeFileSync(path, container(EVENTS).slice(0, 100));
      expect(await userError(() => openTrace(path))).toMatch(/cut\.fwt: cut off in block 0/);
    }));
});
