// Losing the recipients by a mistyped line must not put the next dump in the clear beside encrypted ones.

import { AppError } from '../errors.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { dumpOf } from '../snapshots/manifest.ts';

/** Throws AppError `settings` when a run would store the first unencrypted backup after encrypted ones, unless allowed. */
export function refusePlaintextAfterEncrypted(
  earlier: readonly EarlierBackups[],
  options: { readonly recipients: readonly string[]; readonly allowPlaintext: boolean },
): void {
  if (options.recipients.length > 0 || options.allowPlaintext) return;
  for (const { repository, snapshots } of earlier) {
    const [newest] = snapshots;
    if (newest === undefined || dumpOf(newest).encryption === null) continue;
    throw new AppError(
      'settings',
      `BACKUP_AGE_RECIPIENTS is not set, but the newest backup in ${repository.store.description} is encrypted`,
      {
        hint: 'Set BACKUP_AGE_RECIPIENTS again, or BACKUP_ALLOW_PLAINTEXT=true if backups shall be stored unencrypted from now on.',
      },
    );
  }
}
