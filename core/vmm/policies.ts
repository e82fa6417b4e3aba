/** Policies of the VMM by name. */
import { makeRegistry } from '../../arch/registry-core.js';

export interface Policy {
  readonly name: string;
  readonly title: string;
  readonly source: string;
}

export const policies = makeRegistry<Policy>(
  'policy',
  [
    {
      name: 'plain',
      title: 'The textbook: one page a fault, fork copies every table, a table goes when it is empty',
      source: 'Tanenbaum and Bos, Modern Operating Systems, ch. 3; mm/memory.c without its refinements',
    },
  ],
  (p) => p.name,
);
