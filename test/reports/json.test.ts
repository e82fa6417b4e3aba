import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../traces/event.js';
import { portableCommand, shellWords } from '../../reports/command.js';
import { readRun, resultsJson } from '../../reports/json.js';
import { sampleMetrics, sampleRun } from './sample-run.js';

const run = sampleRun({ points: 20 });
let dir = '';
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'framewalk-json-'))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const put = (text: string): void => writeFileSync(join(dir, 'results.json'), text);

/** What must survive: everything but the clock's part and the machine's. */
function storedOf(): unknown {
  const cells = run.cells.map((cell) => ({
    ...cell,
    timing: undefined,
    metrics: Object.fromEntries(Object.entries(cell.metrics).filter(([name]) => name !== 'pmm_ns_per_op')),
  }));
  return { ...run, command: portableCommand(run.command), cells };
}

describe('results.json', () => {
  it('reads back as what was written, without clock values', async () => {
    put(resultsJson(run, sampleMetrics));
    expect(await readRun(dir)).toEqual(storedOf());
  });

  it('is a fixed point: written again from what was read it is the same bytes', async () => {
    const text = resultsJson(run, sampleMetrics);
    put(text);
    expect(resultsJson(await readRun(dir), sampleMetrics)).toBe(text);
  });

  it('does not depend on the order in which keys were made, nor on the clock or the command’s folders and workers', () => {
    const shuffled = {
      ...run,
      command: run.command.replace('/home/somebody/', '/elsewhere/').replace('--workers 2', '--workers=17').replace('--out out/x', '-o /tmp/y'),
      cells: run.cells.map((cell) => ({
        ...cell,
        timing: { ...cell.timing, wall_s: 99 },
        metrics: Object.fromEntries(Object.entries({ ...cell.metrics, pmm_ns_per_op: 1e6 }).reverse()),
        absent: Object.fromEntries(Object.entries(cell.absent).reverse()),
      })),
    };
    expect(resultsJson(shuffled, sampleMetrics)).toBe(resultsJson(run, sampleMetrics));
  });

  it('shows a change of any deterministic value', () => {
    const other = { ...run, cells: run.cells.map((cell, i) => (i === 3 ? { ...cell, oom: 'event 1: nothing left' } : cell)) };
    expect(resultsJson(other, sampleMetrics)).not.toBe(resultsJson(run, sampleMetrics));
  });
});

describe('readRun', () => {
  const mistake = async (text: string | null): Promise<string> => {
    if (text !== null) put(text);
    const error: unknown = await readRun(dir).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    expect(message).not.toContain('\n');
    return message;
  };

  it('says so when there is no run', async () => {
    expect(await mistake(null)).toMatch(/not the result of a run \(no results\.json in it\).*framewalk run/);
  });

  it('says so when the directory is a file', async () => {
    put('{}');
    dir = join(dir, 'results.json');
    const error: unknown = await readRun(dir).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    rmSync(dir);
    dir = join(dir, '..');
  });

  it.each(['', '{', '[]', 'null', '3', '{"framewalk": "baseline"}'])('says so when results.json is %j', async (text) => {
    expect(await mistake(text)).toMatch(/results\.json: not/);
  });

  it('refuses another schema', async () => {
    expect(await mistake(resultsJson({ ...run, schema: 999 }, sampleMetrics))).toContain('results of schema 999');
  });

  it('names the first place that is damaged', async () => {
    const text = resultsJson(run, sampleMetrics);
    expect(await mistake(text.replace('"cpus": 1', '"cpus": "one"'))).toMatch(/damaged at cells\.0\.config\.cpus/);
    expect(await mistake(text.replace('"rows": [', '"rows": [[1],'))).toMatch(/damaged at cells\.0\.timeline/);
  });

  it('survives truncation at any byte', async () => {
    const text = resultsJson(sampleRun({ traces: 1, pmms: ['buddy'], points: 2 }), sampleMetrics);
    for (let length = 0; length < text.length - 1; length += 997) await mistake(text.slice(0, length));
  });
});

describe('the portable command line', () => {
  it.each([
    ['framewalk run a.fwt --out x --workers 4', 'framewalk run a.fwt'],
    ['framewalk run /a/b/c.fwt traces/d.fwt ../e.fwt', 'framewalk run c.fwt traces/d.fwt e.fwt'],
    ['framewalk run --memmap=/etc/map.txt --out=/tmp/x --json t.fwt', 'framewalk run --memmap=map.txt t.fwt'],
    ["framewalk run '/a b/it'\\''s here.fwt'", "framewalk run 'it'\\''s here.fwt'"],
    ['framewalk run "C:\\\\dir\\\\t.fwt"', 'framewalk run t.fwt'],
    [
      'framewalk run --age fresh,/proc/buddyinfo,/proc/pagetypeinfo --pmm=buddy,/a/mine.wasm t.fwt',
      'framewalk run --age fresh,buddyinfo,pagetypeinfo --pmm=buddy,mine.wasm t.fwt',
    ],
    ['framewalk run --pmm bitmap,buddy -o', 'framewalk run --pmm bitmap,buddy'],
  ])('%s', (command, expected) => {
    expect(portableCommand(command)).toBe(expected);
    expect(portableCommand(expected)).toBe(expected);
  });

  it('splits as a shell does', () => {
    expect(shellWords(`a 'b c' "d \\"e\\"" f\\ g h'i'"j"`)).toEqual(['a', 'b c', 'd "e"', 'f g', 'hij']);
  });
});
