import { describe, expect, it } from 'vitest';
import { Op } from '../../../traces/event.js';
import { lackeyFormat } from '../../../traces/formats/lackey.js';
import { importBytes, sample, show } from './importing.js';

describe('lackey', () => {
  it('a sample: as many events as its letters say', async () => {
    const text = await sample('lackey.txt');
    const { counts, losses, header } = await importBytes(lackeyFormat, text);
    const letters = (letter: string): number => text.split('\n').filter((line) => line.trim().startsWith(`${letter} `)).length;
    expect(counts).toEqual({ fetch: letters('I'), read: letters('L') + letters('M'), write: letters('S') + letters('M') });
    expect(counts).toMatchInlineSnapshot(`
      {
        "fetch": 392,
        "read": 71,
        "write": 56,
      }
    `);
    expect(losses).toEqual([]);
    expect(header.captured).toEqual({ heap: false, freePointers: false, mappings: false, processes: false, touches: 'all', samples: false });
    expect(header.clock).toBe('none');
  });

  it('pid, command and end from the lines of Valgrind', async () => {
    const { events, header, losses } = await importBytes(
      lackeyFormat,
      '==7799== Lackey, an example Valgrind tool\n==7799== Command: sort /etc/services\n==7799== \nI  0401ab70,3\n L 1fff000768,8\nSB 04016b80\n M ffefff6d8,4\n==7799== \n==7799== Exit code:       2\n',
    );
    expect(events.map(show)).toEqual([
      '0 7799/7799 fetch 401ab70 3 0 0 0 0',
      '1 7799/7799 read 1fff000768 8 0 0 0 0',
      '2 7799/7799 read ffefff6d8 4 0 0 0 0',
      '2 7799/7799 write ffefff6d8 4 0 0 0 0',
      '3 7799/7799 exit 0 0 0 2 2000 0',
    ]);
    expect(header.provenance).toEqual({ command: 'sort /etc/services' });
    expect(losses).toEqual([]);
  });

  it('without those, pid 1; what the program printed is counted', async () => {
    const { events, losses } = await importBytes(lackeyFormat, 'I  04,3\nhello\n L zz,8\n S 10,\n S 10,8x\n S 10,0\n X 10,4\n S ffffffffff600000,8\n S 20,8\n');
    expect(events.map(({ op, addr, pid }) => [op, addr, pid])).toEqual([
      [Op.fetch, 4, 1],
      [Op.write, 0x20, 1],
    ]);
    expect(losses).toEqual([
      { cause: 'line that is not an access (output of the program?)', count: 6, first: 'sample:2' },
      { cause: 'access at a kernel address', count: 1, first: 'sample:8' },
    ]);
  });
});
