/**
 * The bundled recordings, as `npm start` replays them: the same bytes for any number of workers, nothing left behind at the end, and the blessed baseline.
 * A change of results that is meant: npm start, then `node dist/cli/main.js bless --baseline test/baseline.json out`.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { framewalk, ROOT, scratch } from './framewalk.js';

const folder = scratch();
const recordings = readdirSync(join(ROOT, 'traces', 'recordings'))
  .filter((name) => name.endsWith('.fwt'))
  .map((name) => join('traces', 'recordings', name));
const [two, one] = ['two', 'one'].map((name) => join(folder, name));
const LONG = 300_000;

beforeAll(async () => {
  expect(await framewalk(['run', ...recordings, '--workers', '2', '--out', two])).toMatchObject({ code: 0, stderr: '' });
}, LONG);

interface Results {
  readonly cells: readonly { readonly config: { readonly trace: string; readonly pmm: string }; readonly metrics: Readonly<Record<string, number>> }[];
}

describe('the bundled recordings', () => {
  it('are replayed on three strategies each', () => {
    const { cells } = JSON.parse(readFileSync(join(two, 'results.json'), 'utf8')) as Results;
    expect(cells.length).toBe(recordings.length * 3);
    expect(recordings.length).toBeGreaterThanOrEqual(6);
  });

  it('end with the frames they began with', () => {
    const { cells } = JSON.parse(readFileSync(join(two, 'results.json'), 'utf8')) as Results;
    for (const { config, metrics } of cells)
      expect([config.trace, config.pmm, metrics['frames_end']]).toEqual([config.trace, config.pmm, metrics['frames_start']]);
  });

  it('give the same bytes in a second run, with one worker', { timeout: LONG }, async () => {
    expect((await framewalk(['run', ...recordings, '--workers', '1', '--out', one])).code).toBe(0);
    for (const file of ['results.csv', 'timeline.csv', 'processes.csv', 'fragmentation.csv', 'blame.csv', 'contiguity.csv', 'rounds.csv', 'results.json']) {
      expect(readFileSync(join(one, file)).equals(readFileSync(join(two, file))), file).toBe(true);
    }
  });

  it('are as good as the baseline says', async () => {
    const outcome = await framewalk(['check', two, '--baseline', join('test', 'baseline.json')]);
    expect(outcome.stdout + outcome.stderr).toMatch(/^\d+ of \d+ numbers equal: unchanged\n$/);
    expect(outcome.code).toBe(0);
  });
});
