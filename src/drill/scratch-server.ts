// A throw-away PostgreSQL of our own: on a Unix socket in a directory of its own, without safety against crashes, and always
// removed, at the latest by the next one when we were killed. Nothing of it can be reached from outside, and its superuser by
// nobody but us: whoever trusts a socket lets in what runs behind it, too.

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AppError, describeError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { captureChild, startChild } from '../stream/child.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { throwAwaySettings } from '../database/throw-away-settings.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import { removeLeftovers, type ScratchPurpose } from './scratch-leftovers.ts';
import { giveTo, prepareScratchUser, type ScratchUser } from './scratch-user.ts';
import type { Remains } from '../stream/remains.ts';
import type { ServerPrograms } from '../database/server-programs.ts';
import { pause } from '../stream/patience.ts';
import { createScratchName, makeScratchDirectory } from '../state/scratch-directory.ts';

/** A running server. */
export interface ScratchServer extends AsyncDisposable {
  readonly programs: ServerPrograms;
  readonly scratchOwner: string;
  /** A directory that goes with it, for files of ours. */
  readonly directory: string;
  /** How its superuser reaches a database; for nothing that runs, or may be replaced by, code of a dump. */
  superuser(database: string): ConnectionSettings;
}

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

const startTimeoutMs = 60_000;
/** The server itself waits 5 s for its backends before it kills them. */
const stopTimeoutMs = 7_000;
const port = 5432;
/** A file that nobody has. */
const nowhere = '/nonexistent/mastodon-backup';
/** By a password, and through the socket alone: not by who somebody is on this host, for the server is that itself. */
const authentication = 'local all all scram-sha-256\n';
/** Linux takes 107 bytes for the path of a socket (unix(7)); `/.s.PGSQL.5432` and a terminator are part of it. */
const maxSocketDirectoryBytes = 107 - 16;

const serverSettings = {
  ...throwAwaySettings,
  // Space counts more than the time of a checkpoint, which costs little without fsync.
  max_wal_size: '64MB',
  min_wal_size: '32MB',
  checkpoint_completion_target: '0',
  wal_level: 'minimal',
  log_min_messages: 'error',
} as const;

/**
 * Starts a server in the scratch directory after removing what earlier ones left there. Call it holding the lock of its purpose.
 * @throws AppError `drill`.
 */
export async function startScratchServer(
  options: ServerMeans & { readonly programs: ServerPrograms; readonly purpose: ScratchPurpose },
): Promise<ScratchServer> {
  const { programs, purpose, scratchDirectory, scratchOwner, signal, log } = options;
  await removeLeftovers(options);
  const home = path.join(scratchDirectory, createScratchName(purpose, options));
  const remaining = options.remains.add(`the throw-away server's directory '${home}': the next ${purpose} removes it`);
  try {
    await makeScratchDirectory(scratchDirectory);
    await mkdir(home, { mode: 0o700 });
    const user = await prepareScratchUser(home, options.uid);
    // It is nowhere but in our memory.
    const password = randomBytes(24).toString('base64url');
    await initialise(programs, { home, user, password, signal });
    const sockets = await socketDirectory(home, { user, prefix: 'drill-' });
    const child = startChild(path.join(programs.directory, 'postgres'), {
      args: [
        '-D',
        path.join(home, 'data'),
        ...settingArguments({ ...serverSettings, unix_socket_directories: sockets }),
      ],
      env: childEnvironment(user),
      cwd: home,
      user: user.user,
      niceness: options.niceness,
      // Killed, it would leave its backends behind for as long as they do not look up.
      lastSignal: 'SIGQUIT',
      onStderrLine: (line) => log.debug({ program: 'postgres' }, line),
    });
    const superuser = (database: string): ConnectionSettings =>
      throughSocket(sockets, { user: 'postgres', password, database });
    const stop = async (): Promise<void> => {
      // At once: TERM would wait for whatever query is on, and nothing of it is kept.
      await child.stop({ graceMs: stopTimeoutMs, signal: 'SIGQUIT' });
      await rm(home, { recursive: true, force: true });
      if (!sockets.startsWith(home)) await rm(sockets, { recursive: true, force: true });
      remaining[Symbol.dispose]();
    };
    try {
      await answers(superuser('postgres'), { ended: child.done, signal });
    } catch (error) {
      await stop();
      throw error;
    }
    return { programs, scratchOwner, directory: home, superuser, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await rm(home, { recursive: true, force: true }).catch(() => undefined);
    remaining[Symbol.dispose]();
    signal.throwIfAborted();
    throw toAppError(error, {
      code: 'drill',
      message: `A throw-away server could not be started in '${scratchDirectory}'`,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  }
}

async function initialise(
  programs: ServerPrograms,
  {
    home,
    user,
    password,
    signal,
  }: {
    readonly home: string;
    readonly user: ScratchUser;
    readonly password: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  // What a server keeps of a password, from which nobody gets it back; and it goes before the server comes.
  const verifier = path.join(home, 'verifier');
  await writeFile(verifier, scramVerifier(password), { mode: 0o600, flag: 'wx' });
  await giveTo(user, verifier);
  const args = [
    '-D',
    path.join(home, 'data'),
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
    '--auth=scram-sha-256',
    `--pwfile=${verifier}`,
  ];
  const { code, stdout, stderrTail } = await captureChild(path.join(programs.directory, 'initdb'), {
    args,
    env: childEnvironment(user),
    cwd: home,
    user: user.user,
    signal,
  });
  await rm(verifier, { force: true });
  if (code === 0) {
    await writeFile(path.join(home, 'data', 'pg_hba.conf'), authentication);
    return;
  }
  throw new AppError('drill', `initdb ${programs.version} failed: ${describeError(stderrTail || stdout)}`, {
    hint: 'Check that this user may write to BACKUP_SCRATCH_DIR, and that there is space.',
  });
}

// Nothing of ours, and no file of passwords or services for what connects from inside (dblink, foreign servers).
function childEnvironment(user: ScratchUser): Readonly<Record<string, string>> {
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

/** Settings as a server takes them, which count more than those in its files. */
export function settingArguments(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Where a server has its socket: in its own directory, unless its path is too long for one; else in one that begins with `prefix`. */
export async function socketDirectory(
  home: string,
  { user, prefix }: { readonly user: ScratchUser; readonly prefix: string },
): Promise<string> {
  if (Buffer.byteLength(home) <= maxSocketDirectoryBytes) return home;
  const short = await mkdtemp(path.join(tmpdir(), prefix));
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

async function answers(
  connection: ConnectionSettings,
  { ended, signal }: { readonly ended: Promise<{ readonly stderrTail: string }>; readonly signal: AbortSignal },
): Promise<void> {
  let exit: { readonly stderrTail: string } | undefined;
  const noteExit = async (): Promise<void> => {
    exit = await ended;
  };
  noteExit().catch(() => undefined);
  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    signal.throwIfAborted();
    if (exit !== undefined)
      throw new AppError('drill', `The throw-away server did not start: ${describeError(exit.stderrTail)}`, {
        hint: 'Look at the memory of this container and the space in BACKUP_SCRATCH_DIR.',
      });
    try {
      await using _client = await connect(connection, signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() > deadline) throw error;
      await pause(100, signal);
    }
  }
}
