/**
 * One sequence of requests on a fresh allocator, judged: what it answers by the account (core/pmm/own/account.ts), how many frames it says are free, and
 * whether it gives what a fresh one gave when nothing is in use; if wanted, everything is given back and asked for at the end.
 */
import { UserError } from '../../../traces/event.js';
import type { FrameAllocator } from '../allocator.js';
import type { MemoryMap } from '../memory-map.js';
import { keepAccount } from '../own/account.js';
import { PmmFull, type OwnAllocator } from '../own/own.js';

/** A request of 2^order frames (order >= 0), or the return of what step `-1 - step` was given. */
export type Step = number;

export const giveBack = (step: number): Step => -1 - step;
export const isGiveBack = (step: Step): boolean => step < 0;
export const givenAt = (step: Step): number => -1 - step;

/** How to make the allocator under test. */
export type Make = (map: MemoryMap, cpus: number) => OwnAllocator;

/** Called before each step, so that somebody else can tell which one never ended. */
export type Watch = (steps: readonly Step[], at: number) => void;

/** What can be had of a fresh memory: single frames, and blocks of the largest order that it gives. */
export interface Capacity {
  readonly frames: number;
  readonly order: number;
  readonly blocks: number;
}

export interface Fault {
  /** In words: "hands out frame 3, of which ...". */
  readonly what: string;
  /** Steps that were made, the faulty one included. */
  readonly steps: number;
  /** All steps went well: it shows when everything that is still held comes back and all there is is asked for. */
  readonly afterwards: boolean;
  /** What each step was answered: the first frame, -1, or null for a return. */
  readonly answers: readonly (number | null)[];
}

/** The CPU of a step: with several, every third step is another one's. */
export const cpuOf = (step: number, cpus: number): number => (step % 3 === 2 ? cpus - 1 : 0);

/** A fault, with how far it went; thrown inside. */
class Faulty extends UserError {}

function open(make: Make, map: MemoryMap, cpus: number): { own: OwnAllocator; pmm: FrameAllocator } {
  const own = make(map, cpus);
  return { own, pmm: keepAccount(own, map) };
}

/** The number that the allocator itself says are free must be what the account says. */
function checkCount(own: OwnAllocator, pmm: FrameAllocator): void {
  if (own.freeFrames === undefined) return;
  const said = own.freeFrames();
  if (said !== pmm.freeFrames()) throw new Faulty(`says that ${said} frames are free, when ${pmm.freeFrames()} are`);
}

/** Takes blocks of an order on every CPU until none is left; how many. */
function drain(pmm: FrameAllocator, order: number, cpus: number): number {
  let n = 0;
  try {
    for (let cpu = 0; cpu < cpus; cpu++) while (pmm.allocate(order, 1, cpu, -1, 0) >= 0) n++;
  } catch (error) {
    if (error instanceof PmmFull) return n;
    throw error;
  }
  const more = pmm.allocate(order, 1, 0, -1, 0);
  if (more >= 0) throw new Faulty(`says that no block of order ${order} is left, and then hands out frame ${more}`);
  return n;
}

/** Asks for nothing that a fresh allocator might not give. */
const UNKNOWN: Capacity = { frames: 0, order: -1, blocks: 0 };

/** What a fresh allocator gives; null where it breaks its contract already when it is asked for all it has. */
export function capacityOf(make: Make, map: MemoryMap, cpus: number): Capacity | null {
  try {
    return measured(make, map, cpus);
  } catch {
    // What is wrong is found by the sequences: each begins with a fresh allocator as well.
    return null;
  }
}

function measured(make: Make, map: MemoryMap, cpus: number): Capacity {
  const { own, pmm } = open(make, map, cpus);
  checkCount(own, pmm);
  const frames = drain(pmm, 0, cpus);
  for (let order = own.maxOrder; order > 0; order--) {
    const blocks = drain(open(make, map, cpus).pmm, order, cpus);
    if (blocks > 0) return { frames, order, blocks };
  }
  return { frames, order: 0, blocks: frames };
}

/** A memory, its CPUs, and what a fresh allocator gives of it; null where that is not known. */
export interface Place {
  readonly map: MemoryMap;
  readonly cpus: number;
  readonly capacity: Capacity | null;
}

/** Plays the steps; null when nothing is wrong. `toTheEnd`: all comes back then, and all there is is asked for. */
export function play(make: Make, { map, cpus, capacity: known }: Place, steps: readonly Step[], toTheEnd: boolean, watch: Watch): Fault | null {
  const capacity = known ?? UNKNOWN;
  const answers: (number | null)[] = [];
  let made = 0;
  let afterwards = false;
  try {
    const { own, pmm } = open(make, map, cpus);
    const given = new Map<number, number>();
    for (; made < steps.length; made++) {
      watch(steps, made);
      const step = steps[made]!;
      const cpu = cpuOf(made, cpus);
      if (isGiveBack(step)) {
        answers.push(null);
        const at = givenAt(step);
        const first = given.get(at);
        // Nothing comes back of a request that was not served.
        if (first !== undefined) pmm.free(first, steps[at]!, cpu);
        given.delete(at);
      } else {
        let first = -1;
        let full = false;
        try {
          first = pmm.allocate(step, 1, cpu, -1, 0);
        } catch (error) {
          if (!(error instanceof PmmFull)) throw error;
          full = true;
        }
        answers.push(first);
        if (first >= 0) given.set(made, first);
        else if (step === 0 && cpus === 1 && capacity.frames > held(pmm))
          throw new Faulty(`says that no frame is left, when ${capacity.frames - held(pmm)} are`);
        else if (step <= capacity.order && held(pmm) === 0)
          throw new Faulty(`gives no block of order ${step} when nothing is in use, which it gave when it was fresh (free blocks are not joined, or lost)`);
        // Nothing can be asked of it after its panic.
        if (full) return null;
      }
      checkCount(own, pmm);
    }
    if (!toTheEnd) return null;
    afterwards = true;
    watch(steps, steps.length);
    for (const [at, first] of given) pmm.free(first, steps[at]!, 0);
    checkCount(own, pmm);
    own.validate?.();
    const order = Math.max(0, capacity.order);
    const blocks = drain(pmm, order, cpus);
    if (blocks < capacity.blocks)
      throw new Faulty(
        order === 0
          ? `loses frames: when everything has come back, ${blocks} of ${capacity.blocks} can be had`
          : `loses blocks of order ${order}: when everything has come back, ${blocks} of ${capacity.blocks} can be had (free blocks are not joined, or lost)`,
      );
    if (own.trapsWhenFull === true) return null;
    const rest = drain(pmm, 0, cpus);
    if (blocks * 2 ** order + rest < capacity.frames)
      throw new Faulty(`loses frames: when everything has come back, ${blocks * 2 ** order + rest} of ${capacity.frames} can be had`);
    return null;
  } catch (error) {
    const what = error instanceof UserError ? error.message : `throws ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`;
    return { what, steps: Math.min(made + 1, steps.length), afterwards, answers };
  }
}

/** Frames in use by the account. */
const held = (pmm: FrameAllocator): number => pmm.totalFrames - pmm.freeFrames();
