// The settings as they are in force: what was derived, found, or capped stands where the default or the wish stood, with where it
// came from. "4 threads" on a machine with 2 cores, or a region that nobody wrote, is what one looks for in vain otherwise.

import { defaultMemoryLimit } from '../backup/memory-limit.ts';
import type { SettingProblem } from '../config/problem.ts';
import { compressorOf } from '../codec/codec.ts';
import { bucketOf } from '../config/settings.ts';
import { describeSettings, type ShownSetting } from '../config/shown.ts';
import { chooseClient } from '../database/clients.ts';
import { connect } from '../database/connection.ts';
import { readDatabaseFacts } from '../database/server.ts';
import { formatMiB } from '../text/format.ts';
import type { AppContext } from './context.ts';

/** The settings in force, and what is wrong with those that stop no run. */
export interface ConfigReport {
  readonly settings: readonly ShownSetting[];
  readonly problems: readonly SettingProblem[];
}

type InForce = Readonly<Record<string, Partial<Pick<ShownSetting, 'value' | 'source' | 'by'>>>>;

/** A client is looked for by the server's version; a database that is down must not keep anybody from his settings. */
const databasePatienceMs = 2_000;

/** Describes them. @throws AppError `settings` when one stops runs. */
export async function config(context: AppContext, signal: AbortSignal): Promise<ConfigReport> {
  context.load();
  const inForce: InForce = {
    ...databaseInForce(context),
    BACKUP_PG_BIN: await clientInForce(context, signal),
    ...(await planInForce(context)),
  };
  const settings = describeSettings(context.environment).map((shown) => inForceOf(shown, inForce[shown.name]));
  return { settings, problems: context.channelProblems };
}

function inForceOf(shown: ShownSetting, found: InForce[string] | undefined): ShownSetting {
  const value = found?.value ?? shown.value;
  const by = found?.by === undefined ? {} : { by: found.by };
  if (found === undefined || value === shown.value) return { ...shown, ...by };
  const wasGiven = shown.source !== 'default' && shown.value !== null;
  return {
    ...shown,
    value,
    source: found.source ?? shown.source,
    ...(wasGiven ? { given: shown.value } : {}),
    ...by,
  };
}

function databaseInForce(context: AppContext): InForce {
  const { target } = context.load();
  const [url] = target.sources.filter((name) => name.endsWith('DATABASE_URL'));
  const part = (value: string | null): InForce[string] => ({ value, ...(url === undefined ? {} : { source: url }) });
  return {
    DB_HOST: part(target.host),
    DB_PORT: part(String(target.port)),
    DB_NAME: part(target.database),
    DB_USER: part(target.user),
    DB_SSLMODE: part(target.sslMode),
    PGSSLROOTCERT: part(target.sslRootCertificate),
    PGSSLCERT: part(target.sslCertificate),
    PGSSLKEY: part(target.sslKey),
  };
}

async function clientInForce(context: AppContext, signal: AbortSignal): Promise<InForce[string]> {
  try {
    const clients = await context.findClients(signal);
    if (clients.length === 0) return { value: 'none is installed', source: 'found' };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(databasePatienceMs)]);
    try {
      await using database = await connect(context.load().target, limit);
      const { serverMajor, serverVersion } = await readDatabaseFacts(database);
      const { directory } = chooseClient(clients, { major: serverMajor, version: serverVersion });
      return { value: directory, source: 'found' };
    } catch {
      signal.throwIfAborted();
      const majors = clients.map(({ major }) => major).join(', ');
      return { value: `one of ${majors}: the database could not be asked for its version`, source: 'found' };
    }
  } catch {
    signal.throwIfAborted();
    return { value: 'none is usable', source: 'found' };
  }
}

async function planInForce(context: AppContext): Promise<InForce> {
  const { environment, logFormat } = context;
  const { settings } = context.load();
  const { compression, memoryLimitBytes } = settings;
  const bucket = bucketOf(settings);
  const compressor = compressorOf(compression.kind);
  const hasZone = environment.status('BACKUP_TIMEZONE') === 'set';
  const hasTz = environment.status('TZ') === 'set' && settings.timeZone !== 'UTC';
  return {
    ...(bucket === null
      ? {}
      : {
          BACKUP_S3_ENDPOINT: { value: bucket.endpoint ?? 'AWS' },
          BACKUP_S3_REGION: { value: bucket.region },
          BACKUP_S3_PREFIX: { value: bucket.prefix === '' ? 'empty' : bucket.prefix },
          BACKUP_S3_CONCURRENCY: { value: String(bucket.concurrency) },
        }),
    BACKUP_TIMEZONE: { value: settings.timeZone, ...(hasZone || !hasTz ? {} : { source: 'TZ' }) },
    ...(compressor === null ? {} : { BACKUP_COMPRESSION: { by: compressor } }),
    BACKUP_COMPRESSION_LEVEL: { value: compression.kind === 'none' ? '-' : String(compression.level) },
    BACKUP_THREADS: { value: String(settings.threads) },
    ...(memoryLimitBytes === null
      ? { BACKUP_MEMORY_LIMIT: { value: formatMiB(await defaultMemoryLimit()).replace(' ', '') } }
      : {}),
    BACKUP_VERIFY: { value: settings.verify },
    BACKUP_LOG_FORMAT: { value: logFormat },
  };
}
