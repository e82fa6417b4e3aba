/** The invariants of the VMA store (vma-tree.ts), apart from the code that keeps them. */
import { Id, Node, Pool, Tree, type VmaArrays } from './vma-layout.js';

/** Throws an Error naming the first broken invariant of a tree, or of all trees and of what is free for 0. */
export function makeVmaCheck({ start, end, before, after, keys, words, trees, hitStart, pool }: VmaArrays): (tree: number) => void {
  function fail(tree: number, what: string): never {
    throw new Error(`vma-tree: tree ${tree}: ${what}`);
  }

  /** Checks the node and everything below; `seen` collects the VMAs in order. */
  function checkNode(tree: number, n: number, height: number, isRoot: boolean, low: number, high: number, seen: number[]): number {
    const w = n << Node.wordShift;
    const k = n << Node.keyShift;
    const c = words[w + Node.count]!;
    if (n <= 0 || n > pool[Pool.nodes]!) fail(tree, `node ${n} does not exist`);
    if (c > Node.capacity || (!isRoot && c < Node.min) || (isRoot && height > 0 && c < 2)) fail(tree, `node ${n} holds ${c} entries`);
    for (let i = c; i < Node.capacity; i++) if (keys[k + i] !== Infinity) fail(tree, `unused key ${i} of node ${n} is ${keys[k + i]}`);
    if (height > 0 && keys[k] !== -Infinity) fail(tree, `the first key of inner node ${n} is ${keys[k]}`);
    let nodes = 1;
    for (let i = 0; i < c; i++) {
      const key = keys[k + i]!;
      const entry = words[w + Node.entries + i]!;
      const lower = i === 0 ? low : key;
      if (height === 0) {
        if (start[entry] !== key) fail(tree, `key ${key} of VMA ${entry}, which starts at ${start[entry]}`);
        if (key < low || key >= high) fail(tree, `key ${key} outside its separators [${low}, ${high})`);
        seen.push(entry);
      } else {
        const upperBound = i + 1 < c ? keys[k + i + 1]! : high;
        if (lower < low || upperBound > high || lower >= upperBound) fail(tree, `separators of node ${n} are out of order at ${i}`);
        nodes += checkNode(tree, entry, height - 1, false, lower, upperBound, seen);
      }
    }
    return nodes;
  }

  /** Checks one tree; adds its VMAs to `owner` if given. Returns its number of nodes. */
  function checkTree(tree: number, owner: Map<number, number> | null): number {
    const t = tree << Tree.shift;
    if (trees[t + Tree.live] !== 1) fail(tree, 'not live');
    const seen: number[] = [];
    const nodes = checkNode(tree, trees[t + Tree.root]!, trees[t + Tree.height]!, true, -Infinity, Infinity, seen);
    if (seen.length !== trees[t + Tree.count]) fail(tree, `counts ${trees[t + Tree.count]} VMAs, holds ${seen.length}`);
    let left = 0;
    for (const v of seen) {
      if (v <= 0 || v > pool[Pool.vmas]!) fail(tree, `VMA ${v} was never allocated`);
      if (before[v] !== left) fail(tree, `VMA ${v} is linked behind ${before[v]}, not ${left}`);
      if ((left === 0 ? trees[t + Tree.first] : after[left]) !== v) fail(tree, `VMA ${v} is not linked from ${left}`);
      if (!(start[v]! < end[v]!)) fail(tree, `VMA ${v} is empty: [${start[v]}, ${end[v]})`);
      if (left !== 0 && end[left]! > start[v]!) fail(tree, `VMA ${left} ends at ${end[left]}, above ${start[v]}, the start of ${v}`);
      if (owner !== null) {
        const other = owner.get(v);
        if (other !== undefined) fail(tree, `VMA ${v} is in tree ${other} too`);
        owner.set(v, tree);
      }
      left = v;
    }
    if (trees[t + Tree.last] !== left) fail(tree, `last VMA is ${trees[t + Tree.last]}, not ${left}`);
    if (left !== 0 && after[left] !== 0) fail(tree, `a VMA follows the last: ${after[left]}`);
    const hit = trees[t + Tree.hit]!;
    if (hit !== 0 && !seen.includes(hit)) fail(tree, `remembers VMA ${hit}, which it does not hold`);
    if (hitStart[tree] !== start[hit]) fail(tree, `remembers ${hitStart[tree]} as the start of VMA ${hit}`);
    return nodes;
  }

  function validate(tree: number): void {
    if (tree !== 0) {
      checkTree(tree, null);
      return;
    }
    const owner = new Map<number, number>();
    let nodes = 0;
    for (let id = 1; id <= pool[Pool.trees]!; id++) if (trees[(id << Tree.shift) + Tree.live] === 1) nodes += checkTree(id, owner);
    let free = 0;
    for (let v = pool[Pool.freeVma]!; v !== 0; v = before[v]!) {
      if (owner.has(v)) fail(owner.get(v)!, `VMA ${v} is free`);
      if (++free > pool[Pool.vmas]! / Id.step) fail(0, 'the list of free VMAs is circular');
    }
    if (free + pool[Pool.liveVmas]! !== pool[Pool.vmas]! / Id.step)
      fail(0, `${free} free and ${pool[Pool.liveVmas]} live VMAs of ${pool[Pool.vmas]! / Id.step}`);
    if (owner.size > pool[Pool.liveVmas]!) fail(0, `${owner.size} VMAs in trees, ${pool[Pool.liveVmas]} live`);
    for (let n = pool[Pool.freeNode]!; n !== 0; n = words[(n << Node.wordShift) + Node.link]!) {
      if (++nodes > pool[Pool.nodes]!) fail(0, 'more free and used nodes than were made');
      for (let i = 0; i < Node.capacity; i++)
        if (keys[(n << Node.keyShift) + i] !== Infinity) fail(0, `key ${i} of the free node ${n} is ${keys[(n << Node.keyShift) + i]}`);
      if (words[(n << Node.wordShift) + Node.count] !== 0) fail(0, `the free node ${n} has entries`);
    }
    if (nodes !== pool[Pool.nodes]) fail(0, `${nodes} free and used nodes of ${pool[Pool.nodes]}`);
  }

  return validate;
}
