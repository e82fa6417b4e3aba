/** Every PMM strategy. A new one is one file and one line here; tests, `list` and `--help` read this. */
import { makeRegistry } from '../../arch/registry-core.js';
import { addressList } from './address-list.js';
import type { PmmStrategy } from './allocator.js';
import { bitmapFirstFit } from './bitmap-first-fit.js';
import { bitmapTree } from './bitmap-tree.js';
import { bitmap } from './bitmap.js';
import { buddyMigrate } from './buddy-migrate.js';
import { buddyPcp } from './buddy-pcp.js';
import { buddyZones } from './buddy-zones.js';
import { buddy } from './buddy.js';
import { caPaging } from './ca-paging.js';
import { eager } from './eager.js';
import { freeStack } from './free-stack.js';
import { llfree } from './llfree.js';
import { random } from './random.js';
import { reservations } from './reservations.js';
import { tlsf } from './tlsf.js';

export const pmms = makeRegistry<PmmStrategy>(
  'PMM strategy',
  [bitmap, freeStack, buddy, bitmapFirstFit, bitmapTree, buddyPcp, buddyZones, buddyMigrate, llfree, random, addressList, tlsf, reservations, caPaging, eager],
  (strategy) => strategy.name,
);
