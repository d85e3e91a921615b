// The pieces a recovery kit is made of, before they become text or HTML.

/** A piece of a section. */
export type KitBlock =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'facts'; readonly rows: readonly (readonly [string, string])[] }
  | { readonly kind: 'commands'; readonly label: string; readonly lines: readonly string[] }
  /** A QR code of a text, with what it is for. */
  | { readonly kind: 'code'; readonly label: string; readonly text: string };

/** A section of the kit. */
export interface KitSection {
  readonly title: string;
  readonly blocks: readonly KitBlock[];
}

/** A paragraph. */
export function text(content: string): KitBlock {
  return { kind: 'text', text: content };
}

/** Commands to type, one a line, with what they are for; an empty label where the text before says it. */
export function commands(label: string, lines: readonly string[]): KitBlock {
  return { kind: 'commands', label, lines };
}

/** The same, of which each is typed when the one before it was well; at its end it says `ok`, or says nothing. */
export function checked(label: string, lines: readonly string[]): KitBlock {
  return commands(
    label,
    lines.map((line, index) => `${line} &&${index === lines.length - 1 ? ' echo ok' : ''}`),
  );
}
