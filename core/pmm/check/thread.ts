/** The worker in which an allocator is checked, so that one that never returns can be ended. */
import { UserError } from '../../../traces/event.js';
import { loadOwn } from '../own/load.js';
import { isOwnFile } from '../own/names.js';
import { PmmViolation } from '../own/own.js';
import { pmms } from '../registry.js';
import type { Make } from './play.js';
import type { CheckAnswer, CheckTask } from './run.js';
import { Cell } from './run.js';
import { search } from './search.js';

async function outcome({ name, seed, cells }: CheckTask): Promise<CheckAnswer> {
  cells[Cell.beat]! += 1;
  const raw = isOwnFile(name) ? (await loadOwn(name)).raw : pmms.get(name).create;
  // Each request is a sign of life: the limit is one for a single request.
  const make: Make = (map, cpus) => {
    cells[Cell.beat]! += 1;
    const own = raw({ map, cpus, seed: 1 });
    return {
      ...own,
      allocate: (order, kind, cpu, near, owner) => {
        cells[Cell.beat]! += 1;
        return own.allocate(order, kind, cpu, near, owner);
      },
      free: (frame, order, cpu) => {
        cells[Cell.beat]! += 1;
        return own.free(frame, order, cpu);
      },
    };
  };
  const probe = make({ usable: [{ first: 0, count: 64 }], frames: 64, usableFrames: 64 }, 1);
  return search(
    make,
    probe.maxOrder,
    seed,
    (memory, cpus) => {
      cells[Cell.memory] = memory;
      cells[Cell.cpus] = cpus;
    },
    (steps, at) => {
      if (at === 0) {
        cells[Cell.length] = steps.length;
        cells.set(steps.length > cells.length - Cell.steps ? steps.slice(0, cells.length - Cell.steps) : steps, Cell.steps);
      }
      cells[Cell.at] = at;
      cells[Cell.beat]! += 1;
    },
  );
}

export default async function check(task: CheckTask): Promise<CheckAnswer> {
  try {
    return await outcome(task);
  } catch (error) {
    if (error instanceof PmmViolation) return { userError: `${task.name}: ${error.message}` };
    if (error instanceof UserError) return { userError: error.message };
    throw error;
  }
}
