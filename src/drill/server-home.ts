// What every throw-away server has, whatever it is for: a directory of its own that is named among what would be left until it is
// gone, a socket that nothing outside reaches, and a process that stands back for others, knows nothing of this host and ends as a whole.

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ConnectionSettings } from '../database/connection.ts';
import type { ServerPrograms } from '../database/server-programs.ts';
import type { Log } from '../log.ts';
import { createScratchName, makeScratchDirectory } from '../state/scratch-directory.ts';
import { startChild, type Child } from '../stream/child.ts';
import type { Remains } from '../stream/remains.ts';
import { inWords, removeLeftovers, type ScratchPurpose } from './scratch-leftovers.ts';
import { giveTo, prepareScratchUser, type ScratchUser } from './scratch-user.ts';

/** What a server is started with, whatever it is for. */
export interface ServerMeans {
  readonly scratchDirectory: string;
  /** Whose it is, as `ownerInScratch` says. */
  readonly scratchOwner: string;
  readonly uid: number;
  /** How far it stands back for others, 0 to 19. */
  readonly niceness: number;
  readonly remains: Remains;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A directory of ours for one server; its disposer removes it, and tells the log when it cannot. */
export interface ServerHome extends AsyncDisposable {
  readonly directory: string;
  /** Whom the server runs as. */
  readonly user: ScratchUser;
}

/** The server itself waits 5 s for its backends before it kills them. */
const stopTimeoutMs = 7_000;
const port = 5432;
/** A file that nobody has. */
const nowhere = '/nonexistent/mastodon-backup';
/** Linux takes 107 bytes for the path of a socket (unix(7)); `/.s.PGSQL.5432` and a terminator are part of it. */
const maxSocketDirectoryBytes = 107 - 16;

/** Makes one after removing what earlier ones left there. Call it holding the lock of its purpose. */
export async function createServerHome(
  options: Omit<ServerMeans, 'niceness' | 'signal'> & { readonly purpose: ScratchPurpose },
): Promise<ServerHome> {
  const { scratchDirectory, purpose, log } = options;
  await removeLeftovers(options);
  const directory = path.join(scratchDirectory, createScratchName(purpose, options));
  const remaining = options.remains.add(
    `the throw-away server's directory '${directory}': the next ${inWords(purpose)} removes it`,
  );
  const remove = async (): Promise<void> => {
    try {
      await rm(directory, { recursive: true, force: true });
      remaining[Symbol.dispose]();
    } catch (error) {
      log.warn({ err: error, directory }, `It stays behind: the next ${inWords(purpose)} removes it`);
    }
  };
  try {
    await makeScratchDirectory(scratchDirectory);
    await mkdir(directory, { mode: 0o700 });
    return { directory, user: await prepareScratchUser(directory, options.uid), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * Where a server has its socket: in its own directory, unless its path is too long for one; else in one that begins with `prefix` and
 * goes with `undo`.
 */
export async function socketDirectory(
  { directory, user }: Pick<ServerHome, 'directory' | 'user'>,
  { prefix, undo }: { readonly prefix: string; readonly undo: AsyncDisposableStack },
): Promise<string> {
  if (Buffer.byteLength(directory) <= maxSocketDirectoryBytes) return directory;
  const short = await mkdtemp(path.join(tmpdir(), prefix));
  undo.defer(async () => rm(short, { recursive: true, force: true }));
  await giveTo(user, short);
  return short;
}

/** How a server is reached through its socket. */
export function throughSocket(
  host: string,
  login: Pick<ConnectionSettings, 'user' | 'password' | 'database'>,
): ConnectionSettings {
  return { host, port, ...login, sslMode: 'disable', sslRootCertificate: null };
}

/** Runs the server on `data` in its home, with settings that count more than those in its files. */
export function runServer(
  { directory, user }: Pick<ServerHome, 'directory' | 'user'>,
  options: Pick<ServerMeans, 'niceness' | 'log'> & {
    readonly programs: ServerPrograms;
    readonly sockets: string;
    readonly settings: Readonly<Record<string, string>>;
    readonly env?: Readonly<Record<string, string>>;
  },
): Child {
  const settings = { ...options.settings, unix_socket_directories: options.sockets };
  return startChild(path.join(options.programs.directory, 'postgres'), {
    args: [
      '-D',
      path.join(directory, 'data'),
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    env: { ...serverEnvironment(user), ...options.env },
    cwd: directory,
    user: user.user,
    niceness: options.niceness,
    // Killed, it would leave its backends behind for as long as they do not look up.
    lastSignal: 'SIGQUIT',
    onStderrLine: (line) => options.log.debug({ program: 'postgres' }, line),
  });
}

/** Ends it, by default at once: TERM would wait for whatever query is on, and nothing of it is kept. */
export async function endServer(server: Child, signal: NodeJS.Signals = 'SIGQUIT'): Promise<void> {
  await server.stop({ graceMs: stopTimeoutMs, signal });
}

/** Nothing of ours, and no file of passwords or services for what connects from inside (dblink, foreign servers). */
export function serverEnvironment(user: ScratchUser): Readonly<Record<string, string>> {
  return {
    PATH: '/usr/bin:/bin',
    LC_ALL: 'C',
    TZ: 'UTC',
    HOME: '/nonexistent',
    PGPASSFILE: nowhere,
    PGSERVICEFILE: nowhere,
    PGSYSCONFDIR: '/nonexistent',
    ...user.env,
  };
}
