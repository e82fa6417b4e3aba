/**
 * The event model: what a trace says a program did to its memory.
 *
 * One event has time (ns since the trace's start), pid, tid, op, addr, size, addr2, arg, flags, cpu and rarely a text.
 * Readers hand events out in blocks of columns (no object per event); `docs/events.md` is the reference for people.
 */

/** Operations. The numbers are part of the .fwt format: append only. */
export const enum Op {
  fork = 1,
  vfork = 2,
  thread = 3,
  exec = 4,
  exit = 5,
  mmap = 6,
  munmap = 7,
  mremap = 8,
  mprotect = 9,
  madvise = 10,
  mlock = 11,
  munlock = 12,
  brk = 13,
  malloc = 14,
  calloc = 15,
  memalign = 16,
  realloc = 17,
  free = 18,
  share = 19,
  object = 20,
  cache = 21,
  read = 22,
  write = 23,
  fetch = 24,
  kmalloc = 25,
  kfree = 26,
  kmap = 27,
  kunmap = 28,
  page_alloc = 29,
  page_free = 30,
  sample = 31,
}

/** Name by number, index 0 unused. */
export const OP_NAMES: readonly string[] = [
  '',
  'fork',
  'vfork',
  'thread',
  'exec',
  'exit',
  'mmap',
  'munmap',
  'mremap',
  'mprotect',
  'madvise',
  'mlock',
  'munlock',
  'brk',
  'malloc',
  'calloc',
  'memalign',
  'realloc',
  'free',
  'share',
  'object',
  'cache',
  'read',
  'write',
  'fetch',
  'kmalloc',
  'kfree',
  'kmap',
  'kunmap',
  'page_alloc',
  'page_free',
  'sample',
];
export const OP_COUNT = 32;

/** Flag bits of an event; each op uses those that its row in docs/events.md lists. */
export const enum Flag {
  r = 1 << 0,
  w = 1 << 1,
  x = 1 << 2,
  shared = 1 << 3,
  fixed = 1 << 4,
  populate = 1 << 5,
  growsdown = 1 << 6,
  stack = 1 << 7,
  noreserve = 1 << 8,
  locked = 1 << 9,
  vdso = 1 << 10,
  vvar = 1 << 11,
  vm = 1 << 12,
  group = 1 << 13,
  dontunmap = 1 << 14,
  onfault = 1 << 15,
  current = 1 << 16,
  future = 1 << 17,
  file = 1 << 18,
  shm = 1 << 19,
  remove = 1 << 20,
  present = 1 << 21,
  absent = 1 << 22,
  kernel = 1 << 23,
  args = 1 << 24,
  fault = 1 << 25,
  racy = 1 << 26,
  unmovable = 1 << 27,
  movable = 1 << 28,
  reclaimable = 1 << 29,
  dma = 1 << 30,
  dma32 = 1 << 31,
}

/** Word by bit number, as CSV and messages print them. */
export const FLAG_NAMES: readonly string[] = [
  'r',
  'w',
  'x',
  'shared',
  'fixed',
  'populate',
  'grows-down',
  'stack',
  'noreserve',
  'locked',
  'vdso',
  'vvar',
  'vm',
  'group',
  'dontunmap',
  'onfault',
  'current',
  'future',
  'file',
  'shm',
  'remove',
  'present',
  'absent',
  'kernel',
  'args',
  'fault',
  'racy',
  'unmovable',
  'movable',
  'reclaimable',
  'dma',
  'dma32',
];

/** Quantities of `sample` events (arg); KiB for the memory ones, as /proc/PID/status prints them. */
export const enum Quantity {
  VmSize = 1,
  VmPTE = 2,
  RssAnon = 3,
  RssFile = 4,
  RssShmem = 5,
  minorFaults = 6,
  majorFaults = 7,
  threads = 8,
}
export const QUANTITY_NAMES: readonly string[] = [
  '',
  'vm_size_kb',
  'vm_pte_kb',
  'rss_anon_kb',
  'rss_file_kb',
  'rss_shmem_kb',
  'minor_faults',
  'major_faults',
  'threads',
];

/** Rows in a full block. */
export const BLOCK_ROWS = 65536;

/** Columns of up to BLOCK_ROWS events. A reader may hand out the same block again with other content: take what you need before the next one. */
export interface EventBlock {
  length: number;
  readonly time: Float64Array;
  readonly pid: Int32Array;
  readonly tid: Int32Array;
  readonly op: Uint8Array;
  /** addr = hi * 2^30 + lo, 0 <= lo < 2^30 (arch/address.ts). */
  readonly addrHi: Int32Array;
  readonly addrLo: Int32Array;
  readonly size: Float64Array;
  readonly addr2: Float64Array;
  readonly arg: Float64Array;
  readonly flags: Int32Array;
  readonly cpu: Int16Array;
  /** Row within the block -> text. */
  readonly text: Map<number, string>;
}

export function createBlock(): EventBlock {
  const n = BLOCK_ROWS;
  return {
    length: 0,
    time: new Float64Array(n),
    pid: new Int32Array(n),
    tid: new Int32Array(n),
    op: new Uint8Array(n),
    addrHi: new Int32Array(n),
    addrLo: new Int32Array(n),
    size: new Float64Array(n),
    addr2: new Float64Array(n),
    arg: new Float64Array(n),
    flags: new Int32Array(n),
    cpu: new Int16Array(n),
    text: new Map(),
  };
}

/** One event with every field, for tests, examples and the edges (never in the replay loop). */
export interface TraceEvent {
  time: number;
  pid: number;
  tid: number;
  op: Op;
  addr: number;
  size: number;
  addr2: number;
  arg: number;
  flags: number;
  cpu: number;
  text?: string;
}

export const TOUCHES = ['none', 'user-faults', 'faults', 'all'] as const;
export type Touches = (typeof TOUCHES)[number];

/** What a recording captured; decides whether results are exact, an estimate or a bound. */
export interface Captured {
  /** malloc/free calls. */
  heap: boolean;
  /** free calls name their pointers (false: a heap trace without pointers on free). */
  freePointers: boolean;
  /** mmap, munmap, brk, ... with their addresses. */
  mappings: boolean;
  /** fork, exec, exit. */
  processes: boolean;
  /**
   * Touched pages: 'none', 'user-faults' (first touches as perf's software event shows them: no word whether read or written, mostly none of those that the kernel
   * makes on the process's behalf), 'faults' (all first touches, as page-fault events show), 'all' (every access).
   */
  touches: Touches;
  /** sample events with the kernel's own numbers. */
  samples: boolean;
}

export interface TraceHeader {
  /** Importer that read the source: csv, perf, lackey, strace, heaptrack, synth, ... */
  source: string;
  captured: Captured;
  /** Clock of `time` in the source: monotonic, realtime, relative, none (the importer counted instead). */
  clock: string;
  pageSize: number;
  /** Kernel facts when known: release, thp, thp_sizes, pt_reclaim, ... as words. */
  kernel: Record<string, string>;
  /** Anything that tells where the recording comes from: command, date, machine, original file. */
  provenance: Record<string, string>;
}

/** One kind of line or record a reader could not use; never dropped silently. */
export interface Loss {
  cause: string;
  count: number;
  /** file:line (or file@byte) of the first. */
  first: string;
}

/** A trace that can be read any number of times, block by block. */
export interface Trace {
  readonly name: string;
  readonly header: TraceHeader;
  readonly losses: readonly Loss[];
  /** Events in all, and by op. */
  readonly rows: number;
  readonly counts: Float64Array;
  /** sha256 of the content that defines the events (not of timestamps of the file). */
  readonly hash: string;
  /** Every block in order, from the beginning, any number of times: one object with other content each time, `into` when given (a block that this trace gave before). */
  blocks(into?: EventBlock): Iterable<EventBlock>;
  close(): void;
}

/** Where importers put events: append-only, one call per event, all fields given (0 where unused). */
export interface EventSink {
  push(time: number, pid: number, tid: number, op: Op, addr: number, size: number, addr2: number, arg: number, flags: number, cpu: number, text?: string): void;
  /** Counts a line that could not be understood; throws in strict mode. */
  loss(cause: string, where: string): void;
}

/** The user's mistake or bad input: printed as one line without a stack, exit code 2. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
