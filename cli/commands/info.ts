/** `framewalk info`: what a trace holds, and what its importer could not use. */
import { flagSet, flagText, operands, switchFlag, valueFlag, type Command } from '../command.js';
import { knownName } from '../names.js';
import { complain, print } from '../output.js';
import { startProgress } from '../progress.js';
import { registryNames } from '../registries.js';
import { inSteps } from '../steps.js';

export const infoCommand: Command = {
  usage: 'info <file>',
  about: 'Says what a trace holds and what was lost in its import',
  options: async () => ({
    json: switchFlag('Print JSON'),
    format: valueFlag(`Format of the trace, where its content does not tell: ${(await registryNames('formats')).join(', ')}`),
  }),
  examples: [
    ['framewalk info gcc.fwt', 'events by kind, processes, what was captured, losses'],
    ['framewalk info events.perf.txt.gz --json | jq .losses', 'for programs'],
  ],
  async run(args) {
    const format = flagText(args, 'format');
    if (format !== undefined) knownName(format, '--format', ['fwt', ...(await registryNames('formats'))]);
    const { openTrace, traceInfoSteps } = await import('../../traces/index.js');
    const trace = await openTrace(operands(args, 'file')[0], { format, onWarning: complain });
    try {
      const info = await inSteps(traceInfoSteps(trace), trace.rows, startProgress('reading', 'events'));
      print(flagSet(args, 'json') ? `${JSON.stringify(info, null, 2)}\n` : (await import('../info-text.js')).infoText(info));
    } finally {
      trace.close();
    }
    return 0;
  },
};
