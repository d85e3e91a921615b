// The settings that say which database is dumped and how long the dump may wait: Mastodon's own, and ours.

import { parseDuration } from './duration.ts';
import { parseDirectory, parseText } from './values.ts';
import { rowsOf, type ForeignVariable } from './variable.ts';

const row = rowsOf('database');

/** Mastodon's database variables by name, with Mastodon's own defaults (its config/database.yml). */
export const mastodonDatabaseVariables = {
  DATABASE_URL: {
    preset: null,
    secret: true,
    doc: 'as in Mastodon: its parts win over `DB_*`; what it lacks (often the database name, sometimes the password) comes from `DB_*`',
  },
  DB_HOST: { preset: 'localhost', doc: 'host, or the directory of a Unix socket' },
  DB_PORT: { preset: '5432', doc: 'port' },
  DB_NAME: { preset: 'mastodon_production', doc: 'database' },
  DB_USER: { preset: 'mastodon', doc: 'role' },
  DB_PASS: { preset: null, presetNote: 'empty', secret: true, doc: 'password; an empty one is legal' },
  DB_SSLMODE: {
    preset: 'prefer',
    doc: "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`, as PostgreSQL's own `sslmode`",
  },
} as const satisfies Record<string, ForeignVariable>;

/** The settings of the section by name. */
export const databaseVariables = {
  BACKUP_DATABASE_URL: row({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'replaces all of the above: a direct connection where Mastodon itself goes through PgBouncer, or a replica; `postgresql://user:password@host:5432/database`',
  }),
  BACKUP_PG_BIN: row({
    parse: parseDirectory,
    preset: null,
    presetNote: 'found',
    doc: "directory of `pg_dump` and friends; by default the installed client of the server's major version, else the next newer one",
  }),
  BACKUP_LOCK_WAIT: row({
    parse: parseDuration('timer'),
    preset: '5m',
    doc: "how long the dump may wait for others' table locks",
  }),
  BACKUP_YIELD_AFTER: row({
    parse: parseDuration('timer'),
    preset: '30s',
    doc: 'how long others may wait for ours before the dump gives way',
  }),
} as const;
