// Whether Mastodon's secrets travel with the backups, whether all of them are here, and whether they are still those of the
// newest backup. A dump whose secrets are lost logs everybody out and locks out whoever uses two factors.

import { lookForOtherSecrets } from '../backup/secrets-object.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { collectMastodonVariables } from '../mastodon/documented-variables.ts';
import { requiredSecrets } from '../mastodon/secret-fingerprints.ts';
import { fine, type Examination, type Finding } from './finding.ts';

const check = 'secrets';
const addEnvFile =
  "Add Mastodon's file to this service in the compose file: env_file: [.env.production, .env.backup]; the ACTIVE_RECORD_ENCRYPTION_* are there since Mastodon 4.3.";

/** All findings about Mastodon's secrets. */
export function examineSecrets(examination: Examination, earlier: readonly EarlierBackups[]): readonly Finding[] {
  return [...examineStorage(examination), ...examineChanges(examination, earlier)];
}

function examineStorage({ settings, environment }: Examination): readonly Finding[] {
  if (settings.secrets === 'off') {
    return [
      fine(check, "Mastodon's settings do not travel with the backups (BACKUP_SECRETS=off); keep them elsewhere"),
    ];
  }
  if (settings.keys.kind === 'plain') {
    return [
      {
        check,
        status: 'warning',
        detail:
          "Mastodon's secrets do not travel with the backups, for they would be in the clear; a restored instance needs them",
        remedy: 'Set BACKUP_AGE_RECIPIENTS, or keep a copy of .env.production away from this server.',
      },
    ];
  }
  const missing = requiredSecrets.filter((name) => environment.status(name) !== 'set');
  const count = Object.keys(collectMastodonVariables(environment)).length;
  return [
    missing.length === 0
      ? fine(check, `${count} of Mastodon's settings travel encrypted with each backup`)
      : {
          check,
          status: 'warning',
          detail: `these of Mastodon's secrets are not in our environment and so not in the backups: ${missing.join(', ')}`,
          remedy: addEnvFile,
        },
  ];
}

// Stores that cannot be asked have a finding of their own already.
function examineChanges({ environment }: Examination, earlier: readonly EarlierBackups[]): readonly Finding[] {
  return lookForOtherSecrets(earlier, environment).map((detail) => ({
    check,
    status: 'warning',
    detail,
    remedy: 'Put the right values back before the next backup, or ignore this when you changed them on purpose.',
  }));
}
