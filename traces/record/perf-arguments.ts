/**
 * How perf is asked (perf-record(1), perf-script(1)) for what the importer reads (traces/formats/perf.ts): every page fault, system calls that change mappings or
 * descriptors, processes, and what came to the page cache. The numbers of the calls are x86-64's (arch/x86/entry/syscalls/syscall_64.tbl).
 */

/** The calls that matter, by name. */
export const CALLS: ReadonlyMap<string, number> = new Map([
  ['close', 3],
  ['mmap', 9],
  ['mprotect', 10],
  ['munmap', 11],
  ['brk', 12],
  ['mremap', 25],
  ['madvise', 28],
  ['shmget', 29],
  ['shmat', 30],
  ['shmctl', 31],
  ['dup', 32],
  ['dup2', 33],
  ['shmdt', 67],
  ['ftruncate', 77],
  ['mlock', 149],
  ['munlock', 150],
  ['mlockall', 151],
  ['munlockall', 152],
  ['prctl', 157],
  ['fallocate', 285],
  ['dup3', 292],
  ['mlock2', 325],
  ['pkey_mprotect', 329],
]);
const SELECTED = [...CALLS.values()].map((id) => `id==${id}`).join('||');
/** The pages of exec's arguments are counted in a space that is not the process's own. */
const ARGUMENTS = 'curr==0&&member==1';

export interface Tracepoint {
  readonly name: string;
  readonly filter?: string;
  /** False: older kernels lack it, and the importer does without. */
  readonly required: boolean;
}

export function tracepoints(options: { readonly rssTruth: boolean }): Tracepoint[] {
  return [
    { name: 'exceptions:page_fault_user', required: true },
    { name: 'exceptions:page_fault_kernel', required: true },
    { name: 'raw_syscalls:sys_enter', filter: SELECTED, required: true },
    { name: 'raw_syscalls:sys_exit', filter: SELECTED, required: true },
    { name: 'task:task_newtask', required: true },
    { name: 'sched:sched_prepare_exec', required: false },
    { name: 'sched:sched_process_exec', required: true },
    { name: 'sched:sched_process_exit', required: true },
    { name: 'mmap:exit_mmap', required: false },
    { name: 'kmem:rss_stat', ...(options.rssTruth ? {} : { filter: ARGUMENTS }), required: false },
    { name: 'filemap:mm_filemap_add_to_page_cache', required: false },
    { name: 'filemap:mm_filemap_delete_from_page_cache', required: false },
  ];
}

const eventArguments = (points: readonly Tracepoint[]): string[] =>
  points.flatMap(({ name, filter }) => ['-e', name, ...(filter === undefined ? [] : ['--filter', filter])]);

/**
 * Events of process `pid` and of what it starts, to `file`; begins when told so on descriptor 3 and says so on 4. An ordinary user may lock only so much memory for
 * buffers (kernel.perf_event_mlock_kb): `buffers` of 8M want root.
 */
export function recordArguments(pid: number, file: string, events: readonly string[], clock: string, buffers: readonly string[] = []): string[] {
  const control = ['-D', '-1', '--control', 'fd:3,4'];
  return ['record', '-q', '-o', file, '-k', clock, '-d', '-c', '1', '--sample-cpu', ...buffers, '-p', String(pid), ...control, ...events];
}

export const LARGE_BUFFERS = ['-m', '8M'];

export const tracepointArguments = (points: readonly Tracepoint[]): string[] => eventArguments(points);

/** The machine's page allocator, every processor and process; with cpu, order, migrate type and frame number in the text. */
export const PAGE_TRACEPOINTS = ['kmem:mm_page_alloc', 'kmem:mm_page_free'];

/** All of the machine, begins as recordArguments does and ends when it is interrupted. */
export function pagesArguments(file: string, points: readonly string[]): string[] {
  return [
    'record',
    '-q',
    '-a',
    '-o',
    file,
    '-k',
    'CLOCK_MONOTONIC',
    '-c',
    '1',
    '-m',
    '8M',
    '-D',
    '-1',
    '--control',
    'fd:3,4',
    ...points.flatMap((name) => ['-e', name]),
  ];
}

/** The software event, in user space only: what an ordinary user may ask for. */
export const SOFTWARE_FAULTS = ['-e', 'page-faults:u'];

export const SCRIPT_ARGUMENTS = ['--ns', '--show-mmap-events', '--show-task-events', '--show-lost-events'];
export const TRACEPOINT_FIELDS = 'comm,pid,tid,cpu,time,event,trace';
export const SOFTWARE_FIELDS = 'comm,pid,tid,cpu,time,event,addr';

/** Calls that make threads and processes: their flags are printed as words. */
const MAKERS = ['clone', 'clone3', 'fork', 'vfork'];

/** strace(1), to `file`, but for the command. `raw`: arguments as numbers, beside perf; else as the importer of strace reads them, with the paths of descriptors. */
export function straceArguments(file: string, raw: boolean): string[] {
  const calls = [...CALLS.keys()];
  const how = ['--seccomp-bpf', '-f', '-q', '--absolute-timestamps=format:unix,precision:ns', '--syscall-times=ns', '-o', file];
  const which = raw
    ? ['-e', `raw=${calls.join(',')}`, '-e', `trace=${[...calls, ...MAKERS].join(',')}`, '-e', 'signal=none']
    : ['-y', '-e', 'trace=%memory,%process,%ipc,ftruncate,fallocate'];
  return [...how, ...which, '--'];
}
