/**
 * What can be recorded on this machine, found out before the command is started: which way, with which programs; and what is missing, with the package or the
 * setting that helps. Debian's names of packages; others call them much the same.
 *
 * - `kernel`: tracepoints, for which perf wants root (or perf_event_paranoid -1 and a readable tracefs). Every mapping, process and first touch.
 * - `faults`: strace for the calls and perf's software event for the page faults of user space; perf_event_paranoid up to 2. An estimate.
 * - `calls`: strace alone. What is touched is not known: a bound.
 */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../event.js';
import { fileError } from '../io-error.js';
import { compilerOf } from './helper.js';
import { findProgram, perfParanoid, toolPath, tracepointFolder, type Machine } from './machine.js';
import { PAGE_TRACEPOINTS, tracepoints, type Tracepoint } from './perf-arguments.js';

export type Method = 'kernel' | 'faults' | 'calls';

export interface Plan {
  readonly method: Method;
  /** Paths of the programs; empty where the method does without. */
  readonly perf: string;
  readonly strace: string;
  /** The C compiler that builds the helpers; null without samples. */
  readonly compiler: string | null;
  readonly tracepoints: readonly Tracepoint[];
  /** Of the page allocator; empty unless asked for. */
  readonly pageTracepoints: readonly string[];
  /** Path of heaptrack; empty unless asked for. */
  readonly heaptrack: string;
  /** What the user should know about what will be missing. */
  readonly warnings: readonly string[];
}

export interface Wish {
  readonly command: readonly string[];
  readonly output: string;
  /** What the kernel reports beside the events. */
  readonly truth: boolean;
  readonly rssTruth: boolean;
  /** The heap's calls, of a second run. */
  readonly heap: boolean;
  /** The machine's page allocator meanwhile. */
  readonly pages: boolean;
}

/** A recording that ends on a full disk is worth nothing: so much must be free when it begins. */
const LEAST_FREE_BYTES = 64 << 20;
const SUPPORTED = 'linux x64';
const GET_PERF = 'install it (Debian: apt-get install linux-perf, Ubuntu: linux-tools-common linux-tools-generic)';
const GET_STRACE = 'install it (apt-get install strace)';
const GET_COMPILER = 'no C compiler: no samples of what the kernel reports, and RssFile is an estimate; install one (apt-get install gcc libc6-dev)';

/** The command's path. UserError when it cannot be started or the trace cannot be written. */
function checkEnds({ command, output }: Wish, machine: Machine): string {
  const [name] = command;
  if (name === undefined) throw new UserError('no command given; say framewalk record [-o FILE.fwt] -- COMMAND...');
  const found = findProgram(name, machine);
  if ('problem' in found) {
    const why = { missing: 'command not found', folder: 'is a folder, not a command', 'not executable': 'is not executable; chmod +x makes it so' };
    throw new UserError(`${name}: ${why[found.problem]}${found.problem === 'missing' && !name.includes('/') ? ' (not on the PATH)' : ''}`);
  }
  const folder = dirname(resolve(output));
  try {
    if (existsSync(output) && statSync(output).isDirectory())
      throw new UserError(`-o ${output}: is a folder, expected a file; say -o ${join(output, 'trace.fwt')}`);
    accessSync(folder, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(folder);
    if (bavail * bsize < LEAST_FREE_BYTES)
      throw new UserError(
        `-o ${output}: ${Math.floor((bavail * bsize) / 1048576)} MiB are free there, ${LEAST_FREE_BYTES >> 20} MiB are needed at least; choose another disk`,
      );
  } catch (error) {
    throw fileError(`-o ${output}`, 'write', error);
  }
  return found.path;
}

/** UserError for a program that would run without the rights its file gives it: a traced process gets none (execve(2), ptrace(2)). */
function checkRights(name: string, path: string): void {
  const { mode } = statSync(path);
  if ((mode & 0o6000) !== 0)
    throw new UserError(`${name} is set${(mode & 0o4000) !== 0 ? 'uid' : 'gid'}: under strace it would run without the rights of its file; record it as root`);
}

/** Why tracepoints cannot be had, with what helps; null when they can. */
function whyNoTracepoints(machine: Machine): string | null {
  const paranoid = perfParanoid(machine);
  if (paranoid === null) return 'this kernel has no perf events (CONFIG_PERF_EVENTS)';
  if (machine.uid !== 0 && paranoid > -1) return 'tracepoints need root (sudo framewalk record ...), or kernel.perf_event_paranoid -1 and a readable tracefs';
  if (tracepointFolder(machine) === null) return 'tracefs is not mounted or not readable: mount -t tracefs tracefs /sys/kernel/tracing';
  return null;
}

const isThere = (folder: string, name: string): boolean => existsSync(join(folder, ...name.split(':')));

/** The tracepoints that this kernel has. UserError when one is missing without which there is no recording. */
function available(wish: Pick<Wish, 'rssTruth'>, folder: string): Tracepoint[] {
  const wanted = tracepoints(wish);
  const there = wanted.filter(({ name }) => isThere(folder, name));
  const missing = wanted.find((point) => point.required && !there.includes(point));
  if (missing !== undefined) {
    const option = missing.name.startsWith('raw_syscalls') ? 'CONFIG_FTRACE_SYSCALLS' : 'CONFIG_FTRACE and CONFIG_PERF_EVENTS';
    throw new UserError(`this kernel has no tracepoint ${missing.name} (${option}); record on another kernel`);
  }
  return there;
}

/** Those of the page allocator. UserError when frames could not be told. */
function pageTracepoints({ pages }: Wish, folder: string): readonly string[] {
  if (!pages) return [];
  if (!PAGE_TRACEPOINTS.every((name) => isThere(folder, name)))
    throw new UserError(`--pages: this kernel has no tracepoints ${PAGE_TRACEPOINTS.join(' and ')}`);
  return PAGE_TRACEPOINTS;
}

/** UserError in one line that says what is missing and what helps. */
export function planRecording(wish: Wish, machine: Machine): Plan {
  if (machine.platform !== SUPPORTED) throw new UserError(`record works on Linux on x86-64, this is ${machine.platform}; traces recorded there are read here`);
  const program = checkEnds(wish, machine);
  const heaptrack = wish.heap ? toolPath('heaptrack', machine) : '';
  if (heaptrack === null) throw new UserError('--heap: heaptrack is not on the PATH; install it (apt-get install heaptrack)');
  const perf = toolPath('perf', machine);
  const strace = toolPath('strace', machine);
  const compiler = wish.truth ? compilerOf(machine) : null;
  const warnings = wish.truth && compiler === null ? [GET_COMPILER] : [];
  const why = whyNoTracepoints(machine);
  if (machine.uid === 0 || why === null) {
    if (perf === null) throw new UserError(`perf is not on the PATH; ${GET_PERF}`);
    if (why !== null) throw new UserError(why);
    const folder = tracepointFolder(machine) as string;
    return {
      method: 'kernel',
      perf,
      strace: '',
      compiler,
      tracepoints: available(wish, folder),
      pageTracepoints: pageTracepoints(wish, folder),
      heaptrack,
      warnings,
    };
  }
  if (wish.pages) throw new UserError(`--pages: ${why}`);
  if (strace === null) throw new UserError(`strace is not on the PATH, and ${why}; ${GET_STRACE}`);
  checkRights(wish.command[0] as string, program);
  const paranoid = perfParanoid(machine);
  const estimate = `${why}; without them this is`;
  if (perf === null) return calls(strace, heaptrack, `${estimate} a bound: perf is not on the PATH either; ${GET_PERF}`);
  if (paranoid === null || paranoid > 2)
    return calls(
      strace,
      heaptrack,
      `${estimate} a bound: kernel.perf_event_paranoid is ${paranoid}, with 2 (sysctl kernel.perf_event_paranoid=2) page faults are recorded too`,
    );
  return { method: 'faults', perf, strace, compiler, tracepoints: [], pageTracepoints: [], heaptrack, warnings: [...warnings, `${estimate} an estimate`] };
}

function calls(strace: string, heaptrack: string, warning: string): Plan {
  return { method: 'calls', perf: '', strace, compiler: null, tracepoints: [], pageTracepoints: [], heaptrack, warnings: [warning] };
}
