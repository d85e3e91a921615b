// The role that Mastodon itself uses. Backups and restores may come with a login of their own (BACKUP_DATABASE_URL); what they
// bring back belongs to Mastodon all the same.

import type { Environment } from '../config/environment.ts';
import { readDatabaseTarget } from './database-settings.ts';

const own = 'BACKUP_DATABASE_URL';

/** The role and its password as Mastodon's own settings have them; null where they do not say it. */
export function mastodonRole(environment: Environment): {
  readonly role: string | null;
  readonly password: string | null;
} {
  const { target } = readDatabaseTarget({
    ...environment,
    get: (name) => (name === own ? undefined : environment.get(name)),
    status: (name) => (name === own ? 'unset' : environment.status(name)),
  });
  const isSaid = target !== null && target.sources.some((name) => name === 'DB_USER' || name === 'DATABASE_URL');
  return { role: isSaid ? target.user : null, password: target?.password ?? null };
}

/** The role for a manifest: as above, or whoever dumps, where that is Mastodon's own login; null where nobody knows. */
export function roleOfDump(environment: Environment, { user }: { readonly user: string }): string | null {
  return environment.status(own) === 'set' ? mastodonRole(environment).role : user;
}
