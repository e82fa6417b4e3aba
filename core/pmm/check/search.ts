/**
 * Looks for a sequence of requests on which an allocator breaks its contract: first every short sequence, the shortest first, over two small memories; then
 * the shortest of them with all that is held given back and all there is asked for at the end, which shows what got lost; then long ones at random over a
 * larger memory too, of which a fault is cut down step by step. The same for the same allocator and seed.
 */
import { memoryMapFromRanges, type MemoryMap } from '../memory-map.js';
import { capacityOf, giveBack, givenAt, isGiveBack, play, type Capacity, type Fault, type Make, type Step, type Watch } from './play.js';

/** The memories that are tried; the first two are small enough for all short sequences. */
export const MEMORIES: readonly MemoryMap[] = [
  memoryMapFromRanges([{ first: 0, count: 64 }]),
  memoryMapFromRanges([
    { first: 3, count: 29 },
    { first: 40, count: 50 },
    { first: 128, count: 72 },
  ]),
  memoryMapFromRanges([
    { first: 0, count: 2048 },
    { first: 3001, count: 3000 },
  ]),
];
const LARGE = MEMORIES.length - 1;

/**
 * By the length of a sequence: how many of the orders 0, 1, 2, largest it has requests of. The number of sequences grows as about (orders + length / 2)^length:
 * 1384 of length 6 over two orders, which only the first memory is asked.
 */
const ORDERS_BY_LENGTH = [4, 4, 4, 4, 3, 2, 2];
const ONE_MEMORY = 6;
/** Length of the sequences that are tried to the end. */
const TO_THE_END = 3;
/** Sequences at random over each memory and number of CPUs. */
const RANDOM_SEQUENCES = 24;
const RANDOM_STEPS = 240;
/** Tries to make a sequence shorter. */
const CUTS = 4000;

export interface Finding {
  readonly what: string;
  /** Index into MEMORIES. */
  readonly memory: number;
  readonly cpus: number;
  readonly steps: readonly Step[];
  /** It shows after the steps, see Fault. */
  readonly afterwards: boolean;
  readonly answers: readonly (number | null)[];
}

export interface Outcome {
  readonly finding: Finding | null;
  readonly sequences: number;
  readonly requests: number;
}

/** Xorshift32 (Marsaglia 2003). */
function makeRandom(seed: number): (below: number) => number {
  let x = seed | 0 || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Sequences of a length in a fixed order: requests of each order, then returns of what is held. */
function* sequences(length: number, orders: readonly number[], prefix: readonly Step[] = [], held: readonly number[] = []): Generator<readonly Step[]> {
  if (prefix.length === length) {
    yield prefix;
    return;
  }
  for (const order of orders) yield* sequences(length, orders, [...prefix, order], [...held, prefix.length]);
  for (const at of held)
    yield* sequences(
      length,
      orders,
      [...prefix, giveBack(at)],
      held.filter((one) => one !== at),
    );
}

/** The steps without those from `from` to `to`, and without the returns of what these were given. */
function without(steps: readonly Step[], from: number, to: number): Step[] {
  const places = new Map<number, number>();
  const out: Step[] = [];
  steps.forEach((step, i) => {
    if (i >= from && i < to) return;
    if (!isGiveBack(step)) {
      places.set(i, out.length);
      out.push(step);
      return;
    }
    const place = places.get(givenAt(step));
    if (place !== undefined) out.push(giveBack(place));
  });
  return out;
}

/** `started` is told of each memory before its first sequence. */
export function search(make: Make, maxOrder: number, seed: number, started: (memory: number, cpus: number) => void, watch: Watch): Outcome {
  let count = 0;
  let requests = 0;
  const capacities = new Map<string, Capacity | null>();
  const capacity = (memory: number, cpus: number): Capacity | null => {
    const key = `${memory}/${cpus}`;
    let known = capacities.get(key);
    if (known === undefined) {
      started(memory, cpus);
      watch([], 0);
      known = capacityOf(make, MEMORIES[memory]!, cpus);
      capacities.set(key, known);
    }
    return known;
  };
  const tried = (memory: number, cpus: number, steps: readonly Step[], toTheEnd = true): Fault | null => {
    count++;
    requests += steps.length;
    started(memory, cpus);
    return play(make, { map: MEMORIES[memory]!, cpus, capacity: capacity(memory, cpus) }, steps, toTheEnd, watch);
  };
  const found = (memory: number, cpus: number, steps: readonly Step[], { what, steps: made, afterwards, answers }: Fault): Outcome => ({
    finding: { what, memory, cpus, steps: steps.slice(0, Math.max(made, answers.length)), afterwards, answers },
    sequences: count,
    requests,
  });
  /** Removes steps as long as a fault remains. */
  const cut = (memory: number, cpus: number, first: readonly Step[], fault: Fault): Outcome => {
    let steps = first.slice(0, Math.max(fault.steps, 1));
    let now = tried(memory, cpus, steps) ?? fault;
    let left = CUTS;
    for (let size = Math.max(1, steps.length >> 1); size >= 1; size = size === 1 ? 0 : size >> 1) {
      for (let from = 0; from < steps.length && left > 0; ) {
        left--;
        const shorter = without(steps, from, from + size);
        const still = shorter.length > 0 && shorter.length < steps.length ? tried(memory, cpus, shorter) : null;
        if (still === null) from += size;
        else {
          steps = shorter.slice(0, Math.max(still.steps, 1));
          now = still;
        }
      }
    }
    return found(memory, cpus, steps, now);
  };

  /** Frames that a fresh allocator gives; as many as there are where that is not known. */
  const frames = (memory: number, cpus: number): number => capacity(memory, cpus)?.frames ?? MEMORIES[memory]!.usableFrames;
  const topOrder = (memory: number, cpus: number): number => capacity(memory, cpus)?.order ?? maxOrder;
  if (frames(LARGE, 1) === 0) {
    const what = `hands out nothing of a memory of ${MEMORIES[LARGE]!.usableFrames} frames`;
    return { finding: { what, memory: LARGE, cpus: 1, steps: [0], afterwards: false, answers: [-1] }, sequences: count, requests };
  }
  // Some allocators keep more for themselves than a small memory has.
  const small = [0, 1].filter((memory) => frames(memory, 1) >= 16);
  const memories = small.length > 0 ? small : [LARGE];
  const short = (length: number, memory: number, toTheEnd: boolean): Outcome | null => {
    const orders = [...new Set([0, 1, 2, topOrder(memory, 1)])].filter((order) => order <= maxOrder).slice(0, ORDERS_BY_LENGTH[length]);
    for (const steps of sequences(length, orders)) {
      const fault = tried(memory, 1, steps, toTheEnd);
      if (fault !== null) return found(memory, 1, steps, fault);
    }
    return null;
  };
  for (let length = 1; length < ORDERS_BY_LENGTH.length; length++) {
    for (const memory of length < ONE_MEMORY ? memories : memories.slice(0, 1)) {
      const outcome = short(length, memory, false);
      if (outcome !== null) return outcome;
    }
  }
  for (let length = 0; length <= TO_THE_END; length++) {
    for (const memory of memories) {
      const outcome = short(length, memory, true);
      if (outcome !== null) return outcome;
    }
  }
  const random = makeRandom(seed);
  for (let n = 0; n < RANDOM_SEQUENCES; n++) {
    for (let memory = 0; memory < MEMORIES.length; memory++) {
      for (const cpus of [1, 2]) {
        if (frames(memory, cpus) === 0) continue;
        const steps: Step[] = [];
        const held: number[] = [];
        // Between hardly anything and everything in use.
        const eager = 30 + random(60);
        for (let i = 0; i < RANDOM_STEPS; i++) {
          if (held.length > 0 && random(100) >= eager) steps.push(giveBack(held.splice(random(held.length), 1)[0]!));
          else {
            held.push(i);
            steps.push(random(3) > 0 ? 0 : random(Math.min(maxOrder, topOrder(memory, cpus)) + 1));
          }
        }
        const fault = tried(memory, cpus, steps);
        if (fault !== null) return cut(memory, cpus, steps, fault);
      }
    }
  }
  // Nothing but asking for all there is may show it.
  for (let memory = 0; memory < MEMORIES.length; memory++) {
    for (const order of [0, ...Array.from({ length: maxOrder }, (_, k) => k + 1)]) {
      const steps = new Array<Step>(MEMORIES[memory]!.usableFrames + 1).fill(order);
      const fault = capacity(memory, 1) === null ? tried(memory, 1, steps) : null;
      if (fault !== null) return cut(memory, 1, steps, fault);
    }
  }
  return { finding: null, sequences: count, requests };
}
