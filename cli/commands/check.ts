/** `framewalk check`: the regression gate. Compares a run with the baseline, exactly; the exit code is the verdict. */
import { flagSet, operands, requiredFlag, switchFlag, valueFlag, type Command } from '../command.js';
import { print } from '../output.js';

export const checkCommand: Command = {
  usage: 'check <run>',
  about: 'Fails when a run is worse than the baseline',
  options: () => Promise.resolve({ baseline: valueFlag('The baseline to compare with (FILE)'), json: switchFlag('Print the findings as JSON') }),
  examples: [
    ['framewalk check --baseline baseline.json out', 'exit code 0: same or better, 1: worse, 2: not comparable'],
    ['framewalk run t.fwt --out out && framewalk check --baseline baseline.json out', 'the two lines of a CI job'],
  ],
  async run(args) {
    const file = requiredFlag(args, 'baseline', 'framewalk check --baseline FILE RUN');
    const [{ metrics }, { readRun }, { readBaseline }, { checkBaseline, gateText }] = await Promise.all([
      import('../../core/metrics/registry.js'),
      import('../../reports/json.js'),
      import('../../reports/baseline.js'),
      import('../../reports/gate.js'),
    ]);
    const outcome = checkBaseline(readBaseline(file), await readRun(operands(args, 'run')[0]), metrics.all());
    print(flagSet(args, 'json') ? `${JSON.stringify(outcome, null, 2)}\n` : gateText(outcome));
    return outcome.code;
  },
};
