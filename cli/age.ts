/** `--age`: a history drawn from a seed, or the files of a machine. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Ageing } from '../core/pmm/ageing/ageing.js';
import { machineLayout } from '../core/pmm/ageing/proc.js';
import { UserError } from '../traces/event.js';
import { readText } from './document.js';
import { parseCount } from './size.js';

/** Rounds of churn at most: each works on half of the memory. */
const MOST_CHURN = 1000;
const MOST_UTILISATION = 0.99;

/** Whether a value of `--age` names files, which a matrix file takes from beside it. */
export const namesFiles = (text: string): boolean => !text.includes(':');

/** The ageing that a flag's text asks for. UserError begins with `label`. */
export function parseAge(text: string, label: string): Ageing {
  if (namesFiles(text)) return machineAge(text, label);
  const parts = text.split(':').map((part) => part.trim());
  const [seed = '', share = '', churn = ''] = parts;
  const utilisation = /^\d*\.?\d+$/.test(share) ? Number(share) : Number.NaN;
  if (parts.length !== 3)
    throw new UserError(`${label} ${text}: expected SEED:UTILISATION:CHURN, such as 1:0.6:3, or two files, such as /proc/buddyinfo,/proc/pagetypeinfo`);
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

function machineAge(text: string, label: string): Ageing {
  const paths = text.split(',').map((part) => part.trim());
  const [one, other] = paths;
  if (one === undefined || other === undefined || paths.length !== 2)
    throw new UserError(`${label} ${text}: expected SEED:UTILISATION:CHURN, such as 1:0.6:3, or two files, such as /proc/buddyinfo,/proc/pagetypeinfo`);
  const files = [one, other].map((path) => ({ name: path, text: readText(path, label) })) as [{ name: string; text: string }, { name: string; text: string }];
  const layout = machineLayout(files);
  const hash = createHash('sha256');
  for (const file of files) hash.update(file.text);
  return { ...layout, label: `${basename(one)},${basename(other)}`, hash: hash.digest('hex') };
}
