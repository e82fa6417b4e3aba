/**
 * The mapped ranges of one address space, for recordings that tell mappings but no system calls: sorted, disjoint, each with what it maps.
 * A sorted array: such recordings have some hundred ranges a process.
 */
export interface Range {
  start: number;
  end: number;
  /** Flag.r | Flag.w | Flag.x */
  protection: number;
  /** 0 = anonymous. */
  readonly object: number;
  /** File offset minus address. */
  readonly shift: number;
}

export class Ranges {
  private list: Range[] = [];

  clone(): Ranges {
    const copy = new Ranges();
    copy.list = this.list.map((range) => ({ ...range }));
    return copy;
  }

  /** The range that holds `address`. */
  at(address: number): Range | undefined {
    const range = this.list[this.firstEndingAfter(address)];
    return range !== undefined && range.start <= address ? range : undefined;
  }

  /** The ranges that overlap `[start, end)`, in order. */
  within(start: number, end: number): Range[] {
    const found: Range[] = [];
    for (let i = this.firstEndingAfter(start); i < this.list.length; i++) {
      const range = this.list[i] as Range;
      if (range.start >= end) break;
      found.push(range);
    }
    return found;
  }

  /** What of `[start, end)` is in no range. */
  gaps(start: number, end: number): { start: number; end: number }[] {
    const gaps: { start: number; end: number }[] = [];
    let from = start;
    for (const range of this.within(start, end)) {
      if (range.start > from) gaps.push({ start: from, end: range.start });
      from = range.end;
    }
    if (from < end) gaps.push({ start: from, end });
    return gaps;
  }

  /** `range` replaces what was there. */
  set(range: Range): void {
    const first = this.firstEndingAfter(range.start);
    const old = this.within(range.start, range.end);
    const pieces: Range[] = [range];
    const head = old[0];
    const tail = old[old.length - 1];
    if (head !== undefined && head.start < range.start) pieces.unshift({ ...head, end: range.start });
    if (tail !== undefined && tail.end > range.end) pieces.push({ ...tail, start: range.end });
    this.list.splice(first, old.length, ...pieces);
  }

  private firstEndingAfter(address: number): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.list[middle] as Range).end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
