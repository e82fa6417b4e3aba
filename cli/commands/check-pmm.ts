/** `framewalk check-pmm`: whether a physical memory manager keeps its contract, and if not the shortest sequence that shows it. */
import type { CheckResult } from '../../core/pmm/check/run.js';
import { flagSet, flagText, operands, switchFlag, valueFlag, type Command } from '../command.js';
import { interruption } from '../interrupt.js';
import { print } from '../output.js';

const BROKEN = 1;

export const checkPmmCommand: Command = {
  usage: 'check-pmm <pmm>',
  about: 'Checks a PMM of your own, and shows the shortest sequence that breaks it',
  options: () =>
    Promise.resolve({
      seed: valueFlag('Seed of the random sequences', { defaultDescription: '1' }),
      timeout: valueFlag('Seconds that one request may take', { defaultDescription: '10' }),
      json: switchFlag('Print JSON'),
    }),
  examples: [
    ['framewalk check-pmm ./mine.wasm', "a kernel's allocator, compiled with framewalk_pmm.h"],
    ['framewalk check-pmm ./mine.ts --seed 7', 'a module of your own, other random sequences'],
    ['framewalk check-pmm buddy', 'one of framewalk'],
  ],
  notes: 'Exit code 0: it keeps the contract, 1: it does not, 2: it cannot be loaded. docs/own-pmm.md says what is asked of it.',
  async run(args) {
    const [{ checkPmm }, { parseCount }, { isOwnFile }] = await Promise.all([
      import('../../core/pmm/check/run.js'),
      import('../size.js'),
      import('../../core/pmm/own/names.js'),
    ]);
    const pmm = operands(args, 'pmm')[0] ?? '';
    if (!isOwnFile(pmm)) {
      const [{ knownName }, { registryNames }] = await Promise.all([import('../names.js'), import('../registries.js')]);
      knownName(pmm, 'check-pmm', await registryNames('pmms'));
    }
    const seed = parseCount(flagText(args, 'seed') ?? '1', '--seed', 1, 2 ** 31 - 1);
    const timeout = parseCount(flagText(args, 'timeout') ?? '10', '--timeout', 1, 86_400);
    const result = await checkPmm(pmm, { seed, timeout, signal: interruption });
    print(flagSet(args, 'json') ? `${JSON.stringify(result, null, 2)}\n` : checkText(result));
    return result.keeps ? 0 : BROKEN;
  },
};

const grouped = (n: number): string => n.toLocaleString('en').replaceAll(',', ' ');

/** The result for people. */
export function checkText({ pmm, sequences, requests, memories, violation }: CheckResult): string {
  if (violation === null) return `${pmm}: keeps the contract: ${grouped(requests)} requests in ${grouped(sequences)} sequences over ${memories} memories\n`;
  const { what, memory, cpus, steps, afterwards } = violation;
  const ranges = memory.map(({ first, count }) => `${first} to ${first + count - 1}`).join(', ');
  const width = String(steps.length).length;
  const lines = steps.map(({ action, order, frame, of }, i) => {
    const said =
      action === 'free'
        ? `free      order ${order}, ${frame === null ? `what ${of} was given` : `frame ${frame}`}`
        : `allocate  order ${order}${frame === null ? '' : ` -> ${frame}`}`;
    return `  ${String(i + 1).padStart(width)}  ${said}`;
  });
  if (afterwards) lines.push(steps.length === 0 ? '  all there is is asked for' : `  ${' '.repeat(width)}  then all comes back, and all there is is asked for`);
  const on = cpus > 1 ? `, ${cpus} CPUs, every third request on the last` : '';
  return `${pmm}: ${what}\n\n  usable frames ${ranges}${on}\n${lines.join('\n')}\n`;
}
