/**
 * What may be done with the pages of each process, kept up from the events themselves: for recordings whose page faults do not say whether a page was read or written.
 * mremap moves what is at its old place; a stack's growth is not followed.
 */
import { Flag, Op } from '../event.js';
import { Ranges } from './ranges.js';

const UNKNOWN = -1;
const ALL = Flag.r | Flag.w | Flag.x;

export class Protections {
  /** By process; those that share a space share it here. */
  private readonly spaces = new Map<number, Ranges>();

  /** Protection at `address`; -1 = unknown. */
  at(pid: number, address: number): number {
    return this.spaces.get(pid)?.at(address)?.protection ?? UNKNOWN;
  }

  /** Takes note of an event. */
  see(pid: number, op: Op, addr: number, size: number, addr2: number, arg: number, flags: number): void {
    switch (op) {
      case Op.mmap:
      case Op.mprotect:
        return this.set(pid, addr, size, flags & ALL);
      case Op.munmap:
        return this.set(pid, addr, size, UNKNOWN);
      case Op.mremap: {
        const protection = this.at(pid, addr2);
        this.set(pid, addr2, arg, UNKNOWN);
        return this.set(pid, addr, size, protection);
      }
      case Op.fork:
      case Op.vfork: {
        const own = this.spaces.get(pid);
        if (own !== undefined) this.spaces.set(arg, (flags & Flag.vm) !== 0 ? own : own.clone());
        return;
      }
      case Op.exec:
        this.spaces.delete(pid);
        return;
      case Op.exit:
        if ((flags & Flag.group) !== 0) this.spaces.delete(pid);
        return;
      default:
    }
  }

  private set(pid: number, start: number, bytes: number, protection: number): void {
    if (bytes <= 0) return;
    let ranges = this.spaces.get(pid);
    if (ranges === undefined) this.spaces.set(pid, (ranges = new Ranges()));
    ranges.set({ start, end: start + bytes, protection, object: 0, shift: 0 });
  }
}
