/**
 * Typed arrays as large as the simulated memory wants them: reserved address space, of which only what is written costs
 * memory. A machine may still refuse to reserve (container limits, vm.overcommit_memory): that is then said in one line.
 */
import * as arch from '../../arch/reserve.js';
import { UserError } from '../../traces/event.js';

/** Arrays of up to 64 bytes live on the garbage-collected heap, where their addresses are no constants. */
const MIN_ELEMENTS = 128;

/** Zeroed; throws UserError when the machine refuses. */
export const reserveInt32 = (elements: number): Int32Array => reserved(elements, 4, arch.reserveInt32);
export const reserveUint8 = (elements: number): Uint8Array => reserved(elements, 1, arch.reserveUint8);
export const reserveFloat64 = (elements: number): Float64Array => reserved(elements, 8, arch.reserveFloat64);
export const reserveUint16 = (elements: number): Uint16Array => reserved(elements, 2, arch.reserveUint16);

function reserved<T>(elements: number, bytes: number, make: (elements: number) => T): T {
  const count = Math.max(elements, MIN_ELEMENTS);
  try {
    return make(count);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const gib = ((count * bytes) / 2 ** 30).toFixed(1);
    throw new UserError(`--memory: this machine refuses to reserve ${gib} GiB of address space for the state of the simulated frames; give less memory`, {
      cause: error,
    });
  }
}
