// A source database on a broken disk: it is called damaged, with what to do, and the daemon leaves it alone. Each try may
// crash the server that Mastodon runs on.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { databaseEnvironment, runCommand, startCommand, lastSentence } from '../support/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { damageTable, pageBytes, pageOf } from '../support/damaged-table.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';
import { fixtureClient } from './support.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const damages: readonly {
  readonly what: string;
  readonly says: RegExp;
  readonly table: string;
  readonly change: (content: Buffer) => Buffer | null;
}[] = [
  { what: 'a missing file', says: /could not open file "base\//, table: 'tombstones', change: () => null },
  {
    what: 'a torn page',
    says: /invalid page in block 0/,
    table: 'tombstones',
    change: (content) => {
      pageOf(content, 0).fill(0xa5, 0, 24);
      return content;
    },
  },
  {
    what: 'a row of a transaction that never was',
    says: /could not access status of transaction 3000000000/,
    table: 'tombstones',
    change: (content) => {
      const page = pageOf(content, 0);
      // The first line pointer tells where the row is; its first word is xmin, and the hint bits are in its word at 20.
      const at = page.readUInt32LE(24) & 0x7fff;
      page.writeUInt32LE(3_000_000_000, at);
      page.writeUInt16LE(page.readUInt16LE(at + 20) & ~0x0f00, at + 20);
      return content;
    },
  },
  {
    what: 'long values that are gone',
    says: /missing chunk number 0/,
    table: `(select reltoastrelid::regclass::text from pg_class where oid = 'long'::regclass)`,
    change: (content) => content.fill(0),
  },
];

describe('a damaged source', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  before(async () => {
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'template', megabytes: 1 });
    await server.query(
      `create table long as select string_agg(md5(random()::text), '') as text from generate_series(1, 2000);
       alter table long owner to mastodon`,
      'template',
    );
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  let names = 0;
  const damagedCopy = async (): Promise<{
    readonly database: string;
    readonly environment: Readonly<Record<string, string>>;
  }> => {
    names += 1;
    const database = `damaged_${names}`;
    await server.query(`create database ${database} template template owner mastodon`);
    const directory = `${scratch.path}/${database}`;
    mkdirSync(directory);
    return {
      database,
      environment: {
        ...databaseEnvironment(server.mastodon(database)),
        LOCAL_DOMAIN: 'social.example',
        BACKUP_LOCAL_DIR: directory,
        BACKUP_STATE_DIR: `${directory}-state`,
        BACKUP_COMPRESSION: 'none',
        BACKUP_SCHEDULE_DAILY: '0 0 29 2 *',
        BACKUP_SCHEDULE_WEEKLY: 'off',
        BACKUP_SCHEDULE_MONTHLY: 'off',
        BACKUP_SCHEDULE_DRILL: 'off',
      },
    };
  };

  for (const { what, says, table, change } of damages) {
    it(`with ${what} is called damaged, and what to do is said`, async () => {
      const { database, environment } = await damagedCopy();
      const [row] = table.startsWith('(') ? await server.query(`select ${table} as name`, database) : [{ name: table }];
      await damageTable(server, { database, table: String(row?.['name']), change });
      const { status, stderr } = await runCommand(['run'], environment);
      assert.equal(status, 10, stderr);
      assert.match(stderr, says);
      assert.match(lastSentence({ stderr }), /Keep every older snapshot, copy the data directory/);
    });
  }

  it('is read once by the daemon, and not again before the next slot', async () => {
    const { database, environment } = await damagedCopy();
    await damageTable(server, { database, table: 'tombstones', change: (content) => content.fill(0xa5, 0, pageBytes) });
    await using daemon = startDaemon(environment, { firstSetbackMs: 50 });
    await until('the failure', { seconds: 30, look: async () => daemon.said().includes('Trying again later') });
    await sleep(2_000);
    assert.equal(daemon.said().match(/The scheduled backup failed/g)?.length, 1);
    const [, at = ''] = /"notBefore":"([^"]+)"/.exec(daemon.said()) ?? [];
    assert.match(at, /^20\d\d-02-29T00:00:00/);
  });

  it('whose server crashes twice at the same table is called damaged, and left alone', async () => {
    const { database, environment } = await damagedCopy();
    await server.query(
      `create table big as select repeat(md5(n::text), 100) as text from generate_series(1, 12000) n;
       alter table big owner to mastodon`,
      database,
    );
    // The dump of a big table is held up, so that it is known what its backend is doing when it dies.
    const client = fixtureClient(scratch.path, {
      name: 'slow',
      script: 'set -o pipefail; "$real" "$@" | { head -c 200000; sleep 5; cat; }',
    });
    const crashing = { ...environment, BACKUP_PG_BIN: client };
    const crash = async (): Promise<void> => {
      const processId = await until('the dump', {
        seconds: 30,
        look: async () => {
          const rows = await server
            .query(
              "select pid from pg_stat_activity where query like 'COPY public.big %' and wait_event = 'ClientWrite'",
            )
            .catch(() => []);
          return Number(rows[0]?.['pid'] ?? 0) || undefined;
        },
      });
      process.kill(processId, 'SIGSEGV');
    };
    const runs = [];
    for (const _ of [1, 2]) {
      await using run = startCommand(['run'], crashing);
      await crash();
      runs.push(await run.result);
      await until('the server', {
        seconds: 30,
        look: async () =>
          server.query('select 1').then(
            () => true,
            () => false,
          ),
      });
    }
    const [first, second] = runs;
    assert.equal(first?.status, 10);
    assert.match(first?.stderr ?? '', /server closed the connection unexpectedly/);
    assert.match(first?.stderr ?? '', /look into its log, then run the backup again/);
    assert.match(
      second?.stderr ?? '',
      /The database server crashed again at the table "big".*Keep every older snapshot/,
    );
  });
});
