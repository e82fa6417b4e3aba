/** The contract suite over every registered architecture, and over geometries that only differ in their parameters. */
import type { Architecture } from '../../arch/arch.js';
import { makeRadix } from '../../arch/radix.js';
import { architectures } from '../../arch/registry.js';
import { archContract } from './arch.contract.js';

/** Shapes that the registered architectures do not have: three levels and five levels with leaves in the root, two bitmap words a summary bit. */
const shapes: Architecture[] = [
  { name: 'three levels, leaves in the root', pageShift: 12, levels: 3, indexBits: 9, vaBits: 39, tableNames: ['', '1', '2', '3'], leafLevels: [1, 2, 3] },
  {
    name: 'five levels, leaves in each',
    pageShift: 12,
    levels: 5,
    indexBits: 9,
    vaBits: 57,
    tableNames: ['', '1', '2', '3', '4', '5'],
    leafLevels: [1, 2, 3, 4, 5],
  },
  { name: '16 KiB pages', pageShift: 14, levels: 4, indexBits: 11, vaBits: 48, tableNames: ['', '1', '2', '3', '4'], leafLevels: [1, 2] },
].map((geometry) => ({
  geometry,
  title: geometry.name,
  source: 'made up for the test',
  create: (options) => makeRadix({ geometry, paBits: 52, encode: (word0, word1) => `${word0} ${word1}` }, options),
}));

for (const arch of architectures.all()) archContract(arch, { runs: 430, commands: 200 });
for (const arch of shapes) archContract(arch, { runs: 20, commands: 100 });
