/**
 * Radix page tables in simulated frames: the machinery shared by x86-64 and its siblings. An architecture gives its geometry and how an
 * entry looks (`RadixSpec`), and gets every function of `PageTables`.
 *
 * Levels are counted from the leaf. Supported: 3 to 5 levels, tables of 64 to 32768 entries, large leaves at contiguous levels from 2 up,
 * the upper half of the address space shared by all spaces through the root's upper half. Not supported: separate roots for the halves
 * (the AArch64 pair TTBR0/TTBR1 is modelled by the two halves of one root).
 *
 * `makeRadix` is to be called once per isolate where speed matters: see arch/radix/store.ts.
 */
import type { ArchOptions, PageTables } from './arch.js';
import { makeAudit } from './radix/audit.js';
import { makeMove } from './radix/move.js';
import { makeRange } from './radix/range.js';
import { makeSpace } from './radix/space.js';
import { makeSplit } from './radix/split.js';
import { Cell, makeStore, type RadixSpec } from './radix/store.js';
import { makeVmap } from './radix/vmap.js';
import { makeWalk } from './radix/walk.js';

export type { RadixSpec } from './radix/store.js';

export function makeRadix(spec: RadixSpec, options: ArchOptions): PageTables {
  const store = makeStore(spec, options);
  const walk = makeWalk(store);
  const split = makeSplit(store, walk);
  const range = makeRange(store, walk, split);
  const space = makeSpace(store, walk);
  const move = makeMove(store, walk, split, range, space);
  const map = makeVmap(store, walk, range);
  const audit = makeAudit(store);
  const { state, roots, spaceCount } = store;
  return {
    geometry: spec.geometry,
    PAGE_SIZE: 2 ** spec.geometry.pageShift,
    vmap: map.vmap,
    vunmap: map.vunmap,
    vismappedto: map.vismappedto,
    vgetmapping: map.vgetmapping,
    createSpace: space.createSpace,
    destroySpace: space.destroySpace,
    root: roots.subarray(1, options.maxSpaces + 1),
    kernelRoot: () => roots[0],
    pt: store.pt,
    tableOf: store.tableOf,
    layout: { words: store.BLOCK, bitmap: store.BITMAP, count: store.COUNT, frame: store.FRAME, summary: store.SUMMARY, level: store.LEVEL },
    findLeaf: walk.findLeaf,
    leafLevel: () => state[Cell.leafLevel],
    mapLeaf: walk.mapLeaf,
    mapLarge: walk.mapLarge,
    unmapRange: range.unmapRange,
    zapped: range.zapped,
    protectRange: range.protectRange,
    freeTables: range.freeTables,
    ensureTable: walk.ensureTable,
    tableAt: walk.tableAt,
    copySpace: space.copySpace,
    copyRange: move.copyRange,
    moveRange: move.moveRange,
    moveLeafTable: move.moveLeafTable,
    splitLarge: split.splitLarge,
    deposit: split.deposit,
    withdraw: split.withdraw,
    attachTable: split.attachTable,
    releaseTable: split.releaseTable,
    setCpu: (cpu: number) => {
      state[Cell.cpu] = cpu;
    },
    walkLevels: audit.walkLevels,
    tableCount: store.tableCount,
    spaceTables: spaceCount.subarray(8),
    kernelTables: spaceCount.subarray(0, 8),
    occupancy: audit.occupancy,
    validate: audit.validate,
  };
}
