/**
 * The command, started but held back until the recorders are attached: a shell that waits for a line on descriptor 3 and then becomes the command. Its standard
 * streams, environment, folder, process group and terminal are those of framewalk itself. What the shell does before is no part of the recording.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';

const WAIT_AND_BECOME = 'read -r go <&3; exec 3<&-; exec "$@"';

export interface Held {
  readonly pid: number;
  /** Lets the command begin. */
  go(): void;
  /** The exit code as a shell tells it: 128 and the number of the signal that ended it. */
  readonly ended: Promise<number>;
  signal(name: NodeJS.Signals): void;
}

export async function hold(command: readonly string[]): Promise<Held> {
  const child = spawn('/bin/sh', ['-c', WAIT_AND_BECOME, 'sh', ...command], { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
  const ended = new Promise<number>((resolve) => {
    child.on('exit', (code, signal) => resolve(signal === null ? (code ?? 0) : 128 + constants.signals[signal]));
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  const gate = child.stdio[3] as Writable;
  gate.on('error', () => undefined); // a command that ended before it began
  return {
    pid: child.pid as number,
    go: () => gate.end('\n'),
    ended,
    signal: (name) => void child.kill(name),
  };
}
