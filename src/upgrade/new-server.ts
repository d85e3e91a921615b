// Whether the new server is one that the database can move to: another one, newer, with its data where the volume is, empty,
// and with the extensions that the database needs. Each of these has cost somebody an instance or a night.

import { escapeLiteral, type Client } from 'pg';
import { failed, note, ok, type CheckResult } from '../checks/check.ts';
import { supportOf } from '../database/major-support.ts';
import type { DatabaseFacts } from '../database/server.ts';
import { askDataVolume } from './data-volume.ts';
import { formatBytes } from '../text/format.ts';

/** What is asked of the new server. */
export interface NewServerNeeds {
  readonly old: DatabaseFacts;
  readonly new: DatabaseFacts;
  /** The name that Mastodon's database has, and will have there. */
  readonly database: string;
  /** The newest pg_dump here, which has to dump the new server from then on; 0: none. */
  readonly clientMajor: number;
  readonly now: Date;
}

/** All findings about the new server; `failed` ones keep an upgrade from being tried. `client` is in any database of it. */
export async function examineNewServer(client: Client, needs: NewServerNeeds): Promise<readonly CheckResult[]> {
  return [
    examineVersion(needs),
    ...examineClient(needs),
    ...examineIdentity(needs),
    ...(await examineDirectory(client, needs)),
    await examineDatabase(client, needs),
    ...(await examineNeighbours(client, needs)),
    await examineExtensions(client, needs),
    ...(await examineCollation(client, needs)),
    ...(await examineRights(client)),
  ];
}

function examineVersion({ old, new: next, now }: NewServerNeeds): CheckResult {
  if (next.serverMajor <= old.serverMajor) {
    return failed('target version', {
      detail: `PostgreSQL ${next.serverVersion} there is not newer than ${old.serverVersion} here`,
      remedy: 'Name a server of a newer major version',
    });
  }
  const { status, until } = supportOf(next.serverMajor, now);
  if (status === 'supported')
    return ok(
      'target version',
      `PostgreSQL ${next.serverVersion}${until === null ? '' : `, with fixes until ${until}`}`,
    );
  return note(
    'target version',
    `PostgreSQL ${next.serverVersion}, which ${status === 'ended' ? 'gets no fixes any more' : `gets fixes only until ${until}`}`,
    {
      remedy: 'Take the newest major version while you are at it',
    },
  );
}

// An upgrade that ends the backups would be noticed on the next bad day.
function examineClient({ new: next, clientMajor }: NewServerNeeds): readonly CheckResult[] {
  if (clientMajor >= next.serverMajor) return [ok('client', `pg_dump ${clientMajor} is here for the new server`)];
  return [
    failed('client', {
      detail: `no pg_dump here is new enough for PostgreSQL ${next.serverMajor}: no backup of it could be made`,
      remedy: `Build an image with the client of ${next.serverMajor}, or take an older major version`,
    }),
  ];
}

function examineIdentity({ old, new: next }: NewServerNeeds): readonly CheckResult[] {
  if (old.systemIdentifier === null || old.systemIdentifier !== next.systemIdentifier) return [];
  return [
    failed('target identity', {
      detail: `it is the same cluster as here (system identifier ${next.systemIdentifier}), or a copy of its files`,
      remedy: 'Start the new server on an empty directory of its own',
    }),
  ];
}

async function examineDirectory(client: Client, { new: next }: NewServerNeeds): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ directory: string | null }>(
    "select case when pg_has_role(current_user, 'pg_read_all_settings', 'member') then current_setting('data_directory') end as directory",
  );
  const directory = rows[0]?.directory ?? null;
  if (directory === null) return [];
  // Elsewhere a system that is itself made of layers may have them for good.
  const isOfImage = /^\/var\/lib\/postgresql\/(?:data|\d+\/docker)(?:\/|$)/.test(directory);
  const volume = isOfImage ? await askDataVolume(client, directory) : 'lasting';
  const place = next.serverMajor >= 18 ? '/var/lib/postgresql' : '/var/lib/postgresql/data';
  if (volume === 'container' || volume === 'anonymous') {
    const held = volume === 'container' ? 'in the container itself' : 'in a volume without a name';
    return [
      failed('target directory', {
        detail: `${directory} is ${held}: the database would go with the container`,
        remedy: `Mount a directory at ${place} in the compose file (PostgreSQL's image of 18 and later has its data one directory higher than those before)`,
      }),
    ];
  }
  // A role without rights does not see the mounts.
  if (
    volume === 'unknown' &&
    next.serverMajor >= 18 &&
    directory === `/var/lib/postgresql/${next.serverMajor}/docker`
  ) {
    return [
      note('target directory', `${directory}: of the image; the volume must be at ${place}`, {
        remedy: `Look at the compose file: a volume at /var/lib/postgresql/data would stay empty, and the database would go with the container`,
      }),
    ];
  }
  return [ok('target directory', directory)];
}

async function examineDatabase(client: Client, { database }: NewServerNeeds): Promise<CheckResult> {
  const { rows } = await client.query<{ exists: boolean }>(
    'select exists (select from pg_database where datname = $1) as exists',
    [database],
  );
  return rows[0]?.exists === true
    ? note('target database', `${database} is there already; the upgrade takes it only while it is empty`)
    : ok('target database', `${database} is not there yet, and will be made`);
}

async function examineNeighbours(client: Client, { database }: NewServerNeeds): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ name: string }>(
    "select datname as name from pg_database where not datistemplate and datname not in ($1, 'postgres') order by 1",
    [database],
  );
  if (rows.length === 0) return [];
  return [
    note(
      'target databases',
      `others are on that server: ${rows.map(({ name }) => name).join(', ')}; they are not touched`,
    ),
  ];
}

async function examineExtensions(client: Client, { old }: NewServerNeeds): Promise<CheckResult> {
  const wanted = old.extensions.map(({ name }) => name).filter((name) => name !== 'plpgsql');
  const { rows } = await client.query<{ name: string }>(
    `select name from pg_available_extensions where name = any(array[${['', ...wanted].map((one) => escapeLiteral(one)).join(', ')}])`,
  );
  const there = new Set(rows.map(({ name }) => name));
  const missing = wanted.filter((name) => !there.has(name));
  if (missing.length === 0)
    return ok('target extensions', wanted.length === 0 ? 'none is needed' : `${wanted.join(', ')}: there`);
  return failed('target extensions', {
    detail: `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not available there`,
    remedy: 'Take an image of the new server that has them, or drop them here when nothing uses them',
  });
}

// A dump is sorted anew where it is restored, so that another libc harms nothing: that is one reason for this way.
async function examineCollation(client: Client, { old }: NewServerNeeds): Promise<readonly CheckResult[]> {
  if (old.locale.provider !== 'libc') return [];
  const { collation } = old.locale;
  const builtIn = new Set(['C', 'POSIX']);
  if (builtIn.has(collation)) return [ok('target collation', `${collation}, which every server has`)];
  const { rows } = await client.query<{ known: boolean }>(
    `select exists (select from pg_collation where lower(replace(collcollate, '-', '')) = lower(replace($1, '-', ''))) as known`,
    [collation],
  );
  if (rows[0]?.known === true)
    return [ok('target collation', `${collation}; indexes are built anew, so another libc harms nothing`)];
  return [
    note('target collation', `${collation} is not among the collations of that server`, {
      remedy: 'Let the rehearsal show whether it takes it, or start it with POSTGRES_INITDB_ARGS=--locale=C.UTF-8',
    }),
  ];
}

async function examineRights(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ role: string; may: boolean }>(
    'select rolname as role, (rolcreatedb or rolsuper) as may from pg_roles where rolname = current_user',
  );
  const [role] = rows;
  if (role?.may === true) return [ok('target role', `'${role.role}' may create databases there`)];
  return [
    failed('target role', {
      detail: `'${role?.role ?? ''}' may not create databases there`,
      remedy: 'Let it, as a superuser of the new server: ALTER ROLE … CREATEDB',
    }),
  ];
}

/** What the database takes there, in words; a server does not say how much room its disk has. */
export function spaceNeeded({ old }: Pick<NewServerNeeds, 'old'>): CheckResult {
  return note(
    'space',
    `the database has ${formatBytes(old.sizeBytes)} here; the new server's disk needs about as much, and half of it again while indexes are built`,
    {
      remedy: 'Look at the disk of the new volume with df -h',
    },
  );
}
