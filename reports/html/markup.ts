/**
 * HTML as values: text put into a template is escaped, markup put into it is not. There is no other way to make markup than `markup` and `raw`,
 * so that a trace's name or a command line cannot become a tag.
 */

export class Markup {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
}

export type Part = Markup | string | number | null | readonly Part[];

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

function textOf(part: Part): string {
  if (part === null) return '';
  if (part instanceof Markup) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return escapeText(String(part));
}

/** Line breaks and indentation of a template are for its reader. */
const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');

/** Template tag: strings and numbers are escaped, null is nothing, lists are joined. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  let text = oneLine(strings[0] ?? '');
  parts.forEach((part, i) => {
    text += textOf(part) + oneLine(strings[i + 1] ?? '');
  });
  return new Markup(text);
}

/** Text that is markup already: made by this program, never from input. */
export function raw(text: string): Markup {
  return new Markup(text);
}

export const NOTHING = raw('');

/** Parts with a separator between them. */
export function joined(parts: readonly Part[], separator: Part): Markup {
  return markup`${parts.map((part, i) => (i === 0 ? part : markup`${separator}${part}`))}`;
}
