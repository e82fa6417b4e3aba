/**
 * Names that a flag or a file may give: unknown ones are answered with the closest known one and all that are known.
 */
import { closestName } from '../arch/registry-core.js';
import { UserError } from '../traces/event.js';

/** The known name that was probably meant: the nearest by spelling, else one that begins so; undefined when none is near. */
export function closest(name: string, known: readonly string[]): string | undefined {
  return closestName(name, known) ?? (name.length >= 2 ? known.find((candidate) => candidate.startsWith(name.toLowerCase())) : undefined);
}

/** `name` if it is known; UserError that begins with `flag`, names the closest match and the known ones otherwise. */
export function knownName(name: string, flag: string, known: readonly string[]): string {
  if (known.includes(name)) return name;
  const near = closest(name, known);
  throw new UserError(`${flag} ${name}: unknown name${near === undefined ? '' : `, did you mean ${near}?`} (known: ${known.join(', ')})`);
}

/** The names of a comma-separated list, each known, none twice. */
export function knownNames(list: string, flag: string, known: readonly string[]): string[] {
  const names = list.split(',').map((name) => name.trim());
  if (names.includes('')) throw new UserError(`${flag} ${list}: empty name in the list; known: ${known.join(', ')}`);
  for (const name of names) knownName(name, flag, known);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new UserError(`${flag} ${list}: ${twice} is named twice`);
  return names;
}
