// Tables and paragraphs that fit the terminal they are read on. What a terminal breaks by itself, in the middle of a word and
// of a column, cannot be read; what is piped elsewhere is left on one line, for `grep`.

/** The narrowest last column that is still one; below it the cell goes onto lines of its own. */
const narrowest = 20;
const hangingIndent = 4;

/** How wide a text may be, in characters. */
export interface Width {
  /** Infinity: nothing is broken. */
  readonly columns: number;
}

/** Rows of cells as lines of aligned columns; the last cell of a row is broken into lines under itself where there is no room. */
export function formatTable(
  rows: readonly (readonly string[])[],
  { columns }: Width = { columns: Number.POSITIVE_INFINITY },
): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows.map((row) => `${formatRow(row, { widths, columns })}\n`).join('');
}

function formatRow(
  row: readonly string[],
  { widths, columns }: { readonly widths: readonly number[]; readonly columns: number },
): string {
  const front = row
    .slice(0, -1)
    .map((cell, index) => `${cell.padEnd(widths[index] ?? 0)}  `)
    .join('');
  const last = row.at(-1) ?? '';
  if (front.length + last.length <= columns) return `${front}${last}`.trimEnd();
  if (columns - front.length >= narrowest) return `${front}${wrap(last, { columns, indent: front.length })}`.trimEnd();
  const indent = ' '.repeat(hangingIndent);
  if (front.trimEnd().length > columns) return packed(row, { widths, columns });
  return `${front.trimEnd()}\n${indent}${wrap(last, { columns, indent: hangingIndent })}`;
}

// As many cells on a line as there is room for, in their columns while they last.
function packed(
  row: readonly string[],
  { widths, columns }: { readonly widths: readonly number[]; readonly columns: number },
): string {
  const lines: string[] = [];
  let line = '';
  for (const [index, cell] of row.entries()) {
    if (line !== '' && line.length + cell.length > columns) {
      lines.push(line.trimEnd());
      line = ' '.repeat(hangingIndent);
    }
    if (index === row.length - 1) line += wrap(cell, { columns, indent: hangingIndent, firstIndent: line.length });
    else line += `${cell.padEnd(widths[index] ?? 0)}  `;
  }
  return [...lines, line].map((one) => one.trimEnd()).join('\n');
}

/**
 * A text broken between words into lines of at most `columns` characters, all but the first indented; the first has that much
 * room taken already, or `firstIndent`. A word that is longer, such as a path to be copied, stays whole.
 */
export function wrap(
  text: string,
  { columns, indent, firstIndent = indent }: Width & { readonly indent: number; readonly firstIndent?: number },
): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const room = columns - (lines.length === 0 ? firstIndent : indent);
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${' '.repeat(indent)}`);
}

/** `1 snapshot`, `2 snapshots`; another plural than with an s is given. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
