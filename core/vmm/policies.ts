/**
 * Policies of the VMM by name, and the rules that a policy is made of: each can be left out of a run (`--without`), so that what it does to the numbers
 * can be measured. Rules are constants of a cell: closures capture them as 0 or 1 when the machine is made, and the compiler folds what is off.
 */
import { makeRegistry, UnknownNameError, closestName } from '../../arch/registry-core.js';

/** One rule of a policy. `source` names the kernel's file and function it was taken from. */
export interface PolicyRule {
  readonly name: string;
  readonly title: string;
  readonly source: string;
}

export interface Policy {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  /** Rules that can be left out; empty where there is nothing to choose. */
  readonly rules: readonly PolicyRule[];
}

const LINUX_RULES = [
  {
    name: 'free-tables',
    title: 'Unmapping frees the tables it touched whose span no other VMA overlaps, empty or not; nothing else frees one',
    source: 'mm/memory.c free_pgtables, mm/vma.c unmap_region',
  },
  { name: 'pt-reclaim', title: 'MADV_DONTNEED frees the PT of every 2 MiB slot it covers wholly', source: 'mm/pt_reclaim.c, mm/memory.c zap_pte_range' },
  {
    name: 'huge-pages',
    title: 'A fault in memory advised with MADV_HUGEPAGE takes 2 MiB at once where they fit',
    source: 'mm/huge_memory.c do_huge_pmd_anonymous_page',
  },
  { name: 'huge-zero', title: 'Reading such memory first maps the huge zero page', source: 'mm/huge_memory.c set_huge_zero_folio, do_huge_zero_wp_pmd' },
  { name: 'huge-deposit', title: 'A huge page keeps a PT in reserve, which splitting it uses', source: 'mm/pgtable-generic.c pgtable_trans_huge_deposit' },
  { name: 'stack-small', title: 'A MAP_STACK mapping gets no huge pages', source: 'include/linux/mman.h calc_vm_flag_bits' },
  {
    name: 'exec-stack',
    title: 'exec builds the stack elsewhere: tables for it come and go',
    source: 'fs/exec.c setup_arg_pages, mm/vma_exec.c relocate_vma_down',
  },
  { name: 'exec-args', title: "exec's argument pages are anonymous and cause no fault", source: 'fs/exec.c get_arg_page' },
  { name: 'move-tables', title: 'mremap makes a table where the source had one, and moves whole PTs', source: 'mm/mremap.c move_page_tables' },
  { name: 'lazy-fork', title: 'fork copies no tables of a VMA without anonymous pages', source: 'mm/memory.c vma_needs_copy' },
  { name: 'fork-tables', title: 'fork copies tables by their presence, even where they hold nothing', source: 'mm/memory.c copy_page_range' },
  {
    name: 'merge-anon-vma',
    title: 'Neighbours merge only if their anonymous lineages agree',
    source: 'mm/vma.c is_mergeable_anon_vma, mm/rmap.c __anon_vma_prepare',
  },
  {
    name: 'merge-accounted',
    title: 'Memory that was ever privately writable merges only with its like',
    source: 'mm/vma.c accountable_mapping, mm/mprotect.c',
  },
  { name: 'zero-page', title: 'An anonymous read maps the zero page', source: 'mm/memory.c do_anonymous_page' },
  { name: 'shared-mm', title: 'CLONE_VM and vfork share the address space until exec or exit', source: 'kernel/fork.c copy_mm' },
  { name: 'stack-growth', title: 'A fault below a stack extends it', source: 'mm/mmap.c expand_stack, mm/vma.c expand_downwards' },
  { name: 'vdso', title: "The vdso's pages count as file pages, vvar's not at all", source: 'arch/x86/entry/vdso/vma.c, mm/memory.c vmf_insert_pfn' },
  { name: 'populate', title: 'MAP_POPULATE, mlock and MADV_POPULATE_* bring pages without recorded faults', source: 'mm/gup.c populate_vma_page_range' },
  { name: 'reuse', title: 'A write to an anonymous page that nobody else maps reuses it', source: 'mm/memory.c do_wp_page' },
  { name: 'write-notify', title: 'A shared file page is mapped read-only until it is written', source: 'mm/vma.c vma_wants_writenotify' },
  { name: 'fault-around', title: 'A read fault on a file maps the cached pages of a 16-page window', source: 'mm/memory.c do_fault_around' },
  { name: 'shmem-around', title: 'The same for shared memory, with the pages it has', source: 'mm/shmem.c shmem_vm_ops, mm/filemap.c filemap_map_pages' },
  { name: 'folios', title: 'Page-cache folios that overlap the window are mapped whole', source: 'mm/filemap.c filemap_map_pages' },
] as const satisfies readonly PolicyRule[];

export type RuleName = (typeof LINUX_RULES)[number]['name'];

/** What holds in a cell: 1 or 0 for each rule, and whether the policy is linux at all. */
export type Rules = Readonly<Record<RuleName | 'linux', 0 | 1>>;

export const policies = makeRegistry<Policy>(
  'policy',
  [
    {
      name: 'plain',
      title: 'The textbook: one page a fault, fork copies every table, a table goes when it is empty',
      source: 'Tanenbaum and Bos, Modern Operating Systems, ch. 3; mm/memory.c without its refinements',
      rules: [],
    },
    {
      name: 'linux',
      title: 'Linux 6.18 on x86-64, THP madvise, rule by rule: its page tables and resident pages are those the kernel reports',
      source: 'Linux 6.18, mm/',
      rules: LINUX_RULES,
    },
  ],
  (p) => p.name,
);

/** The rules of a policy but those named in `without`. Throws UnknownNameError for a policy or a rule that does not exist. */
export function rulesOf(policy: string, without: readonly string[]): Rules {
  const { name, rules } = policies.get(policy);
  const known = rules.map((rule) => rule.name);
  for (const rule of without) {
    if (known.includes(rule)) continue;
    const close = closestName(rule, known);
    const hint = known.length === 0 ? 'it has none' : `known: ${known.join(', ')}${close === undefined ? '' : `; did you mean '${close}'?`}`;
    throw new UnknownNameError(`unknown rule '${rule}' of policy '${name}'; ${hint}`);
  }
  const linux = name === 'linux' ? 1 : 0;
  const entries = LINUX_RULES.map((rule) => [rule.name, linux !== 0 && !without.includes(rule.name) ? 1 : 0]);
  return { ...(Object.fromEntries(entries) as Record<RuleName, 0 | 1>), linux };
}

/** The rules of the textbook: none. */
export const PLAIN: Rules = rulesOf('plain', []);
