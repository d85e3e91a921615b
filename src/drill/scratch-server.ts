// A throw-away PostgreSQL of our own: on a Unix socket in a directory of its own, without safety against crashes, and always
// removed, at the latest by the next one when we were killed. Nothing of it can be reached from outside, and its superuser by
// nobody but us: whoever trusts a socket lets in what runs behind it, too.

import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError, describeError, toAppError } from '../errors.ts';
import { captureChild } from '../stream/child.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { throwAwaySettings } from '../database/throw-away-settings.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import type { ScratchPurpose } from './scratch-leftovers.ts';
import { giveTo } from './scratch-user.ts';
import {
  createServerHome,
  endServer,
  runServer,
  serverEnvironment,
  socketDirectory,
  throughSocket,
  type ServerHome,
  type ServerMeans,
} from './server-home.ts';
import type { ServerPrograms } from '../database/server-programs.ts';
import { pause } from '../stream/patience.ts';

/** A running server. */
export interface ScratchServer extends AsyncDisposable {
  readonly programs: ServerPrograms;
  readonly scratchOwner: string;
  /** A directory that goes with it, for files of ours. */
  readonly directory: string;
  /** How its superuser reaches a database; for nothing that runs, or may be replaced by, code of a dump. */
  superuser(database: string): ConnectionSettings;
}

const startTimeoutMs = 60_000;
/** By a password, and through the socket alone: not by who somebody is on this host, for the server is that itself. */
const authentication = 'local all all scram-sha-256\n';

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
  const { programs, scratchOwner, signal } = options;
  await using undo = new AsyncDisposableStack();
  try {
    const home = undo.use(await createServerHome(options));
    // It is nowhere but in our memory.
    const password = randomBytes(24).toString('base64url');
    await initialise(programs, { home, password, signal });
    const sockets = await socketDirectory(home, { prefix: 'drill-', undo });
    const server = runServer(home, { ...options, sockets, settings: serverSettings });
    undo.defer(async () => endServer(server));
    const superuser = (database: string): ConnectionSettings =>
      throughSocket(sockets, { user: 'postgres', password, database });
    await answers(superuser('postgres'), { ended: server.done, signal });
    const owned = undo.move();
    return {
      programs,
      scratchOwner,
      directory: home.directory,
      superuser,
      [Symbol.asyncDispose]: async () => owned.disposeAsync(),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw toAppError(error, {
      code: 'drill',
      message: `A throw-away server could not be started in '${options.scratchDirectory}'`,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  }
}

async function initialise(
  programs: ServerPrograms,
  {
    home: { directory, user },
    password,
    signal,
  }: {
    readonly home: ServerHome;
    readonly password: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  // What a server keeps of a password, from which nobody gets it back; and it goes before the server comes.
  const verifier = path.join(directory, 'verifier');
  await writeFile(verifier, scramVerifier(password), { mode: 0o600, flag: 'wx' });
  await giveTo(user, verifier);
  const args = [
    '-D',
    path.join(directory, 'data'),
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
    env: serverEnvironment(user),
    cwd: directory,
    user: user.user,
    signal,
  });
  await rm(verifier, { force: true });
  if (code === 0) {
    await writeFile(path.join(directory, 'data', 'pg_hba.conf'), authentication);
    return;
  }
  throw new AppError('drill', `initdb ${programs.version} failed: ${describeError(stderrTail || stdout)}`, {
    hint: 'Check that this user may write to BACKUP_SCRATCH_DIR, and that there is space.',
  });
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
