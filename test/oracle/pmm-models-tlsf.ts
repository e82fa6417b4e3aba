/** The naive twin of `tlsf`: all free runs in one array, the one that went to its list last first; a run's list is worked out from its length. */
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import type { Twin } from './pmm-twin.js';

interface Run {
  readonly first: number;
  readonly end: number;
}

/** Lower bounds of the lists' sizes, ascending: 1-15, then each power of two in sixteen steps. */
const BOUNDS: number[] = Array.from({ length: 15 }, (_, i) => i + 1);
for (let power = 16; power < 2 ** 14; power *= 2) for (let i = 0; i < 16; i++) BOUNDS.push(power + (i * power) / 16);

export function tlsfTwin(map: MemoryMap): Twin {
  const runs: Run[] = map.usable.map(({ first, count }) => ({ first, end: first + count }));
  const listOf = (run: Run): number => BOUNDS.findLastIndex((bound) => bound <= run.end - run.first);
  const fit = (run: Run, size: number): number => {
    const at = Math.ceil(run.first / size) * size;
    return at + size <= run.end ? at : -1;
  };
  /** The youngest run of the lowest list that has one, from the first list of runs of at least this size on. */
  function good(size: number): Run | undefined {
    const from = BOUNDS.findIndex((bound) => bound >= size);
    const lists = runs.map(listOf).filter((list) => list >= from);
    return runs.find((run) => listOf(run) === Math.min(...lists));
  }
  function put(run: Run): void {
    if (run.first < run.end) runs.unshift(run);
  }
  return {
    allocate(order) {
      if (order > 10) return -1;
      const size = 2 ** order;
      const anywhere = [...runs].sort((a, b) => listOf(a) - listOf(b));
      const run = [good(size), good(2 * size - 1), ...anywhere].find((r) => r !== undefined && fit(r, size) >= 0);
      if (run === undefined) return -1;
      const at = fit(run, size);
      runs.splice(runs.indexOf(run), 1);
      put({ first: run.first, end: at });
      put({ first: at + size, end: run.end });
      return at;
    },
    free(frame, order) {
      let { first, end } = { first: frame, end: frame + 2 ** order };
      for (const neighbour of runs.filter((run) => run.end === frame || run.first === end)) {
        runs.splice(runs.indexOf(neighbour), 1);
        first = Math.min(first, neighbour.first);
        end = Math.max(end, neighbour.end);
      }
      put({ first, end });
    },
  };
}
