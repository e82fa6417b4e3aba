/**
 * The contiguity map: runs of free blocks of the largest order (4 MiB) that lie beside each other, found by next fit.
 *
 * Source: Alverti et al., Enhancing and Exploiting Contiguity for Fast Memory Virtualization, ISCA 2020, section 4.2: CA paging keeps such a
 * map of clusters of MAX_ORDER blocks above the buddies and places with next fit. Here the blocks themselves are looked at.
 */
import type { BlockLists } from './block-lists.js';
import type { MemoryMap } from './memory-map.js';

export interface TopRun {
  /** First block (frame / 1024), and how many there are: the first run that is long enough, else the longest; blocks = 0: none is free. */
  first: number;
  blocks: number;
}

export function makeTopBlocks(map: MemoryMap, lists: BlockLists) {
  const blocks = Math.ceil(map.frames / 1024);
  const cell = new Int32Array(32); // [0] the rover: where the next search begins, [1], [2] the run found
  const work = new Float64Array(16);

  /** Finds a run of `want` blocks from the rover on, going round. The answer is in `found`. Moves the rover behind what is wanted. */
  function search(want: number): void {
    cell[1] = 0;
    cell[2] = 0;
    if (lists.freeBlocks(10) === 0) return;
    const rover = cell[0]! % blocks;
    let length = 0;
    // Once round, and on to the end of a run that began before the rover's place.
    for (let i = 0; i < blocks + want && cell[2]! < want; i++) {
      const at = rover + i;
      const block = at % blocks;
      work[0]! += 1;
      // A run does not go on from the end of memory to its start.
      if (block === 0) length = 0;
      length = lists.isTop(block) ? length + 1 : 0;
      if (length > cell[2]!) {
        cell[1] = block - length + 1;
        cell[2] = length;
      }
    }
    cell[0] = cell[1]! + Math.min(cell[2]!, want);
  }

  return { search, firstBlock: (): number => cell[1]!, blockCount: (): number => cell[2]!, steps: (): number => work[0]! };
}
