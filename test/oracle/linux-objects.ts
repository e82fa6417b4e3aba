/** The oracle's frames and shared objects: files, shared memory, and which of their pages are in memory. */

export type FrameKind = 'anonymous' | 'file' | 'shared';

export interface Frame {
  kind: FrameKind;
  /** Pages of all spaces that map it. */
  maps: number;
  /** PageAnonExclusive: nobody else ever had it since it was made or last reused. */
  exclusive: boolean;
  /** Order of the page-cache folio it came in. */
  order: number;
}

export interface SharedObject {
  id: number;
  kind: 'transient' | 'file' | 'shm';
  /** -1: unknown. */
  bytes: number;
  readonly pages: Map<number, Frame>;
  readonly absent: Set<number>;
  removed: boolean;
  /** A System V segment: its mappings have no map_pages. */
  alone: boolean;
  vdso: boolean;
}

export const newFrame = (kind: FrameKind): Frame => ({ kind, maps: 0, exclusive: kind === 'anonymous', order: 0 });

export class Objects {
  readonly live = new Set<SharedObject>();
  /** A page that had to be read since this was last cleared. */
  needsIo = false;
  private theVdso: SharedObject | null = null;

  named(id: number): SharedObject | undefined {
    return [...this.live].find((o) => o.id === id && id !== 0);
  }
  make(kind: SharedObject['kind'], id: number, bytes: number): SharedObject {
    const o: SharedObject = { id, kind, bytes, pages: new Map(), absent: new Set(), removed: false, alone: false, vdso: false };
    this.live.add(o);
    return o;
  }
  vdso(): SharedObject {
    this.theVdso ??= this.make('file', 0, -1);
    this.theVdso.vdso = true;
    return this.theVdso;
  }
  announce(id: number, bytes: number, kind: 'file' | 'shm', name: string): void {
    let o = this.named(id);
    if (o === undefined) o = this.make(kind, id, -1);
    if (o.kind === 'transient') o.kind = kind;
    // What is mapped beyond a smaller size stays mapped; the object forgets it.
    if (bytes > 0) for (const index of [...o.pages.keys()]) if (o.bytes > bytes && index >= Math.ceil(bytes / 4096)) o.pages.delete(index);
    o.bytes = bytes > 0 ? bytes : -1;
    if (name.startsWith('/SYSV')) o.alone = true;
  }
  remove(id: number): void {
    const o = this.named(id);
    if (o === undefined) return;
    o.removed = true;
    o.id = 0;
  }
  /** Objects that nothing keeps any more die. */
  collect(mapped: ReadonlySet<SharedObject | null>): void {
    for (const o of this.live) if ((o.kind === 'transient' || o.removed) && !mapped.has(o)) this.live.delete(o);
  }
  /** The page of an object, brought to memory when it is not there. */
  page(o: SharedObject, index: number): Frame {
    const known = o.pages.get(index);
    if (known !== undefined) return known;
    const frame = newFrame(o.kind === 'file' ? 'file' : 'shared');
    o.pages.set(index, frame);
    if (o.absent.delete(index)) this.needsIo = true;
    return frame;
  }
  /** A page that the object has in memory: any of a file that is not known to be absent, else one that was made before. */
  cached(o: SharedObject, index: number): Frame | undefined {
    const known = o.pages.get(index);
    return known !== undefined || o.kind !== 'file' || o.absent.has(index) ? known : this.page(o, index);
  }
  cache(o: SharedObject, first: number, count: number, present: boolean, order: number): void {
    for (let index = first; index < first + count; index++) {
      const frame = o.pages.get(index);
      if (present && frame === undefined) {
        o.absent.delete(index);
        this.page(o, index).order = order;
      }
      // What is mapped cannot leave.
      if (!present && (frame === undefined || frame.maps === 0)) {
        o.pages.delete(index);
        o.absent.add(index);
      }
    }
  }
}
