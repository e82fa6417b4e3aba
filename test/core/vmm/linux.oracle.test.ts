/**
 * The linux policy against an independent, slow oracle (test/oracle/linux-model.ts), after every event: sizes, tables, resident pages by kind, faults. The events
 * are generated, and the beginnings of recorded programs.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Attr } from '../../../arch/arch.js';
import { joinAddr } from '../../../arch/address.js';
import { Use } from '../../../core/vmm/frames.js';
import { VmmCounter } from '../../../core/vmm/machine.js';
import { policies } from '../../../core/vmm/policies.js';
import { Reject } from '../../../core/vmm/rejections.js';
import type { Vmm } from '../../../core/vmm/vmm.js';
import { OP_NAMES } from '../../../traces/event.js';
import type { Op } from '../../../traces/event.js';
import { openFwt } from '../../../traces/fwt.js';
import { LinuxCalls } from '../../oracle/linux-calls.js';
import { apply, linuxEvents, possible, resolve } from '../../oracle/linux-events.js';
import type { Aimed } from '../../oracle/linux-events.js';
import { RWX } from '../../oracle/linux-vmas.js';
import type { Fields } from '../../oracle/vmm-events.js';
import { buildRig } from './rig.js';
import type { Rig } from './rig.js';

/** Counts that only grow, over all processes. */
const COUNTERS = { minor: VmmCounter.minorFaults, major: VmmCounter.majorFaults, breaks: VmmCounter.cowBreaks, reuses: VmmCounter.reuses } as const;
const countersOf = (vmm: Vmm): number[] => Object.values(COUNTERS).map((i) => vmm.machine.counters[i]!);

function spaceOf(vmm: Vmm, pid: number): number {
  return vmm.processes.space[vmm.processes.slotOf(pid)]! - 1;
}

/** Everything that is compared, as the VMM and as the oracle have it. */
function seen(vmm: Vmm, m: LinuxCalls, base: readonly number[]): Record<string, number[]> {
  const { tables, rss, vmPages } = vmm.machine;
  const out: Record<string, number[]> = { counters: countersOf(vmm).map((n, i) => n - base[i]!) };
  for (const pid of m.processes.keys()) {
    const s = spaceOf(vmm, pid);
    const pte = [1, 2, 3].reduce((sum, level) => sum + tables.spaceTables[s * 8 + level]!, 0);
    out[pid] = [vmPages[s]!, pte, ...[Use.anonymous, Use.file, Use.shared].map((use) => rss[s * 8 + use]!), vmm.vmaCount(s)];
  }
  return out;
}
function expected(m: LinuxCalls): Record<string, number[]> {
  const out: Record<string, number[]> = { counters: [m.minor, m.major, m.breaks, m.reuses] };
  for (const [pid, { space }] of m.processes) {
    out[pid] = [m.size(space), m.tables(space), ...m.resident(space), space.vmas.length];
  }
  return out;
}

/** Page by page: mapped or not, writable or not. */
function comparePages(m: LinuxCalls, vmm: Vmm): void {
  const { tables } = vmm.machine;
  for (const [pid, { space }] of m.processes) {
    const differ: string[] = [];
    for (const v of space.vmas) {
      // Without any right a leaf is there but not present.
      if ((v.flags & RWX) === 0) continue;
      for (let page = v.from; page < v.to; page++) {
        const hi = Math.floor(page / 262144);
        const q = tables.findLeaf(spaceOf(vmm, pid), hi, (page - hi * 262144) << 12);
        const here = q < 0 ? 'none' : (tables.pt[q]! & Attr.write) !== 0 ? 'writable' : 'mapped';
        const known = space.pages.get(page);
        const there = known === undefined ? 'none' : known.write ? 'writable' : 'mapped';
        if (here !== there) differ.push(`${pid}: page ${page.toString(16)} is ${here}, expected ${there}`);
      }
    }
    expect(differ).toEqual([]);
  }
}

/** One event on both. */
function step({ vmm, feed }: Rig, m: LinuxCalls, base: readonly number[], e: Fields, n: number): void {
  feed(e, n);
  apply(m, e);
  const here = seen(vmm, m, base);
  const there = expected(m);
  // Comparing strings first: a thousand times a run, and nearly always equal.
  if (JSON.stringify(here) !== JSON.stringify(there)) {
    expect(here, `event ${n} ${OP_NAMES[e.op]} ${JSON.stringify(e)}: pages, tables, anonymous, file, shared, VMAs; minor, major, breaks, reuses`).toEqual(
      there,
    );
  }
}

function run(rig: Rig, without: readonly string[], events: readonly Aimed[]): void {
  const m = new LinuxCalls(without);
  const base = countersOf(rig.vmm);
  let n = 0;
  for (const aimed of events) {
    const e = resolve(m, aimed);
    if (possible(m, e)) step(rig, m, base, e, n++);
  }
  comparePages(m, rig.vmm);
  rig.vmm.processes.exitAll();
  rig.vmm.settle();
  expect(rig.vmm.machine.rejections.counts[Reject.outOfMemory]).toBe(0);
}

/** One seed for all, so that a run tests what the last one did; FC_SEED explores others, FRAMEWALK_RUNS more of them. */
const seed = Number(process.env['FC_SEED'] ?? 20031);

function agrees(without: readonly string[], runs: number): void {
  const options = { policy: 'linux', without, memory: 128 * 2 ** 20 };
  // One machine serves all runs: each leaves it as it found it. A run that fails leaves it broken; shrinking goes on with a new one.
  let rig = buildRig(options);
  const property = fc.property(linuxEvents, (events) => {
    try {
      run(rig, without, events);
    } catch (error) {
      rig = buildRig(options);
      throw error;
    }
  });
  fc.assert(property, { seed, numRuns: Number(process.env['FRAMEWALK_RUNS'] ?? runs), interruptAfterTimeLimit: 100_000, markInterruptAsFailure: true });
}

describe('the linux policy does what a model with one entry per page does', () => {
  it('with all rules', () => agrees([], 400), 150_000);
  it.each(policies.get('linux').rules.map((rule) => rule.name))('without %s', (rule) => agrees([rule], 25), 60_000);
});

const BUNDLED = new URL('../../../traces/recordings/', import.meta.url).pathname;

function* beginning(file: string, count: number): Iterable<Fields> {
  const trace = openFwt(BUNDLED + file, file);
  let n = 0;
  for (const b of trace.blocks()) {
    for (let i = 0; i < b.length; i++) {
      if (n++ === count) {
        trace.close();
        return;
      }
      const text = b.text.get(i);
      yield {
        pid: b.pid[i]!,
        op: b.op[i]! as Op,
        addr: joinAddr(b.addrHi[i]!, b.addrLo[i]!),
        size: b.size[i]!,
        addr2: b.addr2[i]!,
        arg: b.arg[i]!,
        flags: b.flags[i]!,
        ...(text === undefined ? {} : { text }),
      };
    }
  }
}

describe('the beginning of a recorded program', () => {
  it.each(['gcc.fwt', 'shm.fwt', 'madv.fwt', 'pyfork.fwt', 'bash.fwt'])(
    '%s',
    (file) => {
      const rig = buildRig({ policy: 'linux', memory: 512 * 2 ** 20 });
      const m = new LinuxCalls();
      const base = countersOf(rig.vmm);
      let n = 0;
      for (const e of beginning(file, 3000)) step(rig, m, base, e, n++);
      comparePages(m, rig.vmm);
      expect(n).toBe(3000);
    },
    60_000,
  );
});
