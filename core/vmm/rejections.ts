/** Events that the simulated kernel refused, by cause, with the number of the first: a simulated outcome, never a crash. */
import type { Loss } from '../../traces/event.js';

export const enum Reject {
  unknownProcess = 0,
  notMapped = 1,
  protection = 2,
  outOfMemory = 3,
  wildFree = 4,
  badRange = 5,
  overlap = 6,
  unknownObject = 7,
  beyondObject = 8,
  badMremap = 9,
  doubleAllocation = 10,
  unsupportedAdvice = 11,
  existingProcess = 12,
  kmapWindow = 13,
  noBreak = 14,
  wildKfree = 15,
  wildPageFree = 16,
  blockSpansMappings = 17,
  length = 18,
}

const CAUSES: readonly string[] = [
  'event of an unknown process',
  'access to an address that nothing maps',
  'access that the mapping forbids',
  'out of frames',
  'free of an unknown pointer',
  'range that is empty, negative or leaves the user half of the address space',
  'mmap over an existing mapping without fixed',
  'object that no event announced',
  'access beyond the end of the object',
  'mremap of a range that is not one mapping',
  'allocation at an address where a block lives',
  'madvise advice that is not modelled',
  'fork to a pid that is still alive',
  'kmap without a free slot, or kunmap of a page that is not mapped',
  'brk below the start of the heap',
  'kfree of an unknown pointer',
  'page_free of frames that no page_alloc gave',
  'block that spans recorded mappings and holes',
];

export type Rejections = ReturnType<typeof makeRejections>;

export function makeRejections() {
  const counts = new Float64Array(32);
  const first = new Float64Array(32).fill(-1);
  /** [0] the number of the event that is being replayed, [1] the last one rejected, [2] events rejected. */
  const event = new Float64Array([-1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

  /** Counts a rejection; returns 0 so that handlers can `return reject(...)` for "not resolved". */
  function reject(cause: number): number {
    if (counts[cause] === 0) first[cause] = event[0]!;
    counts[cause]! += 1;
    if (event[1] !== event[0]) {
      event[1] = event[0]!;
      event[2]! += 1;
    }
    return 0;
  }
  function list(): Loss[] {
    const out: Loss[] = [];
    for (let i = 0; i < Reject.length; i++) {
      if (counts[i]! > 0) out.push({ cause: CAUSES[i]!, count: counts[i]!, first: `event ${first[i]}` });
    }
    return out;
  }
  /** Events of which something was rejected. */
  function total(): number {
    return event[2]!;
  }
  return { reject, counts, event, list, total };
}
