/**
 * Who is best and who is worst for one metric among cells that may be compared.
 *
 * `level`: all equal, nobody wins. `unranked`: the metric has no better direction, or fewer than two cells have a value.
 * Ties share the best (and the worst) place. Values are compared exactly: they are deterministic.
 */
import type { Metric } from '../core/metrics/metric.js';

export type Place = 'best' | 'worst' | 'between' | 'none';

export interface Ranking {
  readonly kind: 'ranked' | 'level' | 'unranked';
  /** Parallel to the values; 'none' for null values and whenever the kind is not 'ranked'. */
  readonly places: readonly Place[];
}

export function rank(values: readonly (number | null)[], better: Metric['better']): Ranking {
  const nobody = values.map((): Place => 'none');
  const present = values.filter((value) => value !== null);
  if (present.length < 2) return { kind: 'unranked', places: nobody };
  const low = Math.min(...present);
  const high = Math.max(...present);
  if (low === high) return { kind: 'level', places: nobody };
  if (better === 'none') return { kind: 'unranked', places: nobody };
  const best = better === 'lower' ? low : high;
  const worst = better === 'lower' ? high : low;
  const placeOf = (value: number | null): Place => {
    if (value === null) return 'none';
    if (value === best) return 'best';
    return value === worst ? 'worst' : 'between';
  };
  return { kind: 'ranked', places: values.map(placeOf) };
}
