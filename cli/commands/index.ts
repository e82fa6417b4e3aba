/** The commands, in the order of `framewalk --help`: one line a command. */
import type { Command } from '../command.js';
import { listCommand } from './list.js';

export const COMMANDS: readonly Command[] = [listCommand];
