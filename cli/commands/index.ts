/** The commands, in the order of `framewalk --help`: one line a command. */
import type { Command } from '../command.js';
import { blessCommand } from './bless.js';
import { checkCommand } from './check.js';
import { listCommand } from './list.js';

export const COMMANDS: readonly Command[] = [listCommand, checkCommand, blessCommand];
