/**
 * Contract of the kernel heap: slab caches on order-0 kernel frames from the PMM. The VMM's own objects live here,
 * so VMAs, process descriptors and nodes are paid for from the same memory as everything else.
 */
export const enum KernelCache {
  vma = 0,
  space = 1,
  process = 2,
  object = 3,
  /** Node of an object's page index. */
  node = 4,
  /** kmalloc size classes 8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096 follow. */
  kmalloc = 5,
}

export interface KernelHeap {
  /** Handle (> 0) of a fresh object of the cache, or 0 when the PMM has no frame. */
  alloc(cache: number): number;
  /** Takes the object back; frames of empty slabs return to the PMM, but each cache keeps its current slab, empty or not. Throws an Error for a handle that is not live. */
  free(handle: number): void;
  /** kmalloc by size (kfree is `free`): sizes above 4096 take whole frames, all or none; 0 bytes take the smallest class. Handle, or 0 without frames or above 4 MiB, which no kmalloc serves. */
  allocBytes(bytes: number): number;
  /** Returns every empty slab to the PMM. */
  reap(): void;
  /** Bytes asked for by live objects, and bytes of frames held. */
  liveBytes(): number;
  heldBytes(): number;
  /** Per cache: name, object size, live objects, slabs. The last, kmalloc-large, counts the whole frames of large blocks. */
  caches(): { name: string; objectBytes: number; live: number; slabs: number }[];
  /** Every frame held, with the name of its cache. */
  eachFrame(visit: (frame: number, cache: string) => void): void;
  validate(): void;
}

/** Where the kernel heap gets its frames: a frame or -1; gives one back. */
export interface KernelFrames {
  take(): number;
  give(frame: number): void;
}
