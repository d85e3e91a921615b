// A Mastodon that was set up anew under the same name makes good backups of next to nothing: nobody who asks for the latest
// gets one of them without a word.

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { countRows, createMastodonDatabase } from '../support/mastodon-data.ts';
import { mastodonSchema } from '../support/mastodon-schema.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('a Mastodon that was set up anew', () => {
  let server: PostgresServer;
  let environment: Readonly<Record<string, string>>;
  let full: string;
  let empty: string;
  let rows: Readonly<Record<string, number>>;
  const scratch = temporaryDirectory();
  const done = async (...args: readonly string[]): Promise<CommandResult> => {
    const result = await runCommand(args, environment);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  const newest = async (): Promise<string> => {
    const { stdout } = await done('list', '--json');
    const [snapshot] = (JSON.parse(stdout) as { snapshots: readonly { tier: string; id: string }[] }).snapshots;
    return `${snapshot?.tier}/${snapshot?.id}`;
  };
  before(async () => {
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    environment = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: scratch.path,
      BACKUP_STATE_DIR: `${scratch.path}/state`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
      BACKUP_PG_BIN: linkPrograms(`${scratch.path}/bin`, 15),
      BACKUP_COMPRESSION: 'none',
    };
    await done('run');
    full = await newest();
    rows = await countRows(server.mastodon('mastodon_production'));
    await server.query('drop database mastodon_production');
    await server.createDatabase('mastodon_production');
    await server.query(`set role mastodon; ${mastodonSchema}`, 'mastodon_production');
    await server.query(
      "insert into accounts (username, created_at, updated_at) values ('admin', now(), now())",
      'mastodon_production',
    );
    await done('run');
    empty = await newest();
    assert.notEqual(empty, full);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });
  const saysSo = (text: string): void =>
    assert.match(
      text,
      new RegExp(`newer snapshot, ${empty}, was passed over: it has 1 row, and ${full} of \\S+ has \\d{4}`),
    );

  it('is not restored for the one before it, unless it is named', async () => {
    const { stderr, stdout } = await done('restore', 'latest', '--to-database', 'again');
    saysSo(stderr);
    assert.match(stdout, new RegExp(`^Restored ${full} `));
    assert.match(stdout, new RegExp(`note latest: ${empty} is newer and was passed over: it has 1 row`));
    assert.deepEqual(await countRows(server.mastodon('again')), rows);
    const named = await done('restore', empty, '--to-database', 'empty_again');
    assert.doesNotMatch(named.stderr, /passed over/);
    assert.match(named.stdout, new RegExp(`^Restored ${empty} `));
  });

  it('is not drilled or verified for it either', async () => {
    const drilled = await done('drill', '--json');
    saysSo(drilled.stderr);
    const document = JSON.parse(drilled.stdout) as DrillDocument;
    assert.equal(document.snapshot, full);
    assert.match(document.checks.find(({ check }) => check === 'latest')?.detail ?? '', /was passed over/);
    const verified = await done('verify', 'latest');
    saysSo(verified.stderr);
    assert.match(verified.stdout, new RegExp(full));
  });

  it('is not what the recovery kit speaks of', async () => {
    const { stdout, stderr } = await done('recovery-kit');
    saysSo(stderr);
    assert.ok(stdout.includes(full) && !stdout.includes(empty), stdout);
  });
});
