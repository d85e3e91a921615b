// A backup from a standby: its moment is that of the data, however old that is, and too old is refused.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { describeStandby, judgeStandby, mostLagMs, standbyLagError } from '../../src/database/standby.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startStandby, type StandbyServer } from '../support/standby-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const name = 'mastodon_production';

describe('a standby as the source', () => {
  let primary: PostgresServer;
  let standby: StandbyServer;
  const scratch = temporaryDirectory();
  before(async () => {
    primary = await startPostgres({ major: 15 });
    await createMastodonDatabase(primary, { name, megabytes: 1 });
    await primary.query('create unlogged table hints as select 1 as n; alter table hints owner to mastodon', name);
    standby = await startStandby(primary);
    await standby.catchUp();
  });
  after(async () => {
    await standby[Symbol.asyncDispose]();
    await primary[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const environmentOf = (server: StandbyServer): Readonly<Record<string, string>> => ({
    ...databaseEnvironment(server.mastodon(name)),
    BACKUP_LOCAL_DIR: scratch.path,
    BACKUP_STATE_DIR: `${scratch.path}/.state`,
    BACKUP_COMPRESSION_LEVEL: '0',
  });
  const run = async (
    server: StandbyServer,
  ): Promise<{ dataAt: number; warnings: string; rows: Record<string, number> }> => {
    const result = await runCommand(['run', '--json'], environmentOf(server));
    assert.equal(result.status, 0, result.stderr);
    const { dataAt, warnings } = JSON.parse(result.stdout) as { dataAt: string; warnings: string[] };
    const listed = await runCommand(['list', '--json'], environmentOf(server));
    const [manifest] = (JSON.parse(listed.stdout) as { snapshots: Manifest[] }).snapshots;
    return { dataAt: Date.parse(dataAt), warnings: warnings.join('\n'), rows: { ...manifest?.database.rows } };
  };
  const doctor = async (server: StandbyServer): Promise<readonly Finding[]> => {
    const { stdout } = await runCommand(['doctor', '--json'], environmentOf(server));
    return (JSON.parse(stdout) as Finding[]).filter(({ check }) => check === 'standby');
  };
  const serverTime = async (): Promise<number> => {
    const [row] = await primary.query('select clock_timestamp()::text as now');
    return new Date(String(row?.['now'])).getTime();
  };

  it('that has everything of an idle primary is not late, whoever asks', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    for (const monitors of [false, true]) {
      if (monitors) await primary.query('grant pg_monitor to mastodon');
      await standby.catchUp();
      const since = await serverTime();
      const { dataAt, warnings } = await run(standby);
      assert.doesNotMatch(warnings, /behind its primary/);
      assert.ok(dataAt <= (await serverTime()) && dataAt > since - 61_000, new Date(dataAt).toISOString());
      assert.deepEqual(
        (await doctor(standby)).map(({ status }) => status),
        ['ok', 'warning'],
      );
    }
    await primary.query('revoke pg_monitor from mastodon');
  });

  it('names the unlogged tables whose rows it does not have', async () => {
    const { warnings, rows } = await run(standby);
    assert.match(warnings, /no rows of unlogged tables.*public\.hints/);
    assert.equal(rows['public.hints'] ?? 0, 0);
    assert.match(JSON.stringify(await doctor(standby)), /unlogged tables: public\.hints/);
  });

  it('whose replay is paused has the moment at which it was, and what came later is not in it', async () => {
    await primary.query("insert into settings (var, value) values ('before', '1')", name);
    await standby.catchUp();
    await standby.query('select pg_wal_replay_pause()');
    const pausedAt = await serverTime();
    try {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await primary.query("insert into settings (var, value) values ('after', '1')", name);
      const { dataAt } = await run(standby);
      assert.ok(dataAt <= pausedAt, `${new Date(dataAt).toISOString()} is after ${new Date(pausedAt).toISOString()}`);
      assert.ok(dataAt > pausedAt - 60_000);
    } finally {
      await standby.query('select pg_wal_replay_resume()');
    }
  });

  it('whose link is dead has the moment of its last transaction', async () => {
    await standby.catchUp();
    const follow = async (port: number): Promise<unknown> =>
      standby
        .query(`alter system set primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres'`)
        .then(async () => standby.query('select pg_reload_conf()'));
    await follow(9);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const cutAt = await serverTime();
    try {
      await primary.query("insert into settings (var, value) values ('unheard', '1')", name);
      const { dataAt } = await run(standby);
      assert.ok(dataAt <= cutAt, new Date(dataAt).toISOString());
    } finally {
      await follow(primary.port);
    }
  });

  it('that is further behind than an hour is refused, also by the doctor', () => {
    const late = { replayedAtSeconds: 1, lagMs: mostLagMs + 1_000, paused: true, connected: true };
    const error = standbyLagError(late);
    assert.match(error?.message ?? '', /60 min|1 h/);
    assert.match(error?.hint ?? '', /pg_wal_replay_resume/);
    assert.equal(standbyLagError({ ...late, lagMs: mostLagMs - 1_000 }), undefined);
    assert.match(
      standbyLagError({ ...late, lagMs: null, paused: false, connected: false })?.message ?? '',
      /unknown time.*no connection/,
    );
    assert.match(
      describeStandby({ ...late, lagMs: 120_000 }).join(),
      /2 min.* behind its primary: its replay is paused/,
    );
  });

  it('that follows another one which has lost its primary is as old as its last transaction, and that is said', () => {
    const now = 1_800_000_000;
    const answers = { now, paused: false, all_replayed: true, all_received: true, heard: now - 1, patience: 60 };
    const idle = judgeStandby({ ...answers, replayed: now - 600 }, null);
    assert.deepEqual([idle.replayedAtSeconds, idle.lagMs, describeStandby(idle).length], [now - 1, 0, 1]);
    const cutOff = judgeStandby({ ...answers, replayed: now - 7_200 }, null);
    assert.equal(cutOff.replayedAtSeconds, now - 7_200);
    assert.equal(standbyLagError(cutOff), undefined, 'a primary may be idle');
    assert.match(describeStandby(cutOff).join(), /last transaction of this standby is 2 h.* old/);
  });
});
