/**
 * perf as a child: started on a process that is held back, told to begin, waited for, and its recording printed as text. perf writes what it recorded to a file
 * while the command runs, so memory stays bounded; printing streams.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { UserError } from '../event.js';

export interface PerfRecording {
  /** Resolves when perf has written all: by itself, when the last recorded process has ended, or after `end`. */
  readonly ended: Promise<number>;
  end(): void;
  /** What perf complained about. */
  complaint(): string;
}

/** What a shell reports of a program that ended by SIGINT. */
export const INTERRUPTED = 130;

/** The last line that says something. */
const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';

/** Starts `perf record` and waits until it records. Of its own session, so that Ctrl-C on the terminal is the command's alone. */
export async function startPerf(perf: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<PerfRecording> {
  const child: ChildProcess = spawn(perf, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], detached: true, env });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4096)));
  const ended = new Promise<number>((resolve) => {
    // perf gives a SIGINT to itself again when it has written all, as a shell expects of it.
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? INTERRUPTED : 1))).on('error', () => resolve(1));
  });
  const control = child.stdio[3] as Writable;
  control.on('error', () => undefined);
  control.write('enable\n');
  const begun = new Promise<boolean>((resolve) => {
    (child.stdio[4] as Readable).once('data', () => resolve(true)).on('error', () => undefined);
    void ended.then(() => resolve(false));
  });
  if (!(await begun)) throw new UserError(`perf record cannot begin: ${lastLine(said) || 'it ended without a word'}`);
  return { ended, end: () => void child.kill('SIGINT'), complaint: () => lastLine(said) };
}

/** Prints a recording; `chunk` gets the bytes, and is waited for. UserError when perf cannot read what it wrote. */
export async function printPerf(perf: string, args: readonly string[], env: NodeJS.ProcessEnv, chunk: (bytes: Buffer) => Promise<void> | void): Promise<void> {
  const child = spawn(perf, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4096)));
  const code = new Promise<number>((resolve) => {
    child.on('close', (status) => resolve(status ?? 1)).on('error', () => resolve(1));
  });
  for await (const bytes of child.stdout) await chunk(bytes as Buffer);
  if ((await code) !== 0) throw new UserError(`perf script cannot read what perf record wrote: ${lastLine(said)}`);
}
