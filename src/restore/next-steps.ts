// What a person does after the database is back, in its order; see "Migrating to a new machine" in Mastodon's guide.

import { escapeIdentifier } from 'pg';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';

/** The steps, a sentence each. */
export function nextSteps(facts: {
  readonly manifest: Pick<Manifest, 'instance' | 'secrets' | 'mastodon' | 'tier' | 'id'>;
  /** The restored database. */
  readonly database: string;
  /** The one that Mastodon's settings name. */
  readonly configured: string;
  readonly movedAside: string | null;
  /** Whether sequences were moved ahead. */
  readonly isAhead: boolean;
}): readonly string[] {
  const { manifest, database, configured, movedAside, isAhead } = facts;
  const dropped = movedAside === null ? [] : [`When all is well, drop the old database: ${dropOf(movedAside)}`];
  const secrets =
    manifest.secrets === null
      ? 'Put .env.production back from its own backup: SECRET_KEY_BASE, OTP_SECRET, VAPID_* and ACTIVE_RECORD_ENCRYPTION_* must be the old ones.'
      : `Put the old secrets in place, if .env.production is new: mastodon-backup restore ${snapshotName(manifest)} --secrets-output FILE.`;
  if (database !== configured) {
    return [
      `${database} is a copy: ${configured}, which Mastodon's settings name, and its Redis are as they were. Take out of the copy what was lost.`,
      `When it has served, drop it: ${dropOf(database)}`,
      `To let Mastodon go on with the copy instead, stop it and set DB_NAME=${database} in .env.production; never let two copies of ${manifest.instance} run.`,
      secrets,
      ...starting(manifest),
      ...dropped,
    ];
  }
  return [
    `Never let two copies of ${manifest.instance} run: be sure that the old server stays off.`,
    secrets,
    ...(manifest.mastodon === null || isAhead
      ? []
      : [
          'Other servers know ids of follows, likes and votes from after the backup, and they come again: restore with --sequences-ahead 1000000 where much has happened since.',
        ]),
    ...(manifest.mastodon === null
      ? []
      : [
          'Empty Redis, which may have queues and feeds of another state: docker compose exec redis redis-cli flushall.',
        ]),
    ...starting(manifest),
    ...dropped,
    'Take a new backup: mastodon-backup run.',
    'When you are content with a new server, let retention go on: mastodon-backup prune --accept-new-server.',
  ];
}

function starting({ mastodon }: Pick<Manifest, 'mastodon'>): readonly string[] {
  if (mastodon === null) return [];
  return [
    `Start the release of Mastodon that made the backup (${mastodon.image ?? `schema ${mastodon.schemaVersion}`}): docker compose up -d.`,
    'Build the home feeds anew: docker compose run --rm web bin/tootctl feeds build.',
    'With Elasticsearch, fill it again: docker compose run --rm web bin/tootctl search deploy.',
  ];
}

function dropOf(database: string): string {
  return `DROP DATABASE ${escapeIdentifier(database)};`;
}
