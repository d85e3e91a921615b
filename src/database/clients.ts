// Finds the PostgreSQL client programs and picks those that fit the server. An older pg_dump refuses a newer server, and a
// newer one writes archives that the server's own pg_restore cannot read, so the same major version comes first.

import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { AppError, describeError } from '../errors.ts';
import { askVersion, type ProgramVersion } from './program-version.ts';

/** One installed set of client programs. */
export interface ClientPrograms extends ProgramVersion {
  /** Directory that holds `pg_dump` and `pg_restore`. */
  readonly directory: string;
}

/** Where distributions put versioned clients: Debian and PostgreSQL's apt, its yum, Alpine, Homebrew. */
const versionedRoots = [
  { root: '/usr/lib/postgresql', toBin: (name: string) => `${name}/bin` },
  { root: '/usr', toBin: (name: string) => (name.startsWith('pgsql-') ? `${name}/bin` : undefined) },
  { root: '/usr/libexec', toBin: (name: string) => (name.startsWith('postgresql') ? name : undefined) },
  {
    root: '/opt/homebrew/opt',
    toBin: (name: string) => (/^(postgresql|libpq)/.test(name) ? `${name}/bin` : undefined),
  },
] as const;

/**
 * All client programs that can be found: those in `directory` alone when it is given, else the distributions' places and
 * the `path` list. Newest last, one per major version.
 * @throws AppError `settings` when the given directory has no working `pg_dump`.
 */
export async function findClients(options: {
  readonly directory: string | null;
  /** The PATH variable. */
  readonly path: string;
  readonly signal: AbortSignal;
}): Promise<readonly ClientPrograms[]> {
  if (options.directory !== null) return [await inspectGiven(options.directory, options.signal)];
  const candidates = [...(await versionedDirectories()), ...options.path.split(':').filter((entry) => entry !== '')];
  const found = new Map<number, ClientPrograms>();
  const asked = new Set<string>();
  for (const directory of candidates) {
    const file = await realpath(path.join(directory, 'pg_dump')).catch(() => undefined);
    // /bin is often another name of /usr/bin, where Debian has a program that chooses among the versioned ones; Perl starts for it.
    if (file === undefined || asked.has(file) || (path.basename(file) === 'pg_wrapper' && found.size > 0)) continue;
    asked.add(file);
    const client = await inspect(directory, options.signal).catch(() => undefined);
    if (client !== undefined && !found.has(client.major)) found.set(client.major, client);
  }
  options.signal.throwIfAborted();
  return [...found.values()].toSorted((a, b) => a.major - b.major);
}

/**
 * The clients for a server of `serverMajor`: the same major version, else the next newer.
 * @throws AppError `dump` when there are only older ones, or none.
 */
export function chooseClient(
  clients: readonly ClientPrograms[],
  server: { readonly major: number; readonly version: string },
): ClientPrograms {
  const fitting = clients.filter((client) => client.major >= server.major).toSorted((a, b) => a.major - b.major)[0];
  if (fitting !== undefined) return fitting;
  const newest = clients.at(-1);
  throw new AppError(
    'dump',
    newest === undefined
      ? `No pg_dump was found for the PostgreSQL ${server.version} server`
      : `The server is PostgreSQL ${server.version}, but the newest pg_dump here is ${newest.version}`,
    {
      hint: `Install the PostgreSQL ${server.major} client (Debian: apt-get install postgresql-client-${server.major}) or set BACKUP_PG_BIN to its directory.`,
    },
  );
}

/** The directories in which distributions put the programs of one major version. */
export async function versionedDirectories(): Promise<readonly string[]> {
  const directories: string[] = [];
  for (const { root, toBin } of versionedRoots) {
    const names = await readdir(root).catch(() => []);
    for (const name of names) {
      const bin = toBin(name);
      if (bin !== undefined) directories.push(path.join(root, bin));
    }
  }
  return directories;
}

async function inspectGiven(directory: string, signal: AbortSignal): Promise<ClientPrograms> {
  try {
    return await inspect(directory, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new AppError('settings', `BACKUP_PG_BIN '${directory}' has no working pg_dump: ${describeError(error)}`, {
      cause: error,
      hint: 'Set BACKUP_PG_BIN to a directory that holds pg_dump and pg_restore, or leave it unset.',
    });
  }
}

async function inspect(directory: string, signal: AbortSignal): Promise<ClientPrograms> {
  return { directory, ...(await askVersion(path.join(directory, 'pg_dump'), { program: 'pg_dump', signal })) };
}
