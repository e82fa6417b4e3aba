/**
 * `valgrind --tool=lackey --trace-mem=yes` (Valgrind's manual, chapter 13; lackey/lk_main.c): every instruction fetch, load, store and modify of a program,
 *
 *      I  0401ab70,3      ` L 1fff000768,8`      ` S 1fff000760,8`      ` M 04033e06,1`      (address in hexadecimal, bytes in decimal)
 *
 * A modify is a read and a write. Lines of `==PID==` are Valgrind's own: the first gives the pid, `Exit code:` is the process's end. There is no clock: `time`
 * counts accesses. Lackey tells neither what is mapped nor forks; with --trace-children the children's accesses are mixed in under one pid.
 * `--trace-superblocks` lines (SB) repeat what the fetches say and are left out.
 */
import { Flag, Op, type EventSink, type TraceHeader } from '../event.js';
import { decodeText, emptyHeader, type LineInput, type TraceFormat } from '../format.js';
import { guarded, type Emit } from '../guard.js';
import { Scanner } from '../scan.js';

const ACCESS_LINE = /^(?:I {2}| [LSM] )[0-9a-f]+,\d+$/;
/** Pid where no line of Valgrind's own says it. */
const UNKNOWN_PID = 1;

class LackeyReader {
  private readonly scan = new Scanner();
  private pid = 0;
  private time = 0;
  private command = '';
  private number = 0;
  private readonly emit: Emit;

  constructor(
    private readonly sink: EventSink,
    private readonly input: LineInput,
  ) {
    this.emit = guarded(sink, (cause) => this.loss(cause));
  }

  line(line: string, number: number): void {
    this.number = number;
    const { scan } = this;
    const first = line.charCodeAt(0);
    const kind = first === 32 ? line.charCodeAt(1) : first;
    if ((first === 73 && line.charCodeAt(1) === 32) || (first === 32 && (kind === 76 || kind === 83 || kind === 77))) {
      scan.over(line, 2).blanks();
      const address = scan.hex();
      const bytes = scan.eat(',') ? scan.decimal() : NaN;
      if (bytes > 0 && scan.at === line.length) {
        if (address < 0) this.loss('access at a kernel address');
        else this.access(kind, address, bytes);
        return;
      }
    } else if (first === 61) {
      this.own(line);
      return;
    } else if (line === '' || line.startsWith('SB ')) return;
    this.loss('line that is not an access (output of the program?)');
  }

  end(): TraceHeader {
    const header = emptyHeader('lackey');
    header.captured.touches = 'all';
    if (this.command !== '') header.provenance.command = this.command;
    return header;
  }

  private loss(cause: string): void {
    this.sink.loss(cause, this.input.where(this.number));
  }

  private access(kind: number, address: number, bytes: number): void {
    const { emit, time } = this;
    const pid = this.pid === 0 ? (this.pid = UNKNOWN_PID) : this.pid;
    this.time++;
    if (kind === 73) emit(time, pid, pid, Op.fetch, address, bytes, 0, 0, 0, 0);
    else {
      if (kind !== 83) emit(time, pid, pid, Op.read, address, bytes, 0, 0, 0, 0);
      if (kind !== 76) emit(time, pid, pid, Op.write, address, bytes, 0, 0, 0, 0);
    }
  }

  /** `==7799== Command: sort`, `==7799== Exit code:       0` */
  private own(line: string): void {
    const match = /^==(\d+)== ?(.*)$/.exec(line);
    if (match === null) return;
    const [, pid, text] = match as unknown as [string, string, string];
    if (this.pid === 0) this.pid = Number(pid);
    if (text.startsWith('Command: ')) this.command = decodeText(text.slice(9));
    const code = /^Exit code: +(-?\d+)$/.exec(text);
    if (code !== null) this.emit(this.time, this.pid, this.pid, Op.exit, 0, 0, 0, Number(code[1]), Flag.group, 0);
  }
}

export const lackeyFormat: TraceFormat = {
  name: 'lackey',
  title: 'valgrind --tool=lackey --trace-mem=yes: every memory access',
  source: 'https://valgrind.org/docs/manual/lk-manual.html',
  detect(head) {
    const lines = head.split(/\r?\n/, 2000).filter((line) => line !== '' && !line.startsWith('=='));
    if (lines.length > 1) lines.pop();
    const accesses = lines.filter((line) => ACCESS_LINE.test(line)).length;
    if (accesses === 0) return /^==\d+== Lackey, /m.test(head) ? 0.5 : 0;
    return accesses * 2 < lines.length ? 0 : 0.9;
  },
  async import(input, sink) {
    const reader = new LackeyReader(sink, input);
    await input.forEachLine((line, number) => reader.line(line, number));
    return reader.end();
  },
};
