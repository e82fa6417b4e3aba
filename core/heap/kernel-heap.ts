/**
 * The kernel heap: slab caches on single frames from the PMM.
 *
 * Models: SLUB (Linux mm/slub.c; Bonwick, "The Slab Allocator", USENIX 1994): per cache a current slab, a list of partial ones, full slabs on no
 * list; kmalloc size classes as in mm/slab_common.c (8 ... 8192 there, to 4096 here); larger requests take whole frames.
 * The object sizes are this model's own, near those of a 64-bit Linux 6.x (vm_area_struct about 160-190 bytes, mm_struct about 1 KiB plus
 * masks, radix_tree_node 576); they stand in OBJECT_BYTES.
 *
 * Does not model: slabs of higher orders (every slab is one frame, what does not fill it is lost), per-CPU partial lists, merging of caches, debugging red
 * zones, NUMA nodes. A large request takes single frames, not a contiguous block.
 *
 * A slab's record is 24 int32 words; a set bit means allocated, so that a record never used needs no initialisation:
 *
 *      0 frame   1 cache   2 objects in use   3 next   4 previous   6 slack of a large block's last frame (bytes)   8..23 bitmap of up to 512 objects
 *
 *      handle:  30 .............. 9 8 ............ 0
 *              | slab (1 ... 2^22) | object in slab  |
 *
 * As SLUB detaches the free list of a CPU's slab, a cache detaches the free bits of one bitmap word of its current slab: they count as in use in the slab
 * and are handed out and taken back in the cache's own word, which is all that most calls touch.
 * Which frames are held follows from three rules: a new one is taken when neither the current slab nor a partial one has room; a slab whose last
 * object goes is given back unless it is the current one; `reap` gives that back too when it is empty.
 *
 * One long factory because the functions share the captured arrays: closures over `const` typed arrays compile to constant addresses.
 */
import { reserveInt32 } from '../../arch/reserve.js';
import { UserError } from '../../traces/event.js';
import { KernelCache, type KernelFrames, type KernelHeap } from './kernel-heap-contract.js';

const FRAME_BYTES = 4096;
/** Largest kmalloc: a block of order 10 (KMALLOC_MAX_SIZE, include/linux/slab.h). */
const MAX_BYTES = 4194304;
const MAX_SLABS = (1 << 22) - 1;

/** Bytes of an object by cache (KernelCache order). */
const OBJECT_BYTES: readonly number[] = [176, 1024, 2048, 512, 576, 8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096];
const CACHE_NAMES: readonly string[] = [
  'vma',
  'space',
  'process',
  'object',
  'node',
  ...OBJECT_BYTES.slice(KernelCache.kmalloc).map((bytes) => `kmalloc-${bytes}`),
];

const enum Slab {
  words = 24,
  frame = 0,
  cache = 1,
  used = 2,
  next = 3,
  prev = 4,
  slack = 6,
  bits = 8,
  indexBits = 9,
  indexMask = 511,
}

/** Words of a cache's record. */
const enum Cache {
  shift = 3,
  /** Free bits of the detached word. */
  word = 0,
  /** Handle of the detached word's bit 0; -1 without a current slab. */
  base = 1,
  current = 2,
  /** Head of the list of slabs with room, without the current one. */
  partial = 3,
  /** Objects in use over all slabs, the detached ones among them. */
  used = 4,
  slabs = 5,
  perSlab = 6,
  bytes = 7,
}

/** Blocks above 4096 bytes: a chain of slab records with one frame each. */
const LARGE = 17;
const LARGE_NAME = 'kmalloc-large';
const CACHES = 18;

const enum State {
  freeSlab = 0,
  slabs = 1,
  frames = 2,
  cells = 32,
}

export interface KernelHeapOptions {
  /** Frames the heap may hold at once (storage is reserved, not touched). Default 2^22 - 1 (16 GiB). */
  readonly maxSlabs?: number;
}

/** Makes the heap over a source of frames; once per isolate in a replay. */
export function makeKernelHeap(frames: KernelFrames, options: KernelHeapOptions = {}): KernelHeap {
  const maxSlabs = options.maxSlabs ?? MAX_SLABS;
  if (!(maxSlabs > 0 && maxSlabs <= MAX_SLABS)) throw new Error(`kernel heap: maxSlabs ${maxSlabs} is not in 1 ... ${MAX_SLABS}, what a handle can name`);
  const slabs = reserveInt32((maxSlabs + 1) * Slab.words);
  const caches = new Int32Array(CACHES << Cache.shift);
  const state = new Int32Array(State.cells);
  // Bytes by which a kmalloc object is larger than what was asked for, by slab and object; blocks of 1024 slabs appear when first needed.
  const slack: (Uint16Array | undefined)[] = [];
  // [0] bytes asked for by live large blocks, [1] slack of kmalloc objects: doubles, as they may pass 2^31.
  const sums = new Float64Array(16);
  // kmalloc class by (bytes - 1) >> 3 for up to 192 bytes, as size_index in mm/slab_common.c.
  const smallClass = new Int32Array(24);
  for (let i = 0; i < 24; i++) {
    const bytes = (i + 1) * 8;
    smallClass[i] = KernelCache.kmalloc + [8, 16, 32, 64, 96, 128, 192].findIndex((size) => size >= bytes);
  }
  for (let c = 0; c < OBJECT_BYTES.length; c++) {
    caches[(c << Cache.shift) + Cache.bytes] = OBJECT_BYTES[c]!;
    caches[(c << Cache.shift) + Cache.perSlab] = Math.floor(FRAME_BYTES / OBJECT_BYTES[c]!);
  }
  for (let c = 0; c < CACHES; c++) caches[(c << Cache.shift) + Cache.base] = -1;
  caches[(LARGE << Cache.shift) + Cache.bytes] = FRAME_BYTES;
  caches[(LARGE << Cache.shift) + Cache.perSlab] = 1;

  // ---- slabs

  /** A record with a frame from the PMM, or 0. Returns the record's number. */
  function takeSlab(cache: number): number {
    const frame = frames.take();
    if (frame < 0) return 0;
    let s = state[State.freeSlab]!;
    if (s !== 0) {
      state[State.freeSlab] = slabs[(s * Slab.words + Slab.next) | 0]!;
    } else {
      s = (state[State.slabs]! + 1) | 0;
      if (s > maxSlabs) {
        frames.give(frame);
        throw new UserError(
          `the kernel heap holds ${maxSlabs} frames, its limit: replay a part of the trace (--window) or leave the kernel heap out (--kernel-heap off)`,
        );
      }
      state[State.slabs] = s;
    }
    const b = (s * Slab.words) | 0;
    slabs[(b + Slab.frame) | 0] = frame;
    slabs[(b + Slab.cache) | 0] = cache;
    slabs[(b + Slab.used) | 0] = 0;
    slabs[(b + Slab.next) | 0] = 0;
    slabs[(b + Slab.prev) | 0] = 0;
    const c = cache << Cache.shift;
    caches[(c + Cache.slabs) | 0] = (caches[(c + Cache.slabs) | 0]! + 1) | 0;
    state[State.frames] = (state[State.frames]! + 1) | 0;
    return s;
  }

  /** Gives an empty slab, which is on no list, back to the PMM. */
  function giveSlab(s: number): void {
    const b = (s * Slab.words) | 0;
    const c = slabs[(b + Slab.cache) | 0]! << Cache.shift;
    const frame = slabs[(b + Slab.frame) | 0]!;
    caches[(c + Cache.slabs) | 0] = (caches[(c + Cache.slabs) | 0]! - 1) | 0;
    state[State.frames] = (state[State.frames]! - 1) | 0;
    slabs[(b + Slab.frame) | 0] = -1;
    slabs[(b + Slab.next) | 0] = state[State.freeSlab]!;
    state[State.freeSlab] = s;
    frames.give(frame);
  }

  function pushPartial(c: number, s: number): void {
    const b = (s * Slab.words) | 0;
    const head = caches[(c + Cache.partial) | 0]!;
    slabs[(b + Slab.next) | 0] = head;
    slabs[(b + Slab.prev) | 0] = 0;
    if (head !== 0) slabs[(head * Slab.words + Slab.prev) | 0] = s;
    caches[(c + Cache.partial) | 0] = s;
  }

  function dropPartial(c: number, s: number): void {
    const b = (s * Slab.words) | 0;
    const n = slabs[(b + Slab.next) | 0]!;
    const p = slabs[(b + Slab.prev) | 0]!;
    if (p !== 0) slabs[(p * Slab.words + Slab.next) | 0] = n;
    else caches[(c + Cache.partial) | 0] = n;
    if (n !== 0) slabs[(n * Slab.words + Slab.prev) | 0] = p;
  }

  /** Set bits of a word (Warren, Hacker's Delight, 5-1). */
  function bitCount(bits: number): number {
    let x = (bits - ((bits >>> 1) & 0x55555555)) | 0;
    x = ((x & 0x33333333) + ((x >>> 2) & 0x33333333)) | 0;
    return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }

  /** Detaches the free bits of a word of the slab, which has room: the slab is the current one from now on. */
  function detach(c: number, s: number): void {
    const b = (s * Slab.words) | 0;
    const per = caches[(c + Cache.perSlab) | 0]!;
    let word = 0;
    // Bits beyond the last object are never free.
    let beyond = per < 32 ? -1 << per : 0;
    let bits = ~(slabs[(b + Slab.bits) | 0]! | beyond);
    while (bits === 0) {
      word = (word + 1) | 0;
      const rest = (per - (word << 5)) | 0;
      beyond = rest < 32 ? -1 << rest : 0;
      bits = ~(slabs[(b + Slab.bits + word) | 0]! | beyond);
    }
    const n = bitCount(bits);
    slabs[(b + Slab.bits + word) | 0] = slabs[(b + Slab.bits + word) | 0]! | bits;
    slabs[(b + Slab.used) | 0] = (slabs[(b + Slab.used) | 0]! + n) | 0;
    caches[(c + Cache.used) | 0] = (caches[(c + Cache.used) | 0]! + n) | 0;
    caches[(c + Cache.word) | 0] = bits;
    caches[(c + Cache.base) | 0] = (s << Slab.indexBits) | (word << 5);
    caches[(c + Cache.current) | 0] = s;
  }

  /** Finds room when the detached word has none: in the current slab, a partial one, a new one. 0 without a frame. */
  function refill(cache: number): number {
    const c = cache << Cache.shift;
    for (;;) {
      let s = caches[(c + Cache.current) | 0]!;
      if (s === 0 || slabs[(s * Slab.words + Slab.used) | 0]! === caches[(c + Cache.perSlab) | 0]) {
        // A full slab is on no list.
        s = caches[(c + Cache.partial) | 0]!;
        if (s !== 0) dropPartial(c, s);
      }
      if (s !== 0) {
        detach(c, s);
        return s;
      }
      const before = caches[(c + Cache.current) | 0]!;
      s = takeSlab(cache);
      if (s === 0) return 0;
      // The source may have freed or allocated objects of this cache to find the frame: then that room is used first.
      if (caches[(c + Cache.word) | 0] === 0 && caches[(c + Cache.current) | 0] === before && caches[(c + Cache.partial) | 0] === 0) {
        detach(c, s);
        return s;
      }
      giveSlab(s);
      if (caches[(c + Cache.word) | 0] !== 0) return caches[(c + Cache.current) | 0]!;
    }
  }

  // ---- objects

  function alloc(cache: number): number {
    const c = cache << Cache.shift;
    let bits = caches[(c + Cache.word) | 0]!;
    if (bits === 0) {
      if (refill(cache) === 0) return 0;
      bits = caches[(c + Cache.word) | 0]!;
    }
    const rest = bits & (bits - 1);
    caches[(c + Cache.word) | 0] = rest;
    return caches[(c + Cache.base) | 0]! | (31 - Math.clz32(bits ^ rest));
  }

  function badFree(handle: number): Error {
    return new Error(`kernel heap: free of handle ${handle}, which is not allocated`);
  }

  function free(handle: number): void {
    const s = handle >>> Slab.indexBits;
    const b = (s * Slab.words) | 0;
    const at = (b + Slab.bits + ((handle & Slab.indexMask) >>> 5)) | 0;
    const bit = 1 << (handle & 31);
    const bits = slabs[at]!;
    if ((bits & bit) === 0) throw badFree(handle);
    const cache = slabs[(b + Slab.cache) | 0]!;
    const c = cache << Cache.shift;
    if ((handle & ~31) === caches[(c + Cache.base) | 0]) {
      const word = caches[(c + Cache.word) | 0]!;
      if ((word & bit) !== 0) throw badFree(handle);
      caches[(c + Cache.word) | 0] = word | bit;
    } else {
      if (cache === LARGE) {
        freeLarge(s);
        return;
      }
      slabs[at] = bits & ~bit;
      const used = (slabs[(b + Slab.used) | 0]! - 1) | 0;
      slabs[(b + Slab.used) | 0] = used;
      caches[(c + Cache.used) | 0] = (caches[(c + Cache.used) | 0]! - 1) | 0;
      if (s !== caches[(c + Cache.current) | 0]) {
        const per = caches[(c + Cache.perSlab) | 0]!;
        if (used === 0) {
          // A slab of one object was full, so on no list: its links are 0 and so is its cache's list.
          dropPartial(c, s);
          giveSlab(s);
        } else if (((used + 1) | 0) === per) {
          pushPartial(c, s);
        }
      }
    }
    if (cache >= KernelCache.kmalloc) returnSlack(s, handle & Slab.indexMask);
  }

  function returnSlack(s: number, index: number): void {
    const block = slack[s >>> 10];
    if (block === undefined) return;
    const at = ((s & 1023) << Slab.indexBits) | index;
    sums[1] = sums[1]! - block[at]!;
    block[at] = 0;
  }

  function noteSlack(handle: number, bytes: number): void {
    const s = handle >>> Slab.indexBits;
    let block = slack[s >>> 10];
    if (block === undefined) {
      block = new Uint16Array(1024 << Slab.indexBits);
      slack[s >>> 10] = block;
    }
    block[((s & 1023) << Slab.indexBits) | (handle & Slab.indexMask)] = bytes;
    sums[1] = sums[1]! + bytes;
  }

  function allocBytes(bytes: number): number {
    if (bytes > FRAME_BYTES) return allocLarge(bytes);
    const n = bytes > 0 ? bytes | 0 : 0;
    const cache = n <= 192 ? smallClass[n > 0 ? (n - 1) >>> 3 : 0]! : (KernelCache.kmalloc - 1 + 32 - Math.clz32(n - 1)) | 0;
    const handle = alloc(cache);
    if (handle !== 0) {
      const rest = (caches[((cache << Cache.shift) + Cache.bytes) | 0]! - n) | 0;
      if (rest !== 0) noteSlack(handle, rest);
    }
    return handle;
  }

  /** Whole frames, all or none. */
  function allocLarge(bytes: number): number {
    if (bytes > MAX_BYTES) return 0;
    const n = Math.ceil(bytes / FRAME_BYTES);
    let head = 0;
    for (let i = 0; i < n; i++) {
      const s = takeSlab(LARGE);
      if (s === 0) {
        giveChain(head);
        return 0;
      }
      slabs[s * Slab.words + Slab.next] = head;
      head = s;
    }
    const b = head * Slab.words;
    slabs[b + Slab.bits] = 1;
    slabs[b + Slab.used] = 1;
    slabs[b + Slab.slack] = n * FRAME_BYTES - bytes;
    sums[0] = sums[0]! + bytes;
    return head << Slab.indexBits;
  }

  function giveChain(head: number): void {
    for (let s = head; s !== 0; ) {
      const n = slabs[s * Slab.words + Slab.next]!;
      giveSlab(s);
      s = n;
    }
  }

  function freeLarge(head: number): void {
    const b = head * Slab.words;
    let n = 0;
    for (let s = head; s !== 0; s = slabs[s * Slab.words + Slab.next]!) n++;
    sums[0] = sums[0]! - (n * FRAME_BYTES - slabs[b + Slab.slack]!);
    slabs[b + Slab.bits] = 0;
    slabs[b + Slab.used] = 0;
    slabs[b + Slab.slack] = 0;
    giveChain(head);
  }

  function reap(): void {
    for (let cache = 0; cache < LARGE; cache++) {
      const c = cache << Cache.shift;
      const s = caches[c + Cache.current]!;
      if (s === 0) continue;
      const detached = bitCount(caches[c + Cache.word]!);
      if (slabs[s * Slab.words + Slab.used] !== detached) continue;
      const word = (caches[c + Cache.base]! & Slab.indexMask) >>> 5;
      slabs[s * Slab.words + Slab.bits + word] = 0;
      slabs[s * Slab.words + Slab.used] = 0;
      caches[c + Cache.used]! -= detached;
      caches[c + Cache.word] = 0;
      caches[c + Cache.base] = -1;
      caches[c + Cache.current] = 0;
      giveSlab(s);
    }
  }

  // ---- accounts and checks

  /** Live objects of a cache. */
  function liveOf(cache: number): number {
    const c = cache << Cache.shift;
    return caches[c + Cache.used]! - bitCount(caches[c + Cache.word]!);
  }

  function liveBytes(): number {
    let sum = sums[0]! - sums[1]!;
    for (let cache = 0; cache < LARGE; cache++) sum += liveOf(cache) * caches[(cache << Cache.shift) + Cache.bytes]!;
    return sum;
  }

  function heldBytes(): number {
    return state[State.frames]! * FRAME_BYTES;
  }

  function listCaches(): { name: string; objectBytes: number; live: number; slabs: number }[] {
    const list = CACHE_NAMES.map((name, cache) => ({
      name,
      objectBytes: OBJECT_BYTES[cache]!,
      live: liveOf(cache),
      slabs: caches[(cache << Cache.shift) + Cache.slabs]!,
    }));
    const large = caches[(LARGE << Cache.shift) + Cache.slabs]!;
    list.push({ name: LARGE_NAME, objectBytes: FRAME_BYTES, live: large, slabs: large });
    return list;
  }

  function eachFrame(visit: (frame: number, cache: string) => void): void {
    for (let s = 1; s <= state[State.slabs]!; s++) {
      const frame = slabs[s * Slab.words + Slab.frame]!;
      if (frame >= 0) visit(frame, CACHE_NAMES[slabs[s * Slab.words + Slab.cache]!] ?? LARGE_NAME);
    }
  }

  function fail(what: string): never {
    throw new Error(`kernel heap: ${what}`);
  }

  function validate(): void {
    const made = state[State.slabs]!;
    const isFree = new Uint8Array(made + 1);
    let freeCount = 0;
    for (let s = state[State.freeSlab]!; s !== 0; s = slabs[s * Slab.words + Slab.next]!) {
      if (isFree[s] === 1) fail('the list of free slab records is circular');
      isFree[s] = 1;
      freeCount++;
    }
    if (made - freeCount !== state[State.frames]) fail(`${made - freeCount} slabs in use, ${state[State.frames]} frames held`);
    const onPartial = new Uint8Array(made + 1);
    for (let cache = 0; cache < LARGE; cache++) {
      let p = 0;
      for (let s = caches[(cache << Cache.shift) + Cache.partial]!; s !== 0; s = slabs[s * Slab.words + Slab.next]!) {
        if (onPartial[s] === 1) fail(`slab ${s} is on a partial list twice`);
        if (slabs[s * Slab.words + Slab.prev] !== p) fail(`slab ${s} of the partial list does not lead back to ${p}`);
        if (slabs[s * Slab.words + Slab.cache] !== cache) fail(`slab ${s} is on the partial list of cache ${cache}`);
        onPartial[s] = 1;
        p = s;
      }
    }
    const used = new Float64Array(CACHES);
    const held = new Float64Array(CACHES);
    const frameSet = new Set<number>();
    for (let s = 1; s <= made; s++) {
      const b = s * Slab.words;
      let bits = 0;
      for (let w = 0; w < 16; w++) bits += bitCount(slabs[b + Slab.bits + w]!);
      if (isFree[s] === 1) {
        if (bits !== 0) fail(`the free slab record ${s} has allocated objects`);
        continue;
      }
      const cache = slabs[b + Slab.cache]!;
      const c = cache << Cache.shift;
      const per = caches[c + Cache.perSlab]!;
      if (bits !== slabs[b + Slab.used]) fail(`slab ${s} counts ${slabs[b + Slab.used]} objects, its bitmap ${bits}`);
      for (let i = per; i < 512; i++) if ((slabs[b + Slab.bits + (i >>> 5)]! & (1 << (i & 31))) !== 0) fail(`slab ${s} has an object ${i} of ${per}`);
      const frame = slabs[b + Slab.frame]!;
      if (frame < 0 || frameSet.has(frame)) fail(`slab ${s} has frame ${frame}, which is none or another slab's`);
      frameSet.add(frame);
      used[cache]! += bits;
      held[cache]!++;
      if (cache === LARGE) continue;
      const isCurrent = s === caches[c + Cache.current];
      if (onPartial[s] === 1 && (isCurrent || bits === 0 || bits === per)) fail(`slab ${s} with ${bits} of ${per} objects is on the partial list`);
      if (onPartial[s] === 0 && !isCurrent && bits !== per) fail(`slab ${s} with ${bits} of ${per} objects is on no list`);
    }
    for (let cache = 0; cache < CACHES; cache++) {
      const c = cache << Cache.shift;
      if (cache !== LARGE && used[cache] !== caches[c + Cache.used]) fail(`cache ${cache} counts ${caches[c + Cache.used]} objects, its slabs ${used[cache]}`);
      if (held[cache] !== caches[c + Cache.slabs]) fail(`cache ${cache} counts ${caches[c + Cache.slabs]} slabs, there are ${held[cache]}`);
      const current = caches[c + Cache.current]!;
      const base = caches[c + Cache.base]!;
      const word = caches[c + Cache.word]!;
      if (current === 0) {
        if (base !== -1 || word !== 0) fail(`cache ${cache} has detached objects and no current slab`);
        continue;
      }
      if (slabs[current * Slab.words + Slab.cache] !== cache || isFree[current] === 1) fail(`slab ${current} is current in cache ${cache}, whose it is not`);
      if (base >>> Slab.indexBits !== current) fail(`the detached objects of cache ${cache} are not its current slab's`);
      if ((word & ~slabs[current * Slab.words + Slab.bits + ((base & Slab.indexMask) >>> 5)]!) !== 0) fail(`detached objects of cache ${cache} are not in use`);
    }
  }

  return { alloc, free, allocBytes, reap, liveBytes, heldBytes, caches: listCaches, eachFrame, validate };
}
