/** A whole recording with stand-ins for perf and strace, which need no rights: what is asked of them, what is written, and what becomes of failures. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTrace } from '../../../traces/open.js';
import { record, type RecordRequest } from '../../../traces/record/recording.js';
import { straceArguments, tracepoints } from '../../../traces/record/perf-arguments.js';
import { userError } from '../events.js';
import { machineIn, newIn, scratch, type MachineOptions } from './machine.js';

const folder = scratch();

/**
 * Like perf: `record` begins when told to on descriptor 3 and answers on 4, ends with the process; `script` prints what stands in perf.txt, with the process's id
 * for PID. Shell, because it has to run wherever the tests do.
 */
const perf = (events: string, how = ''): string => `
export PATH="$PATH:/usr/bin:/bin"
printf '%s\\n' "$*" >> "$LOG/perf.log"
case $1 in
record)
  while [ $# -gt 0 ]; do case $1 in -o) out=$2;; -p) pid=$2;; esac; shift; done
  ${how}
  read -r word <&3; echo ack >&4
  echo "$pid" > "$out"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done ;;
script)
  sed "s/PID/$(cat "$3")/g" <<'END'
${events}
END
esac`;
const BEGIN = 'app PID/PID [000] 5.000000001: sched:sched_prepare_exec: interp=/bin/sh filename=/bin/sh pid=PID comm=sh';
const EVENTS = `${BEGIN}
app PID/PID [000] 5.000000002: PERF_RECORD_COMM exec: app:PID/PID
app PID/PID [000] 5.000000003: raw_syscalls:sys_enter: NR 9 (0, 2000, 3, 22, ffffffff, 0)
app PID/PID [000] 5.000000004: raw_syscalls:sys_exit: NR 9 = 20480
app PID/PID [000] 5.000000005: exceptions:page_fault_user: address=0x5000 ip=0x1 error_code=0x6
app PID/PID [000] 5.000000006: sched:sched_process_exit: comm=app pid=PID prio=120 group_dead=true`;

function setup(options: MachineOptions, wish: Partial<RecordRequest> = {}) {
  const here = newIn(folder);
  const machine = machineIn(here, options);
  const output = join(here, 'out.fwt');
  const request: RecordRequest = {
    command: ['/bin/sh', '-c', 'exit 3'],
    output,
    truth: false,
    rssTruth: false,
    heap: false,
    pages: false,
    allowLost: false,
    keep: undefined,
    ...wish,
  };
  const said: string[] = [];
  const stop = new AbortController();
  const run = () =>
    record(
      request,
      { ...machine, env: { ...machine.env, LOG: here } },
      { warn: (line) => said.push(line), growing: () => undefined, importing: () => undefined, stop: stop.signal, started: () => undefined },
    );
  const asked = (): string => readFileSync(join(here, 'perf.log'), 'utf8');
  /** What lies there but the trace and the machine. */
  const rest = (): string[] => readdirSync(here).filter((name) => !['bin', 'root', 'perf.log', 'out.fwt'].includes(name));
  return { here, output, run, said, stop, asked, rest };
}

describe('as root', () => {
  it('the code of the command, a trace of its events, nothing else left behind', async () => {
    const { run, output, rest, asked } = setup({ programs: { perf: perf(EVENTS) } });
    expect(await run()).toMatchObject({ code: 3, losses: [] });
    const trace = await openTrace(output);
    expect(trace.header).toMatchObject({ captured: { mappings: true, touches: 'faults', samples: false }, kernel: { thp: 'madvise' } });
    expect(trace.header.provenance).toMatchObject({ command: '/bin/sh -c exit 3', recorder: 'framewalk record (kernel)' });
    expect(rest()).toEqual([]);
    for (const { name } of tracepoints({ rssTruth: false })) expect(asked()).toContain(`-e ${name}`);
    expect(asked()).toContain('-k CLOCK_MONOTONIC -d -c 1 --sample-cpu -m 8M');
    expect(asked()).toContain('kmem:rss_stat --filter curr==0&&member==1');
  });
  it('--heap: the calls of a second run, which both files say', async () => {
    // Like heaptrack --raw: a file of that name and an ending.
    const heaptrack = `printf 'v 10700 2\\nX 0 app\\nI 1000 100\\n+ 10 0 5000\\n- 5000\\n' > "$3.123"`;
    const { run, output, rest } = setup({ programs: { perf: perf(EVENTS), heaptrack } }, { heap: true });
    expect((await run()).code).toBe(3);
    const beside = output.replace('.fwt', '.heap.fwt');
    expect((await openTrace(beside)).header).toMatchObject({ captured: { heap: true, freePointers: true } });
    expect((await openTrace(output)).header.provenance['heap']).toBe('out.heap.fwt, of a second run of the command');
    expect(rest()).toEqual(['out.heap.fwt']);
  });
  it('--heap: a program that heaptrack cannot follow is one line', async () => {
    const { run } = setup({ programs: { perf: perf(EVENTS), heaptrack: 'exit 1' } }, { heap: true });
    expect(await userError(run)).toMatch(/^--heap: heaptrack recorded nothing of \/bin\/sh/);
  });
  it('--rss-truth: every change of the counters', async () => {
    const { run, asked } = setup({ programs: { perf: perf(EVENTS) } }, { rssTruth: true });
    await run();
    expect(asked()).not.toContain('curr==0');
  });
  it('--keep leaves the text of perf', async () => {
    const kept = join(newIn(folder), 'kept');
    const { run } = setup({ programs: { perf: perf(EVENTS) } }, { keep: kept });
    await run();
    expect(readdirSync(kept)).toEqual(['events.perf.txt.gz']);
  });
  it.each([
    ['lost records', perf(`${EVENTS}\napp PID/PID [000] 5.000000007: PERF_RECORD_LOST lost 12`), /^perf lost 12 records.*--allow-lost$/],
    ['a perf that cannot begin', perf(EVENTS, 'echo "Permission error" >&2; exit 1'), /^perf record cannot begin: Permission error$/],
    ['a perf that fails at the end', `${perf(EVENTS)}\n[ "$1" = script ] || { echo 'it broke' >&2; exit 9; }`, /^perf record failed: it broke$/],
    [
      'a recording that cannot be printed',
      perf(EVENTS).replace('script)', 'script) echo "no such event" >&2; exit 1;'),
      /^perf script cannot read what perf record wrote: no such event$/,
    ],
  ])('%s: one line, nothing half-written', async (_, program, message) => {
    const { run, output, rest } = setup({ programs: { perf: program } });
    expect(await userError(run)).toMatch(message);
    expect(existsSync(output)).toBe(false);
    expect(rest()).toEqual([]);
  });
  it('lost records with --allow-lost are a counted loss', async () => {
    const { run } = setup({ programs: { perf: perf(`${EVENTS}\napp PID/PID [000] 5.000000007: PERF_RECORD_LOST lost 12`) } }, { allowLost: true });
    expect((await run()).losses).toEqual([expect.objectContaining({ cause: 'records that perf lost', count: 12 })]);
  });
  it('a command that a signal ends has the code that a shell gives it', async () => {
    const { run } = setup({ programs: { perf: perf(EVENTS) } }, { command: ['/bin/sh', '-c', 'kill -9 $$'] });
    expect((await run()).code).toBe(137);
  });
});

describe('as an ordinary user', () => {
  /** Like strace: starts what follows `--`, and has written to the file after -o what it saw. */
  const strace = (text: string): string =>
    `
while [ "$1" != -- ]; do case $1 in -o) out=$2;; esac; shift; done; shift
cat > "$out" <<'END'
${text}
END
exec "$@"`.replace('cat', '/bin/cat');
  const SOFTWARE = `app PID/PID [000] 5.000000002: PERF_RECORD_COMM exec: app:PID/PID
app PID/PID [000] 5.000000500: page-faults:u:     5000
app PID/PID [000] 5.000000600: PERF_RECORD_EXIT(PID:PID):(1:1)`;

  it('perf and strace: an estimate, and the header says so', async () => {
    const { run, output, said, asked } = setup({ uid: 7, programs: { perf: perf(SOFTWARE), strace: strace('') } });
    expect((await run()).code).toBe(3);
    expect(said).toEqual([expect.stringMatching(/an estimate$/)]);
    const { header } = await openTrace(output);
    expect(header).toMatchObject({ captured: { touches: 'user-faults', processes: true }, provenance: { recorder: 'framewalk record (faults)' } });
    expect(asked()).toContain('-k CLOCK_REALTIME -d -c 1 --sample-cpu -p');
    expect(asked()).toContain('-e page-faults:u');
  });
  it('strace alone: what came before the command is left out; what is touched is not known', async () => {
    const lines = [
      'execve("/bin/sh", ["sh"], 0x1 /* 2 vars */) = 0',
      'brk(NULL) = 0x1000',
      'execve("/bin/app", ["app"], 0x1 /* 2 vars */) = 0',
      'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x5000',
      '+++ exited with 3 +++',
    ];
    const text = lines.map((line, i) => `70 5.00000000${i} ${line}`).join('\n');
    const { run, output, rest } = setup({ uid: 7, paranoid: 4, programs: { strace: strace(text) } });
    expect(await run()).toMatchObject({ code: 3, losses: [] });
    const trace = await openTrace(output);
    expect(trace.header.captured).toMatchObject({ mappings: true, touches: 'none', samples: false });
    expect(trace.rows).toBe(3);
    expect(rest()).toEqual([]);
  });
  it('arguments as numbers beside perf, with the paths of descriptors alone', () => {
    expect(straceArguments('f', true).join(' ')).toMatch(
      /--seccomp-bpf -f -q --absolute-timestamps=format:unix,precision:ns --syscall-times=ns -o f -e raw=close,mmap,\S+ -e trace=\S+,clone,clone3,fork,vfork/,
    );
    expect(straceArguments('f', false).join(' ')).toContain('-y -e trace=%memory,%process,%ipc,ftruncate,fallocate --');
  });
  it('a strace that fails is one line', async () => {
    const { run, output, rest } = setup({ uid: 7, paranoid: 4, programs: { strace: 'exit 1' } });
    expect(await userError(run)).toMatch(/strace ended with exit code 1 before the command began$/);
    expect({ there: existsSync(output), rest: rest() }).toEqual({ there: false, rest: [] });
  });
});

it('a folder that cannot be made is named', async () => {
  const { here, run } = setup({ programs: { perf: perf(EVENTS) } }, { keep: '/dev/null/kept' });
  mkdirSync(join(here, 'x'));
  expect(await userError(run)).toMatch(/^--keep \/dev\/null\/kept: cannot write/);
});
