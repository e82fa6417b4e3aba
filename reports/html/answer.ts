/**
 * The answer in words and in a few large numbers, per trace. Sentences are made from metrics by their descriptors; a few that everybody asks about have
 * a wording of their own. What does not differ has no winner and is said to be the same.
 */
import type { ReportModel, ReportStrategy, ReportTrace } from './model.js';
import { compare, inSentence, share, textWithUnit, winners } from './comparison.js';
import type { Comparison } from './comparison.js';
import { markup, joined } from './markup.js';
import type { Markup, Part } from './markup.js';
import type { Section } from './section.js';
import { allOf, capital, inUnit, listed, memoryUnit, named } from './words.js';
import { bytes, compact, grouped } from '../format.js';

/** With more strategies than this only the best and the worst are named in a sentence. */
const NAMED_IN_SENTENCE = 4;
/** Headline numbers beside memory and page tables. */
const HEADLINES = 3;

/** A bar for each strategy, the best in the colour of the best. */
function bars(trace: ReportTrace, comparison: Comparison): Markup {
  const rows = trace.strategies.map((strategy, i) => {
    const best = comparison.places[i] === 'best' ? ' b' : '';
    return markup`<span class="name${best}">${named(strategy)}</span
      ><span class="bar${best}" aria-hidden="true"><i style="width:${share(comparison, i)}%"></i></span
      ><span class="num${best}">${textWithUnit(comparison, i)}</span>`;
  });
  return markup`<dd class="bars">${rows}</dd>`;
}

/** Differences too small to be worth a sentence: shares within a point, anything else within two in a hundred. */
function tellsApart(comparison: Comparison): boolean {
  if (comparison.kind !== 'ranked') return false;
  const present = comparison.values.filter((value) => value !== null);
  const isShare = comparison.unit === '%' || comparison.metric.unit === 'index';
  return isShare ? Math.max(...present) - Math.min(...present) >= 0.01 : comparison.factor >= 1.02;
}

/** Headline metrics in which strategies differ, the widest apart first; unlike metrics that say the same twice. */
function differing(model: ReportModel, trace: ReportTrace): Comparison[] {
  const all = model.metrics
    .filter((metric) => metric.deterministic && (metric.headline || metric.name === 'free_huge_score') && metric.name !== 'frames_peak')
    .map((metric) => compare(trace, metric))
    .filter(tellsApart)
    .sort((a, b) => b.factor - a.factor);
  const saysHuge = all.some(({ metric }) => metric.name === 'free_huge_score');
  return all.filter(({ metric }) => !(saysHuge && metric.name === 'unusable_free_index_order_9'));
}

const strong = (strategies: readonly ReportStrategy[]): Markup => listed(strategies.map(({ label }) => markup`<strong>${label}</strong>`));

/** A number in a sentence needs no more than two or three digits of a share. */
function spoken(comparison: Comparison, index: number): string {
  const value = comparison.values[index];
  if (value === null) return '–';
  if (comparison.unit === '%') return `${grouped(value * 100, Math.abs(value) < 0.1 ? 1 : 0)}\u00a0%`;
  return textWithUnit(comparison, index).replace(' ', '\u00a0');
}

/** "buddy 22 140, free-stack 65 974", the nearest to the best first; of many strategies only the worst. */
function others(trace: ReportTrace, comparison: Comparison): Part {
  const sign = comparison.metric.better === 'higher' ? -1 : 1;
  const rest = trace.strategies.flatMap((strategy, i) =>
    comparison.places[i] === 'best' || comparison.values[i] === null ? [] : [{ strategy, i, value: comparison.values[i] * sign }],
  );
  const sorted = rest.sort((a, b) => a.value - b.value);
  const chosen = trace.strategies.length > NAMED_IN_SENTENCE ? sorted.slice(-1) : sorted;
  return joined(
    chosen.map(({ strategy, i }) => markup`<span class="nw">${strategy.label} ${spoken(comparison, i)}</span>`),
    ', ',
  );
}

/** What a metric says about its best strategies, as a verb with its object. */
function verb(trace: ReportTrace, comparison: Comparison, single: boolean): Markup {
  const s = single ? 's' : '';
  const best = spoken(comparison, comparison.places.indexOf('best'));
  const rest = others(trace, comparison);
  switch (comparison.metric.name) {
    case 'contiguity_ranges_99':
      return markup`keep${s} 99\u00a0% of it in ${best} contiguous ranges (${rest})`;
    case 'free_huge_score':
      return markup`leave${s} ${best} of the free memory in whole 2\u00a0MiB blocks (${rest})`;
    case 'pmm_steps_per_op':
      return markup`examine${s} ${best} words for an allocation or a free (${rest})`;
    default:
      return markup`${single ? 'is' : 'are'} best in ${inSentence(comparison.metric.title)} with ${best} (${rest})`;
  }
}

/** One clause for each set of winners, with all they win. */
function clauses(trace: ReportTrace, comparisons: readonly Comparison[]): Markup[] {
  const bySet = new Map<string, { who: ReportStrategy[]; what: Markup[] }>();
  for (const comparison of comparisons) {
    const who = winners(trace, comparison);
    const key = who.map(({ index }) => index).join();
    const entry = bySet.get(key) ?? { who, what: [] };
    entry.what.push(verb(trace, comparison, who.length === 1));
    bySet.set(key, entry);
  }
  return [...bySet.values()].map(({ who, what }) => markup`${strong(who)} ${listed(what)}`);
}

function need(model: ReportModel, trace: ReportTrace): Markup {
  const metric = model.metrics.find(({ name }) => name === 'frames_peak');
  const single = trace.strategies.length === 1;
  if (metric === undefined) return markup`${capital(single ? trace.strategies[0].label : allOf(trace))} ran`;
  const comparison = compare(trace, metric);
  const size = (i: number): string => bytes((comparison.values[i] ?? 0) * trace.pageSize);
  if (single) return markup`<strong>${trace.strategies[0].label}</strong> needs ${size(0)} at the peak`;
  if (comparison.kind !== 'ranked') return markup`${capital(allOf(trace))} need the same ${size(0)} at the peak`;
  const worst = comparison.places.indexOf('worst');
  return markup`${strong(winners(trace, comparison))} gets by with ${size(comparison.places.indexOf('best'))} at the peak where
    <span class="nw">${trace.strategies[worst].label}</span> needs ${size(worst)}`;
}

function sentence(model: ReportModel, trace: ReportTrace): Markup {
  const first = need(model, trace);
  if (trace.strategies.length === 1) return markup`${first}.`;
  const told = clauses(trace, differing(model, trace).slice(0, 3));
  if (told.length === 0) return markup`${first}, and no headline metric tells them far apart.`;
  return markup`${first}. ${joined(told, '; ')}.`;
}

function factorText(comparison: Comparison): Markup {
  if (comparison.factor === Infinity || comparison.unit === '%')
    return markup`<b>${comparison.unit === '%' ? grouped((comparison.values[comparison.places.indexOf('best')] ?? 0) * 100, 1) : comparison.texts[comparison.places.indexOf('best')]}</b> ${comparison.unit} at best`;
  return markup`<b>${compact(Math.round(comparison.factor * 100) / 100)}</b> × best to worst`;
}

function headlines(model: ReportModel, trace: ReportTrace): Markup {
  const first = trace.strategies[0].cell;
  const peak = first.metrics['frames_peak'] ?? 0;
  const unit = memoryUnit(peak * trace.pageSize);
  const level = trace.strategies.every(({ cell }) => cell.metrics['frames_peak'] === peak);
  const same =
    trace.strategies.length === 1
      ? ''
      : level
        ? '; every strategy the same, so the choice is about where, not how much'
        : `; that of ${trace.strategies[0].label}`;
  const ratio = first.metrics['table_overhead_ratio'] ?? null;
  const tables = first.metrics['table_frames_peak'] ?? 0;
  const blocks = [
    markup`<div>
      <dt>memory at the peak</dt>
      <dd><b>${inUnit(peak, trace.pageSize, unit)}</b> ${unit.name}</dd>
      <dd>${grouped(peak)} frames of ${grouped(trace.totalFrames)}${same}.</dd>
    </div>`,
    trace.pages
      ? null
      : markup`<div>
          <dt>page tables</dt>
          <dd><b>${ratio === null ? '–' : grouped(ratio * 100, ratio >= 1 ? 0 : ratio >= 0.1 ? 1 : 2)}</b> % of user memory</dd>
          <dd>${grouped(tables)} table frames, ${bytes(tables * trace.pageSize)}. Full tables would cost 0.20 %.</dd>
        </div>`,
    ...differing(model, trace)
      .slice(0, HEADLINES)
      .map(
        (comparison) =>
          markup`<div>
            <dt>${inSentence(comparison.metric.title)}</dt>
            <dd>${factorText(comparison)}</dd>
            ${bars(trace, comparison)}
          </div>`,
      ),
  ];
  return markup`<dl class="head">${blocks}</dl>`;
}

export function answerSection(model: ReportModel): Section {
  return {
    id: 'answer',
    nav: 'Answer',
    title: 'Answer',
    lead: null,
    body: (trace) =>
      markup`<p class="ans">${sentence(model, trace)}</p>
        ${headlines(model, trace)}`,
  };
}
