// Checks everything that can be checked without taking a backup, each finding with its remedy. One check that fails does
// not hide the others: an administrator mends all of it in one go.

import { bucketOf } from '../config/settings.ts';
import { chooseClient, findClients } from '../database/clients.ts';
import { connect, describeTarget } from '../database/connection.ts';
import { describeProtection } from '../database/tls.ts';
import { readDatabaseFacts, type DatabaseFacts } from '../database/server.ts';
import { formatMiB, formatSpan } from '../text/format.ts';
import { plural } from '../text/table.ts';
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
import { examineAccess, examineStore } from './store-check.ts';
import { examineDirectories } from './directories-check.ts';
import { problem, type Examination, type Finding, type Inventory } from './finding.ts';
import type { Repository } from '../snapshots/repository.ts';
import { impatient } from './impatient-store.ts';
import { watchSilence } from './silence.ts';

/** How long all of what a place holds may take to be read, in milliseconds; each answer has its own limit besides. */
const inventoryMs = 20_000;

/** Runs all checks, side by side: it takes as long as the slowest of them. */
export async function examine(examination: Examination): Promise<readonly Finding[]> {
  const settings: Finding[] = [
    ...examination.channelProblems.map(channelFinding),
    ...examination.warnings.map((detail): Finding => ({ check: 'settings', status: 'warning', detail, remedy: null })),
  ];
  if (settings.length === 0) settings.push({ check: 'settings', status: 'ok', detail: 'understood', remedy: null });
  const [{ facts, findings }, places, directories, messages, hooks, extraFiles] = await Promise.all([
    examineDatabase(examination),
    Promise.all(examination.stores.map(async (store) => examinePlace(store, examination))),
    examineDirectories(examination),
    examineMessages(examination),
    examineHooks(examination),
    examineExtraFiles(examination),
  ]);
  // What was cut short by a signal is no finding.
  examination.signal.throwIfAborted();
  const earlier = places.flatMap((place) => place.earlier);
  const databaseBytes = facts?.sizeBytes ?? null;
  const [space, drill] = await Promise.all([
    examineSpace(earlier, {
      compression: examination.settings.compression.kind,
      databaseBytes,
      signal: examination.signal,
    }),
    examination.examineDrill(earlier, { serverMajor: facts?.serverMajor ?? null, databaseBytes }),
  ]);
  return [
    ...settings,
    ...findings,
    ...places.flatMap((place) => place.findings),
    ...space,
    ...examineMemory(examination, facts),
    ...examineEncryption(examination, earlier),
    ...examineSigning(examination, { asked: earlier, signed: places.flatMap((place) => place.signed) }),
    ...examineSecretFiles(examination),
    ...examineSecrets(examination, earlier),
    ...directories,
    ...drill,
    ...messages,
    ...hooks,
    ...extraFiles,
  ];
}

const nothingKnown: Inventory = { earlier: [], signed: [], findings: [] };

async function examinePlace(place: Repository, examination: Examination): Promise<Inventory> {
  const store = impatient(place.store);
  const limited = { ...place, store };
  const { settings } = examination;
  const objectLockDays = bucketOf(settings)?.objectLockDays ?? null;
  const access = await examineAccess(limited, examination);
  // A destination that did not answer would take as long not to answer again.
  if (access.status === 'problem') return { ...nothingKnown, findings: [access] };
  const [found, inventory] = await Promise.all([
    examineStore(limited, { ...examination, ...settings.retention, objectLockDays }),
    takeInventory(limited, examination),
  ]);
  return { ...inventory, findings: [access, ...found, ...inventory.findings] };
}

async function takeInventory(store: Repository, examination: Examination): Promise<Inventory> {
  const limit = AbortSignal.timeout(inventoryMs);
  try {
    return await examination.takeInventory(store, AbortSignal.any([examination.signal, limit]));
  } catch (error) {
    if (!limit.aborted) return { ...nothingKnown, findings: [problem(`${store.store.name} contents`, error)] };
    const detail = `what it holds could not be read within ${formatSpan(inventoryMs)}`;
    const remedy = 'See how long it takes with: mastodon-backup list.';
    return {
      ...nothingKnown,
      findings: [{ check: `${store.store.name} contents`, status: 'warning', detail, remedy }],
    };
  }
}

async function examineDatabase(
  examination: Examination,
): Promise<{ readonly facts: DatabaseFacts | null; readonly findings: readonly Finding[] }> {
  const { connection } = examination;
  const hint =
    'Check DB_HOST and DB_PORT, and whether the server is overloaded or a firewall swallows what is sent to it.';
  using silence = watchSilence({ what: `The database ${describeTarget(connection)}`, hint }, examination.signal);
  const { signal, heard } = silence;
  const installed = findClients({ directory: examination.settings.pgBin, path: examination.pathVariable, signal });
  installed.catch(() => undefined);
  let facts: DatabaseFacts;
  let source: readonly Finding[];
  let protection: string;
  try {
    await using client = await connect(connection, signal);
    heard();
    facts = await readDatabaseFacts(client);
    heard();
    source = await examineSource(client, { facts, now: examination.now(), heard });
    protection = await describeProtection(client, connection);
    heard();
  } catch (error) {
    return { facts: null, findings: [problem('database', signal.aborted ? signal.reason : error)] };
  }
  const findings: Finding[] = [
    {
      check: 'database',
      status: facts.tableCount === 0 ? 'warning' : 'ok',
      detail: `${describeTarget(connection)}: PostgreSQL ${facts.serverVersion}, ${plural(facts.tableCount, 'table')}, ${formatMiB(facts.sizeBytes)}; ${protection}`,
      remedy: facts.tableCount === 0 ? 'Check DB_NAME: this database has no tables.' : null,
    },
    ...source,
  ];
  try {
    const client = chooseClient(await installed, { major: facts.serverMajor, version: facts.serverVersion });
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
