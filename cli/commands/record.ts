/**
 * `framewalk record`: runs a command and records what it does to its memory. The command's standard streams and exit code are its own; what framewalk itself has to
 * say goes to standard error, and its own failures exit with 125, as those of other programs that run programs (timeout, env).
 */
import { flagSet, flagText, operands, switchFlag, valueFlag, type Arguments, type Command } from '../command.js';
import { complain } from '../output.js';
import { startProgress, type Progress } from '../progress.js';
import { UserError } from '../../traces/event.js';

const DEFAULT_OUTPUT = 'recording.fwt';

export const recordCommand: Command = {
  usage: 'record [command..]',
  about: 'Runs a command and records it as a .fwt trace',
  ownFailure: 125,
  takesCommand: true,
  options: async () => ({
    output: valueFlag('The trace to write (FILE.fwt)', { alias: 'o', defaultDescription: DEFAULT_OUTPUT }),
    truth: { ...switchFlag('Read what the kernel reports about the processes meanwhile, for framewalk verify; --no-truth leaves it out'), default: true },
    'rss-truth': switchFlag("Record every change of the kernel's memory counters"),
    heap: switchFlag('Record the calls of malloc and free as well, in a second run under heaptrack, to FILE.heap.fwt'),
    pages: switchFlag('Record the page allocator of the whole machine as well (root), to FILE.pages.fwt'),
    'allow-lost': switchFlag('Keep a recording of which perf lost records'),
    keep: valueFlag('Keep the recording as perf printed it in this folder as well (DIR)'),
  }),
  examples: [
    ['framewalk record -o gcc.fwt -- gcc -c hello.c', 'then: framewalk verify gcc.fwt, framewalk run gcc.fwt'],
    ['sudo framewalk record ./server --port 80', 'until the server and all it started have ended; Ctrl-C keeps what was recorded'],
    ['framewalk record --heap -o sort.fwt -- sort words', 'and sort.heap.fwt, the heap calls of a second run, for --heap first-fit and its like'],
    ['framewalk record --no-truth make -j2', 'events alone, without samples of what the kernel reports'],
  ],
  notes:
    'Flags end at the command. As root the recording is exact; as an ordinary user it is an estimate (strace and perf) or a bound (strace alone), and says so. Exit code: that of the command; 125 when framewalk fails. docs/record.md explains what is recorded.',
  run: recorded,
};

async function recorded(args: Arguments): Promise<number> {
  const command = operands(args, 'command');
  const output = flagText(args, 'output') ?? DEFAULT_OUTPUT;
  if (output === '') throw new UserError('-o is empty; say -o FILE.fwt');
  const [{ record }, { thisMachine }] = await Promise.all([import('../../traces/record/recording.js'), import('../../traces/record/machine.js')]);
  const signals = watchSignals();
  let progress: Progress = startProgress('recording', 'B');
  let importing = false;
  try {
    const result = await record(
      {
        command,
        output,
        truth: flagSet(args, 'truth'),
        rssTruth: flagSet(args, 'rss-truth'),
        heap: flagSet(args, 'heap'),
        pages: flagSet(args, 'pages'),
        allowLost: flagSet(args, 'allow-lost'),
        keep: flagText(args, 'keep'),
      },
      thisMachine(),
      {
        warn(line) {
          progress.end();
          complain(line);
        },
        growing: (bytes) => progress.update(bytes, 0),
        importing(done, total) {
          if (!importing) {
            importing = true;
            progress.end();
            progress = startProgress('importing', 'B');
          }
          progress.update(done, total);
        },
        stop: signals.stop,
        started: signals.passTo,
      },
    );
    progress.end();
    for (const loss of result.losses) complain(`${output}: ${loss.cause}${loss.count > 1 ? ` (${loss.count} times)` : ''}`);
    complain(`${output}: ${result.rows} events`);
    return result.code;
  } finally {
    progress.end();
    signals.end();
  }
}

/**
 * Ctrl-C on the terminal reaches the command by itself: the recording ends when the command has. A signal that only framewalk got is passed on; the second ends
 * the recording at once, and the command with it.
 */
function watchSignals() {
  const controller = new AbortController();
  let pass: ((name: NodeJS.Signals) => void) | null = null;
  let count = 0;
  const onSignal = (name: NodeJS.Signals): void => {
    count++;
    if (count > 1 || pass === null) {
      controller.abort();
      pass?.('SIGTERM');
    } else if (name !== 'SIGINT' || !process.stdin.isTTY) pass(name);
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const others = names.map((name) => [name, process.listeners(name)] as const);
  for (const name of names) process.removeAllListeners(name).on(name, onSignal);
  return {
    stop: controller.signal,
    passTo: (signal: (name: NodeJS.Signals) => void): void => void (pass = signal),
    end(): void {
      for (const [name, listeners] of others) {
        process.removeAllListeners(name);
        for (const listener of listeners) process.on(name, listener);
      }
    },
  };
}
