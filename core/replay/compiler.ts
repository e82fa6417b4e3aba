/**
 * How deep V8's optimising compiler inlines. The replay is many small functions over constant typed arrays; with the presets (460 bytes of bytecode a
 * function, 920 in all) about a twelfth of its time goes into calls. Called by whoever owns the thread that replays: a worker, a benchmark; never by the library
 * on its caller's behalf.
 */
import { setFlagsFromString } from 'node:v8';

export function inlineDeeply(): void {
  setFlagsFromString('--max-inlined-bytecode-size=1000');
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
  setFlagsFromString('--max-optimized-bytecode-size=200000');
}
