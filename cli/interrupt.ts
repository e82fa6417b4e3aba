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

/**
 * Ends the process. exit() joins the threads that read files, and one of them may wait for a pipe that nobody writes to; then only the signal itself, unhandled,
 * ends the process. A shell reports the same code for both.
 */
function leave(name: keyof typeof EXIT_CODES): void {
  if (!process.getActiveResourcesInfo().some((resource) => resource.startsWith('FSReq'))) process.exit(EXIT_CODES[name]);
  process.emit('exit', EXIT_CODES[name]);
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}

/** Listens for the signals; called once by the command line, never by the library. */
export function watchSignals(): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      const again = exitCode !== 0;
      exitCode = EXIT_CODES[name];
      if (again) leave(name);
      else if (stoppables === 0) {
        process.stderr.write('framewalk: interrupted; nothing was written\n');
        leave(name);
      } else {
        controller.abort();
        setTimeout(() => leave(name), GRACE_MS).unref();
      }
    });
  }
}
