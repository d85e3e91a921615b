// What `restore` says of a database, a file or a directory that it has made.

import type { ExtraReport, FileReport, RestoreReport } from '../app/restore-verb.ts';
import { formatBytes, formatDuration } from '../text/format.ts';
import { layOutHint } from '../text/hint.ts';
import { formatMoment } from '../text/moment.ts';
import { plural, wrap, type Width } from '../text/table.ts';

/** A restored database and what to do next. */
export function renderRestore(
  report: RestoreReport,
  { timeZone, columns, program }: Width & { readonly timeZone: string; readonly program: string },
): string {
  const { snapshot, place, database, movedAside, durationMs, checks, nextSteps } = report;
  const line = (text: string): string => wrap(text, { columns, indent: 2, firstIndent: 0 });
  return [
    line(
      `Restored ${snapshot} from ${place} into the database ${database} in ${formatDuration(durationMs)}; data of ${formatMoment(report.dataAt, timeZone)}`,
    ),
    ...(movedAside === null ? [] : [line(`The former ${database} is kept as ${movedAside}`)]),
    ...checks.map(
      ({ check, status, detail, remedy }) =>
        `  ${status.padEnd(4)} ${wrap(`${check}: ${detail}`, { columns, indent: 7 })}${remedy === null ? '' : `\n       ${layOutHint(remedy, { program, columns, indent: 7 })}`}`,
    ),
    'Next:',
    ...nextSteps.map((step, index) => `  ${index + 1}. ${layOutHint(step, { program, columns, indent: 5 })}`),
    '',
  ].join('\n');
}

/** A file that was written, or a directory with some. */
export function renderFile(
  {
    snapshot,
    place,
    file,
    bytes,
    files = [],
  }: FileReport & Partial<Pick<ExtraReport, 'files'>> & { readonly file: string },
  { columns }: Width,
): string {
  const what = files.length === 0 ? '' : `${plural(files.length, 'file')}, `;
  const list = files.map((one) => `  ${one}\n`).join('');
  const wrote = `Wrote ${file} (${what}${formatBytes(bytes)}) from ${snapshot} in ${place}`;
  return `${wrap(wrote, { columns, indent: 2, firstIndent: 0 })}\n${list}`;
}
