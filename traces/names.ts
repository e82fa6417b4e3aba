/**
 * Names of traces from their paths, as the columns of results show them.
 */
import { basename, dirname, resolve, sep } from 'node:path';

const ENDINGS = /\.(?:gz|zst|fwt|csv|txt|log|out|perf|strace|lackey|heaptrack|raw)$/i;

/** `gcc` for gcc.fwt, gcc.perf.txt.gz and gcc/events.perf.txt.gz. */
export function traceName(path: string): string {
  const file = basename(resolve(path));
  if (file.startsWith('events.')) return basename(dirname(resolve(path))) || 'events';
  let stem = file;
  for (let shorter = stem.replace(ENDINGS, ''); shorter !== stem && shorter !== ''; shorter = stem.replace(ENDINGS, '')) stem = shorter;
  return stem;
}

/** One distinct name a path: those of the same name get as many of their folders in front as it takes to tell them apart, those of the same folder a number. */
export function nameTraces(paths: readonly string[]): string[] {
  const places = paths.map(placeOf);
  const keys = places.map(({ folders, name }) => [...folders, name].join(sep));
  const distinct = new Map(keys.map((key, i) => [key, places[i] as Place]));
  const named = new Map([...distinct].map(([key, { name }]) => [key, name]));
  for (let depth = 1; ; depth++) {
    const count = new Map<string, number>();
    for (const name of named.values()) count.set(name, (count.get(name) ?? 0) + 1);
    const alike = [...named].filter(([, name]) => (count.get(name) as number) > 1).map(([key]) => key);
    if (alike.length === 0) break;
    for (const key of alike) {
      const { folders, name } = distinct.get(key) as Place;
      named.set(key, [...folders.slice(-depth), name].join('/'));
    }
  }
  const taken = new Set(named.values());
  const seen = new Set<string>();
  return keys.map((key) => {
    const name = named.get(key) as string;
    if (!seen.has(key)) {
      seen.add(key);
      return name;
    }
    let number = 2;
    while (taken.has(`${name}#${number}`)) number++;
    taken.add(`${name}#${number}`);
    return `${name}#${number}`;
  });
}

interface Place {
  /** From the root to where what gives the name lies. */
  folders: string[];
  name: string;
}

function placeOf(path: string): Place {
  const whole = resolve(path);
  const folder = dirname(basename(whole).startsWith('events.') ? dirname(whole) : whole);
  return { folders: folder.split(sep).filter((part) => part !== ''), name: traceName(path) };
}
