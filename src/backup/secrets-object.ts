// Mastodon's settings of a run, as an env file beside the dump: what is missing of its secrets is told when it can still be
// mended, and not when the server is gone.

import type { OneRunKey } from '../codec/age.ts';
import type { BackupOptions } from './backup.ts';
import type { Environment } from '../config/environment.ts';
import { collectMastodonVariables } from '../mastodon/documented-variables.ts';
import { encodeEnvFile } from '../mastodon/env-file.ts';
import {
  compareFingerprints,
  describeDifference,
  fingerprintSecrets,
  requiredSecrets,
} from '../mastodon/secret-fingerprints.ts';
import { newestWithFingerprints, type EarlierBackups } from '../snapshots/earlier-backups.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { enclose, type Enclosure } from './enclosure.ts';

/** Mastodon's settings of one run. */
export interface SecretsObject extends Enclosure {
  readonly fingerprints: Readonly<Record<string, string>>;
}

/**
 * The secrets object of a run; null when BACKUP_SECRETS is off, when there are no recipients, or when the environment has
 * nothing of Mastodon's. What an administrator should know about it goes to the log, once.
 */
export async function encryptSecrets(
  environment: Environment,
  options: Pick<BackupOptions, 'secrets' | 'recipients' | 'log'> & {
    readonly id: string;
    /** The run's own key; null without recipients. */
    readonly oneRunKey: OneRunKey | null;
  },
): Promise<SecretsObject | null> {
  const { id, oneRunKey, log } = options;
  if (options.secrets === 'off') return null;
  if (oneRunKey === null) {
    log.warn(
      {},
      "Mastodon's secrets are not stored with this backup, for they would be in the clear: set BACKUP_AGE_RECIPIENTS, or keep a copy of .env.production away from this server",
    );
    return null;
  }
  const variables = collectMastodonVariables(environment);
  const names = Object.keys(variables);
  const missing = requiredSecrets.filter((name) => environment.status(name) !== 'set');
  if (missing.length > 0) {
    log.warn(
      {},
      `These of Mastodon's secrets are not in our environment and so not in this backup: ${missing.join(', ')}; put .env.production into env_file of this service`,
    );
  }
  if (names.length === 0) return null;
  const plain = Buffer.from(encodeEnvFile(variables, { header: describe(id) }));
  return {
    ...(await enclose(plain, { ...options, kind: 'secrets', oneRunKey })),
    fingerprints: fingerprintSecrets(environment, { snapshotId: id }),
  };
}

function describe(id: string): readonly string[] {
  return [
    `Mastodon's settings as they were when the backup ${id} was made.`,
    "Save this as .env.production beside Mastodon's docker-compose.yml, with mode 0600: env_file takes it as it is.",
    'Whoever has it can act as this instance.',
  ];
}

/** What differs in Mastodon's secrets from the newest backup that knows them, as warnings. */
export function lookForOtherSecrets(earlier: readonly EarlierBackups[], environment: Environment): readonly string[] {
  const newest = newestWithFingerprints(earlier);
  const comparison = newest === undefined ? null : compareFingerprints(newest, environment);
  if (newest === undefined || comparison === null) return [];
  return describeDifference(comparison, { snapshot: snapshotName(newest) });
}
