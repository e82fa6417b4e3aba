/** What every architecture owes its callers (arch/arch.ts): generated commands against the map oracle, and no frame lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Architecture } from '../../arch/arch.js';
import { commandArbitraries, executed } from '../oracle/page-table-commands.js';
import { compare, makeRig } from '../oracle/page-table-rig.js';

export interface ContractSize {
  readonly runs: number;
  readonly commands: number;
}

export function archContract(arch: Architecture, { runs, commands }: ContractSize): void {
  describe(`${arch.geometry.name} agrees with maps and sets`, { timeout: 600_000 }, () => {
    it(`over ${runs} generated command sequences`, () => {
      executed.commands = 0;
      executed.outOfMemory = 0;
      executed.byName.clear();
      const all = commandArbitraries(arch.geometry);
      fc.assert(
        fc.property(fc.integer({ min: 6, max: 60 }), fc.commands(all, { maxCommands: commands, size: 'max' }), (frames, sequence) => {
          const { real, model } = makeRig(arch, frames);
          for (let pid = 0; pid < 2; pid++) expect(real.tables.createSpace(pid)).toBe(model.createSpace(pid));
          fc.modelRun(() => ({ model, real }), sequence);
          // Whatever happened, destroying and unmapping everything gives every frame back.
          for (const pid of model.spaces.keys()) if (pid >= 0) expect(real.tables.destroySpace(pid)).toBe(model.destroySpace(pid));
          model.free += 1000;
          real.frames.limit += 1000;
          for (let d = real.tables.withdraw(-1); d !== 0; d = real.tables.withdraw(-1)) {
            real.tables.releaseTable(-1, d);
            model.withdraw(-1);
            model.releaseTable(-1);
          }
          expect(real.tables.unmapRange(-1, -(2 ** 60), 2 ** 60, 0)).toBe(model.unmapRange(-1, -(2 ** 60), 2 ** 60, 0));
          compare(model, real, true);
          expect(real.frames.taken.size, 'only the root of the kernel is left').toBe(1);
        }),
        { numRuns: runs, seed: 20260101 },
      );
      expect(executed.byName.size, 'every kind of command was executed').toBe(all.length);
      expect(executed.outOfMemory).toBeGreaterThan(runs / 10);
      expect(executed.commands).toBeGreaterThan((runs * commands) / 4);
    });
  });
}
