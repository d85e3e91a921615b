// A snapshot becomes a database: filled under a temporary name, compared with what was dumped, and only then given its real
// name. Whatever fails before that leaves the target as it was, and an old database is moved aside, never dropped.

import { escapeIdentifier, type Client } from 'pg';
import type { ClientPrograms } from '../database/clients.ts';
import { whenReachable } from '../database/clean-up.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import type { CheckResult } from '../checks/check.ts';
import { readContents, type SnapshotSource } from '../snapshots/dump-stream.ts';
import type { FillWork } from './fill-and-check.ts';
import type { Remains } from '../stream/remains.ts';
import { readOrdinarySettings } from './database-settings.ts';
import { assertExtensions } from './extensions.ts';
import { assertOwner, chooseOwner, createOwner, readOwner } from './owner.ts';
import { chooseRestoreClient } from './restore-clients.ts';
import { assertBringsTables, planRestore, type RestorePlan } from './restore-plan.ts';
import { removeLeftLogins } from './restoring-login.ts';
import { restoreAnew } from './restore-anew.ts';
import { restoreInPlace } from './restore-in-place.ts';
import { connectForRestore } from './restore-connection.ts';
import { removeUnfinished } from './unfinished-database.ts';
import { describeLeftOut } from './what-is-left-out.ts';
import {
  assertNotOlder,
  assertUsableName,
  place,
  readDatabase,
  readServer,
  readVisitors,
  type TargetServer,
} from './target.ts';

/** What a restore needs. */
export interface RestoreOptions extends Omit<FillWork, 'plan' | 'server' | 'client'> {
  /** The server to restore into; its database is one that can be connected to. */
  readonly connection: ConnectionSettings;
  /** Whether a database with tables may be moved aside. */
  readonly replace: boolean;
  /** The schemas to restore; null: all that hold something of the user's. */
  readonly schemas: readonly string[] | null;
  readonly withoutExtensions: readonly string[];
  /** The collation to use instead of the source's; null: the source's. */
  readonly locale: string | null;
  /** Who is to own it. */
  readonly owner: {
    /** From the command line; null: nobody named one. */
    readonly named: string | null;
    /** Mastodon's own user, where the restore connects as another. */
    readonly mastodon: string | null;
    /** Mastodon's own password, for a role that is created. */
    readonly password: string;
    readonly create: boolean;
  };
  readonly clients: readonly ClientPrograms[];
  readonly remains: Remains;
  /** Told the number (oid) of a database that is made, before it is filled. */
  readonly onCreated?: (databaseId: string) => Promise<void>;
  readonly now: () => Date;
}

/** A restored database. */
export interface RestoreOutcome {
  readonly database: string;
  /** What the database of that name is called now; null: there was none. */
  readonly movedAside: string | null;
  /** From the first question to the database having its name, in milliseconds. */
  readonly durationMs: number;
  readonly serverVersion: string;
  /** Whose it is. */
  readonly owner: string;
  readonly checks: readonly CheckResult[];
}

/** What both ways of restoring know. */
export interface RestoreWork extends RestoreOptions {
  readonly admin: Client;
  readonly server: TargetServer;
  readonly client: ClientPrograms;
  readonly plan: RestorePlan;
  readonly ownerRole: string;
}

/** Restores. Call it holding the lock. Rejects with AppError; the target is then as it was, or the error says what it is. */
export async function restoreDatabase(options: RestoreOptions): Promise<RestoreOutcome> {
  const { source, connection, name, signal, log } = options;
  const { manifest } = source;
  assertUsableName(name, { source: manifest.database.name });
  const startedAt = performance.now();
  await using admin = await connectForRestore(connection, { name, signal });
  const server = await readServer(admin);
  assertNotOlder(server, manifest);
  const client = chooseRestoreClient(options.clients, { server, manifest });
  const contents = await readContents(source, { log, signal });
  const planOptions = {
    ...options,
    withSuperuser: server.isSuperuser,
    ordinarySettings: await readOrdinarySettings(admin),
  };
  const plan = planRestore(contents, planOptions);
  assertBringsTables(plan, { rows: manifest.database.rows, options: planOptions });
  warnOfUnknown(options, { contents });
  const isWanted = (one: string): boolean => one !== 'plpgsql' && !options.withoutExtensions.includes(one);
  const wanted = new Set([...plan.extensions.map((one) => one.name), ...extensionNames(manifest).filter(isWanted)]);
  await assertExtensions(admin, { wanted: [...wanted], contents });
  await removeUnfinished(admin, { name, log });
  if (server.isSuperuser) await removeLeftLogins(admin, { log });
  const database = await readDatabase(admin, {
    name,
    open: async () => connect({ ...connection, database: name }, signal),
  });
  const placement = place(name, {
    server,
    database,
    visitors: await readVisitors(admin, name),
    replace: options.replace,
  });
  const replaced = database.kind === 'absent' ? null : database;
  const ownerRole = chooseOwner(options.owner, { server, replaced, contents });
  const facts = await readOwner(admin, ownerRole);
  assertOwner(ownerRole, { facts, server, createRole: options.owner.create });
  const work = { ...options, admin, server, client, plan, ownerRole };
  try {
    if (!facts.exists) {
      await createOwner(admin, { owner: ownerRole, password: options.owner.password, server });
      log.info({ role: ownerRole }, 'Created the role that the database is to belong to');
    }
    const result =
      placement.kind === 'new' ? await restoreAnew(work, placement) : await restoreInPlace(work, placement);
    return {
      database: name,
      serverVersion: server.version,
      durationMs: Math.round(performance.now() - startedAt),
      owner: ownerRole,
      movedAside: result.movedAside,
      checks: [...result.checks, ...describeLeftOut(plan, { manifest, server })],
    };
  } catch (error) {
    if (!facts.exists) await dropOwner({ ...options, ownerRole });
    throw error;
  }
}

// A name that was mistyped leaves nothing out, and nobody would see it before the restore is through.
function warnOfUnknown(
  { source: { manifest }, withoutExtensions, log }: Pick<RestoreOptions, 'source' | 'withoutExtensions' | 'log'>,
  { contents }: { readonly contents: RestorePlan['contents'] },
): void {
  const inDump = contents.flatMap(({ kind, name }) => (kind === 'EXTENSION' ? [name] : []));
  const known = [...new Set([...extensionNames(manifest), ...inDump])].toSorted();
  for (const name of withoutExtensions.filter((one) => !known.includes(one)))
    log.warn(
      {},
      `The dump has no extension '${name}' that --without-extension could leave out; it has: ${known.join(', ') || 'none'}`,
    );
}

function extensionNames({ database }: SnapshotSource['manifest']): readonly string[] {
  return database.extensions.map(({ name }) => name);
}

// Nothing belongs to it: unless the database is whole and has only not got its name, and then it stays.
async function dropOwner({
  connection,
  name,
  ownerRole,
  log,
}: Pick<RestoreOptions, 'connection' | 'name' | 'log'> & { readonly ownerRole: string }): Promise<void> {
  const signal = AbortSignal.timeout(15_000);
  const drop = async (): Promise<void> => {
    await using admin = await connectForRestore(connection, { name, signal });
    await admin.query(`drop role if exists ${escapeIdentifier(ownerRole)}`);
  };
  try {
    await whenReachable(drop, { signal });
  } catch (error) {
    log.warn({ err: error, role: ownerRole }, 'The role that was created for this restore could not be dropped again');
  }
}
