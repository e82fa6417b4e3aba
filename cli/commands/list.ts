/** `framewalk list`: the names that the registries know. */
import { print } from '../output.js';
import { flagSet, operands, switchFlag, type Command } from '../command.js';
import { knownName } from '../names.js';

/** One name of a registry and what it is. */
export interface ListEntry {
  readonly name: string;
  readonly title: string;
  readonly [more: string]: unknown;
}

/** What can be listed, and where from. */
const LISTS: Readonly<Record<string, () => Promise<readonly ListEntry[]>>> = {
  formats: async () => (await import('../../traces/registry.js')).TRACE_FORMATS.map(({ name, title, source }) => ({ name, title, source })),
};

export const listCommand: Command = {
  usage: 'list [kind]',
  about: 'Lists the names that flags take: architectures, PMMs, heaps, formats, metrics, ...',
  options: () => Promise.resolve({ json: switchFlag('Print JSON') }),
  examples: [
    ['framewalk list', 'everything'],
    ['framewalk list pmms', 'the physical memory managers that --pmm takes'],
    ['framewalk list metrics --json', 'the columns of results.csv with their units, for programs'],
  ],
  async run(args) {
    const kind = operands(args, 'kind')[0];
    if (kind !== undefined) knownName(kind, 'list', Object.keys(LISTS));
    const wanted = kind === undefined ? Object.keys(LISTS) : [kind];
    const lists = await Promise.all(wanted.map(async (name) => [name, await LISTS[name]()] as const));
    if (flagSet(args, 'json')) {
      const value = kind === undefined ? Object.fromEntries(lists) : lists[0][1];
      print(`${JSON.stringify(value, null, 2)}\n`);
      return 0;
    }
    for (const [i, [name, entries]] of lists.entries()) {
      const width = Math.max(...entries.map((entry) => entry.name.length));
      if (kind === undefined) print(`${i === 0 ? '' : '\n'}${name}\n`);
      for (const entry of entries) print(`${kind === undefined ? '  ' : ''}${entry.name.padEnd(width)}  ${entry.title}\n`);
    }
    return 0;
  },
};
