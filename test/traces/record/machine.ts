/** A machine that is a folder: programs that do as told, and the files in which a kernel says how it is set. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import type { Machine } from '../../../traces/record/machine.js';
import { tracepoints } from '../../../traces/record/perf-arguments.js';

export interface MachineOptions {
  readonly uid?: number;
  /** Names and contents of the programs; `#!/bin/sh` is put in front. */
  readonly programs?: Readonly<Record<string, string>>;
  /** kernel.perf_event_paranoid; null: a kernel without perf events. */
  readonly paranoid?: number | null;
  /** Tracepoints that are not there; 'all': no tracefs. */
  readonly without?: readonly string[] | 'all';
  readonly platform?: string;
}

/** The folder holds `bin` (the PATH) and `root` (what stands for `/`). */
export function machineIn(folder: string, options: MachineOptions = {}): Machine {
  const { programs = { perf: '', strace: '', cc: '' }, paranoid = 2, without = [] } = options;
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  mkdirSync(join(folder, 'bin'), { recursive: true });
  for (const [name, text] of Object.entries(programs)) {
    put(join('bin', name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, 'bin', name), 0o755);
  }
  if (paranoid !== null) put('root/proc/sys/kernel/perf_event_paranoid', `${paranoid}\n`);
  if (without !== 'all')
    for (const { name } of tracepoints({ rssTruth: false }))
      if (!without.includes(name)) put(join('root/sys/kernel/tracing/events', ...name.split(':'), 'id'), '1\n');
  put('root/sys/kernel/mm/transparent_hugepage/enabled', 'always [madvise] never\n');
  put('root/boot/config-none', '');
  const env = { ...process.env, PATH: join(folder, 'bin') };
  return { platform: options.platform ?? 'linux x64', uid: options.uid ?? 0, env, root: join(folder, 'root') };
}

/** A folder for the tests of a file, removed after them. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'framewalk-record-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

let count = 0;
/** A new folder in `folder`. */
export function newIn(folder: string): string {
  const path = join(folder, `m${++count}`);
  mkdirSync(path);
  return path;
}
