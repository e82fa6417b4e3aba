/** The generator of everything random: xorshift32 (Marsaglia, Xorshift RNGs, Journal of Statistical Software 8(14), 2003). The same numbers on any machine. */

/** Xorshift has no way out of 0: what a seed of 0 stands for. */
const SEED_OF_ZERO = 0x9e3779b9 | 0;

/** The first state for a seed, an int32 that is not 0. */
export function seeded(seed: number): number {
  return (seed | 0) === 0 ? SEED_OF_ZERO : seed | 0;
}

/** The state after `state`. */
export function xorshift(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x;
}
