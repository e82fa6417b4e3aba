/**
 * The words strace prints for numbers, as Linux on x86-64 defines them (include/uapi/asm-generic/mman-common.h, mman.h, linux/mman.h, sched.h, shm.h, falloc.h,
 * prctl.h). Only those that decide something about memory; words of flags that decide nothing are worth 0.
 */
import { Clone, type Task } from './tasks.js';
import { MapFlag, Sys } from './calls.js';

/** Memory system calls by name, with how many arguments are numbers. Calls whose descriptor names a file have its position in `fd`. */
export const MEMORY_CALLS: ReadonlyMap<string, { readonly nr: Sys; readonly fd: number }> = new Map([
  ['mmap', { nr: Sys.mmap, fd: 4 }],
  ['mprotect', { nr: Sys.mprotect, fd: -1 }],
  ['pkey_mprotect', { nr: Sys.pkey_mprotect, fd: -1 }],
  ['munmap', { nr: Sys.munmap, fd: -1 }],
  ['brk', { nr: Sys.brk, fd: -1 }],
  ['mremap', { nr: Sys.mremap, fd: -1 }],
  ['madvise', { nr: Sys.madvise, fd: -1 }],
  ['mlock', { nr: Sys.mlock, fd: -1 }],
  ['mlock2', { nr: Sys.mlock2, fd: -1 }],
  ['munlock', { nr: Sys.munlock, fd: -1 }],
  ['mlockall', { nr: Sys.mlockall, fd: -1 }],
  ['munlockall', { nr: Sys.munlockall, fd: -1 }],
  ['shmget', { nr: Sys.shmget, fd: -1 }],
  ['shmat', { nr: Sys.shmat, fd: -1 }],
  ['shmctl', { nr: Sys.shmctl, fd: -1 }],
  ['shmdt', { nr: Sys.shmdt, fd: -1 }],
  ['ftruncate', { nr: Sys.ftruncate, fd: 0 }],
  ['fallocate', { nr: Sys.fallocate, fd: 0 }],
  ['close', { nr: Sys.close, fd: -1 }],
  ['dup', { nr: Sys.dup, fd: -1 }],
  ['dup2', { nr: Sys.dup2, fd: -1 }],
  ['dup3', { nr: Sys.dup3, fd: -1 }],
  ['prctl', { nr: Sys.prctl, fd: -1 }],
  ['remap_file_pages', { nr: Sys.remap_file_pages, fd: -1 }],
  ['userfaultfd', { nr: Sys.userfaultfd, fd: -1 }],
  ['process_madvise', { nr: Sys.process_madvise, fd: -1 }],
  ['map_shadow_stack', { nr: Sys.map_shadow_stack, fd: -1 }],
]);

const WORDS: ReadonlyMap<string, number> = new Map([
  ['NULL', 0],
  ['PROT_NONE', 0],
  ['PROT_READ', 1],
  ['PROT_WRITE', 2],
  ['PROT_EXEC', 4],
  ['MAP_FILE', 0],
  ['MAP_SHARED', MapFlag.SHARED],
  ['MAP_PRIVATE', MapFlag.PRIVATE],
  ['MAP_SHARED_VALIDATE', MapFlag.SHARED_VALIDATE],
  ['MAP_FIXED', MapFlag.FIXED],
  ['MAP_FIXED_NOREPLACE', MapFlag.FIXED_NOREPLACE],
  ['MAP_ANONYMOUS', MapFlag.ANONYMOUS],
  ['MAP_GROWSDOWN', MapFlag.GROWSDOWN],
  ['MAP_LOCKED', MapFlag.LOCKED],
  ['MAP_NORESERVE', MapFlag.NORESERVE],
  ['MAP_POPULATE', MapFlag.POPULATE],
  ['MAP_STACK', MapFlag.STACK],
  ['MAP_HUGETLB', MapFlag.HUGETLB],
  ['MREMAP_MAYMOVE', 1],
  ['MREMAP_FIXED', 2],
  ['MREMAP_DONTUNMAP', 4],
  ['MADV_NORMAL', 0],
  ['MADV_RANDOM', 1],
  ['MADV_SEQUENTIAL', 2],
  ['MADV_WILLNEED', 3],
  ['MADV_DONTNEED', 4],
  ['MADV_FREE', 8],
  ['MADV_REMOVE', 9],
  ['MADV_DONTFORK', 10],
  ['MADV_DOFORK', 11],
  ['MADV_MERGEABLE', 12],
  ['MADV_UNMERGEABLE', 13],
  ['MADV_HUGEPAGE', 14],
  ['MADV_NOHUGEPAGE', 15],
  ['MADV_DONTDUMP', 16],
  ['MADV_DODUMP', 17],
  ['MADV_WIPEONFORK', 18],
  ['MADV_KEEPONFORK', 19],
  ['MADV_COLD', 20],
  ['MADV_PAGEOUT', 21],
  ['MADV_POPULATE_READ', 22],
  ['MADV_POPULATE_WRITE', 23],
  ['MADV_DONTNEED_LOCKED', 24],
  ['MADV_COLLAPSE', 25],
  ['MADV_GUARD_INSTALL', 102],
  ['MADV_GUARD_REMOVE', 103],
  ['MCL_CURRENT', 1],
  ['MCL_FUTURE', 2],
  ['MCL_ONFAULT', 4],
  ['MLOCK_ONFAULT', 1],
  ['SHM_RDONLY', 0x1000],
  ['SHM_EXEC', 0x8000],
  ['IPC_PRIVATE', 0],
  ['IPC_RMID', 0],
  ['IPC_SET', 1],
  ['IPC_STAT', 2],
  ['IPC_INFO', 3],
  ['IPC_64', 0x100],
  ['SHM_LOCK', 11],
  ['SHM_UNLOCK', 12],
  ['SHM_STAT', 13],
  ['SHM_INFO', 14],
  ['SHM_STAT_ANY', 15],
  ['FALLOC_FL_KEEP_SIZE', 1],
  ['FALLOC_FL_PUNCH_HOLE', 2],
  ['FALLOC_FL_COLLAPSE_RANGE', 8],
  ['FALLOC_FL_ZERO_RANGE', 16],
  ['PR_SET_MM', 35],
  ['PR_SET_THP_DISABLE', 41],
  ['PR_SET_VMA', 0x53564d41],
  ['CLONE_VM', Clone.VM],
  ['CLONE_VFORK', Clone.VFORK],
  ['CLONE_THREAD', Clone.THREAD],
]);

/** Words of these families that are not listed decide nothing; any other unknown word is NaN. */
const HARMLESS = /^(?:MAP_|SHM_|IPC_CREAT|IPC_EXCL|CLONE_|SIG|FALLOC_|PR_|PROT_|S_I)/;

/** Number in decimal, octal (a leading 0) or hexadecimal (0x); NaN if it is none. */
function numberOf(text: string): number {
  if (/^-?[0-9]+$/.test(text)) return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return /^0x[0-9a-f]{1,16}$/i.test(text) ? Number(text) : NaN;
}

/** Value of an argument: numbers and words joined by `|`, comments left out; NaN if a word is not known. */
export function valueOf(argument: string): number {
  const plain = WORDS.get(argument) ?? numberOf(argument);
  if (!Number.isNaN(plain)) return plain;
  let value = 0;
  for (const raw of argument.replace(/\/\*.*?\*\//g, '').split('|')) {
    const word = raw.trim();
    let part = WORDS.get(word) ?? numberOf(word);
    if (Number.isNaN(part)) {
      const product = /^(\d+)\*(\d+)$/.exec(word);
      if (product !== null) part = Number(product[1]) * Number(product[2]);
      else if (/^\d+<<[A-Z]/.test(word) || HARMLESS.test(word)) part = 0;
      else return NaN;
    }
    // Flags are below 2^32; a lone value may be any address.
    value = value === 0 ? part : (value | part) >>> 0;
  }
  return value;
}

/** Numbers of the signals that end processes. */
const SIGNALS: readonly string[] = (
  ' SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT ' +
  'SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS'
).split(' ');

/** Exit code of a process that a signal ended, as shells count it: 128 and the signal's number. */
export const exitCodeOf = (signal: string): number => 128 + Math.max(0, SIGNALS.indexOf(signal));

/** Puts the values of `texts` into the arguments of `task`; false if one is not understood. Missing ones are 0. */
export function setArguments(task: Task, texts: readonly string[], count: number): boolean {
  task.args.fill(0);
  for (let i = 0; i < Math.min(texts.length, count, 6); i++) {
    const value = valueOf(texts[i] as string);
    if (Number.isNaN(value)) return false;
    task.args[i] = value;
  }
  return true;
}
