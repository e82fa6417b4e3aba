/**
 * Writes a .fwt container (layout: traces/fwt-layout.ts), block by block, with one block in memory.
 *
 * `hash` is the identity of the events, whatever codec or encoding holds them: sha256 over, for each block, the number of rows and each column in the order of
 * its descriptor: a zero byte and the value as a double when all rows are equal, else a one byte and the rows as the EventBlock has them (little-endian); then the
 * texts with their row numbers; at the end the header's page size, captured and kernel facts as JSON. Where a recording comes from (provenance, clock, source)
 * and what its reader lost does not count.
 */
import { createHash } from 'node:crypto';
import { BLOCK_ROWS, createBlock, Flag, Op, OP_COUNT, OP_NAMES, type EventBlock, type EventSink, type TraceHeader } from './event.js';
import { joinAddr } from '../arch/address.js';
import type { ByteTarget } from './bytes.js';
import { LossTable } from './event-list.js';
import { ContainerWriter } from './fwt-container.js';
import { BlockEncoder } from './fwt-encode.js';
import type { CodecName, Footer, TraceObject } from './fwt-layout.js';

export interface WriterOptions {
  /** How payloads are packed; deflate unless told otherwise. */
  codec?: CodecName | undefined;
  /** The first loss is a UserError. */
  strict?: boolean | undefined;
}

/** A block ends early when its texts are this long together. */
const TEXT_LIMIT = 1 << 24;
const ADDRESS_LIMIT = 2 ** 56;

/** An EventSink that writes a container. `finish` or `abort` must be called; an error thrown by `push` or `finish` has aborted already. */
export class FwtWriter implements EventSink {
  private readonly container: ContainerWriter;
  private readonly block = createBlock();
  private readonly encoder = new BlockEncoder();
  private readonly hash = createHash('sha256');
  private readonly table: LossTable;
  private readonly counts = new Float64Array(OP_COUNT);
  private readonly objects = new Map<number, TraceObject>();
  private rows = 0;
  private textLength = 0;

  /** `target`: the path of the file, or where else the bytes go. UserError when it cannot be written or the codec is not available. */
  constructor(target: string | ByteTarget, options: WriterOptions = {}) {
    this.table = new LossTable(options.strict === true);
    this.container = new ContainerWriter(target, options.codec ?? 'deflate');
  }

  push(
    time: number,
    pid: number,
    tid: number,
    op: Op,
    addr: number,
    size: number,
    addr2: number,
    arg: number,
    flags: number,
    cpu: number,
    text?: string,
  ): void {
    const b = this.block;
    const row = b.length;
    // Written so that NaN fails as well.
    if (!(addr >= -ADDRESS_LIMIT && addr < ADDRESS_LIMIT)) throw new Error(`address ${addr} of event ${this.rows + row} is outside 57 bits`);
    const hi = Math.floor(addr / 1073741824);
    // + 0 turns -0 into 0, which would be another bit pattern for the hash.
    b.time[row] = time + 0;
    b.pid[row] = pid;
    b.tid[row] = tid;
    b.op[row] = op;
    b.addrHi[row] = hi;
    b.addrLo[row] = addr - hi * 1073741824;
    b.size[row] = size + 0;
    b.addr2[row] = addr2 + 0;
    b.arg[row] = arg + 0;
    b.flags[row] = flags;
    b.cpu[row] = cpu;
    if (text !== undefined && text !== '') {
      b.text.set(row, text);
      this.textLength += text.length;
    }
    if (op === Op.object) this.noteObject(arg, flags, text);
    b.length = row + 1;
    if (b.length === BLOCK_ROWS || this.textLength >= TEXT_LIMIT) this.flush();
  }

  loss(cause: string, where: string): void {
    this.table.add(cause, where);
  }

  /** Pushes every row of `b`. */
  pushBlock(b: EventBlock): void {
    for (let i = 0; i < b.length; i++) {
      const at = (column: { readonly [row: number]: number }): number => column[i] as number;
      const addr = joinAddr(at(b.addrHi), at(b.addrLo));
      this.push(at(b.time), at(b.pid), at(b.tid), at(b.op) as Op, addr, at(b.size), at(b.addr2), at(b.arg), at(b.flags), at(b.cpu), b.text.get(i));
    }
  }

  /** Counts losses that the reader of a copied trace had counted. */
  addLoss(cause: string, count: number, first: string): void {
    this.table.add(cause, first, count);
  }

  private noteObject(id: number, flags: number, path: string | undefined): void {
    if ((flags & Flag.remove) !== 0) return;
    const known = this.objects.get(id);
    if (known !== undefined) {
      if (known.path === '' && path !== undefined) known.path = path;
      return;
    }
    const kind = (flags & Flag.file) !== 0 ? 'file' : (flags & Flag.shm) !== 0 ? 'shm' : 'unknown';
    this.objects.set(id, { id, kind, path: path ?? '' });
  }

  private flush(): void {
    const b = this.block;
    if (b.length === 0) return;
    try {
      for (let i = 0; i < b.length; i++) {
        const op = b.op[i] as number;
        this.counts[op] = (this.counts[op] as number) + 1;
      }
      hashBlock(this.hash, b);
      this.container.block(this.encoder.encode(b), b.length);
    } catch (error) {
      this.abort();
      throw error;
    }
    this.rows += b.length;
    b.length = 0;
    b.text.clear();
    this.textLength = 0;
  }

  /** Writes what remains and the index; the file now has its name. Returns what the index holds. */
  finish(header: TraceHeader): Footer {
    this.flush();
    this.hash.update(JSON.stringify([header.pageSize, sorted({ ...header.captured }), sorted(header.kernel)]));
    const counts: Record<string, number> = {};
    for (let op = 1; op < OP_COUNT; op++) if (this.counts[op] !== 0) counts[OP_NAMES[op] as string] = this.counts[op] as number;
    return this.container.finish({
      header,
      losses: this.table.list(),
      rows: this.rows,
      counts,
      hash: this.hash.digest('hex'),
      objects: [...this.objects.values()],
    });
  }

  /** Gives up; nothing of the container remains. Harmless after `finish`. */
  abort(): void {
    this.container.abort();
  }
}

/** Keys in order, so that the order in which an importer found things does not matter. */
function sorted(record: Record<string, unknown>): [string, unknown][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

type Rows = Float64Array | Int32Array | Uint8Array | Int16Array;

function hashBlock(hash: ReturnType<typeof createHash>, b: EventBlock): void {
  const n = b.length;
  hash.update(new Uint8Array(new Uint32Array([n, b.text.size]).buffer));
  for (const column of [b.time, b.pid, b.tid, b.op, b.addrHi, b.addrLo, b.size, b.addr2, b.arg, b.flags, b.cpu]) hashColumn(hash, column, n);
  if (b.text.size === 0) return;
  for (const [row, text] of [...b.text].sort((x, y) => x[0] - y[0])) {
    const bytes = Buffer.from(text, 'utf8');
    hash.update(new Uint8Array(new Uint32Array([row, bytes.length]).buffer));
    hash.update(bytes);
  }
}

function hashColumn(hash: ReturnType<typeof createHash>, column: Rows, n: number): void {
  if (isConstant(column, n)) {
    hash.update(CONSTANT);
    hash.update(new Uint8Array(new Float64Array([column[0] as number]).buffer));
    return;
  }
  hash.update(VARYING);
  hash.update(new Uint8Array(column.buffer, column.byteOffset, n * column.BYTES_PER_ELEMENT));
}

const CONSTANT = new Uint8Array([0]);
const VARYING = new Uint8Array([1]);

/** Almost every varying column varies within its first rows, so this costs nothing there. */
function isConstant(column: Rows, n: number): boolean {
  const first = column[0];
  for (let i = 1; i < n; i++) if (column[i] !== first) return false;
  return true;
}
