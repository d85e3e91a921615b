// Connections to the server: one of our own through `pg`, for questions and for ending a dump's backend, and the PG*
// variables for libpq's programs. Children get nothing else of PG*: a stray PGSERVICE would dump another database.

import { Socket } from 'node:net';
import { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { makeOwnSession } from './own-session.ts';
import { tellLostSession } from './lost-session.ts';
import { askOneByOne } from './one-by-one.ts';
import { passwordForms } from './password-forms.ts';
import { findTlsFiles, type TlsSettings } from './tls-files.ts';
import { isTlsRefusal, tlsChoices, tlsHints, type TlsChoice } from './tls.ts';

/** Where the server is and who asks. */
export interface ConnectionSettings extends TlsSettings {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** What a connection is for. */
export type Protocol = 'queries' | 'replication';

/** What this program calls itself in pg_stat_activity. */
export const applicationName = 'mastodon-backup';

const connectTimeoutMs = 15_000;
/** Far above what our questions take; a server that hangs would never answer. */
const usualQueryTimeoutMs = 600_000;
const keepAliveMs = 30_000;
/** How long a goodbye may take, in milliseconds: a host that is gone never acknowledges it. */
const goodbyeMs = 2_000;
/** A file that nobody has. */
const nowhere = '/nonexistent/mastodon-backup';
/** SQLSTATE of a password that is not accepted; PostgreSQL's appendix A. */
const invalidPassword = '28P01';

/** The environment for pg_dump and pg_restore: `PG*` and nothing else but a locale and the search path. */
export function libpqEnvironment(
  settings: ConnectionSettings,
  { serverMajor }: { readonly serverMajor: number },
): Readonly<Record<string, string>> {
  const files = findTlsFiles(settings);
  return {
    PGHOST: settings.host,
    PGPORT: String(settings.port),
    PGUSER: settings.user,
    PGDATABASE: settings.database,
    PGSSLMODE: settings.sslMode,
    PGAPPNAME: applicationName,
    PGCONNECT_TIMEOUT: String(connectTimeoutMs / 1_000),
    // Neither a password prompt nor somebody's ~/.pgpass: what is set is what counts.
    PGPASSFILE: nowhere,
    ...(settings.password === '' ? {} : { PGPASSWORD: settings.password }),
    PGSSLROOTCERT: files.root ?? nowhere,
    PGSSLCERT: files.certificate ?? nowhere,
    PGSSLKEY: files.key ?? nowhere,
    PGOPTIONS: sessionOptions(serverMajor),
    LC_ALL: 'C.UTF-8',
    PATH: '/usr/local/bin:/usr/bin:/bin',
  };
}

// The server notices within a minute that we are gone, since version 14 also while its backend waits for a lock.
function sessionOptions(serverMajor: number): string {
  const keepalives = '-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3';
  return serverMajor >= 14 ? `${keepalives} -c client_connection_check_interval=10s` : keepalives;
}

/**
 * Opens a connection that is closed by its disposer, and cut off when `signal` aborts: its queries then reject.
 * @throws AppError `database`, with the remedy for the usual reasons.
 */
export async function connect(
  settings: ConnectionSettings,
  signal: AbortSignal,
  {
    queryTimeoutMs = usualQueryTimeoutMs,
    protocol = 'queries',
  }: {
    /** How long one query may take; 0: as long as it needs. */
    readonly queryTimeoutMs?: number;
    /** `replication`: its commands too, and simple queries alone. */
    readonly protocol?: Protocol;
  } = {},
): Promise<Client & AsyncDisposable> {
  signal.throwIfAborted();
  let lastError: unknown;
  const choices = tlsChoices(settings);
  const forms = passwordForms(settings.password);
  const attempts = choices.flatMap((ssl) => forms.map((password) => ({ ssl, password })));
  for (const { ssl, password } of attempts) {
    const socket = new Socket();
    const client = createClient({ ...settings, password }, { ssl, socket, queryTimeoutMs, protocol });
    const cutOff = (): void => void socket.destroy();
    signal.addEventListener('abort', cutOff, { once: true });
    const leave = async (): Promise<void> => {
      await unlessAborted(client.end(), { signal: AbortSignal.timeout(goodbyeMs) }).catch(() => undefined);
      signal.removeEventListener('abort', cutOff);
      cutOff();
    };
    try {
      await client.connect();
      // A pooler refuses replication by itself, and no limit for queries holds there.
      if (protocol === 'queries') await makeOwnSession(client, { target: describeTarget(settings) });
      askOneByOne(client);
      tellLostSession(client, { target: describeTarget(settings), signal, cutOff });
      return Object.assign(client, { [Symbol.asyncDispose]: leave });
    } catch (error) {
      await leave();
      signal.throwIfAborted();
      if (error instanceof AppError) throw error;
      // That there is no TLS is why the next was tried, and not why that failed.
      if (lastError === undefined || /does not support SSL/i.test(describeError(lastError))) lastError = error;
      if (isTlsRefusal(error)) continue;
      lastError = error;
      // Of the two forms of a password the server has one.
      if (!isPasswordRefusal(error) || password === forms.at(-1)) break;
    }
  }
  throw connectionError(lastError, settings);
}

/** The address as messages show it: user, host and database, no password. */
export function describeTarget(settings: ConnectionSettings): string {
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  return `${settings.user}@${host}:${settings.port}/${settings.database}`;
}

// Everything the driver would take from PG* variables is said here: a PGOPTIONS or PGSSLNEGOTIATION that belongs to
// somebody's shell would otherwise change what we ask, and how.
function createClient(
  settings: ConnectionSettings,
  {
    ssl,
    socket,
    queryTimeoutMs,
    protocol,
  }: {
    readonly ssl: TlsChoice;
    readonly socket: Socket;
    readonly queryTimeoutMs: number;
    readonly protocol: Protocol;
  },
): Client {
  const client = new Client({
    host: settings.host,
    port: settings.port,
    user: settings.user,
    database: settings.database,
    // A function, because the driver takes an empty text for unset and looks for PGPASSWORD of its own.
    password: () => settings.password,
    application_name: applicationName,
    client_encoding: 'UTF8',
    // A role may have a statement_timeout of its own; the driver does not send a 0. The path is nobody's but ours: in a schema of
    // the database's owner a function or operator may stand that fits better than the server's own, and it would run in our
    // name (PostgreSQL's manual, 10.3; CVE-2018-1058). What is said at the start wins over what is set for role or database.
    options: '-c statement_timeout=0 -c search_path=pg_catalog',
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    ssl,
    sslnegotiation: 'postgres',
    stream: () => socket,
  });
  Object.assign((client as unknown as { connectionParameters: object }).connectionParameters, {
    // `database`, for `true` needs a line of its own in pg_hba.conf.
    replication: protocol === 'replication' ? 'database' : undefined,
  });
  // A connection that breaks while idle must not bring the process down; the next query tells.
  client.on('error', () => undefined);
  return client;
}

function isPasswordRefusal(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === invalidPassword;
}

const hints: readonly (readonly [RegExp, string])[] = [
  ...tlsHints,
  [
    /(?:peer|ident) authentication failed/i,
    'Connect by TCP with a password (DB_HOST=localhost, DB_PASS): through the socket the server takes only the system user of that name; or map this one in pg_ident.conf.',
  ],
  [
    /password authentication failed|SASL|no password supplied/i,
    'Check DB_USER and DB_PASS (or DATABASE_URL) against the ones Mastodon uses.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN/,
    'Check DB_HOST, and that this container is on the same compose network as the database (internal_network).',
  ],
  [/ECONNREFUSED|ENOENT/, 'Check DB_HOST and DB_PORT, and that the database container is running.'],
  [/error establishing an SSL connection/i, 'Check DB_HOST and DB_PORT: what answers there is no PostgreSQL.'],
  [/database ".*" does not exist/i, 'Check DB_NAME (or the name at the end of DATABASE_URL).'],
  [/role ".*" does not exist/i, 'Check DB_USER.'],
  [
    /timeout|ETIMEDOUT|terminated/i,
    'Check that the database accepts connections and is on a network of this container.',
  ],
  [/unsupported startup parameter/i, 'This is PgBouncer: set BACKUP_DATABASE_URL to a direct connection.'],
  [/no pg_hba\.conf entry/i, 'Allow this host in pg_hba.conf, or check DB_SSLMODE.'],
  [
    /too many clients|remaining connection slots/i,
    'Raise max_connections of the server, or lower the pools of Mastodon.',
  ],
  [/starting up|shutting down|recovery mode/i, 'Wait until the server has started.'],
];

/** The error for a connection that failed, with the remedy for the usual reasons; also for pg_dump's own text. */
function connectionError(cause: unknown, settings: ConnectionSettings): AppError {
  const text = describeError(cause);
  return new AppError('database', `The database ${describeTarget(settings)} cannot be reached: ${text}`, {
    cause,
    hint:
      hintFor(cause, settings) ??
      'Look whether psql gets in with the same settings, which are shown by: mastodon-backup config.',
  });
}

// A certificate that is somebody else's is refused in the words of a wrong password.
function hintFor(cause: unknown, settings: ConnectionSettings): string | undefined {
  if (isPasswordRefusal(cause) && findTlsFiles(settings).certificate !== null) {
    return 'Check DB_USER and DB_PASS (or DATABASE_URL), and that the client certificate names that role as its common name: clientcert=verify-full compares them.';
  }
  return connectionHint(describeError(cause));
}

/** The remedy for a message of the server or libpq, where there is a usual one. */
export function connectionHint(text: string): string | undefined {
  return hints.find(([pattern]) => pattern.test(text))?.[1];
}
