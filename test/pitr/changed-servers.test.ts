// What happens to servers: a crash, a promotion, a slot that is given up, another server under the same name, a second sidecar. None
// of it may leave a hole that nobody speaks of.

import assert from 'node:assert/strict';
import { chmodSync, chownSync, cpSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newsOfLog } from '../../src/app/log-news.ts';
import { createSigningKey } from '../../src/config/ssh-keys.ts';
import { checkChain } from '../../src/pitr/chain-check.ts';
import { readLineages } from '../../src/pitr/histories.ts';
import { windowOf, type PitrWindow } from '../../src/pitr/window.ts';
import { listChains, readChain } from '../../src/snapshots/chain-catalogue.ts';
import type { FollowingRecord } from '../../src/state/pitr-record.ts';
import { createCluster } from '../support/cluster-template.ts';
import { runCommand } from '../support/command.ts';
import { followLog, type LogFollower } from '../support/log-follower.ts';
import { askReplayed, bringBack, takeBase } from '../support/pitr-replay.ts';
import { reachableBinaries, serverUser, testPassword } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import { endRestarted, restartServer } from '../support/restarted-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const major = 15;
const signal = new AbortController().signal;
const mib = 1024 * 1024;
const own = (file: string): void => {
  if (serverUser.uid !== undefined && serverUser.gid !== undefined) chownSync(file, serverUser.uid, serverUser.gid);
};

async function clock(server: StockServer): Promise<string> {
  const [row] = await server.query(
    "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' as now",
  );
  return String(row?.['now']);
}

async function count(server: StockServer, counter: number): Promise<string> {
  await server.query(`insert into counters values (${counter})`);
  const at = await clock(server);
  await server.query(`insert into counters values (${counter * 1000})`);
  return at;
}

async function windowIn({ repository }: LogFollower, systemIdentifier: string): Promise<PitrWindow> {
  const chain = await readChain(repository, { systemIdentifier, signal });
  return windowOf(chain, {
    lineages: await readLineages({ chain, repository, identities: [], log: quietLog, signal }),
  });
}

async function checked({ repository }: LogFollower, systemIdentifier: string): Promise<readonly string[]> {
  const chain = await readChain(repository, { systemIdentifier, signal });
  const { problems, gaps } = await checkChain({
    repository,
    chain,
    identities: null,
    threads: 1,
    storedTo: null,
    onProgress: () => undefined,
    log: quietLog,
    signal,
  });
  return [...problems.map(({ object, problem }) => `${object}: ${problem}`), ...gaps];
}

describe('a server that changes', () => {
  let server: StockServer;
  let directory: string;
  let scratch: string;
  let data: string;
  const stack = new AsyncDisposableStack();
  before(async () => {
    const folder = stack.use(temporaryDirectory());
    chmodSync(folder.path, 0o711);
    directory = path.join(folder.path, 'stored');
    scratch = path.join(folder.path, 'scratch');
    server = stack.use(
      await startStockServer(major, { settings: { max_wal_size: '32MB', min_wal_size: '32MB', wal_keep_size: '0' } }),
    );
    data = server.data;
    stack.defer(async () => endRestarted(data).catch(() => undefined));
    await server.query('create table counters (counter int primary key)');
  });
  after(async () => stack.disposeAsync());

  const restored = async (follower: LogFollower, at: string): Promise<number> => {
    await using back = await bringBack(follower.repository, { at, major, directory: scratch });
    const [row] = await askReplayed(back, 'select max(counter) as last from public.counters where counter < 1000');
    return Number(row?.['last']);
  };

  it('has no hole after a crash and through a promotion, and moments before and after both can be had', async () => {
    await using follower = followLog(server.outside(), { directory, server });
    await follower.isFollowing();
    const { systemIdentifier } = await takeBase(server.outside(), { repository: follower.repository });
    const first = await count(server, 1);
    await restartServer(server, { signal: 'SIGKILL' });
    const second = await count(server, 2);
    await follower.caughtUp();
    await restartServer(server, {
      signal: 'SIGINT',
      async whileDown() {
        // The end of its own log is where it is promoted; until then it answers as a standby does.
        for (const [name, text] of [
          ['recovery.signal', ''],
          ['postgresql.auto.conf', "restore_command = 'sleep 1; false'\n"],
        ] as const) {
          writeFileSync(path.join(server.data, name), text);
          own(path.join(server.data, name));
        }
        return undefined;
      },
    });
    await until('the new timeline to be followed', {
      seconds: 30,
      look: async () => follower.state()?.timeline === 2,
    });
    const third = await count(server, 3);
    await follower.caughtUp();
    assert.deepEqual((await windowIn(follower, systemIdentifier)).gaps, []);
    assert.deepEqual(await checked(follower, systemIdentifier), []);
    assert.deepEqual(
      [await restored(follower, first), await restored(follower, second), await restored(follower, third)],
      [1, 2, 3],
    );
    // All of it was stored without a key, and can be vouched for across the two timelines.
    using copy = temporaryDirectory();
    const stored = path.join(copy.path, 'stored');
    cpSync(directory, stored, { recursive: true, filter: (file) => !file.endsWith('.partial') });
    const adopted = await runCommand(['adopt', '--all'], {
      LOCAL_DOMAIN: 'example.social',
      BACKUP_LOCAL_DIR: stored,
      BACKUP_STATE_DIR: path.join(copy.path, 'state'),
      BACKUP_SIGNING_KEY: createSigningKey('ours').file,
    });
    assert.equal(adopted.status, 0, adopted.stderr);
    assert.match(adopted.stdout, /signed with \d+ segments of the log behind it/);
    const signed = readdirSync(stored, { recursive: true, encoding: 'utf8' });
    assert.equal(signed.filter((file) => /00000002[.]history.*[.]sig$/.test(file)).length, 1);
  });

  it('gives its slot up at the limit and stays up; the gap is said, and behind a new base moments can be had again', async () => {
    const options = { directory, server, slotLimitBytes: 32 * mib };
    let earlier: FollowingRecord | null = null;
    {
      await using follower = followLog(server.outside(), options);
      await follower.isFollowing();
      await follower.caughtUp();
      const state = follower.state();
      earlier = recordOf(state);
    }
    await server.query("alter system set max_slot_wal_keep_size = '32MB'");
    await server.query('select pg_reload_conf()');
    for (let segment = 0; segment < 8; segment += 1) {
      await server.query(
        `insert into counters select g from generate_series(${100_000 + segment}000, ${100_000 + segment}500) g`,
      );
      await server.query('select pg_switch_wal()');
      await server.query('checkpoint');
    }
    const [slot] = await server.query('select wal_status from pg_replication_slots');
    assert.equal(slot?.['wal_status'], 'lost');
    const [kept] = await server.query('select sum(size)::int as bytes from pg_ls_waldir()');
    assert.ok(Number(kept?.['bytes']) < 8 * 16 * mib, `${String(kept?.['bytes'])} bytes are kept`);

    await using follower = followLog(server.outside(), options);
    await until('the log to be followed behind the gap', {
      seconds: 30,
      look: async () => (follower.state()?.followsFrom ?? 0n) > 0n && follower.state()?.endOfLog !== null,
    });
    await follower.caughtUp();
    const now = recordOf(follower.state());
    assert.match(
      newsOfLog({ before: earlier, now })
        .map(({ message }) => message)
        .join(),
      /There is a gap/,
    );
    const systemIdentifier = now.systemIdentifier;
    assert.equal((await windowIn(follower, systemIdentifier)).gaps.length, 1);
    await takeBase(server.outside(), { repository: follower.repository });
    const at = await count(server, 4);
    await follower.caughtUp();
    assert.equal(await restored(follower, at), 4);
    const window = await windowIn(follower, systemIdentifier);
    assert.ok(window.first !== null && window.gaps.length === 1);
    const found = await checked(follower, systemIdentifier);
    assert.ok(found.length === 1 && (found[0] ?? '').startsWith(window.gaps[0] ?? '-'), found.join());
  });

  it('is followed by one sidecar alone: a second one is told, and harms nothing', async () => {
    await using first = followLog(server.outside(), { directory, server });
    await first.isFollowing();
    using elsewhere = temporaryDirectory();
    await using second = followLog(server.outside(), { directory: elsewhere.path, server });
    await until('the second to be told', {
      seconds: 30,
      look: async () => /is active/.test(second.state()?.problem ?? ''),
    });
    await server.query('select pg_switch_wal()');
    await first.caughtUp();
  });

  it('is another one under the same name: a chain of its own begins, and the old one stays as it was', async () => {
    await using follower = followLog(server.outside(), { directory, server });
    await follower.isFollowing();
    const former = follower.state()?.systemIdentifier ?? '';
    const { bytes } = await readChain(follower.repository, { systemIdentifier: former, signal });
    await restartServer(server, {
      signal: 'SIGINT',
      async whileDown() {
        data = path.join(server.socketDirectory, 'other');
        const native = reachableBinaries(major);
        await createCluster(data, { major, native, auth: 'trust', password: testPassword, user: serverUser, own });
        writeFileSync(path.join(data, 'pg_hba.conf'), 'local all all trust\nhost all all all trust\n');
        return data;
      },
    });
    await until('the other server to be followed', {
      seconds: 30,
      look: async () => (follower.state()?.systemIdentifier ?? former) !== former,
    });
    await server.query('create table counters (counter int primary key)');
    await follower.caughtUp();
    assert.equal((await listChains(follower.repository, { signal })).length, 2);
    assert.ok((await readChain(follower.repository, { systemIdentifier: former, signal })).bytes >= bytes);
  });
});

function recordOf(state: ReturnType<LogFollower['state']>): FollowingRecord {
  const lsn = (value = 0n): string =>
    `${(value >> 32n).toString(16)}/${(value & 0xffffffffn).toString(16)}`.toUpperCase();
  return {
    at: new Date().toISOString(),
    systemIdentifier: state?.systemIdentifier ?? '',
    timeline: state?.timeline ?? 0,
    followsFrom: lsn(state?.followsFrom),
    storedTo: lsn(state?.storedTo),
    coveredAt: null,
    behindBytes: null,
    slot: null,
    withoutSlot: null,
    problem: null,
  };
}
