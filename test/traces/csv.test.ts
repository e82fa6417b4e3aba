import fc from 'fast-check';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { flagWords, flagsByName } from '../../traces/csv-columns.js';
import { EventList } from '../../traces/event-list.js';
import { Flag, Op, OP_NAMES, type Loss, type TraceEvent, type TraceHeader } from '../../traces/event.js';
import { exportCsv } from '../../traces/export-csv.js';
import { csvFormat } from '../../traces/formats/csv.js';
import { openFwt } from '../../traces/fwt.js';
import { importInput } from '../../traces/import.js';
import { bytesInput, openInput } from '../../traces/input.js';
import { openTrace } from '../../traces/open.js';
import { container, event, eventsOf, inFolder, plain, sampleHeader, userError } from './events.js';

const NAMES = 'time,pid,tid,op,addr,size,addr2,arg,flags,cpu';

interface Read {
  events: TraceEvent[];
  losses: Loss[];
  header: TraceHeader;
  warnings: string[];
}

async function read(text: string | Uint8Array, chunkBytes?: number, strict = false): Promise<Read> {
  const sink = new EventList(strict);
  const warnings: string[] = [];
  const header = await importInput(bytesInput(text, 'x.csv', chunkBytes), sink, { format: 'csv', strict, onWarning: (message) => warnings.push(message) });
  return { events: sink.events, losses: sink.losses, header, warnings };
}

const row = (fields: Partial<Record<string, string>>): string =>
  NAMES.split(',')
    .map((name) => fields[name] ?? '')
    .join(',');
const one = async (fields: Partial<Record<string, string>>): Promise<TraceEvent> => {
  const { events, losses } = await read(`${NAMES}\n${row({ op: 'read', ...fields })}\n`);
  expect(losses).toEqual([]);
  expect(events).toHaveLength(1);
  return events[0]!;
};
const lossOf = async (fields: Partial<Record<string, string>>): Promise<string> => {
  const text = `${NAMES}\n${row({ op: 'read' })}\n${row({ op: 'read', ...fields })}\n${row({ op: 'read' })}\n`;
  const { events, losses } = await read(text);
  expect(events).toHaveLength(2);
  expect(losses).toHaveLength(1);
  expect(losses[0]).toMatchObject({ count: 1, first: 'x.csv:3' });
  expect(await userError(() => read(text, undefined, true))).toContain(`x.csv:3: ${losses[0]!.cause}`);
  return losses[0]!.cause;
};

describe('export and import', () => {
  it('give back any events; exporting again gives the same bytes', () =>
    inFolder((folder) =>
      fc.assert(
        fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
          exportCsv(openFwt(container(events), 't'), `${folder}/a.csv`);
          const trace = await openTrace(`${folder}/a.csv`, { strict: true });
          expect(eventsOf(trace)).toEqual(events);
          expect(trace.header).toEqual(sampleHeader());
          expect(trace.hash).toBe(openFwt(container(events), 't').hash);
          exportCsv(trace, `${folder}/b.csv`);
          expect(readFileSync(`${folder}/b.csv`, 'utf8')).toBe(readFileSync(`${folder}/a.csv`, 'utf8'));
        }),
        { numRuns: 120 },
      ),
    ));

  it('write what people can read', () =>
    inFolder((folder) => {
      const events = [
        plain({ op: Op.mmap, time: 1500, addr: 0x7ffff7df7000, size: 8192, arg: 3, flags: Flag.r | Flag.x | Flag.growsdown }),
        plain({ op: Op.write, pid: -1, tid: -1, addr: -0x800000000000, cpu: 2 }),
        plain({ op: Op.realloc, addr: 32, addr2: 16, size: 20 }),
        plain({ op: Op.cache, addr2: 4096, text: 'a "b", c' }),
      ];
      exportCsv(openFwt(container(events), 't'), `${folder}/a.csv`);
      const lines = readFileSync(`${folder}/a.csv`, 'utf8').split('\n');
      expect(lines.slice(lines.indexOf(`${NAMES},text`))).toEqual([
        `${NAMES},text`,
        '1500,1,1,mmap,0x7ffff7df7000,8192,,3,r|x|grows-down,,',
        '0,-1,-1,write,0xffff800000000000,,,,,2,',
        '0,1,1,realloc,0x20,20,0x10,,,,',
        '0,1,1,cache,,,4096,,,,"a ""b"", c"',
        '',
      ]);
      expect(lines).toContain('# kernel.thp: madvise');
      expect(lines).toContain('# provenance.note: " two\\nlines: of it"');
    }));

  it('leave nothing behind when the file cannot be written', () =>
    inFolder(async (folder) => {
      const trace = openFwt(container([plain({ op: Op.exit })]), 't');
      expect(await userError(() => exportCsv(trace, '/dev/full'))).toContain('no space left');
      expect(await userError(() => exportCsv(trace, `${folder}/no/a.csv`))).toContain('no such file');
      trace.blocks = () => {
        throw new RangeError('broken');
      };
      expect(() => exportCsv(trace, `${folder}/a.csv`)).toThrow('broken');
      expect(readdirSync(folder)).toEqual([]);
    }));
});

/** A field as some program might write it: quoted or not, with blanks around a number. */
const messy = fc.constantFrom<(field: string) => string>(
  (f) => f,
  (f) => f,
  (f) => `"${f}"`,
  (f) => ` ${f} `,
);
const MIXED_FIELDS = [
  '',
  '0',
  '1',
  '-1',
  '007',
  '12345678901234567890',
  '18446744073709551616',
  '0x',
  '0xffff800000000000',
  '0xFFFFFFFFFFFFFFFF',
  '0x7ffff7df7001',
  '9007199254740993',
  '-0',
  '+1',
  '1.5',
  '1e3',
  'x',
  'read',
  'mmap',
  'malloc',
  'nonsense',
  'r|w',
  'r|nonsense',
  'dma32',
  '123456789012345',
  '1234567890123456',
  '-9223372036854775808',
  'a|b',
  '\u00fc',
  '\u00a0',
];

describe('the byte scanner and csv-parse', () => {
  it('read every row alike', async () => {
    const field = fc.oneof(fc.constantFrom(...MIXED_FIELDS), fc.integer({ min: -5, max: 1 << 20 }).map(String));
    const fields = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.tuple(...Array.from({ length: 10 }, (_, i) => (i === 3 ? fc.constantFrom('read', 'free', 'mmap', 'share', 'what', '') : field))),
      },
      fc.array(field, { maxLength: 12 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fields, { maxLength: 12 }), async (rows) => {
        const bare = `${NAMES}\n${rows.map((r) => r.join(',')).join('\n')}\n`;
        // One quoted row at the end sends every row through csv-parse.
        const quoted = `${bare}"1",1,1,read,,,,,,\n`;
        const a = await read(bare);
        const b = await read(quoted);
        const last = b.events.pop();
        expect(last).toEqual(plain({ op: Op.read, time: 1 }));
        expect(b.events).toEqual(a.events);
        expect(b.losses).toEqual(a.losses);
      }),
      { numRuns: 400 },
    );
  });

  it('read the same events from every dialect and chunk size', async () => {
    const dialects = fc.record({
      delimiter: fc.constantFrom(',', ';', '\t'),
      end: fc.constantFrom('\n', '\r\n'),
      bom: fc.boolean(),
      last: fc.boolean(),
      size: fc.integer({ min: 1, max: 200 }),
      order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], { minLength: 12 }),
      forms: fc.array(messy, { minLength: 8, maxLength: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 12 }), dialects, async (events, { delimiter, end, bom, last, size, order, forms }) => {
        const names = [...NAMES.split(','), 'text', 'comment'];
        const lines = events.map((e, i) => {
          const form = (k: number, value: string): string => forms[(i + k) % forms.length]!(value);
          const quoted = (words: string): string => (/["\r\n,;\t]/.test(words) || words.trim() !== words ? `"${words.replaceAll('"', '""')}"` : words);
          const fields = [e.time, e.pid, e.tid, OP_NAMES[e.op]!, BigInt(e.addr), BigInt(e.size), BigInt(e.addr2), BigInt(e.arg), flagWords(e.flags), e.cpu].map(
            (v, k) => form(k, String(v)),
          );
          fields.push(quoted(e.text ?? ''), quoted('who cares'));
          return order.map((k) => fields[k]).join(delimiter);
        });
        const text = (bom ? '\ufeff' : '') + [order.map((k) => names[k]).join(delimiter), ...lines].join(end) + (last ? end : '');
        const result = await read(text, size);
        expect(result.losses).toEqual([]);
        expect(result.events).toEqual(events);
        expect(result.warnings).toEqual(['x.csv:1: unknown column ignored: comment']);
      }),
      { numRuns: 200 },
    );
  });

  it('number lines alike in files with quoted newlines', async () => {
    const text = `${NAMES},text\n0,1,1,read,,,,,,,"a\nb"\n\n0,1,1,what,,,,,,,\n0,1,1,read,,,,,,,"c\r\n\r\nd"\n0,1,1,when,,,,,,,\n`;
    for (const size of [1, 7, 1000]) {
      const { events, losses } = await read(text, size);
      expect(events.map((e) => e.text)).toEqual(['a\nb', 'c\r\n\r\nd']);
      expect(losses).toEqual([{ cause: 'unknown op', count: 2, first: 'x.csv:5' }]);
    }
  });
});

describe('numbers', () => {
  it('keep every bit of an address', async () => {
    expect((await one({ addr: '0xffff800000000000' })).addr).toBe(-0x800000000000);
    expect((await one({ addr: '18446603336221196288' })).addr).toBe(-0x800000000000);
    expect((await one({ addr: '0xFFFFFFFFFFFFFFFF' })).addr).toBe(-1);
    expect((await one({ addr: '-1' })).addr).toBe(-1);
    expect((await one({ addr: '0xffffffff81000123' })).addr).toBe(-0x7efffedd);
    expect((await one({ addr: '0x7fffffffffff' })).addr).toBe(0x7fffffffffff);
    expect((await one({ addr: '140737488355327' })).addr).toBe(0x7fffffffffff);
    expect((await one({ addr: '0xff00000000000000' })).addr).toBe(-(2 ** 56));
    expect((await one({ addr: '0x00fffffffffffff8' })).addr).toBe(2 ** 56 - 8);
    expect((await one({ addr: '0x000000000000000000000001' })).addr).toBe(1);
    expect((await one({ addr2: '0xfffffffffffff000' })).addr2).toBe(-4096);
  });

  it('may be decimal or hex everywhere, and empty', async () => {
    expect(await one({ time: '0x10', pid: '0x7', tid: '0X8', size: '0x1000', arg: '-0x2', cpu: '0x3' })).toEqual(
      plain({ op: Op.read, time: 16, pid: 7, tid: 8, size: 4096, arg: -2, cpu: 3 }),
    );
    expect(await one({})).toEqual(plain({ op: Op.read, pid: 0, tid: 0 }));
    expect((await one({ arg: '0xffff800000000000' })).arg).toBe(0xffff800000000000);
    expect((await one({ time: '9007199254740992' })).time).toBe(2 ** 53);
  });

  it.each([
    [{ size: '-1' }, 'size: negative'],
    [{ size: '18446744073709551616' }, 'size: a number of 2^64 or more'],
    [{ size: '0x10000000000000000' }, 'size: a number of 2^64 or more'],
    [{ size: '9'.repeat(100) }, 'size: a number of 2^64 or more'],
    [{ size: '9007199254740993' }, 'size: a number of more than 53 significant bits'],
    [{ addr: '18446744073709551616' }, 'addr: a number of 2^64 or more'],
    [{ addr: '-18446744073709551616' }, 'addr: a number of 2^64 or more'],
    [{ addr: '0x100000000000000' }, 'addr: outside the canonical 57-bit range'],
    [{ addr: '0xfeffffffffffffff' }, 'addr: a number of more than 53 significant bits'],
    [{ addr: '0xfefffffffffff000' }, 'addr: outside the canonical 57-bit range'],
    [{ addr: '0x8000000000000000' }, 'addr: outside the canonical 57-bit range'],
    [{ op: 'realloc', addr2: '0x100000000000000' }, 'addr2: outside the canonical 57-bit range'],
    [{ time: '-1' }, 'time: negative, or more than 2^53'],
    [{ time: '9007199254740994' }, 'time: negative, or more than 2^53'],
    [{ time: '1.5' }, 'time: not a whole number'],
    [{ arg: '1e3' }, 'arg: not a whole number'],
    [{ arg: '0x' }, 'arg: not a whole number'],
    [{ arg: '-' }, 'arg: not a whole number'],
    [{ pid: '-2' }, 'pid: outside -1 to 2^31-1'],
    [{ tid: '2147483648' }, 'tid: outside -1 to 2^31-1'],
    [{ cpu: '32768' }, 'cpu: outside -1 to 32767'],
    [{ op: 'mmmap' }, 'unknown op'],
    [{ op: '' }, 'unknown op'],
    [{ flags: 'r|readable' }, 'unknown flag'],
    [{ flags: 'r,w' }, 'wrong number of fields'],
  ])('count %j as a loss', async (fields, cause) => {
    expect(await lossOf(fields)).toBe(cause);
  });

  it('count short and long rows, and broken quotes, and keep the rows around them', async () => {
    const text = `${NAMES}\n1,1,1,read,,,,,,\n1,1,1\n2,1,1,read,,,,,,,,\n3,1,1,read,,,,,,\n4,1,1,read,"1"2,,,,,\n5,1,1,read,,,,,,\n6,1,1,re"ad,,,,,,\n7,1,1,"read",,,,,,`;
    for (const size of [1, 1000]) {
      const { events, losses } = await read(text, size);
      expect(events.map((e) => e.time)).toEqual([1, 3, 5, 7]);
      expect(losses).toEqual([
        { cause: 'wrong number of fields', count: 2, first: 'x.csv:3' },
        { cause: 'broken quotes', count: 2, first: 'x.csv:6' },
      ]);
    }
  });

  it('refuse a file that ends within quotes', async () => {
    for (const size of [1, 1000])
      expect(await userError(() => read(`${NAMES}\n1,1,1,read,,,,,,\n2,1,1,"read,,,,,,\n3,1,1,read,,,,,,\n`, size))).toMatch(
        /^x\.csv:3: the file ends within quotes/,
      );
    expect(await userError(() => read(`${NAMES}\n1,1,1,"${'x\n'.repeat(9 << 20)}`))).toMatch(
      /^x\.csv:2: a record of more than 16 MiB begins here; is a quote never closed\?/,
    );
  });
});

describe('flags', () => {
  it('are words, in any order', () => {
    fc.assert(fc.property(fc.integer(), (flags) => flagsByName(flagWords(flags)) === flags));
    expect(flagsByName(' x | r ')).toBe(Flag.r | Flag.x);
    expect(flagsByName('r|')).toBeNull();
  });
});

describe('the header', () => {
  it('comes from the # lines', async () => {
    const { header } = await read(
      '# a comment without a key\n#source: hand\n# clock: realtime\n# page_size: 16384\n# captured.heap: true\n# captured.free_pointers: false\n# captured.touches: faults\n# kernel.release: 6.18.0-1: x\n# provenance.command: "a\\tb"\n# machine: mine\n\n' +
        `${NAMES}\n0,1,1,mmap,,,,,,\n`,
    );
    expect(header).toEqual({
      source: 'hand',
      captured: { heap: true, freePointers: false, mappings: true, processes: false, touches: 'faults', samples: false },
      clock: 'realtime',
      pageSize: 16384,
      kernel: { release: '6.18.0-1: x' },
      provenance: { command: 'a\tb', machine: 'mine' },
    });
  });

  it('says what the events show when nothing else is said', async () => {
    const captured = async (...rows: string[]): Promise<TraceHeader['captured']> => (await read(`${NAMES}\n${rows.join('\n')}\n`)).header.captured;
    const nothing = { heap: false, freePointers: false, mappings: false, processes: false, touches: 'none', samples: false };
    expect(await captured()).toEqual(nothing);
    expect(await captured(row({ op: 'malloc', addr: '0x10' }), row({ op: 'free', addr: '0x10' }))).toEqual({ ...nothing, heap: true, freePointers: true });
    expect(await captured(row({ op: 'malloc', addr: '0x10' }), row({ op: 'free' }))).toEqual({ ...nothing, heap: true });
    expect(await captured(row({ op: 'brk' }), row({ op: 'exit' }), row({ op: 'sample' }))).toEqual({
      ...nothing,
      mappings: true,
      processes: true,
      samples: true,
    });
    expect(await captured(row({ op: 'read', flags: 'fault' }))).toEqual({ ...nothing, touches: 'faults' });
    expect(await captured(row({ op: 'read', flags: 'fault' }), row({ op: 'write' }))).toEqual({ ...nothing, touches: 'all' });
  });

  it.each([
    ['# page_size: many', 'page_size must be a number of bytes, not "many"'],
    ['# captured.touches: some', 'captured.touches must be none, user-faults, faults or all, not "some"'],
    ['# captured.heap: yes', 'captured.heap must be true or false, not "yes"'],
    ['# provenance.x: "y', 'a value that begins with a quote must be a whole JSON string'],
  ])('refuses %s', async (line, message) => {
    expect(await userError(() => read(`# ok: 1\n${line}\n${NAMES}\n`))).toBe(`x.csv:2: ${message}`);
  });
});

describe('column names', () => {
  it.each(NAMES.split(','))('must have %s', async (name) => {
    const without = NAMES.split(',').filter((other) => other !== name);
    expect(await userError(() => read(`# c\n${without.join(',')}\n${without.map(() => '').join(',')}\n`))).toBe(
      `x.csv:2: column "${name}" is missing; expected ${NAMES}[,text]`,
    );
  });

  it('may be quoted, in capitals, with blanks, and more than needed', async () => {
    const { events, warnings } = await read(`"Time", PID ,tid,OP,addr,size,addr2,arg,flags,cpu,who,why\n1,2,3,free,4,,,,,,a,b\n`);
    expect(events).toEqual([plain({ op: Op.free, time: 1, pid: 2, tid: 3, addr: 4 })]);
    expect(warnings).toEqual(['x.csv:1: unknown columns ignored: who, why']);
  });

  it('must not be there twice, nor all be missing', async () => {
    expect(await userError(() => read(`${NAMES},op\n`))).toBe('x.csv:1: column "op" is there twice');
    expect(await userError(() => read('# only: this\n'))).toBe(`x.csv: no line of column names; expected ${NAMES},text`);
    expect(await userError(() => read(''))).toBe('x.csv: the file is empty; a trace was expected');
    expect((await read(NAMES)).events).toEqual([]);
  });
});

describe('detection', () => {
  it('looks at the column names only', () => {
    expect(csvFormat.detect(`# x\n\n${NAMES}\r\n1,2`, 'x.txt')).toBe(1);
    expect(csvFormat.detect(`cpu;flags;"op";size;tid;addr\n`, '')).toBe(1);
    expect(csvFormat.detect('time_ns,pid,threads,vm_size_kb\n', 'events.csv')).toBe(0);
    expect(csvFormat.detect('device,inode,size_bytes,path\n', 'files.csv')).toBe(0);
    expect(csvFormat.detect('', 'a.csv')).toBe(0);
    expect(csvFormat.detect('\u0000\u0001', 'a.csv')).toBe(0);
  });
});

describe('parts of one recording', () => {
  it('are read one after the other, each with its own names or with those of the first', () =>
    inFolder(async (folder) => {
      writeFileSync(`${folder}/1`, `# source: first\n${NAMES}\n1,1,1,read,,,,,,`);
      writeFileSync(`${folder}/2`, zlib.gzipSync('2,1,1,write,,,,,,\nbad\n'));
      writeFileSync(`${folder}/3`, `# source: third\n${NAMES.split(',').reverse().join(',')}\n,,,,,,free,1,1,3\n`);
      const sink = new EventList();
      const header = await importInput(openInput([`${folder}/1`, `${folder}/2`, `${folder}/3`]), sink);
      expect(sink.events.map((e) => [e.time, e.op])).toEqual([
        [1, Op.read],
        [2, Op.write],
        [3, Op.free],
      ]);
      expect(header.source).toBe('first');
      expect(sink.losses).toEqual([{ cause: 'wrong number of fields', count: 1, first: `${folder}/2:2` }]);
    }));
});
