/** A set of recorded frame numbers, which may be any integers from 0: a word of bits for each 32 frames that were ever named. */
import { IntMap } from '../int-map.js';

const WORD = 32;

export class FrameSet {
  private readonly words = new IntMap(256);

  /** Whether any of 2^order frames is in the set. */
  hasAny(frame: number, order: number): boolean {
    for (let f = frame, end = frame + 2 ** order; f < end; f = next(f)) if ((this.words.get(Math.floor(f / WORD), 0) & bits(f, end)) !== 0) return true;
    return false;
  }

  add(frame: number, order: number): void {
    for (let f = frame, end = frame + 2 ** order; f < end; f = next(f)) {
      const word = Math.floor(f / WORD);
      this.words.set(word, this.words.get(word, 0) | bits(f, end));
    }
  }

  delete(frame: number, order: number): void {
    for (let f = frame, end = frame + 2 ** order; f < end; f = next(f)) {
      const word = Math.floor(f / WORD);
      const left = this.words.get(word, 0) & ~bits(f, end);
      if (left === 0) this.words.delete(word);
      else this.words.set(word, left);
    }
  }
}

/** First frame of the word behind f's. */
const next = (f: number): number => f - (f % WORD) + WORD;

/** The frames from f up to, not including, `end` that are in f's word. */
function bits(f: number, end: number): number {
  const low = f % WORD;
  const n = Math.min(WORD - low, end - f);
  return n === WORD ? -1 : ((1 << n) - 1) << low;
}
