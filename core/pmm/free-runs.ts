/**
 * Free runs of frames of any length, known by their two ends: what strategies with runs instead of blocks share.
 *
 * Source: boundary tags, Knuth, The Art of Computer Programming vol. 1, 2.5, algorithm C: both ends of a free run say where
 * the other end is, so that a freed block finds its free neighbours at once.
 *
 *     frame     first . . . . last
 *     other     last          first
 *     ends      1             2             (3 for a run of one frame, 0 elsewhere)
 */
import { usableIn, type MemoryMap } from './memory-map.js';
import type { Held } from './held.js';
import { reserveInt32, reserveUint8 } from './reserve.js';

const enum End {
  first = 1,
  last = 2,
}

export function makeFreeRuns(map: MemoryMap) {
  /** A frame more at both ends, so that the neighbours of a run may be asked for. */
  const ends = reserveUint8(map.frames + 2);
  const other = reserveInt32(map.frames + 2);

  function add(first: number, last: number): void {
    ends[first + 1] = ends[first + 1]! | End.first;
    ends[last + 1] = ends[last + 1]! | End.last;
    other[first + 1] = last;
    other[last + 1] = first;
  }

  function remove(first: number, last: number): void {
    ends[first + 1] = ends[first + 1]! & ~End.first;
    ends[last + 1] = ends[last + 1]! & ~End.last;
  }

  return {
    add,
    remove,
    /** Last frame of the run that begins here. */
    lastOf: (first: number): number => other[first + 1]!,
    /** First frame of the run that ends at this frame, or -1. */
    endingAt: (frame: number): number => ((ends[frame + 1]! & End.last) !== 0 ? other[frame + 1]! : -1),
    /** Last frame of the run that begins at this frame, or -1. */
    beginningAt: (frame: number): number => ((ends[frame + 1]! & End.first) !== 0 ? other[frame + 1]! : -1),
    /** Throws an Error unless the run is free, within one usable range and known by both ends. */
    validateRun(name: string, held: Held, first: number, last: number): void {
      const what = `${name}: free run ${first}-${last}`;
      if (last < first || other[first + 1] !== last || other[last + 1] !== first) throw new Error(`${what} does not know its ends`);
      if ((ends[first + 1]! & End.first) === 0 || (ends[last + 1]! & End.last) === 0) throw new Error(`${what} has an end that is not marked`);
      if (usableIn(map, first, last - first + 1) !== last - first + 1) throw new Error(`${what} covers a hole`);
      for (let frame = first; frame <= last; frame = nextFrame(frame)) {
        // Whole words at once: a fresh run may have 2^28 frames.
        if (frame % 1024 === 0 && frame + 1023 <= last ? !held.isClear(frame, 10) : held.isFree(frame) === 0)
          throw new Error(`${what} covers a frame that is handed out`);
      }
      if ((ends[first]! & End.last) !== 0 || (ends[last + 2]! & End.first) !== 0) throw new Error(`${what} is not joined with its neighbour`);

      function nextFrame(frame: number): number {
        return frame % 1024 === 0 && frame + 1023 <= last ? frame + 1024 : frame + 1;
      }
    },
  };
}
