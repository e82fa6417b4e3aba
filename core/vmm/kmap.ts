/**
 * Temporary mappings: a window of kernel pages through which the kernel reaches frames that it does not map otherwise
 * (zeroing, copy-on-write copies, `kmap` events). Modelled on Linux' highmem kmap (mm/highmem.c): slots are handed out round robin
 * and the TLB is flushed once per round, not once per slot.
 */
import { Attr } from '../../arch/arch.js';
import { addrHi, addrLo } from '../../arch/address.js';
import { UserError } from '../../traces/event.js';
import { VmmCounter } from './machine.js';
import type { Machine } from './machine.js';

/** One leaf table of slots. */
export const KMAP_SLOTS = 512;
/** Start of the window: ffffffffbfe00000, the 2 MiB below the last GiB of the address space. */
export const KMAP_BASE = -1073741824 - 2097152;

export type Kmap = ReturnType<typeof makeKmap>;

export function makeKmap(machine: Machine) {
  const { tables, counters, dropping } = machine;
  const { pt } = tables;
  const { flushSpace } = machine.lookup;
  const hi = addrHi(KMAP_BASE);
  const lo = addrLo(KMAP_BASE);
  const basePage = KMAP_BASE / 4096;
  const flags = Attr.present | Attr.write | Attr.accessed | Attr.dirty | Attr.noExecute;
  const state = new Int32Array(32); // [0] next slot, [1] slots pinned
  const pinned = new Uint8Array(KMAP_SLOTS + 64);
  // The window's leaf table exists from the start and is never freed, so that using the window takes no frame.
  const window = tables.ensureTable(-1, hi, lo, 1);
  if (window < 0) throw new UserError("--memory is too small for the kernel's own page tables: give at least 64 KiB");

  /** The next slot that is not pinned, or -1. */
  function nextSlot(): number {
    let slot = state[0]!;
    if (state[1] !== 0) {
      let tries = 0;
      while (pinned[slot] !== 0) {
        slot = (slot + 1) & (KMAP_SLOTS - 1);
        if (++tries === KMAP_SLOTS) return -1;
      }
    }
    return slot;
  }
  /** A slot was used: the round goes on, and at its end the kernel's translations are forgotten. */
  function advance(slot: number): void {
    const next = (slot + 1) & (KMAP_SLOTS - 1);
    state[0] = next;
    if (next === 0) flushSpace(-1);
    counters[VmmCounter.kmaps]! += 1;
  }

  /** Maps a frame until it is unmapped: slot number, or -1 when every slot is pinned. */
  function map(frame: number): number {
    const slot = nextSlot();
    if (slot < 0 || tables.mapLeaf(-1, hi, (lo + (slot << 12)) | 0, flags, frame) !== 0) return -1;
    advance(slot);
    return slot;
  }

  function unmap(slot: number): void {
    dropping[0] = -1;
    tables.unmapRange(-1, basePage + slot, basePage + slot + 1, 1);
  }

  /**
   * The kernel writes a whole frame (zeroing, copying) through the next slot: the leaf is set and cleared again, in the window's own table, which
   * always exists. 0, or -1 when every slot is pinned.
   */
  function touch(frame: number): number {
    const slot = nextSlot();
    if (slot < 0) return -1;
    const q = (window + (slot << 1)) | 0;
    pt[q] = flags;
    pt[(q + 1) | 0] = frame;
    advance(slot);
    pt[q] = 0;
    pt[(q + 1) | 0] = 0;
    return 0;
  }

  /** The frame a slot maps. */
  function frameOf(slot: number): number {
    return pt[(window + (slot << 1) + 1) | 0]!;
  }

  function pin(slot: number): void {
    pinned[slot] = 1;
    state[1]! += 1;
  }
  function unpin(slot: number): void {
    pinned[slot] = 0;
    state[1]! -= 1;
  }

  return { map, unmap, frameOf, touch, pin, unpin, state };
}
