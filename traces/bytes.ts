/**
 * Where containers are written to and read from: files and memory.
 *
 * A file is written aside (`PATH.tmp-PID`) and renamed when it is whole, so a half-written one is never seen under its name; the leftover is removed on failure and
 * when the process exits. Devices and pipes (/dev/stdout) cannot be renamed over and are written directly.
 */
import { closeSync, fstatSync, openSync, readSync, realpathSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from './event.js';
import { fileError, isMissing } from './io-error.js';

/** Takes bytes in order; they may be overwritten after `write` returns. */
export interface ByteTarget {
  write(bytes: Uint8Array): void;
  /** Everything was written: makes it visible. */
  finish(): void;
  /** Gives up: nothing remains. Harmless after `finish` or twice. */
  abort(): void;
}

/** Random access to the bytes of a container. */
export interface ByteSource {
  readonly size: number;
  /** The bytes themselves when they are in memory: null for files. */
  readonly memory: Uint8Array | null;
  /** Fills `into` from `offset`; UserError when that much is not there. */
  read(offset: number, into: Uint8Array): void;
  close(): void;
}

const leftovers = new Set<string>();
let listening = false;

/** Removes `path` when the process exits, unless `keep` is called for it before. */
function removeOnExit(path: string): void {
  leftovers.add(path);
  if (listening) return;
  listening = true;
  process.once('exit', () => {
    for (const leftover of leftovers) rmSync(leftover, { force: true });
  });
}

const keep = (path: string): void => {
  leftovers.delete(path);
};

function remove(path: string): void {
  keep(path);
  rmSync(path, { force: true });
}

function writeFully(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
}

/** Writes `path` aside and renames it when finished. UserError when it cannot be written; then nothing is left of it. */
export class FileTarget implements ByteTarget {
  private readonly fd: number;
  /** Where the bytes go until `finish`; null when they go to `path` directly. */
  private readonly aside: string | null;
  private readonly target: string;
  private open = true;

  constructor(readonly path: string) {
    try {
      this.target = existing(path);
      this.aside = isDevice(this.target) ? null : `${this.target}.tmp-${process.pid}`;
      this.fd = openSync(this.aside ?? this.target, 'w');
      if (this.aside !== null) removeOnExit(this.aside);
    } catch (error) {
      throw fileError(path, 'write', error);
    }
  }

  write(bytes: Uint8Array): void {
    try {
      writeFully(this.fd, bytes);
    } catch (error) {
      this.abort();
      throw fileError(this.path, 'write', error);
    }
  }

  finish(): void {
    if (!this.open) return;
    try {
      this.open = false;
      closeSync(this.fd);
      if (this.aside === null) return;
      renameSync(this.aside, this.target);
      keep(this.aside);
    } catch (error) {
      if (this.aside !== null) remove(this.aside);
      throw fileError(this.path, 'write', error);
    }
  }

  abort(): void {
    if (!this.open) return;
    this.open = false;
    closeSync(this.fd);
    if (this.aside !== null) remove(this.aside);
  }
}

/** The file a symbolic link points to (renaming over the link would replace the link), or the path itself when there is nothing yet. */
function existing(path: string): string {
  try {
    // The link behind /dev/stdout leads to no path when it is a pipe.
    return statSync(path).isFile() ? realpathSync(path) : path;
  } catch (error) {
    if (isMissing(error)) return path;
    throw error;
  }
}

function isDevice(path: string): boolean {
  try {
    const info = statSync(path);
    if (info.isDirectory()) throw new UserError(`${path}: is a directory, the name of a file to write was expected`);
    return !info.isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

let temporaryFiles = 0;

/** Keeps up to `limit` bytes in shared memory, which costs only what is used; goes on in a temporary file when there are more. */
export class MemoryTarget implements ByteTarget {
  private memory: SharedArrayBuffer | null;
  private length = 0;
  private fd = -1;
  private path = '';

  constructor(private readonly limit: number) {
    this.memory = new SharedArrayBuffer(limit);
  }

  write(bytes: Uint8Array): void {
    if (this.memory !== null) {
      if (this.length + bytes.length <= this.limit) {
        new Uint8Array(this.memory, this.length, bytes.length).set(bytes);
        this.length += bytes.length;
        return;
      }
      this.spill(new Uint8Array(this.memory, 0, this.length));
      this.memory = null;
    }
    this.toFile(bytes);
  }

  private spill(bytes: Uint8Array): void {
    this.path = join(tmpdir(), `framewalk-${process.pid}-${++temporaryFiles}.fwt`);
    try {
      this.fd = openSync(this.path, 'wx', 0o600);
      removeOnExit(this.path);
    } catch (error) {
      throw fileError(this.path, 'write', error);
    }
    this.toFile(bytes);
  }

  private toFile(bytes: Uint8Array): void {
    try {
      writeFully(this.fd, bytes);
    } catch (error) {
      this.abort();
      const reason = fileError(this.path, 'write', error);
      throw reason instanceof UserError
        ? new UserError(`${reason.message} (temporary file; set TMPDIR to a place with room, or raise --trace-memory)`)
        : reason;
    }
  }

  finish(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  abort(): void {
    this.finish();
    if (this.path !== '') remove(this.path);
    this.memory = null;
  }

  /** What was written, after `finish`. A temporary file goes when the source is closed. */
  source(): MemorySource | FileSource {
    if (this.memory !== null) return new MemorySource(new Uint8Array(this.memory, 0, this.length));
    return new FileSource(this.path, true);
  }
}

export class MemorySource implements ByteSource {
  readonly size: number;

  constructor(readonly memory: Uint8Array) {
    this.size = memory.length;
  }

  read(offset: number, into: Uint8Array): void {
    if (offset + into.length > this.size) throw new UserError(`bytes ${offset} to ${offset + into.length} are missing`);
    into.set(this.memory.subarray(offset, offset + into.length));
  }

  close(): void {
    // Memory goes with its last reference.
  }
}

export class FileSource implements ByteSource {
  readonly memory = null;
  readonly size: number;
  private fd: number;

  /** `temporary`: the file is removed on `close`. */
  constructor(
    readonly path: string,
    private readonly temporary = false,
  ) {
    try {
      // Looked at before it is opened: what is read from a pipe would be gone.
      if (!statSync(path).isFile()) throw new UserError(`${path}: a .fwt trace must be a file, not a pipe or a directory`);
      this.fd = openSync(path, 'r');
      this.size = fstatSync(this.fd).size;
    } catch (error) {
      throw fileError(path, 'read', error);
    }
  }

  read(offset: number, into: Uint8Array): void {
    try {
      for (let at = 0; at < into.length; ) {
        const bytes = readSync(this.fd, into, at, into.length - at, offset + at);
        if (bytes === 0) throw new UserError(`${this.path}: became shorter while it was read`);
        at += bytes;
      }
    } catch (error) {
      throw fileError(this.path, 'read', error);
    }
  }

  close(): void {
    if (this.fd < 0) return;
    closeSync(this.fd);
    this.fd = -1;
    if (this.temporary) remove(this.path);
  }
}
