// Names come out of a bucket, and become words of commands that people type as root: a name must stay a word, and look like one.

import { isMisleading, misleading } from '../text/terminal.ts';

/**
 * A text as one word of a POSIX shell, in characters that stand where they are typed: what breaks or turns a line around, as a name out
 * of a bucket may, is written as its bytes. Then nothing in it looks like a command of its own, or is one where a line is left out.
 * Newlines at its end are lost, which a shell takes off what a command prints.
 */
export function shellQuote(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (!isMisleading(text)) return quoted(text);
  // Between double quotes a shell that is typed into takes what follows an exclamation mark from its history.
  const printed = text
    .replaceAll(/\\/g, String.raw`\\`)
    .replaceAll(misleading, octal)
    .replaceAll('!', octal);
  return `"$(printf %b ${quoted(printed)})"`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function octal(character: string): string {
  return [...Buffer.from(character)].map((byte) => String.raw`\0${byte.toString(8).padStart(3, '0')}`).join('');
}
