// Markup that cannot be broken out of: a template that escapes whatever is put into it, unless it is itself made by the template.
// Labels, names and messages on a page come from a bucket and from a database; without this any of them could be a script.

const made = Symbol('made by the template');

/** Markup made by `html`. */
export interface Html {
  readonly [made]: string;
}

/** What may be put into a template: text and numbers are escaped; null and false are nothing. */
export type HtmlValue = Html | string | number | null | false | readonly HtmlValue[];

/** A template; values in attributes stand in double quotes. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return { [made]: parts.reduce((text, part, index) => `${text}${show(values[index - 1] ?? null)}${part}`) };
}

/** A text of ours that stands as it is, such as a stylesheet, in which entities mean nothing; only the like can be put into it. */
export function verbatim(parts: TemplateStringsArray, ...values: readonly Html[]): Html {
  return html(parts, ...values);
}

/** The markup as text. */
export function toText(markup: Html): string {
  return markup[made];
}

function show(value: HtmlValue): string {
  if (value === null || value === false) return '';
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return made in value ? value[made] : value.map(show).join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A text that cannot become markup, in an element or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}
