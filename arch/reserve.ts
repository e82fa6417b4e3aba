/**
 * Large zeroed arrays of which only what is written costs memory. They stand on shared buffers although nobody shares them: V8 counts the full length of
 * other buffers against its heap and collects garbage for each that is large (about 10 ms apiece), and reads and writes cost the same on both. Bulk copies
 * are slower on shared buffers: arrays that are copied in one go are made the usual way.
 *
 * Throws RangeError when the machine refuses that much address space.
 */
export const reserveInt32 = (elements: number): Int32Array => new Int32Array(new SharedArrayBuffer(elements * 4));
export const reserveUint8 = (elements: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(elements));
export const reserveUint16 = (elements: number): Uint16Array => new Uint16Array(new SharedArrayBuffer(elements * 2));
export const reserveFloat64 = (elements: number): Float64Array => new Float64Array(new SharedArrayBuffer(elements * 8));
