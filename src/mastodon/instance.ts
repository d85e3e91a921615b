// Which Mastodon this is, for manifests: several instances may share a bucket, and nobody may delete another's backups.

import type { Environment } from '../config/environment.ts';
import type { DatabaseTarget } from './database-settings.ts';

/** LOCAL_DOMAIN, else `host/database`. */
export function instanceName(environment: Environment, target: DatabaseTarget): string {
  return environment.get('LOCAL_DOMAIN')?.text ?? `${target.host}/${target.database}`;
}
