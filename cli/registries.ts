/** Every registry by the name `framewalk list` has for it; each is loaded when it is asked for. */

/** One name of a registry and what it is; further fields are for `--json`. */
export interface ListEntry {
  readonly name: string;
  readonly title: string;
  /** Of metrics. */
  readonly about?: string;
  readonly unit?: string;
  /** Of policies: what can be switched off. */
  readonly rules?: readonly { readonly name: string; readonly title: string }[];
  readonly [more: string]: unknown;
}

const described = ({ name, title, source }: { name: string; title: string; source: string }): ListEntry => ({ name, title, source });

const REGISTRIES = {
  archs: async () => {
    const { architectures } = await import('../arch/registry.js');
    return architectures.all().map(({ geometry, title, source }): ListEntry => ({ ...geometry, title, source }));
  },
  pmms: async () => (await import('../core/pmm/registry.js')).pmms.all().map(described),
  heaps: async () => (await import('../core/heap/registry.js')).heaps.all().map(described),
  formats: async () => (await import('../traces/registry.js')).TRACE_FORMATS.map(described),
  metrics: async () => {
    const { metrics } = await import('../core/metrics/registry.js');
    return metrics
      .all()
      .map(({ name, title, unit, better, deterministic, headline, about }): ListEntry => ({ name, title, unit, better, deterministic, headline, about }));
  },
  policies: async () => (await import('../core/vmm/policies.js')).policies.all().map((policy): ListEntry => ({ ...described(policy), rules: policy.rules })),
  tlbs: async () => (await import('../core/lookup/configs.js')).lookupConfigs.map((config): ListEntry => ({ ...config })),
} as const;

export type RegistryName = keyof typeof REGISTRIES;

/** What can be listed. */
export const REGISTRY_NAMES = Object.keys(REGISTRIES);

export const isRegistryName = (name: string): name is RegistryName => name in REGISTRIES;

/** The entries of a registry, in its order. */
export const registryEntries = async (name: RegistryName): Promise<readonly ListEntry[]> => await REGISTRIES[name]();

/** Only their names. */
export const registryNames = async (name: RegistryName): Promise<string[]> => (await registryEntries(name)).map((entry) => entry.name);
