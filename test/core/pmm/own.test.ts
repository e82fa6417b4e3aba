/** The user's own allocators: what they are turned into keeps the contract of a strategy, wrong ones are found out, and replays do not depend on who wrote them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { EINVAL, EPERM } from '../../../arch/arch.js';
import { lookupConfig } from '../../../core/lookup/configs.js';
import type { FrameAllocator, PmmStrategy } from '../../../core/pmm/allocator.js';
import { memoryMapFromRanges, memoryMapFromSize } from '../../../core/pmm/memory-map.js';
import { keepAccount } from '../../../core/pmm/own/account.js';
import { strategyOf } from '../../../core/pmm/own/load.js';
import type { OwnAllocator } from '../../../core/pmm/own/own.js';
import { pmms } from '../../../core/pmm/registry.js';
import { runCell } from '../../../core/replay/cell.js';
import type { CellResult } from '../../../core/replay/result.js';
import { openFwt } from '../../../traces/fwt.js';

const OWN = new URL('../../fixtures/pmm/own/', import.meta.url).pathname;
const DOCS = new URL('../../../docs/own-pmm/', import.meta.url).pathname;
const BROKEN = new URL('../../fixtures/pmm/broken/wasm/', import.meta.url).pathname;
const BUNDLED = new URL('../../../traces/recordings/', import.meta.url).pathname;
// TypeScript is loaded by Node itself, so by the built program alone: test/cli/own-pmm.test.ts.
const MODULES = [`${OWN}kalloc.wasm`, `${OWN}buddy.wasm`, `${OWN}bitmap.wasm`, `${DOCS}first-fit.mjs`];
const RAGGED = memoryMapFromRanges([
  { first: 3, count: 90 },
  { first: 1000, count: 1100 },
]);

const folder = mkdtempSync(join(tmpdir(), 'framewalk-own-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file of the test's own; its path. */
function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

describe.each(MODULES)('%s', (path) => {
  const make = async (): Promise<FrameAllocator> => (await strategyOf(path)).create({ map: RAGGED, cpus: 1, seed: 1 });
  const take = (pmm: FrameAllocator, order = 0): number => pmm.allocate(order, 1, 0, -1, 0);

  it('hands out each usable frame once, and all again after they came back', async () => {
    const pmm = await make();
    expect([pmm.totalFrames, pmm.freeFrames()]).toEqual([RAGGED.usableFrames, RAGGED.usableFrames]);
    for (let round = 0; round < 2; round++) {
      const frames = Array.from({ length: RAGGED.usableFrames }, () => take(pmm));
      expect(new Set(frames).size).toBe(RAGGED.usableFrames);
      expect(frames.every((frame) => (frame >= 3 && frame < 93) || (frame >= 1000 && frame < 2100))).toBe(true);
      expect([take(pmm), pmm.freeFrames(), pmm.isFree(3)]).toEqual([-1, 0, 0]);
      pmm.validate();
      expect(frames.every((frame) => pmm.free(frame, 0, 0) === 0)).toBe(true);
      expect([pmm.freeFrames(), pmm.isFree(3)]).toEqual([RAGGED.usableFrames, 1]);
      pmm.validate();
    }
    expect(pmm.steps()).toBeGreaterThanOrEqual(4 * RAGGED.usableFrames);
  });

  it('is asked for nothing beyond its orders, and never sees a wrong free', async () => {
    const pmm = await make();
    expect([take(pmm, pmm.maxOrder + 1), take(pmm, -1)]).toEqual([-1, -1]);
    const frame = take(pmm);
    expect([pmm.free(frame, 0, 0), pmm.free(frame, 0, 0), pmm.free(2, 0, 0), pmm.free(5000, 0, 0)]).toEqual([0, EPERM, EINVAL, EINVAL]);
    expect(pmm.freeFrames()).toBe(RAGGED.usableFrames);
  });

  it('gets a block back when the last part of it is given back', async () => {
    const pmm = await make();
    if (pmm.maxOrder === 0) {
      expect(take(pmm, 1)).toBe(-1);
      return;
    }
    const first = take(pmm, 4);
    expect(first % 16).toBe(0);
    for (let frame = first; frame < first + 8; frame++) expect(pmm.free(frame, 0, 0)).toBe(0);
    expect([pmm.free(first, 0, 0), pmm.freeFrames(), pmm.isFree(first)]).toEqual([EPERM, RAGGED.usableFrames - 8, 1]);
    expect(pmm.free(first + 8, 3, 0)).toBe(0);
    expect(pmm.freeFrames()).toBe(RAGGED.usableFrames);
    expect(Array.from({ length: RAGGED.usableFrames }, () => take(pmm)).every((frame) => frame >= 0)).toBe(true);
  });
});

/** An allocator that answers as told. */
const told = (answers: Partial<OwnAllocator>): OwnAllocator => ({ maxOrder: 10, allocate: () => -1, free: () => 0, ...answers });

describe('the account', () => {
  const map = memoryMapFromSize(64 * 4096);

  it('serves misaligned blocks of an allocator that says so', () => {
    const answers = [5, 7];
    const pmm = keepAccount(told({ unaligned: true, allocate: () => answers.shift() ?? -1 }), map);
    expect(pmm.allocate(1, 1, 0, -1, 0)).toBe(5);
    expect(pmm.allocate(1, 1, 0, -1, 0)).toBe(7);
    expect([pmm.free(5, 1, 0), pmm.free(7, 1, 0), pmm.freeFrames()]).toEqual([0, 0, 64]);
  });

  it('believes an allocator that keeps frames for itself', () => {
    const pmm = keepAccount(told({ freeFrames: () => 60, allocate: () => 4 }), map);
    expect([pmm.totalFrames, pmm.freeFrames()]).toEqual([60, 60]);
    pmm.allocate(0, 1, 0, -1, 0);
    expect(pmm.freeFrames()).toBe(59);
    expect(() => keepAccount(told({ freeFrames: () => 65 }), map)).toThrow('says that 65 frames are free at the start, of a memory that has 64');
  });
});

const wasm = readFileSync(`${OWN}kalloc.wasm`);

describe('a module that cannot be used is named with what is wrong', () => {
  const map = memoryMapFromSize(64 * 4096);
  it.each([
    ['not wasm', 'a.wasm', 'hello', /a\.wasm: not a WebAssembly module \(.*magic/],
    ['cut off', 'b.wasm', wasm.subarray(0, wasm.length - 40), /b\.wasm: not a WebAssembly module/],
    [
      'no functions',
      'c.wasm',
      Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0),
      /c\.wasm: exports no function pmm_flags, pmm_max_order, pmm_init, pmm_add, pmm_alloc, pmm_free; see framewalk_pmm\.h/,
    ],
    // (module (import "env" "puts" (func)))
    [
      'imports',
      'd.wasm',
      Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 2, 12, 1, 3, 101, 110, 118, 4, 112, 117, 116, 115, 0, 0),
      /d\.wasm: imports env\.puts; a PMM module must import nothing/,
    ],
    ['no export', 'f.mjs', 'export const x = 1;', /f\.mjs: exports no strategy; expected export default \{ create/],
    ['no create', 'g.mjs', 'export default { name: "g" };', /g\.mjs: its strategy has no function create/],
    [
      'no functions in the allocator',
      'h.mjs',
      'export default { create: () => ({ maxOrder: 0 }) };',
      /h\.mjs: its allocator has no function allocate and no function free/,
    ],
    [
      'a wrong order',
      'i.mjs',
      'export default { create: () => ({ maxOrder: 11, allocate() {}, free() {} }) };',
      /i\.mjs: its allocator's maxOrder is 11; expected a whole number from 0 to 10/,
    ],
    ['a promise', 'j.mjs', 'export default { async create() {} };', /j\.mjs: create returns a promise/],
    ['a create that fails', 'k.mjs', 'export default { create() { throw new Error("no memory map"); } };', /k\.mjs: create fails: no memory map/],
  ])('%s', async (_, name, content, message) => {
    const path = file(name, content);
    const make = async (): Promise<FrameAllocator> => (await strategyOf(path)).create({ map, cpus: 1, seed: 1 });
    await expect(make()).rejects.toThrow(message);
  });

  it.each([
    ['TRAP_INIT', 'traps in pmm_init (unreachable)'],
    ['REFUSE_INIT', 'pmm_init answers -12: it does not want a memory of 64 frames'],
    ['REFUSE_READY', 'pmm_ready answers -5'],
    ['ORDER_11', 'pmm_max_order is 11; 0 to 10 are possible'],
  ])('that fails at the start: %s', async (name, message) => {
    const strategy = await strategyOf(`${BROKEN}${name}.wasm`);
    expect(() => strategy.create({ map, cpus: 1, seed: 1 })).toThrow(`${BROKEN}${name}.wasm: ${message}`);
  });

  it('that panics when it is out of memory, with the remedy', async () => {
    const pmm = (await strategyOf(`${BROKEN}TRAP_FULL.wasm`)).create({ map, cpus: 1, seed: 1 });
    for (let n = 0; n < 64; n++) expect(pmm.allocate(0, 1, 0, -1, 0)).toBeGreaterThanOrEqual(0);
    expect(() => pmm.allocate(0, 1, 0, -1, 0)).toThrow('traps in pmm_alloc (unreachable), as it does when it is out of memory (flag 4): give more --memory');
  });

  it('no file', async () => {
    await expect(strategyOf(join(folder, 'nothing.wasm'))).rejects.toThrow(/nothing\.wasm: cannot read/);
    await expect(strategyOf(file('mine.c', ''))).rejects.toThrow(/mine\.c: expected a module of a PMM/);
  });

  it('too much memory for a module that keeps data in the frames', async () => {
    const strategy = await strategyOf(`${OWN}kalloc.wasm`);
    expect(() => strategy.create({ map: memoryMapFromSize(4 * 2 ** 30), cpus: 1, seed: 1 })).toThrow(
      /at most 3 GiB of memory can be simulated for it; give --memory 3GiB or less/,
    );
  });

  it('a memory that the module does not want', async () => {
    const strategy = await strategyOf(`${OWN}bitmap.wasm`);
    expect(() => strategy.create({ map: memoryMapFromSize(8 * 2 ** 30), cpus: 1, seed: 1 })).toThrow(
      /bitmap\.wasm: pmm_init answers -1: it does not want a memory of 2097152 frames/,
    );
  });
});

describe('a replay', () => {
  const recordings = readdirSync(BUNDLED).filter((name) => name.endsWith('.fwt') && name !== 'sort-every-access.fwt');

  function replay(recording: string, strategy: PmmStrategy): CellResult {
    const trace = openFwt(BUNDLED + recording, recording);
    try {
      const options = { arch: 'x86-64', pmm: strategy.name, heap: 'recorded', policy: 'linux', touch: 'auto', tlb: lookupConfig('default') } as const;
      const machine = { map: memoryMapFromSize(256 * 2 ** 20), kernelHeap: true, onOom: 'kill', cpus: 1, seed: 1, pids: [], window: null, audit: 0 } as const;
      return runCell(trace, { ...options, ...machine, samplePoints: 30 }, { strategy });
    } finally {
      trace.close();
    }
  }

  /** Frames by use at each sample point, and the metrics that do not depend on where frames lie. */
  function independent({ timeline, metrics }: CellResult): unknown {
    const columns = ['event', 'anonymous_frames', 'file_frames', 'shared_frames', 'table_frames', 'kernel_frames', 'free_frames'];
    const at = columns.map((name) => timeline.columns.indexOf(name));
    const names = ['frames_peak', 'frames_end', 'user_frames_peak', 'table_frames_peak', 'minor_faults_count', 'cow_breaks_count', 'events_rejected_count'];
    return [timeline.rows.map((row) => at.map((i) => row[i])), names.map((name) => metrics[name])];
  }

  it.each(recordings)('of %s has the same user and table frames on allocators in C and Rust as on those built in', async (recording) => {
    expect(independent(replay(recording, await strategyOf(`${OWN}kalloc.wasm`)))).toEqual(independent(replay(recording, pmms.get('free-stack'))));
    expect(independent(replay(recording, await strategyOf(`${OWN}bitmap.wasm`)))).toEqual(independent(replay(recording, pmms.get('bitmap'))));
    expect(independent(replay(recording, await strategyOf(`${OWN}buddy.wasm`)))).toEqual(independent(replay(recording, pmms.get('buddy'))));
  });
});
