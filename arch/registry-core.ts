/**
 * A registry: the parts of one sort (architectures, strategies, formats, ...) by name. One file and one line add a part;
 * everything that lists, checks or picks parts asks the registry.
 */

/** No part of that name. The caller that knows the flag or the file wraps it in its own message. */
export class UnknownNameError extends Error {
  override readonly name = 'UnknownNameError';
}

export interface Registry<T> {
  /** The part of that name; throws UnknownNameError that lists the known names and the closest one. */
  get(name: string): T;
  has(name: string): boolean;
  /** In the order of registration. */
  names(): readonly string[];
  all(): readonly T[];
}

/** `what` names the sort in messages ('architecture'). Throws Error when two entries share a name. */
export function makeRegistry<T>(what: string, entries: readonly T[], nameOf: (entry: T) => string): Registry<T> {
  const byName = new Map<string, T>();
  for (const entry of entries) {
    const name = nameOf(entry);
    if (byName.has(name)) throw new Error(`two entries of the ${what} registry are named '${name}'`);
    byName.set(name, entry);
  }
  const names = [...byName.keys()];
  return {
    get(name) {
      const entry = byName.get(name);
      if (entry !== undefined) return entry;
      const close = closestName(name, names);
      throw new UnknownNameError(`unknown ${what} '${name}'; known: ${names.join(', ')}${close === undefined ? '' : `; did you mean '${close}'?`}`);
    },
    has: (name) => byName.has(name),
    names: () => names,
    all: () => [...byName.values()],
  };
}

/** The name with the smallest edit distance, if that is at most a third of the longer one's length (at least 1), else undefined. */
export function closestName(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    const limit = Math.max(1, Math.floor(Math.max(name.length, candidate.length) / 3));
    if (distance <= limit && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
