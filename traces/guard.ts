/**
 * Importers read numbers that a broken recording may hold anything in; what no machine can mean is counted here and does not become an event.
 */
import type { EventSink } from './event.js';

/** EventSink.push. */
export type Emit = EventSink['push'];

const ADDRESS_LIMIT = 2 ** 56;
const ID_LIMIT = 2 ** 31;

/** Passes on what addresses of at most 57 bits, sizes from 0 and ids of 31 bits name; counts the rest as lost. */
export function guarded(sink: Pick<EventSink, 'push'>, loss: (cause: string) => void): Emit {
  return (time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text) => {
    // Written so that NaN fails as well.
    if (!(addr >= -ADDRESS_LIMIT && addr < ADDRESS_LIMIT && addr2 >= -ADDRESS_LIMIT && addr2 <= Number.MAX_SAFE_INTEGER)) {
      loss('address that is not canonical');
    } else if (!(size >= 0)) loss('size that is negative');
    else if (!(pid < ID_LIMIT && tid < ID_LIMIT)) loss('process or thread id beyond 31 bits');
    else sink.push(time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text);
  };
}
