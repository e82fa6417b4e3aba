/**
 * The numbers that follow from a radix geometry: where an index sits in an address, where a field sits in a table's block.
 *
 * One block of the slab, shown for 512 entries:
 *
 *     0 .............. 1023 1024 ....... 1039 1040  1041  1042    1043  1044 1045   .. 1071
 *    +---------------------+-----------------+-----+-----+-------+-----+----+-----+--------+
 *    | 512 x (word0, word1)| presence bitmap |count|frame|summary|level|next|owner| unused |
 *    +---------------------+-----------------+-----+-----+-------+-----+----+-----+--------+
 *
 * word 0 of an entry: 24 flag bits (the places of `Attr`), frame bits 32-39 above; word 1: frame bits 0-31. An entry is in use when word 0
 * is not 0; bit i of the bitmap says so, a summary bit says that a bitmap word (or a group of words in tables of more than 1024 entries) is
 * not 0. A block is an odd number of 64-byte lines so that equal indices of neighbouring tables do not fight for one cache set.
 *
 * A walk for x86-64 takes these pieces of the split address (arch/address.ts):
 *
 *      hi: 17 ..... 9 8 ...... 0   lo: 29 ..... 21 20 ..... 12 11 ..... 0
 *         +----------+----------+     +-----------+-----------+----------+
 *         | PML4 idx | PDPT idx |     |  PD idx   |  PT idx   |  offset  |
 *         +----------+----------+     +-----------+-----------+----------+
 *
 * In general level 1 lies wholly in `lo`, level 2 may straddle the two, and the others lie in `hi`.
 */
import type { ArchGeometry } from '../arch.js';

// Entry bits, the same in every architecture's stored form (arch/arch.ts, `Attr`).
const P = 1;
const RW = 2;
const US = 4;
const A = 32;
const PS = 128;

/** Throws Error for a geometry outside what the radix tables can hold. */
export function makeShape(geometry: ArchGeometry) {
  const LEVELS = geometry.levels;
  const PAGE_SHIFT = geometry.pageShift;
  const INDEX_BITS = geometry.indexBits;
  const ENTRIES = 1 << INDEX_BITS;
  const MASK = ENTRIES - 1;
  /** Bitmap words, and words per summary bit. */
  const WORDS = ENTRIES >>> 5;
  const GROUP = WORDS > 32 ? WORDS >>> 5 : 1;
  const GROUP_SHIFT = 31 - Math.clz32(GROUP);
  /** The root may have fewer entries than the other tables; the indices from HALF on are the kernel's. */
  const ROOT_BITS = geometry.vaBits - PAGE_SHIFT - (LEVELS - 1) * INDEX_BITS;
  const ROOT_MASK = (1 << ROOT_BITS) - 1;
  const HALF = 1 << (ROOT_BITS - 1);

  const BITMAP = 2 * ENTRIES;
  const COUNT = BITMAP + WORDS;
  const FRAME = COUNT + 1;
  const SUMMARY = COUNT + 2;
  const LEVEL = COUNT + 3;
  const NEXT = COUNT + 4;
  const OWNER = COUNT + 5;
  const BLOCK = (((OWNER + 1 + 15) >>> 4) | 1) << 4;

  const SHIFT_1 = PAGE_SHIFT;
  const SHIFT_2 = PAGE_SHIFT + INDEX_BITS;
  const HIGH_2 = 30 - SHIFT_2;
  const SHIFT_3 = PAGE_SHIFT + 2 * INDEX_BITS - 30;
  const SHIFT_4 = SHIFT_3 + INDEX_BITS;
  const SHIFT_5 = SHIFT_4 + INDEX_BITS;
  const MASK_3 = LEVELS === 3 ? ROOT_MASK : MASK;
  const MASK_4 = LEVELS === 4 ? ROOT_MASK : MASK;
  const MASK_5 = ROOT_MASK;

  const depth = LEVELS >= 3 && LEVELS <= 5 && ROOT_BITS >= 1 && ROOT_BITS <= INDEX_BITS;
  if (!depth || SHIFT_2 >= 30 || SHIFT_3 < 0 || ENTRIES < 64 || WORDS > 1024) throw new Error(`radix page tables cannot have the geometry of ${geometry.name}`);

  /** Index of an address in its table of `level`. */
  function indexOf(level: number, hi: number, lo: number): number {
    if (level === 1) return (lo >>> SHIFT_1) & MASK;
    if (level === 2) return ((hi << HIGH_2) | (lo >>> SHIFT_2)) & MASK;
    if (level === 3) return (hi >> SHIFT_3) & MASK_3;
    if (level === 4) return (hi >> SHIFT_4) & MASK_4;
    return (hi >> SHIFT_5) & MASK_5;
  }

  const ROOT_SIGN = 32 - ROOT_BITS;

  /** What entry i of a table at `level` adds to the `hi` of the table's first address; the root's upper half is negative. */
  function entryHi(level: number, i: number): number {
    const b = PAGE_SHIFT + (level - 1) * INDEX_BITS;
    const s = level === LEVELS ? (i << ROOT_SIGN) >> ROOT_SIGN : i;
    return b >= 30 ? s << (b - 30) : s >> (30 - b);
  }

  /** The same for `lo`. */
  function entryLo(level: number, i: number): number {
    const b = PAGE_SHIFT + (level - 1) * INDEX_BITS;
    return b >= 30 ? 0 : (i << b) & 0x3fffffff;
  }

  /** Pages that one entry of `level` covers. */
  const spans = new Float64Array(16);
  for (let l = 1; l <= LEVELS + 1; l++) spans[l] = 2 ** ((l - 1) * INDEX_BITS);

  /** Index of page p in its table of `level`. */
  function indexOfPage(level: number, p: number): number {
    const n = Math.floor(p / spans[level]);
    const i = n - Math.floor(n / ENTRIES) * ENTRIES;
    return level === LEVELS ? i & ROOT_MASK : i;
  }

  const sizes = { LEVELS, PAGE_SHIFT, INDEX_BITS, ENTRIES, MASK, WORDS, GROUP, GROUP_SHIFT, ROOT_MASK, HALF, spans };
  const fields = { BITMAP, COUNT, FRAME, SUMMARY, LEVEL, NEXT, OWNER, BLOCK };
  const indices = { SHIFT_1, SHIFT_2, HIGH_2, SHIFT_3, SHIFT_4, SHIFT_5, MASK_3, MASK_4, MASK_5, indexOf, indexOfPage, entryHi, entryLo };
  const bits = { P, RW, US, A, PS };
  return {
    ...sizes,
    ...fields,
    ...indices,
    ...bits,
    /** Highest level at which a leaf may stand. */
    MAX_LEAF: Math.max(...geometry.leafLevels),
    /** Pages in the 2^30 bytes that one step of `hi` means. */
    SPLIT_PAGES: 2 ** (30 - PAGE_SHIFT),
    /** Pages in either half of the address space. */
    HALF_PAGES: 2 ** (geometry.vaBits - 1 - PAGE_SHIFT),
  };
}

export type Shape = ReturnType<typeof makeShape>;
