/**
 * Page tables under test beside their oracle: a frame source that runs out, an observer that writes down what it is told, and a comparison
 * of the two that reads the raw entries, not the bitmaps.
 */
import { expect } from 'vitest';
import type { Architecture, PageTables } from '../../arch/arch.js';
import type { Space, Told } from './page-table-model.js';
import { PageTableOracle } from './page-tables.js';

/** Plain equality first: asserting each of millions of equal numbers would take most of the time. */
export function agree<T>(actual: T, expected: T, what?: string): void {
  if (actual === expected) return;
  if (Array.isArray(actual) && Array.isArray(expected) && actual.length === expected.length && actual.every((a, i) => a === expected[i])) return;
  expect(actual, what).toEqual(expected);
}

/** Frames 0..limit-1, handed out in an order of its own; checks everything that is asked of it. */
export class CountingFrames {
  readonly taken = new Set<number>();
  private readonly spare: number[] = [];
  private next = 0;
  constructor(public limit: number) {}

  allocate(order: number, kind: number, cpu: number, near: number, owner: number): number {
    agree([order, kind, cpu, near], [0, 3, 0, -1], 'a frame for a table');
    agree(Number.isInteger(owner) && owner >= -1, true, 'the owner of a table');
    if (this.taken.size >= this.limit) return -1;
    const frame = this.taken.size % 3 === 0 && this.spare.length > 0 ? this.spare.shift()! : (this.spare.pop() ?? this.next++);
    this.taken.add(frame);
    return frame;
  }

  free(frame: number, order: number, cpu: number): number {
    agree([order, cpu], [0, 0], 'a frame of a table');
    if (!this.taken.delete(frame)) return -22;
    this.spare.push(frame);
    return 0;
  }
}

export interface Rig {
  readonly tables: PageTables;
  readonly frames: CountingFrames;
  readonly told: Told[];
}

export const MAX_SPACES = 4;
/** More frames than any test lets the source hand out. */
const TOTAL_FRAMES = 512;

export function makeRig(arch: Architecture, frames: number): { real: Rig; model: PageTableOracle } {
  const source = new CountingFrames(frames);
  const told: Told[] = [];
  const note =
    (what: Told['what']) =>
    (low: number, word0: number, level: number): void => {
      told.push({ what, frame: (low >>> 0) + (word0 >>> 24) * 2 ** 32, flags: word0 & 0xffffff, level });
    };
  const tables = arch.create({
    frames: source,
    totalFrames: TOTAL_FRAMES,
    maxSpaces: MAX_SPACES,
    maxTables: TOTAL_FRAMES,
    observer: { dropped: note('dropped'), copied: note('copied') },
  });
  return { real: { tables, frames: source, told }, model: new PageTableOracle(arch.geometry, MAX_SPACES, frames, 52) };
}

/** hi and lo of a page, as the policy functions take them. */
export function splitPage(tables: PageTables, page: number): [hi: number, lo: number] {
  const bytes = page * tables.PAGE_SIZE;
  const hi = Math.floor(bytes / 2 ** 30);
  return [hi, bytes - hi * 2 ** 30];
}

/** First pages of what the last range operation touched, as `zapped` tells them (at most 32), with their number. */
export function zappedPages(tables: PageTables): { count: number; pages: number[] } {
  const z = tables.zapped;
  const pages = Array.from({ length: Math.min(z[0]!, 32) }, (_, k) => (z[2 + 2 * k]! * 2 ** 30 + z[3 + 2 * k]!) / tables.PAGE_SIZE);
  return { count: z[0]!, pages };
}

/** Compares a space with the model by reading all raw entries from the root down; a process' upper half is left out. */
function compareSpace(tables: PageTables, pid: number, space: Space): void {
  const { pt, tableOf, geometry } = tables;
  const entries = 2 ** geometry.indexBits;
  const half = 2 ** (geometry.vaBits - geometry.pageShift - 1);
  const found: string[] = [];
  let leaves = 0;
  const visit = (t: number, level: number, base: number): void => {
    const span = entries ** (level - 1);
    for (let i = 0; i < entries; i++) {
      const w0 = pt[t + 2 * i]!;
      if (w0 === 0) continue;
      let first = base + i * span;
      if (level === geometry.levels && first >= half) {
        if (pid >= 0) continue;
        first -= 2 * half;
      }
      if (level === 1 || (w0 & 128) !== 0) {
        leaves++;
        const leaf = space.leaves.get(first);
        const seen = { frame: (pt[t + 2 * i + 1]! >>> 0) + (w0 >>> 24) * 2 ** 32, flags: w0 & 0xffffff, level };
        if (leaf === undefined || leaf.frame !== seen.frame || leaf.flags !== seen.flags || leaf.level !== level)
          expect({ pid, first, seen }).toEqual({ pid, first, seen: leaf });
      } else {
        found.push(`${level - 1}:${first / span}`);
        visit(tableOf[pt[t + 2 * i + 1]!]!, level - 1, first);
      }
    }
  };
  visit(pid < 0 ? tables.kernelRoot() : tables.root[pid]!, geometry.levels, 0);
  agree(leaves, space.leaves.size, 'leaves');
  agree(found.sort(), [...space.tables.keys()].sort(), 'tables');
}

/** Compares frames and counts; `fully`: every entry too, and the tables' own check. */
export function compare(model: PageTableOracle, real: Rig, fully: boolean): void {
  const { tables } = real;
  if (fully) tables.validate();
  agree(real.frames.limit - real.frames.taken.size, model.free, 'free frames');
  const counts = Array.from({ length: tables.geometry.levels + 1 }, () => 0);
  for (let pid = -1; pid < MAX_SPACES; pid++) {
    const space = model.spaces.get(pid);
    const own = Array.from({ length: tables.geometry.levels + 1 }, () => 0);
    if (pid >= 0) agree(tables.root[pid] !== 0, space !== undefined, 'a space exists');
    if (space !== undefined) {
      if (fully) compareSpace(tables, pid, space);
      own[tables.geometry.levels] = 1;
      own[1]! += space.deposited + space.withdrawn;
      for (const table of space.tables.values()) own[table.level]!++;
    }
    const told = pid < 0 ? tables.kernelTables : tables.spaceTables.subarray(pid * 8, pid * 8 + 8);
    own.forEach((n, level) => (counts[level]! += n));
    agree([...told.subarray(0, own.length)], own, 'table counts of a space');
  }
  agree([...tables.tableCount.subarray(0, counts.length)], counts, 'table counts');
}
