// Hints as they are read: a command in one stands on a line of its own, ready to be copied, in the form that works where the reader
// is. In the sentence it is written after a colon, as `mastodon-backup list` or `docker compose up -d`, and ends with the sentence or at
// a comma; a test holds all hints to that.

import { wrap } from './table.ts';

/** A sentence, or a command in it. */
export interface HintPiece {
  readonly kind: 'words' | 'command';
  readonly text: string;
}

/** The name that hints call the program by. */
const written = 'mastodon-backup';
// Up to the first mark that ends a word: a command holds none before a blank.
const command =
  /: ((?:mastodon-backup|docker compose|chown|chmod|mount|timedatectl) \S[^\n]*?)(?:[.;,)](?=\s|$)|$)\s*/gm;

/** The pieces of a hint in their order. */
export function piecesOf(hint: string): readonly HintPiece[] {
  const pieces: HintPiece[] = [];
  let at = 0;
  for (const match of hint.matchAll(command)) {
    pieces.push({ kind: 'words', text: `${hint.slice(at, match.index)}:` });
    pieces.push({ kind: 'command', text: match[1] ?? '' });
    at = match.index + match[0].length;
  }
  const rest = hint.slice(at);
  return rest === '' ? pieces : [...pieces, { kind: 'words', text: rest }];
}

/** A hint as lines: the first continues what stands before it, the others are indented. */
export function layOutHint(
  hint: string,
  options: {
    /** How the program is called where this is read, such as `bin/mastodon-backup`. */
    readonly program: string;
    /** Characters before all lines but the first. */
    readonly indent: number;
    /** How wide a line of words may be; left out: as wide as it is. */
    readonly columns?: number;
    /** What stands on the first line already. */
    readonly firstIndent?: number;
  },
): string {
  const { program, indent, columns = Number.POSITIVE_INFINITY, firstIndent = indent } = options;
  return piecesOf(hint)
    .map(({ kind, text }, index) => {
      const start = index === 0 ? '' : ' '.repeat(indent);
      if (kind === 'command')
        return `${start}  ${text.startsWith(`${written} `) ? program + text.slice(written.length) : text}`;
      return `${start}${wrap(text, { columns, indent, firstIndent: index === 0 ? firstIndent : indent })}`;
    })
    .join('\n');
}
