/**
 * How strategies look: ink only, a marker and a dash each, always in the same order. From the ninth on markers repeat with the next dash.
 */
import { raw } from './markup.js';
import type { Markup } from './markup.js';
import { px } from './chart.js';

/** Outlines within -4..4; hollow ones are drawn with the background inside. */
const MARKERS: readonly { readonly d: string; readonly hollow: boolean }[] = [
  { d: 'M-3.5-3.5h7v7h-7z', hollow: false },
  { d: 'M0-4.2l4.3 7.4h-8.6z', hollow: true },
  { d: 'M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0-7.6 0z', hollow: false },
  { d: 'M0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z', hollow: true },
  { d: 'M0 4.2l4.3-7.4h-8.6z', hollow: false },
  { d: 'M-3.4-3.4h6.8v6.8h-6.8z', hollow: true },
  { d: 'M0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z', hollow: false },
  { d: 'M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0-7.6 0z', hollow: true },
];

const DASHES = ['', '5 3', '1.5 2', '8 3 2 3', '3 2', '10 2', '1 3', '6 2 1 2 1 2'] as const;

function marker(index: number): (typeof MARKERS)[number] {
  return MARKERS[index % MARKERS.length] ?? { d: '', hollow: false };
}

/** The marker beside a name. */
export function sign(index: number): Markup {
  const { d, hollow } = marker(index);
  return raw(`<svg class="mk${hollow ? ' o' : ''}" viewBox="-5 -5 10 10" width="10" height="10" aria-hidden="true"><path d="${d}"/></svg>`);
}

/** The marker on a line of a chart. */
export function dot(index: number, x: number, y: number): string {
  const { d, hollow } = marker(index);
  return `<path d="${d}" class="dot${hollow ? ' o' : ''}" transform="translate(${px(x)} ${px(y)}) scale(.8)"/>`;
}

/** Attribute that dashes a strategy's line. */
export function dash(index: number): string {
  const pattern = DASHES[(index + Math.floor(index / MARKERS.length)) % DASHES.length] ?? '';
  return pattern === '' ? '' : ` stroke-dasharray="${pattern}"`;
}

/** A piece of the line, for a legend. */
export function lineSample(index: number, kind = 'ln', marked = true): Markup {
  const mark = marked ? dot(index, 13, 5) : '';
  return raw(
    `<svg class="sample" viewBox="0 0 26 10" width="26" height="10" aria-hidden="true"><path d="M0 5H26" class="${kind}"${dash(index)}/>${mark}</svg>`,
  );
}
