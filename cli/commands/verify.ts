/** `framewalk verify`: predicted against measured. Replays recordings by the kernel's rules and compares with what the kernel reported, sample by sample. */
import { flagSet, flagText, operands, switchFlag, valueFlag, type Arguments, type Command } from '../command.js';
import { interruption } from '../interrupt.js';
import { makeFolders, print } from '../output.js';
import { registryNames } from '../registries.js';
import { RUN_OPTIONS, runFlags, type RunKey, type RunOption } from '../run-options.js';
import type { RunRequest } from '../run-request.js';
import { withTraces } from '../with-traces.js';
import type { AblationResult } from '../../reports/verify/ablation.js';
import { UserError } from '../../traces/event.js';
import type { Verified } from '../verify.js';

export const verifyCommand: Command = {
  usage: 'verify [recordings..]',
  about: 'Compares predictions with what the kernel measured',
  async options() {
    const [flags, { VERIFY_PRESETS }] = await Promise.all([runFlags(registryNames), import('../verify.js')]);
    const shared = Object.entries(VERIFY_PRESETS).map(([key, preset]) => [
      key,
      preset === undefined ? flags[key] : { ...flags[key], defaultDescription: preset },
    ]);
    return {
      ...Object.fromEntries(shared),
      out: valueFlag('Folder for report.html, verify.json and the results; none is written without it (DIR)', { alias: 'o' }),
      json: switchFlag('Print JSON instead of the tables'),
      ablation: switchFlag('Switch off each rule in turn and print what goes wrong'),
      markdown: switchFlag('Print the tables of --ablation in Markdown'),
    };
  },
  examples: [
    ['framewalk verify traces/recordings/gcc.fwt', 'samples exact and not, faults, the first divergence'],
    ['framewalk verify recordings/bash recordings/madv', 'what perf script printed, with truth.csv and files.csv beside it'],
    ['framewalk verify gcc.fwt --out proof', 'and a report with both curves, predicted and measured'],
    ['framewalk verify *.fwt --ablation --markdown', 'which rule matters where, as a table for a document'],
    ['framewalk verify gcc.fwt --json | jq .programs[0].quantities.vm_pte_kb', 'for programs'],
  ],
  notes:
    'A recording is a directory with events.perf.txt, truth.csv and files.csv, or any trace with samples of what the kernel reported. Exit code 0: every sample is exact, or the recording itself shows why it cannot be; 1: a difference, or nothing to compare; 2: bad input. docs/verify.md explains the output.',
  async run(args) {
    const request = await requested(args);
    return flagSet(args, 'ablation') ? await ablation(args, request) : await verification(args, request);
  },
};

/** What the flags ask for, as a run. */
async function requested(args: Arguments): Promise<RunRequest> {
  const recordings = operands(args, 'recordings');
  if (recordings.length === 0) throw new UserError('no recording given; say framewalk verify FILE.fwt, or the directory of a perf recording with truth.csv');
  if (flagSet(args, 'ablation')) {
    for (const key of ['without', 'out'])
      if (args[key] !== undefined) throw new UserError(`--${key} does not go with --ablation, which switches off each rule in turn and writes no files`);
    if (flagSet(args, 'json') && flagSet(args, 'markdown')) throw new UserError('--json and --markdown are two ways to print one thing; give one of them');
  } else if (flagSet(args, 'markdown')) throw new UserError('--markdown prints the tables of --ablation; give both');
  const [{ runRequest }, { verifyFlags }] = await Promise.all([import('../run-request.js'), import('../verify.js')]);
  const flag = (key: RunKey): string | undefined => {
    const option: RunOption = RUN_OPTIONS[key];
    if (option.kind !== 'switch') return flagText(args, key);
    return args[key] === undefined ? undefined : String(flagSet(args, key));
  };
  const request = await runRequest(recordings, verifyFlags(flag));
  if (request.pmm.length > 1)
    throw new UserError(
      `--pmm ${request.pmm.join(',')}: takes one name here; of what is verified only huge pages depend on it, which a strategy without blocks of 2 MiB cannot give`,
    );
  return request;
}

const isColored = (): boolean => process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

async function verification(args: Arguments, request: RunRequest): Promise<number> {
  const [{ verifyTraces }, { verifyExitCode }] = await Promise.all([import('../verify.js'), import('../../reports/verify/program.js')]);
  const out = flagText(args, 'out');
  if (out !== undefined) makeFolders(out, '--out');
  const { result, run } = await withTraces(request, 'verifying', (traces, command, onProgress) =>
    verifyTraces(request, traces, command, out !== undefined, { signal: interruption, onProgress }),
  );
  const files = out === undefined ? [] : await written(out, { result, run });
  if (request.json) print(`${JSON.stringify(result, null, 2)}\n`);
  else {
    const { verifyText } = await import('../../reports/verify/text.js');
    print(verifyText(result.programs, isColored()));
    if (files.length > 0) print(`\nWrote ${files.join(', ')}\n`);
  }
  return verifyExitCode(result.programs);
}

async function written(out: string, { result, run }: Verified): Promise<string[]> {
  const [{ metrics }, { reportFormats, writeRun }] = await Promise.all([import('../../core/metrics/registry.js'), import('../../reports/registry.js')]);
  const verified = { name: 'verify', file: 'verify.json', about: '', deterministic: true, render: () => `${JSON.stringify(result, null, 2)}\n` };
  return await writeRun(run, out, [...reportFormats.all(), verified], { metrics: metrics.all() });
}

async function ablation(args: Arguments, request: RunRequest): Promise<number> {
  const [{ ablateTraces, ablationSteps }, text] = await Promise.all([import('../verify.js'), import('../../reports/verify/ablation.js')]);
  const steps = ablationSteps(request.policy);
  const result: AblationResult = await withTraces(request, 'verifying', (traces, command, onProgress) =>
    ablateTraces(request, traces, steps, command, { signal: interruption, onProgress }),
  );
  if (request.json) print(`${JSON.stringify(result, null, 2)}\n`);
  else print(flagSet(args, 'markdown') ? text.ablationMarkdown(result) : text.ablationText(result, isColored()));
  return 0;
}
