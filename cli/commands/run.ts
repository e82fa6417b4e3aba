/** `framewalk run`: replays traces on every configuration asked for, writes the results and prints the table. */
import { flagSet, flagText, operands, type Arguments, type Command } from '../command.js';
import { interruption } from '../interrupt.js';
import { makeFolders, print } from '../output.js';
import { registryNames } from '../registries.js';
import { RUN_OPTIONS, runFlags, type RunKey, type RunOption } from '../run-options.js';
import type { RunRequest } from '../run-request.js';
import { withTraces } from '../with-traces.js';
import type { RunResult } from '../../core/replay/result.js';

export const runCommand: Command = {
  usage: 'run [traces..]',
  about: 'Replays traces and compares strategies',
  options: () => runFlags(registryNames),
  examples: [
    ['framewalk run gcc.fwt', 'three PMM strategies, x86-64, 4 GiB; the table, and out/results.csv and others'],
    ['framewalk run gcc.fwt bash.fwt --pmm buddy --heap recorded --memory 512MiB --out small', 'two traces on one configuration'],
    ['framewalk run events.perf.txt.gz --strict', 'what perf script printed, read as it is'],
    ['framewalk run gcc.fwt --pmm buddy,./mine.wasm --memory 1GiB', 'a PMM of your own beside one of framewalk'],
    ['framewalk run gcc.fwt --memory 1GiB --age fresh,1:0.6:3 --repeat 8', 'fresh memory beside one that others have used, and what becomes of it'],
    ['framewalk run --matrix nightly.yaml --seed 7', 'options from a file, one of them overridden'],
    ['framewalk run gcc.fwt --json | jq .cells[0].metrics.frames_peak', 'for programs'],
  ],
  notes: 'Sizes take KiB, MiB, GiB and TiB. Lists are comma-separated; traces and lists make the matrix of cells. framewalk list prints the names.',
  async run(args) {
    const request = await requested(args);
    makeFolders(request.out, '--out');
    const result = await replayed(request);
    const [{ metrics }, { reportFormats, writeRun }] = await Promise.all([import('../../core/metrics/registry.js'), import('../../reports/registry.js')]);
    const files = await writeRun(result, request.out, reportFormats.all(), { metrics: metrics.all() });
    if (request.json) {
      const { resultsJson } = await import('../../reports/json.js');
      print(resultsJson(result, metrics.all()));
      return 0;
    }
    const { renderTable } = await import('../../reports/table.js');
    const { isTTY, columns } = process.stdout;
    print(renderTable(result, metrics.all(), { width: columns > 0 ? columns : 160, color: isTTY && process.env['NO_COLOR'] === undefined }));
    print(`\n${remarks(result)}Wrote ${files.join(', ')}\n`);
    return 0;
  },
};

/** What the flags and the matrix file ask for. */
async function requested(args: Arguments): Promise<RunRequest> {
  const [{ runRequest }, { readMatrix }] = await Promise.all([import('../run-request.js'), import('../matrix.js')]);
  const file = flagText(args, 'matrix');
  const flag = (key: RunKey): string | undefined => {
    const option: RunOption = RUN_OPTIONS[key];
    if (option.kind !== 'switch') return flagText(args, key);
    return args[key] === undefined ? undefined : String(flagSet(args, key));
  };
  return await runRequest(operands(args, 'traces'), flag, file === undefined ? undefined : await readMatrix(file));
}

/** Replays the request. */
async function replayed(request: RunRequest): Promise<RunResult> {
  const { replayTraces } = await import('../replay.js');
  return await withTraces(request, 'replaying', (traces, command, onProgress) => replayTraces(request, traces, command, { signal: interruption, onProgress }));
}

/** What the table does not say: lines that were not understood, events refused, memory that ran out. */
function remarks(result: RunResult): string {
  const lines: string[] = [];
  const told = new Set<string>();
  for (const cell of result.cells) {
    const { trace, pmm } = cell.config;
    const lost = cell.losses.reduce((sum, loss) => sum + loss.count, 0);
    if (lost > 0 && !told.has(trace))
      lines.push(`${trace}: lines or records of the recording that were not understood: ${lost} (framewalk info lists the causes)`);
    told.add(trace);
    const rejected = cell.metrics['events_rejected_count'] ?? 0;
    if (rejected > 0) {
      const causes = cell.rejections.map((one) => `${one.cause} ${one.count}`).join(', ');
      lines.push(`${trace} on ${pmm}: events that were refused: ${rejected} (${causes})`);
    }
    if (cell.oom !== null) lines.push(`${trace} on ${pmm}: out of frames: ${cell.oom}`);
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n\n`;
}
