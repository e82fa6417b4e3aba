/**
 * A kernel's own allocator compiled to WebAssembly, by the interface of docs/own-pmm/framewalk_pmm.h: everything i32, no imports.
 *
 * A module that keeps its data inside the free frames (flag 1) gets them: frame 0's 4096 bytes begin at a multiple of 4 MiB above whatever the module has
 * of linear memory at the start. Linear memory ends at 4 GiB, so 3 GiB can be simulated for it. No view of the memory is kept: the module may grow it.
 *
 * A trap is a panic: the instance is not called again.
 */
import { UserError } from '../../../traces/event.js';
import type { PmmOptions } from '../allocator.js';
import { MAX_ORDER } from '../allocator.js';
import type { MemoryMap } from '../memory-map.js';
import { PmmFull, PmmViolation, type OwnAllocator } from './own.js';

const enum Flag {
  /** Keeps data inside the free frames. */
  inFrames = 1,
  /** Blocks need not be aligned to their size. */
  unaligned = 2,
  /** Traps when out of memory. */
  trapsWhenFull = 4,
}

const NONE = 0xffffffff;
const FRAME_BYTES = 4096;
const WASM_PAGE_BYTES = 65536;
const BASE_ALIGNMENT = 4 * 2 ** 20;
const MOST_IN_FRAMES = 3 * 2 ** 30;

type Call = (...args: number[]) => number;

const REQUIRED = ['pmm_flags', 'pmm_max_order', 'pmm_init', 'pmm_add', 'pmm_alloc', 'pmm_free'] as const;
const OPTIONAL = ['pmm_ready', 'pmm_free_frames', 'pmm_set_cpu', 'pmm_steps', 'pmm_alloc_hint', '_initialize'] as const;

/** The compiled module, or a UserError that says what it lacks. */
export function compileModule(bytes: Uint8Array<ArrayBuffer>, file: string): WebAssembly.Module {
  let module: WebAssembly.Module;
  try {
    module = new WebAssembly.Module(bytes);
  } catch (error) {
    throw new UserError(`${file}: not a WebAssembly module (${(error as Error).message.replace('WebAssembly.Module(): ', '')})`, { cause: error });
  }
  const imports = WebAssembly.Module.imports(module).map(({ module: from, name }) => `${from}.${name}`);
  if (imports.length > 0)
    throw new UserError(`${file}: imports ${imports.join(', ')}; a PMM module must import nothing: define these functions or leave out what calls them`);
  const exported = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]));
  const missing = REQUIRED.filter((name) => exported.get(name) !== 'function');
  if (missing.length > 0)
    throw new UserError(`${file}: exports no function ${missing.join(', ')}; see framewalk_pmm.h (in C: __attribute__((export_name("${missing[0]}"))))`);
  return module;
}

/** An allocator of the module over a memory map. */
export function instantiate(module: WebAssembly.Module, { map, cpus }: PmmOptions): OwnAllocator {
  const { exports } = new WebAssembly.Instance(module, {});
  const call = (name: (typeof REQUIRED)[number] | (typeof OPTIONAL)[number]): Call | undefined => exports[name] as Call | undefined;
  const [flagsOf, maxOrderOf, init, add, alloc, give] = REQUIRED.map((name) => call(name)!) as [Call, Call, Call, Call, Call, Call];
  const [ready, freeFrames, setCpu, stepsOf, allocHint, initialize] = OPTIONAL.map((name) => call(name));

  /** Calls the module; what a trap says, as the panic it is. */
  function guarded<T>(what: string, run: () => T): T {
    try {
      return run();
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new PmmViolation(`traps in ${what} (${(error as Error).message})`, { cause: error });
    }
  }

  const flags = guarded('pmm_flags', () => {
    initialize?.();
    return flagsOf();
  });
  const maxOrder = guarded('pmm_max_order', () => maxOrderOf() >>> 0);
  if (maxOrder > MAX_ORDER) throw new PmmViolation(`pmm_max_order is ${maxOrder}; 0 to ${MAX_ORDER} are possible`);
  const base = (flags & Flag.inFrames) !== 0 ? placeFrames(exports['memory'], map) : 0;
  guarded('pmm_init', () => {
    const code = init(map.frames, base);
    if (code !== 0) throw new PmmViolation(`pmm_init answers ${code}: it does not want a memory of ${map.frames} frames`);
  });
  guarded('pmm_add', () => {
    for (const { first, count } of map.usable) add(first, count);
  });
  if (ready !== undefined) {
    guarded('pmm_ready', () => {
      const code = ready();
      if (code !== 0) throw new PmmViolation(`pmm_ready answers ${code}`);
    });
  }

  const cell = new Int32Array(32); // [0] the CPU the module was told of last
  const switchCpu =
    setCpu === undefined || cpus === 1
      ? null
      : (cpu: number): void => {
          if (cell[0] === cpu) return;
          cell[0] = cpu;
          setCpu(cpu);
        };

  function trapped(error: unknown, what: string): never {
    if (error instanceof UserError) throw error;
    const said = `traps in ${what} (${(error as Error).message})`;
    if (what === 'pmm_alloc' && (flags & Flag.trapsWhenFull) !== 0)
      throw new PmmFull(`${said}, as it does when it is out of memory (flag 4): give more --memory`, { cause: error });
    throw new PmmViolation(said, { cause: error });
  }

  function allocate(order: number, kind: number, cpu: number, near: number, owner: number): number {
    try {
      if (switchCpu !== null) switchCpu(cpu);
      const frame = (allocHint === undefined ? alloc(order) : allocHint(order, kind, cpu, near < 0 ? -1 : near, owner)) >>> 0;
      return frame === NONE ? -1 : frame;
    } catch (error) {
      return trapped(error, 'pmm_alloc');
    }
  }

  function free(frame: number, order: number, cpu: number): number {
    try {
      if (switchCpu !== null) switchCpu(cpu);
      return give(frame, order);
    } catch (error) {
      return trapped(error, 'pmm_free');
    }
  }

  /** The usual module, which is told of nothing but the order: a call costs little more than the call. */
  function allocateOrder(order: number): number {
    try {
      const frame = alloc(order);
      return frame === -1 ? -1 : frame >>> 0;
    } catch (error) {
      return trapped(error, 'pmm_alloc');
    }
  }
  function freeBlock(frame: number, order: number): number {
    try {
      return give(frame, order);
    } catch (error) {
      return trapped(error, 'pmm_free');
    }
  }
  const plain = allocHint === undefined && switchCpu === null;

  return {
    maxOrder,
    unaligned: (flags & Flag.unaligned) !== 0,
    trapsWhenFull: (flags & Flag.trapsWhenFull) !== 0,
    allocate: plain ? allocateOrder : allocate,
    free: switchCpu === null ? freeBlock : free,
    ...(allocHint === undefined ? {} : { near: 'superpage' as const }),
    ...(freeFrames === undefined ? {} : { freeFrames: () => guarded('pmm_free_frames', () => freeFrames() >>> 0) }),
    ...(stepsOf === undefined ? {} : { steps: () => guarded('pmm_steps', () => stepsOf()) }),
  };
}

/** Grows the module's memory by that of all frames; the address of frame 0. */
function placeFrames(memory: unknown, map: MemoryMap): number {
  if (!(memory instanceof WebAssembly.Memory)) throw new PmmViolation('keeps its data in the free frames (flag 1) but exports no memory');
  const bytes = map.frames * FRAME_BYTES;
  if (bytes > MOST_IN_FRAMES)
    throw new PmmViolation(`keeps its data in the free frames (flag 1): at most 3 GiB of memory can be simulated for it; give --memory 3GiB or less`);
  const base = Math.ceil(memory.buffer.byteLength / BASE_ALIGNMENT) * BASE_ALIGNMENT;
  const pages = Math.ceil((base + bytes - memory.buffer.byteLength) / WASM_PAGE_BYTES);
  try {
    memory.grow(pages);
  } catch (error) {
    throw new PmmViolation(`its linear memory cannot grow by ${pages} pages of 64 KiB for the frames (${(error as Error).message}); raise its maximum`, {
      cause: error,
    });
  }
  return base;
}
