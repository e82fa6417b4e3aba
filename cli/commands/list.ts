/** `framewalk list`: the names that the registries know. */
import { flagSet, operands, switchFlag, type Command } from '../command.js';
import { knownName } from '../names.js';
import { print } from '../output.js';
import { isRegistryName, REGISTRY_NAMES, registryEntries, type ListEntry } from '../registries.js';

const table = (entries: readonly ListEntry[], indent: string): string => {
  const width = Math.max(0, ...entries.map((entry) => entry.name.length));
  return entries
    .map(({ name, title, about, unit, rules = [] }) => {
      const line = `${indent}${name.padEnd(width)}  ${title}${about === undefined ? '' : ` (${unit}): ${about}`}\n`;
      return line + table(rules, `${indent}  `);
    })
    .join('');
};

export const listCommand: Command = {
  usage: 'list [kind]',
  about: `Lists names: ${REGISTRY_NAMES.join(', ')}`,
  options: () => Promise.resolve({ json: switchFlag('Print JSON') }),
  examples: [
    ['framewalk list', 'everything'],
    ['framewalk list pmms', 'the physical memory managers that --pmm takes'],
    ['framewalk list metrics --json', 'the columns of results.csv with their units, for programs'],
  ],
  async run(args) {
    const kind = operands(args, 'kind').at(0);
    const wanted = (kind === undefined ? REGISTRY_NAMES : [knownName(kind, 'list', REGISTRY_NAMES)]).filter(isRegistryName);
    const lists = await Promise.all(wanted.map(async (name) => [name, await registryEntries(name)] as const));
    if (flagSet(args, 'json')) print(`${JSON.stringify(kind === undefined ? Object.fromEntries(lists) : lists[0][1], null, 2)}\n`);
    else if (kind === undefined) print(lists.map(([name, entries]) => `${name}\n${table(entries, '  ')}`).join('\n'));
    else print(table(lists[0][1], ''));
    return 0;
  },
};
