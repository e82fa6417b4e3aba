/**
 * The heap's calls of a command, by heaptrack (its --raw files keep pointers): a run of its own, for heaptrack stamps calls with milliseconds of its own clock, which
 * cannot be put among events of nanoseconds, and its library in the process would change what the first run is recorded for. Standard input is empty then and what
 * the command prints goes nowhere: the user has seen it once.
 */
import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../event.js';
import { FwtWriter } from '../fwt-writer.js';
import { importInto } from '../import.js';

export interface HeapHooks {
  warn(line: string): void;
  importing(done: number, total: number): void;
}

/** Runs the command once more and writes its heap calls to `output`. UserError when heaptrack fails. */
export async function recordHeap(heaptrack: string, command: readonly string[], folder: string, output: string, hooks: HeapHooks): Promise<void> {
  const child = spawn(heaptrack, ['--raw', '-o', join(folder, 'heap'), ...command], { stdio: 'ignore' });
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  const name = readdirSync(folder).find((file) => file.startsWith('heap.'));
  if (name === undefined)
    throw new UserError(`--heap: heaptrack recorded nothing of ${command[0] ?? ''} (is it statically linked, or a script without a program of its own?)`);
  const writer = new FwtWriter(output);
  try {
    const header = await importInto([join(folder, name)], writer, { onProgress: hooks.importing, onWarning: hooks.warn });
    Object.assign(header.provenance, { command: command.join(' '), recorder: 'framewalk record --heap (a second run of the command)' });
    writer.finish(header);
  } catch (error) {
    writer.abort();
    throw error;
  } finally {
    rmSync(join(folder, name), { force: true });
  }
}
