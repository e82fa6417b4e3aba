/**
 * Looking at the tables as a whole: the steps of a walk, occupancy per level, and a check of every invariant. Not for hot paths.
 */
import type { WalkStep } from '../arch.js';
import { Cell, type Store } from './store.js';

export function makeAudit(store: Store) {
  const { LEVELS, ENTRIES, WORDS, GROUP_SHIFT, BITMAP, COUNT, FRAME, SUMMARY, LEVEL, NEXT, OWNER, BLOCK, HALF, PAGE_SHIFT, SPLIT_PAGES } = store;
  const { P, A, PS, MAX_LEAF, MAX_SPACES, MAX_TABLES, pt, tableOf, roots, tableCount, spaceCount, deposits, spare, state, spans, indexOf } = store;
  const encode = store.spec.encode;

  function walkLevels(pid: number, va: number): WalkStep[] {
    const page = Math.floor(va / 2 ** PAGE_SHIFT);
    const hi = Math.floor(page / SPLIT_PAGES);
    const lo = (page - hi * SPLIT_PAGES) * 2 ** PAGE_SHIFT;
    const steps: WalkStep[] = [];
    let t = roots[pid + 1] ?? 0;
    for (let level = LEVELS; level > 0 && t !== 0; level--) {
      const index = indexOf(level, hi, lo);
      const w0 = pt[t + 2 * index];
      const w1 = pt[t + 2 * index + 1];
      const present = (w0 & P) !== 0;
      const leaf = present && (level === 1 || (w0 & PS) !== 0);
      steps.push({ level, index, tableFrame: pt[t + FRAME], entry: encode(w0, w1, level), present, leaf });
      t = present && !leaf ? tableOf[w1] : 0;
    }
    return steps;
  }

  function occupancy(): { level: number; tables: number; entries: number }[] {
    const entries = new Float64Array(LEVELS + 1);
    // Blocks in no tree (freed, deposited) are empty: every block of the slab's used part may be added up.
    const end = state[Cell.watermark];
    for (let t = BLOCK; t < end; t += BLOCK) entries[pt[t + LEVEL]] += pt[t + COUNT];
    return Array.from({ length: LEVELS }, (_, k) => ({ level: k + 1, tables: tableCount[k + 1], entries: entries[k + 1] }));
  }

  function validate(): void {
    const seen = new Set<number>();
    const framesSeen = new Set<number>();
    const bySpace = new Map<number, number>();
    let large = 0;
    const fail = (what: string): never => {
      throw new Error(`broken invariant of the page tables: ${what}`);
    };
    const place = (pid: number, level: number, t: number): string => `level-${level} table ${t} of space ${pid}`;

    const enter = (t: number, level: number, pid: number): void => {
      const at = place(pid, level, t);
      if (t <= 0 || t % BLOCK !== 0 || t >= state[Cell.watermark]) fail(`${at} lies outside the slab's used part`);
      if (seen.has(t)) fail(`${at} is referenced twice`);
      seen.add(t);
      const f = pt[t + FRAME];
      if (framesSeen.has(f)) fail(`${at} shares frame ${f} with another table`);
      framesSeen.add(f);
      if (tableOf[f] !== t) fail(`${at} has frame ${f}, but that frame is recorded for ${tableOf[f]}`);
      if (pt[t + LEVEL] !== level || pt[t + OWNER] !== pid) fail(`${at} says it is level ${pt[t + LEVEL]} of space ${pt[t + OWNER]}`);
      const key = (pid + 1) * 8 + level;
      bySpace.set(key, (bySpace.get(key) ?? 0) + 1);
    };

    const check = (t: number, level: number, pid: number): void => {
      enter(t, level, pid);
      const at = place(pid, level, t);
      const userRoot = level === LEVELS && pid >= 0;
      let used = 0;
      let summary = 0;
      for (let i = 0; i < ENTRIES; i++) {
        const q = t + 2 * i;
        const w0 = pt[q];
        const bit = (pt[t + BITMAP + (i >>> 5)] >>> (i & 31)) & 1;
        if (userRoot && i >= HALF) {
          const k = roots[0] + 2 * i;
          if (bit !== 0) fail(`${at} counts entry ${i} of the kernel's half as its own`);
          if (((w0 ^ pt[k]) & ~A) !== 0 || pt[q + 1] !== pt[k + 1]) fail(`${at} differs from the kernel's root in entry ${i}`);
          continue;
        }
        if ((w0 !== 0 ? 1 : 0) !== bit) fail(`${at}: bitmap and entry ${i} disagree`);
        if (w0 === 0) {
          if (pt[q + 1] !== 0) fail(`${at}: unused entry ${i} holds a frame`);
          continue;
        }
        used++;
        summary |= 1 << ((i >>> 5) >>> GROUP_SHIFT);
        if (level > 1) {
          if ((w0 & PS) !== 0) {
            if (level > MAX_LEAF) fail(`${at}: entry ${i} is a leaf where none may stand`);
            if (((pt[q + 1] >>> 0) + (w0 >>> 24) * 4294967296) % spans[level] !== 0) fail(`${at}: large leaf ${i} is not aligned`);
            large++;
          } else {
            if ((w0 & P) === 0) fail(`${at}: entry ${i} points to a table without being present`);
            check(tableOf[pt[q + 1]] ?? 0, level - 1, pid);
            if (pt[tableOf[pt[q + 1]] + FRAME] !== pt[q + 1]) fail(`${at}: entry ${i} names frame ${pt[q + 1]}, which is not its table's`);
          }
        }
      }
      if (pt[t + COUNT] !== used) fail(`${at} counts ${pt[t + COUNT]} entries but holds ${used}`);
      if (pt[t + SUMMARY] !== summary) fail(`${at} has a wrong summary word`);
    };

    let withdrawn = 0;
    for (let s = 0; s <= MAX_SPACES; s++) {
      if (roots[s] === 0) {
        if (deposits[s] !== 0 || spare[s] !== 0) fail(`space ${s - 1} does not exist but holds deposited tables`);
        continue;
      }
      check(roots[s], LEVELS, s - 1);
      let deposited = 0;
      for (let d = deposits[s]; d !== 0; d = pt[d + NEXT]) {
        enter(d, 1, s - 1);
        deposited++;
        if (pt[d + COUNT] !== 0) fail(`deposited ${place(s - 1, 1, d)} is not empty`);
      }
      // Withdrawn tables are in their owner's hands: only their number is known here.
      withdrawn += spare[s] - deposited;
      bySpace.set(s * 8 + 1, (bySpace.get(s * 8 + 1) ?? 0) + spare[s] - deposited);
    }
    for (let level = 1; level <= LEVELS; level++) {
      let sum = 0;
      for (let s = 0; s <= MAX_SPACES; s++) {
        const counted = spaceCount[s * 8 + level];
        if (counted !== (bySpace.get(s * 8 + level) ?? 0))
          fail(`space ${s - 1} counts ${counted} level-${level} tables, found ${bySpace.get(s * 8 + level) ?? 0}`);
        sum += counted;
      }
      if (sum !== tableCount[level]) fail(`${tableCount[level]} level-${level} tables are counted in all, ${sum} over the spaces`);
    }
    if (large !== state[Cell.largeLeaves]) fail(`${state[Cell.largeLeaves]} large leaves are counted, ${large} found`);
    if (state[Cell.reserveHead] !== 0) fail('reserved tables were left over');

    let free = 0;
    for (let t = state[Cell.freeHead]; t !== 0; t = pt[t + NEXT]) {
      if (seen.has(t)) fail(`table ${t} is free and in use`);
      seen.add(t);
      for (let k = 0; k < BITMAP + WORDS; k++) if (pt[t + k] !== 0) fail(`free table ${t} is not empty (word ${k})`);
      free++;
    }
    if (seen.size + withdrawn !== state[Cell.watermark] / BLOCK - 1)
      fail(`${seen.size} tables found (${free} free) of ${state[Cell.watermark] / BLOCK - 1} (slab: ${MAX_TABLES})`);
  }

  return { walkLevels, occupancy, validate };
}
