/** `--age`: memory as it is before a trace. Fresh, with a history drawn from a seed, or as the files of a machine say; several make the matrix larger. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Ageing } from '../core/pmm/ageing/ageing.js';
import { machineLayout, type ProcFile } from '../core/pmm/ageing/proc.js';
import { UserError } from '../traces/event.js';
import { readText } from './document.js';
import { parseCount } from './size.js';

/** The word for memory that nobody has used. */
const FRESH = 'fresh';
const EXPECTED =
  'expected SEED:UTILISATION:CHURN, such as 1:0.6:3, two files, such as /proc/buddyinfo,/proc/pagetypeinfo, the word fresh, or several of these with commas';
/** Rounds of churn at most: each works on half of the memory. */
const MOST_CHURN = 1000;
const MOST_UTILISATION = 0.99;

/** Whether a word of `--age` is a file's name, which a matrix file takes from beside it. */
export const isAgeFile = (word: string): boolean => word !== FRESH && !word.includes(':');

/** What a flag's text asks for, in its order; null is fresh memory. UserError begins with `label`. */
export function parseAges(text: string, label: string): (Ageing | null)[] {
  const words = text.split(',').map((word) => word.trim());
  const ages: (Ageing | null)[] = [];
  const said = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const other = words.at(i + 1);
    if (word === FRESH) ages.push(null);
    else if (!isAgeFile(word)) ages.push(drawnAge(word, label));
    else if (word !== '' && other !== undefined && other !== '' && isAgeFile(other)) {
      ages.push(machineAge(word, other, label));
      i++;
    } else throw new UserError(`${label} ${text}: ${EXPECTED}`);
    const name = ages.at(-1)?.label ?? FRESH;
    if (said.has(name)) throw new UserError(`${label} ${text}: ${name} is there twice`);
    said.add(name);
  }
  return ages;
}

function drawnAge(text: string, label: string): Ageing {
  const [seed, share, churn, ...more] = text.split(':').map((part) => part.trim());
  if (seed === undefined || share === undefined || churn === undefined || more.length > 0) throw new UserError(`${label} ${text}: ${EXPECTED}`);
  const utilisation = /^\d*\.?\d+$/.test(share) ? Number(share) : Number.NaN;
  if (!(utilisation > 0 && utilisation <= MOST_UTILISATION))
    throw new UserError(`${label} ${text}: UTILISATION is ${share}; expected a share of memory above 0, up to ${MOST_UTILISATION}, such as 0.6`);
  return {
    kind: 'drawn',
    seed: parseCount(seed, `${label} ${text}: SEED`, 0, 2 ** 32 - 1),
    utilisation,
    churn: parseCount(churn, `${label} ${text}: CHURN`, 0, MOST_CHURN),
    label: `${Number(seed)}:${utilisation}:${Number(churn)}`,
    hash: '',
  };
}

function machineAge(one: string, other: string, label: string): Ageing {
  const read = (name: string): ProcFile => ({ name, text: readText(name, label) });
  const files = [read(one), read(other)] as const;
  const hash = createHash('sha256');
  for (const { text } of files) hash.update(text);
  return { ...machineLayout(files), label: `${basename(one)}+${basename(other)}`, hash: hash.digest('hex') };
}
