/**
 * Ctrl-C and SIGTERM. Work that can stop by itself listens to `interruption` within `stoppable`: it gets a moment to end its workers, and a second signal ends the
 * process at once. Other work ends at once. Files that are written aside are removed as the process exits (traces/bytes.ts, reports/write.ts).
 */
const GRACE_MS = 5000;
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

const controller = new AbortController();
let stoppables = 0;
let exitCode = 0;

/** Aborted when the user wants the work to stop. */
export const interruption: AbortSignal = controller.signal;

/** 130 or 143 once interrupted, 0 before. */
export const interruptedExitCode = (): number => exitCode;

/** Does work that ends soon, by an error, when `interruption` is aborted. */
export async function stoppable<T>(work: () => Promise<T>): Promise<T> {
  stoppables++;
  try {
    return await work();
  } finally {
    stoppables--;
  }
}

/** Listens for the signals; called once by the command line, never by the library. */
export function watchSignals(): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (exitCode !== 0) process.exit(exitCode);
      exitCode = EXIT_CODES[name];
      if (stoppables === 0) {
        process.stderr.write('framewalk: interrupted; nothing was written\n');
        process.exit(exitCode);
      }
      controller.abort();
      setTimeout(() => process.exit(exitCode), GRACE_MS).unref();
    });
  }
}
