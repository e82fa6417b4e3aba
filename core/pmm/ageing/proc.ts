/** Reads /proc/buddyinfo and /proc/pagetypeinfo (Linux mm/vmstat.c; Documentation/filesystems/proc.rst). Bad content is a UserError that names the file and its line. */
import { UserError } from '../../../traces/event.js';
import { MAX_ORDER } from '../allocator.js';
import type { ByType, MachineLayout } from './machine.js';

export interface ProcFile {
  readonly name: string;
  readonly text: string;
}

const ORDERS = MAX_ORDER + 1;
const COUNTS = `${ORDERS} counts (free blocks of order 0 to ${MAX_ORDER})`;

const BUDDY = /^Node\s+(\d+), zone\s+(\S+)\s+([\d\s]+)$/;
/** The kernel stops counting at 100000 and prints >100000. */
const BY_TYPE = /^Node\s+(\d+), zone\s+(\S+), type\s+(\S+)\s+([\d\s>]+)$/;
const BLOCKS = /^Node\s+(\d+), zone\s+(\S+)\s+([\d\s]+)$/;
const BLOCKS_HEAD = /^Number of blocks type\s+(.+)$/;
const PER_BLOCK = /^Pages per block:\s+(\d+)\s*$/;

/** Whether a text is /proc/pagetypeinfo rather than /proc/buddyinfo. */
const isPagetypeinfo = (text: string): boolean => text.includes('Pages per block:');

/** The layout that a machine's two files tell of, given in either order. */
export function machineLayout(files: readonly [ProcFile, ProcFile]): MachineLayout {
  const [one, other] = files;
  const types = files.filter(({ text }) => isPagetypeinfo(text));
  if (types.length !== 1)
    throw new UserError(
      `--age ${one.name},${other.name}: expected one file as /proc/buddyinfo and one as /proc/pagetypeinfo (which root can read), both ${types.length === 0 ? 'lack' : 'have'} the line "Pages per block"`,
    );
  const [pagetypeinfo] = types as [ProcFile];
  const free = freeBlocks(pagetypeinfo === one ? other : one);
  return layoutOf(free, pagetypeinfo);
}

function numbers(text: string): number[] {
  return text
    .trim()
    .split(/\s+/)
    .map((word) => Number(word.replace('>', '')));
}

function wrong({ name }: ProcFile, line: number, expected: string): UserError {
  return new UserError(`${name}:${line}: expected ${expected}`);
}

/** Free blocks by order, by node and zone. */
function freeBlocks(file: ProcFile): ReadonlyMap<string, readonly number[]> {
  const zones = new Map<string, readonly number[]>();
  for (const [i, line] of file.text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const match = BUDDY.exec(line.trim());
    const counts = match === null ? [] : numbers(match[3]!);
    if (match === null || counts.length !== ORDERS) throw wrong(file, i + 1, `a line of /proc/buddyinfo, such as "Node 0, zone Normal" and ${COUNTS}`);
    zones.set(`${match[1]} ${match[2]}`, counts);
  }
  if (zones.size === 0) throw new UserError(`${file.name}: empty; expected lines of /proc/buddyinfo`);
  return zones;
}

function layoutOf(free: ReadonlyMap<string, readonly number[]>, file: ProcFile): MachineLayout {
  const byZone = new Map<string, Map<string, readonly number[]>>();
  const frames = { unmovable: 0, reclaimable: 0, movable: 0 };
  let perBlock = 0;
  let columns: (keyof ByType)[] | null = null;
  for (const [i, raw] of file.text.split('\n').entries()) {
    const line = raw.trim();
    const size = PER_BLOCK.exec(line);
    if (size !== null) perBlock = Number(size[1]);
    const head = BLOCKS_HEAD.exec(line);
    if (head !== null) columns = head[1]!.trim().split(/\s+/).map(typeOf);
    const typed = BY_TYPE.exec(line);
    if (typed !== null) {
      const counts = numbers(typed[4]!);
      if (counts.length !== ORDERS) throw wrong(file, i + 1, COUNTS);
      const zone = `${typed[1]} ${typed[2]}`;
      byZone.set(zone, (byZone.get(zone) ?? new Map<string, readonly number[]>()).set(typed[3]!.toLowerCase(), counts));
    }
    const blocks = columns === null ? null : BLOCKS.exec(line);
    if (blocks === null || columns === null) continue;
    const counts = numbers(blocks[3]!);
    if (counts.length !== columns.length) throw wrong(file, i + 1, `${columns.length} counts of pageblocks, one a migrate type`);
    for (const [c, type] of columns.entries()) frames[type] += counts[c]! * perBlock;
  }
  const all = frames.unmovable + frames.reclaimable + frames.movable;
  if (columns === null || all === 0 || !Number.isSafeInteger(all))
    throw new UserError(`${file.name}: no pageblocks are counted; expected the part "Number of blocks type" of /proc/pagetypeinfo`);
  const out: ByType[] = [];
  for (let order = 0; order < ORDERS; order++) {
    let [unmovable, reclaimable, movable] = [0, 0, 0];
    for (const [zone, counts] of free) {
      // The files were read one after the other, so that counts differ a little: those of buddyinfo hold, and what pagetypeinfo says splits them.
      const total = counts[order]!;
      const u = Math.min(total, byZone.get(zone)?.get('unmovable')?.[order] ?? 0);
      const r = Math.min(total - u, byZone.get(zone)?.get('reclaimable')?.[order] ?? 0);
      unmovable += u;
      reclaimable += r;
      movable += total - u - r;
    }
    out.push({ unmovable, reclaimable, movable });
  }
  return { kind: 'machine', frames: all, framesByType: frames, free: out };
}

function typeOf(word: string): keyof ByType {
  const type = word.toLowerCase();
  return type === 'unmovable' || type === 'reclaimable' ? type : 'movable';
}
