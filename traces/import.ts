/**
 * Runs one importer: opens the inputs, finds the format by content, and lets the importer push events into a sink.
 */
import { UserError, type EventSink, type TraceHeader } from './event.js';
import type { ImportContext } from './format.js';
import { openInput, readSideFile, resolveInput, type OpenInput } from './input.js';
import { detectFormat, formatByName } from './registry.js';

export interface ImportOptions {
  /** Name of the format; found by content otherwise. */
  format?: string | undefined;
  /** The first thing that is not understood is an error. */
  strict?: boolean | undefined;
  /** Bytes of the (packed) input read so far, and in all; 0 in all = unknown (a pipe). */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** Called for what the user should know and that loses nothing. */
  onWarning?: ((message: string) => void) | undefined;
}

/**
 * Imports the parts of one recording, in order, into `sink`. Directories stand for the file of events in them.
 * UserError when a part cannot be read, is in no known format, or is broken as a whole. Returns the header; `sink` has the losses.
 */
export async function importInto(inputs: readonly string[], sink: EventSink, options: ImportOptions = {}): Promise<TraceHeader> {
  const files = inputs.map(resolveInput);
  const input = openInput(files, options.onProgress === undefined ? {} : { onProgress: options.onProgress });
  return importInput(input, sink, options);
}

/** The same for an input that is open already; closes it. */
export async function importInput(input: OpenInput, sink: EventSink, options: ImportOptions = {}): Promise<TraceHeader> {
  try {
    const head = await input.head();
    if (head.length === 0) throw new UserError(`${input.file}: the file is empty; a trace was expected`);
    const format = options.format === undefined ? detectFormat(head, input.file) : formatByName(options.format);
    const context: ImportContext = {
      file: input.file,
      strict: options.strict === true,
      sideFile: (name) => readSideFile(input.file, name),
      warn: (message) => options.onWarning?.(message),
    };
    return await format.import(input, sink, context);
  } finally {
    await input.close();
  }
}
