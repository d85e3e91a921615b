// `upgrade`: Mastodon's database moves into a newer PostgreSQL beside the old one. What is restored is a backup that was read
// back, both servers are compared while nobody writes, and the old one is not changed: to go back is one word.

import { escapeIdentifier } from 'pg';
import type { ProgressListener } from '../backup/progress.ts';
import { failed, note, ok, type CheckResult } from '../checks/check.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { connect, describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { readDatabaseFacts, type DatabaseFacts } from '../database/server.ts';
import { AppError } from '../errors.ts';
import { connectForRestore } from '../restore/restore-connection.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import type { UpgradeRecord } from '../state/records.ts';
import { formatDuration } from '../text/format.ts';
import { compareServers } from '../upgrade/both-servers.ts';
import { composeService } from '../upgrade/compose-service.ts';
import { examineNewServer, spaceNeeded } from '../upgrade/new-server.ts';
import { examineOldServer } from '../upgrade/old-server.ts';
import { readWrites, waitUntilNobodyIsIn } from '../upgrade/quiet.ts';
import { switchLines, targetConnection, type Switch } from '../upgrade/target-address.ts';
import { choose } from './choosing.ts';
import type { AppContext } from './context.ts';
import { restore } from './restore-verb.ts';
import { firstError, run } from './run-verb.ts';

/** Options of `upgrade check`. */
export interface UpgradeCheckRequest {
  /** The new server, as `HOST` or `HOST:PORT`; null: there is none yet. */
  readonly to: string | null;
  readonly identities: readonly string[];
  readonly signal: AbortSignal;
}

/** Options of `upgrade rehearse` and `upgrade run`. */
export interface UpgradeRequest extends UpgradeCheckRequest {
  readonly to: string;
  readonly onProgress: ProgressListener;
}

/** What `upgrade check` found. */
export interface UpgradeCheck {
  readonly from: string;
  readonly to: string | null;
  readonly findings: readonly CheckResult[];
  /** The new server as a service of the compose file, where none was named. */
  readonly service: { readonly name: string; readonly text: string } | null;
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

/** Looks at both servers and changes nothing. @throws AppError `database`, `restore` or `usage`. */
export async function upgradeCheck(context: AppContext, request: UpgradeCheckRequest): Promise<UpgradeCheck> {
  const { target } = context.load();
  await using old = await connect(target, request.signal);
  const facts = await readDatabaseFacts(old);
  const findings = [
    ...(await examineOldServer(old, { major: facts.serverMajor, version: facts.serverVersion, now: context.now() })),
    ...(await examineKey(context, request)),
    await describeTime(context),
    spaceNeeded({ old: facts }),
  ];
  if (request.to === null) {
    const { major } = await newestClient(context, request.signal);
    const service =
      major > facts.serverMajor
        ? composeService({ major, user: target.user, hasPassword: target.password !== '' })
        : null;
    return { from: describeTarget(target), to: null, findings, service };
  }
  const connection = targetConnection(request.to, target);
  await using next = await connectForRestore(connection, { name: target.database, signal: request.signal });
  const there = await examineNewServer(next, {
    old: facts,
    new: await readDatabaseFacts(next),
    database: target.database,
    clientMajor: (await newestClient(context, request.signal)).major,
    now: context.now(),
  });
  return {
    from: describeTarget(target),
    to: describeTarget(connection),
    findings: [...findings, ...there],
    service: null,
  };
}

/** Restores the newest snapshot into the new server, measures it, and takes it away again. */
export async function upgradeRehearse(context: AppContext, request: UpgradeRequest): Promise<Rehearsal> {
  const { target } = context.load();
  const servers = await assertPossible(context, request);
  const { manifest } = await choose(context, { ...request, snapshot: 'latest', from: null, instance: null });
  const database = `${target.database.slice(0, 40)}_rehearsal_${manifest.id.slice(-6)}`;
  const report = await restore(context, {
    ...restoreRequest(request, servers),
    snapshot: snapshotName(manifest),
    database,
    replace: false,
  });
  await dropRehearsal(context, { connection: servers.connection, database });
  const rehearsal = { at: context.now().toISOString(), snapshot: report.snapshot, durationMs: report.durationMs };
  await remember(context, { servers, change: { rehearsal } });
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
  const servers = await assertPossible(context, request);
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
  await remember(context, { servers, change: { comparedAt: context.now().toISOString() } });
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

interface Servers {
  readonly connection: ConnectionSettings;
  readonly old: DatabaseFacts;
  readonly next: DatabaseFacts;
}

// What `upgrade check` calls failed is refused before anything is done.
async function assertPossible(context: AppContext, request: UpgradeRequest): Promise<Servers> {
  const { findings } = await upgradeCheck(context, request);
  const [first] = findings.filter(({ status }) => status === 'failed');
  if (first !== undefined) {
    throw new AppError('restore', `The upgrade is not possible so: ${first.check}: ${first.detail}`, {
      hint: `${first.remedy}; see all of it with: mastodon-backup upgrade check --to ${request.to}.`,
    });
  }
  const { target } = context.load();
  const connection = targetConnection(request.to, target);
  await using old = await connect(target, request.signal);
  await using next = await connectForRestore(connection, { name: target.database, signal: request.signal });
  return { connection, old: await readDatabaseFacts(old), next: await readDatabaseFacts(next) };
}

async function lastDump(
  context: AppContext,
  {
    request,
    servers,
    writes,
  }: { readonly request: UpgradeRequest; readonly servers: Servers; readonly writes: string },
): Promise<string> {
  const { dump } = await recall(context, servers);
  if (dump !== null && dump.writes === writes) {
    context.log.info({ snapshot: dump.snapshot }, 'Nobody has written since the last dump, which is taken');
    return dump.snapshot;
  }
  const major = servers.next.serverMajor;
  const report = await run(context, {
    tier: 'labelled',
    label: `before the upgrade to PostgreSQL ${major}`,
    wait: true,
    signal: request.signal,
    onProgress: request.onProgress,
  });
  const error = firstError(report);
  if (error !== undefined && !report.outcomes.some(({ kind }) => kind === 'stored')) throw error;
  const snapshot = `labelled/${report.id}`;
  await remember(context, {
    servers,
    change: { dump: { at: context.now().toISOString(), snapshot, writes } },
  });
  return snapshot;
}

async function restoreOnce(
  context: AppContext,
  {
    request,
    servers,
    snapshot,
  }: { readonly request: UpgradeRequest; readonly servers: Servers; readonly snapshot: string },
): Promise<void> {
  const { database } = context.load().target;
  const { restored } = await recall(context, servers);
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
  await remember(context, {
    servers,
    change: { restored: { at: context.now().toISOString(), snapshot, databaseId: made } },
  });
}

async function databaseId(
  context: AppContext,
  { servers, signal }: { readonly servers: Servers; readonly signal: AbortSignal },
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
  { connection }: Servers,
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

// Only what this call has made, by its name with the snapshot's own letters in it.
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

async function examineKey(context: AppContext, { identities }: UpgradeCheckRequest): Promise<readonly CheckResult[]> {
  const { keys } = context.load().settings;
  if (keys.kind === 'plain') return [];
  if (identities.length + identitiesOf(keys).length > 0) return [ok('key', 'a private key is at hand')];
  return [
    failed('key', {
      detail: 'backups are encrypted, and no private key is at hand to restore one',
      remedy: 'Name the file with it by --identity FILE',
    }),
  ];
}

async function describeTime(context: AppContext): Promise<CheckResult> {
  const { drill, upgrade } = await context.state().readAttempts();
  const rehearsal = upgrade?.rehearsal ?? null;
  if (rehearsal !== null) {
    return ok(
      'time',
      `the rehearsal of ${rehearsal.snapshot} was restored there in ${formatDuration(rehearsal.durationMs)}; beside it the last dump takes its time`,
    );
  }
  if (drill !== null && drill.status === 'passed' && drill.durationMs !== null) {
    return ok(
      'time',
      `the last drill (${drill.snapshot}) passed, and was restored in ${formatDuration(drill.durationMs)}; beside it the last dump takes its time`,
    );
  }
  return note('time', 'nothing was restored yet that would tell how long it takes', {
    remedy: 'Run: mastodon-backup upgrade rehearse --to HOST',
  });
}

async function newestClient(context: AppContext, signal: AbortSignal): Promise<{ readonly major: number }> {
  return (await context.findClients(signal)).at(-1) ?? { major: 0 };
}

async function recall(context: AppContext, servers: Servers): Promise<UpgradeRecord> {
  const { upgrade } = await context.state().readAttempts();
  const fresh = begin(servers);
  const isSame = upgrade !== null && upgrade.from === fresh.from && upgrade.into === fresh.into;
  return isSame ? upgrade : fresh;
}

async function remember(
  context: AppContext,
  { servers, change }: { readonly servers: Servers; readonly change: Partial<UpgradeRecord> },
): Promise<void> {
  const record = await recall(context, servers);
  const { connection, next } = servers;
  const to = `${connection.host}:${connection.port}`;
  await context
    .state()
    .updateAttempts(() => ({ upgrade: { ...record, to, serverVersion: next.serverVersion, ...change } }));
}

function begin({ connection, old, next }: Servers): UpgradeRecord {
  return {
    to: `${connection.host}:${connection.port}`,
    from: old.systemIdentifier,
    into: next.systemIdentifier,
    serverVersion: next.serverVersion,
    rehearsal: null,
    dump: null,
    restored: null,
    comparedAt: null,
  };
}
