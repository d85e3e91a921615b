// Which Mastodon this is, for manifests: several instances may share a bucket, and nobody may delete another's backups.

import type { Environment } from '../config/environment.ts';
import type { DatabaseTarget } from './database-settings.ts';
import { isQuoted } from './rails-value.ts';

/** LOCAL_DOMAIN in lower case without what an env file left around it, else `host/database`. */
export function instanceName(environment: Environment, target: Pick<DatabaseTarget, 'host' | 'database'>): string {
  const text = environment.get('LOCAL_DOMAIN')?.text.trim() ?? '';
  // A domain never has quotes; a change of the container engine must not make another instance of the same Mastodon.
  const domain = (isQuoted(text) ? text.slice(1, -1) : text).trim().toLowerCase();
  return domain === '' ? `${target.host}/${target.database}` : domain;
}
