#!/usr/bin/env node
/**
 * The command line's entry: reads the arguments, runs one command, turns what it throws into lines and exit codes.
 * 0 fine · 1 the gate found a regression or verify a difference · 2 the user's mistake or bad input · 3 a defect of framewalk's · 130, 143 interrupted.
 */
import yargs, { type Argv } from 'yargs';
import { UserError } from '../traces/event.js';
import { fileError } from '../traces/io-error.js';
import type { Arguments, Command } from './command.js';
import { COMMANDS } from './commands/index.js';
import { interruptedExitCode, watchSignals } from './interrupt.js';
import { closest } from './names.js';
import { complain, watchStandardStreams } from './output.js';
import { version } from './version.js';

const USER_MISTAKE = 2;
const DEFECT = 3;

/** Flags every command has. */
const COMMON_FLAGS = ['help', 'version'];

/** What yargs says about arguments that it does not know, with the closest flag or command added. */
function improved(message: string, command: Command | undefined, flags: readonly string[]): string {
  const unknown = /^Unknown (?:arguments?|commands?): (.*)$/.exec(message)?.[1].split(', ');
  if (unknown === undefined) return message;
  if (command === undefined) {
    const near = closest(
      unknown[0],
      COMMANDS.map((one) => one.usage.split(' ')[0]),
    );
    return `${unknown[0]}: unknown command${near === undefined ? '' : `, did you mean ${near}?`} (framewalk --help lists the commands)`;
  }
  const name = command.usage.split(' ')[0];
  const first = unknown[0];
  const isFlag = process.argv.some((word) => word === `--${first}` || word.startsWith(`--${first}=`) || word === `-${first}`);
  if (!isFlag) return `${first}: ${name} takes no such argument (framewalk ${name} --help)`;
  const near = closest(first, [...flags, ...COMMON_FLAGS]);
  return `--${first}: unknown flag${near === undefined ? '' : `, did you mean --${near}?`} (framewalk ${name} --help lists the flags)`;
}

/** The command that was found in the arguments, for the exit code of its failures. */
let chosen: Command | undefined;

/** Takes what follows the flags of a command that runs another one: its words are nobody's flags. */
async function takeOperand(words: readonly string[]): Promise<{ words: readonly string[]; operand: readonly string[] }> {
  const command = COMMANDS.find((one) => one.takesCommand === true && one.usage.split(' ')[0] === words[0]);
  if (command === undefined) return { words, operand: [] };
  const options = await command.options();
  const takesValue = new Set(
    Object.entries(options).flatMap(([name, { requiresArg, alias }]) => (requiresArg === true ? [`--${name}`, `-${String(alias)}`] : [])),
  );
  let at = 1;
  for (; at < words.length; at++) {
    const word = words[at] as string;
    if (word === '--') return { words: words.slice(0, at), operand: words.slice(at + 1) };
    if (!word.startsWith('-') || word === '-') break;
    if (takesValue.has(word)) at++;
  }
  return { words: words.slice(0, at), operand: words.slice(at) };
}

/** Parses the arguments and runs the command they name; its exit code. */
async function dispatch(given: readonly string[]): Promise<number> {
  const { words, operand } = await takeOperand(given);
  let exitCode = 0;
  let flags: readonly string[] = [];
  const parser: Argv = yargs()
    .scriptName('framewalk')
    .usage(
      '$0 COMMAND\n\nReplays recorded memory traffic of real programs against a virtual memory manager with swappable parts and says what each choice costs.',
    )
    .locale('en')
    .parserConfiguration({ 'camel-case-expansion': false, 'parse-numbers': false, 'parse-positional-numbers': false, 'dot-notation': false })
    .version(version())
    .alias('help', 'h')
    .strict()
    .demandCommand(1, 'no command given (framewalk --help lists them)')
    .wrap(Math.min(120, process.stdout.columns || 100))
    .exitProcess(false)
    .completion('completion', 'Prints a script that completes commands and flags in bash or zsh')
    .fail((message, error) => {
      throw error ?? new UserError(improved(message, chosen, flags));
    });
  for (const command of COMMANDS) {
    parser.command({
      command: command.usage,
      describe: command.about,
      builder: async (argv: Argv) => {
        chosen = command;
        const options = await command.options();
        flags = Object.keys(options);
        return argv
          .options(options)
          .example(command.examples.map(([line, meaning]): [string, string] => [line, meaning]))
          .epilogue(command.notes ?? '');
      },
      handler: async (args: Arguments) => {
        exitCode = await command.run(command.takesCommand === true ? { ...args, command: operand } : args);
      },
    });
  }
  await parser.parseAsync([...words]);
  return exitCode;
}

/** The reader of what we write went away: nobody is left to be told. */
function isClosedPipe(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause ?? error) : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'EPIPE';
}

/** A worker thread used up the memory that Node allows it. */
function isOutOfMemory(error: unknown): error is Error {
  return error instanceof Error && error.cause instanceof Error && 'code' in error.cause && error.cause.code === 'ERR_WORKER_OUT_OF_MEMORY';
}

/** What an error means for the user: a line or more on standard error, and the exit code. */
function report(error: unknown): number {
  const stopped = interruptedExitCode();
  if (stopped !== 0) {
    complain('interrupted; nothing was written');
    return stopped;
  }
  if (isClosedPipe(error)) return 0;
  if (isOutOfMemory(error)) {
    complain(`${error.message}; give Node more memory (NODE_OPTIONS=--max-old-space-size=MIB) or use fewer --workers`);
    return USER_MISTAKE;
  }
  const seen = fileError('', '', error);
  if (seen instanceof Error && (seen.name === 'UserError' || seen.name === 'YError')) {
    const path = error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : '';
    complain(seen === error ? seen.message : `${path}${seen.message.replace(': cannot ', '')}`);
    return USER_MISTAKE;
  }
  complain('this is a defect of framewalk; please report it with the command line and these lines:');
  process.stderr.write(`framewalk ${version()}, Node ${process.version}, ${process.platform} ${process.arch}: framewalk ${process.argv.slice(2).join(' ')}\n`);
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return DEFECT;
}

watchStandardStreams();
watchSignals();
try {
  process.exitCode = await dispatch(process.argv.slice(2));
} catch (error) {
  const code = report(error);
  process.exitCode = code === USER_MISTAKE || code === DEFECT ? (chosen?.ownFailure ?? code) : code;
}
