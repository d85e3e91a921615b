// Texts for those who take only so many characters.

/** A text of at most `limit` characters, with a sign at its end when it was cut. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Not between the two halves of one character.
  return `${text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
