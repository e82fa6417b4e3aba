/** The commands, in the order of `framewalk --help`: one line a command. */
import type { Command } from '../command.js';
import { blessCommand } from './bless.js';
import { checkCommand } from './check.js';
import { checkPmmCommand } from './check-pmm.js';
import { exportCommand } from './export.js';
import { importCommand } from './import.js';
import { infoCommand } from './info.js';
import { listCommand } from './list.js';
import { recordCommand } from './record.js';
import { runCommand } from './run.js';
import { verifyCommand } from './verify.js';

export const COMMANDS: readonly Command[] = [
  runCommand,
  recordCommand,
  verifyCommand,
  importCommand,
  exportCommand,
  infoCommand,
  listCommand,
  checkPmmCommand,
  checkCommand,
  blessCommand,
];
