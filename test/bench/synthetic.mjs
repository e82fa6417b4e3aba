/**
 * A synthetic trace for benchmarks, the same for every run: 64 processes, 45 % malloc and free, 10 % mmap and munmap, 2 % fork (the child's pid is taken from
 * an older process, which exits first), the rest reads and writes, most of them near the last ones.
 */
import { FwtWriter } from '../../dist/traces/index.js';
import { Flag, Op } from '../../dist/traces/event.js';

const PROCESSES = 64;
const SLOTS = 256;
const MAPPINGS = 16;
const HEAP = 0x555555600000;
const MAPS = 0x7ff000000000;

/** xorshift128 in doubles of [0, 1): the same numbers everywhere. */
function makeRandom(seed) {
  let a = seed | 1;
  let b = 0x9e3779b9;
  let c = 0x243f6a88;
  let d = 0xb7e15162;
  return () => {
    const t = a ^ (a << 11);
    a = b;
    b = c;
    c = d;
    d = d ^ (d >>> 19) ^ t ^ (t >>> 8);
    return (d >>> 0) / 4294967296;
  };
}

const HEADER = {
  source: 'synthetic',
  captured: { heap: true, freePointers: true, mappings: true, processes: true, touches: 'all', samples: false },
  clock: 'relative',
  pageSize: 4096,
  kernel: {},
  provenance: { generator: 'test/bench/synthetic.mjs' },
};

/** Writes a trace of at least `rows` events to `path`. */
export function writeSynthetic(path, rows, codec = 'none') {
  const random = makeRandom(12345);
  const pick = (n) => Math.floor(random() * n);
  const writer = new FwtWriter(path, { codec });
  let n = 0;
  const push = (pid, op, addr, size = 0, arg = 0, flags = 0) => writer.push(n++ * 100, pid, pid, op, addr, size, 0, arg, flags, 0);
  const rw = Flag.r | Flag.w | Flag.fixed;
  /** Per process: block sizes by slot, mapping sizes by slot. Slots have fixed places, so that sizes alone describe the heap. */
  const state = new Array(PROCESSES).fill(null);
  const place = (slot) => HEAP + slot * 16384;
  const mapPlace = (slot) => MAPS + slot * 0x2000000;
  const start = (pid) => {
    push(pid, Op.exec, 0);
    push(pid, Op.mmap, 0x7ffffffde000, 33 * 4096, 0, rw | Flag.stack);
    push(pid, Op.brk, HEAP);
    push(pid, Op.brk, HEAP + SLOTS * 16384);
    state[pid] = { blocks: new Int32Array(SLOTS), maps: new Int32Array(MAPPINGS), recent: [] };
  };
  start(0);
  let pid = 0;
  let quantum = 100;
  while (n < rows) {
    if (--quantum < 0) {
      quantum = 20 + pick(160);
      do pid = Math.floor(PROCESSES * random() ** 2);
      while (state[pid] === null);
    }
    const p = state[pid];
    const dice = random();
    if (dice < 0.45) {
      const slot = Math.floor(SLOTS * random() ** 1.5);
      if (p.blocks[slot] !== 0) {
        push(pid, Op.free, place(slot));
        p.blocks[slot] = 0;
      } else {
        p.blocks[slot] = 8 + Math.floor(8 * 2 ** (11 * random() * random()));
        push(pid, Op.malloc, place(slot), p.blocks[slot]);
      }
    } else if (dice < 0.55) {
      const slot = Math.floor(MAPPINGS * random() ** 1.5);
      if (p.maps[slot] !== 0) {
        push(pid, Op.munmap, mapPlace(slot), p.maps[slot] * 4096);
        p.maps[slot] = 0;
      } else {
        p.maps[slot] = Math.max(1, Math.floor(4096 ** random()));
        push(pid, Op.mmap, mapPlace(slot), p.maps[slot] * 4096, 0, rw);
      }
    } else if (dice < 0.57) {
      const child = pick(PROCESSES);
      if (child === pid) continue;
      if (state[child] !== null) push(child, Op.exit, 0, 0, 0, Flag.group);
      push(pid, Op.fork, 0, 0, child);
      state[child] = { blocks: p.blocks.slice(), maps: p.maps.slice(), recent: [] };
    } else {
      let address = 0;
      if (p.recent.length > 0 && random() < 0.6) address = p.recent[pick(p.recent.length)] + pick(64);
      else if (random() < 0.5) {
        const slot = Math.floor(SLOTS * random() ** 1.5);
        if (p.blocks[slot] === 0) continue;
        address = place(slot) + pick(p.blocks[slot]);
      } else {
        const slot = pick(MAPPINGS);
        if (p.maps[slot] === 0) continue;
        address = mapPlace(slot) + Math.floor(p.maps[slot] * 4096 * random() ** 3);
      }
      const mapping = address >= MAPS ? Math.floor((address - MAPS) / 0x2000000) : -1;
      if (mapping >= 0 && address >= mapPlace(mapping) + p.maps[mapping] * 4096) continue;
      if (p.recent.length < 4) p.recent.push(address);
      else p.recent[pick(4)] = address;
      push(pid, random() < 0.4 ? Op.write : Op.read, address, 1);
    }
  }
  for (let q = 0; q < PROCESSES; q++) if (state[q] !== null) push(q, Op.exit, 0, 0, 0, Flag.group);
  writer.finish(HEADER);
  return n;
}
