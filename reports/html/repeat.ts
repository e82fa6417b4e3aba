/** The configuration in full, and the command that gives the same bytes again. */
import { spreadRule } from '../../core/replay/spread.js';
import type { CellConfig } from '../../core/replay/result.js';
import { portableCommand } from '../command.js';
import { bytes, grouped } from '../format.js';
import { markup } from './markup.js';
import type { Markup, Part } from './markup.js';
import type { ReportModel } from './model.js';
import { scrolling } from './memory-table.js';
import { capital, plural } from './words.js';

/** Different values among the cells, as one text. */
function distinct(model: ReportModel, read: (config: CellConfig) => string): string {
  return [...new Set(model.run.cells.map(({ config }) => read(config)))].join(', ');
}

function memoryMap(config: CellConfig): string {
  const { memmap } = config;
  if (memmap.length < 2) return bytes(config.memoryBytes);
  return `${bytes(config.memoryBytes)} in ${memmap.length} ranges: ${memmap.map(({ first, count }) => `frames ${grouped(first)} to ${grouped(first + count - 1)}`).join(', ')}`;
}

function agedBy({ age, ageHash }: CellConfig): string {
  if (age === '') return 'fresh memory';
  if (ageHash !== '') return `memory as ${age.replace('+', ' and ')} say (sha256 ${ageHash})`;
  const [seed, utilisation, churn] = age.split(':');
  return `aged memory, a drawn history: seed ${seed}, ${Math.round(Number(utilisation) * 100)} % in use, ${churn} rounds of churn`;
}

function entries(model: ReportModel): (readonly [string, Part])[] {
  const { run } = model;
  return [
    ['framewalk', `${run.version}, results schema ${run.schema}`],
    ['architecture', distinct(model, (c) => c.arch)],
    ['PMM', distinct(model, (c) => (c.pmmHash === '' ? c.pmm : `${c.pmm} (sha256 ${c.pmmHash})`))],
    ['process heap', distinct(model, (c) => c.heap)],
    ['policy', distinct(model, (c) => c.policy)],
    ['touches', distinct(model, (c) => c.touch)],
    ['memory', distinct(model, memoryMap)],
    ['before the trace', distinct(model, agedBy)],
    ['rounds', distinct(model, (c) => String(c.repeat))],
    ['kernel heap', distinct(model, (c) => (c.kernelHeap ? 'on' : 'off'))],
    ['TLB', distinct(model, (c) => c.tlb)],
    ['CPUs', distinct(model, (c) => (c.cpus === 1 ? '1' : `${c.cpus}, ${spreadRule(c.spread, c.cpus)}`))],
    ['out of frames', distinct(model, (c) => c.onOom)],
    ['processes', distinct(model, (c) => (c.pids.length === 0 ? 'all' : c.pids.join(' ')))],
    ['window', distinct(model, (c) => (c.window === null ? 'whole trace' : `events ${grouped(c.window[0])} to ${grouped(c.window[1])}`))],
    ['seed', `${distinct(model, (c) => String(c.seed))}; the results are the same for any number of workers`],
  ];
}

function traceTable({ run }: ReportModel): Markup {
  const known = run.traces.some((trace) => Object.keys(trace.provenance).length > 0);
  const rows = run.traces.map((trace) => {
    const provenance = Object.entries(trace.provenance).map(([key, value]) => markup`<p><span class="dim">${key}</span> ${value}</p>`);
    return markup`<tr><th scope="row">${trace.name}</th><td>${grouped(trace.rows)}</td><td class="t">${trace.source}</td><td class="t hash"><code>${trace.hash}</code></td>${known ? markup`<td class="t wrap">${provenance}</td>` : null}</tr>`;
  });
  const table = markup`<table class="data top"><thead><tr><th scope="col">${capital(plural(run.traces.length, 'trace'))}</th><th scope="col">events</th><th scope="col" class="t">importer</th><th scope="col" class="t">sha256</th>${known ? markup`<th scope="col" class="t">provenance</th>` : null}</tr></thead><tbody>${rows}</tbody></table>`;
  return scrolling('Traces with their hashes', table);
}

/** Long commands in lines that a shell takes as one. */
function wrapped(command: string): string {
  return command.replace(/ (?=--)/g, ' \\\n  ');
}

export function repeatSection(model: ReportModel): Markup {
  const rows = entries(model).map(
    ([name, value]) =>
      markup`<div>
        <dt>${name}</dt>
        <dd>${value}</dd>
      </div>`,
  );
  return markup`<pre tabindex="0" role="region" aria-label="Command that repeats the run">${wrapped(portableCommand(model.run.command))}</pre>
    <dl class="cfg">${rows}</dl>${traceTable(model)}`;
}
