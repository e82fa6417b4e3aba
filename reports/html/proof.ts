/**
 * Predicted against measured: what the kernel said at `sample` events and what the model said then, with the difference below on the same axis, and how many
 * samples it met exactly. Racy samples (the process was changing its memory) are drawn but not judged.
 */
import type { SamplePoint, SampleSummary } from '../../core/replay/result.js';
import { sharing } from './model.js';
import type { ReportStrategy, ReportTrace } from './model.js';
import { areaPath, box, drawing, label, lengthAxis, linear, linePath, niceRange, niceTicks, path, px, rect, yAxis } from './chart.js';
import type { Point } from './chart.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import type { Section } from './section.js';
import { quantityName } from './quantity.js';
import { verifiedBlock } from './verified.js';
import { namedAll } from './words.js';
import { compact, grouped } from '../format.js';

interface Scaled {
  readonly factor: number;
  readonly unit: string;
}

function scaleOf(quantity: string, most: number): Scaled {
  if (!quantity.endsWith('_kb')) return { factor: 1, unit: 'count' };
  return most >= 10 * 1024 ? { factor: 1 / 1024, unit: 'MiB' } : { factor: 1, unit: 'KiB' };
}

const judged = (summary: SampleSummary): number => summary.samples - summary.racy;

/** Points that hold through to the next sample: the kernel was asked at moments, not all the time. */
function steps(points: readonly Point[]): Point[] {
  return points.flatMap((point, i): Point[] => (i === 0 ? [point] : [[point[0], points[i - 1][1]], point]));
}

function timeAxis(b: Parameters<typeof lengthAxis>[0], nanoseconds: number): ReturnType<typeof lengthAxis> & { perUnit: number } {
  const [perUnit, unit] = nanoseconds >= 2e9 ? [1e9, 's'] : nanoseconds >= 2e6 ? [1e6, 'ms'] : [1e3, 'µs'];
  return { ...lengthAxis(b, nanoseconds / perUnit, unit), perUnit };
}

function chart(trace: ReportTrace, summary: SampleSummary, samples: readonly SamplePoint[]): Markup {
  const { factor, unit } = scaleOf(summary.quantity, Math.max(...samples.map((s) => Math.max(s.measured, s.predicted))));
  const start = samples[0].time;
  const main = box(196, { left: 44, right: 8, top: 26, bottom: 84 }, 300);
  const below = box(196, { left: 44, right: 8, top: 142, bottom: 24 }, 300);
  const axis = timeAxis(below, samples[samples.length - 1].time - start);
  const x = (sample: SamplePoint): number => axis.x((sample.time - start) / axis.perUnit);
  const ticks = niceTicks(Math.max(...samples.map((s) => Math.max(s.measured, s.predicted))) * factor, 3);
  const y = linear([0, ticks[ticks.length - 1]], [main.bottom, main.top]);
  const measured = steps(samples.map((s): Point => [x(s), y(s.measured * factor)]));
  const predicted = steps(samples.map((s): Point => [x(s), y(s.predicted * factor)]));
  const steady = samples.filter((s) => !s.racy);
  const errors = steady.map((s) => s.predicted - s.measured);
  const off = scaleOf(summary.quantity, Math.max(0, ...errors.map(Math.abs)));
  const none = errors.every((error) => error === 0);
  const range = none ? [0] : niceRange(Math.min(0, ...errors) * off.factor, Math.max(0, ...errors) * off.factor, 2);
  const low = Math.min(...range);
  const high = Math.max(...range);
  const ry = none ? (): number => (below.top + below.bottom) / 2 : linear([low, high], [below.bottom, below.top]);
  const zero = ry(0);
  const shown = none ? [0] : [low, high, 0].filter((value, i, all) => all.indexOf(value) === i);
  const residual = none
    ? label((below.left + below.right) / 2, zero - 4, summary.exact === judged(summary) ? 'no difference' : 'no difference at the points drawn', 'tk', 'middle')
    : path(areaPath(steps(steady.map((s, i): Point => [x(s), ry(errors[i] * off.factor)])), zero), 'res');
  const content = [
    yAxis(main, y, ticks, unit),
    path(linePath(measured), 'mes'),
    path(linePath(predicted), 'ln thin'),
    label(0, below.top - 10, `predicted − measured, ${off.unit}`, 'al'),
    rect(below.left, below.top, below.right - below.left, below.bottom - below.top, 'wind'),
    path(`M${px(below.left)} ${px(zero)}H${px(below.right)}`, 'zero'),
    residual,
    ...shown.map((value) => label(below.left - 5, ry(value) + 3.5, compact(value), 'tk', 'end')),
    axis.svg,
  ];
  const exact = `${grouped(summary.exact)} of ${grouped(judged(summary))} exact`;
  const says = `${quantityName(summary.quantity)} of ${trace.name}: predicted and measured, ${exact}, largest error ${compact(summary.max_error)} ${summary.quantity.endsWith('_kb') ? 'KiB' : ''}`;
  return markup`<div class="sm">
    <h4>${quantityName(summary.quantity)} <span class="sub">${exact}</span></h4>
    ${drawing(below, says, content.join(''))}
  </div>`;
}

/** Always the same and always met: the table says all there is. */
function isFlat(samples: readonly SamplePoint[]): boolean {
  return samples.every(({ measured, predicted }) => measured === samples[0].measured && predicted === measured);
}

function summaryTable(trace: ReportTrace, groups: readonly { value: readonly SampleSummary[]; strategies: readonly ReportStrategy[] }[]): Markup {
  const several = trace.strategies.length > 1;
  const rows = groups.flatMap(({ value, strategies }) =>
    value.map((s) => {
      const all = s.exact === judged(s);
      const width = judged(s) === 0 ? 0 : (s.exact / judged(s)) * 100;
      return markup`<tr>
        <th scope="row">${quantityName(s.quantity)}</th>
        ${several ? markup`<td class="t">${namedAll(strategies, trace)}</td>` : null}
        <td>${grouped(judged(s))}</td>
        <td class="${all ? '' : 'bad'}">
          ${grouped(s.exact)}<span class="bar in" aria-hidden="true"><i style="width:${grouped(width, 1)}%"></i></span>
        </td>
        <td>${grouped(judged(s) - s.exact)}</td>
        <td>${compact(s.max_error)}${s.max_error > 0 && s.quantity.endsWith('_kb') ? ' KiB' : ''}</td>
        <td>${grouped(s.racy)}</td>
      </tr>`;
    }),
  );
  return scrolling(
    `${trace.name}: samples met exactly`,
    markup`<table class="data">
      <thead>
        <tr>
          <th scope="col">quantity</th>
          ${several ? markup`<th scope="col" class="t">strategy</th>` : null}
          <th scope="col">samples</th>
          <th scope="col">exact</th>
          <th scope="col">not exact</th>
          <th scope="col">largest error</th>
          <th scope="col">racy, not judged</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

function commandOf({ cell }: ReportStrategy, pid: number): string {
  const command = cell.processes.find((process) => process.pid === pid)?.command ?? '';
  return command === '' ? '' : ` (${command})`;
}

function body(trace: ReportTrace): Markup | null {
  const have = trace.strategies.filter(({ cell }) => cell.sampleSummary.length > 0);
  if (have.length === 0) return null;
  const { samples, sampleSummary, verification } = have[0].cell;
  const charts = sampleSummary.flatMap((summary) => {
    const own = samples.filter((s) => s.quantity === summary.quantity);
    return own.length > 1 && !isFlat(own) ? [chart(trace, summary, own)] : [];
  });
  const who: Part =
    samples.length === 0
      ? null
      : markup`<p class="cap">Drawn: process ${samples[0].pid}${commandOf(have[0], samples[0].pid)}, the one with most
          samples${have.length > 1 ? markup`, replayed with ${have[0].label}` : null}; time since its first. Counts are of all processes.</p>`;
  return markup`<div class="grid4">${charts}</div>
    ${who}${summaryTable(
      trace,
      sharing(have, ({ cell }) => cell.sampleSummary),
    )}${verification === undefined ? null : verifiedBlock(trace.name, verification)}`;
}

export const proofSection: Section = {
  id: 'proof',
  nav: 'Proof',
  title: 'Predicted against measured',
  lead: markup`Thick grey: what the kernel reported in <code>/proc/PID/status</code> while the trace was recorded. Thin line: what the model predicts. Below each:
    predicted minus measured.`,
  nothing: 'This trace holds no samples of what the kernel reported.',
  body,
};
