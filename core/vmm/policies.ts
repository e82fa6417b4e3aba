/** Policies of the VMM by name. */
import { makeRegistry } from '../../arch/registry-core.js';

/** A rule of a policy that can be switched off, to measure what it matters. */
export interface PolicyRule {
  readonly name: string;
  readonly title: string;
  readonly source: string;
}

export interface Policy {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  readonly rules: readonly PolicyRule[];
}

export const policies = makeRegistry<Policy>(
  'policy',
  [
    {
      name: 'plain',
      title: 'The textbook: one page a fault, fork copies every table, a table goes when it is empty',
      source: 'Tanenbaum and Bos, Modern Operating Systems, ch. 3; mm/memory.c without its refinements',
      rules: [],
    },
  ],
  (p) => p.name,
);
