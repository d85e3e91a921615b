// Who only reads must not back up: what is stored without a signature counts for nothing here, and would be made again and again.

import type { SigningSettings } from '../config/signing-keys.ts';
import { AppError } from '../errors.ts';

/** Throws AppError `settings` where signatures count and nothing can be signed. */
export function assertSigning({ key, trusted }: SigningSettings): void {
  if (key !== null || trusted.length === 0) return;
  throw new AppError(
    'settings',
    'BACKUP_TRUSTED_SIGNERS is set, but not BACKUP_SIGNING_KEY: what is backed up here would count for nothing',
    { hint: 'Make a key with: mastodon-backup keygen --output signing_key, and name it in BACKUP_SIGNING_KEY_FILE.' },
  );
}
