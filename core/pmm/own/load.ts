/**
 * Strategies that the user brings: files given where a PMM's name may stand. `.wasm` by the interface of docs/own-pmm/framewalk_pmm.h, JavaScript and
 * TypeScript modules by own.ts.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { UserError } from '../../../traces/event.js';
import { fileError } from '../../../traces/io-error.js';
import type { PmmStrategy } from '../allocator.js';
import { pmms } from '../registry.js';
import { keepAccount } from './account.js';
import { loadModule } from './module.js';
import { isOwnFile, OWN_EXTENSIONS } from './names.js';
import { PmmViolation, type OwnAllocator } from './own.js';
import { compileModule, instantiate } from './wasm.js';

/** A strategy of the user's, and how to make an allocator of it without the account. */
export interface OwnStrategy extends PmmStrategy {
  readonly file: string;
  raw(options: Parameters<PmmStrategy['create']>[0]): OwnAllocator;
}

/** The strategy of that name, or of that file. UserError for what is wrong with it. */
export async function strategyOf(name: string): Promise<PmmStrategy> {
  return isOwnFile(name) ? await loadOwn(name) : pmms.get(name);
}

/** Loads a file. */
export async function loadOwn(file: string): Promise<OwnStrategy> {
  const path = resolve(file);
  const extension = extname(path);
  if (!OWN_EXTENSIONS.includes(extension)) throw new UserError(`${file}: expected a module of a PMM, a file that ends with ${OWN_EXTENSIONS.join(', ')}`);
  let bytes: Buffer<ArrayBuffer>;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw fileError(file, 'read', error);
  }
  const name = basename(path);
  /** Violations do not know whose they are. */
  const named = <T>(make: () => T): T => {
    try {
      return make();
    } catch (error) {
      if (error instanceof PmmViolation) throw new UserError(`${file}: ${error.message}`, { cause: error });
      if (error instanceof UserError) throw error;
      throw new UserError(`${file}: create fails: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  const common = { name, file, hash: createHash('sha256').update(bytes).digest('hex') };
  if (extension === '.wasm') {
    const module = compileModule(bytes, file);
    const raw: OwnStrategy['raw'] = (options) => instantiate(module, options);
    return { ...common, title: 'a module of your own', source: file, raw, create: (options) => named(() => keepAccount(raw(options), options.map)) };
  }
  const { title, source, create: raw } = await loadModule(path, file);
  return { ...common, title, source, raw, create: (options) => named(() => keepAccount(raw(options), options.map)) };
}
