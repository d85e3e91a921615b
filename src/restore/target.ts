// The server and the database that a snapshot is to be restored into, asked before anything is done: what is there, who is in
// it, and what our role may do. Every reason to refuse is found here, while refusing still costs nothing.

import { escapeIdentifier, type Client } from 'pg';
import { applicationName } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { plural } from '../text/table.ts';

/** PostgreSQL cuts longer names off (NAMEDATALEN - 1). */
const longestNameBytes = 63;
/** Databases that every new one is made of. */
const templates: ReadonlySet<string> = new Set(['template0', 'template1']);
/** The server's own, and where Mastodon's wizard under Docker puts everything. */
const maintenance = 'postgres';

/** A server, seen by our role. */
export interface TargetServer {
  readonly version: string;
  readonly major: number;
  readonly role: string;
  readonly isSuperuser: boolean;
  readonly mayCreateDatabases: boolean;
  readonly mayCreateRoles: boolean;
}

/** How the database of the wanted name stands. */
export type TargetDatabase =
  | { readonly kind: 'absent' }
  | ({ readonly kind: 'empty'; readonly encoding: string; readonly collation: string } & ExistingDatabase)
  | ({ readonly kind: 'in-use'; readonly tables: number } & ExistingDatabase);

/** A database whose place is taken. */
export type ReplacedDatabase = Exclude<TargetDatabase, { readonly kind: 'absent' }>;

/** What a database of the wanted name is, whatever is in it. */
export interface ExistingDatabase {
  readonly owner: string;
  /** Whether our role is the owner, or a member of it. */
  readonly isOurs: boolean;
  readonly ownerIsSuperuser: boolean;
  /** Whether rights on the database itself were granted or revoked. */
  readonly hasRights: boolean;
}

/** Where the snapshot goes: a new database that gets the name at the end, or an empty one that is filled as it is. */
export type Placement =
  | { readonly kind: 'new'; /** The one that is moved aside for it. */ readonly replaced: ReplacedDatabase | null }
  | { readonly kind: 'in-place'; readonly encoding: string; readonly collation: string };

/** Asks the server about itself and our role. @throws AppError `restore` for one that cannot be written to. */
export async function readServer(client: Client): Promise<TargetServer> {
  const { rows } = await client.query<
    Omit<TargetServer, 'major'> & { num: string; replica: boolean; readonly: boolean }
  >(
    `select current_setting('server_version') as version, current_setting('server_version_num') as num,
            current_user::text as role, rolsuper as "isSuperuser", (rolcreatedb or rolsuper) as "mayCreateDatabases",
            (rolcreaterole or rolsuper) as "mayCreateRoles", pg_is_in_recovery() as replica,
            current_setting('transaction_read_only') = 'on' as readonly
       from pg_roles where rolname = current_user`,
  );
  const [row] = rows;
  if (row === undefined)
    throw new AppError('restore', 'The target server does not know the role that is connected to it', {
      hint: 'Look at the roles of the target server, and at a pooler before it.',
    });
  const { num, replica, readonly, ...server } = row;
  if (replica || readonly) {
    throw new AppError('restore', `The target server can only be read${replica ? ': it is a replica' : ''}`, {
      hint: replica
        ? 'This is a replica: restore into a server that may be written to, named by DB_HOST or BACKUP_DATABASE_URL.'
        : `Let it be written to, as a superuser: ALTER ROLE ${escapeIdentifier(server.role)} RESET default_transaction_read_only; see also SHOW default_transaction_read_only.`,
    });
  }
  return { ...server, major: Math.floor(Number(num) / 10_000) };
}

/** Looks at the database of that name; `open` connects to it. */
export async function readDatabase(
  admin: Client,
  { name, open }: { readonly name: string; readonly open: () => Promise<Client & AsyncDisposable> },
): Promise<TargetDatabase> {
  const { rows } = await admin.query<ExistingDatabase & { encoding: string; collation: string }>(
    `select pg_encoding_to_char(encoding) as encoding, datcollate as collation, pg_get_userbyid(datdba)::text as owner,
            pg_has_role(current_user, datdba, 'member') as "isOurs", datacl is not null as "hasRights",
            (select rolsuper from pg_roles r where r.oid = datdba) as "ownerIsSuperuser"
       from pg_database d where datname = $1`,
    [name],
  );
  const [row] = rows;
  if (row === undefined) return { kind: 'absent' };
  await using inside = await open();
  const { rows: counted } = await inside.query<{ tables: string; others: string }>(
    `select count(*) filter (where c.relkind in ('r', 'p')) as tables, count(*) as others
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
        and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')`,
  );
  const { tables = '0', others = '0' } = counted[0] ?? {};
  return others === '0' ? { kind: 'empty', ...row } : { kind: 'in-use', tables: Number(tables), ...row };
}

/**
 * Who is connected to the database of that name, ourselves left out: program and number, such as `puma (5)`. Autovacuum,
 * the one without a role, is nobody: the server sends it away by itself when a database is renamed.
 */
export async function readVisitors(admin: Client, name: string): Promise<readonly string[]> {
  const { rows } = await admin.query<{ program: string; count: string }>(
    `select coalesce(nullif(application_name, ''), usename, 'unknown') as program, count(*) as count
       from pg_stat_activity where datname = $1 and pid <> pg_backend_pid() and usesysid is not null group by 1 order by 2 desc, 1`,
    [name],
  );
  return rows.map(({ program, count }) => `${program} (${count})`);
}

/**
 * `source` is the name of the database that was dumped, once it is known: a Mastodon that lives in the server's own database
 * comes back there. @throws AppError `usage` for a name that cannot be a restored database's.
 */
export function assertUsableName(name: string, { source }: { readonly source: string | null }): void {
  const problem = ((): string | null => {
    if (name === '') return 'is empty';
    if (templates.has(name)) return 'belongs to the server itself';
    if (name === maintenance && source !== null && source !== maintenance)
      return `belongs to the server itself, and what was dumped was called '${source}'`;
    if (Buffer.byteLength(name) > longestNameBytes) return `is longer than ${longestNameBytes} bytes`;
    return name.includes('\0') ? 'has a NUL character' : null;
  })();
  if (problem === null) return;
  throw new AppError('usage', `'${name}' cannot be the database to restore into: the name ${problem}`, {
    hint: 'Name another one, such as mastodon_restored.',
  });
}

/** @throws AppError `restore` when the snapshot comes from a newer server. */
export function assertNotOlder(server: TargetServer, manifest: Manifest): void {
  const source = Number.parseInt(manifest.database.serverVersion, 10);
  if (server.major >= source) return;
  throw new AppError(
    'restore',
    `The dump is of PostgreSQL ${manifest.database.serverVersion}, and the target is ${server.version}: an older server may not understand it`,
    { hint: `Restore into PostgreSQL ${source} or newer.` },
  );
}

/**
 * Where the snapshot goes, or why it does not: @throws AppError `restore` for a database with tables unless `replace`, for one
 * with somebody in it, and for rights that are missing.
 */
export function place(
  name: string,
  facts: {
    readonly server: TargetServer;
    readonly database: TargetDatabase;
    readonly visitors: readonly string[];
    readonly replace: boolean;
  },
): Placement {
  const { server, database, visitors, replace } = facts;
  const [quoted, role] = [escapeIdentifier(name), escapeIdentifier(server.role)];
  if (visitors.length > 0) throw isVisited(name, visitors);
  if (database.kind === 'in-use' && !replace) {
    throw new AppError('restore', `The database '${name}' is not empty: it has ${plural(database.tables, 'table')}`, {
      hint: `Name another database, or use --replace ${name}, which keeps the old one as ${name}_before_<time>.`,
    });
  }
  if (server.mayCreateDatabases) {
    if (database.kind !== 'absent' && !database.isOurs) {
      throw new AppError(
        'restore',
        `The database '${name}' does not belong to '${server.role}', who may not rename it`,
        {
          hint: `Name another database, or make it theirs: ALTER DATABASE ${quoted} OWNER TO ${role}.`,
        },
      );
    }
    return { kind: 'new', replaced: database.kind === 'absent' ? null : database };
  }
  if (database.kind === 'empty') return { ...database, kind: 'in-place' };
  throw new AppError('restore', `The role '${server.role}' may not create databases on the target server`, {
    hint:
      database.kind === 'absent'
        ? `Create an empty one as a superuser, then restore again: CREATE DATABASE ${quoted} OWNER ${role} TEMPLATE template0.`
        : `Let it, as a superuser: ALTER ROLE ${role} CREATEDB; then restore again.`,
  });
}

/** Somebody is connected to the database that is to be replaced. */
export function isVisited(name: string, visitors: readonly string[]): AppError {
  const areOurs = visitors.every((one) => one.startsWith(applicationName));
  return new AppError('restore', `The database '${name}' is in use by ${visitors.join(', ')}`, {
    hint: areOurs
      ? 'That is mastodon-backup, such as the daemon that follows its log: stop it (docker compose stop backup), and run this in a container of its own: docker compose run --rm backup restore …'
      : 'Stop Mastodon first: docker compose stop web streaming sidekiq.',
  });
}
