// A moment by hand, as the documentation says it: nothing of this program is needed for it.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { Client } from 'pg';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { momentCommands } from '../../src/kit/moment-commands.ts';
import { commandBlock } from '../support/documentation.ts';
import { followLog } from '../support/log-follower.ts';
import { takeBase } from '../support/pitr-replay.ts';
import { freePort, reachableBinaries, serverUser } from '../support/postgres-server.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const major = 15;
const key = parsePrivateKey(createSigningKey('ours').file);
/** Signatures lie beside everything, and none is taken for log. */
const signing = toSigningSettings({ key, others: [] });

// As the documentation says it, and as the recovery kit of this server does.
const ways = {
  'the documentation': ({ from, base, at }: Filling): string =>
    commandBlock('recovery_target_time')
      .replace('/path/to/pitr/SYSTEM', from)
      .replace('ID.tar.zst', base)
      .replace(/'2026-[^']*'/, `'${at}'`),
  'the recovery kit': ({ from, base, at }: Filling): string =>
    [
      `FROM=${path.dirname(path.dirname(from))} WORK=$PWD`,
      ...momentCommands({ systemIdentifier: path.basename(from), encrypted: false }, { hasGet: false }),
    ]
      .join('\n')
      .replace('ID.tar.zst', base)
      .replace(/'2026-[^']*'/, `'${at}'`),
} as const;

interface Filling {
  readonly from: string;
  readonly base: string;
  readonly at: string;
}

for (const [way, fill] of Object.entries(ways))
  it(`comes back with zstd, tar and postgres alone by the commands of ${way}`, async () => {
    using folder = temporaryDirectory();
    chmodSync(folder.path, 0o755);
    const directory = path.join(folder.path, 'stored');
    let at = '';
    await using server = await startStockServer(major);
    {
      await using follower = followLog(server.outside(), { directory, server, signing });
      await follower.isFollowing();
      await takeBase(server.outside(), { repository: follower.repository });
      await server.query('create table counters (counter int primary key)');
      await server.query('insert into counters values (1)');
      await server.query('select pg_switch_wal()');
      await server.query('insert into counters values (2)');
      const [row] = await server.query('select clock_timestamp()::text as now');
      at = String(row?.['now']);
      await server.query('insert into counters values (3)');
      await follower.caughtUp();
      await server.query('insert into counters values (4)');
      await follower.caughtUp();
    }
    // A folder that was downloaded is whose it is.
    execFileSync('chmod', ['-R', 'a+rX', directory]);
    const from = path.join(directory, 'pitr', readdirSync(path.join(directory, 'pitr'))[0] ?? '');
    const base = readdirSync(path.join(from, 'base')).find((name) => name.endsWith('.tar.zst')) ?? '';
    const port = await freePort();
    const lines = fill({ from, base, at }).replace(
      'postgres -D data',
      `exec postgres -D data -c port=${port} -c unix_socket_directories=/tmp`,
    );
    const work = path.join(folder.path, 'work');
    mkdirSync(work);
    if (serverUser.uid !== undefined && serverUser.gid !== undefined) chownSync(work, serverUser.uid, serverUser.gid);
    const readable = path.join(reachableBinaries(major), 'bin');
    const child = spawn('bash', ['-euo', 'pipefail', '-c', lines], {
      ...serverUser,
      cwd: work,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: `${readable}:${process.env['PATH'] ?? ''}`, HOME: work },
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => void (said += text));
    const closed = new Promise((resolve) => child.once('close', resolve));
    try {
      const rows = await until('the moment to be there', {
        seconds: 30,
        async look() {
          if (child.exitCode !== null) throw new Error(said);
          const client = new Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', ssl: false });
          client.on('error', () => undefined);
          try {
            await client.connect();
            const { rows: found } = await client.query<{ counters: string; recovers: boolean }>(
              "select (select string_agg(counter::text, ',' order by counter) from counters) as counters, pg_is_in_recovery() as recovers",
            );
            return found[0]?.recovers === false ? found : undefined;
          } catch {
            return undefined;
          } finally {
            await client.end().catch(() => undefined);
          }
        },
      });
      assert.equal(rows[0]?.counters, '1,2');
    } finally {
      child.kill('SIGQUIT');
      await closed;
    }
  });
