/**
 * Bytes of a file or pipe, unpacked when its first bytes are those of gzip (RFC 1952: 1f 8b) or zstd (RFC 8878: fd2fb528 little-endian, or a skippable frame).
 *
 * zstd is unpacked by zstddec (WebAssembly): Node's own zstd streams, where there are any, end in silence after the first of several frames, and where the data is
 * cut off (22.23). zstddec ignores the error codes of the library beneath and calls it for ever when it takes no more input, so more empty outputs than the input can
 * have frames are taken for what they are: corrupt input.
 * Not unpacked: xz, bzip2, lz4, zip and tar (named in the message).
 */
import { open, type FileHandle } from 'node:fs/promises';
import { readSync } from 'node:fs';
import { Readable, pipeline } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import zlib from 'node:zlib';
import { UserError } from './event.js';
import { fileError } from './io-error.js';

/** Bytes read at a time, and unpacked at a time: 256 KiB unpacks gzip 1.7 times as fast as Node's default of 16 KiB. */
const READ_BYTES = 1 << 18;
/** Small pieces, because a corrupt one is tried as often as it could hold frames. */
const ZSTD_READ_BYTES = 1 << 13;
/** The smallest frame there is: one to skip, with nothing in it. */
const SMALLEST_FRAME = 8;
/** Unpacked zstd bytes between two turns of the event loop, so that signals and progress are seen. */
const TURN_BYTES = 1 << 23;

export interface UnpackOptions {
  /** Bytes of the file (packed) read so far and in all (0 = unknown, a pipe). */
  onProgress?: (done: number, total: number) => void;
  /** For tests: sizes of the pieces that are read. */
  readBytes?: number;
}

export type Packing = 'none' | 'gzip' | 'zstd';

/** What the first bytes say; `name` of a packing that is not supported throws UserError. */
export function detectPacking(head: Uint8Array, file: string): Packing {
  const at = (i: number): number => (i < head.length ? (head[i] as number) : -1);
  if (at(0) === 0x1f && at(1) === 0x8b) return 'gzip';
  if (at(0) === 0x28 && at(1) === 0xb5 && at(2) === 0x2f && at(3) === 0xfd) return 'zstd';
  if ((at(0) & 0xf0) === 0x50 && at(1) === 0x2a && at(2) === 0x4d && at(3) === 0x18) return 'zstd';
  const other =
    at(0) === 0xfd && at(1) === 0x37 && at(2) === 0x7a && at(3) === 0x58
      ? 'xz'
      : at(0) === 0x42 && at(1) === 0x5a && at(2) === 0x68 && at(3) >= 0x31 && at(3) <= 0x39
        ? 'bzip2'
        : at(0) === 0x04 && at(1) === 0x22 && at(2) === 0x4d && at(3) === 0x18
          ? 'lz4'
          : at(0) === 0x50 && at(1) === 0x4b && at(2) === 0x03 && at(3) === 0x04
            ? 'zip'
            : undefined;
  if (other !== undefined) throw new UserError(`${file}: packed with ${other}; unpack it first, or pack it with gzip or zstd, which are read as they are`);
  return 'none';
}

/** The unpacked bytes of `file`, opened when iteration begins. A chunk is valid until the next one is asked for. */
export async function* unpackedChunks(file: string, options: UnpackOptions = {}): AsyncGenerator<Buffer, void, undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw fileError(file, 'read', error);
  }
  try {
    const info = await handle.stat();
    if (info.isDirectory()) throw new UserError(`${file}: is a directory, a file was expected`);
    const source = new Source(handle, info.isFile() ? info.size : 0, options);
    const first = await source.firstBytes();
    const packing = detectPacking(first, file);
    if (packing === 'none') yield* source.chunks(first, true);
    else if (packing === 'gzip') yield* throughGunzip(source, first, file);
    else yield* throughZstddec(source, first, file);
  } catch (error) {
    throw fileError(file, 'read', error);
  } finally {
    await handle.close();
  }
}

/** The file's own bytes, read one piece ahead of the reader. */
class Source {
  done = 0;
  private readonly readBytes: number;

  constructor(
    private readonly handle: FileHandle,
    private readonly total: number,
    private readonly options: UnpackOptions,
  ) {
    this.readBytes = options.readBytes ?? READ_BYTES;
  }

  private count(bytes: number): void {
    this.done += bytes;
    this.options.onProgress?.(this.done, this.total);
  }

  /** The first four bytes or more (fewer only if the file ends). */
  async firstBytes(): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.max(this.readBytes, 4));
    let length = 0;
    while (length < 4) {
      const { bytesRead } = await this.handle.read(buffer, length, this.readBytes < 4 ? 1 : buffer.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    this.count(length);
    return buffer.subarray(0, length);
  }

  /** `first`, then the rest; two buffers in turn when `reuse`, a fresh one for each chunk otherwise. */
  async *chunks(first: Buffer, reuse: boolean): AsyncGenerator<Buffer, void, undefined> {
    const size = this.readBytes;
    const buffers = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)] as const;
    let turn = 0;
    const readNext = (): Promise<{ bytesRead: number; buffer: Buffer }> => {
      turn ^= 1;
      const buffer = reuse ? (turn === 0 ? buffers[0] : buffers[1]) : Buffer.allocUnsafeSlow(size);
      return this.handle.read(buffer, 0, size, null);
    };
    let pending = first.length === 0 ? undefined : readNext();
    try {
      if (first.length > 0) yield first;
      while (pending !== undefined) {
        const { bytesRead, buffer } = await pending;
        pending = undefined;
        if (bytesRead === 0) return;
        this.count(bytesRead);
        pending = readNext();
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      // The handle must not be closed under a read; if that read fails while we are leaving, whatever made us leave is the message.
      if (pending !== undefined) await pending.catch(() => undefined);
    }
  }

  /** The same, synchronously. */
  *chunksSync(first: Buffer): Generator<Buffer, void, undefined> {
    for (let at = 0; at < first.length; at += ZSTD_READ_BYTES) yield first.subarray(at, at + ZSTD_READ_BYTES);
    const buffer = Buffer.allocUnsafe(Math.min(this.readBytes, ZSTD_READ_BYTES));
    for (;;) {
      const bytes = readSync(this.handle.fd, buffer, 0, buffer.length, null);
      if (bytes === 0) return;
      this.count(bytes);
      yield buffer.subarray(0, bytes);
    }
  }
}

async function* throughGunzip(source: Source, first: Buffer, file: string): AsyncGenerator<Buffer, void, undefined> {
  const gunzip = zlib.createGunzip({ chunkSize: READ_BYTES });
  let failure: unknown;
  pipeline(Readable.from(source.chunks(first, false), { objectMode: true, highWaterMark: 2 }), gunzip, (error) => {
    failure = error;
  });
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    throw gzipError(file, failure ?? error);
  }
}

function gzipError(file: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'Z_BUF_ERROR') return new UserError(`${file}: the gzip data is cut off; copy or record the file again`);
  if (code.startsWith('Z_')) return new UserError(`${file}: the gzip data is corrupt, or something else follows it; copy or record the file again`);
  return error;
}

async function* throughZstddec(source: Source, first: Buffer, file: string): AsyncGenerator<Buffer, void, undefined> {
  const { ZSTDDecoder } = await import('zstddec/stream');
  const decoder = new ZSTDDecoder();
  await decoder.init();
  /** Frames that the piece that was asked for last can end, less the empty outputs since. */
  let credit = 0;
  const pieces = (function* (): Generator<Buffer, void, undefined> {
    for (const piece of source.chunksSync(first)) {
      credit = 2 + Math.ceil(piece.length / SMALLEST_FRAME);
      yield piece;
    }
  })();
  let sinceTurn = 0;
  try {
    for (const chunk of decoder.decodeStreaming(pieces)) {
      if (chunk.length === 0) {
        // An output may be empty at the end of a frame or of a piece; more of them than there can be ends are an error that zstddec does not see.
        if (--credit < 0) throw new UserError(`${file}: the zstd data is corrupt, or something else follows it; copy or record the file again`);
        continue;
      }
      sinceTurn += chunk.length;
      if (sinceTurn >= TURN_BYTES) {
        sinceTurn = 0;
        await nextTurn();
      }
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('Incomplete stream'))
      throw new UserError(`${file}: the zstd data is cut off or corrupt; copy or record the file again`);
    throw error;
  }
}
