/**
 * The command line of a run without what differs between machines: absolute paths become file names, and options that cannot change a
 * deterministic value (where results go, how many workers) go away. Words are split and quoted as a POSIX shell does (XCU 2.2), without expansions.
 */

/** Options that say how or where, not what; those in VALUED take a value. */
const VALUED = new Set(['--out', '-o', '--workers', '--trace-memory', '--repeats']);
const PLAIN = new Set(['--json', '--quiet', '--progress', '--no-progress', '--color', '--no-color']);

/** Splits a command line into words, undoing quotes. */
export function shellWords(command: string): string[] {
  const words: string[] = [];
  const pattern = /(?:[^\s'"\\]+|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+/gs;
  for (const [raw] of command.matchAll(pattern)) {
    words.push(
      raw.replace(
        /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs,
        (_, single?: string, double?: string, escaped?: string) => single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? '',
      ),
    );
  }
  return words;
}

/** The word itself when a shell needs no quotes for it, in single quotes otherwise. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

const isAbsolute = (path: string): boolean => /^(?:[\\/]|[A-Za-z]:[\\/]|\.\.[\\/]|~[\\/])/.test(path);

const fileName = (path: string): string => (isAbsolute(path) ? path.replace(/^.*[\\/](?=[^\\/])/s, '') : path);

/** Lists, such as of modules or of the files of a machine, are of paths each. */
function withoutFolders(word: string): string {
  const [, option = '', value = word] = /^(--?[\w-]+=)(.*)$/s.exec(word) ?? [];
  return option + value.split(',').map(fileName).join(',');
}

/** The same command on every machine that repeats the run. */
export function portableCommand(command: string): string {
  const kept: string[] = [];
  const words = shellWords(command);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const name = word.split('=', 1)[0] ?? word;
    if (PLAIN.has(name)) continue;
    if (VALUED.has(name)) {
      if (!word.includes('=')) i++;
      continue;
    }
    kept.push(quoted(withoutFolders(word)));
  }
  return kept.join(' ');
}
