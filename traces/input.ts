/**
 * Inputs of importers: files, pipes or recording directories as one stream of unpacked bytes and lines (the contract is LineInput in traces/format.ts).
 *
 * A directory is a recording: its only file `events.*` is the input, the others lie beside it for `ImportContext.sideFile`.
 */
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from './event.js';
import { HEAD_BYTES, type InputPart, type LineInput } from './format.js';
import { fileError, isMissing } from './io-error.js';
import { unpackedChunks, type UnpackOptions } from './unpack.js';

const MAX_LINE = 1 << 24;
/** Bytes made text at a time: longer strings are large objects to V8, each with pages of its own from the system. */
const TEXT_BYTES = 1 << 16;
const MAX_SIDE_FILE = 1 << 28;
const BOM = '\u00ef\u00bb\u00bf';

/** `path` itself, or the file of events in it when it is a directory. UserError when it does not exist or holds none. */
export function resolveInput(path: string): string {
  try {
    if (!statSync(path).isDirectory()) return path;
    const events = readdirSync(path).filter((name) => name.startsWith('events.'));
    if (events.length === 1) return join(path, events[0] as string);
    if (events.length === 0) throw new UserError(`${path}: a directory without a file events.*; name a trace file, or the directory of a recording`);
    throw new UserError(`${path}: several files of events (${events.sort().join(', ')}); name one of them`);
  } catch (error) {
    throw fileError(path, 'read', error);
  }
}

/** A LineInput whose first bytes can be looked at before it is read. */
export interface OpenInput extends LineInput {
  /** The first HEAD_BYTES as latin1 (fewer if there are no more), without a byte order mark. */
  head(): Promise<string>;
  /** Ends a reading that was begun and not finished. */
  close(): Promise<void>;
}

/** One or more files as an input. Nothing is opened before it is read. */
export function openInput(files: readonly string[], options: UnpackOptions = {}): OpenInput {
  return new ChunkedInput(files.map((file) => new Part(file, unpackedChunks(file, options))));
}

/** Bytes in memory as an input, handed out in chunks of `chunkBytes`: for tests and for programs that have the text already. */
export function bytesInput(bytes: Uint8Array | string, file: string, chunkBytes = 1 << 18): OpenInput {
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new ChunkedInput([
    new Part(
      file,
      (async function* () {
        for (let at = 0; at < buffer.length; at += chunkBytes) yield buffer.subarray(at, at + chunkBytes);
      })(),
    ),
  ]);
}

/** Text of `name` in the folder of `file`, unpacked; null when there is none. */
export async function readSideFile(file: string, name: string): Promise<string | null> {
  const path = join(dirname(file), name);
  try {
    statSync(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw fileError(path, 'read', error);
  }
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of unpackedChunks(path)) {
    bytes += chunk.length;
    if (bytes > MAX_SIDE_FILE) throw new UserError(`${path}: larger than ${MAX_SIDE_FILE >> 20} MiB, too large for a file beside a recording`);
    pieces.push(Buffer.from(chunk));
  }
  const text = Buffer.concat(pieces).toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

class Part implements InputPart {
  private readonly held: Buffer[] = [];

  constructor(
    readonly file: string,
    private readonly source: AsyncGenerator<Buffer, void, undefined>,
  ) {}

  async head(): Promise<string> {
    let length = 0;
    for (const chunk of this.held) length += chunk.length;
    while (length < HEAD_BYTES) {
      const next = await this.source.next();
      if (next.done === true) break;
      this.held.push(Buffer.from(next.value));
      length += next.value.length;
    }
    const text = Buffer.concat(this.held).subarray(0, HEAD_BYTES).toString('latin1');
    return text.startsWith(BOM) ? text.slice(BOM.length) : text;
  }

  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    for (let chunk = this.held.shift(); chunk !== undefined; chunk = this.held.shift()) yield chunk;
    yield* this.source;
  }

  async close(): Promise<void> {
    await this.source.return();
  }
}

class ChunkedInput implements OpenInput {
  private current: string;

  constructor(readonly parts: readonly Part[]) {
    const first = parts[0];
    if (first === undefined) throw new UserError('no input file given');
    this.current = first.file;
  }

  get file(): string {
    return (this.parts[0] as Part).file;
  }

  head(): Promise<string> {
    return (this.parts[0] as Part).head();
  }

  where(line: number): string {
    return `${this.current}:${line}`;
  }

  async close(): Promise<void> {
    for (const part of this.parts) await part.close();
  }

  async forEachLine(callback: (line: string, number: number) => void): Promise<void> {
    for (const part of this.parts) {
      this.current = part.file;
      let number = 0;
      let rest = '';
      const emit = (line: string): void => {
        number++;
        if (number === 1 && line.startsWith(BOM)) line = line.slice(BOM.length);
        callback(line.charCodeAt(line.length - 1) === 13 ? line.slice(0, -1) : line, number);
      };
      const read = (text: string): void => {
        let end = text.indexOf('\n');
        if (end < 0) {
          rest += text;
          if (rest.length > MAX_LINE) throw new UserError(`${this.where(number + 1)}: a line of more than ${MAX_LINE >> 20} MiB; this is not a text trace`);
          return;
        }
        emit(rest + text.slice(0, end));
        let start = end + 1;
        while ((end = text.indexOf('\n', start)) >= 0) {
          emit(text.slice(start, end));
          start = end + 1;
        }
        rest = text.slice(start);
      };
      for await (const chunk of part.chunks()) {
        for (let at = 0; at < chunk.length; at += TEXT_BYTES) read(chunk.toString('latin1', at, at + TEXT_BYTES));
      }
      if (rest.length > 0) emit(rest);
    }
  }
}
