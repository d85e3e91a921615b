// The way for a role that may not create databases: an empty database that somebody made for it is filled in one transaction,
// so that all of it is there or nothing. What fails behind the commit leaves it filled, and that is said.

import { escapeIdentifier, type Client } from 'pg';
import { whenReachable } from '../database/clean-up.ts';
import { applicationName, connect } from '../database/connection.ts';
import { annoysServer } from '../database/restore-client.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { checkRoleRights } from '../checks/role-rights.ts';
import { AppError, describeError } from '../errors.ts';
import { pause } from '../stream/patience.ts';
import { ensureSearchPath, neededSchemas } from './database-settings.ts';
import { createExtensions } from './extensions.ts';
import { fillAndCheck } from './fill-and-check.ts';
import type { Placed } from './restore-anew.ts';
import type { WantedExtension } from './restore-plan.ts';
import { ownLogin } from './restoring-login.ts';
import type { RestoreWork } from './restore.ts';
import { readDatabase, type Placement, type TargetServer } from './target.ts';

const cleanUpMs = 15_000;
/** How long the end of what pg_restore wrote is waited for, counted from when it is first asked. */
const commitMs = 12_000;
const pollMs = 250;

/**
 * Restores into an empty database. Rejects with AppError; it is empty then, or, where the transaction was or may be committed, as
 * the error says, filled and not found whole.
 */
export async function restoreInPlace(
  work: RestoreWork,
  placement: Placement & { readonly kind: 'in-place' },
): Promise<Placed> {
  const { name, signal, server, client, connection, ownerRole } = work;
  const { encoding } = work.source.manifest.database;
  if (placement.encoding !== encoding) {
    throw new AppError('restore', `The database '${name}' has encoding ${placement.encoding}, the dump ${encoding}`, {
      hint: `Create it anew as a superuser: CREATE DATABASE "${name}" OWNER "${server.role}" TEMPLATE template0 ENCODING '${encoding}'.`,
    });
  }
  if (annoysServer(client, server.major)) throw needsClient(server);
  if (work.jobs > 1) work.log.warn({}, 'A single transaction has one job: --jobs has no effect here');
  const login = ownLogin(connection, ownerRole);
  await using inside = await connect({ ...connection, database: name }, signal, { queryTimeoutMs: 0 });
  await assertMayCreate(inside, work);
  const trusted = await findTrusted(inside, work);
  try {
    await createExtensions(inside, { extensions: trusted, schemas: new Set(), owner: ownerRole, role: server.role });
    await assertExtensionsThere(inside, work);
    const checks = await fillAndCheck({ ...work, jobs: 1 }, { database: name, login, singleTransaction: true });
    return { movedAside: null, checks: [...checks, ...(await finish(inside, work, placement))] };
  } catch (error) {
    const found = await askWhether(work);
    if (found === 'filled') throw filledAll(error, work);
    // Under what is yet to be committed nothing may be taken away.
    if (found === 'unknown') throw perhapsFilled(error, work);
    await dropExtensions(trusted, work);
    throw error;
  }
}

async function finish(
  inside: Client,
  { name, ownerRole, source }: RestoreWork,
  placement: Placement & { readonly kind: 'in-place' },
): Promise<readonly CheckResult[]> {
  const { manifest } = source;
  const { collation } = manifest.database.locale;
  const path = await ensureSearchPath(inside, {
    database: name,
    role: ownerRole,
    needed: neededSchemas(manifest),
  }).catch((error: unknown) => [note('search path', `could not be set: ${describeError(error)}`)]);
  const sorting =
    placement.collation === collation
      ? []
      : [note('collation', `the database sorts by '${placement.collation}', the source by '${collation}'`)];
  return [await checkRoleRights(inside, ownerRole), ...path, ...sorting];
}

// On a connection and in a time of its own: we may have been interrupted, behind the commit too. A pg_restore that was killed cannot take
// back what it said last, and that may have been COMMIT: until that is done nothing is seen.
async function askWhether({ connection, name, log }: RestoreWork): Promise<'filled' | 'empty' | 'unknown'> {
  const signal = AbortSignal.timeout(cleanUpMs);
  const deadline = performance.now() + commitMs;
  let found: 'filled' | 'empty' | 'unknown' = 'unknown';
  const open = async (): ReturnType<typeof connect> => connect({ ...connection, database: name }, signal);
  const look = async (): Promise<void> => {
    await using asking = await open();
    for (;;) {
      // Asked before the tables are: what is committed in between is seen.
      const goesOn = await isAtWork(asking);
      const { kind } = await readDatabase(asking, { name, open });
      if (kind === 'in-use' || !goesOn) {
        found = kind === 'in-use' ? 'filled' : 'empty';
        return;
      }
      if (performance.now() > deadline) throw new Error('what pg_restore wrote may still be committed');
      await pause(pollMs, signal);
    }
  };
  try {
    await whenReachable(look, { signal });
  } catch (error) {
    log.warn({ err: error, database: name }, 'Whether the database was filled could not be asked');
  }
  return found;
}

async function isAtWork(asking: Client): Promise<boolean> {
  const { rows } = await asking.query(
    `select from pg_stat_activity
      where datname = current_database() and usename = session_user and application_name = $1 and backend_xid is not null`,
    [applicationName],
  );
  return rows.length > 0;
}

// Its code stays: whoever interrupts a restore has interrupted it.
function filledAll(error: unknown, { name, server, source }: RestoreWork): AppError {
  const code = error instanceof AppError ? error.code : 'restore';
  const [quoted, role] = [escapeIdentifier(name), escapeIdentifier(server.role)];
  return new AppError(
    code,
    `${describeError(error)}; the database '${name}' is filled all the same, and nobody has found it whole`,
    {
      cause: error,
      hint: `Have it made empty as a superuser, then restore again: DROP DATABASE ${quoted}; CREATE DATABASE ${quoted} OWNER ${role} TEMPLATE template0 ENCODING '${source.manifest.database.encoding}'.`,
    },
  );
}

function perhapsFilled(error: unknown, { name }: RestoreWork): AppError {
  const code = error instanceof AppError ? error.code : 'restore';
  return new AppError(code, `${describeError(error)}; whether the database '${name}' is filled could not be asked`, {
    cause: error,
    hint: 'Look whether it has tables before it is used, and have it made empty before you restore again.',
  });
}

// Those that the owner of a database may create there (manual, 39.17.5: trusted), as pg_restore would.
async function findTrusted(inside: Client, { plan }: RestoreWork): Promise<readonly WantedExtension[]> {
  const { rows } = await inside.query<{ name: string }>(
    `select a.name from pg_available_extensions a join pg_available_extension_versions v
         on v.name = a.name and v.version = a.default_version
      where v.trusted and a.installed_version is null and has_database_privilege(current_database(), 'create')`,
  );
  const trusted = new Set(rows.map(({ name }) => name));
  const there = await inside.query<{ name: string }>('select nspname as name from pg_namespace');
  const schemas = new Set(there.rows.map(({ name }) => name));
  // In a schema that the archive only brings, it would leave that behind.
  return plan.extensions.filter(({ name, schema }) => trusted.has(name) && (schema === null || schemas.has(schema)));
}

// On a connection and in a time of its own: we may have been interrupted.
async function dropExtensions(
  extensions: readonly WantedExtension[],
  { connection, name, log }: RestoreWork,
): Promise<void> {
  if (extensions.length === 0) return;
  const names = extensions.map(({ name: one }) => escapeIdentifier(one)).join(', ');
  const signal = AbortSignal.timeout(cleanUpMs);
  const drop = async (): Promise<void> => {
    await using inside = await connect({ ...connection, database: name }, signal);
    await inside.query(`drop extension if exists ${names}`);
  };
  try {
    await whenReachable(drop, { signal });
  } catch (error) {
    log.warn(
      { err: error, extensions: names },
      'The extensions that were created for this restore could not be dropped',
    );
  }
}

async function assertExtensionsThere(inside: Client, { name, plan }: RestoreWork): Promise<void> {
  const { rows } = await inside.query<{ name: string; schema: string }>(
    'select extname as name, nspname as schema from pg_extension e join pg_namespace n on n.oid = e.extnamespace',
  );
  const wrong = plan.extensions.filter(
    (wanted) =>
      !rows.some((row) => row.name === wanted.name && (wanted.schema === null || row.schema === wanted.schema)),
  );
  if (wrong.length === 0) return;
  const statements = wrong.map(({ name: extension, schema }) =>
    [
      ...(schema === null || schema === 'public' || schema === 'pg_catalog'
        ? []
        : [`CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(schema)}`]),
      `CREATE EXTENSION ${escapeIdentifier(extension)}${schema === null ? '' : ` SCHEMA ${escapeIdentifier(schema)}`}`,
    ].join('; '),
  );
  throw new AppError(
    'restore',
    `The database '${name}' lacks the extensions ${wrong.map(({ name: extension, schema }) => `${extension}${schema === null ? '' : ` in the schema ${schema}`}`).join(', ')}`,
    { hint: `Create them there as a superuser: ${statements.join('; ')}.` },
  );
}

// Since 15 only the owner of a database may create in its `public`.
async function assertMayCreate(inside: Client, { name, plan, ownerRole }: RestoreWork): Promise<void> {
  const { rows } = await inside.query<{ schema: string; may: boolean }>(
    `select nspname as schema, has_schema_privilege($1, oid, 'create') and has_schema_privilege($1, oid, 'usage') as may
       from pg_namespace`,
    [ownerRole],
  );
  const needed = new Set(plan.entries.map(({ schema }) => schema).filter((schema) => schema !== ''));
  const role = escapeIdentifier(ownerRole);
  const denied = rows.find(({ schema, may }) => needed.has(schema) && !may);
  if (denied !== undefined) {
    throw new AppError('restore', `'${ownerRole}' may create nothing in the schema '${denied.schema}' of '${name}'`, {
      hint: `Let it, as a superuser in that database: GRANT USAGE, CREATE ON SCHEMA ${escapeIdentifier(denied.schema)} TO ${role}.`,
    });
  }
  const { rows: rights } = await inside.query<{ may: boolean }>(
    "select has_database_privilege($1, current_database(), 'create') as may",
    [ownerRole],
  );
  const missing = [...needed].filter((schema) => !rows.some((row) => row.schema === schema));
  if (missing.length === 0) return;
  if (rights[0]?.may !== true) {
    throw new AppError('restore', `'${ownerRole}' may not create the schemas ${missing.join(', ')} in '${name}'`, {
      hint: `Let it, as a superuser: GRANT CREATE ON DATABASE ${escapeIdentifier(name)} TO ${role}.`,
    });
  }
  // Somebody dropped it, and no archive creates it.
  if (missing.includes('public')) await inside.query('create schema public');
}

function needsClient(server: TargetServer): AppError {
  return new AppError('restore', `A single transaction needs the pg_restore of PostgreSQL ${server.major} itself`, {
    hint: `Install postgresql-client-${server.major}, or let the role create databases: ALTER ROLE "${server.role}" CREATEDB.`,
  });
}
