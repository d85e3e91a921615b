// `upgrade`: Mastodon's database moves into a newer PostgreSQL beside the old one. What is restored is a backup that was read
// back, both servers are compared while nobody writes, and the old one is not changed: to go back is one word.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier } from 'pg';
import type { ProgressListener } from '../backup/progress.ts';
import type { CheckResult } from '../checks/check.ts';
import { connect, describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { connectForRestore } from '../restore/restore-connection.ts';
import { compareServers } from '../upgrade/both-servers.ts';
import { readWrites, waitUntilNobodyIsIn } from '../upgrade/quiet.ts';
import { switchLines, type Switch } from '../upgrade/target-address.ts';
import { choose } from './choosing.ts';
import type { AppContext } from './context.ts';
import { restore } from './restore-verb.ts';
import { firstError } from '../backup/first-error.ts';
import { run } from './run-verb.ts';
import { assertUpgradePossible, type UpgradeCheckRequest } from './upgrade-check.ts';
import { recallUpgrade, rememberUpgrade, type UpgradeServers } from './upgrade-memory.ts';

/** Options of `upgrade rehearse` and `upgrade run`. */
export interface UpgradeRequest extends UpgradeCheckRequest {
  readonly to: string;
  readonly onProgress: ProgressListener;
}

/** What `upgrade rehearse` found. */
export interface Rehearsal {
  readonly snapshot: string;
  readonly to: string;
  readonly serverVersion: string;
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
}

/** What `upgrade run` did. */
export interface UpgradeReport {
  readonly snapshot: string;
  readonly from: string;
  readonly to: string;
  readonly serverVersion: string;
  /** From the moment that nobody was connected any more to the end of the comparison, in milliseconds. */
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
  /** What is changed in Mastodon's settings now, and to go back. */
  readonly switches: readonly Switch[];
}

/** How long is waited for people to leave the database. */
const leaveWithinMs = 30_000;
/** How long the counting of all rows may take on each server. */
const countWithinMs = 6 * 3_600_000;

/** Restores the newest snapshot into the new server, measures it, and takes it away again. */
export async function upgradeRehearse(context: AppContext, request: UpgradeRequest): Promise<Rehearsal> {
  const { instance } = context.load();
  const servers = await assertUpgradePossible(context, request);
  const database = `mastodon_rehearsal_${randomBytes(4).toString('hex')}`;
  const wanted = { ...restoreRequest(request, servers), snapshot: 'latest', instance };
  const report = await restore(context, { ...wanted, database, replace: false });
  await dropRehearsal(context, { connection: servers.connection, database });
  const rehearsal = { at: context.now().toISOString(), snapshot: report.snapshot, durationMs: report.durationMs };
  await rememberUpgrade(context, { servers, change: { rehearsal } });
  return {
    snapshot: report.snapshot,
    to: describeTarget(servers.connection),
    serverVersion: report.serverVersion,
    durationMs: report.durationMs,
    checks: report.checks,
  };
}

/**
 * Takes the last dump, restores it into the new server, and compares both. Nothing is changed on the old one. What was done
 * before it was cut off is not done again, as long as nobody wrote in between.
 */
export async function upgradeRun(context: AppContext, request: UpgradeRequest): Promise<UpgradeReport> {
  const { log } = context;
  const { signal } = request;
  const { target } = context.load();
  const servers = await assertUpgradePossible(context, request);
  const { database } = target;
  await using old = await connect(target, signal, { queryTimeoutMs: 0 });
  const nobody = async (): Promise<void> =>
    waitUntilNobodyIsIn(old, {
      database,
      limitMs: leaveWithinMs,
      signal,
      onWaiting: (visitors) => log.info({ visitors }, `Waiting until nobody is connected to ${database}`),
    });
  await nobody();
  const startedAt = performance.now();
  const writes = await readWrites(old, { signal });
  const snapshot = await lastDump(context, { request, servers, writes });
  await restoreOnce(context, { request, servers, snapshot });
  await nobody();
  if ((await readWrites(old, { signal })) !== writes) {
    throw new AppError('restore', `Somebody wrote into '${database}' on the old server while it was upgraded`, {
      hint: 'Stop all that uses the database (web, streaming, sidekiq, jobs of your own), then run this again: nothing is lost.',
    });
  }
  await using next = await connect({ ...servers.connection, database }, signal, { queryTimeoutMs: 0 });
  const checks = await compareServers({ old, new: next }, { limitMs: countWithinMs, signal });
  const wrong = checks.find(({ status }) => status === 'failed');
  if (wrong !== undefined)
    throw new AppError('restore', `${wrong.check}: ${wrong.detail}`, { hint: `${wrong.remedy}.` });
  await rememberUpgrade(context, { servers, change: { comparedAt: context.now().toISOString() } });
  return {
    snapshot,
    from: describeTarget(target),
    to: describeTarget(servers.connection),
    serverVersion: servers.next.serverVersion,
    durationMs: Math.round(performance.now() - startedAt),
    checks,
    switches: switchLines({ from: target, to: servers.connection }, target),
  };
}

async function lastDump(
  context: AppContext,
  {
    request,
    servers,
    writes,
  }: { readonly request: UpgradeRequest; readonly servers: UpgradeServers; readonly writes: string },
): Promise<string> {
  const { dump } = await recallUpgrade(context, servers);
  if (dump !== null && dump.writes === writes && (await isThere(context, { request, snapshot: dump.snapshot }))) {
    context.log.info({ snapshot: dump.snapshot }, 'Nobody has written since the last dump, which is taken');
    return dump.snapshot;
  }
  const major = servers.next.serverMajor;
  const report = await run(context, {
    purpose: { kind: 'labelled', label: `before the upgrade to PostgreSQL ${major}` },
    wait: true,
    signal: request.signal,
    onProgress: request.onProgress,
  });
  const error = firstError(report);
  if (error !== undefined && !report.outcomes.some(({ kind }) => kind === 'stored')) throw error;
  const snapshot = `labelled/${report.id}`;
  await rememberUpgrade(context, {
    servers,
    change: { dump: { at: context.now().toISOString(), snapshot, writes } },
  });
  return snapshot;
}

// Somebody may have removed it since.
async function isThere(
  context: AppContext,
  { request, snapshot }: { readonly request: UpgradeRequest; readonly snapshot: string },
): Promise<boolean> {
  try {
    await choose(context, { ...request, snapshot, from: null, instance: null });
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'no-snapshot') return false;
    throw error;
  }
}

async function restoreOnce(
  context: AppContext,
  {
    request,
    servers,
    snapshot,
  }: { readonly request: UpgradeRequest; readonly servers: UpgradeServers; readonly snapshot: string },
): Promise<void> {
  const { database } = context.load().target;
  const { restored } = await recallUpgrade(context, servers);
  const there = await databaseId(context, { servers, signal: request.signal });
  if (restored !== null && restored.databaseId === there && restored.snapshot === snapshot) {
    context.log.info({ snapshot, database }, 'It is restored there already; only the comparison was missing');
    return;
  }
  // What an earlier try of ours made there may be moved aside; what somebody else made may not.
  const replace = there !== null && restored?.databaseId === there;
  await restore(context, { ...restoreRequest(request, servers), snapshot, database, replace });
  const made = await databaseId(context, { servers, signal: request.signal });
  if (made === null) throw new Error('The restored database is not there');
  await rememberUpgrade(context, {
    servers,
    change: { restored: { at: context.now().toISOString(), snapshot, databaseId: made } },
  });
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

function restoreRequest(
  request: UpgradeRequest,
  { connection }: UpgradeServers,
): Omit<Parameters<typeof restore>[1], 'snapshot' | 'database' | 'replace'> {
  return {
    from: null,
    instance: null,
    identities: request.identities,
    signal: request.signal,
    onProgress: request.onProgress,
    jobs: 1,
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

// What this call has made, under a name that it has drawn itself.
async function dropRehearsal(
  context: AppContext,
  { connection, database }: { readonly connection: ConnectionSettings; readonly database: string },
): Promise<void> {
  try {
    await using admin = await connectForRestore(connection, { name: database, signal: AbortSignal.timeout(60_000) });
    await admin.query(`drop database ${escapeIdentifier(database)}`);
  } catch (error) {
    context.log.warn({ err: error, database }, 'The rehearsal could not be taken away: drop the database by hand');
  }
}
