import type { CellReading } from './reading.js';

/** A metric: one descriptor says what it is called, what its unit is, which direction is better and how it is read. */
export interface Metric {
  readonly name: string;
  readonly title: string;
  readonly unit: 'frames' | 'bytes' | 'ratio' | 'count' | 'refs' | 'cycles' | 'ns' | 's' | 'index' | 'event';
  /** Which direction is better; 'none': no winner is named and the gate only reports a change of it. */
  readonly better: 'lower' | 'higher' | 'none';
  /** Deterministic metrics go to results.csv and the gate; timed ones to timing.csv. */
  readonly deterministic: boolean;
  /** Shown in the terminal's table. */
  readonly headline: boolean;
  /** One sentence for --help, `list metrics` and the report's tooltip; formula and source where it is not obvious. */
  readonly about: string;
}

/** A metric with how it is read from a cell's counts; null = the trace cannot give it (`absent` says why). */
export interface CellMetric extends Metric {
  readonly read: (reading: CellReading) => number | null;
  readonly absent?: string;
}
