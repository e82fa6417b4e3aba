/** The command line from outside: help, names, unknown arguments, exit codes, closed and full outputs. */
import { describe, expect, it } from 'vitest';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { complaint, framewalk, ROOT, scratch } from './framewalk.js';
import { COMMANDS } from '../../cli/commands/index.js';
import { RUN_OPTIONS } from '../../cli/run-options.js';

const folder = scratch();
const hasControlCodes = (text: string): boolean => text.includes('\u001b') || text.includes('\r');

describe('help', () => {
  it('lists every command', async () => {
    const help = await framewalk(['--help']);
    expect(help.code).toBe(0);
    expect(help.stderr).toBe('');
    for (const command of COMMANDS) expect(help.stdout).toContain(`framewalk ${command.usage.split(' ')[0]}`);
    expect(hasControlCodes(help.stdout)).toBe(false);
  });

  it.each(COMMANDS.map((command) => [command.usage.split(' ')[0], command] as const))('of %s has examples', async (name, command) => {
    const help = await framewalk([name, '--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain('Examples:');
    for (const [line] of command.examples) expect(help.stdout.replace(/\s+/g, ' ')).toContain(line.split(' ').slice(0, 3).join(' '));
  });

  it('of run names what the registries know', async () => {
    const help = (await framewalk(['run', '--help'])).stdout.replace(/\s+/g, ' ');
    for (const key of Object.keys(RUN_OPTIONS)) expect(help).toContain(`--${key} `);
    expect(help).toContain('bitmap, free-stack, buddy');
    expect(help).toContain('x86-64');
  });

  it('says the version of package.json', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect((await framewalk(['--version'])).stdout).toBe(`${version}\n`);
  });
});

describe('wrong arguments', () => {
  it.each([
    [[], 'framewalk: no command given (framewalk --help lists them)'],
    [['lsit'], 'framewalk: lsit: unknown command, did you mean list? (framewalk --help lists the commands)'],
    [['list', '--jsno'], 'framewalk: --jsno: unknown flag, did you mean --json? (framewalk list --help lists the flags)'],
    [['list', 'pmm'], 'framewalk: list pmm: unknown name, did you mean pmms? (known: archs, pmms, heaps, formats, metrics, policies, tlbs)'],
    [['list', 'pmms', 'heaps'], 'framewalk: heaps: list takes no such argument (framewalk list --help)'],
    [['check', 'out'], 'framewalk: --baseline is missing; say framewalk check --baseline FILE RUN'],
    [['check', 'out', '--baseline'], 'framewalk: Not enough arguments following: baseline'],
    [['check', 'out', '--baseline', 'a', '--baseline', 'b'], 'framewalk: --baseline is given 2 times; give it once'],
    [['check', '--baseline', 'a'], 'framewalk: Not enough non-option arguments: got 0, need at least 1'],
    [['check', 'nowhere', '--baseline', 'package.json'], 'framewalk: package.json: not a baseline'],
    [['bless', 'nowhere', '--baseline', 'b.json'], 'framewalk: nowhere: not the result of a run'],
  ])('%j is one line and exit code 2', async (args, line) => {
    const outcome = await framewalk(args);
    expect(complaint(outcome)).toContain(line);
    expect(outcome.code).toBe(2);
    expect(outcome.stdout).toBe('');
  });

  it('speaks English whatever the locale', async () => {
    expect(complaint(await framewalk(['list', '--nonsense'], { env: { LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8' } }))).toContain('unknown flag');
  });
});

describe('list', () => {
  it('prints JSON for programs', async () => {
    const { stdout, code } = await framewalk(['list', 'metrics', '--json']);
    const metrics = JSON.parse(stdout) as { name: string; unit: string; better: string }[];
    expect(code).toBe(0);
    expect(metrics.find((metric) => metric.name === 'frames_peak')).toMatchObject({ unit: 'frames', better: 'lower' });
    expect(Object.keys(JSON.parse((await framewalk(['list', '--json'])).stdout) as object)).toEqual([
      'archs',
      'pmms',
      'heaps',
      'formats',
      'metrics',
      'policies',
      'tlbs',
    ]);
  });
});

describe('completion', () => {
  it('prints a script and completes flags', async () => {
    expect((await framewalk(['completion'])).stdout).toContain('begin-framewalk-completions');
    const words = (await framewalk(['--get-yargs-completions', 'framewalk', 'check', '--b'], { env: { SHELL: '/bin/bash' } })).stdout.split('\n');
    expect(words).toContain('--baseline');
  });
});

describe('outputs that fail', () => {
  it('a full device is one line and exit code 2', async () => {
    if (!existsSync('/dev/full')) throw new Error('this test needs /dev/full');
    const full = openSync('/dev/full', 'w');
    const outcome = await framewalk(['list'], { stdout: full });
    closeSync(full);
    expect(complaint(outcome)).toBe('framewalk: standard output: cannot write: no space left on the device');
    expect(outcome.code).toBe(2);
  });

  it('a reader that leaves is quiet', async () => {
    const outcome = await framewalk(['list', '--json'], { started: (child) => child.stdout?.destroy() });
    expect(outcome.stderr).toBe('');
    expect(outcome.code).toBe(0);
  });

  it('a defect asks for a report, with the stack, and exit code 3', async () => {
    const sabotage = 'data:text/javascript,JSON.stringify=()=>{throw new RangeError("sabotaged")}';
    const outcome = await framewalk(['list', '--json'], { nodeArguments: ['--import', sabotage], cwd: folder });
    expect(outcome.code).toBe(3);
    expect(outcome.stderr).toContain('framewalk: this is a defect of framewalk; please report it');
    expect(outcome.stderr).toContain('RangeError: sabotaged\n    at ');
  });
});
