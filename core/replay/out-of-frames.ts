/** `--on-oom stop`: the replay ends at the event that found no frame. */
export class OutOfFrames extends Error {
  override readonly name = 'OutOfFrames';
  constructor(readonly event: number) {
    super(`out of frames at event ${event}`);
  }
}
