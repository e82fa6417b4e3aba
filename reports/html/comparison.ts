/** One metric across the strategies of a trace, ready to be shown: texts, places, shares of the largest. */
import type { Metric } from '../../core/metrics/metric.js';
import { metricValue } from '../cells.js';
import { column } from '../format.js';
import { rank } from '../ranking.js';
import type { Place, Ranking } from '../ranking.js';
import type { ReportStrategy, ReportTrace } from './model.js';

export interface Comparison {
  readonly metric: Metric;
  readonly values: readonly (number | null)[];
  readonly texts: readonly (string | null)[];
  readonly unit: string;
  readonly kind: Ranking['kind'];
  readonly places: readonly Place[];
  /** Worst over best; 1 when nobody wins, infinite when the best is 0. */
  readonly factor: number;
}

export function compare(trace: ReportTrace, metric: Metric): Comparison {
  const values = trace.strategies.map(({ cell }) => metricValue(cell, metric));
  const { texts, unit } = column(values, metric);
  const { kind, places } = rank(values, metric.better);
  const present = values.filter((value) => value !== null).map(Math.abs);
  const low = Math.min(...present);
  const factor = kind === 'ranked' ? (low === 0 ? Infinity : Math.max(...present) / low) : 1;
  return { metric, values, texts, unit, kind, places, factor };
}

/** Width of a bar in percent of the largest value of its row. */
export function share(comparison: Comparison, index: number): number {
  const largest = Math.max(...comparison.values.map((value) => Math.abs(value ?? 0)));
  const value = Math.abs(comparison.values[index] ?? 0);
  return largest === 0 ? 0 : Math.round((value / largest) * 1000) / 10;
}

export function winners(trace: ReportTrace, comparison: Comparison): ReportStrategy[] {
  return trace.strategies.filter((_, i) => comparison.places[i] === 'best');
}

/** Titles in the middle of a sentence; names like TLB or PMM keep their capitals. */
export function inSentence(title: string): string {
  return /^[A-Z][a-z]/.test(title) ? title.charAt(0).toLowerCase() + title.slice(1) : title;
}

export function textWithUnit(comparison: Comparison, index: number): string {
  const text = comparison.texts[index] ?? '–';
  return comparison.unit === '%' || comparison.unit.endsWith('iB') ? `${text} ${comparison.unit}` : text;
}
