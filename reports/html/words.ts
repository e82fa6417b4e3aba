/** Words that the sections share: small numbers, lists, names of strategies, units of memory. */
import { GIB, KIB, MIB, compact } from '../format.js';
import { markup, joined } from './markup.js';
import type { Markup, Part } from './markup.js';
import { sign } from './strategy.js';
import type { ReportStrategy, ReportTrace } from './model.js';

const NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve'] as const;

export function numberWord(n: number): string {
  return NUMBERS[n] ?? String(n);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return n === 1 ? one : many;
}

/** "a", "a and b", "a, b and c". */
export function listed(parts: readonly Part[]): Markup {
  if (parts.length < 2) return markup`${parts}`;
  return markup`${joined(parts.slice(0, -1), ', ')} and ${parts[parts.length - 1] ?? ''}`;
}

/** A strategy's name with its marker. */
export function named(strategy: ReportStrategy): Markup {
  return markup`<span class="nw">${sign(strategy.index)} ${strategy.label}</span>`;
}

/** The strategies a chart or row is about: "all three" when it is all of several. */
export function namedAll(strategies: readonly ReportStrategy[], trace: ReportTrace): Markup {
  if (trace.strategies.length > 1 && strategies.length === trace.strategies.length) return markup`${allOf(trace)}`;
  return joined(strategies.map(named), ', ');
}

export function allOf(trace: ReportTrace): string {
  const n = trace.strategies.length;
  return n === 2 ? 'both' : `all ${numberWord(n)}`;
}

/** Names that fit into a chart: both if two have room (in characters), else the first and how many more. */
export function shortNames(strategies: readonly ReportStrategy[], trace: ReportTrace, room = 24): string {
  if (trace.strategies.length > 1 && strategies.length === trace.strategies.length) return allOf(trace);
  const all = strategies.map(({ label }) => label).join(', ');
  return strategies.length < 2 || (strategies.length < 3 && all.length <= room) ? all : `${strategies[0].label} + ${strategies.length - 1}`;
}

export interface MemoryUnit {
  readonly size: number;
  readonly name: string;
}

/** The unit in which a memory of that many bytes reads best on an axis. */
export function memoryUnit(bytes: number): MemoryUnit {
  if (bytes >= 8 * GIB) return { size: GIB, name: 'GiB' };
  if (bytes >= 2 * MIB) return { size: MIB, name: 'MiB' };
  return { size: KIB, name: 'KiB' };
}

/** Frames as a number of that unit. */
export function inUnit(frames: number, pageSize: number, unit: MemoryUnit): string {
  const value = (frames * pageSize) / unit.size;
  return value >= 1000 ? compact(Math.round(value)) : compact(value);
}
