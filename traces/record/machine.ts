/**
 * The machine that a recording is made on: programs on the PATH, what its kernel allows and how it is set. Sources: perf-record(1), Documentation/admin-guide/
 * sysctl/kernel.rst (perf_event_paranoid), Documentation/trace/ftrace.rst (tracefs). Only looks; `root` puts another tree before every path, for tests.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import { gunzipSync } from 'node:zlib';

export interface Machine {
  readonly platform: string;
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `/`, or the folder that stands for it. */
  readonly root: string;
}

export const thisMachine = (): Machine => ({ platform: `${process.platform} ${process.arch}`, uid: process.geteuid?.() ?? -1, env: process.env, root: '/' });

/** What a word of a command line names: a file that can be executed, one that cannot, or nothing. */
export type Found = { readonly path: string } | { readonly problem: 'missing' | 'folder' | 'not executable' };

function tried(path: string): Found {
  try {
    if (statSync(path).isDirectory()) return { problem: 'folder' };
    accessSync(path, constants.X_OK);
    return { path };
  } catch {
    return { problem: existsSync(path) ? 'not executable' : 'missing' };
  }
}

/** As a shell finds it: a path when it holds a slash, else the first on the PATH. */
export function findProgram(name: string, machine: Machine): Found {
  if (name === '') return { problem: 'missing' };
  if (name.includes('/')) return tried(name);
  const places = (machine.env['PATH'] ?? '').split(delimiter).map((folder) => tried(join(folder === '' ? '.' : folder, name)));
  return places.find((found) => 'path' in found) ?? places.find((found) => 'problem' in found && found.problem === 'not executable') ?? { problem: 'missing' };
}

/** The path of a tool, or null. */
export function toolPath(name: string, machine: Machine): string | null {
  const found = findProgram(name, machine);
  return 'path' in found ? found.path : null;
}

function textOf(machine: Machine, path: string): string | null {
  try {
    return readFileSync(join(machine.root, path), 'utf8').trim();
  } catch {
    return null;
  }
}

/** Folder of the tracepoints; null when tracefs is not mounted or may not be read. */
export function tracepointFolder(machine: Machine): string | null {
  const places = ['sys/kernel/tracing/events', 'sys/kernel/debug/tracing/events'];
  return places.map((place) => join(machine.root, place)).find((place) => existsSync(join(place, 'raw_syscalls'))) ?? null;
}

/** kernel.perf_event_paranoid; null when the kernel has no perf events. */
export function perfParanoid(machine: Machine): number | null {
  const text = textOf(machine, 'proc/sys/kernel/perf_event_paranoid');
  return text === null || text === '' ? null : Number(text);
}

/** A setting of the kernel's build, `y` or its value; undefined when it is not set or nothing tells. */
function buildOption(machine: Machine, name: string): string | undefined {
  const running = release();
  for (const path of ['proc/config.gz', `boot/config-${running}`]) {
    try {
      const bytes = readFileSync(join(machine.root, path));
      const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
      return new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? 'n';
    } catch {
      continue;
    }
  }
  return undefined;
}

/** What results depend on, as words for the trace's header. Facts that nothing tells are left out. */
export function kernelFacts(machine: Machine): Record<string, string> {
  const thp = /\[(\w+)\]/.exec(textOf(machine, 'sys/kernel/mm/transparent_hugepage/enabled') ?? '')?.[1];
  const reclaim = buildOption(machine, 'CONFIG_PT_RECLAIM');
  return { release: release(), ...(thp === undefined ? {} : { thp }), ...(reclaim === undefined ? {} : { pt_reclaim: reclaim }) };
}
