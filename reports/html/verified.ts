/**
 * What a verification found out beyond the samples: the verdict, recorded faults against the model's, where predictions leave what was measured for the first
 * time, and what the recording cannot tell. Only in the report of `verify`.
 */
import type { Divergence, FaultCheck, Verification, Verdict } from '../../core/replay/result.js';
import { grouped } from '../format.js';
import { areaText } from '../verify/text.js';
import { joined, markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { scrolling } from './memory-table.js';
import { quantityName } from './quantity.js';
import { plural } from './words.js';

const SENTENCES: Readonly<Record<Verdict, string>> = {
  exact: 'Every sample of every quantity is exact.',
  limited: 'Every sample is exact, but for those that the recording itself explains.',
  differs: 'Not every sample is exact.',
  unsampled: 'There is nothing to compare: a quantity without samples that can be judged is never exact.',
};

const seconds = (nanoseconds: number): string => `${(nanoseconds / 1e9).toFixed(6)} s`;
const who = (pid: number, command: string): string => (command === '' ? String(pid) : `${pid} (${command})`);
const unit = (quantity: string): string => (quantity.endsWith('_kb') ? ' KiB' : '');
const headRow = (names: readonly (readonly [string, string])[]): Markup =>
  markup`<thead>
    <tr>
      ${names.map(([name, kind]) => markup`<th scope="col" class="${kind}">${name}</th>`)}
    </tr>
  </thead>`;

function faultTable(name: string, faults: FaultCheck): Markup {
  const row = (title: string, measured: number, predicted: number, note: string): Markup =>
    markup`<tr>
      <th scope="row">${title}</th>
      <td>${grouped(measured)}</td>
      <td>${grouped(predicted)}</td>
      <td class="${predicted === measured ? '' : 'bad'}">${predicted === measured ? 'equal' : grouped(predicted - measured)}</td>
      <td class="t">${note}</td>
    </tr>`;
  const how = `${grouped(faults.breaks_copied)} copied, ${grouped(faults.breaks_reused)} reused`;
  return scrolling(
    `${name}: faults measured and predicted`,
    markup`<table class="data">
      ${headRow([
        ['at recorded faults', ''],
        ['measured', ''],
        ['predicted', ''],
        ['difference', ''],
        ['resolved by', 't'],
      ])}
      <tbody>
        ${row('page faults', faults.recorded, faults.predicted, '')}
        ${faults.error_codes ? row('copy-on-write breaks', faults.breaks_recorded, faults.breaks_predicted, how) : null}
      </tbody>
    </table>`,
  );
}

function divergenceTable(name: string, divergences: readonly Divergence[]): Part {
  if (divergences.length === 0) return null;
  const rows = divergences.map(
    (one) =>
      markup`<tr>
        <th scope="row">${quantityName(one.quantity)}</th>
        <td>${grouped(one.event)}</td>
        <td>${seconds(one.time)}</td>
        <td class="t">${who(one.pid, one.command)}</td>
        <td>${grouped(one.predicted)}${unit(one.quantity)}</td>
        <td>${grouped(one.measured)}${unit(one.quantity)}</td>
        <td class="t">${one.after === null ? '' : `${one.after.op} (event ${grouped(one.after.event)}), ${areaText(one.after.area)}`}</td>
      </tr>`,
  );
  return scrolling(
    `${name}: first sample of each quantity that is not exact`,
    markup`<table class="data">
      ${headRow([
        ['first sample not met', ''],
        ['event', ''],
        ['time', ''],
        ['process', 't'],
        ['predicted', ''],
        ['measured', ''],
        ['last thing it did before', 't'],
      ])}
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

function surpriseTable(name: string, faults: FaultCheck): Part {
  if (faults.surprises.length === 0) return null;
  const rows = faults.surprises.map(
    ({ access, cause, count, places }) =>
      markup`<tr>
        <th scope="row">${access}</th>
        <td>${grouped(count)}</td>
        <td class="t wrap">${cause}</td>
        <td class="t wrap">
          ${joined(
            places.map(({ event, pid, command, area }) => markup`event ${grouped(event)}, ${who(pid, command)}: ${areaText(area)}`),
            markup`<br />`,
          )}
        </td>
      </tr>`,
  );
  return scrolling(
    `${name}: recorded faults that the model did not expect`,
    markup`<table class="data top">
      ${headRow([
        ['unexpected fault', ''],
        ['count', ''],
        ['why', 't'],
        ['first of them', 't'],
      ])}
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

/** Everything but the samples. */
export function verifiedBlock(name: string, { verdict, faults, divergences, limits, not_covered, unmatched }: Verification): Markup {
  const remarks = [
    ...limits.map(({ quantity, samples, reason }) => `${quantityName(quantity)}, ${grouped(samples)} ${plural(samples, 'sample')}: ${reason}.`),
    ...not_covered.map((what) => `Not covered by the model: ${what}.`),
    ...(unmatched.count === 0 ? [] : [`${grouped(unmatched.count)} ${plural(unmatched.count, 'sample')} of processes that are not alive in the model.`]),
  ];
  return markup`<p class="cap"><b>${SENTENCES[verdict]}</b></p>
    ${remarks.length === 0 ? null : markup`<ul class="why">${remarks.map((text) => markup`<li>${text}</li>`)}</ul>`}
    ${divergenceTable(name, divergences)} ${faults === null ? null : markup`${faultTable(name, faults)} ${surpriseTable(name, faults)}`}`;
}
