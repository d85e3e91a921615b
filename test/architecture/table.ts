// `npm run architecture`: the rooms with their size and imports, and what breaks the rule. With `--markdown` the table that
// docs/architecture.md has between its markers.

import { circles, files, imports, importsOf, roomOf, rooms, textOf, upwardImports } from './rooms.ts';

/** The line before the table in docs/architecture.md. */
export const startMarker = '<!-- rooms -->';
/** The line after it. */
export const endMarker = '<!-- /rooms -->';

/** What each room holds, as Markdown. */
export function renderRoomsMarkdown(): string {
  const rows = rooms.map(
    ({ room, rank, holds }) => `| \`${room}${room.endsWith('.ts') ? '' : '/'}\` | ${rank} | ${holds} |`,
  );
  return ['| room | rank | holds |', '| --- | --- | --- |', ...rows].join('\n');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function print(): void {
  const row = (...cells: readonly (string | number)[]): void => {
    const [room = '', rank = '', count = '', lines = '', all = '', into = '', from = '', names = ''] =
      cells.map(String);
    const figures = [rank, count, lines, all, into, from].map((figure) => figure.padStart(8));
    console.log(`${room.padEnd(10)}${figures.join('')}  ${names}`.trimEnd());
  };
  const linesOf = (file: string): number => textOf(file).split('\n').length - 1;
  row('room', 'rank', 'files', 'median', 'lines', 'used by', 'uses', '');
  for (const { room, rank } of rooms) {
    const lines = files.filter((file) => roomOf(file) === room).map(linesOf);
    const used = rooms.filter((other) => importsOf(other.room).has(room)).length;
    const uses = [...importsOf(room)].toSorted();
    row(
      room,
      rank,
      lines.length,
      median(lines),
      lines.reduce((a, b) => a + b, 0),
      used,
      uses.length,
      uses.join(' '),
    );
  }
  console.log(
    `\n${files.length} files, ${files.reduce((sum, file) => sum + linesOf(file), 0)} lines, ${imports.length} imports`,
  );
  console.log(`Circles of rooms: ${circles().length} ${circles().join(' ')}`.trimEnd());
  console.log(`Imports that run back up: ${upwardImports().length}`);
  for (const { file, imported } of upwardImports()) console.log(`  ${file} imports ${imported}`);
}

if (import.meta.main) {
  if (process.argv.includes('--markdown')) console.log(renderRoomsMarkdown());
  else print();
}
