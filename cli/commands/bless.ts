/** `framewalk bless`: accepts the deterministic metrics of a run as the baseline that `framewalk check` compares with. */
import { operands, requiredFlag, valueFlag, type Command } from '../command.js';
import { print } from '../output.js';

export const blessCommand: Command = {
  usage: 'bless <run>',
  about: 'Accepts the results of a run as the baseline of the gate',
  options: () => Promise.resolve({ baseline: valueFlag('The baseline to write (FILE)') }),
  examples: [['framewalk bless --baseline baseline.json out', 'what the run in out/ measured is what check expects from now on']],
  async run(args) {
    const file = requiredFlag(args, 'baseline', 'framewalk bless --baseline FILE RUN');
    const [{ metrics }, { readRun }, { blessBaseline, writeBaseline }] = await Promise.all([
      import('../../core/metrics/registry.js'),
      import('../../reports/json.js'),
      import('../../reports/baseline.js'),
    ]);
    const baseline = blessBaseline(await readRun(operands(args, 'run')[0]), metrics.all());
    writeBaseline(file, baseline);
    print(`${file}: ${baseline.cells.length} cells blessed\n`);
    return 0;
  },
};
