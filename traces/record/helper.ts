/**
 * The programs in C beside this file: truth.c and watch.c read what the kernel says, cache.c what is in the page cache. They are built for each recording where a
 * compiler is; without one there are no samples, and what was in the page cache is not known.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { UserError } from '../event.js';
import { toolPath, type Machine } from './machine.js';

/** Beside the source, or where the package has it when this is the compiled file. */
function sourceOf(name: string): string {
  const places = [`./${name}.c`, `../../../traces/record/${name}.c`].map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return places.find((place) => existsSync(place)) ?? (places[0] as string);
}

/** Path of a C compiler, or null. */
export const compilerOf = (machine: Machine): string | null => toolPath('cc', machine) ?? toolPath('gcc', machine) ?? toolPath('clang', machine);

/** Builds a helper into `folder`; its path. UserError when the compiler refuses. */
export function buildHelper(name: string, folder: string, compiler: string): string {
  const program = join(folder, name);
  const run = spawnSync(compiler, ['-O2', '-o', program, sourceOf(name)], { encoding: 'utf8' });
  if (run.status === 0) return program;
  const why = run.error?.message ?? run.stderr.trim().split('\n')[0] ?? '';
  throw new UserError(`${compiler} cannot build ${name}.c (${why}); install the C library's headers (Debian: apt-get install gcc libc6-dev), or --no-truth`);
}

export interface Truth {
  /** Whether anonymous reads map the zero page here: y or n. */
  readonly zeroPage: string;
  /** Faults that the held process had before the command: they are not the command's. */
  readonly before: { readonly minor: number; readonly major: number };
  /** Resolves when every process of the tree has ended, or the reading was ended. */
  readonly ended: Promise<void>;
  end(): void;
}

/** Attaches to the held process `pid` and reads what the kernel says about its tree into `file`. UserError when it may not. */
export async function startTruth(program: string, pid: number, file: string, clock: string, intervalUs: number): Promise<Truth> {
  const child: ChildProcess = spawn(program, [String(pid), file, clock, String(intervalUs)], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = new Promise<void>((resolve) => void child.on('close', () => resolve()));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = await new Promise<RegExpExecArray | null>((resolve) => {
    lines.on('line', (line) => resolve(/^ready zero_page=(.) minor=(\d+) major=(\d+)$/.exec(line)));
    child.on('close', () => resolve(null)).on('error', () => resolve(null));
  });
  if (ready === null)
    throw new UserError(`${complaint.trim()}; does another program trace it, or is kernel.yama.ptrace_scope 3? --no-truth records without samples`);
  const before = { minor: Number(ready[2]), major: Number(ready[3]) };
  return { zeroPage: ready[1] as string, before, ended, end: () => void child.kill('SIGTERM') };
}

/** `files.csv` of the files in `list` (lines as cache.c wants them); bytes as latin1, for paths are in any encoding. */
export async function cacheState(program: string, list: string): Promise<string> {
  const child = spawn(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('latin1').on('data', (part: string) => (text += part));
  child.stdin.end(list, 'latin1');
  await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  return text;
}
