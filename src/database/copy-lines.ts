// Counts the rows in COPY text data as PostgreSQL's documentation of COPY defines it: one line a row, newlines inside a
// value escaped, and a line `\.` at the end, behind which pg_dump leaves two empty lines that are no rows.

/** Counts rows in COPY text that arrives in pieces. */
export interface CopyLineCounter {
  push(piece: Buffer): void;
  rows(): number;
  /** Whether the end-of-data line `\.` has been seen. */
  ended(): boolean;
}

const newline = 0x0a;
const backslash = 0x5c;
const dot = 0x2e;

/** A counter for the data of one table. */
export function createCopyLineCounter(): CopyLineCounter {
  let rows = 0;
  let ended = false;
  // How far the current line matches `\.`: 0-2 bytes matched, or -1 when it is some other line.
  let match = 0;
  return {
    push(piece) {
      let at = 0;
      while (at < piece.length && !ended) {
        if (match >= 0) {
          const byte = piece[at];
          if (match === 0 && byte === backslash) {
            match = 1;
            at += 1;
            continue;
          }
          if (match === 1 && byte === dot) {
            match = 2;
            at += 1;
            continue;
          }
          if (match === 2 && byte === newline) {
            ended = true;
            return;
          }
          match = -1;
        }
        const end = piece.indexOf(newline, at);
        if (end === -1) return;
        rows += 1;
        match = 0;
        at = end + 1;
      }
    },
    rows: () => rows,
    ended: () => ended,
  };
}
