/**
 * The command, started but held back until the recorders are attached: a shell that waits for a line on descriptor 3 and then becomes the command. Its standard
 * streams, environment, folder, process group and terminal are those of framewalk itself. What the shell does before is no part of the recording.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { UserError } from '../event.js';

/** Says its process id, which is the command's, for where it is not the child itself. */
const WAIT_AND_BECOME = 'echo $$ >&4; exec 4>&-; read -r go <&3; exec 3<&-; exec "$@"';

export interface Held {
  readonly pid: number;
  /** Lets the command begin. */
  go(): void;
  /** The exit code as a shell tells it: 128 and the number of the signal that ended it. */
  readonly ended: Promise<number>;
  signal(name: NodeJS.Signals): void;
  /** Tells the program that it runs under to let go of it. */
  leave(): void;
}

/** `under`: a program that starts the command as its child and ends as that ends (strace), with its arguments. */
export async function hold(command: readonly string[], under: readonly string[] = []): Promise<Held> {
  const [program, ...args] = [...under, '/bin/sh', '-c', WAIT_AND_BECOME, 'sh', ...command] as [string, ...string[]];
  const child = spawn(program, args, { stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve) => {
    child.on('exit', (code, signal) => resolve(signal === null ? (code ?? 0) : 128 + constants.signals[signal]));
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  const gate = child.stdio[3] as Writable;
  gate.on('error', () => undefined); // a command that ended before it began
  const pid = await new Promise<number>((resolve, reject) => {
    (child.stdio[4] as Readable).once('data', (line: Buffer) => resolve(Number(line.toString())));
    child.on('exit', (code) => reject(new UserError(`${program} ended with exit code ${code} before the command began`)));
  });
  return {
    pid,
    go: () => gate.end('\n'),
    ended,
    signal(name) {
      if (child.exitCode === null && child.signalCode === null) process.kill(pid, name);
    },
    leave() {
      if (under.length > 0) child.kill('SIGTERM');
    },
  };
}
