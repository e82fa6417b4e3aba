/**
 * Whether this machine lets tests record: root, perf, tracefs and a compiler. Where it does not, the suite says loudly what it left out and why, and passes: what
 * recording consists of is tested without them too.
 */
import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';
import { compilerOf } from '../../traces/record/helper.js';
import { perfParanoid, thisMachine, toolPath, tracepointFolder } from '../../traces/record/machine.js';
import { MAIN } from './framewalk.js';

export type RecordTest = readonly [title: string, run: () => Promise<void>];

const machine = thisMachine();
/** Debian's nobody. */
export const NOBODY = 65534;

/** Why programs cannot be recorded exactly here; null when they can. */
export function whyNotAsRoot(): string | null {
  if (machine.platform !== 'linux x64') return `this is ${machine.platform}`;
  if (machine.uid !== 0) return 'the tests do not run as root';
  if (toolPath('perf', machine) === null) return 'perf is not installed';
  if (tracepointFolder(machine) === null) return 'tracefs is not mounted';
  // A container may have all of this and still not be allowed to.
  const tried = spawnSync('perf', ['record', '-o', '/dev/null', '-e', 'sched:sched_process_exit', 'true'], { encoding: 'utf8' });
  if (tried.status !== 0) return `perf may not record: ${tried.stderr.trim().split('\n')[0]}`;
  return compilerOf(machine) === null ? 'there is no C compiler' : null;
}

/** Why they cannot be recorded as an ordinary user; null when they can. */
export function whyNotAsNobody(): string | null {
  if (whyNotAsRoot() !== null) return whyNotAsRoot();
  if (toolPath('strace', machine) === null) return 'strace is not installed';
  const paranoid = perfParanoid(machine);
  if (paranoid === null || paranoid > 2) return `kernel.perf_event_paranoid is ${paranoid}`;
  const readable = spawnSync(process.execPath, [MAIN, '--version'], { uid: NOBODY, gid: NOBODY });
  return readable.status === 0 ? null : `an ordinary user may not read ${MAIN}`;
}

export function recordSuite(name: string, why: string | null, tests: readonly RecordTest[]): void {
  describe(name, () => {
    if (why === null) it.each(tests)('%s', (_, run) => run(), 120_000);
    else
      it(`is left out: ${why} (${tests.length} tests)`, () => {
        const list = tests.map(([title]) => `  - ${name}: ${title}`).join('\n');
        console.warn(`LEFT OUT: ${tests.length} tests that record real programs, because ${why}:\n${list}`);
      });
  });
}
