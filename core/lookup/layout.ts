/**
 * Where the lookup unit keeps what: offsets of every structure in its storage, the split of an address into tag and index, the number of
 * address-space ids. Computed once, before the hot functions are made, which take each number as a constant.
 */
import type { ArchGeometry } from '../../arch/arch.js';
import type { LookupConfig, TlbLevel, WalkCache } from './lookup-contract.js';

/** The structures, by the offset of their description in `shape`. */
export const enum Unit {
  tlb1 = 0,
  tlb2 = 16,
  pde = 32,
  pdpte = 48,
  pml4e = 64,
}

/** Fields of a description. Cells count from the CPU's first cell, links from the CPU's first link. */
export const enum Field {
  sets = 0,
  ways = 1,
  /** First tag cell: two a place. */
  tags = 2,
  /** First signature cell: a byte a place (`small` structures have none). */
  signs = 3,
  /** First handle cell: one a place (walk caches). */
  handles = 4,
  /** First order cell (`small`) or first link. */
  order = 5,
  /** 1: up to 4 ways, compared at once, a set's order is a byte; 0: ways found by signature, a set's order is a ring of links. */
  small = 6,
  /** Places a set: ways rounded up to a multiple of four. */
  places = 7,
  /** sets - 1 when sets is a power of two, else -1. */
  mask = 8,
}

/** Cells before those of the CPUs: counters since the last spill, walks by start level * 8 + reads, state. */
export const enum Cell {
  hot = 0,
  walked = 16,
  lastId = 64,
  /** 1: leaves of level 2 were filled, 2: of level 3. */
  large = 65,
  /** The access under way: its arguments, word 0 and word 1 (both permissions set) of the entry that would translate it. */
  space = 66,
  hi = 67,
  lo = 68,
  kind = 69,
  cpu = 70,
  page = 71,
  tag = 72,
  ids = 80,
}

/** One structure, for functions written for its shape. */
export interface UnitLayout {
  readonly sets: number;
  readonly ways: number;
  /** Shift of the oldest way's number in a small set's order. */
  readonly last: number;
  readonly tags: number;
  readonly signs: number;
  readonly handles: number;
  readonly order: number;
}

export interface Layout {
  /** All structures as `Field`s, for functions that take any of them. */
  readonly shape: Int32Array;
  readonly tlb1: UnitLayout;
  readonly tlb2: UnitLayout;
  readonly pde: UnitLayout;
  readonly pdpte: UnitLayout;
  readonly pml4e: UnitLayout;
  /** First cell of CPU 0, cells and links a CPU. The first cells of a CPU are the copies of each first-level set's youngest entry. */
  readonly first: number;
  readonly stride: number;
  readonly linkStride: number;
  readonly cells: number;
  readonly links: number;
  readonly maxWays: number;
  /** Whether the set tells the page number's low bits, so that its upper bits fit into word 0 of an entry. */
  readonly compact: boolean;
  /** Bits of the page number above 32. */
  readonly topBits: number;
  /** First bit of the id in an entry's word 1, and the largest id. */
  readonly idShift: number;
  readonly maxId: number;
  /** With PCIDs there is one id a space for all CPUs, without one a space and CPU: `rows` rows of `row`, the kernel's id last in each. */
  readonly rows: number;
  readonly row: number;
  /** First cell of the ids that tag walk-cache entries. */
  readonly walkIds: number;
}

const noTlb: TlbLevel = { entries: 0, ways: 1, hitCycles: 0 };
const noCache: WalkCache = { entries: 0, ways: 1 };
const MAX_ENTRIES = 1 << 20;

/** RangeError for sizes no unit can have (the parser of configurations checks them before and names the file). */
export function makeLayout(config: LookupConfig, geometry: ArchGeometry, cpus: number, maxSpaces: number): Layout {
  const { levels, pageShift, indexBits, vaBits } = geometry;
  const wrong = (what: string): RangeError => new RangeError(`lookup unit ${config.name}: ${what}`);
  if (config.tlb.length > 2) throw wrong('at most two TLB levels');
  const shape = new Int32Array(80);
  const sets1 = Math.max(1, (config.tlb[0] ?? noTlb).entries / (config.tlb[0] ?? noTlb).ways);
  let cell = sets1 * 2;
  let maxWays = 0;
  let link = 0;

  const place = (unit: Unit, title: string, { entries, ways }: { entries: number; ways: number }): UnitLayout => {
    const whole = Number.isInteger(entries) && Number.isInteger(ways) && entries >= 0 && entries <= MAX_ENTRIES && ways >= 1;
    if (!whole || entries % ways !== 0)
      throw wrong(`${title} of ${entries} entries in ${ways} ways: entries must be a multiple of ways and at most ${MAX_ENTRIES}`);
    const sets = Math.max(1, entries / ways);
    maxWays = Math.max(maxWays, ways);
    const places = (ways + 3) & ~3;
    const small = ways <= 4 && unit !== Unit.tlb2;
    const at: UnitLayout = {
      sets,
      ways,
      last: (ways - 1) * 2,
      signs: cell,
      tags: cell + (sets * places) / 4,
      handles: cell + (sets * places) / 4 + sets * places * 2,
      order: small ? cell + (sets * places) / 4 + sets * places * (unit >= Unit.pde ? 3 : 2) : link,
    };
    if (small) cell = at.order + sets;
    else {
      cell = at.handles + (unit >= Unit.pde ? sets * places : 0);
      link += sets * 2 * (ways + 1);
    }
    shape[unit + Field.sets] = sets;
    shape[unit + Field.ways] = ways;
    shape[unit + Field.tags] = at.tags;
    shape[unit + Field.signs] = at.signs;
    shape[unit + Field.handles] = at.handles;
    shape[unit + Field.order] = at.order;
    shape[unit + Field.small] = small ? 1 : 0;
    shape[unit + Field.places] = places;
    shape[unit + Field.mask] = (sets & (sets - 1)) === 0 ? sets - 1 : -1;
    return at;
  };
  const tlb1 = place(Unit.tlb1, 'TLB level 1', config.tlb[0] ?? noTlb);
  const tlb2 = place(Unit.tlb2, 'TLB level 2', config.tlb[1] ?? noTlb);
  const pde = place(Unit.pde, 'PDE cache', config.walkCaches.pde);
  const pdpte = place(Unit.pdpte, 'PDPTE cache', config.walkCaches.pdpte);
  const pml4e = place(Unit.pml4e, 'PML4E cache', levels >= 4 ? config.walkCaches.pml4e : noCache);

  const topBits = Math.max(0, vaBits - pageShift - 32);
  const compact = tlb1.sets % 2 ** topBits === 0 && (config.tlb.length < 2 || tlb2.sets % 2 ** topBits === 0) && vaBits - pageShift - indexBits <= 32;
  const idShift = compact ? 4 : 4 + topBits;
  const maxId = 2 ** (32 - idShift) - 1;
  const rows = config.pcid ? 1 : cpus;
  const row = maxSpaces + 1;
  const walkIds = config.invalidation === 'space' ? Cell.ids + rows * row : Cell.ids;
  const first = (walkIds + rows * row + 15) & ~15;
  const stride = (cell + 15) & ~15;
  return {
    ...{ shape, tlb1, tlb2, pde, pdpte, pml4e, first, stride, linkStride: link },
    cells: first + stride * cpus,
    // Smaller arrays would live on the garbage-collected heap and move.
    links: Math.max(128, link * cpus),
    ...{ maxWays, compact, topBits, idShift, maxId, rows, row, walkIds },
  };
}
