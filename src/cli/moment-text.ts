// What is said of a moment that came back: where it ended and how long each part took; and of a data directory what a person does
// with it, as lines to copy.

import type { MomentFacts } from '../app/moment-verb.ts';
import type { DataDirectory } from '../pitr/data-directory.ts';
import { formatDuration } from '../text/format.ts';
import { withLocalMicros } from '../text/moment.ts';
import { plural, wrap, type Width } from '../text/table.ts';

/** Where a moment ended and how long it took, a line or two. */
export function renderMoment(
  moment: MomentFacts & { readonly dumpedMs?: number },
  { columns, timeZone }: Width & { readonly timeZone: string },
): string {
  const { base, segments, stagedMs, unpackedMs, replayedMs, dumpedMs } = moment;
  const parts = [
    `reading the log ${formatDuration(stagedMs)}`,
    `unpacking the base ${formatDuration(unpackedMs)}`,
    `replaying ${formatDuration(replayedMs)}`,
    ...(dumpedMs === undefined ? [] : [`dumping ${formatDuration(dumpedMs)}`]),
  ];
  return [
    wrap(
      `${describeEnd(moment, timeZone)} Base ${base} and ${plural(segments, 'segment')} of the log; ${parts.join(', ')}.`,
      {
        columns,
        indent: 2,
        firstIndent: 0,
      },
    ),
    '',
  ].join('\n');
}

function describeEnd({ lastTransactionAt }: Pick<MomentFacts, 'lastTransactionAt'>, timeZone: string): string {
  return lastTransactionAt === null
    ? 'No transaction ended between the base backup and this moment.'
    : `The last transaction in it ended at ${withLocalMicros(lastTransactionAt, timeZone)}.`;
}

/** What to do with a data directory, step by step. */
export function renderDataDirectory(made: DataDirectory, timeZone: string): string {
  const { directory, base, segments, serverMajor, superuser, settings } = made;
  const resets = settings.map((name) => `ALTER SYSTEM RESET ${name};`).join(' ');
  const psql = `docker compose exec db psql -U ${superuser} -d postgres`;
  return [
    `${directory} is a data directory for PostgreSQL ${serverMajor}, which replays base ${base} and ${plural(segments, 'segment')} of the log when it starts. ${describeEnd(made, timeZone)}`,
    'It is for the image that made it: with another C library (alpine or Debian) indexes of text would be wrong without a word.',
    'Next, beside docker-compose.yml; OLD is the directory that the service db mounts now:',
    '  1. docker compose stop web streaming sidekiq backup db',
    '  2. mv OLD OLD_before',
    `  3. mv ${directory} OLD`,
    '  4. chown -R 70:70 OLD (image postgres:…-alpine) or chown -R 999:999 OLD (image postgres:…)',
    '  5. docker compose up -d db, and wait until it says f to:',
    `     ${psql} -Atc 'SELECT pg_is_in_recovery()'`,
    `  6. ${psql} -c '${resets.split('; ').join(`' -c '`).replace(/;$/, '')}'`,
    '  7. rm -r OLD/pitr-wal',
    '  8. docker compose up -d; a new base backup is made by itself.',
    '',
  ].join('\n');
}
