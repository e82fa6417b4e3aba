/**
 * Mappings that the kernel reports by itself (PERF_RECORD_MMAP2 and MMAP): the image that exec loads, and, where a recording has no system calls, every mapping.
 *
 * The ELF loader (fs/binfmt_elf.c) maps the first segment with the length of the whole image, cuts it back to its own length and maps the other segments into
 * the hole; the cut is not reported, so what no segment covers is unmapped here when the image is complete. The stack is reported once, by setup_arg_pages, as
 * the pages of the arguments plus 128 KiB; a later report of it is its growth, which its faults tell.
 *
 * Without system calls nobody tells munmap, and mprotect looks like mmap: a range that is mapped already with the same backing is taken for mprotect.
 */
import { Flag, Op } from '../event.js';
import type { Emit } from '../guard.js';
import { isZeroDevice, type Objects } from './objects.js';
import { Ranges } from './ranges.js';
import { fileKey, type FileIdentity } from './sides.js';
import type { Backing, Space, Task } from './tasks.js';
import type { Scanner } from '../scan.js';

const PAGE = 4096;
const HUGE = 2097152;
/** A linker that aligns segments to 2 MiB in memory and in the file leaves no sign of where the first one ends. */
const ALIGNED = 'image with segments aligned to 2 MiB: where its first segment ends is not recorded, it is taken to reach the second';
/** What setup_arg_pages adds to the pages of the arguments (fs/exec.c, stack_expand). */
const STACK_EXPAND = 131072;

/** Where the stack of a new image begins while its arguments are copied (fs/exec.c, bprm_mm_init: STACK_TOP_MAX of 4-level page tables). */
const ARGUMENTS_END = 0x7ffffffff000;

/** One line about a mapping. */
export interface Mapping extends Backing {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly shared: boolean;
  /** As printed: a path, or `[stack]`, `//anon`, ... */
  readonly name: string;
}

/** Reads `[0xADDRESS(0xBYTES) @ OFFSET MAJOR:MINOR INODE GENERATION]: rwxp NAME` (or `<buildid>` instead of device and inode); null if it is not that. */
export function readMapping(scan: Scanner): Mapping | null {
  if (!scan.eat('[')) return null;
  const start = scan.hex();
  if (!scan.eat('(')) return null;
  const bytes = scan.hex();
  if (!scan.eat(') @ ')) return null;
  const offset = scan.hex();
  let key = '';
  if (scan.eat(' ') && scan.peek() !== 60) {
    const device = scan.word();
    scan.blanks();
    key = fileKey(device, scan.decimal());
  }
  if (!scan.skipTo(']: ') || !(bytes > 0) || Number.isNaN(start) || Number.isNaN(offset)) return null;
  const rights = scan.word();
  scan.blanks();
  const name = scan.line.slice(scan.at);
  const anonymous = name === '' || name.startsWith('//anon') || name.startsWith('[') || name.startsWith('/anon_hugepage');
  const file: FileIdentity | null = anonymous ? null : { key: key === '' ? name : key, path: name };
  // The older MMAP prints 'x' or nothing instead of the four letters.
  const protection = (rights.includes('r') || rights.length < 4 ? Flag.r : 0) | (rights.includes('w') ? Flag.w : 0) | (rights.includes('x') ? Flag.x : 0);
  return { start, end: start + bytes, bytes, offset, protection, shared: rights.charAt(3) === 's', name, file };
}

/**
 * Whether it is the stack of an image that exec prepares: reported when the arguments need more than one page, before exec has left the old space, and no mapping of
 * that. A child of vfork would seem to make it in its parent's.
 */
export const isArgumentStack = ({ name, file, end }: Mapping): boolean => file === null && end === ARGUMENTS_END && name !== '[stack]';

export class Images {
  /** Images that are being loaded, by tid. */
  private readonly loading = new Map<number, { task: Task; mappings: Mapping[]; argumentPages: number }>();
  private stackEnds = new WeakMap<Space, number>();
  /** Kept only while no system call was seen. */
  private ranges: WeakMap<Space, Ranges> | null = new WeakMap();

  constructor(
    private readonly emit: Emit,
    private readonly objects: Objects,
    private readonly loss: (cause: string) => void,
  ) {}

  /** exec has begun; its arguments took `argumentPages` pages, 0 = unknown. */
  begin(task: Task, argumentPages: number): void {
    this.loading.set(task.tid, { task, mappings: [], argumentPages });
  }

  get anyLoading(): boolean {
    return this.loading.size !== 0;
  }

  isLoading(tid: number): boolean {
    return this.loading.has(tid);
  }

  /** True if a report of the stack cannot belong to the space as it is known: exec has begun, and no line said so. */
  isNewStack(task: Task, mapping: Mapping): boolean {
    return mapping.name === '[stack]' && this.stackEnds.get(task.process.space) !== mapping.end;
  }

  /** The system calls tell the mappings from here on. */
  callsAreRecorded(): void {
    this.ranges = null;
  }

  /** A mapping of the image that `task` loads. */
  load(time: number, task: Task, mapping: Mapping, cpu: number): void {
    const image = this.loading.get(task.tid);
    if (image === undefined) return;
    if (mapping.name === '[stack]') {
      this.put(time, task, mapping, Flag.growsdown, cpu);
      this.stackEnds.set(task.process.space, mapping.end);
      const reported = Math.max(1, (mapping.bytes - STACK_EXPAND) / PAGE);
      const bytes = Math.min(image.argumentPages === 0 ? reported : image.argumentPages, mapping.bytes / PAGE) * PAGE;
      this.emit(time, task.process.pid, task.tid, Op.write, mapping.end - bytes, bytes, 0, 0, Flag.args | Flag.kernel, cpu);
      return;
    }
    image.mappings.push(mapping);
    const special = mapping.name.startsWith('[vdso') ? Flag.vdso : mapping.name.startsWith('[vvar') ? Flag.vvar : 0;
    this.put(time, task, mapping, special === 0 ? Flag.fixed : special, cpu);
  }

  /** The image is complete: unmaps what the first segment's mapping reserved and no segment uses. */
  finish(time: number, tid: number, cpu: number): void {
    const image = this.loading.get(tid);
    if (image === undefined) return;
    this.loading.delete(tid);
    const { task, mappings } = image;
    for (const first of mappings) {
      const next = mappings.find((m) => m !== first && m.file !== null && m.file.key === first.file?.key && m.start > first.start && m.start < first.end);
      if (next === undefined || mappings.some((m) => m !== first && m.start <= first.start && m.end >= first.end)) continue;
      const covered = new Ranges();
      // The first segment ends where the next begins; where a hole lies between, its bytes in the file end where the next segment's begin, within a page.
      const inFile = next.offset - first.offset;
      if (inFile === next.start - first.start && first.start % HUGE === 0 && next.start % HUGE === 0) this.loss(ALIGNED);
      const own = Math.min(next.start, first.start + inFile + (next.start - first.start > inFile ? PAGE : 0));
      covered.set({ start: first.start, end: own, protection: 0, object: 0, shift: 0 });
      for (const m of mappings) if (m !== first) covered.set({ start: m.start, end: m.end, protection: 0, object: 0, shift: 0 });
      for (const gap of covered.gaps(first.start, first.end)) {
        this.emit(time, task.process.pid, task.tid, Op.munmap, gap.start, gap.end - gap.start, 0, 0, 0, cpu);
      }
    }
  }

  /** A mapping that no system call explains. */
  alone(time: number, task: Task, mapping: Mapping, cpu: number): void {
    const { space, pid } = task.process;
    if (mapping.name === '[stack]' && this.stackEnds.get(space) === mapping.end) return;
    const ranges = this.rangesOf(space);
    if (ranges === undefined) {
      this.put(time, task, mapping, 0, cpu);
      return;
    }
    const object = this.objectOf(time, mapping);
    const shift = mapping.offset - mapping.start;
    const there = ranges.within(mapping.start, mapping.end);
    const sameBacking = there.every((range) => range.object === object && (object === 0 || range.shift === shift));
    const gaps = ranges.gaps(mapping.start, mapping.end);
    if (!sameBacking || (object !== 0 && gaps.length > 0)) {
      this.put(time, task, mapping, 0, cpu);
      return;
    }
    for (const gap of gaps) this.put(time, task, { ...mapping, start: gap.start, end: gap.end, bytes: gap.end - gap.start }, 0, cpu);
    for (const range of there) {
      if (range.protection === mapping.protection) continue;
      const start = Math.max(range.start, mapping.start);
      const end = Math.min(range.end, mapping.end);
      ranges.set({ start, end, protection: mapping.protection, object, shift });
      this.emit(time, pid, task.tid, Op.mprotect, start, end - start, 0, 0, mapping.protection, cpu);
    }
  }

  /** A child got a copy of the parent's space. */
  forked(parent: Task, child: Task): void {
    const { space } = parent.process;
    if (child.process.space === space) return;
    const ranges = this.ranges?.get(space);
    if (ranges !== undefined) this.ranges?.set(child.process.space, ranges.clone());
    const stackEnd = this.stackEnds.get(space);
    if (stackEnd !== undefined) this.stackEnds.set(child.process.space, stackEnd);
  }

  private rangesOf(space: Space): Ranges | undefined {
    if (this.ranges === null) return undefined;
    let ranges = this.ranges.get(space);
    if (ranges === undefined) this.ranges.set(space, (ranges = new Ranges()));
    return ranges;
  }

  private objectOf(time: number, mapping: Mapping): number {
    return mapping.file === null || isZeroDevice(mapping.file.path) ? 0 : this.objects.ofFile(time, mapping.file);
  }

  private put(time: number, task: Task, mapping: Mapping, flags: number, cpu: number): void {
    const object = this.objectOf(time, mapping);
    const { start, end, bytes, protection } = mapping;
    const all = flags | protection | (mapping.shared ? Flag.shared : 0);
    this.rangesOf(task.process.space)?.set({ start, end, protection, object, shift: mapping.offset - start });
    this.emit(time, task.process.pid, task.tid, Op.mmap, start, bytes, object === 0 ? 0 : mapping.offset, object, all, cpu);
  }
}
