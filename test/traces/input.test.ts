import fc from 'fast-check';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeText } from '../../traces/format.js';
import { bytesInput, openInput, readSideFile, resolveInput, type OpenInput } from '../../traces/input.js';
import { inFolder, userError } from './events.js';

async function linesOf(input: OpenInput): Promise<[string, string][]> {
  const lines: [string, string][] = [];
  await input.forEachLine((line, number) => lines.push([line, input.where(number)]));
  return lines;
}

describe('lines of an input', () => {
  it('are the same for chunks of any size, LF or CRLF, with and without a last newline', () => {
    const line = fc.string({ unit: fc.constantFrom('a', ',', ' ', '"', '\t', '\u00fc') });
    return fc.assert(
      fc.asyncProperty(
        fc.array(line, { minLength: 1 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 40 }),
        async (lines, end, last, bom, size) => {
          const expected = last || lines.at(-1) !== '' ? lines : lines.slice(0, -1);
          const text = (bom ? '\ufeff' : '') + lines.join(end) + (last ? end : '');
          const read = await linesOf(bytesInput(text, 'f', size));
          // A mark and nothing else is one empty line.
          const wanted = expected.length === 0 && bom ? [''] : expected;
          expect(read.map(([content]) => decodeText(content))).toEqual(wanted);
          expect(read.map(([, where]) => where)).toEqual(wanted.map((_, i) => `f:${i + 1}`));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('do not depend on whether the head was looked at', () =>
    inFolder(async (folder) => {
      const text = Array.from({ length: 20000 }, (_, i) => `${i}: some text`).join('\n');
      writeFileSync(`${folder}/a.gz`, zlib.gzipSync(`\ufeff${text}`));
      const looked = openInput([`${folder}/a.gz`], { readBytes: 4000 });
      expect(await looked.head()).toBe(text.slice(0, 65533));
      const read = await linesOf(looked);
      expect(read.map(([content]) => content).join('\n')).toBe(text);
      expect(await linesOf(openInput([`${folder}/a.gz`]))).toEqual(read);
    }));

  it('are numbered in each part of a recording', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/1`, 'a\nb');
      writeFileSync(`${folder}/2`, zlib.gzipSync('c\n'));
      expect(await linesOf(openInput([`${folder}/1`, `${folder}/2`]))).toEqual([
        ['a', `${folder}/1:1`],
        ['b', `${folder}/1:2`],
        ['c', `${folder}/2:1`],
      ]);
    }));

  it('may be long, but not without end', async () => {
    const long = 'x'.repeat(3 << 20);
    expect((await linesOf(bytesInput(`${long}\ny`, 'f', 1 << 16))).map(([line]) => line.length)).toEqual([3 << 20, 1]);
    expect(await userError(() => linesOf(bytesInput(`y\n${'x'.repeat(17 << 20)}`, 'f', 1 << 16)))).toBe(
      'f:2: a line of more than 16 MiB; this is not a text trace',
    );
  });

  it('pass on what the callback throws', async () => {
    await expect(
      bytesInput('a\nb\n', 'f').forEachLine(() => {
        throw new RangeError('mine');
      }),
    ).rejects.toThrow('mine');
  });
});

describe('recordings as directories', () => {
  it('are their only file events.*', () =>
    inFolder(async (folder) => {
      expect(await userError(() => resolveInput(folder))).toBe(
        `${folder}: a directory without a file events.*; name a trace file, or the directory of a recording`,
      );
      writeFileSync(`${folder}/events.perf.txt.gz`, '');
      writeFileSync(`${folder}/truth.csv`, '');
      expect(resolveInput(folder)).toBe(`${folder}/events.perf.txt.gz`);
      expect(resolveInput(`${folder}/truth.csv`)).toBe(`${folder}/truth.csv`);
      writeFileSync(`${folder}/events.csv`, '');
      expect(await userError(() => resolveInput(folder))).toBe(`${folder}: several files of events (events.csv, events.perf.txt.gz); name one of them`);
      expect(await userError(() => resolveInput(`${folder}/no`))).toContain('no such file or directory');
      symlinkSync(`${folder}/loop`, `${folder}/loop`);
      expect(await userError(() => resolveInput(`${folder}/loop`))).toContain('too many symbolic links');
    }));

  it('have files beside the events', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/files.csv`, '\ufeffpath\n/\u00fc\n');
      writeFileSync(`${folder}/truth.csv`, zlib.gzipSync('time\n'));
      mkdirSync(`${folder}/sub`);
      expect(await readSideFile(`${folder}/events.x`, 'files.csv')).toBe('path\n/\u00fc\n');
      expect(await readSideFile(`${folder}/events.x`, 'truth.csv')).toBe('time\n');
      expect(await readSideFile(`${folder}/events.x`, 'other.csv')).toBeNull();
      expect(await userError(() => readSideFile(`${folder}/events.x`, 'sub'))).toContain('is a directory');
    }));
});
