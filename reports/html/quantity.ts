/** Names of sampled quantities as /proc/PID/status has them. */
const NAMES: Readonly<Record<string, string>> = {
  vm_size_kb: 'VmSize',
  vm_pte_kb: 'VmPTE',
  rss_anon_kb: 'RssAnon',
  rss_file_kb: 'RssFile',
  rss_shmem_kb: 'RssShmem',
  minor_faults: 'minor faults',
  major_faults: 'major faults',
};

export const quantityName = (quantity: string): string => NAMES[quantity] ?? quantity.replaceAll('_', ' ');
