/**
 * Addresses and page numbers: the one file that casts plain numbers to branded ones.
 *
 * Canonical high-half addresses are negative numbers (bit 47 or 56 sign-extended), as the C types
 * physaddr_t and virtaddr_t allow. Every 48-bit address is exact in a double. In typed columns and in
 * the replay loop a virtual address is split once into two int32 halves:
 *
 *      63 (sign) ................ 30 29 ................ 12 11 ...... 0
 *     +-----------------------------+----------------------+-----------+
 *     |  hi = floor(va / 2^30)      |   page within 1 GiB  |  offset   |   lo = va - hi * 2^30
 *     +-----------------------------+----------------------+-----------+
 */
declare const brand: unique symbol;

/** Physical address in bytes, or a negative error code. */
export type PhysAddr = number & { readonly [brand]: 'PhysAddr' };
/** Virtual address in bytes; negative = upper (kernel) half. */
export type VirtAddr = number & { readonly [brand]: 'VirtAddr' };
/** Physical frame number (PFN). */
export type Frame = number & { readonly [brand]: 'Frame' };
/** Virtual page number (VPN); negative = upper half. */
export type Page = number & { readonly [brand]: 'Page' };

/** Bytes in a base page and its binary logarithm, the same for every architecture with 4 KiB pages. */
export const BASE_PAGE_SIZE = 4096;
export const BASE_PAGE_SHIFT = 12;

/** 2^30, the weight of `hi` in a split address, and 2^18, the pages in 1 GiB. */
export const SPLIT = 1073741824;
export const PAGES_PER_SPLIT = 262144;

export const physAddr = (bytes: number): PhysAddr => bytes as PhysAddr;
export const virtAddr = (bytes: number): VirtAddr => bytes as VirtAddr;
export const frame = (pfn: number): Frame => pfn as Frame;
export const page = (vpn: number): Page => vpn as Page;

export const frameToPhys = (f: Frame): PhysAddr => (f * BASE_PAGE_SIZE) as PhysAddr;
export const physToFrame = (pa: PhysAddr): Frame => Math.floor(pa / BASE_PAGE_SIZE) as Frame;
export const pageToVirt = (p: Page): VirtAddr => (p * BASE_PAGE_SIZE) as VirtAddr;
export const virtToPage = (va: VirtAddr): Page => Math.floor(va / BASE_PAGE_SIZE) as Page;

/** The two int32 halves of a virtual address, and back. */
export const addrHi = (va: number): number => Math.floor(va / SPLIT);
export const addrLo = (va: number): number => va - Math.floor(va / SPLIT) * SPLIT;
export const joinAddr = (hi: number, lo: number): number => hi * SPLIT + lo;

/** True when `va` is a canonical address of an architecture with `bits` (48, 57, ...) virtual address bits. */
export const isCanonical = (va: number, bits: number): boolean => {
  const half = 2 ** (bits - 1);
  return va >= -half && va < half;
};

/** `0x...` of an address; the upper half is printed as the 64-bit pattern hardware shows. */
export function hexAddress(va: number): string {
  if (va >= 0) return '0x' + va.toString(16);
  const hi = Math.floor(va / 4294967296);
  const lo = va - hi * 4294967296;
  return '0x' + (hi >>> 0).toString(16).padStart(8, '0') + lo.toString(16).padStart(8, '0');
}
