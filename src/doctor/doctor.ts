// Checks everything that can be checked without taking a backup, each finding with its remedy. One check that fails does
// not hide the others: an administrator mends all of it in one go.

import { bucketOf } from '../config/settings.ts';
import { chooseClient, findClients } from '../database/clients.ts';
import { connect, describeTarget } from '../database/connection.ts';
import { describeProtection } from '../database/tls.ts';
import { readDatabaseFacts, type DatabaseFacts } from '../database/server.ts';
import type { ObjectStore } from '../storage/store.ts';
import { AppError } from '../errors.ts';
import { formatMiB, formatSpan } from '../text/format.ts';
import { examineMemory } from './memory-check.ts';
import { examineEncryption } from './encryption-check.ts';
import { examineExtraFiles } from './extra-files-check.ts';
import { channelFinding, examineMessages } from './messages-check.ts';
import { examineHooks } from './hooks-check.ts';
import { examineSecretFiles } from './secret-files-check.ts';
import { examineSigning } from './signing-check.ts';
import { examineSecrets } from './secrets-check.ts';
import { examineLogin, examineSource } from './source-check.ts';
import { examineSpace } from './space-check.ts';
import { examineStore } from './store-check.ts';
import { problem, type Examination, type Finding, type Inventory } from './finding.ts';

const checkTimeoutMs = 60_000;

/** Runs all checks. */
export async function examine(examination: Examination): Promise<readonly Finding[]> {
  const settings: Finding[] = [
    ...examination.channelProblems.map(channelFinding),
    ...examination.warnings.map((detail): Finding => ({ check: 'settings', status: 'warning', detail, remedy: null })),
  ];
  if (settings.length === 0) settings.push({ check: 'settings', status: 'ok', detail: 'understood', remedy: null });
  const asking = examineMessages(examination);
  const { facts, findings } = await examineDatabase(examination);
  const stores = await Promise.all(
    examination.stores.map(async (store) => {
      const { signal, clear } = patience(store.store);
      try {
        const objectLockDays = bucketOf(examination.settings)?.objectLockDays ?? null;
        return await examineStore(store, {
          ...examination,
          objectLockDays,
          signal: AbortSignal.any([examination.signal, signal]),
        });
      } finally {
        clear();
      }
    }),
  );
  // What was cut short by a signal is no finding.
  examination.signal.throwIfAborted();
  // A destination that did not answer would take as long not to answer again.
  const reached = examination.stores.filter(
    ({ store }) => !stores.flat().some(({ check, status }) => check === store.name && status === 'problem'),
  );
  const { earlier, findings: places } = await takeInventory(examination, reached);
  return [
    ...settings,
    ...findings,
    ...stores.flat(),
    ...places,
    ...(await examineSpace(earlier, {
      compression: examination.settings.compression.kind,
      databaseBytes: facts?.sizeBytes ?? null,
      signal: examination.signal,
    })),
    ...examineMemory(examination, facts),
    ...examineEncryption(examination, earlier),
    ...examineSigning(examination, earlier),
    ...examineSecretFiles(examination),
    ...examineSecrets(examination, earlier),
    ...(await asking),
    ...(await examineHooks(examination)),
    ...(await examineExtraFiles(examination)),
  ];
}

// What a destination that answers cannot list has no finding of its own; the checks that need it then say less.
async function takeInventory(examination: Examination, stores: Examination['stores']): Promise<Inventory> {
  const signal = AbortSignal.any([examination.signal, AbortSignal.timeout(checkTimeoutMs)]);
  const inventory = await examination.takeInventory(stores, signal).catch(() => ({ earlier: [], findings: [] }));
  examination.signal.throwIfAborted();
  return inventory;
}

function patience({ name, description }: Pick<ObjectStore, 'name' | 'description'>): {
  readonly signal: AbortSignal;
  readonly clear: () => void;
} {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      new AppError('timeout', `There was no answer from ${description} within ${formatSpan(checkTimeoutMs)}`, {
        hint:
          name === 's3'
            ? 'Check that this container is on external_network, without which nothing gets out, and BACKUP_S3_ENDPOINT.'
            : 'Look at the disk, or at the server that it is mounted from.',
      }),
    );
  }, checkTimeoutMs);
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}

async function examineDatabase(
  examination: Examination,
): Promise<{ readonly facts: DatabaseFacts | null; readonly findings: readonly Finding[] }> {
  const { connection, signal } = examination;
  let facts: DatabaseFacts;
  let source: readonly Finding[];
  let protection: string;
  try {
    await using client = await connect(connection, signal);
    facts = await readDatabaseFacts(client);
    source = await examineSource(client, { facts, now: examination.now() });
    protection = await describeProtection(client, connection);
  } catch (error) {
    return { facts: null, findings: [problem('database', error)] };
  }
  const findings: Finding[] = [
    {
      check: 'database',
      status: facts.tableCount === 0 ? 'warning' : 'ok',
      detail: `${describeTarget(connection)}: PostgreSQL ${facts.serverVersion}, ${facts.tableCount} tables, ${formatMiB(facts.sizeBytes)}; ${protection}`,
      remedy: facts.tableCount === 0 ? 'Check DB_NAME: this database has no tables.' : null,
    },
    ...source,
  ];
  try {
    const clients = await findClients({
      directory: examination.settings.pgBin,
      path: examination.pathVariable,
      signal,
    });
    const client = chooseClient(clients, { major: facts.serverMajor, version: facts.serverVersion });
    const newer = client.major > facts.serverMajor;
    findings.push({
      check: 'client',
      status: newer ? 'warning' : 'ok',
      detail: `pg_dump ${client.version} in ${client.directory}`,
      remedy: newer
        ? `Restoring needs pg_restore ${client.major} or newer; install postgresql-client-${facts.serverMajor} to match the server.`
        : null,
    });
    findings.push(...(await examineLogin(connection, { client, facts, signal })));
  } catch (error) {
    findings.push(problem('client', error));
  }
  return { facts, findings };
}
