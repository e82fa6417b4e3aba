/**
 * Time of a recording: stamps become nanoseconds since its first line, and what the kernel said meanwhile (readings) is merged in as `sample` events.
 * A reading of which the beginning is known is judged: `isRacy` says whether something happened to the process between its beginning and its end.
 */
import { Flag, Op, type EventSink } from '../event.js';
import type { Reading } from './sides.js';

/** Time of what a recorder makes up at its start about what was there before; events of it are at 0. */
export const BEFORE = -1;

export class Timeline {
  /** Second and nanosecond of the first stamp. */
  private epoch = NaN;
  private base = 0;
  private next = 0;
  private nextTime = Infinity;

  constructor(
    private readonly sink: EventSink,
    private readonly readings: readonly Reading[] = [],
    private readonly isRacy: (pid: number, begin: number) => boolean = () => false,
  ) {}

  /** True once a reading was put in. */
  get sampled(): boolean {
    return this.next > 0;
  }

  /** A stamp was seen: moment 0 is known. */
  get begun(): boolean {
    return !Number.isNaN(this.epoch);
  }

  /** The stamps count from 1970, not from the machine's start. */
  get sinceEpoch(): boolean {
    return this.epoch > 1e9;
  }

  /** Nanoseconds since the first stamp; BEFORE for a stamp of 0. */
  at(whole: number, nanos: number): number {
    if (whole === 0 && nanos === 0) return BEFORE;
    if (Number.isNaN(this.epoch)) {
      this.epoch = whole;
      this.base = nanos;
      this.aim();
    }
    return Math.max(0, (whole - this.epoch) * 1e9 + nanos - this.base);
  }

  /** EventSink.push, with the readings that ended before put in first. */
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
    this.reach(time);
    this.sink.push(time < 0 ? 0 : time, pid, tid, op, addr, size, addr2, arg, flags, cpu, text);
  }

  /** Everything before `time` has been told: puts in the readings that ended by then. */
  reach(time: number): void {
    while (time > this.nextTime) this.pushReading();
  }

  /** Puts in the readings that are left. */
  end(): void {
    while (this.next < this.readings.length) this.pushReading();
  }

  private aim(): void {
    const reading = this.readings[this.next];
    this.nextTime = reading === undefined ? Infinity : (reading.whole - this.epoch) * 1e9 + reading.nanos - this.base;
  }

  private pushReading(): void {
    const { whole, nanos, took, pid, flags, values } = this.readings[this.next] as Reading;
    const time = this.at(whole, nanos);
    const racy = took > 0 && this.isRacy(pid, time - took) ? flags | Flag.racy : flags;
    for (const [quantity, value] of values) this.sink.push(time, pid, pid, Op.sample, 0, value, took, quantity, racy, 0);
    this.next++;
    this.aim();
  }
}
