/** The text of `framewalk info`: aligned names and values. */
import type { TraceInfo } from '../traces/info.js';
import { bytes, grouped } from '../reports/format.js';

const number = (value: number): string => grouped(value, 0, ' ');

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

const captured = ({ heap, freePointers, mappings, processes, touches, samples }: TraceInfo['captured']): (readonly [string, string])[] => [
  ['heap calls', heap && !freePointers ? 'yes, but frees name no pointers' : yesNo(heap)],
  ['mappings', yesNo(mappings)],
  ['processes', yesNo(processes)],
  [
    'touches',
    { none: 'no', 'user-faults': 'first touches by the program itself (software page faults)', faults: 'first touches (page faults)', all: 'every access' }[
      touches
    ],
  ],
  ["kernel's numbers", yesNo(samples)],
];

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return '';
  const width = Math.max(...rows.map(([name]) => name.length));
  return `\n${title}\n${rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}\n`).join('')}`;
}

/** What a person wants to know about a trace; ends in a line feed. */
export function infoText(info: TraceInfo): string {
  const digits = Math.max(...Object.values(info.events).map((count) => number(count).length), 1);
  const head: (readonly [string, string])[] = [
    ['format', info.format],
    ['events', number(info.events_count)],
    ['processes', `${number(info.processes)} with ${number(info.threads)} threads`],
    ['duration', `${(info.duration_ns / 1e9).toFixed(3)} s (clock: ${info.clock})`],
    ['peak live heap', info.peak_live_bytes === null ? '-' : bytes(info.peak_live_bytes).replaceAll('\u202f', ' ')],
    ['objects', number(info.objects_count)],
    ['page size', `${info.page_size} B`],
    ['codec', info.codec],
    ['sha256', info.hash],
  ];
  return (
    section(info.name, head).slice(1) +
    section('captured', captured(info.captured)) +
    section(
      'events',
      Object.entries(info.events).map(([op, count]) => [op, number(count).padStart(digits)]),
    ) +
    section('kernel', Object.entries(info.kernel)) +
    section('provenance', Object.entries(info.provenance)) +
    (info.losses.length === 0
      ? '\nno losses\n'
      : section(
          'losses',
          info.losses.map(({ cause, count, first }) => [cause, `${number(count)}, first at ${first}`]),
        ))
  );
}
