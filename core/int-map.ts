/**
 * A growing hash map from integers (exact doubles) to int32 values, for identities that traces name by arbitrary numbers
 * (pids, object ids). Open addressing with linear probing and backward-shift deletion (Knuth, TAOCP vol. 3, 6.4, Algorithm R),
 * so there are no tombstones and no allocation per entry.
 */
export class IntMap {
  private keys: Float64Array;
  private values: Int32Array;
  private mask: number;
  size = 0;

  constructor(capacity = 64) {
    let n = 16;
    while (n < capacity) n *= 2;
    this.keys = new Float64Array(n).fill(NaN);
    this.values = new Int32Array(n);
    this.mask = n - 1;
  }

  private slot(key: number): number {
    const lo = key | 0;
    const hi = (key / 4294967296) | 0;
    let h = Math.imul(lo ^ Math.imul(hi, 0x9e3779b1), 0x85ebca6b);
    h = (h ^ (h >>> 15)) & this.mask;
    return h;
  }

  /** The value, or `absent`. */
  get(key: number, absent: number): number {
    const { keys, mask } = this;
    for (let i = this.slot(key); ; i = (i + 1) & mask) {
      const k = keys[i]!;
      if (k === key) return this.values[i]!;
      if (k !== k) return absent;
    }
  }

  set(key: number, value: number): void {
    if ((this.size + 1) * 4 > this.keys.length * 3) this.grow();
    const { keys, mask } = this;
    for (let i = this.slot(key); ; i = (i + 1) & mask) {
      const k = keys[i]!;
      if (k === key) {
        this.values[i] = value;
        return;
      }
      if (k !== k) {
        keys[i] = key;
        this.values[i] = value;
        this.size++;
        return;
      }
    }
  }

  delete(key: number): boolean {
    const { keys, values, mask } = this;
    let i = this.slot(key);
    for (; ; i = (i + 1) & mask) {
      const k = keys[i]!;
      if (k === key) break;
      if (k !== k) return false;
    }
    for (let j = (i + 1) & mask; ; j = (j + 1) & mask) {
      const k = keys[j]!;
      if (k !== k) break;
      const home = this.slot(k);
      // The entry at j may fill the hole at i when its home does not lie cyclically in (i, j].
      if (((j - home) & mask) >= ((j - i) & mask)) {
        keys[i] = k;
        values[i] = values[j]!;
        i = j;
      }
    }
    keys[i] = NaN;
    this.size--;
    return true;
  }

  clear(): void {
    this.keys.fill(NaN);
    this.size = 0;
  }

  /** Calls back for every entry, in no particular order. */
  forEach(visit: (key: number, value: number) => void): void {
    for (let i = 0; i < this.keys.length; i++) {
      const k = this.keys[i]!;
      if (k === k) visit(k, this.values[i]!);
    }
  }

  private grow(): void {
    const { keys, values } = this;
    const n = keys.length * 2;
    this.keys = new Float64Array(n).fill(NaN);
    this.values = new Int32Array(n);
    this.mask = n - 1;
    this.size = 0;
    for (let i = 0; i < keys.length; i++) {
      const k = keys[i]!;
      if (k === k) this.set(k, values[i]!);
    }
  }
}
