/**
 * Reads .fwt containers (layout: traces/fwt-layout.ts) as a Trace: from a file with one block in memory, or from bytes that several workers share.
 *
 * Opening checks the file header, the trailer and the index; every block is checked when it is read (once, if it is in memory). A container that is cut off at any
 * byte, or has any bit changed, gives one UserError that says what is missing or damaged.
 */
import zlib from 'node:zlib';
import { createBlock, OP_COUNT, OP_NAMES, UserError, type EventBlock, type Loss, type Trace, type TraceHeader } from './event.js';
import { FileSource, MemorySource, type ByteSource } from './bytes.js';
import { codecReady, unpack } from './fwt-codec.js';
import type { ContainerWriter } from './fwt-container.js';
import { BlockDecoder, PayloadError, payloadViews, type PayloadViews } from './fwt-decode.js';
import {
  align8,
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC,
  CODEC_NAMES,
  END_MAGIC,
  FILE_HEADER_BYTES,
  FILE_MAGIC,
  FWT_VERSION,
  requireLittleEndian,
  TRAILER_BYTES,
  type CodecName,
  type Footer,
  type TraceObject,
} from './fwt-layout.js';

const AGAIN = 'copy or import it again';

/** True when bytes that begin with `head` are a .fwt container (whole or not). */
export const isFwt = (head: Uint8Array): boolean => head.length >= 4 && head[0] === 0x46 && head[1] === 0x57 && head[2] === 0x54 && head[3] === 0x31;

/** Opens a container. `name` is the trace's; errors name the path, or `name` for bytes. */
export function openFwt(pathOrBytes: string | Uint8Array, name: string): FwtTrace {
  if (typeof pathOrBytes === 'string') return new FwtTrace(new FileSource(pathOrBytes), name, pathOrBytes);
  return new FwtTrace(new MemorySource(pathOrBytes), name, name);
}

export class FwtTrace implements Trace {
  readonly header: TraceHeader;
  readonly losses: readonly Loss[];
  readonly rows: number;
  readonly counts: Float64Array;
  readonly hash: string;
  readonly codec: CodecName;
  /** Objects that the trace's `object` events announce, in order. */
  readonly objects: readonly TraceObject[];
  /** Bytes of all payloads when unpacked. */
  readonly rawBytes: number;
  private readonly footer: Footer;
  private readonly index: Footer['blocks'];
  private readonly footerOffset: number;
  /** Blocks whose CRC held already; what is in memory is not checked again. */
  private readonly verified: Uint8Array;
  private open = true;

  /** `file` is what messages call it. `source` is closed on failure, and by `close`. */
  constructor(
    readonly source: ByteSource,
    readonly name: string,
    readonly file: string,
  ) {
    try {
      requireLittleEndian();
      const { footer, footerOffset } = readFooter(source, file);
      this.footer = footer;
      this.header = footer.header;
      this.losses = footer.losses;
      this.rows = footer.rows;
      this.counts = new Float64Array(OP_COUNT);
      for (const [op, count] of Object.entries(footer.counts)) this.counts[OP_NAMES.indexOf(op)] = count;
      this.hash = footer.hash;
      this.codec = footer.codec;
      this.objects = footer.objects;
      this.index = footer.blocks;
      this.footerOffset = footerOffset;
      this.rawBytes = footer.blocks.reduce((sum, [, , raw]) => sum + raw, 0);
      this.verified = new Uint8Array(footer.blocks.length);
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /**
   * Every block in order, from the beginning, any number of times. The block is the same object each time, with other content: `into` when given (made by
   * createBlock, filled only by this trace), else one of this iteration's own.
   */
  *blocks(into: EventBlock = createBlock()): Generator<EventBlock, void, undefined> {
    const decoder = new BlockDecoder(into);
    for (const { number, views, start, bytes } of this.payloads()) {
      try {
        decoder.decode(views, start, bytes, (this.index[number] as Footer['blocks'][number])[1]);
      } catch (error) {
        if (error instanceof PayloadError) throw this.damaged(number, error.message);
        throw error;
      }
      yield into;
    }
  }

  get blockCount(): number {
    return this.index.length;
  }

  /** Bytes of the index. */
  get indexBytes(): number {
    return this.source.size - this.footerOffset;
  }

  /** Writes the same trace, packed otherwise. */
  repack(writer: ContainerWriter): Footer {
    for (const { number, views, start, bytes } of this.payloads())
      writer.block(views.u8.subarray(start, start + bytes), (this.index[number] as Footer['blocks'][number])[1]);
    return writer.finish(this.footer);
  }

  /** The unpacked payload of every block; valid until the next one. */
  private *payloads(): Generator<Payload, void, undefined> {
    const reader = this.source.memory === null ? this.fileReader() : this.memoryReader(this.source.memory);
    for (let number = 0; number < this.index.length; number++) {
      if (!this.open) throw new Error(`trace ${this.name} is read after it was closed`);
      yield this.payload(number, reader(number));
    }
  }

  /** A block's bytes in a buffer that the next block is read into as well. */
  private fileReader(): (number: number) => StoredBlock {
    let bytes = new Uint8Array(0);
    let views = payloadViews(bytes.buffer);
    return (number) => {
      const [start, end] = this.extent(number);
      if (bytes.length < end - start) {
        bytes = new Uint8Array(new ArrayBuffer(align8((end - start) * 1.25)));
        views = payloadViews(bytes.buffer);
      }
      this.source.read(start, bytes.subarray(0, end - start));
      return { views, start: 0, bytes: end - start };
    };
  }

  /** A block's bytes where they are, or copied when they are not aligned. */
  private memoryReader(memory: Uint8Array): (number: number) => StoredBlock {
    const aligned = memory.byteOffset % 8 === 0 ? memory : memory.slice();
    const views = payloadViews(aligned.buffer);
    return (number) => {
      const [start, end] = this.extent(number);
      return { views, start: aligned.byteOffset + start, bytes: end - start };
    };
  }

  private extent(number: number): [start: number, end: number] {
    const start = (this.index[number] as Footer['blocks'][number])[0];
    const next = this.index[number + 1];
    const end = next === undefined ? this.footerOffset : next[0];
    if (start % 8 !== 0 || end - start < BLOCK_HEADER_BYTES || end > this.source.size) throw this.damaged(number, 'the index does not fit it');
    return [start, end];
  }

  private damaged(number: number, what: string): UserError {
    return new UserError(`${this.file}: block ${number} is damaged (${what}); ${AGAIN}`);
  }

  /** Checks a block and unpacks it. */
  private payload(number: number, { views, start, bytes }: StoredBlock): Payload {
    const [, rows, raw] = this.index[number] as Footer['blocks'][number];
    const head = start >> 2;
    const { u8, u32 } = views;
    const stored = u32[head + 4] as number;
    const at = start + BLOCK_HEADER_BYTES;
    if (this.verified[number] === 0 || this.source.memory === null) {
      if (u32[head] !== BLOCK_MAGIC || u32[head + 7] !== zlib.crc32(u8.subarray(start, start + BLOCK_HEADER_BYTES - 4)))
        throw this.damaged(number, 'its header');
      if (u32[head + 1] !== rows || u32[head + 3] !== raw || u32[head + 6] !== number || align8(stored) !== bytes - BLOCK_HEADER_BYTES)
        throw this.damaged(number, 'the index does not fit it');
      if (u32[head + 5] !== zlib.crc32(u8.subarray(at, start + bytes))) throw this.damaged(number, 'its CRC is wrong');
      this.verified[number] = 1;
    }
    const codec = CODEC_NAMES[u32[head + 2] as number];
    if (codec === undefined) throw new UserError(`${this.file}: block ${number} is packed with codec ${u32[head + 2]}, which this version does not know`);
    if (codec === 'none') return { number, views, start: at, bytes: raw };
    if (!codecReady(codec)) throw new Error(`codec ${codec} is not ready: prepareCodec was not awaited`);
    const unpacked = unpack(codec, u8.subarray(at, at + stored), raw);
    if (unpacked === null) throw this.damaged(number, `${codec} cannot unpack it`);
    const whole = unpacked.byteOffset % 8 === 0 ? unpacked : unpacked.slice();
    return { number, views: payloadViews(whole.buffer), start: whole.byteOffset, bytes: raw };
  }

  /** Closes the file (a temporary one is removed). Reading afterwards is a defect of the caller. */
  close(): void {
    this.open = false;
    this.source.close();
  }
}

/** An unpacked payload: `bytes` bytes at `start` of the views' buffer. */
interface Payload {
  number: number;
  views: PayloadViews;
  start: number;
  bytes: number;
}

interface StoredBlock {
  views: PayloadViews;
  /** Byte of the block header in the views' buffer. */
  start: number;
  /** Bytes of header and padded payload. */
  bytes: number;
}

function words(source: ByteSource, offset: number, bytes: number): { u32: Uint32Array; u8: Uint8Array } {
  const u8 = new Uint8Array(bytes);
  source.read(offset, u8);
  return { u8, u32: new Uint32Array(u8.buffer) };
}

function readFooter(source: ByteSource, file: string): { footer: Footer; footerOffset: number } {
  if (source.size === 0) throw new UserError(`${file}: the file is empty; a .fwt trace was expected`);
  if (source.size < FILE_HEADER_BYTES) throw new UserError(`${file}: cut off after ${source.size} bytes, within the file header; ${AGAIN}`);
  const head = words(source, 0, FILE_HEADER_BYTES);
  if (head.u32[0] !== FILE_MAGIC) throw new UserError(`${file}: not a .fwt trace (it does not begin with FWT1)`);
  const version = head.u32[1] as number;
  if (version > FWT_VERSION) throw new UserError(`${file}: .fwt version ${version}, this framewalk reads up to version ${FWT_VERSION}; use a newer framewalk`);
  if (head.u32[3] !== zlib.crc32(head.u8.subarray(0, FILE_HEADER_BYTES - 4))) throw new UserError(`${file}: the file header is damaged; ${AGAIN}`);
  if (source.size < FILE_HEADER_BYTES + TRAILER_BYTES) throw new UserError(`${file}: ${whatIsMissing(source)}`);
  const tail = words(source, source.size - TRAILER_BYTES, TRAILER_BYTES);
  const [offsetLow, offsetHigh, bytes, crc, lengthLow, lengthHigh, trailerCrc, magic] = tail.u32 as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const footerOffset = offsetHigh * 4294967296 + offsetLow;
  const whole = magic === END_MAGIC && trailerCrc === zlib.crc32(tail.u8.subarray(0, 24)) && lengthHigh * 4294967296 + lengthLow === source.size;
  if (!whole || footerOffset + bytes + TRAILER_BYTES !== source.size || footerOffset < FILE_HEADER_BYTES)
    throw new UserError(`${file}: ${whatIsMissing(source)}`);
  const json = words(source, footerOffset, bytes).u8;
  if (crc !== zlib.crc32(json)) throw new UserError(`${file}: the index at its end is damaged; ${AGAIN}`);
  return { footer: JSON.parse(Buffer.from(json).toString('utf8')) as Footer, footerOffset };
}

/** Follows the block headers to where the container ends, for the message. */
function whatIsMissing(source: ByteSource): string {
  let at = FILE_HEADER_BYTES;
  for (let number = 0; ; number++) {
    const room = source.size - at;
    if (room === 0) return `cut off after ${number} whole blocks, the index is missing; ${AGAIN}`;
    if (room >= 4 && words(source, at, 4).u32[0] !== BLOCK_MAGIC) return `its end (the index behind ${number} blocks) is cut off or damaged; ${AGAIN}`;
    if (room < BLOCK_HEADER_BYTES) return `cut off in the header of block ${number}, the index is missing; ${AGAIN}`;
    const { u32 } = words(source, at, BLOCK_HEADER_BYTES);
    const stored = align8(u32[4] as number);
    if (room < BLOCK_HEADER_BYTES + stored)
      return `cut off in block ${number}, ${BLOCK_HEADER_BYTES + stored - room} bytes of it and the index are missing; ${AGAIN}`;
    at += BLOCK_HEADER_BYTES + stored;
  }
}
