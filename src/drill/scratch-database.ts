// The database of a drill: made and prepared by the scratch server's superuser while nothing of the dump is in it, and then left
// to a login that is none. What a dump holds is code (checks, functional indexes, views); in a superuser's session it could read
// every file of this container, our keys among them, and run programs. So no session of a superuser meets it.

import { randomBytes } from 'node:crypto';
import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import { note, type CheckResult } from '../checks/check.ts';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import type { DatabaseLocale } from '../database/server.ts';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createDatabase, describeLocale, libcLocale } from '../restore/database-creation.ts';
import { readOrdinarySettings } from '../restore/database-settings.ts';
import { createExtensions } from '../restore/extensions.ts';
import { countOfKind } from '../restore/kinds.ts';
import { list, planRestore, type RestorePlan } from '../restore/restore-plan.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { judgeExtensions } from './drill-extensions.ts';
import type { ScratchServer } from './scratch-server.ts';

const name = 'drill';
const owner = 'drill';
/** Where `amcheck` is when the dump brings none. */
const amcheckSchema = 'mastodon_backup_amcheck';

/** A database that is ready for the archive. */
export interface ScratchDatabase {
  /** How its owner, who is no superuser, reaches it. */
  readonly connection: ConnectionSettings;
  /** What its owner can restore. */
  readonly plan: RestorePlan;
  /** What a drill cannot have, each a note; none: the archive is restored as it is. */
  readonly lacking: readonly CheckResult[];
  /** The collation of the source, where it is another one here. */
  readonly notes: readonly CheckResult[];
}

/** Makes it. Rejects with AppError `drill` when there can be none. */
export async function prepareScratchDatabase(
  server: ScratchServer,
  options: {
    readonly manifest: Manifest;
    readonly contents: readonly ArchiveItem[];
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<ScratchDatabase> {
  const { manifest, contents, log, signal } = options;
  const password = randomBytes(24).toString('base64url');
  const wanted = manifest.database.locale;
  const taken = await createForOwner(server.superuser('postgres'), { manifest, password, signal });
  await using inside = await connect(server.superuser(name), signal, { queryTimeoutMs: 0 });
  // Since 15 it belongs to whoever owns the database.
  await inside.query(`alter schema public owner to ${escapeIdentifier(owner)}`);
  const ordinarySettings = await readOrdinarySettings(inside);
  const planWithout = (withoutExtensions: readonly string[]): RestorePlan =>
    planRestore(contents, { schemas: null, withoutExtensions, withSuperuser: true, ordinarySettings });
  const needed = [...planWithout([]).extensions, ...manifest.database.extensions].map((extension) => extension.name);
  const { missing, refused } = await judgeExtensions(inside, needed);
  const { broken, plan } = await createWhatCanBe(inside, { planWithout, without: [...missing, ...refused], log });
  const casts = await createCasts(inside, plan.casts);
  await lendAmcheck(inside);
  return {
    connection: { ...server.superuser(name), user: owner, password },
    plan,
    lacking: [...describeExtensions({ missing, refused, broken }), ...describeLeftOut(plan), ...casts],
    notes:
      describeLocale(taken) === describeLocale(wanted)
        ? []
        : [
            note(
              'collation',
              `${describeLocale(wanted)} does not exist here; ${describeLocale(taken)} was taken instead`,
            ),
          ],
  };
}

// One that cannot be created here, such as one to be loaded at the server's start, keeps nobody from the others.
async function createWhatCanBe(
  inside: Client,
  options: {
    readonly planWithout: (extensions: readonly string[]) => RestorePlan;
    readonly without: readonly string[];
    readonly log: Log;
  },
): Promise<{ readonly broken: readonly string[]; readonly plan: RestorePlan }> {
  const { planWithout, without, log } = options;
  const broken: string[] = [];
  const created = new Set<string>();
  for (;;) {
    const plan = planWithout([...without, ...broken]);
    const next = plan.extensions.find((extension) => !created.has(extension.name));
    if (next === undefined) return { broken, plan };
    const schemas = new Set(plan.contents.filter(({ kind }) => kind === 'SCHEMA').map((item) => item.name));
    try {
      await createExtensions(inside, { extensions: [next], schemas, owner, role: 'postgres' });
      created.add(next.name);
    } catch (error) {
      log.warn({ err: error, extension: next.name }, 'An extension cannot be created in the throw-away server');
      broken.push(next.name);
    }
  }
}

async function createCasts(inside: Client, casts: readonly ArchiveItem[]): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = [];
  for (const cast of casts) {
    try {
      await inside.query(cast.definition);
    } catch (error) {
      results.push(note('left out', `${cast.name}: ${describeError(error)}`));
    }
  }
  return results;
}

// Its functions need no superuser, only leave: they look at indexes as whom the tables belong to.
async function lendAmcheck(inside: Client): Promise<void> {
  const to = escapeIdentifier(owner);
  const { rows: there } = await inside.query("select from pg_extension where extname = 'amcheck'");
  const { rows: available } = await inside.query("select from pg_available_extensions where name = 'amcheck'");
  if (there.length === 0 && available.length === 0) return;
  if (there.length === 0)
    await inside.query(`create schema ${amcheckSchema}; create extension amcheck schema ${amcheckSchema}`);
  const { rows } = await inside.query<{ schema: string; signature: string }>(
    `select n.nspname as schema, p.oid::regprocedure::text as signature from pg_extension e join pg_namespace n on n.oid = e.extnamespace
       join pg_depend d on d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid and d.classid = 'pg_proc'::regclass
       join pg_proc p on p.oid = d.objid where e.extname = 'amcheck' and p.proname like 'bt\\_index%'`,
  );
  for (const { schema, signature } of rows)
    await inside.query(
      `grant usage on schema ${escapeIdentifier(schema)} to ${to}; grant execute on function ${signature} to ${to}`,
    );
}

function describeExtensions(names: {
  readonly missing: readonly string[];
  readonly refused: readonly string[];
  readonly broken: readonly string[];
}): readonly CheckResult[] {
  const { missing, refused, broken } = names;
  const some = (extensions: readonly string[], text: string): readonly CheckResult[] =>
    extensions.length === 0 ? [] : [note('extensions', `${text}: ${extensions.join(', ')}`)];
  return [
    ...some(missing, 'not available in this server'),
    ...some(refused, 'not created by a drill, because they reach beyond their database'),
    ...some(broken, 'could not be created in this server'),
  ];
}

function describeLeftOut({ leftOut }: RestorePlan): readonly CheckResult[] {
  const why = {
    extension: 'they depend on an extension that is not here',
    superuser: 'only a superuser may create them, and no dump runs with such rights here',
  } as const;
  return leftOut.flatMap(({ kind, reason, names }) =>
    (reason === 'extension' && kind !== 'extensions') || reason === 'superuser'
      ? [note('left out', `${countOfKind({ kind, names })} (${list(names)}): ${why[reason]}`)]
      : [],
  );
}

// A collation that exists only where the source runs, such as the alpine image's `en_US.utf8`.
async function createForOwner(
  connection: ConnectionSettings,
  options: { readonly manifest: Manifest; readonly password: string; readonly signal: AbortSignal },
): Promise<DatabaseLocale> {
  const { manifest, password, signal } = options;
  const { encoding } = manifest.database;
  await using admin = await connect(connection, signal);
  await admin.query(
    `create role ${escapeIdentifier(owner)} login nosuperuser nocreatedb nocreaterole noreplication
       password ${escapeLiteral(scramVerifier(password))}`,
  );
  let lastError: unknown;
  for (const locale of [manifest.database.locale, ...['C.UTF-8', 'C.utf8', 'C'].map(libcLocale)]) {
    try {
      await createDatabase(admin, { name, encoding, locale, owner, throwAway: true });
      return locale;
    } catch (error) {
      signal.throwIfAborted();
      lastError = error;
    }
  }
  throw new AppError('drill', `A database like the source's could not be created: ${describeError(lastError)}`, {
    cause: lastError,
    hint: 'Look at the encoding of the source database: SHOW server_encoding.',
  });
}
