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

/** One distinct name a path: those of the same name get as many of their folders in front as it takes, the same path twice a number. */
export function nameTraces(paths: readonly string[]): string[] {
  const names = paths.map(traceName);
  const folders = paths.map((path) => {
    const parts = dirname(resolve(path)).split(sep);
    return basename(path).startsWith('events.') ? parts.slice(0, -1) : parts;
  });
  for (let depth = 1; ; depth++) {
    const count = countOf(names);
    let changed = false;
    paths.forEach((path, i) => {
      const own = folders[i] as string[];
      if ((count.get(names[i] as string) as number) < 2 || depth > own.length) return;
      names[i] = [...own.slice(own.length - depth).filter((part) => part !== ''), traceName(path)].join('/');
      changed = true;
    });
    if (!changed) break;
  }
  const seen = new Map<string, number>();
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}#${times}`;
  });
}

function countOf(names: readonly string[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return count;
}
