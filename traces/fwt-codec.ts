/**
 * Packs and unpacks the payloads of .fwt blocks: none, deflate (RFC 1951, level 1) and zstd (RFC 8878).
 *
 * zstd needs Node's own zlib (22.15, 23.8 or later) to be written; it is read by that or by zstddec, which is compiled asynchronously: `prepareCodec` first.
 */
import zlib from 'node:zlib';
import { UserError } from './event.js';
import type { CodecName } from './fwt-layout.js';

interface NativeZstd {
  zstdCompressSync?: (bytes: Uint8Array) => Buffer;
  zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer;
}
const native = zlib as NativeZstd;

/** zstddec once it is ready. */
let decodeZstd: ((bytes: Uint8Array, rawBytes: number) => Uint8Array) | undefined;

/** True when this Node can write zstd. */
export const canWriteZstd = (): boolean => native.zstdCompressSync !== undefined;

/** True when payloads packed with `codec` can be unpacked without waiting. */
export const codecReady = (codec: CodecName): boolean => codec !== 'zstd' || native.zstdDecompressSync !== undefined || decodeZstd !== undefined;

/** Makes `codecReady(codec)` true. */
export async function prepareCodec(codec: CodecName): Promise<void> {
  if (codecReady(codec)) return;
  const { ZSTDDecoder } = await import('zstddec');
  const decoder = new ZSTDDecoder();
  await decoder.init();
  decodeZstd = (bytes, rawBytes) => decoder.decode(bytes, rawBytes);
}

/** UserError when `codec` cannot be written by this Node. */
export function requireWritable(codec: CodecName): void {
  if (codec === 'zstd' && !canWriteZstd())
    throw new UserError(`--codec zstd: writing zstd needs Node 22.15 or later (this is ${process.version}); use --codec deflate, or none`);
}

export function pack(codec: CodecName, raw: Uint8Array): Uint8Array {
  switch (codec) {
    case 'none':
      return raw;
    case 'deflate':
      return zlib.deflateRawSync(raw, { level: 1, chunkSize: Math.max(64, raw.length + (raw.length >> 8) + 64) });
    case 'zstd': {
      if (native.zstdCompressSync === undefined) throw new UserError(`writing zstd needs Node 22.15 or later (this is ${process.version})`);
      return native.zstdCompressSync(raw);
    }
    default: {
      const unknown: never = codec;
      throw new Error(`codec ${String(unknown)}`);
    }
  }
}

/** The `rawBytes` bytes that were packed into `stored`, in a buffer of their own, or null when that is not what comes out. */
export function unpack(codec: CodecName, stored: Uint8Array, rawBytes: number): Uint8Array | null {
  const raw = unpackAny(codec, stored, rawBytes);
  return raw === null || raw.length !== rawBytes ? null : raw;
}

function unpackAny(codec: CodecName, stored: Uint8Array, rawBytes: number): Uint8Array | null {
  try {
    switch (codec) {
      case 'none':
        return stored.slice(0, rawBytes);
      case 'deflate':
        // One output chunk with room to spare: exactly full, zlib would be asked once more and the pieces joined.
        return zlib.inflateRawSync(stored, { chunkSize: Math.max(64, rawBytes + 64), maxOutputLength: Math.max(1, rawBytes) });
      case 'zstd':
        if (native.zstdDecompressSync !== undefined) return native.zstdDecompressSync(stored, { maxOutputLength: Math.max(1, rawBytes) });
        if (decodeZstd === undefined) throw new Error('prepareCodec was not awaited');
        return decodeZstd(stored, rawBytes);
      default: {
        const unknown: never = codec;
        throw new Error(`codec ${String(unknown)}`);
      }
    }
  } catch (error) {
    // The CRC of the stored bytes held, so this can only be a container that was made wrong: the reader says which block.
    if (error instanceof Error && 'code' in error) return null;
    throw error;
  }
}
