/** Every PMM strategy. A new one is one file and one line here; tests, `list` and `--help` read this. */
import { makeRegistry } from '../../arch/registry-core.js';
import type { PmmStrategy } from './allocator.js';
import { bitmapFirstFit } from './bitmap-first-fit.js';
import { bitmapTree } from './bitmap-tree.js';
import { bitmap } from './bitmap.js';
import { buddyMigrate } from './buddy-migrate.js';
import { buddyPcp } from './buddy-pcp.js';
import { buddyZones } from './buddy-zones.js';
import { buddy } from './buddy.js';
import { freeStack } from './free-stack.js';
import { llfree } from './llfree.js';

export const pmms = makeRegistry<PmmStrategy>(
  'PMM strategy',
  [bitmap, freeStack, buddy, bitmapFirstFit, bitmapTree, buddyPcp, buddyZones, buddyMigrate, llfree],
  (strategy) => strategy.name,
);
