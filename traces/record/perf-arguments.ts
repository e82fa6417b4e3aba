/**
 * How perf is asked (perf-record(1), perf-script(1)) for what the importer reads (traces/formats/perf.ts): every page fault, system calls that change mappings or
 * descriptors, processes, and what came to the page cache. The numbers of the calls are x86-64's (arch/x86/entry/syscalls/syscall_64.tbl).
 */

/** close, mmap, mprotect, munmap, brk, mremap, madvise, shmget, shmat, shmctl, dup, dup2, shmdt, ftruncate, mlock, munlock, mlockall, munlockall, prctl, fallocate, dup3, mlock2, pkey_mprotect */
const CALLS = [3, 9, 10, 11, 12, 25, 28, 29, 30, 31, 32, 33, 67, 77, 149, 150, 151, 152, 157, 285, 292, 325, 329];
const SELECTED = CALLS.map((id) => `id==${id}`).join('||');
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

/** Events of process `pid` and of what it starts, to `file`; begins when told so on descriptor 3 and says so on 4. */
export function recordArguments(pid: number, file: string, events: readonly string[], clock: string): string[] {
  const control = ['-D', '-1', '--control', 'fd:3,4'];
  return ['record', '-q', '-o', file, '-k', clock, '-d', '-c', '1', '--sample-cpu', '-m', '8M', '-p', String(pid), ...control, ...events];
}

export const tracepointArguments = (points: readonly Tracepoint[]): string[] => eventArguments(points);

/** The software event, in user space only: what an ordinary user may ask for. */
export const SOFTWARE_FAULTS = ['-e', 'page-faults:u'];

export const SCRIPT_ARGUMENTS = ['--ns', '--show-mmap-events', '--show-task-events', '--show-lost-events'];
