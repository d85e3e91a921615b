// `upgrade check`: both servers are looked at and nothing is changed; what it calls failed keeps a rehearsal and the upgrade
// itself from being tried.

import { failed, note, ok, type CheckResult } from '../checks/check.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { connect, describeTarget } from '../database/connection.ts';
import { readDatabaseFacts } from '../database/server.ts';
import { AppError } from '../errors.ts';
import { connectForRestore } from '../restore/restore-connection.ts';
import { formatDuration } from '../text/format.ts';
import { composeService } from '../upgrade/compose-service.ts';
import { examineNewServer, spaceNeeded } from '../upgrade/new-server.ts';
import { examineOldServer } from '../upgrade/old-server.ts';
import { targetConnection } from '../upgrade/target-address.ts';
import type { AppContext } from './context.ts';
import type { UpgradeServers } from './upgrade-memory.ts';

/** Options of `upgrade check`. */
export interface UpgradeCheckRequest {
  /** The new server, as `HOST` or `HOST:PORT`; null: there is none yet. */
  readonly to: string | null;
  readonly identities: readonly string[];
  readonly signal: AbortSignal;
}

/** What `upgrade check` found. */
export interface UpgradeCheck {
  readonly from: string;
  readonly to: string | null;
  readonly findings: readonly CheckResult[];
  /** The new server as a service of the compose file, where none was named. */
  readonly service: { readonly name: string; readonly text: string } | null;
}

/** Looks at both servers. @throws AppError `database`, `restore` or `usage`. */
export async function upgradeCheck(context: AppContext, request: UpgradeCheckRequest): Promise<UpgradeCheck> {
  return (await look(context, request)).check;
}

/** The servers, once nothing is in the way. @throws AppError `restore` with the first that is. */
export async function assertUpgradePossible(
  context: AppContext,
  request: UpgradeCheckRequest & { readonly to: string },
): Promise<UpgradeServers> {
  const { check, servers } = await look(context, request);
  const first = check.findings.find(({ status }) => status === 'failed');
  if (first === undefined && servers !== null) return servers;
  throw new AppError('restore', `The upgrade is not possible so: ${first?.check}: ${first?.detail}`, {
    hint: `${first?.remedy}; see all of it with: mastodon-backup upgrade check --to ${request.to}.`,
  });
}

async function look(
  context: AppContext,
  request: UpgradeCheckRequest,
): Promise<{ readonly check: UpgradeCheck; readonly servers: UpgradeServers | null }> {
  const { target } = context.load();
  const from = describeTarget(target);
  await using current = await connect(target, request.signal);
  const old = await readDatabaseFacts(current);
  const clientMajor = (await context.findClients(request.signal)).at(-1)?.major ?? 0;
  const findings = [
    ...(await examineOldServer(current, { major: old.serverMajor, version: old.serverVersion, now: context.now() })),
    ...examineKey(context, request),
    await describeTime(context),
    spaceNeeded({ old }),
  ];
  if (request.to === null) {
    const service =
      clientMajor > old.serverMajor
        ? composeService({ major: clientMajor, user: target.user, hasPassword: target.password !== '' })
        : null;
    return { check: { from, to: null, findings, service }, servers: null };
  }
  const connection = targetConnection(request.to, target);
  await using other = await connectForRestore(connection, { name: target.database, signal: request.signal });
  const next = await readDatabaseFacts(other);
  const facts = { old, new: next, database: target.database, clientMajor, now: context.now() };
  const there = await examineNewServer(other, facts);
  const check = { from, to: describeTarget(connection), findings: [...findings, ...there], service: null };
  return { check, servers: { connection, old, next } };
}

function examineKey(context: AppContext, { identities }: UpgradeCheckRequest): readonly CheckResult[] {
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
