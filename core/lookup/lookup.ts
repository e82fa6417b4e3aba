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
 * - Forgetting a space takes its id away, its next walk gives it a new one; its old entries stay until they are the oldest of their sets. When ids
 *   run out everything is cleared.
 *
 * What is not modelled
 * - Access rights of upper levels: page tables made here always have P, R/W and U/S set and XD clear above the leaf, so the leaf's bits are the combined
 *   rights (SDM 4.6). U/S is not checked: kernel accesses are simulated with the same call. CR0.WP is 1.
 * - A page fault leaves the walk caches as they are (SDM 4.10.4.1 lets it drop what leads to the page); entries are never prefetched.
 * - Addresses must be canonical and spaces below `maxSpaces`; others would alias, so callers reject them.
 *
 * Bit layout of a TLB entry, two words (a walk cache's entry is the same, with size 0 and both permissions, and a third word: the table's handle):
 *
 *      word 0   page number in units of the page's size, 32 bits
 *      word 1   31 ........ 4+top | 3+top ... 4    | 3 2  | 1     | 0
 *               address-space id  | page number's  | size | fetch | write
 *                                 | bits above 32  |
 *
 * `top` is 4 with 48-bit addresses, 13 with 57 bits; it is 0 when the number of sets is a multiple of 2^top: then the set tells the page number's low
 * bits and word 0 holds those above. A space has id 0 until its first walk; empty places have size 3. So neither ever matches.
 *
 * This file is longer than others: the compiler turns a closure's constants into machine constants only inside one factory, and beside the functions
 * for any shape stand those for the usual one (first level of up to 4 ways, second of up to 16, walk caches of up to 4). There, which way hits, which no
 * branch predictor foresees, is computed from signatures, and functions are cut so that the compiler's inlining budget holds what they call.
 */
import { Cell, Field, makeLayout, Unit } from './layout.js';
import { LookupCounter } from './lookup-contract.js';
import type { Lookup, LookupOptions } from './lookup-contract.js';

/** Bits of a page-table entry's word 0 (arch/arch.ts). */
const enum Entry {
  present = 1,
  accessed = 32,
  large = 128,
  noExecute = 1 << 23,
}

/** Size field of word 1. */
const enum Size {
  large2 = 1 << 2,
  large3 = 2 << 2,
  empty = 3 << 2,
}

/** A small set's order at the start: ways 0, 1, 2, 3, youngest in the lowest bits. */
const ORDER = 0xe4;

/** Makes the lookup unit of a machine. One per isolate: made twice, its closures lose their constants and run at half the speed. */
export function makeLookup(options: LookupOptions): Lookup {
  const { config, cpus, maxSpaces, tables } = options;
  const { geometry, root: roots, kernelRoot, pt, tableOf } = tables;
  const layout = makeLayout(config, geometry, cpus, maxSpaces);

  // ---- geometry: where the index of each level and the page numbers stand
  const { levels, pageShift, indexBits } = geometry;
  const indexMask = (1 << indexBits) - 1;
  const shift2 = pageShift + indexBits;
  const shift3 = shift2 + indexBits;
  const shift4 = shift3 + indexBits;
  const low2 = 30 - shift2;
  const { compact, idShift, maxId, rows, row, walkIds } = layout;
  const pageDown = compact ? pageShift + layout.topBits : pageShift;
  const pageUp = 30 - pageDown;
  const topShift = 2 + pageShift;
  const topMask = (1 << layout.topBits) - 1;

  // ---- storage
  const { first, stride, linkStride, shape } = layout;
  const cells = new Int32Array(layout.cells);
  const links = layout.maxWays < 256 ? new Uint8Array(layout.links) : new Int32Array(layout.links);
  const moves = new Uint8Array(1024);
  const running = new Int32Array(cpus).fill(-1);
  const counters = new Float64Array(LookupCounter.length);
  const walkLengths = new Float64Array(levels + 1);
  const ids = Cell.ids as number;
  const ownWalkIds = walkIds !== ids;
  const pcid = config.pcid;
  const hits1 = Cell.hot + LookupCounter.l1Hits;
  const hits2 = Cell.hot + LookupCounter.l2Hits;
  const misses = Cell.hot + LookupCounter.misses;
  const permissionWalks = Cell.hot + LookupCounter.permissionWalks;
  const faults = Cell.hot + LookupCounter.faults;
  const pageInvalidations = Cell.hot + LookupCounter.pageInvalidations;

  // ---- constants of the usual shape
  const { sets: sets1, tags: tags1, signs: signs1, order: order1, last: last1 } = layout.tlb1;
  const { sets: sets2, ways: ways2, tags: tags2, signs: signs2, order: links2 } = layout.tlb2;
  const { sets: setsPde, tags: tagsPde, signs: signsPde, handles: handlesPde, order: orderPde, last: lastPde } = layout.pde;
  const { sets: setsPdpte, tags: tagsPdpte, signs: signsPdpte, handles: handlesPdpte, order: orderPdpte, last: lastPdpte } = layout.pdpte;
  const { sets: setsPml4e, tags: tagsPml4e, signs: signsPml4e, handles: handlesPml4e, order: orderPml4e, last: lastPml4e } = layout.pml4e;
  const words2 = (ways2 + 3) >> 2;
  const tagStride2 = words2 * 8;
  const ring2 = ways2 + 1;
  const linkStride2 = ring2 * 2;
  const has1 = config.tlb.length > 0;
  const has2 = config.tlb.length > 1;
  const hasPde = config.walkCaches.pde.entries > 0;
  const hasPdpte = config.walkCaches.pdpte.entries > 0;
  const hasPml4e = levels >= 4 && config.walkCaches.pml4e.entries > 0;
  const smallCaches = layout.pde.ways <= 4 && layout.pdpte.ways <= 4 && layout.pml4e.ways <= 4;
  const usual = has1 && layout.tlb1.ways <= 4 && has2 && ways2 <= 16 && smallCaches && levels >= 3;

  // ---- numbers of an address; choices are made here, once, so that what is inlined stays tiny
  const { imul, clz32 } = Math;
  const base = cpus === 1 ? () => first : (cpu: number) => (first + imul(cpu, stride)) | 0;
  const linkBase = cpus === 1 ? () => 0 : (cpu: number) => imul(cpu, linkStride);
  const kernelId = ids + maxSpaces;
  const idCell =
    rows === 1
      ? (space: number, hi: number) => ((space | hi) < 0 ? kernelId : (ids + space) | 0)
      : (space: number, hi: number, cpu: number) => (imul(cpu, row) + ((space | hi) < 0 ? kernelId : (ids + space) | 0)) | 0;
  const topOf = compact ? () => 0 : (hi: number) => ((hi >> topShift) & topMask) << 4;
  /** Bits `shift` and up of the address, the low 32 of them. */
  function above(hi: number, lo: number, shift: number): number {
    return shift < 30 ? (lo >>> shift) | (hi << (30 - shift)) : hi >> (shift - 30);
  }
  const number2 = (hi: number, lo: number): number => (lo >>> shift2) | (hi << low2);
  const number3 = shift3 === 30 ? (hi: number) => hi : (hi: number, lo: number) => above(hi, lo, shift3);
  const number4 = (hi: number): number => hi >> (shift4 - 30);
  const pageSet = (sets: number): ((hi: number, lo: number) => number) => {
    const mask = sets - 1;
    const inLo = (sets & mask) === 0 && sets <= 1 << (30 - pageShift);
    return inLo ? (_hi, lo) => (lo >>> pageShift) & mask : (hi, lo) => (above(hi, lo, pageShift) >>> 0) % sets;
  };
  const numberSet = (sets: number): ((number: number) => number) => {
    const mask = sets - 1;
    return (sets & mask) === 0 ? (number) => number & mask : (number) => (number >>> 0) % sets;
  };
  const set1 = pageSet(sets1);
  const set2 = pageSet(sets2);
  const numberSet1 = numberSet(sets1);
  const numberSet2 = numberSet(sets2);
  const setPde = numberSet(setsPde);
  const setPdpte = numberSet(setsPdpte);
  const setPml4e = numberSet(setsPml4e);
  /** The signature byte of an entry, in each byte of a word: places with another signature need not be compared. */
  function signature(page: number, tag: number): number {
    return imul(imul(page ^ (tag >>> 4), 0x9e3779b1) >>> 24, 0x01010101);
  }
  /** Bit 7 of each byte that is 0; a byte above one that is 0 may be marked as well. */
  function zeroBytes(x: number): number {
    return (x - 0x01010101) & ~x & 0x80808080;
  }

  // ---- small sets: up to four places, `t` their first tag, `s` their signatures, `o` their order
  /** The place that holds the page under the tag, whatever its permissions, or -1. */
  function findSmall(t: number, s: number, page: number, tag: number): number {
    const m = cells;
    for (let z = zeroBytes(m[s]! ^ signature(page, tag)); z !== 0; z &= z - 1) {
      const k = (31 - clz32(z & -z)) >>> 3;
      const i = (t + (k << 1)) | 0;
      if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & -4)) === 0) return k;
    }
    return -1;
  }
  /** Puts an entry in the oldest place, which becomes the youngest. The place. */
  function insertSmall(t: number, s: number, o: number, last: number, page: number, entry: number, sign: number): number {
    const m = cells;
    const order = m[o]!;
    const k = (order >>> last) & 3;
    m[o] = moves[(order << 2) | k]!;
    const i = (t + (k << 1)) | 0;
    m[i] = page;
    m[(i + 1) | 0] = entry;
    const byte = 255 << (k << 3);
    m[s] = (m[s]! & ~byte) | (sign & byte);
    return k;
  }

  /** Place k of a small set becomes the oldest: it goes to the front of the list, which then turns by one. */
  function retire(o: number, last: number, k: number): void {
    const order = moves[(cells[o]! << 2) | k]!;
    const list = order & ((4 << last) - 1);
    cells[o] = (order ^ list) | (list >>> 2) | ((list & 3) << last);
  }
  /** Empties the place of a small set that holds the entry, if any. */
  function dropSmall(t: number, s: number, o: number, last: number, page: number, tag: number): void {
    const k = findSmall(t, s, page, tag);
    if (k < 0) return;
    cells[(t + (k << 1) + 1) | 0] = Size.empty;
    // Pages of a range share their tables: the next one of them shall not look here again.
    cells[s] = cells[s]! ^ (255 << (k << 3));
    retire(o, last, k);
  }

  // ---- other sets: a ring of links. Next of k at o + k, the one before at o + ring + k; number `ways` is the head: its next is the youngest, the one
  // before it the oldest.
  /** Takes k out of the ring and puts it after `at`. */
  function relink(o: number, ring: number, k: number, at: number): void {
    const n = links;
    const p = (o + ring) | 0;
    const next = n[(o + k) | 0]!;
    const before = n[(p + k) | 0]!;
    n[(o + before) | 0] = next;
    n[(p + next) | 0] = before;
    const after = n[(o + at) | 0]!;
    n[(o + at) | 0] = k;
    n[(p + k) | 0] = at;
    n[(o + k) | 0] = after;
    n[(p + after) | 0] = k;
  }

  // ---- any structure
  function waysOf(unit: number): number {
    return shape[(unit + Field.ways) | 0]!;
  }
  function isSmall(unit: number): boolean {
    return shape[(unit + Field.small) | 0] !== 0;
  }
  function setOf(unit: number, number: number): number {
    const mask = shape[(unit + Field.mask) | 0]!;
    return mask >= 0 ? number & mask : (number >>> 0) % shape[(unit + Field.sets) | 0]! | 0;
  }
  /** First tag, signature, handle and order cell (or link) of a set. */
  function tagsOf(unit: number, b: number, set: number): number {
    const f = shape;
    return (b + f[(unit + Field.tags) | 0]! + imul(set, f[(unit + Field.places) | 0]! << 1)) | 0;
  }
  function signsOf(unit: number, b: number, set: number): number {
    const f = shape;
    return (b + f[(unit + Field.signs) | 0]! + imul(set, f[(unit + Field.places) | 0]! >> 2)) | 0;
  }
  function handlesOf(unit: number, b: number, set: number): number {
    const f = shape;
    return (b + f[(unit + Field.handles) | 0]! + imul(set, f[(unit + Field.places) | 0]!)) | 0;
  }
  function orderOf(unit: number, b: number, cpu: number, set: number): number {
    const f = shape;
    const o = f[(unit + Field.order) | 0]!;
    return f[(unit + Field.small) | 0] !== 0 ? (b + o + set) | 0 : (linkBase(cpu) + o + imul(set, (f[(unit + Field.ways) | 0]! + 1) << 1)) | 0;
  }
  function find(unit: number, b: number, set: number, page: number, tag: number): number {
    const m = cells;
    const t = tagsOf(unit, b, set);
    const s = signsOf(unit, b, set);
    const words = shape[(unit + Field.places) | 0]! >> 2;
    const sign = signature(page, tag);
    for (let w = 0; w < words; w = (w + 1) | 0) {
      const x = m[(s + w) | 0]! ^ sign;
      for (let z = (x - 0x01010101) & ~x & 0x80808080; z !== 0; z &= z - 1) {
        const k = ((w << 2) + ((31 - clz32(z & -z)) >>> 3)) | 0;
        const i = (t + (k << 1)) | 0;
        if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & -4)) === 0) return k;
      }
    }
    return -1;
  }
  /** Place k becomes the youngest. */
  function use(unit: number, b: number, cpu: number, set: number, k: number): void {
    const o = orderOf(unit, b, cpu, set);
    if (isSmall(unit)) cells[o] = moves[(cells[o]! << 2) | k]!;
    else relink(o, (waysOf(unit) + 1) | 0, k, waysOf(unit));
  }
  /** Puts an entry in the oldest place of its set, which becomes the youngest. */
  function insert(unit: number, b: number, cpu: number, set: number, page: number, entry: number, handle: number): void {
    const m = cells;
    const o = orderOf(unit, b, cpu, set);
    const ways = waysOf(unit);
    let k = 0;
    if (isSmall(unit)) {
      const order = m[o]!;
      k = (order >>> ((ways - 1) << 1)) & 3;
      m[o] = moves[(order << 2) | k]!;
    } else {
      k = links[(o + ways + 1 + ways) | 0]!;
      relink(o, (ways + 1) | 0, k, ways);
    }
    const i = (tagsOf(unit, b, set) + (k << 1)) | 0;
    m[i] = page;
    m[(i + 1) | 0] = entry;
    const s = (signsOf(unit, b, set) + (k >> 2)) | 0;
    const byte = 255 << ((k & 3) << 3);
    m[s] = (m[s]! & ~byte) | (signature(page, entry) & byte);
    if (unit >= Unit.pde) m[(handlesOf(unit, b, set) + k) | 0] = handle;
    else if (unit === Unit.tlb1) setYoungest(b, set, page, entry);
  }
  /** Empties the place that holds the page, if any, and makes it the oldest of its set. */
  function drop(unit: number, b: number, cpu: number, set: number, page: number, tag: number): void {
    const k = find(unit, b, set, page, tag);
    if (k < 0) return;
    cells[(tagsOf(unit, b, set) + (k << 1) + 1) | 0] = Size.empty;
    if (unit === Unit.tlb1) setYoungest(b, set, 0, Size.empty);
    const o = orderOf(unit, b, cpu, set);
    const ways = waysOf(unit);
    if (isSmall(unit)) retire(o, (ways - 1) << 1, k);
    else {
      const last = links[(o + ways + 1 + ways) | 0]!;
      if (last !== k) relink(o, (ways + 1) | 0, k, last);
    }
  }
  /** `access` compares with a copy of each first-level set's youngest entry. */
  function setYoungest(b: number, set: number, page: number, entry: number): void {
    const m = cells;
    const i = (b + (set << 1)) | 0;
    m[i] = page;
    m[(i + 1) | 0] = entry;
  }

  // ---- access: the youngest entry of the first level's set, here; everything else, out of line
  function access(space: number, hi: number, lo: number, kind: number, cpu: number): number {
    const m = cells;
    const page = (hi << pageUp) | (lo >>> pageDown);
    const tag = m[idCell(space, hi, cpu)]! | topOf(hi);
    const i = (base(cpu) + (set1(hi, lo) << 1)) | 0;
    // A kind is the permission bit it needs; the tag has both set.
    if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & (kind | -4))) === 0) {
      m[hits1]!++;
      return 1;
    }
    m[Cell.page] = page;
    m[Cell.tag] = tag;
    m[Cell.space] = space;
    m[Cell.hi] = hi;
    m[Cell.lo] = lo;
    m[Cell.kind] = kind;
    m[Cell.cpu] = cpu;
    return accessOther();
  }
  const accessOther = usual ? accessUsual : accessAny;
  const translate = usual ? translateUsual : translateAny;

  // The functions below take their arguments from cells: a call that passes five integers, boxed and checked, costs more than the work. What runs rarely
  // in one of them is a function of its own, for the compiler inlines only what a function calls nearly every time it runs.

  /** The usual shape: in each level the signatures of all ways at once, then the ways they point at (nearly always the right one). */
  function accessUsual(): number {
    const m = cells;
    const hi = m[Cell.hi]!;
    const lo = m[Cell.lo]!;
    const b = base(m[Cell.cpu]!);
    const page = m[Cell.page]!;
    const tag = m[Cell.tag]!;
    const sign = signature(page, tag);
    const set = set1(hi, lo);
    let x = m[(b + signs1 + set) | 0]! ^ sign;
    for (let z = (x - 0x01010101) & ~x & 0x80808080; z !== 0; z &= z - 1) {
      const k = (31 - clz32(z & -z)) >>> 3;
      const i = (b + tags1 + (set << 3) + (k << 1)) | 0;
      const entry = m[(i + 1) | 0]!;
      if (((m[i]! ^ page) | ((entry ^ tag) & -4)) !== 0) continue;
      const kind = m[Cell.kind]!;
      if ((entry & kind) !== kind) return walkAgain();
      const youngest = (b + (set << 1)) | 0;
      m[youngest] = page;
      m[(youngest + 1) | 0] = entry;
      const o = (b + order1 + set) | 0;
      m[o] = moves[(m[o]! << 2) | k]!;
      m[hits1]!++;
      return 1;
    }
    const large = m[Cell.large]!;
    if (large !== 0) {
      const r = largeFirst(large);
      if (r !== 0) return r > 0 ? 1 : accessAny();
    }
    const y = set2(hi, lo);
    const s = (b + signs2 + imul(y, words2)) | 0;
    x = m[s]! ^ sign;
    // Bit 8 * byte + word of `z` is way 4 * word + byte.
    let z = ((x - 0x01010101) & ~x & 0x80808080) >>> 7;
    if (words2 > 1) {
      x = m[(s + 1) | 0]! ^ sign;
      z |= ((x - 0x01010101) & ~x & 0x80808080) >>> 6;
    }
    if (words2 > 2) {
      x = m[(s + 2) | 0]! ^ sign;
      z |= ((x - 0x01010101) & ~x & 0x80808080) >>> 5;
    }
    if (words2 > 3) {
      x = m[(s + 3) | 0]! ^ sign;
      z |= ((x - 0x01010101) & ~x & 0x80808080) >>> 4;
    }
    for (; z !== 0; z &= z - 1) {
      const bit = 31 - clz32(z & -z);
      const k = ((bit & 7) << 2) | (bit >>> 3);
      const i = (b + tags2 + imul(y, tagStride2) + (k << 1)) | 0;
      if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & -4)) === 0) return hitSecond(k, sign);
    }
    if (large !== 0) {
      const r = largeSecond(large);
      if (r !== 0) return r > 0 ? 1 : accessAny();
    }
    m[misses]!++;
    return translateUsual();
  }
  /** Large pages in the first level of the usual shape: 1 = hit, 0 = miss, -1 = hit without the permission. */
  function largeFirst(large: number): number {
    let r = 0;
    if ((large & 1) !== 0) r = probeFirst(number2(cells[Cell.hi]!, cells[Cell.lo]!), Size.large2);
    if (r === 0 && (large & 2) !== 0) r = probeFirst(number3(cells[Cell.hi]!, cells[Cell.lo]!), Size.large3);
    return r;
  }
  function probeFirst(number: number, size: number): number {
    const m = cells;
    const b = base(m[Cell.cpu]!);
    const set = numberSet1(number);
    const t = (b + tags1 + (set << 3)) | 0;
    const k = findSmall(t, (b + signs1 + set) | 0, number, m[Cell.tag]! | size);
    if (k < 0) return 0;
    const entry = m[(t + (k << 1) + 1) | 0]!;
    const kind = m[Cell.kind]!;
    if ((entry & kind) !== kind) return -1;
    setYoungest(b, set, number, entry);
    const o = (b + order1 + set) | 0;
    m[o] = moves[(m[o]! << 2) | k]!;
    m[hits1]!++;
    return 1;
  }
  /** The same in the second level, which the first is filled from. */
  function largeSecond(large: number): number {
    let r = 0;
    if ((large & 1) !== 0) r = probeSecond(number2(cells[Cell.hi]!, cells[Cell.lo]!), Size.large2);
    if (r === 0 && (large & 2) !== 0) r = probeSecond(number3(cells[Cell.hi]!, cells[Cell.lo]!), Size.large3);
    return r;
  }
  function probeSecond(number: number, size: number): number {
    const m = cells;
    const cpu = m[Cell.cpu]!;
    const b = base(cpu);
    const tag = m[Cell.tag]! | size;
    const sign = signature(number, tag);
    const y = numberSet2(number);
    const s = (b + signs2 + imul(y, words2)) | 0;
    for (let w = 0; w < words2; w = (w + 1) | 0) {
      for (let z = zeroBytes(m[(s + w) | 0]! ^ sign); z !== 0; z &= z - 1) {
        const k = ((w << 2) + ((31 - clz32(z & -z)) >>> 3)) | 0;
        const i = (b + tags2 + imul(y, tagStride2) + (k << 1)) | 0;
        const entry = m[(i + 1) | 0]!;
        if (((m[i]! ^ number) | ((entry ^ tag) & -4)) !== 0) continue;
        const kind = m[Cell.kind]!;
        if ((entry & kind) !== kind) return -1;
        relink((linkBase(cpu) + links2 + imul(y, linkStride2)) | 0, ring2, k, ways2);
        const set = numberSet1(number);
        insertSmall((b + tags1 + (set << 3)) | 0, (b + signs1 + set) | 0, (b + order1 + set) | 0, last1, number, entry, sign);
        setYoungest(b, set, number, entry);
        m[hits2]!++;
        return 1;
      }
    }
    return 0;
  }

  /** Way k of the second level holds the page. */
  function hitSecond(k: number, sign: number): number {
    const m = cells;
    const hi = m[Cell.hi]!;
    const lo = m[Cell.lo]!;
    const cpu = m[Cell.cpu]!;
    const b = base(cpu);
    const y = set2(hi, lo);
    const entry = m[(b + tags2 + imul(y, tagStride2) + (k << 1) + 1) | 0]!;
    const kind = m[Cell.kind]!;
    if ((entry & kind) !== kind) return walkAgain();
    relink((linkBase(cpu) + links2 + imul(y, linkStride2)) | 0, ring2, k, ways2);
    const set = set1(hi, lo);
    const page = m[Cell.page]!;
    insertSmall((b + tags1 + (set << 3)) | 0, (b + signs1 + set) | 0, (b + order1 + set) | 0, last1, page, entry, sign);
    setYoungest(b, set, page, entry);
    m[hits2]!++;
    return 1;
  }

  /** A hit without the permission. */
  function walkAgain(): number {
    cells[permissionWalks]!++;
    dropPage();
    return translateUsual();
  }
  /** Drops the page under way from both levels of the usual shape. */
  function dropPage(): void {
    const m = cells;
    const hi = m[Cell.hi]!;
    const lo = m[Cell.lo]!;
    const cpu = m[Cell.cpu]!;
    const b = base(cpu);
    const page = m[Cell.page]!;
    const tag = m[Cell.tag]!;
    const sign = signature(page, tag);
    const set = set1(hi, lo);
    for (let z = zeroBytes(m[(b + signs1 + set) | 0]! ^ sign); z !== 0; z &= z - 1) {
      const k = (31 - clz32(z & -z)) >>> 3;
      const i = (b + tags1 + (set << 3) + (k << 1)) | 0;
      if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & -4)) !== 0) continue;
      m[(i + 1) | 0] = Size.empty;
      m[(b + (set << 1) + 1) | 0] = Size.empty;
      retire((b + order1 + set) | 0, last1, k);
      break;
    }
    const y = set2(hi, lo);
    const s = (b + signs2 + imul(y, words2)) | 0;
    for (let w = 0; w < words2; w = (w + 1) | 0) {
      for (let z = zeroBytes(m[(s + w) | 0]! ^ sign); z !== 0; z &= z - 1) {
        const k = ((w << 2) + ((31 - clz32(z & -z)) >>> 3)) | 0;
        const i = (b + tags2 + imul(y, tagStride2) + (k << 1)) | 0;
        if (((m[i]! ^ page) | ((m[(i + 1) | 0]! ^ tag) & -4)) !== 0) continue;
        m[(i + 1) | 0] = Size.empty;
        const o = (linkBase(cpu) + links2 + imul(y, linkStride2)) | 0;
        const last = links[(o + ring2 + ways2) | 0]!;
        if (last !== k) relink(o, ring2, k, last);
        return;
      }
    }
  }

  /** Any shape. */
  function accessAny(): number {
    const hi = cells[Cell.hi]!;
    const lo = cells[Cell.lo]!;
    const kind = cells[Cell.kind]!;
    const cpu = cells[Cell.cpu]!;
    const tag = cells[Cell.tag]!;
    const b = base(cpu);
    let r = 0;
    if (has1) r = probeSizes(Unit.tlb1, b, cpu, hi, lo, tag, kind);
    if (has2 && r === 0) r = probeSizes(Unit.tlb2, b, cpu, hi, lo, tag, kind);
    if (r > 0) return 1;
    if (r === 0) cells[misses]!++;
    else {
      cells[permissionWalks]!++;
      forgetPage(b, cpu, hi, lo, tag);
    }
    return translate();
  }
  function probeSizes(unit: number, b: number, cpu: number, hi: number, lo: number, tag: number, kind: number): number {
    const large = cells[Cell.large]!;
    let r = probe(unit, b, cpu, above(hi, lo, pageShift), (hi << pageUp) | (lo >>> pageDown), tag, kind);
    if (r === 0 && (large & 1) !== 0) r = probe(unit, b, cpu, number2(hi, lo), number2(hi, lo), tag | Size.large2, kind);
    if (r === 0 && (large & 2) !== 0) r = probe(unit, b, cpu, number3(hi, lo), number3(hi, lo), tag | Size.large3, kind);
    return r;
  }
  /** 1 = hit, 0 = miss, -1 = hit without the permission. */
  function probe(unit: number, b: number, cpu: number, number: number, page: number, tag: number, kind: number): number {
    const set = setOf(unit, number);
    const k = find(unit, b, set, page, tag);
    if (k < 0) return 0;
    const entry = cells[(tagsOf(unit, b, set) + (k << 1) + 1) | 0]!;
    if ((entry & kind) !== kind) return -1;
    use(unit, b, cpu, set, k);
    if (unit === Unit.tlb1) {
      setYoungest(b, set, page, entry);
      cells[hits1]!++;
    } else {
      insert(Unit.tlb1, b, cpu, setOf(Unit.tlb1, number), page, entry, 0);
      cells[hits2]!++;
    }
    return 1;
  }

  function retry(space: number, hi: number, lo: number, kind: number, cpu: number): number {
    const m = cells;
    const tag = m[idCell(space, hi, cpu)]! | topOf(hi);
    m[Cell.page] = (hi << pageUp) | (lo >>> pageDown);
    m[Cell.tag] = tag;
    m[Cell.space] = space;
    m[Cell.hi] = hi;
    m[Cell.lo] = lo;
    m[Cell.kind] = kind;
    m[Cell.cpu] = cpu;
    return translate();
  }

  // ---- the walker
  /** What the access needs of a leaf entry: P, R/W for a write (bit 1), XD clear for a fetch (bit 23, inverted). 1 = granted. */
  function granted(e: number, kind: number): boolean {
    const need = Entry.present | ((kind & 1) << 1) | ((kind & 2) << 22);
    return ((e ^ Entry.noExecute) & need) === need;
  }
  /** The permission bits of a TLB entry: R/W and D for writes, XD clear for fetches. */
  function permissions(e: number): number {
    return ((e >>> 1) & (e >>> 6) & 1) | ((~e >>> 22) & 2);
  }

  /** Walks and fills both TLB levels; 0 = page fault. The usual shape. */
  function translateUsual(): number {
    const m = cells;
    if (m[Cell.tag]! >>> idShift === 0 || ownWalkIds) giveIds();
    const hi = m[Cell.hi]!;
    const lo = m[Cell.lo]!;
    const cpu = m[Cell.cpu]!;
    const b = base(cpu);
    const at = number2(hi, lo);
    const setP = setPde(at);
    const k = findSmall((b + tagsPde + (setP << 3)) | 0, (b + signsPde + setP) | 0, at, walkId() | topOf(hi));
    let table = 0;
    if (k >= 0) {
      const o = (b + orderPde + setP) | 0;
      m[o] = moves[(m[o]! << 2) | k]!;
      m[Cell.walked + 9]!++;
      table = m[(b + handlesPde + (setP << 2) + k) | 0]!;
    } else {
      table = walkUpper();
      if (table <= 0) return table === 0 ? 0 : translateLarge(~table);
    }
    const kind = m[Cell.kind]!;
    const q = (table + (((lo >>> pageShift) & indexMask) << 1)) | 0;
    let e = pt[q]!;
    if (!granted(e, kind)) {
      m[faults]!++;
      return 0;
    }
    e |= Entry.accessed | ((kind & 1) << 6);
    pt[q] = e;
    const page = m[Cell.page]!;
    const entry = (m[Cell.tag]! & -4) | permissions(e);
    const set = set1(hi, lo);
    const sign = signature(page, entry);
    insertSmall((b + tags1 + (set << 3)) | 0, (b + signs1 + set) | 0, (b + order1 + set) | 0, last1, page, entry, sign);
    setYoungest(b, set, page, entry);
    const y = set2(hi, lo);
    const o = (linkBase(cpu) + links2 + imul(y, linkStride2)) | 0;
    const w = links[(o + ring2 + ways2) | 0]!;
    relink(o, ring2, w, ways2);
    const i = (b + tags2 + imul(y, tagStride2) + (w << 1)) | 0;
    m[i] = page;
    m[(i + 1) | 0] = entry;
    const s = (b + signs2 + imul(y, words2) + (w >> 2)) | 0;
    const byte = 255 << ((w & 3) << 3);
    m[s] = (m[s]! & ~byte) | (sign & byte);
    return 1;
  }

  /** Gives the space under way the ids it lacks. */
  function giveIds(): void {
    const m = cells;
    const i = idCell(m[Cell.space]!, m[Cell.hi]!, m[Cell.cpu]!);
    const w = (walkIds - ids + i) | 0;
    if (m[Cell.lastId]! + 2 > maxId) clear();
    if (m[i] === 0) m[i] = (++m[Cell.lastId]! << idShift) | 3;
    if (ownWalkIds && m[w] === 0) m[w] = (++m[Cell.lastId]! << idShift) | 3;
    m[Cell.tag] = m[i]! | topOf(m[Cell.hi]!);
  }
  /** Empties everything and takes all ids away. */
  function clear(): void {
    cells.fill(0, ids, first);
    cells[Cell.lastId] = 0;
    cells[Cell.large] = 0;
    for (let cpu = 0; cpu < cpus; cpu++) {
      const b = base(cpu);
      cells.fill(Size.empty, b, b + sets1 * 2);
      for (let unit: number = Unit.tlb1; unit <= Unit.pml4e; unit += 16) {
        cells.fill(Size.empty, tagsOf(unit, b, 0), tagsOf(unit, b, shape[unit + Field.sets]!));
      }
    }
  }

  /** The id that tags walk-cache entries. */
  function walkId(): number {
    const m = cells;
    return compact && !ownWalkIds ? m[Cell.tag]! : m[(walkIds - ids + idCell(m[Cell.space]!, m[Cell.hi]!, m[Cell.cpu]!)) | 0]!;
  }
  function rootTable(): number {
    return cells[Cell.space]! < 0 ? kernelRoot() : roots[cells[Cell.space]!]!;
  }

  /**
   * A walk from the PDPTE cache or above: the handle of the leaf table, 0 = not present, or the complement of 2 * (word of a large leaf's entry)
   * + (1 when it stands in the PDPT). Written out for 3 to 5 levels: a loop over them takes 1.2 times as long. `read` is the index of the walk's
   * counter if it reads down to a leaf table: start level * 8 + as many reads.
   */
  function walkUpper(): number {
    const m = cells;
    const p = pt;
    const hi = m[Cell.hi]!;
    const lo = m[Cell.lo]!;
    const b = base(m[Cell.cpu]!);
    const id = walkId();
    const at3 = number3(hi, lo);
    const set3 = setPdpte(at3);
    const t3 = (b + tagsPdpte + (set3 << 3)) | 0;
    const s3 = (b + signsPdpte + set3) | 0;
    const o3 = (b + orderPdpte + set3) | 0;
    const h3 = (b + handlesPdpte + (set3 << 2)) | 0;
    let table = 0;
    let read = 18;
    let k = findSmall(t3, s3, at3, id);
    if (k >= 0) {
      m[o3] = moves[(m[o3]! << 2) | k]!;
      table = m[(h3 + k) | 0]!;
    } else {
      read = 27;
      if (levels === 3) table = rootTable();
      else {
        const at4 = number4(hi);
        const set4 = setPml4e(at4);
        const t4 = (b + tagsPml4e + (set4 << 3)) | 0;
        const s4 = (b + signsPml4e + set4) | 0;
        const o4 = (b + orderPml4e + set4) | 0;
        const h4 = (b + handlesPml4e + (set4 << 2)) | 0;
        k = findSmall(t4, s4, at4, id);
        if (k >= 0) {
          m[o4] = moves[(m[o4]! << 2) | k]!;
          table = m[(h4 + k) | 0]!;
        } else {
          read = levels * 9;
          table = rootTable();
          if (levels > 4) {
            table = descend((table + ((above(hi, lo, (shift4 + indexBits) | 0) & indexMask) << 1)) | 0, (read - 4) | 0);
            if (table === 0) return 0;
          }
          const q4 = (table + ((at4 & indexMask) << 1)) | 0;
          const e4 = p[q4]!;
          if ((e4 & Entry.present) === 0) return absent((read - 3) | 0);
          p[q4] = e4 | Entry.accessed;
          table = tableOf[p[(q4 + 1) | 0]!]!;
          if (hasPml4e) {
            k = insertSmall(t4, s4, o4, lastPml4e, at4, id, signature(at4, id));
            m[(h4 + k) | 0] = table;
          }
        }
      }
      const q3 = (table + ((at3 & indexMask) << 1)) | 0;
      const e3 = p[q3]!;
      if ((e3 & (Entry.present | Entry.large)) !== Entry.present) return noTable(e3, (q3 << 1) | 1, (read - 2) | 0);
      p[q3] = e3 | Entry.accessed;
      table = tableOf[p[(q3 + 1) | 0]!]!;
      if (hasPdpte) {
        k = insertSmall(t3, s3, o3, lastPdpte, at3, id, signature(at3, id));
        m[(h3 + k) | 0] = table;
      }
    }
    const at2 = number2(hi, lo);
    const q2 = (table + ((at2 & indexMask) << 1)) | 0;
    const e2 = p[q2]!;
    if ((e2 & (Entry.present | Entry.large)) !== Entry.present) return noTable(e2, q2 << 1, (read - 1) | 0);
    p[q2] = e2 | Entry.accessed;
    table = tableOf[p[(q2 + 1) | 0]!]!;
    if (hasPde) {
      const set = setPde(at2);
      const tag = id | topOf(hi);
      k = insertSmall((b + tagsPde + (set << 3)) | 0, (b + signsPde + set) | 0, (b + orderPde + set) | 0, lastPde, at2, tag, signature(at2, tag));
      m[(b + handlesPde + (set << 2) + k) | 0] = table;
    }
    m[(Cell.walked + read) | 0]!++;
    return table;
  }
  /** An entry that leads to no table: the walk counted, and the fault when it is not a large leaf. */
  function noTable(e: number, where: number, read: number): number {
    if ((e & Entry.present) === 0) return absent(read);
    cells[(Cell.walked + read) | 0]!++;
    return ~where;
  }
  /** Counts a walk that ends at an entry that is not present. */
  function absent(read: number): number {
    cells[(Cell.walked + read) | 0]!++;
    cells[faults]!++;
    return 0;
  }
  /** The table an upper entry leads to, its A set; 0 = not present. */
  function descend(q: number, read: number): number {
    const e = pt[q]!;
    if ((e & Entry.present) === 0) return absent(read);
    pt[q] = e | Entry.accessed;
    return tableOf[pt[(q + 1) | 0]!]!;
  }

  /** Fills the TLB from a large leaf; `where` = 2 * (word of its entry) + (1 when it stands in the PDPT). */
  function translateLarge(where: number): number {
    const hi = cells[Cell.hi]!;
    const lo = cells[Cell.lo]!;
    const kind = cells[Cell.kind]!;
    const cpu = cells[Cell.cpu]!;
    const b = base(cpu);
    const q = where >> 1;
    const three = (where & 1) !== 0;
    let e = pt[q]!;
    if (!granted(e, kind)) {
      cells[faults]!++;
      return 0;
    }
    e |= Entry.accessed | ((kind & 1) << 6);
    pt[q] = e;
    const number = three ? number3(hi, lo) : number2(hi, lo);
    const entry = (cells[Cell.tag]! & -4) | permissions(e) | (three ? Size.large3 : Size.large2);
    cells[Cell.large]! |= three ? 2 : 1;
    if (has1) insert(Unit.tlb1, b, cpu, setOf(Unit.tlb1, number), number, entry, 0);
    if (has2) insert(Unit.tlb2, b, cpu, setOf(Unit.tlb2, number), number, entry, 0);
    return 1;
  }

  /** The handle a walk cache holds for an entry, now its youngest, or 0. */
  function recall(unit: number, b: number, cpu: number, number: number, tag: number): number {
    const set = setOf(unit, number);
    const k = find(unit, b, set, number, tag);
    if (k < 0) return 0;
    use(unit, b, cpu, set, k);
    return cells[(handlesOf(unit, b, set) + k) | 0]!;
  }
  function remember(unit: number, b: number, cpu: number, number: number, tag: number, table: number): void {
    insert(unit, b, cpu, setOf(unit, number), number, tag, table);
  }

  /** Walks and fills the TLB levels there are; 0 = page fault. Any shape. */
  function translateAny(): number {
    giveIds();
    const hi = cells[Cell.hi]!;
    const lo = cells[Cell.lo]!;
    const kind = cells[Cell.kind]!;
    const cpu = cells[Cell.cpu]!;
    const b = base(cpu);
    const id = walkId();
    let level = levels;
    let table = 0;
    if (hasPde) {
      table = recall(Unit.pde, b, cpu, number2(hi, lo), id | topOf(hi));
      if (table !== 0) level = 1;
    }
    if (hasPdpte && table === 0) {
      table = recall(Unit.pdpte, b, cpu, number3(hi, lo), id);
      if (table !== 0) level = 2;
    }
    if (hasPml4e && table === 0) {
      table = recall(Unit.pml4e, b, cpu, number4(hi), id);
      if (table !== 0) level = 3;
    }
    if (table === 0) table = rootTable();
    let read = ((level << 3) + 1) | 0;
    for (; level > 1; level = (level - 1) | 0) {
      const q = (table + ((above(hi, lo, (pageShift + imul(indexBits, level - 1)) | 0) & indexMask) << 1)) | 0;
      if ((pt[q]! & (Entry.present | Entry.large)) === (Entry.present | Entry.large)) {
        cells[(Cell.walked + read) | 0]!++;
        return translateLarge((q << 1) | (level - 2));
      }
      table = descend(q, read);
      if (table === 0) return 0;
      read = (read + 1) | 0;
      if (level === 2 && hasPde) remember(Unit.pde, b, cpu, number2(hi, lo), id | topOf(hi), table);
      else if (level === 3 && hasPdpte) remember(Unit.pdpte, b, cpu, number3(hi, lo), id, table);
      else if (level === 4 && hasPml4e) remember(Unit.pml4e, b, cpu, number4(hi), id, table);
    }
    cells[(Cell.walked + read) | 0]!++;
    const q = (table + (((lo >>> pageShift) & indexMask) << 1)) | 0;
    let e = pt[q]!;
    if (!granted(e, kind)) {
      cells[faults]!++;
      return 0;
    }
    e |= Entry.accessed | ((kind & 1) << 6);
    pt[q] = e;
    const page = cells[Cell.page]!;
    const entry = (cells[Cell.tag]! & -4) | permissions(e);
    if (has1) insert(Unit.tlb1, b, cpu, set1(hi, lo), page, entry, 0);
    if (has2) insert(Unit.tlb2, b, cpu, set2(hi, lo), page, entry, 0);
    return 1;
  }

  // ---- forgetting
  function forgetPage(b: number, cpu: number, hi: number, lo: number, tag: number): void {
    const page = (hi << pageUp) | (lo >>> pageDown);
    if (has1) drop(Unit.tlb1, b, cpu, set1(hi, lo), page, tag);
    if (has2) drop(Unit.tlb2, b, cpu, set2(hi, lo), page, tag);
    if (cells[Cell.large] !== 0) forgetLarge(b, cpu, hi, lo, tag);
  }
  function forgetLarge(b: number, cpu: number, hi: number, lo: number, tag: number): void {
    const large = cells[Cell.large]!;
    for (let level = 2; level <= 3; level = (level + 1) | 0) {
      if ((large & (level - 1)) === 0) continue;
      const number = level === 2 ? number2(hi, lo) : number3(hi, lo);
      const sized = tag | (level === 2 ? Size.large2 : Size.large3);
      if (has1) drop(Unit.tlb1, b, cpu, setOf(Unit.tlb1, number), number, sized);
      if (has2) drop(Unit.tlb2, b, cpu, setOf(Unit.tlb2, number), number, sized);
    }
  }
  function forgetPath(b: number, cpu: number, hi: number, lo: number, id: number): void {
    if (hasPde) drop(Unit.pde, b, cpu, setPde(number2(hi, lo)), number2(hi, lo), id | topOf(hi));
    if (hasPdpte) drop(Unit.pdpte, b, cpu, setPdpte(number3(hi, lo)), number3(hi, lo), id);
    if (hasPml4e) drop(Unit.pml4e, b, cpu, setPml4e(number4(hi)), number4(hi), id);
  }

  function invalidatePage(space: number, hi: number, lo: number): void {
    const m = cells;
    m[pageInvalidations]!++;
    for (let cpu = 0; cpu < cpus; cpu = (cpu + 1) | 0) {
      const i = idCell(space, hi, cpu);
      const id = m[i]!;
      if (id === 0) continue; // nothing was walked since the space was forgotten
      const b = base(cpu);
      const tag = id | topOf(hi);
      if (usual) {
        m[Cell.page] = (hi << pageUp) | (lo >>> pageDown);
        m[Cell.tag] = tag;
        m[Cell.hi] = hi;
        m[Cell.lo] = lo;
        m[Cell.cpu] = cpu;
        dropPage();
        if (m[Cell.large] !== 0) forgetLarge(b, cpu, hi, lo, tag);
      } else forgetPage(b, cpu, hi, lo, tag);
      if (ownWalkIds) m[(walkIds - ids + i) | 0] = 0;
      else if (smallCaches) forgetPathSmall(b, hi, lo, id);
      else forgetPath(b, cpu, hi, lo, id);
    }
  }
  function forgetPathSmall(b: number, hi: number, lo: number, id: number): void {
    const m = cells;
    const at2 = number2(hi, lo);
    const tag = id | topOf(hi);
    const set = setPde(at2);
    const s = (b + signsPde + set) | 0;
    if (zeroBytes(m[s]! ^ signature(at2, tag)) !== 0) dropSmall((b + tagsPde + (set << 3)) | 0, s, (b + orderPde + set) | 0, lastPde, at2, tag);
    const at3 = number3(hi, lo);
    const set3 = setPdpte(at3);
    const s3 = (b + signsPdpte + set3) | 0;
    if (zeroBytes(m[s3]! ^ signature(at3, id)) !== 0) dropSmall((b + tagsPdpte + (set3 << 3)) | 0, s3, (b + orderPdpte + set3) | 0, lastPdpte, at3, id);
    if (!hasPml4e) return;
    const at4 = number4(hi);
    const set4 = setPml4e(at4);
    const s4 = (b + signsPml4e + set4) | 0;
    if (zeroBytes(m[s4]! ^ signature(at4, id)) !== 0) dropSmall((b + tagsPml4e + (set4 << 3)) | 0, s4, (b + orderPml4e + set4) | 0, lastPml4e, at4, id);
  }

  function forgetSpace(i: number): void {
    cells[i] = 0;
    cells[(walkIds - ids + i) | 0] = 0;
  }
  function flushSpace(space: number): void {
    cells[Cell.hot + LookupCounter.spaceFlushes]!++;
    for (let cpu = 0; cpu < rows; cpu = (cpu + 1) | 0) forgetSpace(idCell(space, 0, cpu));
  }
  function switchSpace(space: number, cpu: number): void {
    // The kernel's threads borrow the space that ran before; the kernel's own entries are global.
    if (pcid || space < 0 || running[cpu] === space) return;
    running[cpu] = space;
    cells[Cell.hot + LookupCounter.spaceFlushes]!++;
    forgetSpace(idCell(space, 0, cpu));
  }

  // ---- counters
  function spill(): void {
    for (let i = 0; i < LookupCounter.length; i++) {
      counters[i]! += cells[Cell.hot + i]!;
      cells[Cell.hot + i] = 0;
    }
    for (let start = 1; start <= levels; start++) {
      for (let reads = 1; reads <= levels; reads++) {
        const n = cells[Cell.walked + start * 8 + reads]!;
        cells[Cell.walked + start * 8 + reads] = 0;
        counters[LookupCounter.walks]! += n;
        counters[LookupCounter.walkRefs]! += n * reads;
        walkLengths[reads]! += n;
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
      counters[LookupCounter.l1Hits]! * (config.tlb[0]?.hitCycles ?? 0) +
      counters[LookupCounter.l2Hits]! * (config.tlb[1]?.hitCycles ?? 0) +
      counters[LookupCounter.walks]! * config.walkBaseCycles +
      counters[LookupCounter.walkRefs]! * config.walkReadCycles +
      counters[LookupCounter.faults]! * config.faultCycles
    );
  }

  // ---- the initial state: orders, the table that moves a way to the front of one, empty places
  for (let order = 0; order < 256; order++) {
    for (let k = 0; k < 4; k++) {
      let moved = k;
      let to = 2;
      for (let i = 0; i < 8; i += 2) {
        const way = (order >> i) & 3;
        if (way === k || to === 8) continue;
        moved |= way << to;
        to += 2;
      }
      moves[order * 4 + k] = moved;
    }
  }
  for (let cpu = 0; cpu < cpus; cpu++) {
    for (let unit: number = Unit.tlb1; unit <= Unit.pml4e; unit += 16) {
      const ways = waysOf(unit);
      for (let set = 0; set < shape[unit + Field.sets]!; set++) {
        const o = orderOf(unit, base(cpu), cpu, set);
        if (isSmall(unit)) cells[o] = ORDER;
        else {
          for (let k = 0; k <= ways; k++) {
            links[o + k] = k === ways ? 0 : k + 1;
            links[o + ways + 1 + k] = k === 0 ? ways : k - 1;
          }
        }
      }
    }
  }
  clear();

  return { access, retry, invalidatePage, flushSpace, switchSpace, counters, spill, walkLengths, cycles };
}
