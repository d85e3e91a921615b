// Where Mastodon's database is, read as Mastodon's config/database.yml and streaming server read it: DATABASE_URL's parts
// win over DB_*, what the URL lacks comes from DB_*. Our own BACKUP_DATABASE_URL replaces all of that.

import type { Environment } from '../config/environment.ts';
import { ValueError, type SettingProblem } from '../config/problem.ts';
import { parseDatabaseUrl, type DatabaseUrlParts } from './database-url.ts';

/** libpq's sslmode values, PostgreSQL documentation 34.18. */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** A database and how to reach it. */
export interface DatabaseTarget {
  /** Host name, address, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Empty is legal: trust authentication. */
  readonly password: string;
  readonly database: string;
  readonly sslMode: SslMode;
  /** File of the certificate authority; null: libpq's default. */
  readonly sslRootCertificate: string | null;
}

/** The outcome of reading: `target` is null when there are problems. */
export interface DatabaseReading {
  readonly target: DatabaseTarget | null;
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
}

const sslModes: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** Parameters that Rails, the streaming server or libpq take and that do not change what is dumped. */
const ignoredParameters = new Set([
  'pool',
  'adapter',
  'encoding',
  'checkout_timeout',
  'idle_timeout',
  'reaping_frequency',
  'prepared_statements',
  'advisory_locks',
  'variables',
  'schema_search_path',
  'min_messages',
  'timeout',
  'reconnect',
  'max',
  'connect_timeout',
  'application_name',
  'fallback_application_name',
  'keepalives',
  'keepalives_idle',
  'keepalives_interval',
  'ssl',
  'uselibpqcompat',
  'target_session_attrs',
  'statement_timeout',
]);
const usedParameters = new Set([
  'host',
  'port',
  'user',
  'username',
  'password',
  'dbname',
  'database',
  'sslmode',
  'sslrootcert',
]);

/** Reads the database settings. Never throws. */
export function readDatabaseTarget(environment: Environment): DatabaseReading {
  const warnings: string[] = [];
  const problems: SettingProblem[] = [];
  const own = environment.get('BACKUP_DATABASE_URL') !== undefined;
  const urlName = own ? 'BACKUP_DATABASE_URL' : 'DATABASE_URL';
  const url = readUrl(environment, { urlName, problems });
  // A URL of ours says everything itself: Mastodon's password belongs to Mastodon's own host.
  const fallback = (name: string): string | undefined => (own ? undefined : environment.get(name)?.text);
  const parameter = (...names: readonly string[]): string | undefined =>
    names.map((name) => url?.parameters[name]).find((value) => value !== undefined && value !== '');
  const port = Number(parameter('port') ?? url?.port ?? fallback('DB_PORT') ?? '5432');
  if (!(Number.isInteger(port) && port > 0 && port < 65536)) {
    const variable = url?.port === undefined && parameter('port') === undefined ? 'DB_PORT' : urlName;
    problems.push({ variable, shown: null, problem: 'the port is not a number from 1 to 65535', remedy: 'Write 5432' });
  }
  const ssl = readSslMode(parameter('sslmode') ?? fallback('DB_SSLMODE') ?? 'prefer');
  if (ssl === undefined) {
    problems.push({
      variable: parameter('sslmode') === undefined ? 'DB_SSLMODE' : urlName,
      shown: null,
      problem: 'the sslmode is not one PostgreSQL knows',
      remedy: `Write one of: ${sslModes.join(', ')}`,
    });
  }
  noteOddities(environment, { own, url, urlName, port, warnings });
  const target: DatabaseTarget = {
    host: parameter('host') ?? url?.host ?? fallback('DB_HOST') ?? 'localhost',
    port,
    user: parameter('user', 'username') ?? url?.user ?? fallback('DB_USER') ?? 'mastodon',
    password: parameter('password') ?? url?.password ?? fallback('DB_PASS') ?? '',
    database: parameter('dbname', 'database') ?? url?.database ?? fallback('DB_NAME') ?? 'mastodon_production',
    sslMode: ssl ?? 'prefer',
    sslRootCertificate: parameter('sslrootcert') ?? null,
  };
  return { target: problems.length === 0 ? target : null, problems, warnings };
}

function readUrl(
  environment: Environment,
  { urlName, problems }: { readonly urlName: string; readonly problems: SettingProblem[] },
): DatabaseUrlParts | undefined {
  const text = environment.get(urlName)?.text;
  if (text === undefined) return undefined;
  try {
    return parseDatabaseUrl(text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    problems.push({ variable: urlName, shown: '[hidden]', problem: error.message, remedy: error.remedy });
    return undefined;
  }
}

// `no-verify` is the streaming server's word for: encrypted, certificate not looked at.
function readSslMode(text: string): SslMode | undefined {
  return text === 'no-verify' ? 'require' : sslModes.find((mode) => mode === text);
}

function noteOddities(
  environment: Environment,
  found: {
    readonly own: boolean;
    readonly url: DatabaseUrlParts | undefined;
    readonly urlName: string;
    readonly port: number;
    readonly warnings: string[];
  },
): void {
  const unknown = Object.keys(found.url?.parameters ?? {}).filter(
    (name) => !ignoredParameters.has(name) && !usedParameters.has(name),
  );
  if (unknown.length > 0)
    found.warnings.push(`${found.urlName} has parameters that are ignored: ${unknown.join(', ')}`);
  const pooled = found.port === 6432 || (!found.own && environment.get('PREPARED_STATEMENTS')?.text === 'false');
  if (pooled) {
    found.warnings.push(
      'Mastodon seems to go through PgBouncer, which cannot carry a dump; set BACKUP_DATABASE_URL to a direct connection',
    );
  }
  if (found.own) return;
  for (const name of ['DATABASE_URL', 'DB_HOST', 'DB_NAME', 'DB_USER', 'DB_PASS']) {
    if (/^(["']).+\1$/s.test(environment.get(name)?.text ?? '')) {
      found.warnings.push(
        `${name} starts and ends with a quote, which is taken as part of the value, as Rails takes it`,
      );
    }
  }
}
