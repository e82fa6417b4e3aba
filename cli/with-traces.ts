/** Work on traces as a command does it: opened first, with a progress line for what takes long and an ear for Ctrl-C; closed whatever happens. */
import { stoppable } from './interrupt.js';
import { complain } from './output.js';
import { startProgress, type Progress } from './progress.js';
import type { RunRequest } from './run-request.js';
import { quoted } from '../reports/command.js';
import type { Trace } from '../traces/event.js';

/** `doing` stands before the work's progress ("replaying"); the work gets the traces, the command line in words and where to tell its progress. */
export async function withTraces<T>(
  request: RunRequest,
  doing: string,
  work: (traces: readonly Trace[], command: string, onProgress: Progress['update']) => Promise<T>,
): Promise<T> {
  const { openTraces } = await import('./replay.js');
  let progress = startProgress('reading', 'B');
  const reading = (name: string): Progress['update'] => {
    progress.end();
    progress = startProgress(`reading ${name}`, 'B');
    return progress.update;
  };
  let traces: readonly Trace[] = [];
  try {
    traces = await openTraces(request, { onReading: reading, onWarning: complain });
    progress.end();
    progress = startProgress(doing, 'events');
    const command = `framewalk ${process.argv.slice(2).map(quoted).join(' ')}`;
    return await stoppable(() => work(traces, command, progress.update));
  } finally {
    progress.end();
    for (const trace of traces) trace.close();
  }
}
