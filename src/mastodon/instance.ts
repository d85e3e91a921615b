// Which Mastodon this is, for manifests: several instances may share a bucket, and nobody may delete another's backups.

import type { Environment } from '../config/environment.ts';
import type { DatabaseTarget } from './database-settings.ts';
import { isQuoted } from './rails-value.ts';

/** LOCAL_DOMAIN in lower case without what an env file left around it, else `host/database`. */
export function instanceName(environment: Environment, target: Pick<DatabaseTarget, 'host' | 'database'>): string {
  const domain = domainIn(environment, 'LOCAL_DOMAIN');
  return domain === '' ? `${target.host}/${target.database}` : domain;
}

/** The domains of this Mastodon, as far as its environment says them. */
export function ownDomains(environment: Environment): readonly string[] {
  return ['LOCAL_DOMAIN', 'WEB_DOMAIN'].map((name) => domainIn(environment, name)).filter((name) => name.includes('.'));
}

function domainIn(environment: Environment, variable: string): string {
  const text = environment.get(variable)?.text.trim() ?? '';
  // A domain never has quotes; a change of the container engine must not make another instance of the same Mastodon.
  return (isQuoted(text) ? text.slice(1, -1) : text).trim().toLowerCase();
}
