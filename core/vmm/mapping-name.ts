/** What a mapping is called. */
import { Flag } from '../../traces/event.js';
import { VmaFlag } from './vma-flags.js';
import type { VmaStore } from './vma-store.js';

/**
 * The name of a VMA as the last column of /proc/PID/maps has it: the path or key of its object (`names`, by object), [vdso], [vvar], [stack], [heap];
 * empty for anonymous memory and for an object whose name was not recorded.
 */
export function mappingName(vmas: VmaStore, names: ReadonlyMap<number, string>, v: number): string {
  const flags = vmas.flags[v]!;
  if ((flags & Flag.vdso) !== 0) return '[vdso]';
  if ((flags & Flag.vvar) !== 0) return '[vvar]';
  const object = vmas.object[v]!;
  if (object !== 0) return names.get(object) ?? '';
  if ((flags & Flag.growsdown) !== 0) return '[stack]';
  return (flags & VmaFlag.heap) !== 0 ? '[heap]' : '';
}
