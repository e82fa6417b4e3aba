import { describe, expect, it } from 'vitest';
import { Flag, Op, type TraceEvent } from '../../traces/event.js';
import { openFwt } from '../../traces/fwt.js';
import { traceInfo, type TraceInfo } from '../../traces/info.js';
import { nameTraces, traceName } from '../../traces/names.js';
import { container, plain, sampleHeader } from './events.js';

const infoOf = (events: TraceEvent[], header = sampleHeader()): TraceInfo => traceInfo(openFwt(container(events, 'deflate', header), 'x'));
const malloc = (addr: number, size: number, pid = 1): TraceEvent => plain({ op: Op.malloc, addr, size, pid, tid: pid });
const free = (addr: number, pid = 1): TraceEvent => plain({ op: Op.free, addr, pid, tid: pid });
const peak = (events: TraceEvent[]): number | null => infoOf(events).peak_live_bytes;

describe('traceInfo', () => {
  it('describes the trace', () => {
    const info = infoOf([
      plain({ op: Op.exec, time: 100, pid: 5, tid: 5 }),
      plain({ op: Op.object, time: 110, pid: 5, tid: 5, arg: 1, flags: Flag.file, text: '/x' }),
      plain({ op: Op.read, time: 300, pid: 5, tid: 6 }),
      plain({ op: Op.read, time: 250, pid: 7, tid: 7 }),
      plain({ op: Op.kmalloc, time: 260, pid: -1, tid: -1 }),
    ]);
    expect(info).toEqual({
      name: 'x',
      format: 'test',
      events_count: 5,
      events: { exec: 1, object: 1, read: 2, kmalloc: 1 },
      processes: 2,
      threads: 3,
      duration_ns: 200,
      peak_live_bytes: 0,
      losses: [],
      captured: sampleHeader().captured,
      clock: 'monotonic',
      page_size: 4096,
      kernel: sampleHeader().kernel,
      provenance: sampleHeader().provenance,
      hash: openFwt(container([]), 'x').hash.length === 64 ? info.hash : '',
      codec: 'deflate',
      objects_count: 1,
    });
    expect(infoOf([])).toMatchObject({ events_count: 0, events: {}, processes: 0, threads: 0, duration_ns: 0 });
  });

  it('follows what the heap holds', () => {
    expect(peak([malloc(16, 100), malloc(32, 50), free(16), malloc(48, 20)])).toBe(150);
    expect(peak([malloc(16, 100), free(16), free(16), free(99), malloc(16, 90)])).toBe(100);
    expect(peak([malloc(16, 100), plain({ op: Op.realloc, addr: 64, addr2: 16, size: 120 })])).toBe(120);
    expect(peak([malloc(16, 100), plain({ op: Op.realloc, addr: 16, addr2: 16, size: 30 }), malloc(32, 60)])).toBe(100);
    expect(
      peak([plain({ op: Op.realloc, addr: 16, size: 30 }), plain({ op: Op.calloc, addr: 64, size: 5 }), plain({ op: Op.memalign, addr: 128, size: 7 })]),
    ).toBe(42);
    // A failed malloc holds nothing; an address handed out twice holds the second block only.
    expect(peak([malloc(0, 1000), malloc(16, 10), malloc(16, 12)])).toBe(12);
  });

  it('keeps processes apart and lets their blocks go with them', () => {
    expect(peak([malloc(16, 100, 1), malloc(16, 50, 2), free(16, 1), malloc(32, 60, 2)])).toBe(150);
    expect(peak([malloc(16, 100, 1), plain({ op: Op.exec }), malloc(16, 80, 1)])).toBe(100);
    expect(peak([malloc(16, 100, 1), plain({ op: Op.exit }), malloc(16, 80, 2)])).toBe(100);
    expect(peak([malloc(16, 100, 1), plain({ op: Op.exit, tid: 9 }), malloc(32, 80, 1)])).toBe(180);
    expect(peak([malloc(16, 100, 1), plain({ op: Op.exit, tid: 9, flags: Flag.group }), malloc(32, 80, 1)])).toBe(100);
    const vfork = plain({ op: Op.vfork, arg: 2, flags: Flag.vm });
    expect(peak([malloc(16, 100, 1), vfork, free(16, 2), malloc(32, 60, 1)])).toBe(100);
    expect(peak([malloc(16, 100, 1), vfork, plain({ op: Op.exec, pid: 2, tid: 2 }), malloc(16, 60, 2)])).toBe(160);
  });

  it('has no peak without heap events or pointers', () => {
    const captured = sampleHeader().captured;
    for (const without of [{ heap: false }, { freePointers: false }])
      expect(infoOf([malloc(16, 5)], { ...sampleHeader(), captured: { ...captured, ...without } }).peak_live_bytes).toBeNull();
  });
});

describe('names', () => {
  it('come from the path', () => {
    expect(['gcc.fwt', 'a/gcc.perf.txt.gz', 'rec/gcc', 'rec/gcc/', 'rec/gcc/events.perf.txt.gz', 'x.y.csv', '.fwt'].map(traceName)).toEqual([
      'gcc',
      'gcc',
      'gcc',
      'gcc',
      'gcc',
      'x.y',
      '.fwt',
    ]);
  });

  it('are told apart by folders, as many as it takes', () => {
    expect(nameTraces(['/a/gcc.fwt', '/b/gcc.fwt', '/b/ls.fwt'])).toEqual(['a/gcc', 'b/gcc', 'ls']);
    expect(nameTraces(['/x/a/gcc.fwt', '/y/a/gcc.fwt', '/y/b/gcc.fwt'])).toEqual(['x/a/gcc', 'y/a/gcc', 'b/gcc']);
    expect(nameTraces(['/x/gcc/events.txt', '/y/gcc/events.txt'])).toEqual(['x/gcc', 'y/gcc']);
    expect(nameTraces(['/gcc.fwt', '/x/gcc.fwt'])).toEqual(['gcc', 'x/gcc']);
  });

  it('are numbered when the path is the same, or only its ending differs', () => {
    expect(nameTraces(['/a/b/gcc.fwt', '/a/b/gcc.fwt'])).toEqual(['gcc', 'gcc#2']);
    expect(nameTraces(['/a/gcc.fwt', '/b/gcc.fwt', '/a/gcc.fwt'])).toEqual(['a/gcc', 'b/gcc', 'a/gcc#2']);
    expect(nameTraces(['/a/x.fwt', '/a/x#2.fwt', '/a/x.csv', '/a/x.txt'])).toEqual(['x', 'x#2', 'x#3', 'x#4']);
    expect(nameTraces(['/gcc.fwt', '/gcc.csv'])).toEqual(['gcc', 'gcc#2']);
  });

  it('are distinct whatever is given', () => {
    const paths = ['/a/b.fwt', 'a/b.fwt', '/a/b.csv', '/b.fwt', '/c/a/b.fwt', '/a/b.fwt'];
    expect(new Set(nameTraces(paths)).size).toBe(paths.length);
  });
});
