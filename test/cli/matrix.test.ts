import { describe, expect, it } from 'vitest';
import { parseMatrix } from '../../cli/matrix.js';
import { RUN_OPTIONS } from '../../cli/run-options.js';
import { runRequest } from '../../cli/run-request.js';

const read = async (text: string): Promise<Record<string, unknown>> => {
  const matrix = await parseMatrix(text, 'some/matrix.yaml');
  return { traces: matrix.traces, ...Object.fromEntries(matrix.options) };
};

describe('matrix files', () => {
  it('take lists, scalars, YAML and JSON alike', async () => {
    const yaml = 'traces: [a.fwt, /b.fwt]\npmm: [bitmap, buddy]\nheap: recorded\nmemory: 2GiB\nworkers: 2\nkernel-heap: off\nstrict: true\npid: [3, 4]\n';
    const json =
      '{"traces": ["a.fwt", "/b.fwt"], "pmm": "bitmap,buddy", "heap": "recorded", "memory": "2GiB", "workers": 2, "kernel-heap": false, "strict": true, "pid": "3,4"}';
    const expected = {
      traces: ['some/a.fwt', '/b.fwt'],
      pmm: 'bitmap,buddy',
      heap: 'recorded',
      memory: '2GiB',
      workers: '2',
      'kernel-heap': 'off',
      strict: 'true',
      pid: '3,4',
    };
    expect(await read(yaml)).toEqual(expected);
    expect(await read(json)).toEqual(expected);
  });

  it('leave rules of a policy out, by name', async () => {
    const request = async (text: string) => await runRequest(['a.fwt'], () => undefined, await parseMatrix(text, 'm.yaml'));
    expect((await request('policy: linux\nwithout: [reuse, pt-reclaim]\n')).without).toEqual(['reuse', 'pt-reclaim']);
    expect((await request('policy: linux\n')).without).toEqual([]);
    await expect(request('policy: linux\nwithout: re-use\n')).rejects.toThrow(/^m.yaml: without re-use: unknown name, did you mean reuse\?/);
    await expect(request('policy: plain\nwithout: reuse\n')).rejects.toThrow(
      'm.yaml: without reuse: policy plain has no rules that could be left out; give --policy linux',
    );
  });

  it('know every option of run', async () => {
    const values: Record<string, string> = {
      names: 'x',
      choice: 'on',
      size: '4096',
      numbers: '1',
      path: 'f',
      'path-or-name': 'default',
      text: '0..9',
      rules: 'reuse',
      switch: 'true',
      count: '1',
    };
    for (const [key, option] of Object.entries(RUN_OPTIONS)) {
      if (key !== 'matrix') expect(Object.keys(await read(`${key}: ${values[option.kind]}`))).toEqual(['traces', key]);
    }
  });

  it('take paths relative to the file', async () => {
    expect(await read('out: results\nmemmap: e820.txt\ntlb: tlbs/mine.json\n')).toEqual({
      traces: [],
      out: 'some/results',
      memmap: 'some/e820.txt',
      tlb: 'some/tlbs/mine.json',
    });
    expect(await read('tlb: default\n')).toEqual({ traces: [], tlb: 'default' });
  });

  it.each([
    ['pnm: buddy', 'some/matrix.yaml: pnm: unknown key, did you mean pmm? (known: traces, arch, pmm,'],
    ['matrix: other.yaml', 'some/matrix.yaml: matrix: unknown key'],
    ['memory: [1, 2]', 'some/matrix.yaml: expected a size such as 4GiB, or bytes at memory'],
    ['workers: two', 'some/matrix.yaml: expected a whole number at workers'],
    ['strict: maybe', 'some/matrix.yaml: expected true or false at strict'],
    ['pmm: {name: buddy}', 'some/matrix.yaml: expected a name or a list of names at pmm'],
    ['pmm: []', 'some/matrix.yaml: expected a name or a list of names at pmm'],
    ['- pmm', 'some/matrix.yaml: expected keys and values, such as pmm: [bitmap, buddy]'],
    ['', 'some/matrix.yaml: expected keys and values'],
    ['pmm: [bitmap\nheap: recorded', 'some/matrix.yaml:2: not YAML or JSON:'],
    ['workers: two\nstrict: maybe', 'some/matrix.yaml: expected a whole number at workers; expected true or false at strict'],
  ])('refuse %j', async (text, start) => {
    await expect(read(text)).rejects.toThrow(start);
  });
});

describe('requests', () => {
  const noFlags = (): undefined => undefined;

  it('put flags over the file over the presets', async () => {
    const matrix = await parseMatrix('traces: a.fwt\npmm: buddy\nmemory: 1GiB\nseed: 7\n', 'm.yaml');
    const request = await runRequest([], (key) => (key === 'seed' ? '9' : undefined), matrix);
    expect(request.traces).toEqual(['a.fwt']);
    expect(request.pmm).toEqual(['buddy']);
    expect(request.map.usableFrames).toBe(262144);
    expect(request.seed).toBe(9);
    expect(request.onOom).toBe('kill');
    expect((await runRequest(['b.fwt'], noFlags, matrix)).traces).toEqual(['b.fwt']);
  });

  it('name the file and the key when its value is wrong', async () => {
    const wrong = async (text: string): Promise<unknown> => await runRequest(['a.fwt'], noFlags, await parseMatrix(text, 'm.yaml'));
    await expect(wrong('pmm: budy')).rejects.toThrow('m.yaml: pmm budy: unknown name, did you mean buddy?');
    await expect(wrong('memory: 4GB')).rejects.toThrow('m.yaml: memory 4GB: unknown unit GB; write 4GiB');
    await expect(wrong('touch: sometimes')).rejects.toThrow('m.yaml: touch sometimes: unknown name');
    await expect(wrong('workers: 0')).rejects.toThrow('m.yaml: workers 0: expected a whole number from 1 to 256');
    await expect(wrong('memory: 1GiB\nmemmap: nowhere.txt')).rejects.toThrow('m.yaml: memmap nowhere.txt: cannot read: no such file or directory');
  });

  it('name the flag otherwise', async () => {
    const wrong = async (key: string, text: string): Promise<unknown> => await runRequest(['a.fwt'], (name) => (name === key ? text : undefined));
    await expect(wrong('window', '5..5')).rejects.toThrow('--window 5..5: holds no event');
    await expect(wrong('window', '5-9')).rejects.toThrow('--window 5-9: expected FROM..TO');
    await expect(wrong('pid', '1,x')).rejects.toThrow('--pid x: expected a whole number from 0');
    await expect(wrong('policy', 'linix')).rejects.toThrow('--policy linix: unknown name, did you mean linux? (known: plain, linux)');
    await expect(wrong('memory', '12')).rejects.toThrow('--memory: 12 bytes hold no frame');
    await expect(wrong('tlb', 'defalt')).rejects.toThrow('--tlb defalt: unknown name, did you mean default?');
    await expect(wrong('tlb', './nowhere.json')).rejects.toThrow('--tlb ./nowhere.json: cannot read: no such file or directory');
    await expect(runRequest([], noFlags)).rejects.toThrow('no trace given');
  });

  it('read a window', async () => {
    const window = async (text: string): Promise<unknown> => (await runRequest(['a.fwt'], (name) => (name === 'window' ? text : undefined))).window;
    expect(await window('1000..5000')).toEqual([1000, 5000]);
    expect(await window('..5000')).toEqual([0, 5000]);
    expect(await window('1000..')).toEqual([1000, Number.MAX_SAFE_INTEGER]);
  });
});
