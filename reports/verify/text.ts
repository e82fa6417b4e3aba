/**
 * What `verify` prints: a part for each recording (samples, faults, first divergences, what the recording cannot tell), and with several one line each at the end.
 */
import type { Divergence, FaultCheck, FaultPlace, MappedArea, Verdict } from '../../core/replay/result.js';
import { grouped } from '../format.js';
import { alignedTable, toned } from '../text-table.js';
import type { TextCell, TextColumn, Tone } from '../text-table.js';
import type { VerifiedProgram } from './program.js';

const INDENT = '  ';
const number = (value: number): string => grouped(value, 0, ' ');
const signed = (value: number): string => (value > 0 ? `+${number(value)}` : number(value).replace('\u2212', '-'));
const seconds = (nanoseconds: number): string => `${(nanoseconds / 1e9).toFixed(6)} s`;
const hex = (address: number): string => `0x${address.toString(16)}`;
const plural = (count: number, word: string): string => `${number(count)} ${word}${count === 1 ? '' : word.endsWith('s') ? 'es' : 's'}`;
const unitOf = (quantity: string): string => (quantity.endsWith('_kb') ? ' kB' : '');

const TONES: Readonly<Record<Verdict, Tone>> = { exact: 'good', limited: 'good', differs: 'bad', unsampled: 'bad' };

/** The verdict of a program in words. */
export function verdictText({ verdict, verdicts, limits }: VerifiedProgram): string {
  const of = (which: Verdict): string[] => Object.entries(verdicts).flatMap(([quantity, own]) => (own === which ? [quantity] : []));
  switch (verdict) {
    case 'exact':
      return 'exact in every sample';
    case 'limited':
      return `exact in every sample but for what the recording cannot tell: ${[...new Set(limits.map(({ quantity }) => quantity))].join(', ')}`;
    case 'differs':
      return `DIFFERS: ${of('differs').join(', ') || 'samples of processes that the model does not have'}`;
    case 'unsampled':
      return of('unsampled').length === 0
        ? 'NOTHING TO COMPARE: the recording holds no samples'
        : `NOTHING TO COMPARE: every sample of ${of('unsampled').join(', ')} is racy`;
    default:
      return unreachable(verdict);
  }
}

function unreachable(value: never): never {
  throw new Error(`unexpected verdict ${String(value)}`);
}

const VERDICT_WORDS: Readonly<Record<Verdict, string>> = {
  exact: 'exact',
  limited: 'the rest is explained below',
  differs: 'DIFFERS',
  unsampled: 'no samples',
};

const right = (header: string): TextColumn => ({ header, align: 'right' });
const left = (header: string): TextColumn => ({ header, align: 'left' });

function samplesTable(program: VerifiedProgram, color: boolean): string {
  const rows = Object.entries(program.quantities).map(([quantity, { samples, exact, max_error }]): TextCell[] => {
    const verdict = program.verdicts[quantity];
    const text = VERDICT_WORDS[verdict];
    const racy = program.processes.reduce((sum, one) => sum + (one.quantity === quantity ? one.racy : 0), 0);
    const error = max_error === 0 ? '0' : `${number(max_error)}${unitOf(quantity)}`;
    return [
      quantity,
      number(samples),
      number(exact),
      number(samples - exact),
      error,
      number(racy),
      verdict === 'exact' ? text : { text, tone: TONES[verdict] },
    ];
  });
  return alignedTable(
    [left('quantity'), right('samples'), right('exact'), right('differ'), right('largest error'), right('racy'), left('')],
    rows,
    INDENT,
    color,
  );
}

function differenceText(measured: number, predicted: number): string {
  if (measured === predicted) return 'equal';
  const share = measured === 0 ? '' : ` (${(((predicted - measured) / measured) * 100).toFixed(1)} %)`;
  return `${signed(predicted - measured)}${share}`;
}

function faultsTable(faults: FaultCheck, color: boolean): string {
  const how = `${number(faults.breaks_copied)} copied, ${number(faults.breaks_reused)} reused`;
  const { recorded, predicted, breaks_recorded, breaks_predicted } = faults;
  const rows = [
    ['page faults', number(recorded), number(predicted), differenceText(recorded, predicted), ''],
    faults.error_codes
      ? ['copy-on-write breaks', number(breaks_recorded), number(breaks_predicted), differenceText(breaks_recorded, breaks_predicted), how]
      : ['copy-on-write breaks', 'not recorded', number(breaks_predicted), '', how],
  ];
  return alignedTable([left('at recorded faults'), right('measured'), right('predicted'), right('difference'), left('')], rows, INDENT, color);
}

export function areaText(area: MappedArea | null): string {
  if (area === null) return 'no mapping there';
  const name = area.name === '' ? 'anonymous' : area.name;
  return `${area.start.toString(16)}-${area.end.toString(16)} ${area.protection} ${name}`;
}

const whoText = ({ event, time, pid, command }: Pick<FaultPlace, 'event' | 'time' | 'pid' | 'command'>): string =>
  `event ${number(event)} at ${seconds(time)}, process ${pid}${command === '' ? '' : ` (${command})`}`;

function divergenceLines(one: Divergence): string[] {
  const unit = unitOf(one.quantity);
  const lines = [
    `${one.quantity}: ${whoText(one)}: predicted ${number(one.predicted)}${unit}, measured ${number(one.measured)}${unit} (${signed(one.predicted - one.measured)})`,
  ];
  const since = one.since === null ? 'no sample of it was exact before' : `exact until event ${number(one.since)}`;
  const after =
    one.after === null
      ? ''
      : `; before it: event ${number(one.after.event)}, ${one.after.op}${one.after.address === 0 ? '' : ` ${hex(one.after.address)}, ${areaText(one.after.area)}`}`;
  return [...lines, `${INDENT}${since}${after}`];
}

function surpriseLines(faults: FaultCheck): string[] {
  return faults.surprises.flatMap(({ access, cause, count, places }) => [
    `${number(count)} x ${access}: ${cause}`,
    ...places.map((place) => `${INDENT}${whoText(place)}: ${hex(place.address)}, ${areaText(place.area)}`),
    ...(count > places.length ? [`${INDENT}... and ${number(count - places.length)} more`] : []),
  ]);
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `\n${INDENT}${title}\n${lines.map((line) => `${INDENT}${INDENT}${line}\n`).join('')}`;
}

/** What is known of the kernel; what the policy follows is said where nothing is. */
function kernelText({ release, thp, ...facts }: Readonly<Record<string, string>>): string {
  if (release === undefined) return 'kernel not recorded';
  return [`Linux ${release}`, ...(thp === undefined ? [] : [`huge pages ${thp}`]), ...Object.entries(facts).map(([name, value]) => `${name} ${value}`)].join(
    ', ',
  );
}

/** The part of one recording; ends in a line feed. */
export function programText(program: VerifiedProgram, color = false): string {
  const { label, file, policy, without, faults, address_spaces: spaces } = program;
  const processes = new Set(program.processes.map(({ pid }) => pid)).size;
  const facts = [
    file,
    plural(program.events, 'event'),
    `${plural(program.samples, 'sample')} of ${plural(processes, 'process')}`,
    ...(spaces.count > 0 ? [`${number(spaces.sampled)} of ${plural(spaces.count, 'address space')} sampled`] : []),
    ...(program.racy_samples > 0 ? [`${number(program.racy_samples)} racy, not judged`] : []),
    kernelText(program.kernel),
    `policy ${policy}${without.length === 0 ? '' : ` without ${without.join(', ')}`}`,
  ];
  const unmatched = program.unmatched_samples;
  const limits = program.limits.map(({ quantity, samples, pids, reason }) => {
    const who = pids.length > 4 ? `${pids.length} processes` : `${pids.length === 1 ? 'process' : 'processes'} ${pids.join(', ')}`;
    return `${quantity}, ${plural(samples, 'sample')} of ${who}: ${reason}`;
  });
  return (
    `${label}: ${toned(verdictText(program), TONES[program.verdict], color)}\n${INDENT}${facts.join(' · ')}\n` +
    (Object.keys(program.quantities).length === 0 ? '' : `\n${samplesTable(program, color)}`) +
    (faults === null ? '' : `\n${faultsTable(faults, color)}`) +
    section('first divergence', program.divergences.flatMap(divergenceLines)) +
    section(
      'samples without a process',
      unmatched.count === 0 ? [] : [`${number(unmatched.count)}, first at event ${number(unmatched.first_event ?? 0)}: the process is not alive in the model`],
    ) +
    (faults === null ? '' : section(`faults that the model did not expect: ${number(faults.unexpected)}`, surpriseLines(faults))) +
    section('what the recording cannot tell', limits) +
    section('not covered by the model', program.not_covered) +
    section('recorded, but not predicted', program.not_predicted) +
    section(
      'not understood in the recording',
      program.losses.map(({ cause, count, first }) => `${cause}: ${number(count)}, first at ${first}`),
    ) +
    section(
      'refused by the model',
      program.rejections.map(({ cause, count, first }) => `${cause}: ${number(count)}, first at ${first}`),
    )
  );
}

/** One line a recording: exact of all samples by quantity. */
function overview(programs: readonly VerifiedProgram[], color: boolean): string {
  const quantities = [...new Set(programs.flatMap((program) => Object.keys(program.quantities)))];
  const rows = programs.map((program): TextCell[] => [
    program.label,
    ...quantities.map((quantity) => {
      const own = program.quantities[quantity];
      return own === undefined ? '-' : own.exact === own.samples ? `all ${number(own.samples)}` : `${number(own.exact)}/${number(own.samples)}`;
    }),
    program.faults === null ? '-' : `${number(program.faults.breaks_predicted)}/${number(program.faults.breaks_recorded)}`,
    program.faults === null ? '-' : number(program.faults.unexpected),
    { text: program.verdict === 'differs' ? 'DIFFERS' : program.verdict, tone: TONES[program.verdict] },
  ]);
  const columns = [left('exact samples'), ...quantities.map((quantity) => right(quantity.replace(/_kb$/, ''))), right('breaks'), right('unexpected'), left('')];
  return alignedTable(columns, rows, '', color);
}

/** Everything; ends in a line feed. */
export function verifyText(programs: readonly VerifiedProgram[], color = false): string {
  const parts = programs.map((program) => programText(program, color));
  return [...parts, ...(programs.length > 1 ? [overview(programs, color)] : [])].join('\n');
}
