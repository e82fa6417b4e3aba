/**
 * Numbers as text: exactly for files, readably for people.
 *
 * Exact means the shortest decimal that reads back as the same double (ECMA-262 Number::toString). Readable means thousands set apart by a
 * narrow no-break space, binary units for bytes, and no more decimals than tell the values of a column apart.
 */
import type { Metric } from '../core/metrics/metric.js';

export const NARROW_SPACE = '\u202f';
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

/** The shortest text that reads back as the same number. Results hold no NaN and no infinity: one that does is a defect. */
export function exact(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`a result holds ${value}, which is not a number that can be written`);
  return String(value);
}

/** 1234567.5 -> "1 234 567.5" with at most `decimals` decimals, the separator a narrow no-break space unless told. */
export function grouped(value: number, decimals = 0, separator = NARROW_SPACE): string {
  const [whole = '0', fraction] = Math.abs(value).toFixed(decimals).split('.');
  const spaced = whole.replace(/\B(?=(?:\d{3})+$)/g, separator);
  const sign = value < 0 && /[1-9]/.test(whole + (fraction ?? '')) ? '\u2212' : '';
  return sign + spaced + (fraction === undefined ? '' : `.${fraction}`);
}

/** Bytes in the largest unit that leaves a number of at least 1; whole numbers without decimals. */
export function bytes(value: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [TIB, 'TiB'],
    [GIB, 'GiB'],
    [MIB, 'MiB'],
    [KIB, 'KiB'],
  ];
  const magnitude = Math.abs(value);
  for (const [size, unit] of steps) {
    if (magnitude >= size) return `${compact(value / size)} ${unit}`;
  }
  return `${grouped(value)} B`;
}

/** Three significant digits or so, thousands kept whole: 0.00123, 1.23, 12.3, 123, 1 234; whole numbers stay whole. */
export function compact(value: number): string {
  if (Number.isInteger(value)) return grouped(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 100) return grouped(value);
  if (magnitude >= 10) return grouped(value, 1);
  if (magnitude >= 1) return grouped(value, 2);
  return grouped(value, magnitude >= 0.1 ? 3 : 4);
}

/** A column of values of one metric for people: texts in one unit, as many decimals as tell them apart. */
export interface Column {
  readonly unit: string;
  readonly texts: readonly (string | null)[];
}

const MOST_DECIMALS = 6;

/** Shares are shown as percentages (but not numbers of one thing per another, which may be any size), bytes in the unit that suits the largest. */
function scaleOf({ name, unit }: Pick<Metric, 'name' | 'unit'>, largest: number): { factor: number; unit: string } {
  switch (unit) {
    case 'ratio':
      return name.includes('_per_') ? { factor: 1, unit: '' } : { factor: 100, unit: '%' };
    case 'bytes':
      if (largest >= 10 * GIB) return { factor: 1 / GIB, unit: 'GiB' };
      if (largest >= 10 * MIB) return { factor: 1 / MIB, unit: 'MiB' };
      if (largest >= 10 * KIB) return { factor: 1 / KIB, unit: 'KiB' };
      return { factor: 1, unit: 'bytes' };
    case 'index':
      return { factor: 1, unit: '0–1' };
    case 'count':
    case 'event':
      return { factor: 1, unit: '' };
    case 'frames':
    case 'refs':
    case 'cycles':
    case 'ns':
    case 's':
      return { factor: 1, unit };
    default:
      return unreachable(unit);
  }
}

export function unreachable(value: never): never {
  throw new Error(`unexpected value ${String(value)}`);
}

function enoughDecimals(numbers: readonly number[]): number {
  if (numbers.every(Number.isInteger)) return 0;
  const magnitude = Math.max(...numbers.map(Math.abs));
  let decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 1 ? 2 : 3;
  const different = new Set(numbers).size;
  while (decimals < MOST_DECIMALS && new Set(numbers.map((value) => value.toFixed(decimals))).size < different) decimals++;
  return decimals;
}

/** Texts of one metric's values, all in one unit; the separator of thousands is a narrow no-break space unless told. */
export function column(values: readonly (number | null)[], metric: Pick<Metric, 'name' | 'unit'>, separator = NARROW_SPACE): Column {
  const present = values.filter((value) => value !== null);
  const scale = scaleOf(metric, Math.max(0, ...present.map(Math.abs)));
  const decimals = enoughDecimals(present.map((value) => value * scale.factor));
  return { unit: scale.unit, texts: values.map((value) => (value === null ? null : grouped(value * scale.factor, decimals, separator))) };
}
