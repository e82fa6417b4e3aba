/**
 * Contiguity of mappings, per process: how few ranges, contiguous in the virtual and in the physical space, cover what a process has mapped. What range
 * translations, contiguity-aware paging and TLBs that coalesce can use (Karakostas et al., "Redundant Memory Mappings", ISCA 2015; Alverti et al.,
 * "Enhancing and Exploiting Contiguity for Fast Memory Virtualization", ISCA 2020).
 *
 * A process is measured at sample points, whenever it has a twentieth more pages than when it was measured last: so within a twentieth of the most pages it
 * had at any sample point, for a bounded number of walks. One that lives between two sample points is not seen. The zero pages are nobody's memory and left out.
 */
import { coverage } from '../metrics/fragmentation.js';
import { HugeCell } from '../vmm/machine.js';
import { walkUserHalf } from '../vmm/table-walk.js';
import type { Vmm } from '../vmm/vmm.js';
import { COVER_PERCENTS, LARGEST_RANGES } from './result.js';
import type { ProcessContiguity } from './result.js';

/** Measured again when what is measured grew by a twentieth: a bounded number of walks over the tables. */
export const GROWTH = 1.05;

export type Contiguity = ReturnType<typeof makeContiguity>;

export function makeContiguity(vmm: Vmm) {
  const { machine, processes } = vmm;
  const { tables, rss, users } = machine;
  const { space, pidOf, commands } = processes;
  /** By process slot. */
  const measured = new Map<number, Omit<ProcessContiguity, 'command'>>();
  /** Resident pages of the process when it was measured last, by slot. */
  const residentThen = new Map<number, number>();

  /** Lengths in pages of the ranges found, the first `found` of them; grows. */
  let lengths = new Float64Array(1 << 12);
  let found = 0;
  function add(length: number): void {
    if (length === 0) return;
    if (found === lengths.length) {
      const longer = new Float64Array(2 * found);
      longer.set(lengths);
      lengths = longer;
    }
    lengths[found++] = length;
  }

  /** Adds the ranges of a space to `lengths`, in address order. */
  function addRangesOf(s: number): void {
    const zero = machine.zeroFrame;
    const hugeZero = machine.huge[HugeCell.zero];
    let page = -1;
    let frame = -1;
    let length = 0;
    walkUserHalf(tables, s, {
      leaf: (at, f, pages, present) => {
        if (!present || f === (pages === 1 ? zero : hugeZero)) return;
        if (at === page && f === frame) length += pages;
        else {
          add(length);
          length = pages;
        }
        page = at + pages;
        frame = f + pages;
      },
    });
    add(length);
  }

  /** Ranges, longest first, that cover 80, 90 and 99 % of what all live spaces map. */
  function overall(): readonly number[] {
    found = 0;
    for (let s = 1; s <= processes.cells[2]!; s++) if (users[s]! > 0) addRangesOf(s);
    return coverage(lengths.subarray(0, found), COVER_PERCENTS, []).toCover;
  }

  /** Resident pages of all live spaces. */
  function mapped(): number {
    let pages = 0;
    for (let s = 1; s <= processes.cells[2]!; s++) if (users[s]! > 0) pages += rss[s << 3]!;
    return pages;
  }

  /** Measures the processes that grew; a space that several share is the first one's. */
  function sample(event: number): void {
    const seen = new Set<number>();
    for (let p = 0; p < processes.cells[0]!; p++) {
      const s = space[p]! - 1;
      if (s < 0 || seen.has(s)) continue;
      seen.add(s);
      const resident = rss[s << 3]!;
      if (resident <= (residentThen.get(p) ?? 0) * GROWTH) continue;
      residentThen.set(p, resident);
      found = 0;
      addRangesOf(s);
      const { total, toCover, covered } = coverage(lengths.subarray(0, found), COVER_PERCENTS, LARGEST_RANGES);
      measured.set(p, { pid: pidOf[p]!, event, pages: total, ranges: found, toCover, covered });
    }
  }

  /** What was measured, in the order in which the processes appeared. */
  const list = (): ProcessContiguity[] => [...measured].sort(([a], [b]) => a - b).map(([p, entry]) => ({ ...entry, command: commands.get(p) ?? '' }));

  return { sample, overall, mapped, list };
}
