/**
 * What a command of the command line is: one file in cli/commands/ and one line in cli/commands/index.ts. Its file imports nothing heavy at the top, so that
 * `--help` is quick; `run` imports what it needs. Flags arrive as text and are parsed by the command, so that messages are ours and name the flag.
 */
import type { Options } from 'yargs';
import { UserError } from '../traces/event.js';

export interface Command {
  /** As typed, with its operands as yargs writes them: `run [traces..]`. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly about: string;
  /** Flags by name; may read the registries, hence a promise. */
  options(): Promise<Readonly<Record<string, Options>>>;
  /** Command lines that work, each with what it does. */
  readonly examples: readonly (readonly [string, string])[];
  /** Last lines of the help. */
  readonly notes?: string;
  /** Exit code of the user's mistakes and of defects, where it is not the usual one. */
  readonly ownFailure?: number;
  /** Its operands are another command: flags end at the first word that is none, and all that follows is the operand `command`. */
  readonly takesCommand?: boolean;
  /** Does it; the exit code. */
  run(args: Arguments): Promise<number>;
}

/** What yargs read: flags and operands by name. */
export type Arguments = Readonly<Record<string, unknown>>;

/** A flag that takes a value. */
export const valueFlag = (describe: string, more: Options = {}): Options => ({ type: 'string', requiresArg: true, describe, ...more });

/** A flag that is there or not. */
export const switchFlag = (describe: string): Options => ({ type: 'boolean', describe });

/** The value of a flag, or undefined; UserError when it is given more than once. */
export function flagText(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) throw new UserError(`--${name} is given ${value.length} times; give it once`);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** True when the switch is given (and not switched off with --no-NAME). */
export const flagSet = (args: Arguments, name: string): boolean => (Array.isArray(args[name]) ? args[name].at(-1) === true : args[name] === true);

/** Operands of a list such as `[traces..]`. */
export const operands = (args: Arguments, name: string): string[] => {
  const value = args[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
};

/** A flag that must be there. */
export function requiredFlag(args: Arguments, name: string, example: string): string {
  const value = flagText(args, name);
  if (value === undefined || value === '') throw new UserError(`--${name} is missing; say ${example}`);
  return value;
}
