/**
 * An EventSink that keeps every event as an object: for tests, examples and small edits, never for the replay.
 */
import { UserError, type EventSink, type Loss, type Op, type TraceEvent } from './event.js';

/** Counts losses by cause; the first one is a UserError when `strict`. */
export class LossTable {
  private readonly byCause = new Map<string, Loss>();

  constructor(private readonly strict: boolean) {}

  add(cause: string, where: string, count = 1): void {
    if (this.strict) throw new UserError(`${where}: ${cause} (without --strict it is counted and left out)`);
    const known = this.byCause.get(cause);
    if (known === undefined) this.byCause.set(cause, { cause, count, first: where });
    else known.count += count;
  }

  /** In the order in which the causes first occurred. */
  list(): Loss[] {
    return [...this.byCause.values()];
  }
}

export class EventList implements EventSink {
  readonly events: TraceEvent[] = [];
  private readonly table: LossTable;

  constructor(strict = false) {
    this.table = new LossTable(strict);
  }

  get losses(): Loss[] {
    return this.table.list();
  }

  push(
    time: number,
    pid: number,
    tid: number,
    op: Op,
    addr: number,
    size: number,
    addr2: number,
    arg: number,
    flags: number,
    cpu: number,
    text?: string,
  ): void {
    const event: TraceEvent = { time, pid, tid, op, addr, size, addr2, arg, flags, cpu };
    if (text !== undefined && text !== '') event.text = text;
    this.events.push(event);
  }

  loss(cause: string, where: string): void {
    this.table.add(cause, where);
  }
}
