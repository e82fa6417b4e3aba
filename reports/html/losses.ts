/** What importers could not use and what the replay refused, by cause; and the first moment without a free frame. */
import type { Loss } from '../../traces/event.js';
import { sharing } from './model.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import type { Section } from './section.js';
import { named, namedAll } from './words.js';
import { grouped } from '../format.js';

function rows(trace: ReportTrace, step: string, read: (strategy: ReportStrategy) => readonly Loss[]): Markup[] {
  return sharing(trace.strategies, read).flatMap(({ value, strategies }) =>
    [...value]
      .sort((a, b) => b.count - a.count || (a.cause < b.cause ? -1 : 1))
      .map(
        (loss) =>
          markup`<tr>
            <th scope="row" class="wrap">${loss.cause}</th>
            <td>${grouped(loss.count)}</td>
            <td class="t wrap"><code>${loss.first}</code></td>
            <td class="t">${step}</td>
            <td class="t">${namedAll(strategies, trace)}</td>
          </tr>`,
      ),
  );
}

function outOfFrames(trace: ReportTrace): Part {
  const struck = trace.strategies.filter(({ cell }) => cell.oom !== null);
  if (struck.length === 0) return null;
  return markup`<ul class="why">
    ${struck.map((strategy) => markup`<li>${named(strategy)} ran out of frames. ${strategy.cell.oom}</li>`)}
  </ul>`;
}

function body(trace: ReportTrace): Markup {
  const all = [...rows(trace, 'import', ({ cell }) => cell.losses), ...rows(trace, 'replay', ({ cell }) => cell.rejections)];
  if (all.length === 0)
    return markup`<p class="cap">Nothing was lost at import and nothing refused in the replay.</p>
      ${outOfFrames(trace)}`;
  const table = markup`<table class="data">
    <thead>
      <tr>
        <th scope="col">cause</th>
        <th scope="col">count</th>
        <th scope="col" class="t">first seen at</th>
        <th scope="col" class="t">step</th>
        <th scope="col" class="t">strategy</th>
      </tr>
    </thead>
    <tbody>
      ${all}
    </tbody>
  </table>`;
  return markup`${scrolling(`${trace.name}: losses by cause`, table)}${outOfFrames(trace)}`;
}

export const lossSection: Section = {
  id: 'losses',
  nav: 'Losses',
  title: 'What could not be used',
  lead: 'Nothing is dropped silently: lines the importer could not use and events the replay refused are counted by cause, with the first place they were seen.',
  body,
};
