/** Generated events and the small machinery that the trace tests share. */
import fc from 'fast-check';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinAddr } from '../../arch/address.js';
import { MemoryTarget } from '../../traces/bytes.js';
import { Op, OP_COUNT, UserError, type Trace, type TraceEvent, type TraceHeader } from '../../traces/event.js';
import { emptyHeader } from '../../traces/format.js';
import type { CodecName } from '../../traces/fwt-layout.js';
import { FwtWriter } from '../../traces/fwt-writer.js';

const whole = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max }).map((n) => n + 0);
const scaled = (min: number, max: number, by: number): fc.Arbitrary<number> => fc.integer({ min, max }).map((n) => n * by + 0);

/** Canonical addresses that a double holds: 48 bits exactly, 57 bits at multiples of 8, both halves and their ends. */
export const address: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, 4095, 2 ** 30 - 1, 2 ** 30, 2 ** 47 - 1, -(2 ** 47), -1, -4096, 2 ** 56 - 8, -(2 ** 56)),
  whole(0, 2 ** 47 - 1),
  whole(-(2 ** 47), -1),
  scaled(-(2 ** 53), 2 ** 53 - 1, 8),
  scaled(0x7f000, 0x7f0ff, 4096),
);

const bytes = fc.oneof(fc.constantFrom(0, 1, 4096, 2 ** 53, 2 ** 63), whole(0, 300), whole(0, Number.MAX_SAFE_INTEGER));
const signed = fc.oneof(fc.constantFrom(0, -1, 1, 2 ** 62, -(2 ** 63)), whole(-9, 9), whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
const text = fc.option(
  fc.oneof(fc.constantFrom('/usr/lib/libc.so.6', 'a,b', 'say "hi"', ' blank ', 'two\nlines', 'cr\r', '"'), fc.string({ unit: 'grapheme' })),
  { nil: undefined },
);

/** Any event a sink accepts, extremes included. */
export const event: fc.Arbitrary<TraceEvent> = fc
  .record({
    time: fc.oneof(whole(0, 5000), whole(0, Number.MAX_SAFE_INTEGER)),
    pid: fc.oneof(whole(-1, 4), fc.constant(2 ** 31 - 1)),
    tid: fc.oneof(whole(-1, 4), fc.constant(2 ** 31 - 1)),
    op: fc.integer({ min: 1, max: OP_COUNT - 1 }) as fc.Arbitrary<Op>,
    addr: address,
    size: bytes,
    addr2: fc.oneof(address, signed),
    arg: signed,
    flags: fc.oneof(fc.constant(0), fc.integer()),
    cpu: fc.oneof(whole(-1, 3), fc.constant(32767)),
    text,
  })
  .map(({ text: words, ...fields }) => {
    const e: TraceEvent = { ...fields };
    if (words !== undefined && words !== '') e.text = words;
    const addressed = e.op === Op.realloc || e.op === Op.mremap || e.op === Op.share;
    if (addressed && !(e.addr2 >= -(2 ** 56) && e.addr2 < 2 ** 56)) e.addr2 = e.addr;
    return e;
  });

export const sampleHeader = (): TraceHeader => ({
  ...emptyHeader('test'),
  captured: { heap: true, freePointers: true, mappings: true, processes: false, touches: 'faults', samples: false },
  clock: 'monotonic',
  kernel: { release: '6.18.0', thp: 'madvise' },
  provenance: { command: 'gcc -c "x y.c"', note: ' two\nlines: of it' },
});

export function pushAll(writer: FwtWriter, events: Iterable<TraceEvent>): void {
  for (const e of events) writer.push(e.time, e.pid, e.tid, e.op, e.addr, e.size, e.addr2, e.arg, e.flags, e.cpu, e.text);
}

/** The bytes of a container with these events. */
export function container(events: Iterable<TraceEvent>, codec: CodecName = 'none', header: TraceHeader = sampleHeader()): Uint8Array {
  const target = new MemoryTarget(1 << 26);
  const writer = new FwtWriter(target, { codec });
  pushAll(writer, events);
  writer.finish(header);
  const { memory } = target.source();
  if (memory === null) throw new Error('the container does not fit in memory');
  return memory.slice();
}

/** Every event of a trace, as objects. */
export function eventsOf(trace: Trace): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (const b of trace.blocks()) {
    for (let i = 0; i < b.length; i++) {
      const at = (column: { readonly [row: number]: number }): number => column[i] as number;
      const e: TraceEvent = {
        time: at(b.time),
        pid: at(b.pid),
        tid: at(b.tid),
        op: at(b.op) as Op,
        addr: joinAddr(at(b.addrHi), at(b.addrLo)),
        size: at(b.size),
        addr2: at(b.addr2),
        arg: at(b.arg),
        flags: at(b.flags),
        cpu: at(b.cpu),
      };
      const words = b.text.get(i);
      if (words !== undefined) e.text = words;
      events.push(e);
    }
  }
  return events;
}

/** A plain event with some fields set. */
export const plain = (fields: Partial<TraceEvent> & { op: Op }): TraceEvent => ({
  time: 0,
  pid: 1,
  tid: 1,
  addr: 0,
  size: 0,
  addr2: 0,
  arg: 0,
  flags: 0,
  cpu: 0,
  ...fields,
});

/** Runs `body` with a fresh folder, removes it afterwards. */
export async function inFolder<T>(body: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'fw-test-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The message of the UserError that `body` must end in; anything else fails the test. One line, no stack. */
export async function userError(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (error.message.includes('\n') || error.message.length < 10) throw new Error('not one clear line', { cause: error });
    return error.message;
  }
  throw new Error('no error was thrown');
}

/** Files in the folder for temporary files that this process made as traces. */
export const temporaryTraces = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith(`framewalk-${process.pid}-`));
