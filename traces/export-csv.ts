/**
 * Writes a trace as native CSV (read by traces/formats/csv.ts): importing what was exported and exporting it again gives the same bytes.
 *
 * Losses of the trace's own import are not written: the file holds every event that there is.
 */
import type { EventBlock, Trace } from './event.js';
import { OP_NAMES } from './event.js';
import { hexAddress, joinAddr } from '../arch/address.js';
import { FileTarget, type ByteTarget } from './bytes.js';
import { addr2IsAddress, CSV_COLUMNS, flagWords, REQUIRED_COLUMNS } from './csv-columns.js';
import { headerLines } from './csv-header.js';

/** Rows turned into text at a time. */
const ROWS = 2048;
const SPECIAL = /[",;\t\r\n]/;

/** Writes `path` aside and renames it when it is whole; UserError when it cannot be written. The text column is there when an event has a text. */
export function exportCsv(trace: Trace, path: string, onProgress?: (rows: number) => void): void {
  for (const rows of exportCsvSteps(trace, path)) onProgress?.(rows);
}

/** The same step by step: yields the rows written so far after each block, so that the caller can look after other things in between. */
export function* exportCsvSteps(trace: Trace, path: string): Generator<number, void, undefined> {
  let withText = false;
  for (const block of trace.blocks()) {
    withText = block.text.size > 0;
    if (withText) break;
    yield 0;
  }
  const target: ByteTarget = new FileTarget(path);
  try {
    target.write(Buffer.from(`${headerLines(trace.header)}${CSV_COLUMNS.slice(0, withText ? undefined : REQUIRED_COLUMNS).join(',')}\n`));
    let done = 0;
    for (const block of trace.blocks()) {
      for (let from = 0; from < block.length; from += ROWS) target.write(Buffer.from(rowsText(block, from, Math.min(from + ROWS, block.length), withText)));
      done += block.length;
      yield done;
    }
    target.finish();
  } finally {
    target.abort();
  }
}

const number = (value: number): string => (value === 0 ? '' : integer(value));

/** Digits of a whole number; beyond 2^53 String() would round them. */
const integer = (value: number): string => (Number.isSafeInteger(value) ? String(value) : BigInt(value).toString());

const quote = (text: string): string => (SPECIAL.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text);

function rowsText(b: EventBlock, from: number, to: number, withText: boolean): string {
  let out = '';
  for (let i = from; i < to; i++) {
    const at = (column: { readonly [row: number]: number }): number => column[i] as number;
    const op = at(b.op);
    const hi = at(b.addrHi);
    const lo = at(b.addrLo);
    const addr = hi === 0 && lo === 0 ? '' : hexAddress(joinAddr(hi, lo));
    const addr2 = at(b.addr2);
    const second = addr2 !== 0 && addr2IsAddress(op) ? hexAddress(addr2) : number(addr2);
    out += `${integer(at(b.time))},${at(b.pid)},${at(b.tid)},${OP_NAMES[op] ?? ''},${addr},${number(at(b.size))},${second},${number(at(b.arg))},${flagWords(at(b.flags))},${number(at(b.cpu))}`;
    if (withText) out += `,${quote(b.text.get(i) ?? '')}`;
    out += '\n';
  }
  return out;
}
