/**
 * x86-64 with 4-level paging: 48-bit virtual addresses, 4 KiB, 2 MiB and 1 GiB pages.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3A, chapter 4 (section 4.5, tables 4-15 to 4-20).
 * An entry as the manual numbers it:
 *
 *     63 62 .. 59 58 ... 52 51 .............. 12 11 .. 9  8   7    6   5   4    3    2    1    0
 *    +--+--------+---------+--------------------+------+---+----+---+---+----+----+----+----+---+
 *    |NX|   PK   |   AVL   |   frame, 40 bits   | AVL  | G | PS | D | A |PCD |PWT | US | RW | P |
 *    +--+--------+---------+--------------------+------+---+----+---+---+----+----+----+----+---+
 *
 * and as it is stored, in two int32 words that a walk can use without shifting:
 *
 *             31 .......... 24 23 .......... 12 11 ........... 0
 *    word 0: | frame bits 39-32 | bits 63-52 (NX = 23) | bits 11-0 |
 *    word 1: |                 frame bits 31-0                     |
 *
 * Not modelled: the PAT bit (7 in a 4 KiB leaf, 12 in a large one; always 0), protection keys' effect, reserved-bit faults, LA57.
 */
import type { ArchGeometry, Architecture } from './arch.js';
import { makeRadix } from './radix.js';

const geometry: ArchGeometry = {
  name: 'x86-64',
  pageShift: 12,
  levels: 4,
  indexBits: 9,
  vaBits: 48,
  tableNames: ['', 'PT', 'PD', 'PDPT', 'PML4'],
  leafLevels: [1, 2, 3],
};

/** The documented 64 bits of a stored entry, as 16 hex digits. */
export function entryHex(word0: number, word1: number): string {
  const low = (word0 & 0xfff) | (word1 << 12);
  const high = (word1 >>> 20) | ((word0 >>> 24) << 12) | (((word0 >>> 12) & 0xfff) << 20);
  return (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');
}

export const x86_64: Architecture = {
  geometry,
  title: 'x86-64, 4-level paging (PML4, 48-bit addresses; 4 KiB, 2 MiB and 1 GiB pages)',
  source: 'Intel SDM vol. 3A ch. 4',
  create: (options) => makeRadix({ geometry, paBits: 52, encode: entryHex }, options),
};
