// `upgrade`: Mastodon's database moves into a newer PostgreSQL beside the old one. What is restored is a backup that was read
// back, both servers are compared while nobody writes, and the old one is not changed: to go back is one word.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier, type Client } from 'pg';
import type { CheckResult } from '../checks/check.ts';
import { connect, describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import { connectForRestore } from '../restore/restore-connection.ts';
import { compareServers } from '../upgrade/both-servers.ts';
import { readWrites, waitUntilNobodyIsIn } from '../upgrade/quiet.ts';
import { switchLines, type Switch } from '../upgrade/target-address.ts';
import type { AppContext } from './context.ts';
import { restore } from './restore-verb.ts';
import { assertUpgradePossible } from './upgrade-check.ts';
import { rememberUpgrade } from './upgrade-memory.ts';
import { lastDump, restoreOnce, restoreRequest, withNewServer, type UpgradeRequest } from './upgrade-steps.ts';

/** What `upgrade rehearse` found. */
export interface Rehearsal {
  readonly snapshot: string;
  readonly to: string;
  readonly serverVersion: string;
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
}

/** What `upgrade run` did. */
export interface UpgradeReport extends Rehearsal {
  readonly from: string;
  /** From the moment that nobody was connected any more to the end of the comparison, in milliseconds. */
  readonly durationMs: number;
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
  const wanted = { ...restoreRequest(request, servers), snapshot: 'latest', from: null, instance };
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
  const nobodyIn = async (old: Client): Promise<void> =>
    waitUntilNobodyIsIn(old, {
      database,
      limitMs: leaveWithinMs,
      signal,
      onWaiting: (visitors) => log.info({ visitors }, `Waiting until nobody is connected to ${database}`),
    });
  // Not one connection for all of it: between both looks the old server may be started anew.
  const { startedAt, writes } = await lookBefore(nobodyIn, { target, signal });
  const dump = await lastDump(context, { request, servers, writes });
  await withNewServer(request, async () => restoreOnce(context, { request, servers, dump }));
  await using old = await connect(target, signal, { queryTimeoutMs: 0 });
  await nobodyIn(old);
  if ((await readWrites(old, { signal })) !== writes) {
    throw new AppError(
      'restore',
      `Somebody wrote into '${database}' on the old server while it was upgraded, or it crashed meanwhile`,
      {
        hint: 'Stop all that uses the database (web, streaming, sidekiq, jobs of your own), then run this again: nothing is lost.',
      },
    );
  }
  await using next = await connect({ ...servers.connection, database }, signal, { queryTimeoutMs: 0 });
  const checks = await compareServers({ old, new: next }, { limitMs: countWithinMs, signal });
  const wrong = checks.find(({ status }) => status === 'failed');
  if (wrong !== undefined)
    throw new AppError('restore', `${wrong.check}: ${wrong.detail}`, { hint: `${wrong.remedy}.` });
  await rememberUpgrade(context, { servers, change: { comparedAt: context.now().toISOString() } });
  return {
    snapshot: dump.snapshot,
    from: describeTarget(target),
    to: describeTarget(servers.connection),
    serverVersion: servers.next.serverVersion,
    durationMs: Math.round(performance.now() - startedAt),
    checks,
    switches: switchLines({ from: target, to: servers.connection }, target),
  };
}

async function lookBefore(
  nobodyIn: (old: Client) => Promise<void>,
  { target, signal }: { readonly target: ConnectionSettings; readonly signal: AbortSignal },
): Promise<{ readonly startedAt: number; readonly writes: string }> {
  await using old = await connect(target, signal, { queryTimeoutMs: 0 });
  await nobodyIn(old);
  return { startedAt: performance.now(), writes: await readWrites(old, { signal }) };
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
