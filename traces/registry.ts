/**
 * The trace formats that can be imported: one line a format. The container .fwt is not in here, it is opened directly (traces/fwt.ts).
 */
import { UserError } from './event.js';
import type { TraceFormat } from './format.js';
import { csvFormat } from './formats/csv.js';
import { heaptrackFormat } from './formats/heaptrack.js';
import { lackeyFormat } from './formats/lackey.js';
import { pageAllocFormat } from './formats/page-alloc.js';
import { perfFormat } from './formats/perf.js';
import { straceFormat } from './formats/strace.js';

/** Every importer, in the order `framewalk list formats` shows. */
export const TRACE_FORMATS: readonly TraceFormat[] = [csvFormat, perfFormat, straceFormat, lackeyFormat, heaptrackFormat, pageAllocFormat];

/** Below this nobody claims the input. */
const SURE_ENOUGH = 0.1;

const names = (): string => TRACE_FORMATS.map((f) => f.name).join(', ');

/** The format of that name; UserError with the known ones otherwise. */
export function formatByName(name: string): TraceFormat {
  const found = TRACE_FORMATS.find((f) => f.name === name);
  if (found === undefined) throw new UserError(`--format ${name}: unknown trace format; known: ${names()}`);
  return found;
}

/** The format that is surest of `head`; UserError when none is. `file` is for the message and, its last component, a tie-breaker. */
export function detectFormat(head: string, file: string): TraceFormat {
  if (head.startsWith('FWT1')) throw new UserError(`${file}: a packed .fwt trace; unpack it first (its blocks are packed already)`);
  const fileName = file.slice(file.lastIndexOf('/') + 1);
  let best: TraceFormat | undefined;
  let bestScore = SURE_ENOUGH;
  for (const format of TRACE_FORMATS) {
    const score = format.detect(head, fileName);
    if (score > bestScore) {
      best = format;
      bestScore = score;
    }
  }
  if (best === undefined) throw new UserError(`${file}: not in a trace format I know (fwt, ${names()}); name it with --format NAME if it is one of them`);
  return best;
}
