/** What goes wrong at an event of a replay, in the words of the one who has to mend it. */
import { UserError } from '../../traces/event.js';
import type { MemoryMap } from '../pmm/memory-map.js';
import { PmmViolation } from '../pmm/own/own.js';
import { FrameCell, Use } from '../vmm/frames.js';
import type { Vmm } from '../vmm/vmm.js';
import type { Observer } from './observe.js';
import type { EarlierBlock } from './page-blocks.js';

export function tooSmall(trace: string, earlier: readonly EarlierBlock[], map: MemoryMap): UserError {
  const frames = earlier.reduce((sum, { order }) => sum + 2 ** order, 0);
  return new UserError(
    `${trace}: what it frees was in use before it began, ${frames} frames (${Math.ceil(frames / 256)} MiB): that does not fit into ${map.usableFrames} frames; give more --memory`,
  );
}

/** The error with the number of the event. */
export function atEvent(error: unknown, event: number): unknown {
  if (error instanceof PmmViolation) return new PmmViolation(`at event ${event}: ${error.message}`, { cause: error });
  if (error instanceof UserError || !(error instanceof Error)) return error;
  return new Error(`at event ${event}: ${error.message}`, { cause: error });
}

/** Checks the whole state after an event. */
export function auditAt(vmm: Vmm, event: number): void {
  try {
    vmm.audit();
  } catch (error) {
    throw atEvent(error, event);
  }
}

/** The line of the first failed allocation: who held what, free blocks per order. */
export function whoHeldWhat(vmm: Vmm, observer: Observer): string {
  const { cells, pmm } = vmm.machine.frames;
  const held = (use: Use): number => cells[FrameCell.byUse + use]!;
  const blocks = observer.freeBlocks().map((n, order) => `${order}:${n}`);
  return (
    `out of frames near event ${vmm.machine.rejections.event[0]}: anonymous ${held(Use.anonymous)}, file ${held(Use.file)}, shared ${held(Use.shared)}, ` +
    `page tables ${held(Use.table)}, kernel ${held(Use.kernel)}, free ${pmm.freeFrames()} of ${pmm.totalFrames} frames; free blocks by order ${blocks.join(' ')}`
  );
}
