import { describe, expect, it } from 'vitest';
import { PassThrough } from 'node:stream';
import { progressLine, startProgress } from '../../cli/progress.js';

const terminal = (isTTY: boolean): { stream: NodeJS.WriteStream; written: () => string } => {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  return { stream: stream as unknown as NodeJS.WriteStream, written: () => String(stream.read() ?? '') };
};

describe('progress', () => {
  it('words share, rate and time left', () => {
    expect(progressLine('replaying', 'events', 250_000, 1_000_000, 0.5)).toBe('replaying [#######.....................]  25 %  500.0 kevents/s  2 s left');
    expect(progressLine('importing', 'rows', 5_000_000, 0, 2)).toBe('importing  5.0 Mrows  2.5 Mrows/s');
    expect(progressLine('replaying', 'events', 0, 10, 0)).toBe('replaying [............................]   0 %  0 events/s');
    expect(progressLine('replaying', 'events', 1, 131, 1)).toContain('2 min 10 s left');
  });

  it('draws on a terminal, ten times a second at most, and clears up', () => {
    const { stream, written } = terminal(true);
    let time = 0;
    const progress = startProgress('replaying', 'events', stream, () => time);
    for (; time < 1000; time += 10) progress.update(time, 1000);
    progress.end();
    const text = written();
    expect(text.split('replaying').length - 1).toBe(10);
    expect(text.endsWith('\r\x1b[2K')).toBe(true);
  });

  it('is silent without a terminal', () => {
    const { stream, written } = terminal(false);
    const progress = startProgress('replaying', 'events', stream);
    progress.update(1, 2);
    progress.end();
    expect(written()).toBe('');
  });
});
