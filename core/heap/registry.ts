/** Process-heap layouts by name. */
import { makeRegistry } from '../../arch/registry-core.js';
import { firstFitHeap } from './first-fit.js';
import type { ProcessHeapLayout } from './process-heap.js';
import { recorded } from './recorded.js';

export const heaps = makeRegistry<ProcessHeapLayout>('heap', [recorded, firstFitHeap], (layout) => layout.name);
