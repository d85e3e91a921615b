// A server of ours that replays a base and its log to a moment and then answers: on a Unix socket in the scratch directory, with
// no setting of the source's in force, and removed with its disposer. Where it stopped is asked, and held against what
// was read beforehand: a server that stops early says nothing of it.

import { existsSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { throwAwaySettings } from '../database/throw-away-settings.ts';
import type { ServerPrograms } from '../database/server-programs.ts';
import { giveTo } from '../drill/scratch-user.ts';
import {
  createServerHome,
  endServer,
  runServer,
  socketDirectory,
  throughSocket,
  type ServerHome,
  type ServerMeans,
} from '../drill/server-home.ts';
import { AppError, describeError, toAppError } from '../errors.ts';
import type { Child } from '../stream/child.ts';
import { pause } from '../stream/patience.ts';
import { parseLsn, type Lsn } from './lsn.ts';
import { formatMicros, type Moment } from './moment.ts';

/** Where the log is staged, in the data directory: `restore_command` copies from there. */
export const stagedFolder = 'pitr-wal';
/** What a person types, too. */
const restoreCommand = `cp "${stagedFolder}/%f" "%p"`;

/** A directory of ours for one replay. */
export interface ReplayHome extends ServerHome {
  readonly data: string;
  /** Gives a file to whoever runs the server. */
  readonly own: (file: string) => Promise<void>;
}

/** A server that has replayed. */
export interface ReplayedServer extends AsyncDisposable {
  connection(database: string): ConnectionSettings;
  /** How far it replayed. */
  readonly reached: Lsn;
}

/** Who replays: what is left of a killed one is removed by the next of its kind. */
export type ReplayUse = 'restore' | 'drill';

const localeFolder = 'locale';

/** Makes the directory. Call it holding the lock of its use. */
export async function createReplayHome(
  options: Omit<ServerMeans, 'niceness' | 'signal'> & { readonly use: ReplayUse },
): Promise<ReplayHome> {
  await using undo = new AsyncDisposableStack();
  try {
    const { directory, user } = undo.use(await createServerHome({ ...options, purpose: `replay-${options.use}` }));
    const own = async (file: string): Promise<void> => giveTo(user, file);
    const data = path.join(directory, 'data');
    for (const folder of [data, path.join(data, stagedFolder)]) {
      await mkdir(folder, { mode: 0o700 });
      await own(folder);
    }
    const owned = undo.move();
    return { directory, user, data, own, [Symbol.asyncDispose]: async () => owned.disposeAsync() };
  } catch (error) {
    throw toAppError(error, {
      code: 'restore',
      message: `Nothing can be replayed in '${options.scratchDirectory}'`,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  }
}

/** Replays and waits until the server answers. @throws AppError `restore`. */
export async function startReplay(
  home: ReplayHome,
  options: Pick<ServerMeans, 'niceness' | 'log' | 'signal'> & {
    readonly programs: ServerPrograms;
    readonly superuser: string;
    readonly moment: Moment;
    readonly timeline: number;
    /** Where it must stop. */
    readonly reaches: Lsn;
  },
): Promise<ReplayedServer> {
  const { signal } = options;
  await using undo = new AsyncDisposableStack();
  try {
    const sockets = await socketDirectory(home, { prefix: 'replay-', undo });
    await configure(home);
    const connection = (database: string): ConnectionSettings =>
      throughSocket(sockets, { user: options.superuser, password: '', database });
    const start = (locales: readonly string[]): Child =>
      runServer(home, {
        ...options,
        sockets,
        settings: { ...serverSettings, ...recoverySettings(options), ...ownFiles(home) },
        env: locales.length === 0 ? {} : { LOCPATH: path.join(home.directory, localeFolder) },
      });
    const locales: string[] = [];
    let child = start(locales);
    undo.defer(async () => endServer(child));
    for (;;) {
      const answer = await untilItAnswers(connection('postgres'), { child, signal });
      if (answer === null) break;
      // A collation of another C library. Bytes are what its order was made of, and nothing here depends on it but the name.
      if (locales.includes(answer)) throw new Error(`no locale takes the place of ${answer}`);
      locales.push(answer);
      await aliasLocales(home, locales);
      await endServer(child, 'SIGINT');
      child = start(locales);
    }
    const reached = await readReached(connection('postgres'), signal);
    if (reached.lsn !== null && reached.lsn !== options.reaches)
      throw new AppError('restore', `The replay stopped at ${reached.text}, which is not where the moment is`, {
        reason: 'damaged-object',
        hint: 'Restore a moment before it, or a snapshot: mastodon-backup list.',
      });
    const owned = undo.move();
    return {
      connection,
      reached: reached.lsn ?? options.reaches,
      [Symbol.asyncDispose]: async () => owned.disposeAsync(),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw toAppError(error, {
      code: 'restore',
      message: 'The base could not be replayed',
      hint: 'Look at the space and the memory of this container; BACKUP_LOG_LEVEL=debug shows what the server says.',
    });
  }
}

/** The settings by which a server replays staged log to a moment. */
export function recoverySettings({
  moment,
  timeline,
}: {
  readonly moment: Moment;
  readonly timeline: number;
}): Readonly<Record<string, string>> {
  return {
    restore_command: restoreCommand,
    recovery_target_timeline: String(timeline),
    recovery_target_action: 'promote',
    ...(moment.kind === 'at' ? { recovery_target_time: formatMicros(moment.micros) } : {}),
  };
}

const serverSettings = {
  ...throwAwaySettings,
  max_prepared_transactions: '64',
  // Off, for as a standby it would ask for the source's own numbers of connections and locks.
  hot_standby: 'off',
  wal_level: 'replica',
  max_wal_size: '512MB',
  archive_mode: 'off',
  restart_after_crash: 'off',
  shared_preload_libraries: '',
  session_preload_libraries: '',
  ssl: 'off',
  log_destination: 'stderr',
  log_min_messages: 'log',
  log_timezone: 'UTC',
} as const;

function ownFiles({ directory }: ReplayHome): Readonly<Record<string, string>> {
  return {
    config_file: path.join(directory, 'postgresql.conf'),
    hba_file: path.join(directory, 'pg_hba.conf'),
    ident_file: path.join(directory, 'pg_ident.conf'),
  };
}

async function configure(home: ReplayHome): Promise<void> {
  const { directory, data } = home;
  const files = {
    [path.join(directory, 'postgresql.conf')]: '',
    [path.join(directory, 'pg_hba.conf')]: 'local all all trust\n',
    [path.join(directory, 'pg_ident.conf')]: '',
    // Of the source's; it would be read whatever configuration is named.
    [path.join(data, 'postgresql.auto.conf')]: '',
    [path.join(data, 'recovery.signal')]: '',
  };
  await rm(path.join(data, 'standby.signal'), { force: true });
  for (const [file, content] of Object.entries(files)) {
    await writeFile(file, content, { mode: 0o600 });
    await home.own(file);
  }
}

// Null: it answers; a text: the locale that it does not have.
async function untilItAnswers(
  connection: ConnectionSettings,
  { child, signal }: { readonly child: Child; readonly signal: AbortSignal },
): Promise<string | null> {
  let tail: string | undefined;
  const noteExit = async (): Promise<void> => {
    tail = (await child.done).stderrTail;
  };
  noteExit().catch((error: unknown) => (tail = describeError(error)));
  for (;;) {
    signal.throwIfAborted();
    if (tail !== undefined) throw new Error(fatalOf(tail));
    try {
      await using _client = await connect(connection, signal);
      return null;
    } catch (error) {
      signal.throwIfAborted();
      const { detail } = (error as AppError).cause as { readonly detail?: string };
      const locale = /LC_(?:COLLATE|CTYPE) "([^"]+)"/.exec(`${describeError(error)} ${detail ?? ''}`)?.[1];
      if (locale !== undefined) return locale;
      await pause(150, signal);
    }
  }
}

function fatalOf(tail: string): string {
  const lines = tail.split('\n');
  return lines.find((line) => /FATAL|PANIC/.test(line)) ?? lines.at(-1) ?? 'the server ended';
}

const bytewise = ['/usr/lib/locale/C.utf8', '/usr/lib/locale/C.UTF-8'];

async function aliasLocales({ directory, own }: ReplayHome, locales: readonly string[]): Promise<void> {
  const source = bytewise.find((folder) => existsSync(folder));
  if (source === undefined) throw new Error('this system has no locale C.UTF-8');
  const folder = path.join(directory, localeFolder);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o755 });
  for (const locale of locales) await symlink(source, path.join(folder, locale));
  await own(folder);
}

async function readReached(
  connection: ConnectionSettings,
  signal: AbortSignal,
): Promise<{ readonly lsn: Lsn | null; readonly text: string }> {
  await using client = await connect(connection, signal);
  const { rows } = await client.query<{ lsn: string | null }>('select pg_last_wal_replay_lsn()::text as lsn');
  const text = rows[0]?.lsn ?? null;
  return { lsn: text === null ? null : parseLsn(text), text: text ?? '' };
}
