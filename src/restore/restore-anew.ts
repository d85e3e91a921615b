// The usual way: a new database under a temporary name, filled in a login that is no superuser, handed over to its owner, and
// given its name at the end.

import { connect } from '../database/connection.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { checkRoleRights } from '../checks/role-rights.ts';
import { AppError } from '../errors.ts';
import { libcLocale } from './database-creation.ts';
import {
  applySettings,
  ensureSearchPath,
  neededSchemas,
  readSettings,
  settingsInArchive,
} from './database-settings.ts';
import { createExtensions } from './extensions.ts';
import { fillAndCheck } from './fill-and-check.ts';
import { createLogin, ownLogin, type RestoringLogin } from './restoring-login.ts';
import type { RestoreWork } from './restore.ts';
import { createTemporary, type TemporaryDatabase } from './temporary-database.ts';
import type { Placement, ReplacedDatabase } from './target.ts';

/** What came of it. */
export interface Placed {
  readonly movedAside: string | null;
  readonly checks: readonly CheckResult[];
}

/** Restores into a new database. Rejects with AppError; nothing is left then. */
export async function restoreAnew(
  work: RestoreWork,
  { replaced }: Placement & { readonly kind: 'new' },
): Promise<Placed> {
  const { admin, name, server, plan, connection, ownerRole, now, signal, log } = work;
  const { manifest } = work.source;
  const login = server.isSuperuser
    ? await createLogin(admin, {
        connection,
        restored: name,
        owner: ownerRole,
        remains: work.remains,
        now: now(),
        log,
        signal,
      })
    : ownLogin(connection, ownerRole);
  let temporary: TemporaryDatabase | undefined;
  let checks: readonly CheckResult[];
  try {
    temporary = await createTemporary(admin, {
      server: { connection, role: server.role },
      name,
      encoding: manifest.database.encoding,
      locale: work.locale === null ? manifest.database.locale : libcLocale(work.locale),
      owner: login.owner,
      remains: work.remains,
      prepare: async (inside, id) => {
        await work.onCreated?.(id);
        const schemas = new Set(plan.contents.filter(({ kind }) => kind === 'SCHEMA').map((item) => item.name));
        await createExtensions(inside, { extensions: plan.extensions, schemas, owner: login.owner, role: server.role });
        for (const { definition } of plan.casts) await inside.query(definition);
      },
      log,
      signal,
    });
    checks = [
      ...(await fillAndCheck(work, { database: temporary.name, login, singleTransaction: false })),
      ...(await finish(work, { database: temporary.name, login, replaced })),
    ];
    signal.throwIfAborted();
  } catch (error) {
    await temporary?.drop();
    await login.remove(connection, { name });
    signal.throwIfAborted();
    throw error;
  }
  await login.remove(connection, { name });
  const movedAside = await temporary.giveName({ moveAside: replaced !== null, now: now() });
  return { movedAside, checks };
}

// What belongs to the database rather than to its tables, and its owner.
async function finish(
  work: RestoreWork,
  {
    database,
    login,
    replaced,
  }: { readonly database: string; readonly login: RestoringLogin; readonly replaced: ReplacedDatabase | null },
): Promise<readonly CheckResult[]> {
  const { admin, connection, plan, ownerRole, name, signal } = work;
  const ofOld = replaced === null ? [] : await readSettings(admin, name);
  const isOfOld = (key: string): boolean => ofOld.some((one) => keyOf(one) === key);
  const ofDump = settingsInArchive(plan.contents).filter((setting) => !isOfOld(keyOf(setting)));
  await using inside = await connect({ ...connection, database }, signal, { queryTimeoutMs: 0 });
  await login.handOver(inside, ownerRole);
  const role = ownerRole === connection.user ? null : ownerRole;
  const settings = [
    ...(await applySettings(inside, { database, settings: ofDump, from: 'the dump', role })),
    ...(await applySettings(inside, { database, settings: ofOld, from: 'the old database', role: null })),
    ...(await ensureSearchPath(inside, { database, role: ownerRole, needed: neededSchemas(work.source.manifest) })),
  ];
  const rights = await checkRoleRights(inside, ownerRole);
  if (rights.status === 'failed')
    throw new AppError('restore', rights.detail, { hint: rights.remedy ?? 'Look at the roles of the target server.' });
  return [
    rights,
    ...settings,
    ...(replaced?.hasRights === true
      ? [note('rights', 'those granted on the old database itself were not taken over; see: \\l')]
      : []),
    ...(login.isSuperuser
      ? [note('login', 'the archive ran in a superuser session: pg_hba.conf lets no other login of ours in')]
      : []),
  ];
}

function keyOf({ role, name }: { readonly role: string | null; readonly name: string }): string {
  return JSON.stringify([role, name.toLowerCase()]);
}
