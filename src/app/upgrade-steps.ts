// The two long steps of an upgrade, the last dump and its restore: each is done once, however often the upgrade is cut off, and what is
// found on the new server is taken for ours only by its number.

import type { ProgressListener } from '../backup/progress.ts';
import { firstError } from '../backup/first-error.ts';
import { AppError } from '../errors.ts';
import { connectForRestore } from '../restore/restore-connection.ts';
import type { UpgradeRecord } from '../state/records.ts';
import type { StoreName } from '../storage/store.ts';
import { chooseAnywhere, isMissing } from './choosing.ts';
import type { AppContext } from './context.ts';
import { restore } from './restore-verb.ts';
import { run } from './run-verb.ts';
import type { UpgradeCheckRequest } from './upgrade-check.ts';
import { recallUpgrade, rememberUpgrade, type UpgradeServers } from './upgrade-memory.ts';

/** Options of `upgrade rehearse` and `upgrade run`. */
export interface UpgradeRequest extends UpgradeCheckRequest {
  readonly to: string;
  /** Jobs of pg_restore. */
  readonly jobs: number;
  readonly onProgress: ProgressListener;
}

/** The last dump, and the destination that it is restored from: not all of them need have taken it. */
export interface LastDump {
  readonly snapshot: string;
  readonly from: StoreName;
}

/** The last dump; one that nobody has written after is taken again. */
export async function lastDump(
  context: AppContext,
  {
    request,
    servers,
    writes,
  }: { readonly request: UpgradeRequest; readonly servers: UpgradeServers; readonly writes: string },
): Promise<LastDump> {
  const { dump } = await recallUpgrade(context, servers);
  const found = dump?.writes === writes ? await findDump(context, { request, snapshot: dump.snapshot }) : null;
  if (found !== null) {
    context.log.info(found, 'Nobody has written since the last dump, which is taken');
    return found;
  }
  const major = servers.next.serverMajor;
  const report = await run(context, {
    purpose: { kind: 'labelled', label: `before the upgrade to PostgreSQL ${major}` },
    wait: true,
    inHaste: true,
    signal: request.signal,
    onProgress: request.onProgress,
  });
  const stored = report.outcomes.find(({ kind }) => kind === 'stored');
  if (stored === undefined) throw firstError(report) ?? new Error('A run without a destination');
  const snapshot = `labelled/${report.id}`;
  await rememberUpgrade(context, {
    servers,
    change: { dump: { at: context.now().toISOString(), snapshot, writes } },
  });
  return { snapshot, from: stored.destination.repository.store.name };
}

// Somebody may have removed it since. Where it may be as ever it is not made again, and what it became not moved aside.
async function findDump(
  context: AppContext,
  { request, snapshot }: { readonly request: UpgradeRequest; readonly snapshot: string },
): Promise<LastDump | null> {
  const { instance } = context.load();
  try {
    const { repository } = await chooseAnywhere(context, { ...request, snapshot, from: null, instance });
    return { snapshot, from: repository.store.name };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Has a snapshot in the new server, under the name of Mastodon's database; what is there already is not restored again. */
export async function restoreOnce(
  context: AppContext,
  {
    request,
    servers,
    dump: { snapshot, from },
  }: { readonly request: UpgradeRequest; readonly servers: UpgradeServers; readonly dump: LastDump },
): Promise<void> {
  const { target, instance } = context.load();
  const { database } = target;
  const there = await databaseId(context, { servers, signal: request.signal });
  const restored = await findRestored(context, { servers, there });
  if (restored !== null && restored.databaseId === there && restored.snapshot === snapshot) {
    context.log.info({ snapshot, database }, 'It is restored there already; only the comparison was missing');
    return;
  }
  // What an earlier try of ours made there may be moved aside; what somebody else made may not.
  const replace = there !== null && restored?.databaseId === there;
  await restore(context, {
    ...restoreRequest(request, servers),
    snapshot,
    from,
    instance,
    database,
    replace,
    onCreated: async (made) =>
      rememberUpgrade(context, {
        servers,
        change: { restoring: { at: context.now().toISOString(), snapshot, databaseId: made } },
      }),
  });
  await findRestored(context, { servers, there: await databaseId(context, { servers, signal: request.signal }) });
}

/** Does what needs the new server; where that went away, its own words would lead to the settings of the old one. */
export async function withNewServer<Result>(
  { to, signal }: UpgradeRequest,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    const isAway =
      error instanceof AppError &&
      [error, error.cause].some((one) => one instanceof AppError && one.code === 'database');
    if (!isAway) throw error;
    throw new AppError('restore', `The new server went away: ${error.message}`, {
      cause: error,
      hint: `Look at its log, start it, and run this again, for the old server is as it was: mastodon-backup upgrade run --to ${to}.`,
    });
  }
}

// One that was being filled has its name only since it is whole: also when we were killed in the moment after that.
async function findRestored(
  context: AppContext,
  { servers, there }: { readonly servers: UpgradeServers; readonly there: string | null },
): Promise<UpgradeRecord['restored']> {
  const { restored, restoring } = await recallUpgrade(context, servers);
  if (restoring === null || restoring.databaseId !== there) return restored;
  await rememberUpgrade(context, { servers, change: { restored: restoring, restoring: null } });
  return restoring;
}

async function databaseId(
  context: AppContext,
  { servers, signal }: { readonly servers: UpgradeServers; readonly signal: AbortSignal },
): Promise<string | null> {
  const name = context.load().target.database;
  await using admin = await connectForRestore(servers.connection, { name, signal });
  const { rows } = await admin.query<{ id: string }>('select oid::text as id from pg_database where datname = $1', [
    name,
  ]);
  return rows[0]?.id ?? null;
}

/** How a snapshot is restored into the new server. */
export function restoreRequest(
  request: UpgradeRequest,
  { connection }: UpgradeServers,
): Omit<Parameters<typeof restore>[1], 'snapshot' | 'from' | 'instance' | 'database' | 'replace'> {
  return {
    identities: request.identities,
    signal: request.signal,
    onProgress: request.onProgress,
    jobs: request.jobs,
    schemas: null,
    withoutExtensions: [],
    locale: null,
    owner: null,
    createRole: true,
    ignoreSecrets: true,
    wait: true,
    server: connection,
  };
}
