/**
 * Lookup units by name (`framewalk list tlbs`, `--tlb NAME`): a new one is one entry here, or a file (`--tlb FILE`).
 *
 * Sizes are those of the manual named in `source`, data side, 4 KiB pages: one lookup unit stands for loads, stores and fetches alike, and large pages
 * share its entries where a product keeps some apart. What makers do not publish is taken from `default`: page-walk caches (sizes and whether they
 * exist), and most cycles. So cycles compare page tables and policies under one unit, not products with each other.
 */
import { makeRegistry } from '../../arch/registry-core.js';
import type { LookupConfig, WalkCache } from './lookup-contract.js';

/** Where nothing is published: a table read costs an L2-cache hit, a walk a short bubble, a fault's entry and exit some hundred cycles. */
const costs = { walkReadCycles: 14, walkBaseCycles: 10, faultCycles: 800 } as const;
const absent: WalkCache = { entries: 0, ways: 1 };
const walkCaches = { pde: { entries: 32, ways: 4 }, pdpte: { entries: 4, ways: 4 }, pml4e: { entries: 2, ways: 2 } } as const;

const configs: readonly LookupConfig[] = [
  {
    name: 'default',
    title: 'Two TLB levels (64 4-way, 1536 12-way), three page-walk caches (32, 4, 2)',
    source: 'no product: sizes as common x86-64 server cores have them',
    tlb: [
      { entries: 64, ways: 4, hitCycles: 1 },
      { entries: 1536, ways: 12, hitCycles: 9 },
    ],
    walkCaches,
    invalidation: 'path',
    ...costs,
    pcid: true,
  },
  {
    name: 'none',
    title: 'No TLB, no walk caches: every access reads every level (upper bound)',
    source: 'no product: a bound',
    tlb: [],
    walkCaches: { pde: absent, pdpte: absent, pml4e: absent },
    invalidation: 'path',
    ...costs,
    pcid: true,
  },
  {
    name: 'skylake-sp',
    title: 'Intel Skylake server: 64 4-way, 1536 12-way; walk caches assumed as in default',
    source:
      'Intel 64 and IA-32 Architectures Optimization Reference Manual (248966-045), table 2-15; STLB hit of 9 cycles: Top-down metrics for SKX ' +
      '(Mem_STLB_Hit_Cost); INVLPG and the walk caches: Intel SDM vol. 3A, 4.10.4.1',
    tlb: [
      { entries: 64, ways: 4, hitCycles: 1 },
      { entries: 1536, ways: 12, hitCycles: 9 },
    ],
    walkCaches,
    invalidation: 'space',
    ...costs,
    pcid: true,
  },
  {
    name: 'jaguar',
    title: 'AMD family 16h (Jaguar), a small core: 40 fully associative, 512 4-way, 16-entry page directory cache (assumed fully associative)',
    source: 'Software Optimization Guide for AMD Family 16h Processors (52128 rev. 1.1), 2.6.1 to 2.6.3; the family has no PCIDs',
    tlb: [
      { entries: 40, ways: 40, hitCycles: 1 },
      { entries: 512, ways: 4, hitCycles: 9 },
    ],
    walkCaches: { pde: { entries: 16, ways: 16 }, pdpte: absent, pml4e: absent },
    invalidation: 'space',
    ...costs,
    pcid: false,
  },
  {
    name: 'cortex-a53',
    title: 'Arm Cortex-A53, an in-order core: 10 fully associative, 512 4-way, 64-entry 4-way walk cache (last upper level)',
    source: 'Arm Cortex-A53 MPCore Processor Technical Reference Manual (DDI 0500), 5.1',
    tlb: [
      { entries: 10, ways: 10, hitCycles: 1 },
      { entries: 512, ways: 4, hitCycles: 9 },
    ],
    walkCaches: { pde: { entries: 64, ways: 4 }, pdpte: absent, pml4e: absent },
    invalidation: 'path',
    ...costs,
    pcid: true,
  },
];

export const lookups = makeRegistry<LookupConfig>('lookup unit', configs, (config) => config.name);

/** All lookup units, in the order they are listed. */
export const lookupConfigs: readonly LookupConfig[] = lookups.all();

/** The lookup unit of that name; throws UnknownNameError (arch/registry-core.ts). */
export const lookupConfig = (name: string): LookupConfig => lookups.get(name);
