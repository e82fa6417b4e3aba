/** A small x86-64 machine for tests: 8 spaces, frames that run out, an observer that keeps what it is told. */
import { expect } from 'vitest';
import type { PageTables } from '../../arch/arch.js';
import { x86_64 } from '../../arch/x86-64.js';
import { CountingFrames } from '../oracle/page-table-rig.js';

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const PAGE = 4096;
/** The end of the lower half. */
export const TOP = 2 ** 47;

export interface Machine {
  readonly tables: PageTables;
  readonly source: CountingFrames;
  readonly dropped: number[][];
  readonly copied: number[][];
}

export function makeMachine(frames = 100): Machine {
  const source = new CountingFrames(frames);
  const dropped: number[][] = [];
  const copied: number[][] = [];
  const tables = x86_64.create({
    frames: source,
    totalFrames: 4096,
    maxSpaces: 8,
    maxTables: 4096,
    observer: { dropped: (...leaf) => dropped.push(leaf), copied: (...leaf) => copied.push(leaf) },
  });
  return { tables, source, dropped, copied };
}

/** With space 0: the kernel's root and its own take two frames. */
export function withSpace(frames?: number): Machine {
  const made = makeMachine(frames);
  expect(made.tables.createSpace(0)).toBe(0);
  return made;
}
