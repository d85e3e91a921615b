// What settings say together that cannot be meant: each alone is valid, and only side by side does the slip show.

import type { Environment } from './environment.ts';
import type { Findings } from './reader.ts';
import type { Values } from './table.ts';

/** Looks for settings that contradict each other or have no effect; what is found goes into `findings`. */
export function findContradictions(
  values: Values,
  { environment, findings }: { readonly environment: Environment; readonly findings: Findings },
): void {
  const report = (variable: string, texts: { readonly problem: string; readonly remedy: string }): void => {
    findings.problems.push({ variable, shownValue: null, ...texts });
  };
  const isGiven = (name: string): boolean => ['set', 'broken'].includes(environment.status(name));

  for (const together of [
    ['BACKUP_TELEGRAM_BOT_TOKEN', 'BACKUP_TELEGRAM_CHAT_ID'],
    ['BACKUP_MATRIX_HOMESERVER', 'BACKUP_MATRIX_ROOM', 'BACKUP_MATRIX_TOKEN'],
  ]) {
    const given = together.find(isGiven);
    if (given === undefined) continue;
    for (const name of together.filter((one) => !isGiven(one))) {
      const remedy = `Set ${together.length === 2 ? 'both' : 'all of them'} or none`;
      report(name, { problem: `missing, while ${given} is set`, remedy });
    }
  }
  if (isGiven('BACKUP_TELEGRAM_THREAD_ID') && !isGiven('BACKUP_TELEGRAM_CHAT_ID')) {
    findings.warnings.push('BACKUP_TELEGRAM_THREAD_ID has no effect without BACKUP_TELEGRAM_CHAT_ID');
  }
  const { BACKUP_LOCAL_DIR: local, BACKUP_STATE_DIR: state, BACKUP_SCRATCH_DIR: scratch } = values;
  if (local !== undefined && (local === state || local === scratch)) {
    const other = local === state ? 'BACKUP_STATE_DIR' : 'BACKUP_SCRATCH_DIR';
    report('BACKUP_LOCAL_DIR', {
      problem: `the same directory as ${other}`,
      remedy: 'Give the backups a directory of their own',
    });
  }
  for (const name of ['BACKUP_HTTP_TOKEN', 'BACKUP_HTTP_LISTEN']) {
    if (isGiven(name) && !isGiven('BACKUP_HTTP_PORT'))
      findings.warnings.push(`${name} has no effect without BACKUP_HTTP_PORT`);
  }
  // As compose writes it where the variable behind it is not set.
  if (environment.status('BACKUP_HTTP_TOKEN') === 'empty' && isGiven('BACKUP_HTTP_PORT')) {
    findings.warnings.push(
      'BACKUP_HTTP_TOKEN is set but empty, so whoever reaches BACKUP_HTTP_PORT may read what it serves',
    );
  }
  if (values.BACKUP_EMAIL_TO !== undefined && environment.get('SMTP_SERVER') === undefined) {
    findings.warnings.push("BACKUP_EMAIL_TO has no effect without Mastodon's SMTP_SERVER in this environment");
  }
  if (values.BACKUP_EXTRA_FILES !== undefined && !isGiven('BACKUP_AGE_RECIPIENTS')) {
    findings.warnings.push(
      'BACKUP_EXTRA_FILES has no effect without BACKUP_AGE_RECIPIENTS: the files would be stored in the clear',
    );
  }
  if (values.BACKUP_VERIFY === 'etag' && !isGiven('BACKUP_S3_BUCKET') && local !== undefined) {
    findings.warnings.push('BACKUP_VERIFY=etag has no effect on a directory, which is always read back');
  }
  for (const name of [
    'BACKUP_PITR_KEEP',
    'BACKUP_PITR_UPLOAD_EVERY',
    'BACKUP_PITR_SLOT_LIMIT',
    'BACKUP_SCHEDULE_BASE',
  ]) {
    if (isGiven(name) && values.BACKUP_PITR !== 'on')
      findings.warnings.push(`${name} has no effect without BACKUP_PITR=on`);
  }
  if (values.BACKUP_RETENTION === 'lifecycle') {
    const what = [
      ...(local === undefined ? [] : ['nothing from BACKUP_LOCAL_DIR, for a directory has no rules']),
      ...(values.BACKUP_PITR === 'on' ? ['no base backups and no log'] : []),
    ];
    if (what.length > 0)
      findings.warnings.push(
        `BACKUP_RETENTION=lifecycle removes ${what.join(', and ')}; run prune now and then, or they fill the place`,
      );
  }
  const timeoutMs = values.BACKUP_TIMEOUT ?? Number.POSITIVE_INFINITY;
  for (const name of ['BACKUP_STALL_TIMEOUT', 'BACKUP_LOCK_WAIT'] as const) {
    if ((values[name] ?? 0) >= timeoutMs) {
      findings.warnings.push(`${name} has no effect, because it is not shorter than BACKUP_TIMEOUT`);
    }
  }
}
