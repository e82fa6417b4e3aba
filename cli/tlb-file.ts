/** `--tlb NAME|FILE`: a lookup unit of the registry by name, or one described in a JSON or YAML file with the fields of `LookupConfig`. */
import { basename } from 'node:path';
import { lookupConfigs } from '../core/lookup/configs.js';
import type { LookupConfig } from '../core/lookup/lookup-contract.js';
import { checked, parseText, readText } from './document.js';
import { knownName } from './names.js';

/** The lookup unit of that name, or of that file when the text looks like a path. UserError names `label`. */
export async function readLookupConfig(text: string, label: string): Promise<LookupConfig> {
  if (/[/\\]|\.(json|ya?ml)$/.test(text)) return await parseLookupConfig(readText(text, label), text);
  const names = lookupConfigs.map((config) => config.name);
  const name = knownName(text, label, names);
  return lookupConfigs[names.indexOf(name)];
}

/** The lookup unit that a file's text describes; without a name it has the file's. */
export async function parseLookupConfig(content: string, file: string): Promise<LookupConfig> {
  const { z } = await import('zod');
  const cycles = z.int().min(0).max(1_000_000);
  const whole = ({ entries, ways }: { entries: number; ways: number }): boolean => entries % ways === 0;
  const sets = { error: 'entries must be a multiple of ways' };
  const cache = z.strictObject({ entries: z.int().min(0).max(65_536), ways: z.int().min(1).max(65_536) }).refine(whole, sets);
  const level = z.strictObject({ entries: z.int().min(1).max(65_536), ways: z.int().min(1).max(65_536), hitCycles: cycles }).refine(whole, sets);
  const schema = z.strictObject({
    name: z
      .string()
      .min(1)
      .default(basename(file).replace(/\.[a-z]+$/i, '')),
    title: z.string().default('from a file'),
    source: z.string().default(basename(file)),
    tlb: z.array(level).max(2),
    walkCaches: z.strictObject({ pde: cache, pdpte: cache, pml4e: cache }),
    invalidation: z.enum(['path', 'space']),
    walkReadCycles: cycles,
    walkBaseCycles: cycles,
    faultCycles: cycles,
    pcid: z.boolean(),
  });
  return await checked(schema, await parseText(content, file), file);
}
