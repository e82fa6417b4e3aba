/**
 * A strategy in a JavaScript or TypeScript module: the default export, or the export `strategy`, has `create(options)` that returns an allocator
 * (own.ts). What is missing is named when the module is loaded and when an allocator is made.
 */
import { register } from 'node:module';
import { pathToFileURL } from 'node:url';
import { UserError } from '../../../traces/event.js';
import { MAX_ORDER, type PmmOptions } from '../allocator.js';
import { PmmViolation, type OwnAllocator } from './own.js';

export interface OwnModule {
  create(options: PmmOptions): OwnAllocator;
  readonly title: string;
  readonly source: string;
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => (typeof value === 'object' && value !== null) || typeof value === 'function';

let typesAreStripped = 'typescript' in process.features && process.features.typescript !== false;

/** Node strips types by itself from 22.18 on; before, a hook does it. */
function stripTypes(): void {
  if (typesAreStripped) return;
  register(new URL('./strip-types.js', import.meta.url));
  typesAreStripped = true;
}

/** What a loader says, in one line: some draw a picture of the place. */
function oneLine(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  const first = said.split('\n').find((line) => line.trim() !== '') ?? 'no reason given';
  const name = error instanceof Error && error.name !== 'Error' ? `${error.name}: ` : '';
  return `${name}${first.trim().replace(/^x /, '')}`;
}

/** Loads the module at `path`. UserError names `file`, as the user gave it, and what is wrong with it. */
export async function loadModule(path: string, file: string): Promise<OwnModule> {
  if (/\.[mc]?ts$/.test(path)) stripTypes();
  let exported: Fields;
  try {
    exported = (await import(pathToFileURL(path).href)) as Fields;
  } catch (error) {
    throw new UserError(`${file}: cannot be loaded: ${oneLine(error)}`, { cause: error });
  }
  const strategy = exported['default'] ?? exported['strategy'];
  if (!isObject(strategy)) throw new UserError(`${file}: exports no strategy; expected export default { create({ map, cpus, seed }) { ... } }`);
  const create = strategy['create'];
  if (typeof create !== 'function')
    throw new UserError(
      `${file}: its strategy has no function create; expected export default { create({ map, cpus, seed }) { return { maxOrder, allocate, free } } }`,
    );
  const text = (key: string, otherwise: string): string => (typeof strategy[key] === 'string' ? strategy[key] : otherwise);
  return { title: text('title', 'a module of your own'), source: text('source', file), create: (options) => checked(create.call(strategy, options)) };
}

const OPTIONAL_FUNCTIONS = ['freeFrames', 'steps', 'validate', 'sharedUses'];

/** The allocator, or what is missing in it. */
function checked(value: unknown): OwnAllocator {
  if (value instanceof Promise) throw new PmmViolation('create returns a promise; it must return the allocator itself');
  if (!isObject(value)) throw new PmmViolation(`create returns ${value === null ? 'null' : typeof value}; expected an object with maxOrder, allocate and free`);
  const missing = ['allocate', 'free'].filter((name) => typeof value[name] !== 'function');
  if (missing.length > 0) throw new PmmViolation(`its allocator has no function ${missing.join(' and no function ')}`);
  const { maxOrder } = value;
  if (typeof maxOrder !== 'number' || !Number.isInteger(maxOrder) || maxOrder < 0 || maxOrder > MAX_ORDER)
    throw new PmmViolation(`its allocator's maxOrder is ${String(maxOrder)}; expected a whole number from 0 to ${MAX_ORDER}`);
  const wrong = OPTIONAL_FUNCTIONS.find((name) => value[name] !== undefined && typeof value[name] !== 'function');
  if (wrong !== undefined) throw new PmmViolation(`its allocator's ${wrong} is not a function`);
  if (value['near'] !== undefined && value['near'] !== 'superpage' && value['near'] !== 'mapping')
    throw new PmmViolation(`its allocator's near is ${JSON.stringify(value['near'])}; expected 'superpage' or 'mapping'`);
  const own = value as unknown as OwnAllocator;
  /** What the module throws is its own, not a defect of framewalk. */
  const thrown = (what: string, error: unknown): never => {
    if (error instanceof UserError) throw error;
    throw new PmmViolation(`throws ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)} in ${what}`, { cause: error });
  };
  const called = <T>(what: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      return thrown(what, error);
    }
  };
  const answer = (what: string, number: unknown): number => {
    if (typeof number === 'number') return number;
    throw new PmmViolation(`${what} answers ${String(number)}, which is no number`);
  };
  return {
    maxOrder,
    allocate: (order, kind, cpu, near, owner) => {
      try {
        const frame = own.allocate(order, kind, cpu, near, owner);
        return typeof frame === 'number' && frame === frame ? frame : answer('allocate', Number.isNaN(frame) ? 'NaN' : frame);
      } catch (error) {
        return thrown('allocate', error);
      }
    },
    free: (frame, order, cpu) => {
      try {
        return answer('free', own.free(frame, order, cpu));
      } catch (error) {
        return thrown('free', error);
      }
    },
    ...(own.unaligned === true ? { unaligned: true } : {}),
    ...(own.near === undefined ? {} : { near: own.near }),
    ...(own.freeFrames === undefined
      ? {}
      : {
          freeFrames: () =>
            answer(
              'freeFrames',
              called('freeFrames', () => own.freeFrames?.()),
            ),
        }),
    ...(own.steps === undefined
      ? {}
      : {
          steps: () =>
            answer(
              'steps',
              called('steps', () => own.steps?.()),
            ),
        }),
    ...(own.sharedUses === undefined
      ? {}
      : {
          sharedUses: () =>
            answer(
              'sharedUses',
              called('sharedUses', () => own.sharedUses?.()),
            ),
        }),
    ...(own.validate === undefined ? {} : { validate: () => called('validate', () => own.validate?.()) }),
  };
}
