/**
 * Writes the parts of a .fwt container (layout: traces/fwt-layout.ts) one after the other: raw payloads in, packed blocks, index and trailer out.
 */
import zlib from 'node:zlib';
import { FileTarget, type ByteTarget } from './bytes.js';
import { pack, requireWritable } from './fwt-codec.js';
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
} from './fwt-layout.js';

/** What the index holds besides the blocks, which the writer knows. */
export type FooterContent = Omit<Footer, 'codec' | 'blocks'>;

/** `finish` or `abort` must be called; an error thrown by any other call has aborted already, and nothing of the container remains. */
export class ContainerWriter {
  private readonly target: ByteTarget;
  private readonly blocks: Footer['blocks'] = [];
  private offset = 0;

  /** `target`: the path of the file, or where else the bytes go. UserError when it cannot be written or this Node cannot write `codec`. */
  constructor(
    target: string | ByteTarget,
    private readonly codec: CodecName,
  ) {
    requireLittleEndian();
    requireWritable(codec);
    this.target = typeof target === 'string' ? new FileTarget(target) : target;
    const header = new Uint32Array([FILE_MAGIC, FWT_VERSION, 0, 0]);
    header[3] = zlib.crc32(bytesOf(header, FILE_HEADER_BYTES - 4));
    this.write(bytesOf(header, FILE_HEADER_BYTES));
  }

  private write(bytes: Uint8Array): void {
    try {
      this.target.write(bytes);
    } catch (error) {
      this.target.abort();
      throw error;
    }
    this.offset += bytes.length;
  }

  /** Appends a block of `rows` rows. */
  block(raw: Uint8Array, rows: number): void {
    const stored = pack(this.codec, raw);
    const padding = PADDING.subarray(0, align8(stored.length) - stored.length);
    const crc = zlib.crc32(padding, zlib.crc32(stored));
    const header = new Uint32Array([BLOCK_MAGIC, rows, CODEC_NAMES.indexOf(this.codec), raw.length, stored.length, crc, this.blocks.length, 0]);
    header[7] = zlib.crc32(bytesOf(header, BLOCK_HEADER_BYTES - 4));
    this.blocks.push([this.offset, rows, raw.length]);
    this.write(bytesOf(header, BLOCK_HEADER_BYTES));
    this.write(stored);
    if (padding.length > 0) this.write(padding);
  }

  /** Writes index and trailer; the file now has its name. */
  finish(content: FooterContent): Footer {
    const footer: Footer = { ...content, codec: this.codec, blocks: this.blocks };
    const json = Buffer.from(JSON.stringify(footer), 'utf8');
    const bytes = Buffer.alloc(align8(json.length), ' ');
    json.copy(bytes);
    const at = this.offset;
    this.write(bytes);
    const length = this.offset + TRAILER_BYTES;
    const trailer = new Uint32Array([
      at % 4294967296,
      at / 4294967296,
      bytes.length,
      zlib.crc32(bytes),
      length % 4294967296,
      length / 4294967296,
      0,
      END_MAGIC,
    ]);
    trailer[6] = zlib.crc32(bytesOf(trailer, 24));
    this.write(bytesOf(trailer, TRAILER_BYTES));
    this.target.finish();
    return footer;
  }

  /** Gives up; nothing of the container remains. Harmless after `finish`. */
  abort(): void {
    this.target.abort();
  }
}

const PADDING = new Uint8Array(8);

const bytesOf = (words: Uint32Array, length: number): Uint8Array => new Uint8Array(words.buffer, 0, length);
