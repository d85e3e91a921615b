// What an upgrade by dump and restore does not bring along by itself, asked of the server that is in use: other databases,
// settings of the server and its roles, and what follows the old one. People find these out after they deleted it.

import { escapeIdentifier, type Client } from 'pg';
import { failed, note, ok, type CheckResult } from '../checks/check.ts';
import { describeSupport } from '../database/major-support.ts';
import { formatBytes } from '../text/format.ts';

/** All findings about the old server; none but that it is a standby keeps an upgrade from being possible. */
export async function examineOldServer(
  client: Client,
  { major, version, now }: { readonly major: number; readonly version: string; readonly now: Date },
): Promise<readonly CheckResult[]> {
  return [
    examineSupport(major, { version, now }),
    ...(await examineRecovery(client)),
    ...(await examineOtherDatabases(client)),
    ...(await examineSettings(client)),
    ...(await examineRoles(client)),
    ...(await examineFollowers(client)),
  ];
}

function examineSupport(
  major: number,
  { version, now }: { readonly version: string; readonly now: Date },
): CheckResult {
  const { status, text } = describeSupport({ serverMajor: major, serverVersion: version }, now);
  return status === 'supported' ? ok('version', text) : note('version', text);
}

// A standby sees nobody, and counts nothing of what its primary writes: all of it would be lost without a word.
async function examineRecovery(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ follows: boolean }>('select pg_is_in_recovery() as follows');
  if (rows[0]?.follows !== true) return [];
  return [
    failed('old server', {
      detail: 'it is a standby: Mastodon writes to another server, and nobody would see that here',
      remedy: 'Name the primary for the upgrade, by an empty BACKUP_DATABASE_URL or by one with its host',
    }),
  ];
}

async function examineOtherDatabases(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ name: string; bytes: string | null }>(
    `select datname as name, case when has_database_privilege(oid, 'connect') then pg_database_size(oid) end as bytes
       from pg_database where not datistemplate and datallowconn and datname not in (current_database(), 'postgres') order by 1`,
  );
  if (rows.length === 0) return [];
  const names = rows.map(({ name, bytes }) => (bytes === null ? name : `${name} (${formatBytes(Number(bytes))})`));
  return [
    note(
      'other databases',
      `${names.join(', ')} on this server ${rows.length === 1 ? 'is' : 'are'} not Mastodon's, and stay${rows.length === 1 ? 's' : ''} here`,
      {
        remedy: 'Move what is still used by pg_dump and pg_restore, and keep the old server until then',
      },
    ),
  ];
}

async function examineSettings(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ whose: string; setting: string }>(
    `select case when d.datname is null then format('ROLE %I', r.rolname) when r.rolname is null then format('DATABASE %I', d.datname)
                 else format('ROLE %I IN DATABASE %I', r.rolname, d.datname) end as whose, unnest(s.setconfig) as setting
       from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole
      where d.datname is null or d.datname = current_database() order by 1, 2`,
  );
  const { rows: configured } = await client.query<{ name: string; setting: string }>(
    `select name, current_setting(name) as setting from pg_settings
      where source in ('configuration file', 'command line') order by 1`,
  );
  const tuned = configured
    .filter(({ name }) => !byItself.has(name))
    .map(({ name, setting }) => `${name}=${setting}`)
    .filter((line) => !untuned.has(line));
  return [
    ...(rows.length === 0
      ? []
      : [
          note('settings', `set by ALTER: ${rows.map(({ whose, setting }) => `${whose} SET ${setting}`).join('; ')}`, {
            remedy:
              "Those of the database come along as far as every role may set them; set a role's own again on the new server",
          }),
        ]),
    ...(tuned.length === 0
      ? []
      : [
          note('configuration', `of this server: ${tuned.join(', ')}`, {
            remedy:
              "Take over into the new server's configuration what was tuned by hand (shared_buffers, work_mem, max_connections, …)",
          }),
        ]),
  ];
}

// What initdb and the image write into every configuration by themselves.
const byItself: ReadonlySet<string> = new Set([
  'DateStyle',
  'TimeZone',
  'config_file',
  'data_directory',
  'default_text_search_config',
  'dynamic_shared_memory_type',
  'hba_file',
  'ident_file',
  'lc_messages',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'listen_addresses',
  'log_timezone',
  'port',
  'unix_socket_directories',
]);
/** And with these values. */
const untuned: ReadonlySet<string> = new Set([
  'max_connections=100',
  'max_wal_size=1GB',
  'min_wal_size=80MB',
  'shared_buffers=128MB',
]);

async function examineRoles(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ name: string; me: boolean }>(
    "select rolname as name, rolname = current_user as me from pg_roles where rolcanlogin and rolname !~ '^pg_' order by 1",
  );
  const others = rows.filter(({ name, me }) => !me && name !== 'postgres').map(({ name }) => name);
  return [
    ...(others.length === 0
      ? []
      : [
          note('roles', `${others.join(', ')} may log in here, and no dump of a database brings roles along`, {
            remedy: `Create those that are used on the new server: CREATE ROLE ${escapeIdentifier(others[0] ?? '')} LOGIN`,
          }),
        ]),
    ...(await examinePasswords(client)),
  ];
}

// pg_authid is for superusers; since 18 the server warns of md5 at every login.
async function examinePasswords(client: Client): Promise<readonly CheckResult[]> {
  const { rows: may } = await client.query<{ may: boolean }>(
    "select has_table_privilege('pg_catalog.pg_authid', 'select') as may",
  );
  if (may[0]?.may !== true) return [];
  const { rows } = await client.query<{ name: string }>(
    "select rolname as name from pg_catalog.pg_authid where rolpassword like 'md5%' order by 1",
  );
  if (rows.length === 0) return [];
  return [
    note(
      'passwords',
      `of ${rows.map(({ name }) => name).join(', ')} are stored as md5, which PostgreSQL 18 warns of and a later one will refuse`,
      {
        remedy: 'Nothing is to do for roles that are made anew on the new server: they get SCRAM',
      },
    ),
  ];
}

async function examineFollowers(client: Client): Promise<readonly CheckResult[]> {
  const { rows } = await client.query<{ what: string }>(
    `select format('the replication slot %s', slot_name) as what from pg_replication_slots where not temporary
     union all select format('the publication %s', pubname) from pg_publication
     union all select format('the prepared transaction %s', gid) from pg_prepared_xacts
     union all select format('the tablespace %s', spcname) from pg_tablespace where spcname !~ '^pg_' order by 1`,
  );
  if (rows.length === 0) return [];
  return [
    note('beside the database', `${rows.map(({ what }) => what).join(', ')} will not be on the new server`, {
      remedy: 'Set up replicas and publications anew after the upgrade; end prepared transactions before it',
    }),
  ];
}
