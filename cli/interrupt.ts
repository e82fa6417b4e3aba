/**
 * Ctrl-C and SIGTERM: the first asks the work to stop (AbortSignal) and gives it a moment, the second ends the process at once. Temporary files that are
 * registered here are removed whichever way the process ends, except by SIGKILL.
 */
import { rmSync } from 'node:fs';

const GRACE_MS = 3000;
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

const controller = new AbortController();
const temporaries = new Set<string>();
let exitCode = 0;

/** Aborted when the user wants the work to stop. */
export const interruption: AbortSignal = controller.signal;

/** 130 or 143 once interrupted, 0 before. */
export const interruptedExitCode = (): number => exitCode;

/** Registers a file or folder to be removed at the end of the process; the returned function takes it off the list (after a rename). */
export function temporary(path: string): () => void {
  temporaries.add(path);
  return () => void temporaries.delete(path);
}

function removeTemporaries(): void {
  for (const path of temporaries) rmSync(path, { recursive: true, force: true });
  temporaries.clear();
}

/** Listens for the signals; called once by the command line, never by the library. */
export function watchSignals(): void {
  process.on('exit', removeTemporaries);
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (exitCode !== 0) process.exit(exitCode);
      exitCode = EXIT_CODES[name];
      controller.abort();
      setTimeout(() => process.exit(exitCode), GRACE_MS).unref();
    });
  }
}
