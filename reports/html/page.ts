/**
 * report.html: the whole run for the eye, in one file that works offline and without JavaScript and asks no server for anything.
 *
 * Charts are static SVG. With several traces a row of radio buttons picks the one that every section shows (style sheet only; paper and browsers that do not
 * know `:has` show all). Nothing in it depends on a clock but what is marked so.
 */
import type { Metric } from '../../core/metrics/metric.js';
import type { Repeats } from '../csv.js';
import type { ReportRun } from '../cells.js';
import { assertDescribed } from '../cells.js';
import { grouped } from '../format.js';
import { answerSection } from './answer.js';
import { blameSection } from './blame.js';
import { contiguitySection } from './contiguity.js';
import { cpusSection } from './cpus.js';
import { decaySection } from './decay.js';
import { fragmentationSection } from './fragmentation.js';
import { lookupSection } from './lookup.js';
import { lossSection } from './losses.js';
import { markup, raw } from './markup.js';
import type { Markup, Part } from './markup.js';
import { matrixSection, overviewTable } from './matrix.js';
import { memorySection } from './memory.js';
import { buildModel } from './model.js';
import type { ReportModel } from './model.js';
import { picturePatterns, pictureSection } from './picture.js';
import { proofSection } from './proof.js';
import { repeatSection } from './repeat.js';
import { scripts } from './script.js';
import type { Section } from './section.js';
import { styleSheet } from './style.js';
import { tablesSection } from './tables.js';
import { capital, numberWord, plural } from './words.js';
import { workSection } from './work.js';

interface Chapter {
  readonly id: string;
  readonly nav: string;
  readonly title: string;
  readonly content: Markup;
}

/** What all traces share, then each trace; null when no trace has anything to show. */
function chapterOf(model: ReportModel, section: Section): Chapter | null {
  const bodies = model.traces.flatMap((trace) => {
    const body = section.body(trace);
    return body === null ? [] : [{ trace, body }];
  });
  if (bodies.length === 0) return null;
  const several = model.traces.length > 1;
  const parts = model.traces.map((trace) => {
    const body = bodies.find((entry) => entry.trace === trace)?.body ?? markup`<p class="cap">${section.nothing ?? 'This trace has nothing to show here.'}</p>`;
    const note = section.note?.(trace) ?? null;
    const heading =
      several || note !== null
        ? markup`<div class="trh">${several ? markup`<h3>${trace.name}</h3>` : null}${note === null ? null : markup`<span class="sub">${note}</span>`}</div>`
        : null;
    return markup`<div class="tr tr-${trace.index}">${heading}${body}</div>`;
  });
  const lead = section.lead === null ? null : markup`<p class="lead">${section.lead}</p>`;
  return { id: section.id, nav: section.nav, title: section.title, content: markup`${lead}${section.legend ?? null}${parts}` };
}

function chaptersOf(model: ReportModel): Chapter[] {
  const overview: Chapter = {
    id: 'overview',
    nav: 'All traces',
    title: 'All traces at a glance',
    content: markup`<p class="lead">Who is best at what, trace by trace.</p>
      ${overviewTable(model)}`,
  };
  const repeat: Chapter = {
    id: 'repeat',
    nav: 'Repeat',
    title: 'Configuration, and how to repeat it',
    content: markup`<p class="lead">The same traces, configuration and version give the same bytes in every deterministic file.</p>
      ${repeatSection(model)}`,
  };
  const verified = model.run.cells.some(({ verification }) => verification !== undefined);
  const sections = [
    // What a verification is about comes first in its report.
    ...(verified ? [proofSection] : []),
    matrixSection(model),
    memorySection(model),
    tablesSection,
    lookupSection(model),
    pictureSection(model),
    fragmentationSection,
    decaySection,
    blameSection,
    contiguitySection,
    workSection,
    cpusSection,
    ...(verified ? [] : [proofSection]),
    lossSection,
  ];
  const chapters = [
    chapterOf(model, answerSection(model)),
    model.traces.length > 1 ? overview : null,
    ...sections.map((section) => chapterOf(model, section)),
    repeat,
  ];
  return chapters.filter((chapter) => chapter !== null);
}

const PATTERNS = `<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="p-file" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M-1-1h9v9h-9z" class="k-file"/><path d="M0 0V6" class="ph"/></pattern><pattern id="p-broken" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path d="M-1-1h8v8h-8z" class="brk"/><path d="M0 0V5" class="pf"/></pattern>${picturePatterns()}</defs></svg>`;

function distinctWords(model: ReportModel, read: (config: ReportRun['cells'][number]['config']) => string): string[] {
  return [...new Set(model.run.cells.map(({ config }) => read(config)))];
}

function heading(model: ReportModel): string {
  const pmms = distinctWords(model, (c) => c.pmm);
  const what = pmms.length === 1 ? `the memory manager ${pmms[0]}` : `${numberWord(pmms.length)} memory managers`;
  const [first] = model.traces;
  const where = model.traces.length === 1 ? `the pages of ${first.name}` : `the pages of ${numberWord(model.traces.length)} programs`;
  return `Where ${what} ${pmms.length === 1 ? 'puts' : 'put'} ${where}`;
}

function meta(model: ReportModel): Part {
  const { run } = model;
  const pmms = distinctWords(model, (c) => c.pmm).length;
  const events = run.traces.reduce((sum, trace) => sum + trace.rows, 0);
  const product = `${model.traces.length} ${plural(model.traces.length, 'trace')} × ${distinctWords(model, (c) => c.arch).join(', ')} × ${pmms} ${plural(pmms, 'PMM')}`;
  return markup`${product}, ${run.cells.length} ${plural(run.cells.length, 'cell')} · ${grouped(events)} events · framewalk ${run.version} · every number is
    deterministic unless marked <em>clock</em>`;
}

/** Radio buttons that pick the trace all sections show. */
function picker(model: ReportModel): Part {
  if (model.traces.length < 2) return null;
  const option = (id: string, name: string, checked: boolean): Markup =>
    markup`<label><input type="radio" name="trace" id="pick-${id}" ${checked ? raw(' checked') : null} /><span>${name}</span></label>`;
  const traces = model.traces.map((trace) => option(String(trace.index), trace.name, trace.index === 0));
  return markup`<form class="pick">
    <fieldset>
      <legend>Trace</legend>
      ${traces}${option('all', 'all of them', false)}
    </fieldset>
  </form>`;
}

function chapterMarkup(chapter: Chapter, number: number): Markup {
  return markup`<section id="${chapter.id}" aria-labelledby="h-${chapter.id}">
    <h2 id="h-${chapter.id}"><span class="no">${number}</span>${chapter.title}</h2>
    ${chapter.content}
  </section>`;
}

/** The text of report.html. `repeats` are timings of repeated cells, parallel to the run's cells. */
export function reportHtml(run: ReportRun, metrics: readonly Metric[], repeats?: Repeats): string {
  assertDescribed(run, metrics);
  if (run.cells.length === 0) throw new Error('a run without cells has no report');
  const model = buildModel(run, metrics, repeats);
  const chapters = chaptersOf(model);
  const title = `${capital(heading(model))}: framewalk report`;
  const list = chapters.map(
    (chapter, i) =>
      markup`<li>
        <a href="#${chapter.id}"><span>${i + 1}</span> ${chapter.nav}</a>
      </li>`,
  );
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:" />
        <link rel="icon" href="data:," />
        <title>${title}</title>
        <style>
          ${raw(styleSheet(model.traces.length))}
        </style>
      </head>
      <body>
        ${raw(PATTERNS)}<a class="skip" href="#${chapters[0].id}">Skip to the answer</a>
        <header>
          <p class="brand">framewalk <span>report</span></p>
          <h1>${heading(model)}</h1>
          <p class="meta">${meta(model)}</p>
          <nav aria-label="Sections">
            <ol>
              ${list}
            </ol>
          </nav>
        </header>
        <main>${picker(model)} ${chapters.map((chapter, i) => markup`${chapterMarkup(chapter, i + 1)} `)}</main>
        <footer>framewalk ${run.version} · results.csv, timeline.csv, processes.csv and results.json beside this file hold every number shown.</footer>
        ${raw(scripts(model))}
      </body>
    </html> `;
  return page.text;
}
