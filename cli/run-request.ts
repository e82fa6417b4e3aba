/**
 * What a run was asked to do: flags over the matrix file over the presets, parsed and checked. Everything wrong in it is found here, before a trace is opened.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { LookupConfig } from '../core/lookup/lookup-contract.js';
import type { SpreadMode } from '../core/replay/spread.js';
import type { Ageing } from '../core/pmm/ageing/ageing.js';
import { memoryMapFromSize, parseE820, type MemoryMap } from '../core/pmm/memory-map.js';
import { isOwnFile } from '../core/pmm/own/names.js';
import { UserError } from '../traces/event.js';
import { fileError } from '../traces/io-error.js';
import { parseAges } from './age.js';
import { readText } from './document.js';
import type { MatrixFile } from './matrix.js';
import { knownName, knownNames } from './names.js';
import { registryNames } from './registries.js';
import { RUN_OPTIONS, type RunKey, type RunOption } from './run-options.js';
import { parseCount, parseSize } from './size.js';
import { readLookupConfig } from './tlb-file.js';

/** A run, ready to be done. */
export interface RunRequest {
  readonly traces: readonly string[];
  readonly arch: readonly string[];
  /** Names, and files of the user's. */
  readonly pmm: readonly string[];
  readonly pmmTimeout: number;
  readonly heap: readonly string[];
  readonly policy: string;
  /** Rules of the policy that are left out. */
  readonly without: readonly string[];
  readonly touch: 'auto' | 'recorded' | 'alloc' | 'all';
  readonly map: MemoryMap;
  /** What has used memory before the trace; null = nothing has. */
  readonly age: readonly (Ageing | null)[];
  readonly repeat: number;
  readonly kernelHeap: boolean;
  readonly onOom: 'kill' | 'fail' | 'stop';
  readonly tlb: LookupConfig;
  readonly cpus: number;
  readonly spread: SpreadMode;
  readonly pids: readonly number[];
  /** Numbers of the first event and of the first that is not replayed any more, or null for all. */
  readonly window: readonly [number, number] | null;
  /** Undefined: one a core. */
  readonly workers: number | undefined;
  readonly seed: number;
  readonly traceMemoryBytes: number;
  readonly out: string;
  readonly json: boolean;
  readonly format: string | undefined;
  readonly strict: boolean;
  /** Check the whole state every so many events; 0 = never. */
  readonly audit: number;
}

/** Where the options come from: a flag's text, or undefined. */
export type FlagSource = (key: RunKey) => string | undefined;

/** The request of these operands and flags, over those of a matrix file if there is one. UserError names the flag (after `dashes`) or the file's key. */
export async function runRequest(traces: readonly string[], flags: FlagSource, matrix?: MatrixFile, dashes = '--'): Promise<RunRequest> {
  const given = (key: RunKey): { text: string; label: string } | undefined => {
    const flag = flags(key);
    if (flag !== undefined) return { text: flag, label: `${dashes}${key}` };
    const text = matrix?.options.get(key);
    return text === undefined ? undefined : { text, label: `${matrix?.file ?? ''}: ${key}` };
  };
  const option = (key: RunKey): { text: string; label: string } => {
    const preset: RunOption = RUN_OPTIONS[key];
    return given(key) ?? { text: preset.preset ?? '', label: `${dashes}${key}` };
  };
  const names = async (key: RunKey): Promise<string[]> => {
    const spec: RunOption = RUN_OPTIONS[key];
    if (spec.kind !== 'names') throw new Error(`--${key} takes no names`);
    const { text, label } = option(key);
    return knownNames(text, label, await registryNames(spec.registry));
  };
  const choice = <T extends string>(key: RunKey, known: readonly T[]): T => {
    const { text, label } = option(key);
    const found = known.find((word) => word === knownName(text, label, known));
    if (found === undefined) throw new Error(`--${key}: the choices are not the option's`);
    return found;
  };
  const count = (key: RunKey): number => {
    const spec: RunOption = RUN_OPTIONS[key];
    if (spec.kind !== 'count') throw new Error(`--${key} takes no number`);
    const { text, label } = option(key);
    return parseCount(text, label, spec.least, spec.most);
  };
  const single = async (key: RunKey): Promise<string> => {
    const list = await names(key);
    if (list.length > 1) throw new UserError(`${option(key).label} ${list.join(',')}: takes one name`);
    return list[0];
  };
  const size = (key: RunKey): number => parseSize(option(key).text, option(key).label);

  const all = traces.length > 0 ? traces : (matrix?.traces ?? []);
  if (all.length === 0) throw new UserError('no trace given; say framewalk run FILE.fwt, or traces: in a --matrix file');
  const policy = await single('policy');
  const age = parseAges(option('age').text, option('age').label);
  return {
    traces: all,
    arch: await names('arch'),
    pmm: await pmmList(option('pmm')),
    pmmTimeout: count('pmm-timeout'),
    heap: await names('heap'),
    policy,
    without: given('without') === undefined ? [] : await leftOut(policy, option('without')),
    touch: choice('touch', RUN_OPTIONS.touch.choices),
    map: memoryMap(),
    age,
    repeat: count('repeat'),
    kernelHeap: choice('kernel-heap', RUN_OPTIONS['kernel-heap'].choices) === 'on',
    onOom: choice('on-oom', RUN_OPTIONS['on-oom'].choices),
    tlb: await readLookupConfig(option('tlb').text, option('tlb').label),
    cpus: count('cpus'),
    spread: choice('spread', RUN_OPTIONS.spread.choices),
    pids: given('pid') === undefined ? [] : pidList(option('pid')),
    window: given('window') === undefined ? null : eventWindow(option('window')),
    workers: given('workers') === undefined ? undefined : count('workers'),
    seed: count('seed'),
    traceMemoryBytes: size('trace-memory'),
    out: option('out').text,
    json: option('json').text === 'true',
    format: given('format') === undefined ? undefined : await single('format'),
    strict: option('strict').text === 'true',
    audit: count('audit'),
  };

  function memoryMap(): MemoryMap {
    const file = given('memmap');
    // The files of a machine say how much memory it has.
    const machine = Math.max(0, ...age.map((one) => (one?.kind === 'machine' ? one.frames : 0)));
    if (file === undefined && given('memory') === undefined && machine > 0) return memoryMapFromSize(machine * 4096);
    if (file === undefined) return memoryMapFromSize(size('memory'));
    if (flags('memory') !== undefined && flags('memmap') !== undefined)
      throw new UserError('--memory and --memmap both say how much memory there is; give one of them');
    return parseE820(readText(file.text, file.label), file.text);
  }
}

/** Names of PMMs and files, comma-separated; the files are there. */
async function pmmList({ text, label }: { text: string; label: string }): Promise<string[]> {
  const words = text.split(',').map((word) => word.trim());
  const files = words.filter(isOwnFile);
  if (files.length < words.length) knownNames(words.filter((word) => !isOwnFile(word)).join(','), label, await registryNames('pmms'));
  for (const file of files) {
    try {
      if (!statSync(file).isFile()) throw new UserError(`${label} ${file}: not a file; expected a module of a PMM (.wasm, .js, .mjs or .ts)`);
      accessSync(file, constants.R_OK);
    } catch (error) {
      throw fileError(`${label} ${file}`, 'read', error);
    }
    // Results know a strategy by its file's name.
    const twin = files.find((other) => other !== file && basename(other) === basename(file));
    if (twin !== undefined) throw new UserError(`${label}: ${file} and ${twin} have the same name; rename one of them`);
    if (files.indexOf(file) !== files.lastIndexOf(file)) throw new UserError(`${label}: ${file} is named twice`);
  }
  return words;
}

/** Rules of the policy, comma-separated. */
async function leftOut(policy: string, { text, label }: { text: string; label: string }): Promise<string[]> {
  const { policies } = await import('../core/vmm/policies.js');
  const rules = policies.get(policy).rules.map((rule) => rule.name);
  if (rules.length === 0) throw new UserError(`${label} ${text}: policy ${policy} has no rules that could be left out; give --policy linux`);
  return knownNames(text, label, rules);
}

function pidList({ text, label }: { text: string; label: string }): number[] {
  return text.split(',').map((word) => parseCount(word.trim(), label, 0, 2 ** 31 - 1));
}

/** `FROM..TO`, events of the trace counted from 0, TO not included; either may be left out. */
function eventWindow({ text, label }: { text: string; label: string }): [number, number] {
  const ends = text.split('..');
  if (ends.length !== 2) throw new UserError(`${label} ${text}: expected FROM..TO, two event numbers such as 1000..5000 (either may be left out)`);
  const [from, to] = ends.map((end, i) => (end.trim() === '' ? [0, Number.MAX_SAFE_INTEGER][i] : parseCount(end, label, 0, Number.MAX_SAFE_INTEGER)));
  if (to <= from) throw new UserError(`${label} ${text}: holds no event; the second number must be larger than the first`);
  return [from, to];
}
