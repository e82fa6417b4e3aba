/** The architectures: a new one is a file beside this and a line here. */
import type { Architecture } from './arch.js';
import { makeRegistry } from './registry-core.js';
import { x86_64 } from './x86-64.js';

export const architectures = makeRegistry<Architecture>('architecture', [x86_64], (architecture) => architecture.geometry.name);
