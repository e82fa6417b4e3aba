/** Physical memory as ranges of usable frames with holes between them (x86: the e820 map). */
export interface FrameRange {
  /** First frame and number of frames. */
  readonly first: number;
  readonly count: number;
}

export interface MemoryMap {
  /** Usable ranges, ascending, disjoint, not adjacent, each at least one frame. */
  readonly usable: readonly FrameRange[];
  /** One past the last usable frame: the size that arrays indexed by frame need. */
  readonly frames: number;
  /** Sum of the usable counts. */
  readonly usableFrames: number;
}
