/**
 * The options of `run`, once for the command line and for matrix files: what each is called, what kind of value it takes, what it means and what holds
 * without it. Values travel as text until `run-request.ts` parses them, so that a flag and a line of a matrix file give the same thing and the same message.
 */
import type { Options } from 'yargs';
import { switchFlag, valueFlag } from './command.js';
import type { RegistryName } from './registries.js';

/** How a value is written: names of a registry, comma-separated; one of a few words; a size; a number; a file; on or off; there or not; free text. */
export type RunOption = { readonly about: string; readonly preset?: string } & (
  | { readonly kind: 'names' | 'names-or-files' | 'path-or-name'; readonly registry: RegistryName }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'size' | 'numbers' | 'rules' | 'path' | 'age' | 'text' | 'switch' }
  | { readonly kind: 'count'; readonly least: number; readonly most: number }
);

const onOff = ['on', 'off'] as const;

/** Options by name, in the order of `--help`. */
export const RUN_OPTIONS = {
  arch: { kind: 'names', registry: 'archs', preset: 'x86-64', about: 'Architectures' },
  pmm: {
    kind: 'names-or-files',
    registry: 'pmms',
    preset: 'bitmap,free-stack,buddy',
    about: 'Physical memory managers, or modules of your own (.wasm, .js, .mjs, .ts)',
  },
  'pmm-timeout': { kind: 'count', least: 1, most: 86_400, preset: '60', about: 'Seconds that a PMM of your own may take without any progress' },
  heap: { kind: 'names', registry: 'heaps', preset: 'recorded', about: 'Process heaps: recorded puts blocks where they were, the others place them anew' },
  policy: { kind: 'names', registry: 'policies', preset: 'linux', about: "The VMM's rules" },
  without: { kind: 'rules', about: 'Rules of the policy to leave out (framewalk list policies --json names them)' },
  touch: {
    kind: 'choice',
    choices: ['auto', 'recorded', 'alloc', 'all'],
    preset: 'auto',
    about: 'Which pages are touched: those the trace says, each allocated block, or mappings too',
  },
  memory: { kind: 'size', preset: '4GiB', about: 'Physical memory' },
  memmap: { kind: 'path', about: 'Physical memory with holes: a file in the form of the e820 lines of a Linux boot log (instead of --memory)' },
  age: {
    kind: 'age',
    preset: 'fresh',
    about:
      'Memory that others have used before: filled to UTILISATION, after CHURN rounds of filling half of the rest and ending lives, or as the /proc/buddyinfo and /proc/pagetypeinfo of a machine say; several, and fresh, with commas',
  },
  'kernel-heap': { kind: 'choice', choices: onOff, preset: 'on', about: "Whether the VMM's own objects are paid for from the same memory" },
  'on-oom': {
    kind: 'choice',
    choices: ['kill', 'fail', 'stop'],
    preset: 'kill',
    about: 'Out of frames: kill the process, fail the request, or stop the replay',
  },
  tlb: { kind: 'path-or-name', registry: 'tlbs', preset: 'default', about: 'TLB and page-walk caches, a YAML or JSON file or a name' },
  cpus: { kind: 'count', least: 1, most: 256, preset: '1', about: 'CPUs, each with a TLB and, where the strategy has them, page lists of its own' },
  spread: {
    kind: 'choice',
    choices: ['auto', 'recorded', 'threads'],
    preset: 'auto',
    about: 'Which of several CPUs an event runs on: the recorded one, or one a thread',
  },
  pid: { kind: 'numbers', about: 'Replay only these processes' },
  window: { kind: 'text', about: 'Replay only these events of each trace, counted from 0, TO not included' },
  repeat: { kind: 'count', least: 1, most: 1000, preset: '1', about: 'Times that a trace is replayed, one after the other in the same memory' },
  matrix: { kind: 'path', about: 'A YAML or JSON file with any of these options; flags override it' },
  workers: { kind: 'count', least: 1, most: 256, preset: 'one a core', about: 'Worker threads' },
  seed: { kind: 'count', least: 0, most: 2 ** 32 - 1, preset: '1', about: 'Seed of everything random' },
  'trace-memory': { kind: 'size', preset: '128MiB', about: 'Traces up to this size are shared by the workers; larger ones are streamed' },
  out: { kind: 'path', preset: 'out', about: 'Folder for the results' },
  json: { kind: 'switch', about: 'Print results.json instead of the table' },
  format: { kind: 'names', registry: 'formats', about: 'Format of the traces, where their content does not tell' },
  strict: { kind: 'switch', about: 'The first line of a trace that is not understood is an error' },
  audit: { kind: 'count', least: 0, most: Number.MAX_SAFE_INTEGER, preset: '0', about: 'Check the whole state every N events (0 = never; slow)' },
} as const satisfies Readonly<Record<string, RunOption>>;

export type RunKey = keyof typeof RUN_OPTIONS;

/** Metavariable that help shows for a kind of value. */
const WORDS: Readonly<Record<RunOption['kind'], string>> = {
  names: 'A,B',
  'names-or-files': 'A,FILE',
  choice: 'WORD',
  size: 'SIZE',
  numbers: 'N,...',
  rules: 'RULE,RULE',
  path: 'FILE',
  'path-or-name': '',
  age: 'SEED:UTILISATION:CHURN or FILE,FILE',
  text: 'FROM..TO',
  switch: '',
  count: 'N',
};

/** The same as yargs wants them; `names` lists a registry's names for the help. */
export async function runFlags(names: (registry: RegistryName) => Promise<readonly string[]>): Promise<Record<string, Options>> {
  const flags: Record<string, Options> = {};
  for (const [key, option] of Object.entries<RunOption>(RUN_OPTIONS)) {
    if (option.kind === 'switch') {
      flags[key] = switchFlag(option.about);
      continue;
    }
    const known = 'registry' in option ? await names(option.registry) : option.kind === 'choice' ? option.choices : [];
    const about = known.length === 0 ? `${option.about} (${WORDS[option.kind]})` : `${option.about}: ${known.join(', ')}`;
    flags[key] = valueFlag(about, { ...(option.preset === undefined ? {} : { defaultDescription: option.preset }), ...(key === 'out' ? { alias: 'o' } : {}) });
  }
  return flags;
}
