/**
 * The gate: compares a run with its baseline, number by number, exactly. There is no tolerance, because the numbers are deterministic.
 *
 * Outcome as an exit code:
 * - 0: every blessed number is the same or better. What changed for the better, metrics without a better direction that changed
 *   (`better: none`: they are reported as "changed" and fail nothing; a direction in the descriptor makes them fail), and cells and metrics that are
 *   new are named all the same, because the baseline should be blessed anew.
 * - 1: at least one number is worse.
 * - 2: the comparison is not complete: another trace or configuration, another meaning of the results, a cell or a metric that is gone. It outranks 1, since
 *   what could not be compared may be worse still; what was worse among the rest is printed too.
 */
import type { Metric } from '../core/metrics/metric.js';
import { cellKey, comparable, keyText } from './baseline.js';
import type { Baseline, BaselineCell, CellKey } from './baseline.js';
import { deterministic, metricValue } from './cells.js';
import type { StoredCell, StoredRun } from './cells.js';
import { exact, unreachable } from './format.js';

export type FindingKind =
  | 'worse'
  | 'better'
  | 'changed'
  | 'new-metric'
  | 'new-cell'
  | 'other-schema'
  | 'other-trace'
  | 'other-configuration'
  | 'missing-cell'
  | 'missing-metric';

export interface Finding {
  readonly kind: FindingKind;
  /** Metric name; empty when the finding is about a whole cell or run. */
  readonly metric: string;
  readonly trace: string;
  /** Strategy: arch/pmm/heap and what else tells the cell apart. */
  readonly strategy: string;
  /** Values, or what was expected and found when the finding is not about a number; null = the trace could not give it. */
  readonly old: number | string | null;
  readonly new: number | string | null;
  readonly better: Metric['better'];
}

export interface GateOutcome {
  readonly code: 0 | 1 | 2;
  readonly findings: readonly Finding[];
  /** Numbers compared, and how many of them were equal. */
  readonly compared: number;
  readonly equal: number;
}

function severity(kind: FindingKind): 0 | 1 | 2 {
  switch (kind) {
    case 'better':
    case 'changed':
    case 'new-metric':
    case 'new-cell':
      return 0;
    case 'worse':
      return 1;
    case 'other-schema':
    case 'other-trace':
    case 'other-configuration':
    case 'missing-cell':
    case 'missing-metric':
      return 2;
    default:
      return unreachable(kind);
  }
}

/** The fields that name a cell to its reader; the others are its settings. */
const NAMES = ['trace', 'arch', 'pmm', 'heap'] as const;

const strategyOf = (key: CellKey): string => [key['arch'], key['pmm'], key['heap']].map(String).join('/');

function differences(old: CellKey, now: CellKey): { old: string; new: string } {
  const fields = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((name) => old[name] !== now[name]);
  const say = (key: CellKey): string => fields.map((name) => `${name}=${String(key[name] ?? '-')}`).join(' ');
  return { old: say(old), new: say(now) };
}

function direction(better: Metric['better'], old: number, now: number): 'worse' | 'better' | 'changed' {
  if (better === 'none') return 'changed';
  return now < old === (better === 'lower') ? 'better' : 'worse';
}

interface Tally {
  findings: Finding[];
  compared: number;
  equal: number;
}

function compareCell(blessed: BaselineCell, cell: StoredCell, metrics: ReadonlyMap<string, Metric>, tally: Tally): void {
  const at = { trace: cell.config.trace, strategy: strategyOf(blessed.key) };
  for (const [name, old] of Object.entries(blessed.metrics)) {
    const metric = metrics.get(name);
    const now = metric === undefined ? null : metricValue(cell, metric);
    tally.compared++;
    const finding = { ...at, metric: name, old, new: now, better: metric?.better ?? ('none' as const) };
    if (metric === undefined || (now === null && old !== null)) tally.findings.push({ ...finding, kind: 'missing-metric' });
    else if (now === old) tally.equal++;
    else if (old === null || now === null) tally.findings.push({ ...finding, kind: 'new-metric' });
    else tally.findings.push({ ...finding, kind: direction(metric.better, old, now) });
  }
  for (const metric of metrics.values()) {
    if (metric.name in blessed.metrics || metricValue(cell, metric) === null) continue;
    tally.findings.push({ ...at, kind: 'new-metric', metric: metric.name, old: null, new: metricValue(cell, metric), better: metric.better });
  }
}

/** Compares a run with its baseline. `metrics` is the registry; only deterministic ones take part. */
export function checkBaseline(baseline: Baseline, run: StoredRun, metrics: readonly Metric[]): GateOutcome {
  const tally: Tally = { findings: [], compared: 0, equal: 0 };
  const nowhere = { metric: '', trace: '', strategy: '', better: 'none' } as const;
  if (baseline.schema !== run.schema || !comparable(baseline.schema)) {
    tally.findings.push({ ...nowhere, kind: 'other-schema', old: baseline.schema, new: run.schema });
    return { code: 2, ...tally };
  }
  const descriptors = new Map(deterministic(metrics).map((metric) => [metric.name, metric]));
  const waiting = new Map(run.cells.map((cell) => [keyText(cellKey(cell.config)), cell]));
  const unmatched: BaselineCell[] = [];
  for (const blessed of baseline.cells) {
    const text = keyText(blessed.key);
    const cell = waiting.get(text);
    if (cell === undefined) {
      unmatched.push(blessed);
      continue;
    }
    waiting.delete(text);
    if (cell.config.traceHash === blessed.trace_hash) compareCell(blessed, cell, descriptors, tally);
    else
      tally.findings.push({
        ...nowhere,
        kind: 'other-trace',
        trace: cell.config.trace,
        strategy: strategyOf(blessed.key),
        old: blessed.trace_hash,
        new: cell.config.traceHash,
      });
  }
  // A cell that is gone while one of the same name but other settings appeared: say which setting, not just "missing".
  for (const { key } of unmatched) {
    const sibling = [...waiting].find(([, cell]) => NAMES.every((name) => cellKey(cell.config)[name] === key[name]));
    const at = { ...nowhere, trace: String(key['trace']), strategy: strategyOf(key) };
    if (sibling === undefined) {
      tally.findings.push({ ...at, kind: 'missing-cell', old: 'blessed', new: 'not in the run' });
    } else {
      waiting.delete(sibling[0]);
      tally.findings.push({ ...at, kind: 'other-configuration', ...differences(key, cellKey(sibling[1].config)) });
    }
  }
  for (const cell of waiting.values()) {
    tally.findings.push({
      ...nowhere,
      kind: 'new-cell',
      trace: cell.config.trace,
      strategy: strategyOf(cellKey(cell.config)),
      old: 'not blessed',
      new: 'in the run',
    });
  }
  const worst = Math.max(0, ...tally.findings.map((finding) => severity(finding.kind)));
  return { code: worst === 2 ? 2 : worst === 1 ? 1 : 0, ...tally };
}

const WORDS: Readonly<Record<FindingKind, string>> = {
  'other-schema': 'OTHER SCHEMA',
  'other-trace': 'OTHER TRACE',
  'other-configuration': 'OTHER CONFIG',
  'missing-cell': 'MISSING CELL',
  'missing-metric': 'MISSING METRIC',
  worse: 'WORSE',
  better: 'better',
  changed: 'changed',
  'new-cell': 'new cell',
  'new-metric': 'new metric',
};

const valueText = (value: Finding['old']): string => (value === null ? '-' : typeof value === 'number' ? exact(value) : value);

const DIRECTIONS: Readonly<Record<Metric['better'], string>> = { lower: 'lower is better', higher: 'higher is better', none: 'no direction' };

function findingLine(finding: Finding): string {
  const change = `${valueText(finding.old)} -> ${valueText(finding.new)}`;
  const word = WORDS[finding.kind].padEnd(14);
  if (finding.kind === 'other-schema') return `${word} results of schema ${change}: their meaning changed; bless the baseline anew`;
  const where = `${finding.trace}  ${finding.strategy}`;
  if (finding.metric === '') return `${word} ${where}  ${change}`;
  return `${word} ${finding.metric}  ${where}  ${change}  (${DIRECTIONS[finding.better]})`;
}

function verdict(outcome: GateOutcome): string {
  const worse = outcome.findings.filter((finding) => finding.kind === 'worse').length;
  const changed = outcome.findings.length > 0;
  switch (outcome.code) {
    case 0:
      return changed ? 'same or better; `framewalk bless` accepts what changed' : 'unchanged';
    case 1:
      return `${worse} worse; if that is meant, accept it with \`framewalk bless\``;
    case 2:
      return `not comparable with the baseline${worse > 0 ? `, and ${worse} worse` : ''}; look at the lines above, then \`framewalk bless\``;
    default:
      return unreachable(outcome.code);
  }
}

/** What the gate prints: one line a finding, the worst first, then a verdict; ends in a line feed. */
export function gateText(outcome: GateOutcome): string {
  const findings = [...outcome.findings].sort((a, b) => severity(b.kind) - severity(a.kind));
  const lines = findings.map(findingLine);
  return `${[...lines, `${outcome.equal} of ${outcome.compared} numbers equal: ${verdict(outcome)}`].join('\n')}\n`;
}
