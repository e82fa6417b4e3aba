/** Long synchronous work in steps, between which signals are heard and the progress line is drawn. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Progress } from './progress.js';

/** Runs the steps, which yield how much of `total` is done, to their end; their result. */
export async function inSteps<T>(steps: Generator<number, T, undefined>, total: number, progress: Progress): Promise<T> {
  try {
    let step = steps.next();
    while (step.done !== true) {
      progress.update(step.value, total);
      await nextTurn();
      step = steps.next();
    }
    return step.value;
  } finally {
    progress.end();
  }
}
