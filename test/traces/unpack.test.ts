import { readFileSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { unpackedChunks, type UnpackOptions } from '../../traces/unpack.js';
import { inFolder, userError } from './events.js';

const fixture = (name: string): string => new URL(`../fixtures/traces/${name}`, import.meta.url).pathname;

/** The text that the .zst fixtures hold. */
const LINES = Array.from({ length: 3000 }, (_, i) => `line ${i} of the text, padded ${i * i}\n`).join('');

async function unpackAll(file: string, options: UnpackOptions = {}): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const chunk of unpackedChunks(file, options)) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces).toString('latin1');
}

const SIZES = [1, 3, 4, 5, 100, 65537];
/** Sizes for what takes a while byte by byte. */
const FEW_SIZES = [13, 97, 4096, 65537];

describe('unpacking', () => {
  it('passes plain files on, whatever the size of the pieces', () =>
    inFolder(async (folder) => {
      for (const text of ['', 'a', 'abc', 'P*', LINES]) {
        writeFileSync(`${folder}/a`, text);
        for (const readBytes of text.length > 1000 ? [7, 4096] : SIZES) expect(await unpackAll(`${folder}/a`, { readBytes })).toBe(text);
      }
    }));

  it('unpacks gzip, also of several members', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/a`, zlib.gzipSync(LINES));
      writeFileSync(`${folder}/b`, Buffer.concat([zlib.gzipSync(LINES.slice(0, 500)), zlib.gzipSync(''), zlib.gzipSync(LINES.slice(500))]));
      for (const name of ['a', 'b']) for (const readBytes of FEW_SIZES) expect(await unpackAll(`${folder}/${name}`, { readBytes })).toBe(LINES);
    }));

  it('unpacks zstd, also of several frames with one to skip', async () => {
    for (const name of ['lines.txt.zst', 'lines-frames.txt.zst'])
      for (const readBytes of SIZES) expect(await unpackAll(fixture(name), { readBytes })).toBe(LINES);
  });

  it('unpacks two zstd files at the same time', async () => {
    const both = await Promise.all([unpackAll(fixture('lines.txt.zst'), { readBytes: 64 }), unpackAll(fixture('lines-frames.txt.zst'), { readBytes: 64 })]);
    expect(both).toEqual([LINES, LINES]);
  });

  it('reports how far it is', async () => {
    const seen: [number, number][] = [];
    const size = readFileSync(fixture('lines.txt.zst')).length;
    await unpackAll(fixture('lines.txt.zst'), { readBytes: 1000, onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([size, size]);
    expect(seen.length).toBe(Math.ceil(size / 1000));
    for (let i = 1; i < seen.length; i++) expect(seen[i]![0]).toBeGreaterThan(seen[i - 1]![0]);
  });

  it('can be left early', async () => {
    for await (const chunk of unpackedChunks(fixture('lines.txt.zst'), { readBytes: 16 })) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    for await (const chunk of unpackedChunks(import.meta.filename, { readBytes: 16 })) {
      expect(chunk.length).toBe(16);
      break;
    }
  });
});

describe('broken packed data', () => {
  it('is reported when gzip is cut off at any byte', () =>
    inFolder(async (folder) => {
      const whole = zlib.gzipSync(LINES.slice(0, 300));
      for (let length = 4; length < whole.length; length++) {
        writeFileSync(`${folder}/a.gz`, whole.subarray(0, length));
        expect(await userError(() => unpackAll(`${folder}/a.gz`))).toBe(`${folder}/a.gz: the gzip data is cut off; copy or record the file again`);
      }
    }));

  it('is reported when gzip is corrupt or followed by anything but zeros', () =>
    inFolder(async (folder) => {
      const whole = zlib.gzipSync(LINES);
      const bad = Buffer.from(whole);
      bad[whole.length - 6]! ^= 1;
      writeFileSync(`${folder}/a.gz`, bad);
      expect(await userError(() => unpackAll(`${folder}/a.gz`))).toContain('the gzip data is corrupt');
      writeFileSync(`${folder}/b.gz`, Buffer.concat([whole, Buffer.from('garbage')]));
      expect(await userError(() => unpackAll(`${folder}/b.gz`))).toContain('the gzip data is corrupt, or something else follows it');
      writeFileSync(`${folder}/b.gz`, Buffer.concat([whole, Buffer.alloc(600)]));
      expect(await unpackAll(`${folder}/b.gz`)).toBe(LINES);
    }));

  it('is reported when zstd is cut off at any byte', () =>
    inFolder(async (folder) => {
      const whole = readFileSync(fixture('lines.txt.zst'));
      const step = Math.ceil(whole.length / 60);
      for (let length = 4; length < whole.length; length += length < 40 || length > whole.length - 40 ? 1 : step) {
        writeFileSync(`${folder}/a.zst`, whole.subarray(0, length));
        expect(await userError(() => unpackAll(`${folder}/a.zst`))).toMatch(/a\.zst: the zstd data is (cut off|corrupt)/);
      }
    }));

  it('ends, with an error, when zstd is corrupt anywhere or followed by something else', () =>
    inFolder(async (folder) => {
      const whole = readFileSync(fixture('lines.txt.zst'));
      for (let at = 4; at < whole.length; at += Math.ceil(whole.length / 60)) {
        const bad = Buffer.from(whole);
        bad[at]! ^= 0x55;
        writeFileSync(`${folder}/a.zst`, bad);
        for (const readBytes of [97, 1 << 18])
          expect(await userError(() => unpackAll(`${folder}/a.zst`, { readBytes }))).toMatch(/the zstd data is (cut off|corrupt)/);
      }
      for (const garbage of ['x', 'garbage that is no frame', '\0'.repeat(5000)]) {
        writeFileSync(`${folder}/b.zst`, Buffer.concat([whole, Buffer.from(garbage)]));
        for (const readBytes of [1, 97, 1 << 18])
          expect(await userError(() => unpackAll(`${folder}/b.zst`, { readBytes }))).toMatch(/the zstd data is (cut off|corrupt)/);
      }
    }));

  it('names other packings', () =>
    inFolder(async (folder) => {
      const magics: [string, number[]][] = [
        ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
        ['bzip2', [0x42, 0x5a, 0x68, 0x39]],
        ['lz4', [0x04, 0x22, 0x4d, 0x18]],
        ['zip', [0x50, 0x4b, 0x03, 0x04]],
      ];
      for (const [name, magic] of magics) {
        writeFileSync(`${folder}/a`, Uint8Array.from(magic));
        expect(await userError(() => unpackAll(`${folder}/a`))).toBe(
          `${folder}/a: packed with ${name}; unpack it first, or pack it with gzip or zstd, which are read as they are`,
        );
      }
    }));

  it('is reported when the file cannot be read', async () => {
    expect(await userError(() => unpackAll('/nonexistent'))).toBe('/nonexistent: cannot read: no such file or directory');
    expect(await userError(() => unpackAll('/tmp'))).toBe('/tmp: is a directory, a file was expected');
    expect(await userError(() => unpackAll(`/tmp/${'x'.repeat(300)}`))).toContain('the name is too long');
    expect(await userError(() => unpackAll('/proc/self/mem'))).toMatch(/^\/proc\/self\/mem: cannot read: /);
  });
});
