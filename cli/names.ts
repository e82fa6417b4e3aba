/**
 * Names that a flag or a file may give: unknown ones are answered with the closest known one. Distance is Damerau's (insertion, deletion, substitution,
 * transposition of neighbours), the restricted form.
 */
import { UserError } from '../traces/event.js';

/** Edits that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(row[j - 1] + 1, last[j] + 1, last[j - 1] + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2] + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length];
}

/** The known name nearest to `name`: one it begins or one at most a third of its letters (and at least two) away; undefined when none is near. */
export function closest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? (wanted.length >= 2 ? known.find((candidate) => candidate.toLowerCase().startsWith(wanted)) : undefined);
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
