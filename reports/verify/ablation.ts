/**
 * What each rule of a policy matters: each is switched off in turn, and what then goes wrong on each recording is set against the replay with all of them.
 */
import type { Verdict } from '../../core/replay/result.js';
import type { StoredCell } from '../cells.js';
import { grouped } from '../format.js';
import { alignedTable, markdownTable } from '../text-table.js';
import type { TextCell, TextColumn } from '../text-table.js';
import { verificationOf } from './program.js';

/** A quantity without the rule: samples that are not exact any more (negative: samples that only now are), and the largest error. */
export interface AblatedQuantity {
  readonly samples: number;
  readonly exact: number;
  readonly no_longer_exact: number;
  readonly max_error: number;
}

export interface AblatedRecording {
  readonly file: string;
  readonly label: string;
  readonly verdict: Verdict;
  readonly quantities: Readonly<Record<string, AblatedQuantity>>;
  /** Recorded faults that the model did not expect, and how many more than with every rule; null: no faults were recorded. */
  readonly faults: { readonly unexpected: number; readonly more: number; readonly breaks_predicted: number; readonly breaks_recorded: number } | null;
}

export interface AblatedRule {
  /** null: all rules hold. */
  readonly rule: string | null;
  readonly title: string;
  readonly recordings: readonly AblatedRecording[];
}

/** `verify --ablation --json`. */
export interface AblationResult {
  readonly policy: string;
  readonly rules: readonly AblatedRule[];
}

/** The replays of one rule's absence (or of none), by recording. */
export interface AblationRun {
  readonly rule: string | null;
  readonly title: string;
  readonly cells: readonly StoredCell[];
}

/** `runs` begins with the one in which all rules hold; `files` are the recordings as they were given. */
export function ablationResult(policy: string, files: readonly string[], runs: readonly AblationRun[]): AblationResult {
  const [whole] = runs;
  return {
    policy,
    rules: runs.map(({ rule, title, cells }) => ({ rule, title, recordings: cells.map((cell, i) => ablated(files[i], cell, whole.cells[i])) })),
  };
}

function ablated(file: string, cell: StoredCell, whole: StoredCell): AblatedRecording {
  const { verdict, quantities, faults } = verificationOf(cell);
  const before = verificationOf(whole);
  return {
    file,
    label: cell.config.trace,
    verdict,
    quantities: Object.fromEntries(
      quantities.map(({ quantity, samples, exact, max_error }) => {
        const all = before.quantities.find((one) => one.quantity === quantity)?.exact ?? 0;
        return [quantity, { samples, exact, no_longer_exact: all - exact, max_error }];
      }),
    ),
    faults:
      faults === null
        ? null
        : {
            unexpected: faults.unexpected,
            more: faults.unexpected - (before.faults?.unexpected ?? 0),
            breaks_predicted: faults.breaks_predicted,
            breaks_recorded: faults.breaks_recorded,
          },
  };
}

const number = (value: number): string => grouped(value, 0, ' ').replace('\u2212', '-');
const right = (header: string): TextColumn => ({ header, align: 'right' });
const left = (header: string): TextColumn => ({ header, align: 'left' });
/** Nothing changes. */
const SAME = '.';

function quantityCell(own: AblatedQuantity | undefined, whole: AblatedQuantity | undefined): string {
  if (own === undefined || whole === undefined) return '-';
  if (own.no_longer_exact === 0 && own.max_error === whole.max_error) return SAME;
  return `${number(own.no_longer_exact)} (${number(own.max_error)})`;
}

function faultCell({ faults }: AblatedRecording): string {
  if (faults === null) return '-';
  return faults.more === 0 ? SAME : number(faults.more);
}

function breaksCell({ faults }: AblatedRecording, whole: AblatedRecording): string {
  if (faults === null) return '-';
  return faults.breaks_predicted === whole.faults?.breaks_predicted ? SAME : number(faults.breaks_predicted - faults.breaks_recorded);
}

interface Table {
  readonly title: string;
  /** What the rows are set against. */
  readonly against?: string;
  /** What is said below it. */
  readonly note?: string;
  readonly columns: readonly TextColumn[];
  readonly rows: readonly (readonly TextCell[])[];
}

/** One recording: a row a rule, a column a quantity. */
function recordingTable({ rules }: AblationResult, index: number): Table {
  const whole = rules[0].recordings[index];
  const quantities = Object.keys(whole.quantities);
  const rows: string[][] = [];
  const idle: string[] = [];
  for (const { rule, recordings } of rules.slice(1)) {
    const own = recordings[index];
    const texts = [...quantities.map((name) => quantityCell(own.quantities[name], whole.quantities[name])), faultCell(own), breaksCell(own, whole)];
    if (texts.every((text) => text === SAME || text === '-')) idle.push(rule ?? '');
    else rows.push([rule ?? '', ...texts]);
  }
  const exact = quantities.map((name) => `${name} ${number(whole.quantities[name].exact)}/${number(whole.quantities[name].samples)}`);
  return {
    title: whole.label,
    against: `with all rules exact: ${exact.join(', ')}${whole.faults === null ? '' : `; unexpected faults: ${number(whole.faults.unexpected)}`}`,
    columns: [left('without'), ...quantities.map((name) => right(name.replace(/_kb$/, ''))), right('faults'), right('breaks')],
    rows,
    ...(idle.length === 0 ? {} : { note: `No change without ${idle.join(', ')}.` }),
  };
}

/** Every recording at a glance: samples that are not exact any more, over all quantities. */
function summaryTable({ rules }: AblationResult): Table {
  const rows = rules.slice(1).map(({ rule, title, recordings }): TextCell[] => [
    rule ?? '',
    ...recordings.map(({ quantities, faults }) => {
      const lost = Object.values(quantities).reduce((sum, one) => sum + one.no_longer_exact, 0);
      const more = faults?.more ?? 0;
      if (lost === 0 && more === 0) return SAME;
      return more === 0 ? number(lost) : `${number(lost)} ${more > 0 ? '+' : '-'} ${number(Math.abs(more))} faults`;
    }),
    title,
  ]);
  return {
    title: 'Samples no longer exact over all quantities, and faults no longer expected',
    columns: [left('without'), ...rules[0].recordings.map(({ label }) => right(label)), left('the rule')],
    rows,
  };
}

const tablesOf = (result: AblationResult): Table[] => [
  summaryTable(result),
  ...(result.rules[0]?.recordings ?? []).map((_, index) => recordingTable(result, index)),
];

const LEGEND =
  'Each rule switched off alone. A quantity: samples no longer exact (largest error in kB); faults: recorded ones the model no longer expects; breaks: predicted minus measured; . no change.';

/** For the terminal; ends in a line feed. */
export function ablationText(result: AblationResult, color = false): string {
  const tables = tablesOf(result).map(
    ({ title, against, columns, rows, note }) =>
      `${title}${against === undefined ? '' : `, ${against}`}\n${rows.length === 0 ? '' : `\n${alignedTable(columns, rows, '  ', color)}`}${note === undefined ? '' : `\n  ${note}\n`}`,
  );
  return `${tables.join('\n')}\n${LEGEND}\n`;
}

/** For documents. */
export function ablationMarkdown(result: AblationResult): string {
  return `${LEGEND}\n\n${tablesOf(result)
    .map(
      ({ title, against, columns, rows, note }) =>
        `**${title}**${against === undefined ? '' : `, ${against}`}:\n${rows.length === 0 ? '' : `\n${markdownTable(columns, rows)}`}${note === undefined ? '' : `\n${note}\n`}`,
    )
    .join('\n')}`;
}
