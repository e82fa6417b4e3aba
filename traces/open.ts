/**
 * Opens traces of any format as a Trace, and converts them to containers.
 *
 * A container is read where it lies. Anything else is imported once into a container in memory, and into a temporary file beyond a limit; both can be read again and
 * again, block by block.
 */
import { UserError, type Loss } from './event.js';
import { FileSource, MemoryTarget } from './bytes.js';
import { FwtTrace, isFwt } from './fwt.js';
import { prepareCodec } from './fwt-codec.js';
import type { CodecName, Footer } from './fwt-layout.js';
import { ContainerWriter } from './fwt-container.js';
import { FwtWriter } from './fwt-writer.js';
import { importInto, type ImportOptions } from './import.js';
import { resolveInput } from './input.js';
import { traceName } from './names.js';

/** Bytes of imported or shared trace that are kept in memory, for each trace (`--trace-memory`). */
export const DEFAULT_TRACE_MEMORY = 128 << 20;

export interface OpenOptions extends ImportOptions {
  /** Bytes an imported trace may take in memory before it goes to a temporary file. */
  traceMemory?: number | undefined;
  /** The trace's name; made from the path otherwise. */
  name?: string | undefined;
}

/** Opens `path` (a container, a file in any known format, packed or not, or the directory of a recording). Close it when done. */
export async function openTrace(path: string, options: OpenOptions = {}): Promise<FwtTrace> {
  const file = resolveInput(path);
  const name = options.name ?? traceName(path);
  if (options.format === undefined || options.format === 'fwt') {
    if (beginsAsFwt(file)) return openContainer(file, name);
    if (options.format === 'fwt')
      throw new UserError(`${file}: not a .fwt trace (it does not begin with FWT1); leave out --format to find the format by content`);
  }
  const target = new MemoryTarget(options.traceMemory ?? DEFAULT_TRACE_MEMORY);
  const writer = new FwtWriter(target, { codec: 'none', strict: options.strict });
  await importAndFinish([file], writer, options);
  return new FwtTrace(target.source(), name, file);
}

async function openContainer(file: string, name: string): Promise<FwtTrace> {
  const trace = new FwtTrace(new FileSource(file), name, file);
  await prepareCodec(trace.codec);
  return trace;
}

/** False for files that cannot be read as well: the import says why. A pipe is not touched, what is read from it is gone. */
function beginsAsFwt(file: string): boolean {
  try {
    const source = new FileSource(file);
    try {
      const head = new Uint8Array(Math.min(4, source.size));
      source.read(0, head);
      return isFwt(head);
    } finally {
      source.close();
    }
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

async function importAndFinish(inputs: readonly string[], writer: FwtWriter, options: ImportOptions): Promise<Footer> {
  try {
    return writer.finish(await importInto(inputs, writer, options));
  } catch (error) {
    writer.abort();
    throw error;
  }
}

export interface ConvertOptions extends ImportOptions {
  codec?: CodecName | undefined;
}

/** What a conversion wrote. */
export interface Converted {
  rows: number;
  counts: Record<string, number>;
  hash: string;
  losses: Loss[];
}

/**
 * Imports `inputs` (the parts of one recording, in order; or one container, which is then written anew) into the container `output`, which appears only when it is
 * whole. UserError as by openTrace, or when `output` cannot be written.
 */
export async function importTrace(inputs: readonly string[], output: string, options: ConvertOptions = {}): Promise<Converted> {
  const files = inputs.map(resolveInput);
  const container = files.find((file) => options.format === 'fwt' || (options.format === undefined && beginsAsFwt(file)));
  if (container !== undefined && files.length > 1)
    throw new UserError(`${container}: a .fwt trace is whole, it cannot be one of several inputs; give it alone`);
  if (container === undefined) return importAndFinish(files, new FwtWriter(output, { codec: options.codec, strict: options.strict }), options);
  const trace = await openContainer(container, traceName(container));
  try {
    const [loss] = trace.losses;
    if (options.strict === true && loss !== undefined)
      throw new UserError(`${loss.first}: ${loss.cause} (counted when ${container} was imported; --strict refuses it)`);
    const writer = new ContainerWriter(output, options.codec ?? 'deflate');
    try {
      return trace.repack(writer);
    } catch (error) {
      writer.abort();
      throw error;
    }
  } finally {
    trace.close();
  }
}
