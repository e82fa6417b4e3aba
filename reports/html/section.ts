/**
 * A section of the report: what all traces share (heading, lead, legend) and what each trace shows. A section in which no trace has anything to show is left out.
 */
import type { Markup, Part } from './markup.js';
import type { ReportTrace } from './model.js';

export interface Section {
  readonly id: string;
  /** One or two words for the list of sections. */
  readonly nav: string;
  readonly title: string;
  readonly lead: Part;
  readonly legend?: Markup;
  /** What is said beside the trace's name. */
  readonly note?: (trace: ReportTrace) => Part;
  /** What is said of a trace that has nothing to show while others have. */
  readonly nothing?: string;
  /** null: this trace has nothing to show here. */
  readonly body: (trace: ReportTrace) => Markup | null;
}

/** Why sections about processes say nothing of the recording of a page allocator. */
export const NO_SPACES = 'A recording of a page allocator: it knows of frames, but of no address space.';
