/**
 * The readings that truth.c made, as the import wants them: with the command's own fault counts, and marked racy where a page fault was under way that came to
 * nothing (raw-events.ts). What else makes a reading racy the importer finds out itself.
 */
import type { GivenUp } from './raw-events.js';

export interface Before {
  readonly minor: number;
  readonly major: number;
}

/**
 * `truth.csv` without the faults that process `pid` had `before` it became the command. A fault that waited for a disk may be counted as either kind or as both,
 * so after the first major fault of a process its minor ones are left out.
 */
export function readingsOf(text: string, pid: number, before: Before, givenUp: readonly GivenUp[]): string {
  const [header = '', ...lines] = text.split('\n');
  const columns = header.split(',');
  const at = { time: columns.indexOf('time_ns'), pid: columns.indexOf('pid'), minor: columns.indexOf('minor_faults'), major: columns.indexOf('major_faults') };
  const spans = groups(givenUp);
  const own = lines
    .filter((line) => line !== '')
    .map((line) => {
      const fields = line.split(',');
      const process = Number(fields[at.pid]);
      const time = Number(fields[at.time]);
      const major = Number(fields[at.major]) - (process === pid ? before.major : 0);
      fields[at.minor] = major > 0 ? '' : String(Number(fields[at.minor]) - (process === pid ? before.minor : 0));
      fields[at.major] = String(major);
      const racy = spans.get(process)?.some(({ from, until }) => time > from && time < until) === true;
      return `${fields.join(',')},${racy ? 1 : ''}`;
    });
  return `${[`${header},racy`, ...own].join('\n')}\n`;
}

function groups(all: readonly GivenUp[]): Map<number, GivenUp[]> {
  const byPid = new Map<number, GivenUp[]>();
  for (const one of all) {
    const same = byPid.get(one.pid);
    if (same === undefined) byPid.set(one.pid, [one]);
    else same.push(one);
  }
  return byPid;
}
