// A drill beside everything else: it keeps no backup waiting, ends by its limit and by a signal, and what retention takes away
// from under it is not blamed on the backup.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { startReceiver } from '../notify/receiver.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, startCommand } from '../support/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { minuteBegins } from '../support/clock-ahead.ts';
import { healthOf, untilHealth } from '../support/health.ts';
import { until } from '../support/until.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const never = '0 0 29 2 *';

describe('a drill beside everything else', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  const programs = linkPrograms(`${scratch.path}/bin`, 15);
  let names = 0;
  before(async () => {
    // The server of a drill does not run as root.
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    // In the drill's server its index takes as long as a test needs it to; in the source none.
    await server.query(
      `create function held(id bigint) returns bigint language plpgsql immutable as
         $$ begin if current_database() = 'drill' then perform pg_sleep(120); end if; return id; end $$;
       create table slow_rows (id bigint);
       insert into slow_rows values (1);
       create index on slow_rows (held(id));
       alter table slow_rows owner to mastodon`,
      'mastodon_production',
    );
    await createMastodonDatabase(server, { name: 'quick', megabytes: 1 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const environmentOf = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => {
    names += 1;
    const directory = `${scratch.path}/backups-${names}`;
    mkdirSync(directory);
    return {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: directory,
      BACKUP_STATE_DIR: `${scratch.path}/state-${names}`,
      BACKUP_SCRATCH_DIR: `${scratch.path}/scratch-${names}`,
      BACKUP_PG_BIN: programs,
      BACKUP_COMPRESSION_LEVEL: '1',
      BACKUP_SCHEDULE_DAILY: never,
      BACKUP_SCHEDULE_WEEKLY: 'off',
      BACKUP_SCHEDULE_MONTHLY: 'off',
      BACKUP_SCHEDULE_DRILL: 'off',
      ...more,
    };
  };
  const backUp = async (environment: Readonly<Record<string, string>>): Promise<void> => {
    const { status, stderr } = await runCommand(['run'], environment);
    assert.equal(status, 0, stderr);
  };
  const leftovers = (environment: Readonly<Record<string, string>>): readonly string[] => {
    const directory = environment['BACKUP_SCRATCH_DIR'] ?? '';
    return existsSync(directory) ? readdirSync(directory) : [];
  };
  // The drill has restored all but the index that takes so long.
  const drillIsHeld = async (environment: Readonly<Record<string, string>>): Promise<void> => {
    await untilHealth('the drill in health', {
      environment,
      seconds: 60,
      wanted: ({ drilling }) => drilling !== null,
    });
    await until("the drill's server", { seconds: 60, look: async () => leftovers(environment).length > 0 });
  };

  it('a backup that comes due while a drill is on is made at once, and TERM ends both within ten seconds', async () => {
    const environment = environmentOf(minuteBegins({ inSeconds: 8 }));
    await backUp(environment);
    await using daemon = startCommand(['daemon'], {
      ...environment,
      BACKUP_SCHEDULE_DAILY: '* * * * *',
      BACKUP_SCHEDULE_DRILL: '* * * * *',
    });
    await drillIsHeld(environment);
    const { tiers: earlier } = await healthOf(environment);
    await untilHealth('a backup beside the drill', {
      environment,
      seconds: 100,
      wanted: ({ tiers, drilling }) => {
        assert.ok(drilling !== null, 'the drill has ended before');
        const { lastSuccessAt } = tiers['daily'] ?? {};
        return (
          Date.parse(lastSuccessAt ?? '') >
          Math.max(Date.parse(drilling.since), Date.parse(earlier['daily']?.lastSuccessAt ?? ''))
        );
      },
    });
    const startedAt = performance.now();
    daemon.child.kill('SIGTERM');
    const { status, stderr } = await daemon.result;
    const tookMs = performance.now() - startedAt;
    assert.equal(status, 0, stderr);
    assert.ok(tookMs < 10_000, `${tookMs} ms`);
    assert.deepEqual(leftovers(environment), []);
    assert.equal((await healthOf(environment)).drilling, null);
    assert.doesNotMatch(stderr, /could not be carried out/);
  });

  it('ends by BACKUP_DRILL_TIMEOUT with status 124, and in the daemon is told once, shown, and not tried again at once', async () => {
    const environment = environmentOf({ ...minuteBegins({ inSeconds: 12 }), BACKUP_DRILL_TIMEOUT: '8s' });
    await backUp(environment);
    const startedAt = performance.now();
    const { status, stderr } = await runCommand(['drill'], environment);
    assert.equal(status, 124, stderr);
    assert.ok(performance.now() - startedAt < 25_000);
    assert.match(stderr, /The drill of daily\/\S+ took longer than BACKUP_DRILL_TIMEOUT \(8 s\)\. Raise /);
    assert.deepEqual(leftovers(environment), []);

    await using daemon = startDaemon({ ...environment, BACKUP_SCHEDULE_DRILL: '* * * * *' });
    const degraded = await untilHealth('the drill that took too long in health', {
      environment,
      seconds: 120,
      wanted: ({ status: health }) => health === 'degraded',
    });
    assert.match(degraded.warnings.join(), /The last drill run failed at .*took longer than BACKUP_DRILL_TIMEOUT/);
    const look = await daemon.app.drillIfDue(signal);
    assert.equal(look.kind, 'waits', 'it would take too long again');
    assert.deepEqual(leftovers(environment), []);
    // The next backup that goes well does not hide it.
    await backUp(environment);
    assert.equal((await healthOf(environment)).status, 'degraded');
  });

  it('two drills exclude each other, a drill and a run do not', async () => {
    const environment = environmentOf();
    await backUp(environment);
    await using first = startCommand(['drill'], environment);
    await drillIsHeld(environment);
    const second = await runCommand(['drill'], environment);
    assert.equal(second.status, 3);
    assert.match(
      second.stderr,
      /Another drill holds the lock: 'drill' since .*\. Wait until it has ended, or use --wait\./,
    );
    await backUp(environment);
    const restored = await runCommand(
      ['restore', 'latest', '--to-database', `beside_${names}`, '--jobs', '2'],
      environment,
    );
    assert.equal(restored.status, 0, restored.stderr);
    assert.equal(leftovers(environment).length, 1, 'the drill goes on, its files are no leftovers');
    assert.equal(first.child.exitCode, null);
    const startedAt = performance.now();
    first.child.kill('SIGTERM');
    assert.equal((await first.result).status, 130);
    assert.ok(performance.now() - startedAt < 10_000);
    assert.deepEqual(leftovers(environment), []);
  });

  it('a snapshot that retention removes while it is drilled is called removed, and nothing is said against it', async () => {
    await using s3 = await startS3();
    const { BACKUP_LOCAL_DIR: _unused, ...rest } = environmentOf({ DB_NAME: 'quick', BACKUP_KEEP_DAILY: '1' });
    const environment = { ...rest, ...s3.environment };
    await backUp(environment);
    const [first] = (await s3.keys()).filter((key) => key.endsWith('.dump.xz'));
    assert.ok(first !== undefined);
    // Its download breaks off again and again, until it is gone.
    s3.rule(({ method, path }) =>
      method === 'GET' && path.endsWith(first) ? { kind: 'cut', afterBytes: 100 } : { kind: 'pass' },
    );
    await using app = openApp(environment, { readPatience: { attempts: 9, pauseMs: 50 } });
    const request = { from: null, instance: null, identities: [], wait: false, signal } as const;
    const drilling = app.drill({ ...request, snapshot: 'latest', onProgress: () => undefined });
    drilling.catch(() => undefined);
    await until('the drill in health', { seconds: 60, look: async () => (await app.health()).drilling !== null });
    await backUp(environment);
    assert.ok(!(await s3.keys()).includes(first));
    await assert.rejects(drilling, { code: 'no-snapshot', message: /^daily\/\S+ was removed while it was drilled/ });
    const health = await healthOf(environment);
    assert.deepEqual([health.status, health.drilling, health.drill], ['healthy', null, null], health.warnings.join());
  });

  it('one that cannot be carried out is told again where the message reached nobody, and once where it did', async () => {
    await using receiver = await startReceiver();
    const startedAt = Date.now();
    let hours = 0;
    const environment = environmentOf({
      ...databaseEnvironment(server.mastodon('quick')),
      BACKUP_SCHEDULE_DRILL: '0 * * * *',
      BACKUP_WEBHOOK_URL: `${receiver.url}/hook`,
      BACKUP_NOTIFY: 'failure',
    });
    await backUp(environment);
    // A file where its directory is to be.
    const broken = { ...environment, BACKUP_SCRATCH_DIR: `${scratch.path}/no-directory/of-drills` };
    writeFileSync(`${scratch.path}/no-directory`, '');
    const told = async (): Promise<number> => {
      hours += 25;
      // As after a new start: what is known is remembered.
      await using app = openApp(broken, { now: () => new Date(startedAt + hours * 3_600_000) });
      const earlier = receiver.received.length;
      await app.drillIfDue(signal);
      return receiver.received.length - earlier;
    };
    receiver.answer({ status: 400 });
    assert.equal(await told(), 1);
    assert.equal(await told(), 1, 'nobody has heard of it');
    receiver.answer({ status: 200 });
    assert.equal(await told(), 1);
    assert.equal(await told(), 0, 'it is known');
    assert.match(receiver.received.at(-1)?.body ?? '', /the restore drill could not be carried out/);
  });

  it('a drill whose process was killed is remembered as cut off, and not tried again at once', async () => {
    const environment = environmentOf(minuteBegins({ inSeconds: 8 }));
    await backUp(environment);
    await using killed = startCommand(['daemon'], { ...environment, BACKUP_SCHEDULE_DRILL: '* * * * *' });
    await drillIsHeld(environment);
    killed.child.kill('SIGKILL');
    await killed.result;
    await using again = startCommand(['daemon'], { ...environment, BACKUP_SCHEDULE_DRILL: '* * * * *' });
    await again.saw('An earlier drill was cut off');
    const health = await untilHealth('the cut in health', {
      environment,
      seconds: 30,
      // That it is over is written after that it was cut off: a kill between the two must not lose the latter.
      wanted: ({ drilling, warnings }) => drilling === null && warnings.some((text) => text.includes('was cut off')),
    });
    assert.equal(health.status, 'degraded');
    assert.deepEqual(leftovers(environment), []);
    again.child.kill('SIGTERM');
    const { stderr } = await again.result;
    assert.doesNotMatch(stderr, /Drill started/);
  });
});
