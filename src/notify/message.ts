// An event in words for people: what happened, what it means, what to do next. Pure, so that every text can be read in a test.

import { formatBytes, formatDuration } from '../text/format.ts';
import { layOutHint } from '../text/hint.ts';
import { formatMoment } from '../text/moment.ts';
import { plural } from '../text/table.ts';
import {
  severityOf,
  type Attention,
  type BackupEvent,
  type ComparedSnapshot,
  type DrillEnded,
  type RunFailed,
  type RunSucceeded,
  type Severity,
} from './event.ts';

/** A text for people. */
export interface Message {
  readonly severity: Severity;
  /** One line. */
  readonly title: string;
  /** Several lines without mark-up. */
  readonly text: string;
}

/**
 * The message for an event; null: there is nothing to tell people. Times are told in `timeZone` and in UTC; `program` is how this program
 * is called by whoever reads it.
 */
export function messageFor(
  event: BackupEvent,
  { timeZone, program }: { readonly timeZone: string; readonly program: string },
): Message | null {
  const severity = severityOf(event);
  const say = (title: string, lines: readonly string[]): Message => ({
    severity,
    title,
    text: lines.map((line) => layOutHint(line, { program, indent: 0 })).join('\n'),
  });
  switch (event.kind) {
    case 'run-started':
      return null;
    case 'run-succeeded':
      return say(`${capital(event.tier)} backup of ${event.instance} ${successWord(event)}`, success(event, timeZone));
    case 'run-failed':
      return say(`${capital(event.tier)} backup of ${event.instance} FAILED`, failure(event, timeZone));
    case 'drill-ended':
      return say(`Restore drill of ${event.instance} ${drillWords[event.status]}`, drill(event));
    case 'test':
      return say(`Test message from the backups of ${event.instance}`, [
        'Messages about backups arrive here. Nothing happened; somebody ran: mastodon-backup notify test',
        `Sent: ${formatMoment(event.at, timeZone)}`,
      ]);
    case 'attention':
      return say(`Backups of ${event.instance}: ${event.subject}`, attention(event));
    default:
      return event satisfies never;
  }
}

function successWord(event: RunSucceeded): string {
  if (event.destinations.some(({ status }) => status === 'failed')) return 'done, but a destination failed';
  return event.shrunk ? 'done, but it has shrunk' : 'done';
}

function success(event: RunSucceeded, timeZone: string): readonly string[] {
  const rate = event.dumpBytes / Math.max(1, event.durationMs / 1_000);
  const how =
    event.copiedFrom === null
      ? `Took ${formatDuration(event.durationMs)}, ${formatBytes(rate)}/s`
      : `Copied from ${event.copiedFrom} in ${formatDuration(event.durationMs)}`;
  return [
    `Snapshot: ${event.tier}/${event.id}`,
    `Data of: ${formatMoment(event.dataAt, timeZone)}`,
    `Size: ${formatBytes(event.objectBytes)} stored, ${formatBytes(event.dumpBytes)} dumped${compared(event, event.previous)}`,
    how,
    ...(event.shrunk
      ? ['WARNING: the dump is less than half as large as the last ones. Check that nothing was lost in the database.']
      : []),
    ...event.destinations.map(({ place, status, error, hint }) =>
      status === 'stored' ? `Stored and verified in ${place}` : `NOT stored in ${place}: ${sentence(error, hint)}`,
    ),
    ...event.warnings.map((text) => `Warning: ${text}`),
    ...(event.prunedCount === null || event.prunedCount === 0
      ? []
      : [`Retention removed ${plural(event.prunedCount, 'older snapshot')}`]),
    ...nextRun(event.nextRunAt, timeZone),
  ];
}

function compared({ objectBytes, durationMs, copiedFrom }: RunSucceeded, previous: ComparedSnapshot | null): string {
  if (previous === null || previous.objectBytes === 0) return ' (the first of its tier)';
  const percent = (objectBytes / previous.objectBytes - 1) * 100;
  const size = `${percent < 0 ? '-' : '+'}${Math.abs(percent).toFixed(1)} % against the last one`;
  if (copiedFrom !== null || previous.durationMs === null) return ` (${size})`;
  const longer = durationMs - previous.durationMs;
  return ` (${size}, ${formatDuration(Math.abs(longer))} ${longer < 0 ? 'faster' : 'slower'})`;
}

function failure(event: RunFailed, timeZone: string): readonly string[] {
  return [
    `Step: ${event.step}`,
    `Reason: ${event.message}`,
    ...(event.hint === null ? [] : [`Do: ${event.hint}`]),
    event.lastGoodAt === null
      ? 'There is NO good backup yet'
      : `Last good backup: data of ${formatMoment(event.lastGoodAt, timeZone)}`,
    ...nextRun(event.nextRunAt, timeZone),
  ];
}

const drillWords = {
  passed: 'passed',
  failed: 'FAILED',
  incomplete: 'was incomplete',
  skipped: 'was skipped',
} as const;

function drill(event: DrillEnded): readonly string[] {
  return [
    `Snapshot: ${event.snapshot ?? 'none'}`,
    ...(event.durationMs === null ? [] : [`Time to recover: ${formatDuration(event.durationMs)}`]),
    ...event.findings,
  ];
}

function attention(event: Attention): readonly string[] {
  return [event.message, ...(event.hint === null ? [] : [`Do: ${event.hint}`])];
}

function nextRun(at: string | null, timeZone: string): readonly string[] {
  return [at === null ? 'No further run is scheduled' : `Next run: ${formatMoment(at, timeZone)}`];
}

function sentence(error: string | null, hint: string | null): string {
  return [error ?? 'unknown reason', ...(hint === null ? [] : [hint])].join('. ');
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
