/**
 * A page-table stand-in with the storage layout of the architecture contract (a slab of int32 pairs), so that the lookup unit is tested without
 * depending on how real tables are kept. Tables are never shared or reused within a test unless freed; frames of tables count up.
 */
import type { WalkedTables } from '../../../core/lookup/lookup-contract.js';
import { Attr } from '../../../arch/arch.js';

export interface TinyTables extends WalkedTables {
  /** Installs a leaf of `level` for the page number (in 4 KiB pages) of a space (-1 = kernel). */
  map(space: number, page: number, level: number, flags: number): void;
  /** Word index of the entry at `level`, or -1 when a table above it is missing. */
  entry(space: number, page: number, level: number): number;
  /** Removes the entry at `level` (a leaf, or a link to a table). */
  clear(space: number, page: number, level: number): void;
}

const WORDS = 1024;

export function makeTinyTables(maxSpaces: number, levels = 4, vaBits = 48, maxTables = 4096): TinyTables {
  const pt = new Int32Array((maxTables + 1) * WORDS);
  const tableOf = new Int32Array(maxTables + 64);
  const root = new Int32Array(maxSpaces);
  let tables = 0;
  const newTable = (): number => {
    tables++;
    if (tables > maxTables) throw new Error('stand-in: out of tables');
    tableOf[tables + 7] = tables * WORDS; // frames of tables are their number + 7
    return tables * WORDS;
  };
  const kernel = newTable();
  for (let i = 256; i < 512; i++) {
    // Upper-half entries of the kernel's root are made at once so that spaces can copy them.
    const t = newTable();
    pt[kernel + i * 2] = Attr.present | Attr.write | Attr.user;
    pt[kernel + i * 2 + 1] = t / WORDS + 7;
  }
  for (let s = 0; s < maxSpaces; s++) {
    root[s] = newTable();
    pt.copyWithin(root[s]! + WORDS / 2, kernel + WORDS / 2, kernel + WORDS);
  }
  const index = (page: number, level: number): number => Math.floor(page / 512 ** (level - 1)) & 511;
  const find = (space: number, page: number, level: number, make: boolean): number => {
    let t = space < 0 ? kernel : root[space]!;
    for (let l = levels; l > level; l--) {
      const q = t + index(page, l) * 2;
      if ((pt[q]! & Attr.present) === 0) {
        if (!make) return -1;
        const n = newTable();
        pt[q] = Attr.present | Attr.write | Attr.user;
        pt[q + 1] = n / WORDS + 7;
        t = n;
      } else if ((pt[q]! & Attr.large) !== 0) return -1;
      else t = tableOf[pt[q + 1]!]!;
    }
    return t + index(page, level) * 2;
  };
  return {
    geometry: { name: 'tiny', pageShift: 12, levels, indexBits: 9, vaBits, tableNames: [], leafLevels: [1, 2, 3] },
    root,
    kernelRoot: () => kernel,
    pt,
    tableOf,
    map(space, page, level, flags) {
      const q = find(space, page, level, true);
      if (q < 0) throw new Error('stand-in: a large leaf stands above');
      pt[q] = flags | Attr.present | (level > 1 ? Attr.large : 0);
      pt[q + 1] = 1;
    },
    entry: (space, page, level) => find(space, page, level, false),
    clear(space, page, level) {
      const q = find(space, page, level, false);
      if (q < 0) throw new Error('stand-in: no such entry');
      pt[q] = 0;
      pt[q + 1] = 0;
    },
  };
}
