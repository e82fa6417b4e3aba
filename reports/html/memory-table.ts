/** The numbers beside the pictures of memory over time, and what the run says about processes and the kernel's own objects. */
import { sharing } from './model.js';
import type { ReportTrace, Series } from './model.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import { inUnit, memoryUnit, namedAll, plural } from './words.js';
import { bytes, grouped } from '../format.js';

/** Processes shown; the rest are in processes.csv. */
const MOST_PROCESSES = 12;

type Column = readonly [string, (series: Series, row: number) => number];

const USER_COLUMNS: readonly Column[] = [
  ['anonymous', (s, i) => s.anonymous[i]],
  ['file', (s, i) => s.file[i]],
  ['shared', (s, i) => s.shared[i]],
  ['page tables', (s, i) => s.table[i]],
  ['kernel heap', (s, i) => s.kernel[i]],
];
const PAGES_COLUMNS: readonly Column[] = [
  ['kernel pages', (s, i) => s.kernel[i]],
  ['movable pages', (s, i) => s.movable[i]],
];
const COLUMNS: readonly Column[] = [
  ['in use', (s, i) => s.used[i]],
  ['free, whole 2 MiB', (s, i) => s.whole[i]],
  ['free, broken', (s, i) => Math.max(0, s.free[i] - s.whole[i])],
];

const AGED_COLUMN: Column = ['aged memory', (s, i) => s.aged[i]];

/** What a trace's memory is made of, in the order of reading: the columns of the table, and what the cursor reads out. */
export const memoryColumns = (trace: ReportTrace): readonly Column[] => [
  ...(trace.pages ? PAGES_COLUMNS : USER_COLUMNS),
  ...COLUMNS,
  ...(trace.agedFrames > 0 ? [AGED_COLUMN] : []),
];

export function scrolling(name: string, table: Markup): Markup {
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${name}">${table}</div>`;
}

export function memoryTable(trace: ReportTrace): Markup {
  const most = Math.max(...trace.strategies.flatMap(({ series }) => series.used));
  const unit = memoryUnit(most * trace.pageSize);
  const columns = memoryColumns(trace);
  const moments: readonly (readonly [string, (series: Series) => number])[] = [
    ['peak', (series) => series.used.indexOf(Math.max(...series.used))],
    ['end', (series) => series.used.length - 1],
  ];
  const rows = moments.flatMap(([moment, rowOf]) =>
    sharing(trace.strategies, ({ series }) => columns.map(([, read]) => read(series, rowOf(series)))).map(
      ({ value, strategies }) =>
        markup`<tr>
          <th scope="row">${namedAll(strategies, trace)}</th>
          <td class="t">${moment}</td>
          ${value.map((frames) => markup`<td>${inUnit(frames, trace.pageSize, unit)}</td>`)}
        </tr>`,
    ),
  );
  return scrolling(
    `${trace.name}: memory at the peak and at the end`,
    markup`<table class="data">
      <thead>
        <tr>
          <th scope="col">strategy</th>
          <th scope="col" class="t">at the</th>
          ${columns.map(([name]) => markup`<th scope="col">${name}<br /><span class="unit">${unit.name}</span></th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`,
  );
}

function processTable(trace: ReportTrace): Part {
  const { processes } = trace.strategies[0].cell;
  if (processes.length === 0) return null;
  const largest = [...processes].sort((a, b) => b.rss_peak_bytes - a.rss_peak_bytes || a.pid - b.pid);
  const rows = largest.slice(0, MOST_PROCESSES).map(
    (p) =>
      markup`<tr>
        <th scope="row">${p.pid}</th>
        <td class="t">${p.command}</td>
        <td>${bytes(p.rss_peak_bytes)}</td>
        <td>${bytes(p.anonymous_peak_bytes)}</td>
        <td>${bytes(p.file_peak_bytes)}</td>
        <td>${bytes(p.shared_peak_bytes)}</td>
        <td>${bytes(p.vm_size_peak_bytes)}</td>
        <td>${bytes(p.table_bytes_peak)}</td>
        <td>${grouped(p.vmas_peak_count)}</td>
        <td>${grouped(p.minor_faults_count)}</td>
        <td>${grouped(p.cow_breaks_count)}</td>
      </tr>`,
  );
  const left = processes.length - rows.length;
  const rest = left > 0 ? markup`<p class="cap">${grouped(left)} more in processes.csv.</p>` : null;
  const heads = ['RSS', 'anonymous', 'file', 'shared', 'VmSize', 'tables', 'VMAs', 'minor faults', 'CoW breaks'];
  const table = markup`<table class="data">
    <thead>
      <tr>
        <th scope="col">pid</th>
        <th scope="col" class="t">command</th>
        ${heads.map((head) => markup`<th scope="col">${head}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return markup`<details>
    <summary>
      Peaks of ${grouped(processes.length)} ${plural(processes.length, 'process', 'processes')} <span class="sub">${trace.strategies[0].label}</span>
    </summary>
    ${scrolling(`${trace.name}: peaks of processes`, table)}${rest}
  </details>`;
}

function kernelTable(trace: ReportTrace): Part {
  const { kernelHeap } = trace.strategies[0].cell;
  if (kernelHeap.length === 0 || trace.pages) return null;
  const rows = kernelHeap.map(
    (cache) =>
      markup`<tr>
        <th scope="row">${cache.name}</th>
        <td>${grouped(cache.objectBytes)}</td>
        <td>${grouped(cache.live)}</td>
        <td>${grouped(cache.slabs)}</td>
      </tr>`,
  );
  const heads = ['bytes an object', 'live objects', 'slabs'];
  const table = markup`<table class="data">
    <thead>
      <tr>
        <th scope="col">cache</th>
        ${heads.map((head) => markup`<th scope="col">${head}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`;
  return markup`<details>
    <summary>Kernel heap: ${grouped(kernelHeap.length)} caches <span class="sub">${trace.strategies[0].label}</span></summary>
    ${scrolling(`${trace.name}: caches of the kernel heap`, table)}
  </details>`;
}

export function moreTables(trace: ReportTrace): Markup {
  return markup`${processTable(trace)}${kernelTable(trace)}`;
}
