/**
 * Rules that the kernel of a recording did not follow, by what its header says: they are left out of the replay as if by --without, since leaving them in would
 * predict another kernel. What the header does not say is taken to be as Linux sets it.
 */
const WHEN: readonly { readonly fact: string; readonly value: string; readonly rules: readonly string[] }[] = [
  // A guest of some hypervisors is told to give each anonymous read a page of its own.
  { fact: 'zero_page', value: 'n', rules: ['zero-page'] },
  { fact: 'pt_reclaim', value: 'n', rules: ['pt-reclaim'] },
  { fact: 'thp', value: 'never', rules: ['huge-pages'] },
];

/** Names of rules of the linux policy that did not hold on that kernel. */
export function rulesNotOf(kernel: Readonly<Record<string, string>>): string[] {
  return WHEN.filter(({ fact, value }) => kernel[fact] === value).flatMap(({ rules }) => [...rules]);
}
