// A pg_restore that hangs or was stopped is ended within the time limit for what stands still; one whose server works is not,
// however long its last index takes.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('a pg_restore that has nothing more to read', () => {
  let server: PostgresServer;
  let environment: Readonly<Record<string, string>>;
  let stock: string;
  let stopping: string;
  const scratch = temporaryDirectory();
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    await server.createDatabase('slow');
    await server.query(
      `create function dawdle(n int) returns int language plpgsql immutable as 'begin perform pg_sleep(0.5); return n; end';
       create table things as select n, md5(n::text) from generate_series(1, 8) n;
       create index on things (dawdle(n));
       alter table things owner to mastodon; alter function dawdle owner to mastodon`,
      'slow',
    );
    stock = linkPrograms(path.join(scratch.path, 'stock'), 15);
    stopping = path.join(scratch.path, 'stopping');
    for (const name of ['stopping', 'backups']) mkdirSync(path.join(scratch.path, name));
    for (const name of readdirSync(stock)) {
      const isRestore = name === 'pg_restore';
      const stop = isRestore ? `case "$*" in *--dbname*) ( sleep 0.1; kill -STOP $$ ) & esac\n` : '';
      writeFileSync(path.join(stopping, name), `#!/bin/sh\n${stop}exec '${stock}/${name}' "$@"\n`);
      chmodSync(path.join(stopping, name), 0o755);
    }
    environment = {
      ...databaseEnvironment(server.mastodon('slow')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: path.join(scratch.path, 'backups'),
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
      BACKUP_PG_BIN: stock,
      BACKUP_STALL_TIMEOUT: '2s',
    };
    const { status, stderr } = await runCommand(['run'], environment);
    assert.equal(status, 0, stderr);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  const databases = async (): Promise<unknown> => server.query('select datname from pg_database order by 1');

  it('is waited for while the server makes an index for twice as long', async () => {
    const { status, stderr } = await runCommand(['restore', 'latest', '--to-database', 'wanted'], environment);
    assert.equal(status, 0, stderr);
    await server.query('drop database wanted');
  });

  for (const jobs of ['1', '2']) {
    it(`is ended when it was stopped, and leaves nothing, with ${jobs === '1' ? 'one job' : 'two jobs'}`, async () => {
      const earlier = await databases();
      const { status, stderr } = await runCommand(['restore', 'latest', '--to-database', 'wanted', '--jobs', jobs], {
        ...environment,
        BACKUP_PG_BIN: stopping,
      });
      assert.match(stderr, /pg_restore stood still for 2 s: the server had nothing to do for it/);
      assert.equal(status, 124, stderr);
      assert.deepEqual(await databases(), earlier);
      assert.deepEqual(readdirSync(path.join(scratch.path, 'scratch')), []);
    });
  }
});
