/**
 * Lookup units by name (`framewalk list tlbs`, `--tlb NAME`).
 *
 * Sizes come from the manuals named in `source`; where a maker does not publish the page-walk caches or the cycle costs, the entry takes those of
 * `default` and says so. One lookup unit stands for loads, stores and fetches alike: the sizes are those of the data side.
 */
import { UserError } from '../../traces/event.js';
import type { LookupConfig } from './lookup-contract.js';

/** Costs of `default`, also where a manual is silent: an L2-cache hit for each table read, a short pipeline bubble for the walk itself. */
const walkCost = { walkReadCycles: 14, walkBaseCycles: 10, faultCycles: 800 } as const;
const walkCaches = { pde: { entries: 32, ways: 4 }, pdpte: { entries: 4, ways: 4 }, pml4e: { entries: 2, ways: 2 } } as const;

const configs: readonly LookupConfig[] = [
  {
    name: 'default',
    title: 'Two TLB levels (64 4-way, 1536 12-way) and three page-walk caches',
    source: 'a generic current core; no particular product',
    tlb: [
      { entries: 64, ways: 4, hitCycles: 1 },
      { entries: 1536, ways: 12, hitCycles: 9 },
    ],
    walkCaches,
    invalidation: 'path',
    ...walkCost,
    pcid: true,
  },
  {
    name: 'none',
    title: 'No TLB and no walk cache: every access reads all levels (an upper bound)',
    source: 'a bound, no product',
    tlb: [],
    walkCaches: { pde: { entries: 0, ways: 1 }, pdpte: { entries: 0, ways: 1 }, pml4e: { entries: 0, ways: 1 } },
    invalidation: 'path',
    ...walkCost,
    pcid: true,
  },
];

/** All lookup units, in the order they are listed. */
export const lookupConfigs: readonly LookupConfig[] = configs;

/** The lookup unit of that name; UserError with the known names otherwise. */
export function lookupConfig(name: string): LookupConfig {
  const found = configs.find((c) => c.name === name);
  if (found === undefined) throw new UserError(`--tlb: unknown lookup unit '${name}'; known: ${configs.map((c) => c.name).join(', ')}`);
  return found;
}
