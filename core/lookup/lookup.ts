/**
 * The lookup unit: set-associative TLBs with exact LRU, page-walk caches and the hardware walker, per CPU.
 *
 * Source: Intel SDM vol. 3A, 4.5 (4-level and 5-level paging), 4.6 (access rights), 4.7 (page faults), 4.8 (accessed and dirty flags),
 * 4.10 (TLBs, paging-structure caches, PCIDs, invalidation); AMD64 APM vol. 2, 5.3 to 5.5.
 *
 * What is modelled
 * - Any number of sets and ways. Replacement is exact LRU: a hit makes an entry the youngest, a fill takes the oldest place of the set, and a
 *   place emptied by an invalidation is the next to be filled.
 * - A fill goes to both TLB levels, a hit in level 2 to level 1 as well; what level 1 evicts is dropped (level 2 is neither inclusive nor exclusive).
 * - 2 MiB and 1 GiB leaves are one entry each, in the same sets as 4 KiB pages (index = number of the large page modulo sets) and tagged with
 *   their size. They are looked for after the 4 KiB page, and only once a large leaf was filled.
 * - An entry remembers two permissions: writes may pass (R/W and D were set) and fetches may pass (XD was clear). A hit that does not suffice drops the
 *   entry and walks again, as hardware does to set D (SDM 4.8).
 * - Walk caches hold the next table's handle for entries of level 2 (PDE), 3 (PDPTE) and 4 (PML4E). A walk starts at the lowest level that hits.
 *   The walk reads one entry per remaining level, sets A in each and D in the leaf that is written.
 * - The upper half belongs to the kernel: its entries are tagged with the id of space -1 whichever space uses them, as global pages are (SDM 4.10.2.4).
 * - Forgetting a space gives it a new id; its old entries stay until they are the oldest of their sets. When ids run out everything is cleared.
 *
 * What is not modelled
 * - Access rights of upper levels: page tables made here always have P, R/W and U/S set and XD clear above the leaf, so the leaf's bits are the combined
 *   rights (SDM 4.6). U/S is not checked: kernel accesses are simulated with the same call. CR0.WP is 1.
 * - A page fault leaves the walk caches as they are (SDM 4.10.4.1 lets it drop what leads to the page); entries are never prefetched.
 * - Addresses must be canonical; others would alias, so callers reject them.
 *
 * Bit layout of a TLB entry, two words:
 *
 *      word 0   page number in units of the page's size, low 32 bits
 *      word 1   31 ........ 4+top | 3+top ... 4 | 3 2  | 1     | 0
 *               address-space id  | bits of hi  | size | fetch | write         top = virtual address bits - 44: 4 or 13
 *
 * This file is longer than others because the compiler turns a closure's constants into machine constants only inside one factory.
 */
import { LookupCounter } from './lookup-contract.js';
import type { Lookup, LookupOptions, TlbLevel, WalkCache } from './lookup-contract.js';

/** How the order of a set is kept, youngest first. */
const enum Order {
  /** 1 to 4 ways: four 2-bit way numbers in a byte, moved through a table. */
  byte = 0,
  /** 5 to 16 ways: 4-bit way numbers in one or two words. */
  nibble = 1,
  /** More ways: the entries themselves stand in order. */
  shift = 2,
}

/** Bits of a page-table entry's word 0 (arch/arch.ts). */
const enum Entry {
  present = 1,
  write = 2,
  accessed = 32,
  dirty = 64,
  large = 128,
}

const enum Size {
  large2 = 1 << 2,
  large3 = 2 << 2,
}

/** What `walk` returns beside the two permission bits; 0 is a page fault. */
const enum Walked {
  page = 4,
  large2 = 8,
  large3 = 16,
}

/** Cells of `state`. */
const enum Cell {
  lastId = 0,
  /** 1: level 2 leaves were filled, 2: level 3 leaves. */
  large = 1,
  cells = 32,
}

const ORDER_BYTE = 0xe4; // ways 0, 1, 2, 3 from the youngest
const NIBBLES_LOW = 0x76543210;
const NIBBLES_HIGH = 0xfedcba98 | 0;

function orderKind(ways: number): Order {
  if (ways <= 4) return Order.byte;
  return ways <= 16 ? Order.nibble : Order.shift;
}

function checkShape(what: string, shape: { entries: number; ways: number }): void {
  const { entries, ways } = shape;
  if (!Number.isInteger(entries) || !Number.isInteger(ways) || entries < 0 || ways < 1 || entries % ways !== 0 || entries > 1 << 20) {
    throw new RangeError(`${what}: ${entries} entries in ${ways} ways: entries must be a multiple of ways, both positive integers`);
  }
}

/**
 * Makes the lookup unit of a machine. One per isolate: made twice, its closures lose their constants and run at half the speed.
 * Throws RangeError for impossible sizes (the parser of configurations checks them before and names the file).
 */
export function makeLookup(options: LookupOptions): Lookup {
  const { config, tables } = options;
  const cpus = options.cpus;
  const { geometry, root: roots, kernelRoot, pt, tableOf } = tables;
  const none: TlbLevel = { entries: 0, ways: 1, hitCycles: 0 };
  const tlb1 = config.tlb[0] ?? none;
  const tlb2 = config.tlb[1] ?? none;
  const absent: WalkCache = { entries: 0, ways: 1 };
  const levels = geometry.levels;
  const cache2 = levels >= 2 ? config.walkCaches.pde : absent;
  const cache3 = levels >= 3 ? config.walkCaches.pdpte : absent;
  const cache4 = levels >= 4 ? config.walkCaches.pml4e : absent;
  if (config.tlb.length > 2) throw new RangeError(`lookup ${config.name}: at most two TLB levels`);
  checkShape('TLB level 1', tlb1);
  checkShape('TLB level 2', tlb2);
  checkShape('PDE cache', cache2);
  checkShape('PDPTE cache', cache3);
  checkShape('PML4E cache', cache4);

  // ---- geometry: where the index of each level and the page numbers stand
  const pageShift = geometry.pageShift;
  const pageUp = 30 - pageShift;
  const indexBits = geometry.indexBits;
  const indexMask = (1 << indexBits) - 1;
  const shift2 = pageShift + indexBits;
  const shift3 = shift2 + indexBits;
  const shift4 = shift3 + indexBits;
  const topBits = Math.max(0, geometry.vaBits - 44);
  const topMask = (1 << topBits) - 1;
  const idShift = 4 + topBits;
  const maxId = 2 ** (32 - idShift) - 1;

  // ---- storage: one array, one stride per CPU
  const sets1 = tlb1.entries / tlb1.ways;
  const ways1 = tlb1.ways;
  const sets2 = tlb2.entries / tlb2.ways;
  const ways2 = tlb2.ways;
  const pdeSets = cache2.entries / cache2.ways;
  const pdeWays = cache2.ways;
  const pdpteSets = cache3.entries / cache3.ways;
  const pdpteWays = cache3.ways;
  const pml4eSets = cache4.entries / cache4.ways;
  const pml4eWays = cache4.ways;
  const mask1 = (sets1 & (sets1 - 1)) === 0 ? sets1 - 1 : -1;
  const mask2 = (sets2 & (sets2 - 1)) === 0 ? sets2 - 1 : -1;
  const pdeMask = (pdeSets & (pdeSets - 1)) === 0 ? pdeSets - 1 : -1;
  const pdpteMask = (pdpteSets & (pdpteSets - 1)) === 0 ? pdpteSets - 1 : -1;
  const pml4eMask = (pml4eSets & (pml4eSets - 1)) === 0 ? pml4eSets - 1 : -1;
  const kind1 = orderKind(ways1);
  const kind2 = orderKind(ways2);
  const pdeKind = orderKind(pdeWays);
  const pdpteKind = orderKind(pdpteWays);
  const pml4eKind = orderKind(pml4eWays);
  const has1 = sets1 > 0;
  const has2 = sets2 > 0;
  const hasPde = pdeSets > 0;
  const hasPdpte = pdpteSets > 0;
  const hasPml4e = pml4eSets > 0;

  // Tags are pairs of words; a walk cache's tags are followed by its table handles, the orders (two words a set) come last.
  const tags1 = 0;
  const tags2 = tags1 + tlb1.entries * 2;
  const tlbEnd = tags2 + tlb2.entries * 2;
  const pdeTags = tlbEnd;
  const pdeHandles = pdeTags + cache2.entries * 2;
  const pdpteTags = pdeHandles + cache2.entries;
  const pdpteHandles = pdpteTags + cache3.entries * 2;
  const pml4eTags = pdpteHandles + cache3.entries;
  const pml4eHandles = pml4eTags + cache4.entries * 2;
  const ordersStart = pml4eHandles + cache4.entries;
  const order1 = ordersStart;
  const order2 = order1 + sets1 * 2;
  const pdeOrder = order2 + sets2 * 2;
  const pdpteOrder = pdeOrder + pdeSets * 2;
  const pml4eOrder = pdpteOrder + pdpteSets * 2;
  const used = pml4eOrder + pml4eSets * 2;
  const stride = (used + 15) & ~15;
  const cells = new Int32Array(Math.max(64, stride * cpus));
  const moves = new Uint8Array(1024);

  // ---- ids: with PCIDs one per space for all CPUs, without one per space and CPU
  const row = options.maxSpaces + 1;
  const rows = config.pcid ? 1 : cpus;
  const walkIds = config.invalidation === 'space';
  if (rows * row * (walkIds ? 2 : 1) > maxId) {
    throw new RangeError(
      `lookup ${config.name}: ${row - 1} spaces on ${rows} CPUs need more than the ${maxId} address-space ids that ${geometry.vaBits}-bit addresses leave`,
    );
  }
  const ids = new Int32Array(Math.max(32, rows * row));
  const walkerIds = walkIds ? new Int32Array(Math.max(32, rows * row)) : ids;
  const running = new Int32Array(Math.max(32, cpus)).fill(-1);
  const state = new Int32Array(Cell.cells);

  // ---- counters: `hot` since the last spill; `walked` by start level * 8 + table reads
  const hot = new Int32Array(64);
  const walked = new Int32Array(64);
  const counters = new Float64Array(LookupCounter.length);
  const walkLengths = new Float64Array(levels + 1);
  const pdeRead1 = (1 << 3) | 1;

  // ---- exact LRU of one set: `o` its order word, `t` its first tag cell, `v` its first handle cell or -1
  function promoteNibble(o: number, k: number): void {
    const a = cells[o]!;
    if ((a & 15) === k) return;
    let x = a ^ Math.imul(k, 0x11111111);
    let z = (x - 0x11111111) & ~x & 0x88888888;
    if (z !== 0) {
      const low = (1 << (28 - Math.clz32(z & -z))) - 1;
      cells[o] = (a & ~((low << 4) | 15)) | ((a & low) << 4) | k;
      return;
    }
    const b = cells[(o + 1) | 0]!;
    x = b ^ Math.imul(k, 0x11111111);
    z = (x - 0x11111111) & ~x & 0x88888888;
    const low = (1 << (28 - Math.clz32(z & -z))) - 1;
    cells[(o + 1) | 0] = (b & ~((low << 4) | 15)) | ((b & low) << 4) | (a >>> 28);
    cells[o] = (a << 4) | k;
  }

  function rotate(t: number, v: number, from: number, to: number): void {
    const step = from < to ? 1 : -1;
    const a = cells[t + from * 2]!;
    const b = cells[t + from * 2 + 1]!;
    const h = v < 0 ? 0 : cells[v + from]!;
    for (let i = from; i !== to; i = (i + step) | 0) {
      const n = (i + step) | 0;
      cells[t + i * 2] = cells[t + n * 2]!;
      cells[t + i * 2 + 1] = cells[t + n * 2 + 1]!;
      if (v >= 0) cells[v + i] = cells[v + n]!;
    }
    cells[t + to * 2] = a;
    cells[t + to * 2 + 1] = b;
    if (v >= 0) cells[v + to] = h;
  }

  /** Way k becomes the youngest. */
  function promote(kind: number, o: number, t: number, v: number, k: number): void {
    if (kind === Order.byte) cells[o] = moves[(cells[o]! << 2) | k]!;
    else if (kind === Order.nibble) promoteNibble(o, k);
    else if (k !== 0) rotate(t, v, k, 0);
  }

  /** The oldest way. */
  function oldest(kind: number, o: number, ways: number): number {
    if (kind === Order.byte) return (cells[o]! >>> ((ways - 1) << 1)) & 3;
    if (kind === Order.nibble) return ways <= 8 ? (cells[o]! >>> ((ways - 1) << 2)) & 15 : (cells[(o + 1) | 0]! >>> ((ways - 9) << 2)) & 15;
    return ways - 1;
  }

  /** Way k is emptied and becomes the oldest. */
  function drop(kind: number, o: number, ways: number, t: number, v: number, k: number): void {
    cells[(t + (k << 1)) | 0] = 0;
    cells[(t + (k << 1) + 1) | 0] = 0;
    if (kind === Order.shift) {
      rotate(t, v, k, ways - 1);
      return;
    }
    // Promote k, then turn the list by one: rare, so it is done place by place.
    promote(kind, o, t, v, k);
    if (kind === Order.byte) {
      const a = cells[o]!;
      const last = (ways - 1) << 1;
      const list = a & ((4 << last) - 1);
      cells[o] = (a ^ list) | (list >>> 2) | ((list & 3) << last);
      return;
    }
    for (let i = 1; i < ways; i++) setPlace(o, i - 1, place(o, i));
    setPlace(o, ways - 1, k);
  }
  function place(o: number, i: number): number {
    return (cells[o + (i >>> 3)]! >>> ((i & 7) << 2)) & 15;
  }
  function setPlace(o: number, i: number, k: number): void {
    const c = o + (i >>> 3);
    const s = (i & 7) << 2;
    cells[c] = (cells[c]! & ~(15 << s)) | (k << s);
  }

  /** The way that holds the tag, whatever its permissions, or -1. */
  function find(t: number, ways: number, page: number, tag: number): number {
    for (let k = 0; k < ways; k = (k + 1) | 0) {
      if (cells[(t + (k << 1)) | 0] === page && ((cells[(t + (k << 1) + 1) | 0]! ^ tag) & -4) === 0) return k;
    }
    return -1;
  }

  function insert1(c: number, set: number, page: number, entry: number): void {
    const o = (c + order1 + (set << 1)) | 0;
    const t = (c + tags1 + Math.imul(set, ways1 << 1)) | 0;
    const k = oldest(kind1, o, ways1);
    cells[(t + (k << 1)) | 0] = page;
    cells[(t + (k << 1) + 1) | 0] = entry;
    promote(kind1, o, t, -1, k);
  }
  function insert2(c: number, set: number, page: number, entry: number): void {
    const o = (c + order2 + (set << 1)) | 0;
    const t = (c + tags2 + Math.imul(set, ways2 << 1)) | 0;
    const k = oldest(kind2, o, ways2);
    cells[(t + (k << 1)) | 0] = page;
    cells[(t + (k << 1) + 1) | 0] = entry;
    promote(kind2, o, t, -1, k);
  }
  function set1(number: number): number {
    return mask1 >= 0 ? number & mask1 : (number >>> 0) % sets1 | 0;
  }
  function set2(number: number): number {
    return mask2 >= 0 ? number & mask2 : (number >>> 0) % sets2 | 0;
  }

  // ---- the TLB levels: 1 = hit, 0 = miss, -1 = hit without the permission (entry dropped)
  function probe1(c: number, number: number, tag: number, kind: number): number {
    if (!has1) return 0;
    const set = set1(number);
    const t = (c + tags1 + Math.imul(set, ways1 << 1)) | 0;
    const k = find(t, ways1, number, tag);
    if (k < 0) return 0;
    const o = (c + order1 + (set << 1)) | 0;
    if ((cells[(t + (k << 1) + 1) | 0]! & kind) === kind) {
      promote(kind1, o, t, -1, k);
      hot[LookupCounter.l1Hits]!++;
      return 1;
    }
    drop(kind1, o, ways1, t, -1, k);
    if (has2) drop2(c, number, tag);
    return -1;
  }
  function probe2(c: number, number: number, tag: number, kind: number): number {
    if (!has2) return 0;
    const set = set2(number);
    const t = (c + tags2 + Math.imul(set, ways2 << 1)) | 0;
    const k = find(t, ways2, number, tag);
    if (k < 0) return 0;
    const o = (c + order2 + (set << 1)) | 0;
    const entry = cells[(t + (k << 1) + 1) | 0]!;
    if ((entry & kind) === kind) {
      promote(kind2, o, t, -1, k);
      hot[LookupCounter.l2Hits]!++;
      insert1(c, set1(number), number, entry);
      return 1;
    }
    drop(kind2, o, ways2, t, -1, k);
    return -1;
  }
  function drop1(c: number, number: number, tag: number): void {
    const set = set1(number);
    const t = (c + tags1 + Math.imul(set, ways1 << 1)) | 0;
    const k = find(t, ways1, number, tag);
    if (k >= 0) drop(kind1, (c + order1 + (set << 1)) | 0, ways1, t, -1, k);
  }
  function drop2(c: number, number: number, tag: number): void {
    const set = set2(number);
    const t = (c + tags2 + Math.imul(set, ways2 << 1)) | 0;
    const k = find(t, ways2, number, tag);
    if (k >= 0) drop(kind2, (c + order2 + (set << 1)) | 0, ways2, t, -1, k);
  }

  // ---- numbers of an address
  /** Bits `shift` and up of the address, the low 32 of them. */
  function above(hi: number, lo: number, shift: number): number {
    return shift < 30 ? (lo >>> shift) | (hi << (30 - shift)) : hi >> (shift - 30);
  }
  function idIndex(space: number, hi: number, cpu: number): number {
    const s = (space + 1) & ~(hi >> 31);
    return rows === 1 ? s : (Math.imul(cpu, row) + s) | 0;
  }
  function base(cpu: number): number {
    return cpus === 1 ? 0 : Math.imul(cpu, stride);
  }

  function access(space: number, hi: number, lo: number, kind: number, cpu: number): number {
    const page = (hi << pageUp) | (lo >>> pageShift);
    const tag = ids[idIndex(space, hi, cpu)]! | (((hi >> 14) & topMask) << 4);
    if (has1) {
      const c = base(cpu);
      const set = set1(page);
      const order = cells[(c + order1 + (set << 1)) | 0]!;
      const k = kind1 === Order.byte ? order & 3 : kind1 === Order.nibble ? order & 15 : 0;
      const t = (c + tags1 + Math.imul(set, ways1 << 1) + (k << 1)) | 0;
      if (((cells[t]! ^ page) | ((cells[(t + 1) | 0]! ^ tag) & (kind | -4))) === 0) {
        hot[LookupCounter.l1Hits]!++;
        return 1;
      }
    }
    return accessSlow(space, hi, lo, kind, cpu, page, tag);
  }

  function accessSlow(space: number, hi: number, lo: number, kind: number, cpu: number, page: number, tag: number): number {
    const c = base(cpu);
    let r = probe1(c, page, tag, kind);
    if (r > 0) return 1;
    const large = state[Cell.large]!;
    if (large !== 0 && r === 0) {
      r = probeLarge(c, hi, lo, kind, tag, large, 1);
      if (r > 0) return 1;
    }
    if (r === 0) {
      r = probe2(c, page, tag, kind);
      if (r > 0) return 1;
      if (large !== 0 && r === 0) {
        r = probeLarge(c, hi, lo, kind, tag, large, 2);
        if (r > 0) return 1;
      }
    }
    if (r === 0) hot[LookupCounter.misses]!++;
    else hot[LookupCounter.permissionWalks]!++;
    return translate(space, hi, lo, kind, cpu, c, page, tag);
  }

  function probeLarge(c: number, hi: number, lo: number, kind: number, tag: number, large: number, level: number): number {
    if ((large & 1) !== 0) {
      const r = level === 1 ? probe1(c, above(hi, lo, shift2), tag | Size.large2, kind) : probe2(c, above(hi, lo, shift2), tag | Size.large2, kind);
      if (r !== 0) return r;
    }
    if ((large & 2) === 0) return 0;
    return level === 1 ? probe1(c, above(hi, lo, shift3), tag | Size.large3, kind) : probe2(c, above(hi, lo, shift3), tag | Size.large3, kind);
  }

  function retry(space: number, hi: number, lo: number, kind: number, cpu: number): number {
    const page = (hi << pageUp) | (lo >>> pageShift);
    const tag = ids[idIndex(space, hi, cpu)]! | (((hi >> 14) & topMask) << 4);
    const c = base(cpu);
    // A nested access may have filled the page meanwhile; an entry must not stand twice (a fault drops the page's entries, SDM 4.10.4.1).
    forgetPage(c, hi, lo, page, tag);
    return translate(space, hi, lo, kind, cpu, c, page, tag);
  }

  /** Walks and fills both TLB levels; 0 = page fault. */
  function translate(space: number, hi: number, lo: number, kind: number, cpu: number, c: number, page: number, tag: number): number {
    const r = walk(space, hi, lo, kind, cpu, c);
    if (r === 0) return 0;
    let number = page;
    let entry = (tag & ~3) | (r & 3);
    if (r > 7) {
      const two = (r & Walked.large2) !== 0;
      number = two ? above(hi, lo, shift2) : above(hi, lo, shift3);
      entry |= two ? Size.large2 : Size.large3;
      state[Cell.large]! |= two ? 1 : 2;
    }
    if (has1) insert1(c, set1(number), number, entry);
    if (has2) insert2(c, set2(number), number, entry);
    return 1;
  }

  // ---- the walker
  function walk(space: number, hi: number, lo: number, kind: number, cpu: number, c: number): number {
    const id = walkerIds[idIndex(space, hi, cpu)]!;
    if (hasPde) {
      const number = above(hi, lo, shift2);
      const set = pdeMask >= 0 ? number & pdeMask : (number >>> 0) % pdeSets | 0;
      const slot = Math.imul(set, pdeWays);
      const t = (c + pdeTags + (slot << 1)) | 0;
      const k = find(t, pdeWays, number, id | (((hi >> 14) & topMask) << 4));
      if (k >= 0) {
        const v = (c + pdeHandles + slot) | 0;
        const table = cells[(v + k) | 0]!;
        promote(pdeKind, (c + pdeOrder + (set << 1)) | 0, t, v, k);
        return leaf((table + (((lo >>> pageShift) & indexMask) << 1)) | 0, kind, pdeRead1, Walked.page);
      }
    }
    return walkUpper(space, hi, lo, kind, c, id);
  }

  function walkUpper(space: number, hi: number, lo: number, kind: number, c: number, id: number): number {
    let level = levels;
    let table = 0;
    if (hasPdpte) {
      const number = above(hi, lo, shift3);
      const set = pdpteMask >= 0 ? number & pdpteMask : (number >>> 0) % pdpteSets | 0;
      const slot = Math.imul(set, pdpteWays);
      const t = (c + pdpteTags + (slot << 1)) | 0;
      const k = find(t, pdpteWays, number, id);
      if (k >= 0) {
        const v = (c + pdpteHandles + slot) | 0;
        table = cells[(v + k) | 0]!;
        promote(pdpteKind, (c + pdpteOrder + (set << 1)) | 0, t, v, k);
        level = 2;
      }
    }
    if (hasPml4e && table === 0) {
      const number = above(hi, lo, shift4);
      const set = pml4eMask >= 0 ? number & pml4eMask : (number >>> 0) % pml4eSets | 0;
      const slot = Math.imul(set, pml4eWays);
      const t = (c + pml4eTags + (slot << 1)) | 0;
      const k = find(t, pml4eWays, number, id);
      if (k >= 0) {
        const v = (c + pml4eHandles + slot) | 0;
        table = cells[(v + k) | 0]!;
        promote(pml4eKind, (c + pml4eOrder + (set << 1)) | 0, t, v, k);
        level = 3;
      }
    }
    if (table === 0) table = space < 0 ? kernelRoot() : roots[space]!;
    let read = level << 3;
    for (; level > 1; level = (level - 1) | 0) {
      read = (read + 1) | 0;
      const q = (table + ((above(hi, lo, (pageShift + Math.imul(indexBits, level - 1)) | 0) & indexMask) << 1)) | 0;
      const e = pt[q]!;
      if ((e & Entry.present) === 0) {
        walked[read]!++;
        hot[LookupCounter.faults]!++;
        return 0;
      }
      if ((e & Entry.large) !== 0) return leaf(q, kind, read, level === 2 ? Walked.large2 : Walked.large3);
      pt[q] = e | Entry.accessed;
      table = tableOf[pt[(q + 1) | 0]!]!;
      remember(level, hi, lo, c, id, table);
    }
    return leaf((table + (((lo >>> pageShift) & indexMask) << 1)) | 0, kind, (read + 1) | 0, Walked.page);
  }

  /** Fills the walk cache of the level with the table its entry leads to. */
  function remember(level: number, hi: number, lo: number, c: number, id: number, table: number): void {
    if (level === 2) {
      if (!hasPde) return;
      const number = above(hi, lo, shift2);
      const set = pdeMask >= 0 ? number & pdeMask : (number >>> 0) % pdeSets | 0;
      const slot = Math.imul(set, pdeWays);
      fill(
        pdeKind,
        pdeWays,
        (c + pdeOrder + (set << 1)) | 0,
        (c + pdeTags + (slot << 1)) | 0,
        (c + pdeHandles + slot) | 0,
        number,
        id | (((hi >> 14) & topMask) << 4),
        table,
      );
    } else if (level === 3) {
      if (!hasPdpte) return;
      const number = above(hi, lo, shift3);
      const set = pdpteMask >= 0 ? number & pdpteMask : (number >>> 0) % pdpteSets | 0;
      const slot = Math.imul(set, pdpteWays);
      fill(pdpteKind, pdpteWays, (c + pdpteOrder + (set << 1)) | 0, (c + pdpteTags + (slot << 1)) | 0, (c + pdpteHandles + slot) | 0, number, id, table);
    } else if (level === 4) {
      if (!hasPml4e) return;
      const number = above(hi, lo, shift4);
      const set = pml4eMask >= 0 ? number & pml4eMask : (number >>> 0) % pml4eSets | 0;
      const slot = Math.imul(set, pml4eWays);
      fill(pml4eKind, pml4eWays, (c + pml4eOrder + (set << 1)) | 0, (c + pml4eTags + (slot << 1)) | 0, (c + pml4eHandles + slot) | 0, number, id, table);
    }
  }
  function fill(kind: number, ways: number, o: number, t: number, v: number, number: number, tag: number, table: number): void {
    const k = oldest(kind, o, ways);
    cells[(t + (k << 1)) | 0] = number;
    cells[(t + (k << 1) + 1) | 0] = tag;
    cells[(v + k) | 0] = table;
    promote(kind, o, t, v, k);
  }

  /** The leaf entry at word q: checks the access, sets A and D; `size` and the permission bits, or 0. */
  function leaf(q: number, kind: number, read: number, size: number): number {
    walked[read]!++;
    let e = pt[q]!;
    // Needed: P, R/W for a write (bit 1), XD clear (bit 23) for a fetch.
    const need = Entry.present | ((kind & 1) << 1) | ((kind & 2) << 22);
    if (((e ^ 0x800000) & need) !== need) {
      hot[LookupCounter.faults]!++;
      return 0;
    }
    e |= Entry.accessed | ((kind & 1) << 6);
    pt[q] = e;
    return size | ((e >>> 1) & (e >>> 6) & 1) | ((~e >>> 22) & 2);
  }

  // ---- forgetting
  function forgetPage(c: number, hi: number, lo: number, page: number, tag: number): void {
    const large = state[Cell.large]!;
    if (has1) drop1(c, page, tag);
    if (has2) drop2(c, page, tag);
    if ((large & 1) !== 0) {
      if (has1) drop1(c, above(hi, lo, shift2), tag | Size.large2);
      if (has2) drop2(c, above(hi, lo, shift2), tag | Size.large2);
    }
    if ((large & 2) !== 0) {
      if (has1) drop1(c, above(hi, lo, shift3), tag | Size.large3);
      if (has2) drop2(c, above(hi, lo, shift3), tag | Size.large3);
    }
  }

  function forgetPath(c: number, hi: number, lo: number, id: number): void {
    if (hasPde) {
      const number = above(hi, lo, shift2);
      const set = pdeMask >= 0 ? number & pdeMask : (number >>> 0) % pdeSets | 0;
      const slot = Math.imul(set, pdeWays);
      const t = (c + pdeTags + (slot << 1)) | 0;
      const k = find(t, pdeWays, number, id | (((hi >> 14) & topMask) << 4));
      if (k >= 0) drop(pdeKind, (c + pdeOrder + (set << 1)) | 0, pdeWays, t, (c + pdeHandles + slot) | 0, k);
    }
    if (hasPdpte) {
      const number = above(hi, lo, shift3);
      const set = pdpteMask >= 0 ? number & pdpteMask : (number >>> 0) % pdpteSets | 0;
      const slot = Math.imul(set, pdpteWays);
      const t = (c + pdpteTags + (slot << 1)) | 0;
      const k = find(t, pdpteWays, number, id);
      if (k >= 0) drop(pdpteKind, (c + pdpteOrder + (set << 1)) | 0, pdpteWays, t, (c + pdpteHandles + slot) | 0, k);
    }
    if (hasPml4e) {
      const number = above(hi, lo, shift4);
      const set = pml4eMask >= 0 ? number & pml4eMask : (number >>> 0) % pml4eSets | 0;
      const slot = Math.imul(set, pml4eWays);
      const t = (c + pml4eTags + (slot << 1)) | 0;
      const k = find(t, pml4eWays, number, id);
      if (k >= 0) drop(pml4eKind, (c + pml4eOrder + (set << 1)) | 0, pml4eWays, t, (c + pml4eHandles + slot) | 0, k);
    }
  }

  function invalidatePage(space: number, hi: number, lo: number): void {
    hot[LookupCounter.pageInvalidations]!++;
    const page = (hi << pageUp) | (lo >>> pageShift);
    for (let cpu = 0; cpu < cpus; cpu = (cpu + 1) | 0) {
      const i = idIndex(space, hi, cpu);
      const c = base(cpu);
      forgetPage(c, hi, lo, page, ids[i]! | (((hi >> 14) & topMask) << 4));
      if (!walkIds) forgetPath(c, hi, lo, ids[i]!);
      else if (cpu < rows) walkerIds[i] = freshId();
    }
  }

  function freshId(): number {
    if (state[Cell.lastId]! >= maxId) clear();
    const id = (state[Cell.lastId]! + 1) | 0;
    state[Cell.lastId] = id;
    return (id << idShift) | 3;
  }

  /** Empties everything and numbers the spaces anew: at the start and when the ids have run out. */
  function clear(): void {
    for (let cpu = 0; cpu < cpus; cpu++) cells.fill(0, cpu * stride, cpu * stride + ordersStart);
    state[Cell.lastId] = 0;
    state[Cell.large] = 0;
    for (let i = 0; i < rows * row; i++) {
      ids[i] = freshId();
      if (walkIds) walkerIds[i] = freshId();
    }
  }

  function flushSpace(space: number): void {
    hot[LookupCounter.spaceFlushes]!++;
    for (let r = 0; r < rows; r = (r + 1) | 0) renew((Math.imul(r, row) + space + 1) | 0);
  }
  function renew(i: number): void {
    const id = freshId();
    ids[i] = id;
    if (walkIds) walkerIds[i] = id;
  }

  function switchSpace(space: number, cpu: number): void {
    // The kernel's threads borrow the space that ran before; its own entries are global.
    if (rows === 1 && config.pcid) return;
    if (space < 0 || running[cpu] === space) return;
    running[cpu] = space;
    hot[LookupCounter.spaceFlushes]!++;
    renew((Math.imul(cpu, row) + space + 1) | 0);
  }

  // ---- counters
  function spill(): void {
    for (let i = 0; i < LookupCounter.length; i++) {
      counters[i]! += hot[i]!;
      hot[i] = 0;
    }
    for (let start = 1; start <= levels; start++) {
      for (let refs = 1; refs <= levels; refs++) {
        const n = walked[(start << 3) | refs]!;
        walked[(start << 3) | refs] = 0;
        counters[LookupCounter.walks]! += n;
        counters[LookupCounter.walkRefs]! += n * refs;
        walkLengths[refs]! += n;
        if (start === levels) continue;
        if (start === 1) counters[LookupCounter.pdeHits]! += n;
        else if (start === 2) counters[LookupCounter.pdpteHits]! += n;
        else counters[LookupCounter.pml4eHits]! += n;
      }
    }
    counters[LookupCounter.lookups] =
      counters[LookupCounter.l1Hits]! + counters[LookupCounter.l2Hits]! + counters[LookupCounter.misses]! + counters[LookupCounter.permissionWalks]!;
  }

  function cycles(): number {
    spill();
    return (
      counters[LookupCounter.l1Hits]! * tlb1.hitCycles +
      counters[LookupCounter.l2Hits]! * tlb2.hitCycles +
      counters[LookupCounter.walks]! * config.walkBaseCycles +
      counters[LookupCounter.walkRefs]! * config.walkReadCycles +
      counters[LookupCounter.faults]! * config.faultCycles
    );
  }

  for (let q = 0; q < 256; q++) {
    for (let k = 0; k < 4; k++) {
      let moved = k;
      let to = 2;
      for (let i = 0; i < 8; i += 2) {
        const way = (q >> i) & 3;
        if (way === k || to === 8) continue;
        moved |= way << to;
        to += 2;
      }
      moves[(q << 2) | k] = moved;
    }
  }
  for (let cpu = 0; cpu < cpus; cpu++) {
    const first = cpu * stride;
    const initial = (start: number, sets: number, kind: Order): void => {
      for (let s = 0; s < sets; s++) {
        cells[first + start + s * 2] = kind === Order.byte ? ORDER_BYTE : NIBBLES_LOW;
        cells[first + start + s * 2 + 1] = kind === Order.byte ? 0 : NIBBLES_HIGH;
      }
    };
    initial(order1, sets1, kind1);
    initial(order2, sets2, kind2);
    initial(pdeOrder, pdeSets, pdeKind);
    initial(pdpteOrder, pdpteSets, pdpteKind);
    initial(pml4eOrder, pml4eSets, pml4eKind);
  }
  clear();

  return { access, retry, invalidatePage, flushSpace, switchSpace, counters, spill, walkLengths, cycles };
}
