// A streaming standby of a throw-away server: a copy of its files, made while it runs, that follows it.

import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, cpSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { connectTest } from './mastodon-data.ts';
import { makeDirectory } from './temporary-directory.ts';
import { freePort, reachableBinaries, serverUser, type PostgresServer } from './postgres-server.ts';

/** A running standby. */
export interface StandbyServer extends AsyncDisposable {
  /** How the role `mastodon` reaches a database of it. */
  mastodon(database: string): ConnectionSettings;
  /** Runs statements as the superuser and returns the last one's rows. */
  query(sql: string, database?: string): Promise<readonly Record<string, unknown>[]>;
  /** Waits until it has replayed all that the primary has written. */
  catchUp(): Promise<void>;
}

/** Starts a standby that follows `primary`. */
export async function startStandby(primary: PostgresServer): Promise<StandbyServer> {
  const home = makeDirectory('standby-');
  const data = path.join(home, 'data');
  const session = await connectTest(primary.superuser());
  await session.query("select pg_backup_start('standby', true)");
  cpSync(path.join(primary.socketDirectory, 'data'), data, {
    recursive: true,
    filter: (file) => !file.endsWith('postmaster.pid'),
  });
  const { rows } = await session.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)');
  await session.end();
  writeFileSync(path.join(data, 'backup_label'), rows[0]?.labelfile ?? '');
  writeFileSync(path.join(data, 'standby.signal'), '');
  const port = await freePort();
  appendFileSync(
    path.join(data, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\n`,
  );
  chmodSync(data, 0o700);
  if (serverUser.uid !== undefined) own(home);
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: home,
    fsync: 'off',
    log_min_messages: 'fatal',
    wal_retrieve_retry_interval: '200ms',
  };
  const child = spawn(
    path.join(reachableBinaries(primary.major), 'bin/postgres'),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...serverUser, cwd: home, stdio: 'ignore', env: { PATH: process.env['PATH'], HOME: home, LC_ALL: 'C' } },
  );
  const killNow = (): void => void child.kill('SIGQUIT');
  process.once('exit', killNow);
  const query = async (sql: string, database = 'postgres'): Promise<readonly Record<string, unknown>[]> => {
    const client = new Client({ ...primary.superuser(database), port, ssl: false });
    await client.connect();
    try {
      const result = (await client.query(sql)) as unknown as
        { rows: Record<string, unknown>[] } | { rows: Record<string, unknown>[] }[];
      return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? [];
    } finally {
      await client.end();
    }
  };
  for (let attempt = 0; ; attempt += 1) {
    try {
      await query('select 1');
      break;
    } catch (error) {
      if (attempt > 200 || child.exitCode !== null) {
        killNow();
        throw error;
      }
      await sleep(50);
    }
  }
  return {
    mastodon: (database) => ({ ...primary.mastodon(database), port }),
    query,
    async catchUp() {
      const [row] = await primary.query('select pg_current_wal_flush_lsn()::text as lsn');
      for (let attempt = 0; ; attempt += 1) {
        const [done] = await query(`select pg_last_wal_replay_lsn() >= '${String(row?.['lsn'])}' as done`);
        if (done?.['done'] === true) return;
        if (attempt > 200) throw new Error('The standby does not catch up');
        await sleep(50);
      }
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', killNow);
      const closed = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGQUIT');
        await closed;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function own(folder: string): void {
  const { status } = spawnSync('chown', ['-R', `${serverUser.uid}:${serverUser.gid}`, folder]);
  if (status !== 0) throw new Error(`chown of ${folder} failed`);
}
