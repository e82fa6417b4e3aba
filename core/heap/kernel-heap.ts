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
 *      0 frame   1 cache   2 objects in use   3 next   4 previous   5 first bitmap word that may have room
 *      6 slack of a large block's last frame (bytes)   7 unused   8..23 bitmap of up to 512 objects
 *
 *      handle:  30 .............. 9 8 ............ 0
 *              | slab (1 ... 2^22) | object in slab  |
 */
import { UserError } from '../../traces/event.js';
import { KernelCache, type KernelFrames, type KernelHeap } from './kernel-heap-contract.js';

const FRAME_BYTES = 4096;

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
  hint = 5,
  slack = 6,
  bits = 8,
  indexBits = 9,
  indexMask = 511,
}

/** Words of a cache's record. */
const enum Cache {
  shift = 3,
  current = 0,
  /** Head of the list of slabs with room, without the current and the empty one. */
  partial = 1,
  /** The one empty slab that is kept; it may be the current one. */
  empty = 2,
  live = 3,
  slabs = 4,
  perSlab = 5,
  bytes = 6,
}

/** Blocks above 4096 bytes: a chain of slab records with one frame each. */
const LARGE = 17;
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
  const maxSlabs = options.maxSlabs ?? (1 << 22) - 1;
  const slabs = new Int32Array((maxSlabs + 1) * Slab.words);
  const caches = new Int32Array(CACHES << Cache.shift);
  const state = new Int32Array(State.cells);
  // Bytes by which a kmalloc object is larger than what was asked for, by slab and object; blocks of 1024 slabs appear when first needed.
  const slack: (Uint16Array | undefined)[] = [];
  // [0] bytes asked for by large blocks less those held, [1] slack of kmalloc objects: doubles, as they may pass 2^31.
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
    slabs[(b + Slab.hint) | 0] = 0;
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

  /** Makes a slab with room the current one: a partial one, the empty one, a new one. Its number, or 0 without a frame. */
  function refill(cache: number): number {
    const c = cache << Cache.shift;
    let s = caches[(c + Cache.partial) | 0]!;
    if (s !== 0) {
      dropPartial(c, s);
    } else {
      s = caches[(c + Cache.empty) | 0]!;
      if (s === 0) {
        s = takeSlab(cache);
        if (s === 0) return 0;
        // take() may have freed or allocated objects of this cache to get the frame.
        const current = caches[(c + Cache.current) | 0]!;
        const empty = caches[(c + Cache.empty) | 0]!;
        if (current !== 0 && current !== empty) pushPartial(c, current);
        caches[(c + Cache.current) | 0] = s;
        caches[(c + Cache.empty) | 0] = s;
        if (empty !== 0) giveSlab(empty);
        return s;
      }
    }
    caches[(c + Cache.current) | 0] = s;
    return s;
  }

  // ---- objects

  function alloc(cache: number): number {
    const c = cache << Cache.shift;
    let s = caches[(c + Cache.current) | 0]!;
    if (s === 0) {
      s = refill(cache);
      if (s === 0) return 0;
    }
    const b = (s * Slab.words) | 0;
    let word = slabs[(b + Slab.hint) | 0]!;
    let free = ~slabs[(b + Slab.bits + word) | 0]!;
    if (free === 0) {
      do {
        word = (word + 1) | 0;
        free = ~slabs[(b + Slab.bits + word) | 0]!;
      } while (free === 0);
      slabs[(b + Slab.hint) | 0] = word;
    }
    const bit = free & -free;
    slabs[(b + Slab.bits + word) | 0] = ~free | bit;
    const used = slabs[(b + Slab.used) | 0]!;
    slabs[(b + Slab.used) | 0] = (used + 1) | 0;
    if (used === 0) caches[(c + Cache.empty) | 0] = 0;
    // Objects fill a slab from its lowest free index, so index < perSlab as long as used < perSlab.
    if (((used + 1) | 0) === caches[(c + Cache.perSlab) | 0]) caches[(c + Cache.current) | 0] = 0;
    caches[(c + Cache.live) | 0] = (caches[(c + Cache.live) | 0]! + 1) | 0;
    return (s << Slab.indexBits) | (word << 5) | (31 - Math.clz32(bit));
  }

  function free(handle: number): void {
    const s = handle >>> Slab.indexBits;
    const b = (s * Slab.words) | 0;
    const index = handle & Slab.indexMask;
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    const bits = slabs[(b + Slab.bits + word) | 0]!;
    if ((bits & bit) === 0) throw new Error(`kernel heap: free of handle ${handle}, which is not allocated`);
    const cache = slabs[(b + Slab.cache) | 0]!;
    if (cache >= KernelCache.kmalloc) {
      if (cache === LARGE) {
        freeLarge(s);
        return;
      }
      returnSlack(s, index);
    }
    slabs[(b + Slab.bits + word) | 0] = bits & ~bit;
    if (word < slabs[(b + Slab.hint) | 0]!) slabs[(b + Slab.hint) | 0] = word;
    const c = cache << Cache.shift;
    const used = (slabs[(b + Slab.used) | 0]! - 1) | 0;
    slabs[(b + Slab.used) | 0] = used;
    caches[(c + Cache.live) | 0] = (caches[(c + Cache.live) | 0]! - 1) | 0;
    if (used === 0) becameEmpty(c, s);
    else if (((used + 1) | 0) === caches[(c + Cache.perSlab) | 0]) pushPartial(c, s);
  }

  /** The slab's last object went. A cache keeps one empty slab. */
  function becameEmpty(c: number, s: number): void {
    const current = caches[(c + Cache.current) | 0]!;
    // A slab of one object was full: on no list.
    if (s !== current && caches[(c + Cache.perSlab) | 0]! > 1) dropPartial(c, s);
    if (caches[(c + Cache.empty) | 0] === 0) {
      caches[(c + Cache.empty) | 0] = s;
      return;
    }
    if (s === current) caches[(c + Cache.current) | 0] = 0;
    giveSlab(s);
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
    const n = bytes | 0;
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
    caches[(LARGE << Cache.shift) + Cache.live]!++;
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
    caches[(LARGE << Cache.shift) + Cache.live]!--;
    giveChain(head);
  }

  function reap(): void {
    for (let cache = 0; cache < LARGE; cache++) {
      const c = cache << Cache.shift;
      const s = caches[c + Cache.empty]!;
      if (s === 0) continue;
      caches[c + Cache.empty] = 0;
      if (caches[c + Cache.current] === s) caches[c + Cache.current] = 0;
      giveSlab(s);
    }
  }

  // ---- accounts and checks

  function liveBytes(): number {
    let sum = sums[0]! - sums[1]!;
    for (let cache = 0; cache < LARGE; cache++) sum += caches[(cache << Cache.shift) + Cache.live]! * caches[(cache << Cache.shift) + Cache.bytes]!;
    return sum;
  }

  function heldBytes(): number {
    return state[State.frames]! * FRAME_BYTES;
  }

  function listCaches(): { name: string; objectBytes: number; live: number; slabs: number }[] {
    const list = CACHE_NAMES.map((name, cache) => ({
      name,
      objectBytes: OBJECT_BYTES[cache]!,
      live: caches[(cache << Cache.shift) + Cache.live]!,
      slabs: caches[(cache << Cache.shift) + Cache.slabs]!,
    }));
    const large = caches[(LARGE << Cache.shift) + Cache.slabs]!;
    list.push({ name: 'kmalloc-large', objectBytes: FRAME_BYTES, live: large, slabs: large });
    return list;
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
    const live = new Float64Array(CACHES);
    const held = new Float64Array(CACHES);
    const frameSet = new Set<number>();
    for (let s = 1; s <= made; s++) {
      const b = s * Slab.words;
      let bits = 0;
      for (let w = 0; w < 16; w++) for (let x = slabs[b + Slab.bits + w]!; x !== 0; x &= x - 1) bits++;
      if (isFree[s] === 1) {
        if (bits !== 0) fail(`the free slab record ${s} has allocated objects`);
        continue;
      }
      const cache = slabs[b + Slab.cache]!;
      const c = cache << Cache.shift;
      const per = caches[c + Cache.perSlab]!;
      if (bits !== slabs[b + Slab.used]) fail(`slab ${s} counts ${slabs[b + Slab.used]} objects, its bitmap ${bits}`);
      for (let i = per; i < 512; i++) if ((slabs[b + Slab.bits + (i >>> 5)]! & (1 << (i & 31))) !== 0) fail(`slab ${s} has an object ${i} of ${per}`);
      if (cache !== LARGE && bits < per) {
        for (let w = 0; w < slabs[b + Slab.hint]!; w++) if (~slabs[b + Slab.bits + w]! !== 0) fail(`slab ${s} has room below its hint`);
      }
      const frame = slabs[b + Slab.frame]!;
      if (frame < 0 || frameSet.has(frame)) fail(`slab ${s} has frame ${frame}, which is none or another slab's`);
      frameSet.add(frame);
      live[cache]! += bits;
      held[cache]!++;
      if (cache === LARGE) continue;
      const aside = s === caches[c + Cache.current] || s === caches[c + Cache.empty];
      if (onPartial[s] === 1 && (aside || bits === 0 || bits === per)) fail(`slab ${s} with ${bits} of ${per} objects is on the partial list`);
      if (onPartial[s] === 0 && !aside && bits !== per) fail(`slab ${s} with ${bits} of ${per} objects is on no list`);
      if (bits === 0 && s !== caches[c + Cache.empty]) fail(`slab ${s} is empty and not the one its cache keeps`);
      if (bits !== 0 && s === caches[c + Cache.empty]) fail(`slab ${s} is kept as empty with ${bits} objects`);
      if (bits === per && s === caches[c + Cache.current]) fail(`slab ${s} is current and full`);
    }
    for (let cache = 0; cache < CACHES; cache++) {
      const c = cache << Cache.shift;
      if (live[cache] !== caches[c + Cache.live]) fail(`cache ${cache} counts ${caches[c + Cache.live]} objects, its slabs ${live[cache]}`);
      if (held[cache] !== caches[c + Cache.slabs]) fail(`cache ${cache} counts ${caches[c + Cache.slabs]} slabs, there are ${held[cache]}`);
    }
  }

  return { alloc, free, allocBytes, reap, liveBytes, heldBytes, caches: listCaches, validate };
}
