// Bucket rules as text: what is there, what should be, and what to enter by hand where the token may not.

import type { LifecycleReport } from '../app/lifecycle-verb.ts';
import type { BucketRule, LifecycleRule } from '../storage/store.ts';

/** The comparison as text. */
export function renderLifecycle(report: LifecycleReport): string {
  const { present, inPlace, conflicts, inexpressible } = report;
  const lines = [`${report.place}, BACKUP_RETENTION=${report.mode}`, 'Rules of the bucket:'];
  if (present === null) lines.push('  this token may not look at them');
  if (present?.length === 0) lines.push('  none');
  for (const rule of present ?? []) lines.push(`  ${renderPresent(rule)}`);
  lines.push('Rules that match the settings:', ...renderWanted(report.wanted));
  if (inPlace === true) lines.push('They are in place.');
  if (inPlace === false) lines.push('They are not all in place. Put them there with: mastodon-backup lifecycle apply');
  if (inPlace === null) lines.push("Enter them in the bucket's dashboard (R2: Settings, Object lifecycle rules).");
  for (const conflict of conflicts) lines.push(`CONFLICT: ${conflict}`);
  for (const tier of inexpressible)
    lines.push(`NOTE: no bucket rule can keep a number of ${tier} snapshots; they stay for ever.`);
  if (report.mode === 'lifecycle')
    lines.push('NOTE: bucket rules know nothing of outages: they delete by age alone, the last backup too.');
  return `${lines.join('\n')}\n`;
}

/** The wanted rules, a line each, as they can be entered by hand. */
export function renderWanted(rules: readonly BucketRule[]): readonly string[] {
  return rules.map(
    ({ id, prefix, expireDays, abortIncompleteDays }) =>
      `  ${id}: prefix '${prefix}', ${expireDays === null ? '' : `delete objects after ${expireDays} days, `}abort incomplete multipart uploads after ${abortIncompleteDays} days`,
  );
}

function renderPresent({ id, prefix, enabled, expireDays, abortIncompleteDays }: LifecycleRule): string {
  const does = [
    ...(expireDays === null ? [] : [`deletes after ${expireDays} days`]),
    ...(abortIncompleteDays === null ? [] : [`aborts uploads after ${abortIncompleteDays} days`]),
  ];
  return `${id ?? '(no name)'}: prefix '${prefix}', ${does.length === 0 ? 'something else' : does.join(', ')}${enabled ? '' : ' (off)'}`;
}
