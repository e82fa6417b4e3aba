/** What strategies share finds its own broken invariants: each is broken by hand, and named. */
import { describe, expect, it } from 'vitest';
import { makeBitTree } from '../../../core/pmm/bit-tree.js';
import { makeBlockLists } from '../../../core/pmm/block-lists.js';
import { makeFreeRuns } from '../../../core/pmm/free-runs.js';
import { makeHeld } from '../../../core/pmm/held.js';
import { memoryMapFromRanges, memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { makeReservedRuns } from '../../../core/pmm/reserved-runs.js';

const map = memoryMapFromSize(2048 * 4096);

function parts() {
  const held = makeHeld(map);
  const lists = makeBlockLists(map, [map.usable]);
  return { held, lists, validate: () => lists.validate('test', held) };
}

describe('frames handed out', () => {
  it('are counted, and none lies in a hole', () => {
    const held = makeHeld(
      memoryMapFromRanges([
        { first: 0, count: 10 },
        { first: 40, count: 60 },
      ]),
    );
    held.take(3, 0);
    held.validate('test');
    held.bits[0] = 1 << 4;
    held.take(5, 0);
    expect(() => held.validate('test')).not.toThrow();
    held.bits[1] = 1;
    expect(() => held.validate('test')).toThrow(/1 frames in holes are marked/);
    held.bits[1] = 0;
    held.bits[0] = 0;
    expect(() => held.validate('test')).toThrow(/0 frames are marked as handed out, 2 counted/);
  });
});

describe('lists of free blocks', () => {
  it('find a block that is in a list and handed out', () => {
    const { held, lists, validate } = parts();
    held.take(lists.take(0, 0), 0);
    expect(validate()).toBe(2047);
    held.take(4, 0);
    expect(validate).toThrow(/free block 4 of order 2 in group 0 covers a frame that is handed out/);
  });

  it('find two buddies that are not joined, and a misaligned block', () => {
    const joined = parts();
    const frame = joined.lists.take(1, 0);
    joined.lists.push(frame, 0, 0);
    joined.lists.push(frame + 1, 0, 0);
    expect(joined.validate).toThrow(/free block 1 of order 0 in group 0 has a free buddy/);
    const crooked = parts();
    crooked.lists.take(3, 0);
    crooked.lists.push(1, 1, 0);
    expect(crooked.validate).toThrow(/free block 1 of order 1 in group 0 is misaligned/);
  });

  it('find lost blocks, a state that says something else, and a wrong count', () => {
    const lost = parts();
    lost.lists.take(0, 0);
    lost.lists.unlink(1, 0, 0);
    expect(lost.validate).toThrow(/the lists of group 0 hold 2046 free frames, 2047 counted/);
    const other = parts();
    other.lists.take(0, 0);
    other.lists.state[2] = 5;
    expect(other.validate).toThrow(/free block 2 of order 1 in group 0 has state 5/);
    const inside = parts();
    inside.lists.take(0, 0);
    inside.lists.state[5] = 1;
    expect(inside.validate).toThrow(/frame 5 heads a block inside that of 4/);
  });
});

describe('runs', () => {
  it('find ends that do not know each other, and frames that are handed out', () => {
    const { held } = parts();
    const runs = makeFreeRuns(map);
    runs.add(8, 15);
    runs.validateRun('test', held, 8, 15);
    expect(() => runs.validateRun('test', held, 8, 14)).toThrow(/free run 8-14 does not know its ends/);
    held.take(12, 0);
    expect(() => runs.validateRun('test', held, 8, 15)).toThrow(/free run 8-15 covers a frame that is handed out/);
    runs.add(16, 20);
    held.give(12, 0, 0);
    expect(() => runs.validateRun('test', held, 8, 15)).toThrow(/is not joined with its neighbour/);
  });

  it('that are reserved find frames the buddies have too, and a wrong count', () => {
    const { held, lists } = parts();
    const runs = makeReservedRuns(map, held, lists, 9);
    const first = lists.take(9, 0);
    runs.reserve(first, 512, 1);
    runs.populate(first + 7);
    runs.validate('test');
    lists.push(first + 100, 0, 0);
    expect(() => runs.validate('test')).toThrow(/frame 100 is in a run and with the buddies/);
    lists.unlink(first + 100, 0, 0);
    held.take(first + 9, 0);
    expect(() => runs.validate('test')).toThrow(/run 0 has 2 frames handed out, 1 counted/);
  });
});

describe('a tree of bits', () => {
  it('finds a full word that is shown open', () => {
    const tree = makeBitTree(4096);
    for (let leaf = 0; leaf < 32; leaf++) tree.close(leaf);
    tree.validate('test');
    expect(tree.isClosed(0)).toBe(1);
    expect(tree.next(0)).toBe(32);
  });
});
