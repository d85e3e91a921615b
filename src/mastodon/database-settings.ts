// Where Mastodon's database is, read as Mastodon's config/database.yml and streaming server read it: DATABASE_URL's parts
// win over DB_*, what the URL lacks comes from DB_*. Read otherwise, the backup would be of another database.

import type { Environment } from '../config/environment.ts';
import { hidden, toShownValue, ValueError, type SettingProblem } from '../config/problem.ts';
import { findOddities } from './database-oddities.ts';
import { parseDatabaseUrl, type DatabaseUrlParts } from './database-url.ts';
import { readAsYamlScalar } from './rails-value.ts';

/** libpq's sslmode values. https://www.postgresql.org/docs/current/libpq-ssl.html */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** A database and how to reach it. */
export interface DatabaseTarget {
  /** Host name, address without brackets, or the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Empty is legal: trust authentication. */
  readonly password: string;
  readonly database: string;
  readonly sslMode: SslMode;
  /** File of the certificate authority, or `system`; null: libpq's default. */
  readonly sslRootCertificate: string | null;
  /** File of the client certificate; null: libpq's default. */
  readonly sslCertificate: string | null;
  /** File of its key; null: libpq's default. */
  readonly sslKey: string | null;
  /** The variables that had a say. Empty: defaults alone. */
  readonly sources: readonly string[];
  /** Port 6432 or PREPARED_STATEMENTS=false: Mastodon seems to go through PgBouncer, which cannot carry a dump. */
  readonly poolerSuspected: boolean;
}

/** The outcome of reading: `target` is null exactly when there are problems. */
export interface DatabaseReading {
  readonly target: DatabaseTarget | null;
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
}

const sslModes: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * Reads where the database is. BACKUP_DATABASE_URL replaces all of Mastodon's variables: it must name host and database
 * itself, since a guessed one could be the wrong one without anybody noticing, and has no password but its own, which
 * belongs to Mastodon's own host; a missing user is `mastodon`, a missing port 5432. Files that cannot be read are
 * problems of the environment, not of this reading. Never throws.
 */
export function readDatabaseTarget(environment: Environment): DatabaseReading {
  const problems: SettingProblem[] = [];
  const own =
    environment.status('BACKUP_DATABASE_URL') === 'set' || environment.status('BACKUP_DATABASE_URL') === 'broken';
  const urlName = own ? 'BACKUP_DATABASE_URL' : 'DATABASE_URL';
  const url = readUrl(environment, { urlName, problems });
  const sources = new Set(url === undefined ? [] : [urlName]);

  const choose = (
    part: string | undefined,
    { name, preset }: { readonly name: string; readonly preset: string },
  ): string => {
    if (part !== undefined) return part;
    const text = own ? undefined : environment.get(name)?.text;
    // What Rails does not read through its YAML, it or libpq takes as it stands.
    const value =
      text === undefined ? '' : name.startsWith('DB_') && name !== 'DB_PASS' ? readAsYamlScalar(text) : text;
    if (value === '') return preset;
    sources.add(name);
    return value;
  };
  const report = (
    part: string | undefined,
    told: { readonly name: string; readonly value?: string; readonly problem: string; readonly remedy: string },
  ): void => {
    const { name, value, problem, remedy } = told;
    const shownValue = value === undefined ? null : toShownValue(value);
    // Of a URL the part says enough, and the rest of it is secret.
    problems.push({
      ...(part === undefined ? { variable: name, shownValue } : { variable: urlName, shownValue: null }),
      problem,
      remedy,
    });
  };

  if (url !== undefined) problems.push(...findMissing(url, { urlName, own }));
  const host = choose(url?.host, { name: 'DB_HOST', preset: 'localhost' }).replaceAll(/^\[|\]$/g, '');
  const hostProblem = findHostProblem(host);
  if (hostProblem !== undefined)
    report(url?.host, { name: 'DB_HOST', value: /^[\w.:,-]+$/.test(host) ? host : hidden, ...hostProblem });
  const portText = choose(url?.port, { name: 'DB_PORT', preset: '5432' });
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) {
    const problem = 'the port is not a number from 1 to 65535';
    report(url?.port, { name: 'DB_PORT', value: portText, problem, remedy: 'Write 5432' });
  }
  const file = (parameter: string, name: string): string | null => {
    const part = url?.parameters.get(parameter);
    const value = choose(part, { name, preset: '' });
    // Such as what PGSSLKEY_FILE brings: a path of that kind would be shown.
    if (/-----BEGIN|[\0\n]/.test(value)) {
      report(part, { name, problem: `${parameter} is the content of a file`, remedy: 'Write the path of that file' });
      return null;
    }
    return value === '' ? null : value;
  };
  const sslRootCertificate = file('sslrootcert', 'PGSSLROOTCERT');
  const isSystem = sslRootCertificate === 'system';
  // libpq's own defaults; Mastodon's database.yml always says something.
  const usualMode = own && isSystem ? 'verify-full' : 'prefer';
  const sslText = choose(url?.parameters.get('sslmode'), { name: 'DB_SSLMODE', preset: usualMode });
  const sslMode = readSslMode(sslText);
  if (sslMode === undefined) {
    const problem = 'not an sslmode that PostgreSQL has';
    report(url?.parameters.get('sslmode'), {
      name: 'DB_SSLMODE',
      value: sslText,
      problem,
      remedy: `Write one of: ${sslModes.join(', ')}`,
    });
  }
  if (isSystem && sslMode !== undefined && sslMode !== 'verify-full') {
    const problem = `with the authorities of the system (sslrootcert=system) PostgreSQL's programs refuse sslmode ${sslMode}`;
    report(url?.parameters.get('sslmode'), {
      name: 'DB_SSLMODE',
      problem,
      remedy: 'Write verify-full',
    });
  }
  const found = {
    host,
    port,
    user: choose(url?.user, { name: 'DB_USER', preset: 'mastodon' }),
    password: choose(url?.password, { name: 'DB_PASS', preset: '' }),
    database: choose(url?.database, { name: 'DB_NAME', preset: 'mastodon_production' }),
    sslRootCertificate,
    sslCertificate: file('sslcert', 'PGSSLCERT'),
    sslKey: file('sslkey', 'PGSSLKEY'),
    sources: [...sources],
  };
  const { warnings, poolerSuspected } = findOddities(environment, { own, urlName, url, port });
  if (problems.length > 0 || sslMode === undefined) return { target: null, problems, warnings };
  return { target: { ...found, sslMode, poolerSuspected }, problems, warnings };
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
    problems.push({ variable: urlName, shownValue: hidden, problem: error.message, remedy: error.remedy });
    return undefined;
  }
}

function findMissing(
  url: DatabaseUrlParts,
  { urlName, own }: { readonly urlName: string; readonly own: boolean },
): readonly SettingProblem[] {
  if (!own) {
    // libpq's names; Rails takes `username` and `database`, and DB_USER and DB_NAME in place of these.
    const ignored = ['user', 'dbname'].filter((name) => url.parameters.has(name));
    if (ignored.length === 0) return [];
    const problem = `Rails ignores ${ignored.map((name) => `?${name}=`).join(' and ')}`;
    return [
      { variable: urlName, shownValue: hidden, problem, remedy: 'Write postgresql://user:password@host:5432/database' },
    ];
  }
  const missing = (['host', 'database'] as const).filter((part) => url[part] === undefined);
  if (missing.length === 0) return [];
  return [
    {
      variable: urlName,
      shownValue: hidden,
      problem: `names no ${missing.join(' and no ')}, and nothing of DB_* is added to it`,
      remedy: 'Write postgresql://user:password@host:5432/database',
    },
  ];
}

function findHostProblem(host: string): { readonly problem: string; readonly remedy: string } | undefined {
  if (host.startsWith('/') || host.startsWith('@')) return undefined;
  if (host.includes('://'))
    return { problem: 'a URL, not a host', remedy: 'Write the host alone, or use DATABASE_URL' };
  if (/[\s,]/.test(host)) return { problem: 'names several hosts, or holds white space', remedy: 'Write one host' };
  if (/^[^:]*:\d*$/.test(host)) return { problem: 'holds a port', remedy: 'Write the port into DB_PORT' };
  return undefined;
}

// `no-verify` is the streaming server's word for: encrypted, certificate not looked at.
function readSslMode(text: string): SslMode | undefined {
  return text === 'no-verify' ? 'require' : sslModes.find((mode) => mode === text);
}
