/**
 * Physical memory as ranges of usable frames with holes between them, and the ways to get one: a plain size, or the
 * map that the firmware of a PC hands to the kernel (e820).
 *
 * Sources: ACPI specification ch. 15 (System Address Map Interfaces); Linux arch/x86/kernel/e820.c
 * (e820__print_table, e820__update_table), mm/memblock.c (memblock_trim_memory).
 * Not modelled: what a kernel takes out of the map for itself (frame 0, the legacy hole 0xa0000-0xfffff, its own image).
 * The map is used as given; a plain size has no holes at all. NUMA nodes and zones are not modelled.
 */
import { UserError } from '../../traces/event.js';

export interface FrameRange {
  /** First frame and number of frames. */
  readonly first: number;
  readonly count: number;
}

export interface MemoryMap {
  /** Usable ranges, ascending, disjoint, not adjacent, each at least one frame. */
  readonly usable: readonly FrameRange[];
  /** One past the last usable frame: the size that arrays indexed by frame need. */
  readonly frames: number;
  /** Sum of the usable counts. */
  readonly usableFrames: number;
}

const FRAME_BYTES = 4096;
/** Frame numbers and their counts are int32 in every hot loop: less than 8 TiB. */
const MAX_FRAMES = 2 ** 31 - 1;

/** Frames 0..n-1, n = bytes / 4096 rounded down. Throws UserError below one frame and from 8 TiB on. */
export function memoryMapFromSize(bytes: number): MemoryMap {
  if (!Number.isFinite(bytes) || bytes < FRAME_BYTES) {
    throw new UserError(`--memory: ${bytes} bytes hold no frame; expected at least 4KiB, for example --memory 4GiB`);
  }
  const frames = Math.floor(bytes / FRAME_BYTES);
  if (frames > MAX_FRAMES) {
    throw new UserError(`--memory: ${bytes} bytes are 8TiB or more; frames are counted in 31 bits, so give less than 8TiB, for example --memory 4TiB`);
  }
  return { usable: [{ first: 0, count: frames }], frames, usableFrames: frames };
}

/**
 * A map of the given frame ranges in any order; overlapping and adjacent ones are joined, empty ones dropped.
 * Throws RangeError when nothing is left or a number is not a frame number below 2^31.
 */
export function memoryMapFromRanges(ranges: readonly FrameRange[]): MemoryMap {
  const sorted = ranges.filter((r) => r.count > 0).sort((a, b) => a.first - b.first);
  const usable: { first: number; count: number }[] = [];
  for (const { first, count } of sorted) {
    if (!Number.isInteger(first) || !Number.isInteger(count) || first < 0 || first + count > MAX_FRAMES) {
      throw new RangeError(`no frame range: first ${first}, count ${count}`);
    }
    const last = usable.at(-1);
    if (last !== undefined && first <= last.first + last.count) last.count = Math.max(last.count, first + count - last.first);
    else usable.push({ first, count });
  }
  const end = usable.at(-1);
  if (end === undefined) throw new RangeError('a memory map needs at least one usable frame');
  return { usable, frames: end.first + end.count, usableFrames: usable.reduce((sum, r) => sum + r.count, 0) };
}

/** Index in `map.usable` of the first range that ends above the frame, or the number of ranges. */
export function rangeFrom(map: MemoryMap, frame: number): number {
  let low = 0;
  let high = map.usable.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = map.usable[middle];
    if (range !== undefined && range.first + range.count <= frame) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** True when the frame lies in a usable range. */
export function isUsable(map: MemoryMap, frame: number): boolean {
  const range = map.usable[rangeFrom(map, frame)];
  return range !== undefined && range.first <= frame;
}

/** Usable frames in [first, first + count). */
export function usableIn(map: MemoryMap, first: number, count: number): number {
  let sum = 0;
  for (let i = rangeFrom(map, first); i < map.usable.length; i++) {
    const range = map.usable[i];
    if (range === undefined || range.first >= first + count) break;
    sum += Math.min(range.first + range.count, first + count) - Math.max(range.first, first);
  }
  return sum;
}

/** Bit i is set when frame 32 * word + i is usable. */
export function usableWord(map: MemoryMap, word: number): number {
  const base = word * 32;
  let mask = 0;
  for (let i = rangeFrom(map, base); i < map.usable.length; i++) {
    const range = map.usable[i];
    if (range === undefined || range.first >= base + 32) break;
    const low = Math.max(range.first - base, 0);
    const high = Math.min(range.first + range.count - base, 32);
    mask |= (-1 << low) & (-1 >>> (32 - high));
  }
  return mask;
}

// ---- e820

const BIOS_LINE = /BIOS-e820:\s*\[mem\s+(0x[0-9a-f]{1,16})\s*-\s*(0x[0-9a-f]{1,16})\]\s*(.+?)\s*$/i;
const PLAIN_LINE = /^(?:0x)?([0-9a-f]{1,16})(?:\s*-\s*|\s+)(?:0x)?([0-9a-f]{1,16})\s+(.+?)\s*$/i;
/** Words of e820_print_type; only the first is memory a kernel may hand out. */
const USABLE_TYPE = 'usable';
const OTHER_TYPES = /^(?:reserved|soft reserved|device reserved|acpi data|acpi nvs|unusable|persistent(?: \(type \d+\))?|type \d+)$/;

interface Entry {
  /** Byte range, end exclusive. Ends above 2^53 are rounded up, which only matters for entries far above 8 TiB. */
  readonly start: number;
  readonly end: number;
  readonly usable: boolean;
}

/**
 * The memory map in a kernel's boot log or in a plain file. One entry a line, end inclusive:
 *
 *     [    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
 *     0x0 0x9fbff usable
 *
 * If any line holds `BIOS-e820:`, the text is a log and its other lines are ignored; otherwise every line that is
 * neither empty nor a comment (#) must be an entry. Entries may overlap and come in any order: what any of them calls
 * something else than usable is not usable (Linux lets the higher type number win and usable is the lowest). Usable
 * bytes that touch are joined, then pages that are not wholly usable are left out.
 *
 * Throws UserError naming file:line for a line that is no entry, file for a text without a usable page.
 */
export function parseE820(text: string, file: string): MemoryMap {
  const lines = text.split(/\r?\n/);
  const log = lines.some((line) => line.includes('BIOS-e820:'));
  const entries: Entry[] = [];
  lines.forEach((line, index) => {
    if (log ? !line.includes('BIOS-e820:') : /^\s*(?:#.*)?$/.test(line)) return;
    entries.push(parseEntry(line, `${file}:${index + 1}`));
  });
  const ranges: FrameRange[] = [];
  for (const [start, end] of subtract(joined(entries, true), joined(entries, false))) {
    const first = Math.ceil(start / FRAME_BYTES);
    const count = Math.floor(end / FRAME_BYTES) - first;
    if (count > 0) ranges.push({ first, count });
  }
  if (ranges.length === 0) {
    throw new UserError(
      `${file}: no usable page; expected lines such as 'BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable' or '0x100000 0xbffdffff usable'`,
    );
  }
  return memoryMapFromRanges(ranges);
}

function parseEntry(line: string, where: string): Entry {
  const match = BIOS_LINE.exec(line) ?? PLAIN_LINE.exec(line.trim());
  const [, from, to, type] = match ?? [];
  if (from === undefined || to === undefined || type === undefined) {
    throw new UserError(`${where}: no e820 entry: '${line.trim().slice(0, 80)}'; expected 'BIOS-e820: [mem 0xFIRST-0xLAST] TYPE' or '0xFIRST 0xLAST TYPE'`);
  }
  const first = BigInt('0x' + from.replace(/^0x/i, ''));
  const last = BigInt('0x' + to.replace(/^0x/i, ''));
  if (last < first) throw new UserError(`${where}: the entry ends at ${to}, before its start ${from}; the second address is the last byte of the range`);
  const word = type.toLowerCase();
  const usable = word === USABLE_TYPE;
  if (!usable && !OTHER_TYPES.test(word)) {
    throw new UserError(
      `${where}: unknown type '${type}'; expected usable, reserved, soft reserved, ACPI data, ACPI NVS, unusable, persistent (type N) or type N`,
    );
  }
  if (usable && last >= BigInt(MAX_FRAMES) * BigInt(FRAME_BYTES)) {
    throw new UserError(`${where}: usable memory ends at ${to}, but frames are counted in 31 bits; cut the entry below 8TiB`);
  }
  return { start: Number(first), end: Number(last + 1n), usable };
}

/** The union of the entries that are (not) usable, as ascending disjoint [start, end) pairs. */
function joined(entries: readonly Entry[], usable: boolean): [number, number][] {
  const union: [number, number][] = [];
  for (const { start, end } of entries.filter((e) => e.usable === usable).sort((a, b) => a.start - b.start)) {
    const last = union.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else union.push([start, end]);
  }
  return union;
}

/** The parts of `from` that no range of `less` covers; both ascending and disjoint. */
function subtract(from: readonly [number, number][], less: readonly [number, number][]): [number, number][] {
  const rest: [number, number][] = [];
  for (const [start, end] of from) {
    let at = start;
    for (const [cutStart, cutEnd] of less) {
      if (cutEnd <= at || cutStart >= end) continue;
      if (cutStart > at) rest.push([at, cutStart]);
      at = Math.max(at, cutEnd);
    }
    if (at < end) rest.push([at, end]);
  }
  return rest;
}
