/**
 * Runs the built command line as a user does, for end-to-end tests. `npm test` builds before it tests; on its own, `npm run build` first.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const DIST = process.env['FRAMEWALK_DIST'] ?? join(ROOT, 'dist');
export const MAIN = join(DIST, 'cli', 'main.js');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Options {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** File descriptor or 'pipe' for standard output. */
  readonly stdout?: number | 'pipe';
  /** Called with the process once it runs. */
  readonly started?: (child: ChildProcess) => void;
  readonly nodeArguments?: readonly string[];
}

/** Runs `framewalk ...args` to its end. */
export async function framewalk(args: readonly string[], options: Options = {}): Promise<Outcome> {
  if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing; run npm run build`);
  const child = spawn(process.execPath, [...(options.nodeArguments ?? []), MAIN, ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, NO_COLOR: undefined, FORCE_COLOR: undefined, ...options.env },
    stdio: ['ignore', options.stdout ?? 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  options.started?.(child);
  // A process that a signal ended has the exit code a shell gives it.
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', (status, signal) => resolve(signal === null ? status : 128 + constants.signals[signal]));
  });
  return { code, stdout, stderr };
}

/** A folder for the tests of a file, removed after them. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'framewalk-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The one line of standard error, without the line feed; the whole text when it is not one line. */
export const complaint = (outcome: Outcome): string => (/^[^\n]*\n$/.test(outcome.stderr) ? outcome.stderr.slice(0, -1) : `NOT ONE LINE:\n${outcome.stderr}`);
