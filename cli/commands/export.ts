/** `framewalk export`: a trace of any format as native CSV. */
import { flagText, operands, requiredFlag, valueFlag, type Command } from '../command.js';
import { complain, print } from '../output.js';
import { startProgress } from '../progress.js';
import { registryNames } from '../registries.js';
import { inSteps } from '../steps.js';
import { knownName } from '../names.js';

export const exportCommand: Command = {
  usage: 'export <file>',
  about: 'Writes a trace as CSV',
  options: async () => ({
    output: valueFlag('The file to write (FILE.csv)', { alias: 'o' }),
    format: valueFlag(`Format of the trace, where its content does not tell: ${(await registryNames('formats')).join(', ')}`),
  }),
  examples: [
    ['framewalk export gcc.fwt -o gcc.csv', 'one line an event; framewalk import reads it back'],
    ['framewalk export gcc.fwt -o /dev/stdout | head', 'a look at the first events'],
  ],
  async run(args) {
    const output = requiredFlag(args, 'output', 'framewalk export FILE -o OUT.csv');
    const format = flagText(args, 'format');
    if (format !== undefined) knownName(format, '--format', ['fwt', ...(await registryNames('formats'))]);
    const { exportCsvSteps, openTrace } = await import('../../traces/index.js');
    const [file] = operands(args, 'file');
    const trace = await openTrace(file, { format, onWarning: complain });
    try {
      await inSteps(exportCsvSteps(trace, output), trace.rows, startProgress('exporting', 'events'));
    } finally {
      trace.close();
    }
    if (output !== '/dev/stdout') print(`${output}: ${trace.rows} events\n`);
    return 0;
  },
};
