/**
 * Hands a trace to worker threads: as shared memory when it fits, as a path when not. A worker opens it again and reads it on its own, with the same events.
 */
import type { Trace } from './event.js';
import { MemorySource, MemoryTarget, FileSource } from './bytes.js';
import { ContainerWriter } from './fwt-container.js';
import { prepareCodec } from './fwt-codec.js';
import { FwtTrace } from './fwt.js';
import { BLOCK_HEADER_BYTES } from './fwt-layout.js';
import { FwtWriter } from './fwt-writer.js';
import { DEFAULT_TRACE_MEMORY } from './open.js';

/** Plain data that a worker can be sent. */
export type SharedTrace =
  | { readonly name: string; readonly file: string; readonly bytes: SharedArrayBuffer; readonly length: number }
  | { readonly name: string; readonly file: string; readonly path: string };

/** More than the index and the ends of a container take beyond its blocks: offsets have other digits when the blocks are unpacked. */
const SLACK_BYTES = 4096;
const SLACK_BYTES_PER_BLOCK = 64;

/**
 * A handle on `trace`. Up to `traceMemory` bytes the blocks are unpacked once into shared memory, which outlives the trace; beyond that workers read the file, so the
 * trace must stay open while they do.
 */
export function shareTrace(trace: Trace, traceMemory: number = DEFAULT_TRACE_MEMORY): SharedTrace {
  if (!(trace instanceof FwtTrace)) return shareTrace(inMemory(trace, traceMemory), traceMemory);
  const { name, file, source } = trace;
  const memory = source.memory;
  if (memory !== null && memory.buffer instanceof SharedArrayBuffer && memory.byteOffset === 0)
    return { name, file, bytes: memory.buffer, length: memory.length };
  const overhead = (BLOCK_HEADER_BYTES + SLACK_BYTES_PER_BLOCK) * trace.blockCount + trace.indexBytes + SLACK_BYTES;
  if (trace.rawBytes + overhead <= traceMemory || !(source instanceof FileSource)) {
    const target = new MemoryTarget(trace.rawBytes + overhead);
    trace.repack(new ContainerWriter(target, 'none'));
    return shareTrace(new FwtTrace(target.source(), name, file));
  }
  return { name, file, path: source.path };
}

/** Any other implementation of Trace, written into a container. */
function inMemory(trace: Trace, traceMemory: number): FwtTrace {
  const target = new MemoryTarget(traceMemory);
  const writer = new FwtWriter(target, { codec: 'none' });
  try {
    for (const b of trace.blocks()) writer.pushBlock(b);
    for (const { cause, count, first } of trace.losses) writer.addLoss(cause, count, first);
    writer.finish(trace.header);
  } catch (error) {
    writer.abort();
    throw error;
  }
  return new FwtTrace(target.source(), trace.name, trace.name);
}

/** Opens what `shareTrace` made, in any thread. */
export async function openShared(shared: SharedTrace): Promise<FwtTrace> {
  const source = 'bytes' in shared ? new MemorySource(new Uint8Array(shared.bytes, 0, shared.length)) : new FileSource(shared.path);
  const trace = new FwtTrace(source, shared.name, shared.file);
  await prepareCodec(trace.codec);
  return trace;
}
