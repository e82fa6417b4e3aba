/** The naive twin of `buddy-pcp`: arrays per CPU in front of a naive buddy, after the text of Linux' mm/page_alloc.c. */
import type { MemoryMap } from '../../core/pmm/memory-map.js';
import { NaiveBuddy, type Twin } from './pmm-twin.js';

interface Pcp {
  /** Per list (orders 0, 1, 2, 3, 9): first frames, the youngest first. */
  readonly lists: number[][];
  high: number;
  allocFactor: number;
  freeCount: number;
  previousHigh: boolean;
}

const ORDERS = [0, 1, 2, 3, 9];
const SCALE_MAX = 5;

const clamp = (n: number, low: number, high: number): number => Math.min(Math.max(n, low), high);

/** For memories far below 1 GiB, where the gap between the watermarks is a quarter of min. */
function sizes(total: number, cpus: number): { batch: number; highMin: number; highMax: number; highWatermark: number } {
  if (total >= 2 ** 17) throw new Error('the gap between the watermarks is a thousandth of this zone');
  const quarter = Math.max(Math.floor(Math.floor(total / 1024) / 4), 1);
  let power = 1;
  while (power * 2 <= quarter + Math.floor(quarter / 2)) power *= 2;
  const batch = Math.max(power - 1, 1);
  const min = Math.floor(Math.max(Math.floor(4 * Math.sqrt(total * 4)), 128) / 4);
  const gap = Math.floor(min / 4);
  const share = (frames: number): number => Math.max(Math.floor(frames / cpus), 4 * batch);
  return { batch, highMin: share(min + gap), highMax: share(Math.floor(total / 8)), highWatermark: min + 2 * gap };
}

/** `locks`: times the zone's lock was taken: for a batch in or out, and for a block that no list per CPU holds. */
export function pcpTwin(map: MemoryMap, cpus: number): Twin & { locks(): number } {
  const buddy = new NaiveBuddy(map);
  const { batch, highMin, highMax, highWatermark } = sizes(map.usableFrames, cpus);
  const pcps: Pcp[] = Array.from({ length: cpus }, () => ({ lists: ORDERS.map(() => []), high: highMin, allocFactor: 0, freeCount: 0, previousHigh: false }));
  let belowHigh = false;
  let locks = 0;

  const count = (pcp: Pcp): number => pcp.lists.reduce((sum, list, i) => sum + list.length * 2 ** (ORDERS[i] ?? 0), 0);

  function nrAlloc(pcp: Pcp, order: number): number {
    let high = (pcp.high = clamp(pcp.high, highMin, highMax));
    let n = order > 0 ? batch : batch * 2 ** pcp.allocFactor;
    if (highMin !== highMax && !belowHigh) high = pcp.high = Math.min(high + n, highMax);
    if (order === 0) {
      const most = Math.max(high - count(pcp) - batch, batch);
      if (n <= most && pcp.allocFactor < SCALE_MAX) pcp.allocFactor++;
      n = Math.min(n, most);
    }
    return n > 1 ? Math.max(Math.floor(n / 2 ** order), 2) : n;
  }

  function refill(pcp: Pcp, list: number[], order: number): void {
    locks++;
    for (let n = nrAlloc(pcp, order); n > 0; n--) {
      const frame = buddy.take(order);
      if (frame < 0) return;
      list.push(frame);
    }
  }

  function empty(pcp: Pcp, frames: number, first: number): void {
    locks++;
    for (let left = Math.min(frames, count(pcp)), i = first; left > 0; i = (i + 1) % ORDERS.length) {
      const list = pcp.lists[i] ?? [];
      const order = ORDERS[i] ?? 0;
      for (let frame = list.at(-1); left > 0 && frame !== undefined; frame = list.at(-1)) {
        list.pop();
        left -= 2 ** order;
        buddy.give(frame, order);
      }
    }
  }

  function drain(): void {
    for (const pcp of pcps) while (count(pcp) > 0) empty(pcp, batch * 2 ** SCALE_MAX, 0);
  }

  return {
    locks: () => locks,
    allocate(order, _kind, cpu) {
      if (order > 10) return -1;
      if (buddy.free() - (2 ** order - 1) <= highWatermark || (order > 0 && !buddy.has(order))) belowHigh = true;
      const pcp = pcps[cpu];
      const list = pcp?.lists[ORDERS.indexOf(order)];
      if (pcp === undefined || list === undefined) {
        locks++;
        if (buddy.has(order)) return buddy.take(order);
        if (pcps.every((p) => count(p) === 0)) return -1;
        drain();
        locks++;
        return buddy.take(order);
      }
      pcp.freeCount = Math.floor(pcp.freeCount / 2);
      if (list.length === 0) refill(pcp, list, order);
      if (list.length === 0 && pcps.some((p) => count(p) > 0)) {
        drain();
        refill(pcp, list, order);
      }
      return list.shift() ?? -1;
    },
    free(frame, order, cpu) {
      const pcp = pcps[cpu];
      const index = ORDERS.indexOf(order);
      const list = pcp?.lists[index];
      if (pcp === undefined || list === undefined) {
        locks++;
        buddy.give(frame, order);
        return;
      }
      pcp.allocFactor = Math.floor(pcp.allocFactor / 2);
      list.unshift(frame);
      const isHigh = order >= 1 && order <= 3;
      const freeHigh = isHigh && pcp.freeCount >= batch && pcp.previousHigh;
      pcp.previousHigh = isHigh;
      if (pcp.freeCount < batch * 2 ** SCALE_MAX) pcp.freeCount += 2 ** order;
      let high = (pcp.high = clamp(pcp.high, highMin, highMax));
      if (freeHigh) {
        pcp.high = Math.max(high - batch * 2 ** SCALE_MAX, highMin);
        high = 0;
      } else if (highMin !== highMax && belowHigh) {
        pcp.high = Math.max(high - Math.max(pcp.freeCount, batch), highMin);
        high = Math.max(count(pcp), highMin);
      } else if (highMin !== highMax && count(pcp) >= high && pcp.high < pcp.freeCount + batch) pcp.high = clamp(pcp.freeCount + batch, highMin, highMax);
      if (count(pcp) < high) return;
      if (freeHigh) empty(pcp, Math.min(count(pcp), batch * 2 ** SCALE_MAX), index);
      else empty(pcp, high < batch ? 1 : clamp(pcp.freeCount, batch, high - batch), index);
      if (belowHigh && buddy.free() > highWatermark) belowHigh = false;
    },
  };
}
