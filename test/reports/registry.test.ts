import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../traces/event.js';
import { reportFormats, writeRun } from '../../reports/registry.js';
import { writeError } from '../../reports/write.js';
import { sampleMetrics, sampleRun } from './sample-run.js';

const run = sampleRun({ traces: 1, points: 5 });
const context = { metrics: sampleMetrics };
const REPORT_FORMATS = reportFormats.all();
let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'framewalk-write-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('report formats', () => {
  it('have a file of their own each', () => {
    expect(new Set(REPORT_FORMATS.map((format) => format.file)).size).toBe(REPORT_FORMATS.length);
  });

  it('are found by name; an unknown name is answered with the closest', () => {
    for (const format of REPORT_FORMATS) expect(reportFormats.get(format.name)).toBe(format);
    expect(() => reportFormats.get('jsno')).toThrow(/report format 'jsno'; known: csv, .*did you mean 'json'\?/);
  });

  it.each(REPORT_FORMATS.map((format) => [format.name, format] as const))('%s renders the same run to the same text', async (_, format) => {
    const text = await format.render(run, context);
    expect(await format.render(sampleRun({ traces: 1, points: 5 }), context)).toBe(text);
    expect(text.length).toBeGreaterThan(50);
  });

  it.each(REPORT_FORMATS.filter((format) => format.deterministic).map((format) => [format.name, format] as const))(
    '%s holds nothing the clock said',
    async (_, format) => {
      const later = { ...run, cells: run.cells.map((cell) => ({ ...cell, timing: { ...cell.timing, wall_s: 123.456 } })) };
      expect(await format.render(later, context)).toBe(await format.render(run, context));
    },
  );
});

describe('writeRun', () => {
  it('makes the folder and leaves the asked-for files, nothing else', async () => {
    const out = join(dir, 'a', 'b');
    const paths = await writeRun(run, out, REPORT_FORMATS, context);
    expect(paths).toEqual(REPORT_FORMATS.map((format) => join(out, format.file)));
    expect(readdirSync(out).sort()).toEqual(REPORT_FORMATS.map((format) => format.file).sort());
  });

  const failure = async (out: string): Promise<string> => {
    const error: unknown = await writeRun(run, out, REPORT_FORMATS, context).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  };

  it('names the path when a part of it is a file', async () => {
    writeFileSync(join(dir, 'file'), '');
    expect(await failure(join(dir, 'file'))).toContain(join(dir, 'file'));
    expect(await failure(join(dir, 'file', 'deeper'))).toContain('a part of the path is a file');
  });

  it('leaves old files as they were and nothing half-written when one file cannot be put in place', async () => {
    mkdirSync(join(dir, 'results.csv'));
    mkdirSync(join(dir, 'results.csv', 'full'));
    writeFileSync(join(dir, 'timing.csv'), 'old');
    expect(await failure(dir)).toContain('results.csv');
    expect(readFileSync(join(dir, 'timing.csv'), 'utf8')).toBe('old');
    expect(readdirSync(dir).sort()).toEqual(['results.csv', 'timing.csv']);
  });

  it('leaves nothing when a format fails', async () => {
    const broken = { ...REPORT_FORMATS[0], render: () => Promise.reject(new Error('boom')) };
    await expect(writeRun(run, dir, [REPORT_FORMATS[1], broken], context)).rejects.toThrow('boom');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('says what is wrong with a folder it may not write to', async () => {
    const closed = join(dir, 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    if (process.getuid?.() === 0) {
      // Permissions do not bind root; the device that is always full fails for everybody.
      expect(existsSync(closed)).toBe(true);
      expect((writeError('/x', Object.assign(new Error('no'), { code: 'EACCES' })) as Error).message).toContain('no permission');
    } else {
      expect(await failure(join(closed, 'out'))).toContain('no permission');
    }
    chmodSync(closed, 0o700);
  });

  it.each(['EACCES', 'ENOSPC', 'ENOTDIR', 'EROFS', 'EIO'])('turns %s into the user’s words with the path', (code) => {
    const error = writeError('/some/where', Object.assign(new Error('no'), { code }));
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toContain(`/some/where: cannot be written (${code})`);
  });

  it('leaves defects as they are', () => {
    const defect = new TypeError('x is undefined');
    expect(writeError('/p', defect)).toBe(defect);
  });
});
