/**
 * What is mapped, by process, and nothing else. An oracle for importers: the pages that are mapped are VmSize.
 *
 * Slow and simple on purpose: disjoint spans in no order, each operation looks at all of them; no tables, no protection, no content.
 */
import { Flag, Op, type TraceEvent } from '../../traces/event.js';

interface Span {
  from: number;
  to: number;
  growsDown: boolean;
}

/** Pages of one space as disjoint spans, in no order. */
class SpaceOracle {
  spans: Span[] = [];
  brkStart = NaN;
  brk = NaN;
  users = 1;

  copy(): SpaceOracle {
    const copy = new SpaceOracle();
    copy.spans = this.spans.map((span) => ({ ...span }));
    copy.brkStart = this.brkStart;
    copy.brk = this.brk;
    return copy;
  }

  remove(from: number, to: number): void {
    this.spans = this.spans.flatMap((span) => {
      if (span.to <= from || span.from >= to) return [span];
      const left = { ...span, to: Math.min(span.to, from) };
      const right = { ...span, from: Math.max(span.from, to) };
      return [left, right].filter((piece) => piece.from < piece.to);
    });
  }

  add(from: number, to: number, growsDown = false): void {
    this.remove(from, to);
    if (from < to) this.spans.push({ from, to, growsDown });
  }

  /** A fault below the stack makes it grow, as far as nothing else is mapped between. */
  touch(page: number): boolean {
    if (this.spans.some((span) => span.from <= page && page < span.to)) return true;
    const above = this.spans.filter((span) => span.from > page).sort((a, b) => a.from - b.from)[0];
    if (above === undefined || !above.growsDown) return false;
    above.from = page;
    return true;
  }

  get pages(): number {
    return this.spans.reduce((sum, span) => sum + span.to - span.from, 0);
  }
}

const pageOf = (address: number): number => Math.floor(address / 4096);
const pageUp = (address: number): number => Math.ceil(address / 4096);

export class MappedRanges {
  private readonly spaces = new Map<number, SpaceOracle>();
  /** Living threads, by process. */
  private readonly threads = new Map<number, Set<number>>();
  /** Touches of pages that nothing maps. */
  wild: TraceEvent[] = [];

  /** KiB mapped by process `pid`; undefined if there is no such process. */
  vmSize(pid: number): number | undefined {
    const space = this.spaces.get(pid);
    return space === undefined ? undefined : space.pages * 4;
  }

  apply(event: TraceEvent): void {
    const { pid, op, addr, size, addr2, arg, flags } = event;
    if (op === Op.object || op === Op.cache || op === Op.sample) return;
    let space = this.spaces.get(pid);
    if (space === undefined) {
      space = new SpaceOracle();
      this.spaces.set(pid, space);
      this.threads.set(pid, new Set([event.tid]));
    }
    switch (op) {
      case Op.fork:
      case Op.vfork: {
        this.spaces.set(arg, (flags & Flag.vm) !== 0 ? space : space.copy());
        this.threads.set(arg, new Set([arg]));
        break;
      }
      case Op.thread:
        this.threads.get(pid)?.add(arg);
        break;
      case Op.exec:
        this.spaces.set(pid, new SpaceOracle());
        this.threads.set(pid, new Set([event.tid]));
        break;
      case Op.exit: {
        const threads = this.threads.get(pid);
        threads?.delete(event.tid);
        if (threads?.size === 0) this.spaces.delete(pid);
        break;
      }
      case Op.mmap:
        space.add(pageOf(addr), pageUp(addr + size), (flags & Flag.growsdown) !== 0);
        break;
      case Op.munmap:
        space.remove(pageOf(addr), pageUp(addr + size));
        break;
      case Op.mremap:
        if ((flags & Flag.dontunmap) === 0) space.remove(pageOf(addr2), pageUp(addr2 + arg));
        space.add(pageOf(addr), pageUp(addr + size));
        break;
      case Op.brk:
        if (Number.isNaN(space.brkStart)) space.brkStart = addr;
        else if (addr > space.brk) space.add(pageUp(space.brk), pageUp(addr));
        else space.remove(pageUp(addr), pageUp(space.brk));
        space.brk = addr;
        break;
      case Op.read:
      case Op.write:
      case Op.fetch:
        for (let page = pageOf(addr); page <= pageOf(addr + size - 1); page++) if (!space.touch(page)) this.wild.push(event);
        break;
      case Op.mprotect:
      case Op.madvise:
      case Op.mlock:
      case Op.munlock:
      case Op.malloc:
      case Op.calloc:
      case Op.memalign:
      case Op.realloc:
      case Op.free:
      case Op.share:
      case Op.kmalloc:
      case Op.kfree:
      case Op.kmap:
      case Op.kunmap:
      case Op.page_alloc:
      case Op.page_free:
        break;
      default:
        op satisfies never;
    }
  }
}
