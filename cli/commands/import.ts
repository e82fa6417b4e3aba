/** `framewalk import`: recordings of other programs into the .fwt container. */
import { flagSet, flagText, operands, requiredFlag, switchFlag, valueFlag, type Command } from '../command.js';
import { knownName } from '../names.js';
import { complain, print } from '../output.js';
import { startProgress } from '../progress.js';
import { registryNames } from '../registries.js';

const CODECS = ['none', 'deflate', 'zstd'] as const;

export const importCommand: Command = {
  usage: 'import <files..>',
  about: 'Converts a recording to a .fwt trace',
  options: async () => ({
    output: valueFlag('The trace to write (FILE.fwt)', { alias: 'o' }),
    format: valueFlag(`Format of the input, where its content does not tell: ${(await registryNames('formats')).join(', ')}`),
    codec: valueFlag(`Compression: ${CODECS.join(', ')}`, { defaultDescription: 'deflate' }),
    strict: switchFlag('The first line that is not understood is an error'),
  }),
  examples: [
    ['framewalk import events.perf.txt.gz -o gcc.fwt', 'what perf script printed, packed or not'],
    ['framewalk import part1.csv part2.csv -o all.fwt', 'the parts of one recording, in order'],
    ['framewalk import trace.csv -o trace.fwt --codec none', 'the fastest to read again'],
  ],
  notes: 'Several files are the parts of one recording. gzip and zstd are unpacked, and the format is found by content.',
  async run(args) {
    const output = requiredFlag(args, 'output', 'framewalk import FILE... -o OUT.fwt');
    const format = flagText(args, 'format');
    if (format !== undefined) knownName(format, '--format', ['fwt', ...(await registryNames('formats'))]);
    const codec = knownName(flagText(args, 'codec') ?? 'deflate', '--codec', CODECS);
    const { importTrace } = await import('../../traces/index.js');
    const progress = startProgress('importing', 'B');
    try {
      const inputs = operands(args, 'files');
      const converted = await importTrace(inputs, output, {
        format,
        codec: CODECS.find((name) => name === codec),
        strict: flagSet(args, 'strict'),
        onProgress: progress.update,
        onWarning: (message) => complain(message),
      });
      progress.end();
      for (const loss of converted.losses) complain(`${loss.first}: ${loss.cause}${loss.count > 1 ? ` (and ${loss.count - 1} more)` : ''}`);
      print(`${output}: ${converted.rows} events\n`);
    } finally {
      progress.end();
    }
    return 0;
  },
};
