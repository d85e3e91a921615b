// Sentences that the page and the terminal share.

import { formatBytes, formatSpan } from '../text/format.ts';
import { formatAge, formatSecond, wholeSecondAfter } from '../text/moment.ts';
import { plural } from '../text/table.ts';
import type { RunPoint } from './collection.ts';
import type { ActivityView, Status } from './status.ts';

const dayMs = 86_400_000;
const verbs = { dump: 'Dumping', verify: 'Reading back', restore: 'Restoring' } as const;

/** The share that is done, from 0 to 1; null: it cannot be said. */
export function shareOf({ progress }: ActivityView): number | null {
  if (progress === null || progress.expectedBytes === null || progress.expectedBytes === 0) return null;
  return progress.bytes > progress.expectedBytes ? null : progress.bytes / progress.expectedBytes;
}

/** What goes on, in one line. */
export function describeActivity(activity: ActivityView, now: Date): string {
  const { what, name, since, progress } = activity;
  const begun = `${what === 'run' ? name : `drill of ${name}`}, begun ${formatAge(since, now)}`;
  if (progress === null) return `${begun}: preparing`;
  const share = shareOf(activity);
  const whole =
    share === null ? '' : ` of about ${formatBytes(progress.expectedBytes ?? 0)} (${Math.round(share * 100)} %)`;
  return `${begun}: ${verbs[progress.step]} ${formatBytes(progress.bytes)}${whole}`;
}

/** How the stored size has changed in the last 30 days, such as `, +4 % in 30 days`; empty where it cannot be said. */
export function trendOf(points: readonly RunPoint[], now: Date): string {
  const last = points.at(-1);
  const begin = points.find(({ dataAt }) => dataAt.getTime() >= now.getTime() - 30 * dayMs);
  if (last === undefined || begin === undefined || begin === last || begin.objectBytes === 0) return '';
  const days = Math.round((last.dataAt.getTime() - begin.dataAt.getTime()) / dayMs);
  if (days < 1) return '';
  const percent = Math.round((last.objectBytes / begin.objectBytes - 1) * 100);
  return `, ${percent < 0 ? '−' : '+'}${Math.abs(percent)} % in ${days} ${days === 1 ? 'day' : 'days'}`;
}

/** The checks of a drill in a few words, such as `31 checks passed, 2 notes`. */
export function countChecks(checks: readonly { readonly status: 'ok' | 'failed' | 'note' }[]): string {
  const count = (wanted: string): number => checks.filter(({ status }) => status === wanted).length;
  const parts = [
    ...(count('failed') === 0 ? [] : [`${count('failed')} failed`]),
    `${plural(count('ok'), 'check')} passed`,
    ...(count('note') === 0 ? [] : [plural(count('note'), 'note')]),
  ];
  return parts.join(', ');
}

/** How long until a moment, such as `in 21 h`, or that it is over: `2 h ago`. */
export function formatUntil(moment: Date, now: Date): string {
  const leftMs = moment.getTime() - now.getTime();
  return leftMs >= 0 ? `in ${formatSpan(leftMs)}` : formatAge(moment, now);
}

/** What moments can be had, in a sentence. */
export function describeMoments(
  { restorableFrom, restorableTo, lagSeconds }: NonNullable<Status['pitr']>,
  { timeZone }: Pick<Status, 'timeZone'>,
): string {
  if (restorableFrom === null) return 'none can be had yet: there is no base backup';
  const from = formatSecond(wholeSecondAfter(restorableFrom), timeZone);
  const to = restorableTo === null ? 'the newest that is stored' : formatSecond(restorableTo, timeZone);
  return `every one from ${from} to ${to}${lagSeconds === null ? '' : `, ${formatSpan(lagSeconds * 1_000)} behind`}`;
}

/** How much of the time that moments are wanted for is there, from 0 to 1. */
export function shareOfMoments({ restorableFrom, restorableTo, keepMs }: NonNullable<Status['pitr']>): number {
  if (restorableFrom === null || restorableTo === null || keepMs === 0) return 0;
  return Math.max(0, Math.min(1, (Date.parse(restorableTo) - Date.parse(restorableFrom)) / keepMs));
}
