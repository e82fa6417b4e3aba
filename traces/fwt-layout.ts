/**
 * The bytes of a `.fwt` container, version 1. Everything is little-endian, every part begins at a multiple of 8, and every byte is under one CRC32.
 *
 *     +----------------------------+ 0
 *     | file header      16 bytes  |  'FWT1', version, flags (0), CRC of the 12 bytes before
 *     +----------------------------+ 16
 *     | block header     32 bytes  |  'BLOK', rows, codec, raw bytes, stored bytes, CRC of the stored payload, block number, CRC of the 28 bytes before
 *     | stored payload             |  the raw payload packed by the codec, padded with zeros to a multiple of 8 (the padding is under the CRC)
 *     +----------------------------+
 *     | ... more blocks            |
 *     +----------------------------+
 *     | footer                     |  JSON (Footer below), padded with blanks to a multiple of 8
 *     +----------------------------+
 *     | trailer          32 bytes  |  footer's offset (2 x u32), bytes and CRC, file length (2 x u32), CRC of the 24 bytes before, 'FWTE'
 *     +----------------------------+
 *
 * A raw payload is a table of COLUMNS descriptors of 32 bytes, each column's data at its own multiple of 8, and the texts:
 *
 *     encoding u32 | width u32 | offset u32 | count u32 | base f64 | step f64
 *
 * The trailer at the very end, with the file's length in it, is what tells a whole file from a cut-off one.
 * What this is not: it has no random access to single rows, and nothing is encrypted or signed.
 */
import { UserError, type Loss, type TraceHeader } from './event.js';

export const FWT_VERSION = 1;
export const FWT_EXTENSION = '.fwt';
export const FILE_MAGIC = 0x31545746; // 'FWT1'
export const BLOCK_MAGIC = 0x4b4f4c42; // 'BLOK'
export const END_MAGIC = 0x45545746; // 'FWTE'
export const FILE_HEADER_BYTES = 16;
export const BLOCK_HEADER_BYTES = 32;
export const TRAILER_BYTES = 32;
export const DESCRIPTOR_BYTES = 32;

/** Columns in the order of their descriptors; the last describes the texts. */
export const enum Column {
  time = 0,
  pid = 1,
  tid = 2,
  op = 3,
  addrHi = 4,
  addrLo = 5,
  size = 6,
  addr2 = 7,
  arg = 8,
  flags = 9,
  cpu = 10,
  text = 11,
}
export const COLUMNS = 12;
export const TABLE_BYTES = COLUMNS * DESCRIPTOR_BYTES;

/** How a column's rows are written. Part of the format: append only. */
export const enum Encoding {
  /** Every row is `base`. */
  constant = 0,
  /** The same as the column numbered `count`, which stands before this one. */
  copy = 1,
  /** base + unsigned integer of `width` bytes. */
  offset = 2,
  /** The first row is `base`; every following one is its predecessor + step + unsigned integer of `width` bytes (row 0's integer is unused). */
  delta = 3,
  /** A table of `count` doubles, then one index of `width` bytes a row. */
  dictionary = 4,
  /** 0 but for `count` rows: their doubles, then their row numbers as u16. */
  sparse = 5,
  /** As doubles (`width` 8), or as bytes (`width` 1, the op column). */
  plain = 6,
  /** `count` texts: row numbers as u32, lengths in bytes as u32, then UTF-8. */
  texts = 7,
}

export type CodecName = 'none' | 'deflate' | 'zstd';
export const CODEC_NAMES: readonly CodecName[] = ['none', 'deflate', 'zstd'];

/** An object (file, shared memory) that `object` events of the trace announce. */
export interface TraceObject {
  id: number;
  kind: 'file' | 'shm' | 'unknown';
  path: string;
}

/** What the footer's JSON holds. */
export interface Footer {
  header: TraceHeader;
  losses: Loss[];
  rows: number;
  /** Events by name of op. */
  counts: Record<string, number>;
  /** sha256 in hex, see fwt-writer.ts. */
  hash: string;
  codec: CodecName;
  objects: TraceObject[];
  /** File offset of the block header, rows, raw bytes: one triple a block. */
  blocks: [offset: number, rows: number, raw: number][];
}

export const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** The container's typed-array views need the byte order that it is written in. */
export function requireLittleEndian(): void {
  if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) throw new UserError('.fwt traces can be used on little-endian machines only');
}
