import { describe, expect, it } from 'vitest';
import { freeStack } from '../../../core/pmm/free-stack.js';
import { memoryMapFromRanges } from '../../../core/pmm/memory-map.js';

describe('free-stack', () => {
  const map = memoryMapFromRanges([
    { first: 2, count: 3 },
    { first: 9, count: 2 },
  ]);
  const make = (): { take: () => number; give: (frame: number) => number; steps: () => number; order1: () => number } => {
    const pmm = freeStack.create({ map, cpus: 1, seed: 1 });
    return { take: () => pmm.allocate(0, 0, 0, -1, 0), give: (frame) => pmm.free(frame, 0, 0), steps: pmm.steps, order1: () => pmm.allocate(1, 0, 0, -1, 0) };
  };

  it('hands out the lowest frames first, and what was freed last before all others', () => {
    const { take, give } = make();
    expect([take(), take(), take(), take()]).toEqual([2, 3, 4, 9]);
    expect([give(3), give(9), give(2)]).toEqual([0, 0, 0]);
    expect([take(), take(), take(), take(), take()]).toEqual([2, 9, 3, 10, -1]);
  });

  it('serves single frames only, and counts one step an operation', () => {
    const { take, give, steps, order1 } = make();
    expect([order1(), steps()]).toEqual([-1, 1]);
    expect([take(), steps()]).toEqual([2, 2]);
    expect([give(2), steps()]).toEqual([0, 3]);
    expect([give(2), steps()]).toEqual([-1, 4]);
    expect([give(5), steps()]).toEqual([-22, 5]);
  });
});
