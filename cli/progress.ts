/**
 * A progress line on stderr for long work: bar, share, rate and time left. Draws only on a terminal, at most ten times a second, and removes itself at the
 * end, so that piped output has no control codes.
 */
export interface Progress {
  /** `done` of the total so far; `total` may become known or change on the way (0 = unknown). */
  update(done: number, total: number): void;
  /** Removes the line. */
  end(): void;
}

const WIDTH = 28;
const PERIOD_MS = 100;

const seconds = (s: number): string => (s >= 60 ? `${Math.floor(s / 60)} min ${String(Math.round(s % 60)).padStart(2, '0')} s` : `${Math.ceil(s)} s`);

const short = (n: number): string => {
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  return n >= 1e3 ? `${(n / 1e3).toFixed(1)} k` : `${Math.round(n)} `;
};

/** The line for a moment; pure, so that it can be tested without a terminal. */
export function progressLine(what: string, unit: string, done: number, total: number, elapsedS: number): string {
  const rate = elapsedS > 0 ? done / elapsedS : 0;
  const pace = `${short(rate)}${unit}/s`;
  if (total <= 0) return `${what}  ${short(done)}${unit}  ${pace}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * WIDTH);
  const left = rate > 0 ? `  ${seconds((total - done) / rate)} left` : '';
  return `${what} [${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %  ${pace}${left}`;
}

/** A progress line that says `what` is done, in `unit`s; silent when `out` is no terminal. */
export function startProgress(what: string, unit: string, out: NodeJS.WriteStream = process.stderr, now: () => number = () => performance.now()): Progress {
  if (!out.isTTY) return { update: () => undefined, end: () => undefined };
  const started = now();
  let drawn = -Infinity;
  return {
    update(done, total) {
      const time = now();
      if (time - drawn < PERIOD_MS) return;
      drawn = time;
      const line = progressLine(what, unit, done, total, (time - started) / 1000);
      out.write(`\r\x1b[2K${line.slice(0, Math.max(20, (out.columns > 0 ? out.columns : 80) - 1))}`);
    },
    end() {
      if (drawn !== -Infinity) out.write('\r\x1b[2K');
    },
  };
}
