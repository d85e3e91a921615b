// A cluster of another C library, as the alpine image makes it: its databases have a locale that is not there where the moment is
// replayed, and a version of it that is another. It is replayed and dumped all the same, whole and exact: its own server would not let
// anybody in here, and who took that for damage would have no moment of it.

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { openApp } from '../support/app.ts';
import { followLog } from '../support/log-follower.ts';
import { takeBase } from '../support/pitr-replay.ts';
import { linkPrograms, testPassword } from '../support/postgres-server.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const major = 15;
const database = 'mastodon_production';
const words = "select md5(string_agg(id || word, ',' order by id)) as all, count(*)::int as count from words";

it('comes back of a cluster whose locale is not there, with every row, and its indexes in an order of here', async () => {
  using folder = temporaryDirectory();
  chmodSync(folder.path, 0o711);
  const directory = path.join(folder.path, 'backups');
  await using server = await startStockServer(major);
  await server.createDatabase(database);
  await using follower = followLog(server.outside(), { directory, server });
  await follower.isFollowing();
  await takeBase(server.outside(), { repository: follower.repository });
  await server.query(
    `create table words (id int primary key, word text);
     insert into words select g, chr(65 + g % 58) || md5(g::text) from generate_series(1, 500) g;
     create index words_in_order on words (word)`,
    database,
  );
  const session = new Client({ ...server.superuser(), ssl: false });
  await session.connect();
  try {
    const { rows: own } = await session.query<{ collate: string }>(
      `select datcollate as collate from pg_database where datname = '${database}'`,
    );
    const name = async (locale: string, version: string): Promise<void> => {
      await session.query(
        `update pg_database set datcollate = '${locale}', datctype = '${locale}', datcollversion = ${version}`,
      );
    };
    await name('xx_YY.utf8', "'153.14'");
    const { rows } = await session.query<{ now: string }>(
      "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' as now",
    );
    await sleep(20);
    await assert.rejects(server.query('select 1', database), /incompatible with operating system/);
    // The live server is another by now; the moment is of the cluster as it was.
    await name(String(own[0]?.collate), 'null');
    const before = await server.query(words, database);
    await server.query("insert into words values (501, 'later')", database);
    await follower.caughtUp();
    await using app = openApp({
      LOCAL_DOMAIN: 'example.social',
      DB_HOST: server.address,
      DB_PORT: String(server.port),
      DB_NAME: database,
      DB_USER: 'postgres',
      DB_PASS: testPassword,
      BACKUP_LOCAL_DIR: directory,
      BACKUP_PG_BIN: linkPrograms(path.join(folder.path, 'bin'), major),
      BACKUP_STATE_DIR: path.join(folder.path, 'state'),
      BACKUP_SCRATCH_DIR: path.join(folder.path, 'scratch'),
    });
    const report = await app.restoreMoment({
      at: String(rows[0]?.now),
      database: 'undo',
      from: null,
      instance: null,
      acceptUnsigned: false,
      identities: [],
      wait: true,
      replace: false,
      jobs: 1,
      schemas: null,
      withoutExtensions: [],
      locale: 'C.UTF-8',
      owner: 'postgres',
      createRole: false,
      ignoreSecrets: true,
      signal: AbortSignal.timeout(120_000),
      onProgress: () => undefined,
    });
    assert.ok(report.checks.every(({ status }) => status !== 'failed'));
    assert.deepEqual(await server.query(words, 'undo'), before);
    assert.deepEqual(
      await server.query('set enable_seqscan = off; select word from words order by word limit 3', 'undo'),
      await server.query('set enable_indexscan = off; select word from words order by word limit 3', 'undo'),
    );
  } finally {
    await session.end();
  }
});
