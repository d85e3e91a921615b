// The compose service of the unchanged example in Mastodon's own file, on a real engine, with a bucket on Ceph's gateway.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTest } from '../support/mastodon-data.ts';
import type { ChildOutput } from '../support/output.ts';
import { docker, dockerOutput, until } from './support/docker.ts';
import { createProject, image, secretKey, startGround, type MastodonProject } from './support/mastodon-project.ts';

interface Listing {
  readonly snapshots: readonly { readonly id: string; readonly tier: string; readonly slot: string | null }[];
}

describe('the compose service', () => {
  let project: MastodonProject;
  before(async () => {
    project = createProject({
      backupEnvironment: {
        BACKUP_SCHEDULE_DAILY: '0 0 1 1 *',
        BACKUP_SCHEDULE_WEEKLY: 'off',
        BACKUP_SCHEDULE_MONTHLY: 'off',
        BACKUP_SCHEDULE_DRILL: 'off',
        BACKUP_COMPRESSION: 'none',
        BACKUP_HEALTH_GRACE: '5s',
        BACKUP_S3_PREFIX: 'social',
        // A setting of a later version: an image rolled back must still back up.
        BACKUP_ARCHIVE_WAL_SOMEWHERE: 'yes',
      },
    });
    await startGround(project, { megabytes: 40 });
  });
  after(async () => project[Symbol.asyncDispose]());

  const listing = async (): Promise<Listing['snapshots']> => {
    const { stdout, stderr, status } = await project.exec(['list', '--json']);
    assert.equal(status, 0, stderr);
    return (JSON.parse(stdout) as Listing).snapshots;
  };
  const logs = async (): Promise<string> => project.composed(['logs', '--no-log-prefix', 'backup']);
  const healthBecomes = async (word: string, withinMs = 60_000): Promise<void> => {
    await until(`health is ${word}`, { withinMs, ask: async () => (await project.health()) === word });
  };
  // Slow enough for something to happen in the middle.
  const slow = async (cpus: string): Promise<void> => {
    await dockerOutput(['update', '--cpus', cpus, `${project.name}-backup-1`]);
  };
  const noBackend = async (): Promise<void> => {
    await until('no backend of ours is left on the database', {
      withinMs: 15_000,
      ask: async () =>
        (await project.query("select pid from pg_stat_activity where application_name = 'mastodon-backup'")).length ===
        0,
    });
  };

  it('merges into Mastodon’s file, and keeps its settings away from the web containers', async () => {
    const merged = JSON.parse(await project.composed(['config', '--format', 'json'])) as {
      services: Record<
        string,
        { networks: Record<string, unknown>; environment: Record<string, string>; user?: string }
      >;
      networks: Record<string, { internal?: boolean }>;
    };
    assert.deepEqual(Object.keys(merged.services['backup']?.networks ?? {}).toSorted(), [
      'external_network',
      'internal_network',
    ]);
    assert.equal(merged.networks['internal_network']?.internal, true);
    assert.equal(merged.services['backup']?.environment['DB_HOST'], 'db');
    assert.equal(merged.services['backup'].environment['BACKUP_S3_BUCKET'], 'backups');
    assert.equal(merged.services['web']?.environment['BACKUP_S3_BUCKET'], undefined);
  });

  it('waits for a database that is down at its start, takes a first backup and becomes healthy', async () => {
    await project.composed(['stop', 'db']);
    await project.composed(['up', '-d', '--no-deps', 'backup']);
    await until('it says that it waits', {
      withinMs: 30_000,
      ask: async () => (await logs()).includes('Waiting for the database'),
    });
    assert.equal(await project.health(), 'starting');
    await project.composed(['start', 'db']);
    await healthBecomes('healthy', 120_000);
    assert.deepEqual(
      (await listing()).map(({ tier }) => tier),
      ['daily'],
    );
    console.log(await dockerOutput(['ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}']));
  });

  it('backs up, lists, verifies, drills and restores by hand', async () => {
    for (const [args, says] of [
      [['run', 'weekly'], /^weekly\/\S+: .* dumped/],
      [['list'], /weekly\/.*daily\//s],
      [['verify', 'latest:weekly'], /34 tables with the rows of the manifest/],
      [['drill'], /Drill of weekly\/\S+ into PostgreSQL \d+.*: passed/],
      [['restore', 'latest', '--to-database', 'restored'], /Restored weekly\/\S+ .* into the database restored/],
      [['doctor'], /./],
      [['prune', '--dry-run'], /./],
    ] as const) {
      const { status, stdout, stderr } = await project.exec(args);
      assert.equal(status, 0, `${args.join(' ')}: ${stderr}${stdout}`);
      assert.match(stdout, says);
      console.log(`$ docker compose exec backup mastodon-backup ${args.join(' ')}\n${stdout}`);
    }
    const count = 'select count(*) from statuses';
    assert.deepEqual(await project.query(count, 'restored'), await project.query(count, 'mastodon_production'));
    const piped = await docker(
      ['compose', 'exec', '-T', 'backup', 'mastodon-backup', 'restore', 'latest', '--output', '-'],
      {
        cwd: project.directory,
      },
    );
    assert.ok(piped.stdout.startsWith('PGDMP'));
  });

  it('shows no secret in its inspection and its log, and nothing of a setting it does not know is deleted', async () => {
    const inspected = await dockerOutput(['inspect', `${project.name}-backup-1`]);
    assert.ok(!inspected.includes(secretKey));
    const log = await logs();
    assert.ok(!log.includes(secretKey));
    assert.match(log, /BACKUP_ARCHIVE_WAL_SOMEWHERE/);
    const health = JSON.parse((await project.exec(['health', '--json'])).stdout) as { status: string };
    assert.equal(health.status, 'degraded', 'an unknown setting is said, and turns nothing red');
    assert.equal(await project.health(), 'healthy');
  });

  it('needs no shell and no other user: read-only, without capabilities, under its own user id', async () => {
    const [inspection] = JSON.parse(await dockerOutput(['inspect', `${project.name}-backup-1`])) as {
      HostConfig: { ReadonlyRootfs: boolean; CapDrop: string[]; SecurityOpt: string[] };
      Config: { User: string };
    }[];
    assert.equal(inspection?.HostConfig.ReadonlyRootfs, true);
    assert.deepEqual(inspection.HostConfig.CapDrop, ['ALL']);
    assert.equal(inspection.Config.User, '10001:10001');
    const { stdout } = await project.compose([
      'exec',
      '-T',
      'backup',
      'sh',
      '-c',
      'id -u; grep CapEff /proc/1/status; cat /proc/[0-9]*/comm',
    ]);
    assert.match(stdout, /^10001\n/);
    assert.match(stdout, /CapEff:\t0000000000000000/);
    const programs = stdout
      .split('\n')
      .slice(2)
      .filter((name) => name !== '' && !['sh', 'cat'].includes(name));
    assert.deepEqual(
      [...new Set(programs)].toSorted().filter((name) => !/^(tini|node.*)$/.test(name)),
      [],
    );
  });

  it('fails a run whose database is restarted in the middle, and leaves nothing half', async () => {
    const earlier = (await listing()).length;
    const holder = await connectTest(await project.database('mastodon', 'mastodon_production'));
    await holder.query('begin; lock table statuses in access exclusive mode');
    const run = project.exec(['run', 'monthly']);
    await until('the dump waits', {
      withinMs: 30_000,
      ask: async () =>
        (
          await project.query(
            "select pid from pg_stat_activity where application_name = 'mastodon-backup' and wait_event_type = 'Lock'",
          )
        ).length > 0,
    });
    await project.composed(['restart', '--timeout', '3', 'db']);
    const { status, stderr } = await run;
    await holder.end().catch(() => undefined);
    assert.equal(status, 10, stderr);
    assert.match(stderr, /mastodon-backup: .*\. /);
    assert.equal((await listing()).length, earlier);
    await project.composed(['up', '-d', '--wait', 'db']);
    const again = await project.exec(['run', 'monthly']);
    assert.equal(again.status, 0, again.stderr);
  });

  it('ends within the grace period in the middle of an upload, and aborts it', async () => {
    await slow('0.25');
    const earlier = await project.keys();
    const run = project.exec(['run', 'yearly']);
    await until('an upload is under way', {
      withinMs: 90_000,
      ask: async () => (await project.unfinishedUploads()) > 0,
    });
    const startedAt = performance.now();
    // What `docker compose stop` does to the daemon, done to the run: the signal reaches every process of ours.
    const script =
      'for p in /proc/[0-9]*; do if tr "\\0" " " < $p/cmdline | grep -q "backup run year[l]y"; then kill -TERM ${p#/proc/}; fi; done';
    await project.compose(['exec', '-T', 'backup', 'sh', '-c', script]);
    const { status } = await run;
    assert.equal(status, 130);
    assert.ok(performance.now() - startedAt < 60_000, 'within the stop_grace_period');
    assert.equal(await project.unfinishedUploads(), 0);
    assert.deepEqual(await project.keys(), earlier);
    await noBackend();
    await slow('2');
  });

  it('stops in the middle of a scheduled backup within the grace period, and catches up when it starts again', async () => {
    await reschedule({ BACKUP_SCHEDULE_DAILY: '* * * * *' });
    await slow('0.25');
    await until('an upload is under way', {
      withinMs: 150_000,
      ask: async () => (await project.unfinishedUploads()) > 0,
    });
    const startedAt = performance.now();
    await project.composed(['stop', 'backup']);
    const seconds = (performance.now() - startedAt) / 1_000;
    const code = (await dockerOutput(['inspect', '-f', '{{.State.ExitCode}}', `${project.name}-backup-1`])).trim();
    console.log(`docker compose stop in mid-upload: ${seconds.toFixed(1)} s, exit code ${code}`);
    assert.ok(seconds < 55, `${seconds} s`);
    assert.notEqual(code, '137', 'it was not killed');
    assert.equal(await project.unfinishedUploads(), 0);
    await noBackend();
  });

  it('is not locked out after a kill in the middle of a run, lists nothing half and catches up once', async () => {
    await project.composed(['start', 'backup']);
    await slow('0.25');
    await until('an upload is under way', {
      withinMs: 150_000,
      ask: async () => (await project.unfinishedUploads()) > 0,
    });
    await project.composed(['kill', 'backup']);
    await reschedule({ BACKUP_SCHEDULE_DAILY: '* * * * *' });
    const earlier = (await listing()).length;
    await until('the next backup is there', { withinMs: 120_000, ask: async () => (await listing()).length > earlier });
    const half = (await project.keys()).filter((key) => key.endsWith('.dump'));
    const committed = (await project.keys()).filter((key) => /(daily|weekly|monthly|yearly)\/.*\.json$/.test(key));
    assert.equal(half.length, committed.length, 'what is stored is what is listed');
  });

  it('turns unhealthy when backups stop, and healthy again after one', async () => {
    await healthBecomes('healthy', 120_000);
    await project.composed(['stop', 'db']);
    await healthBecomes('unhealthy', 240_000);
    const { stdout } = await project.exec(['health']);
    console.log(`health while backups fail:\n${stdout}`);
    assert.match(stdout, /late.*daily|daily.*late/s);
    await project.composed(['up', '-d', '--wait', 'db']);
    await healthBecomes('healthy', 240_000);
  });

  it('knows its state from the bucket when container and volumes are new', async () => {
    await reschedule({ BACKUP_SCHEDULE_DAILY: '0 0 1 1 *' });
    const earlier = await listing();
    await project.composed(['rm', '-f', '-s', '-v', 'backup']);
    await dockerOutput(['volume', 'rm', `${project.name}_backup-state`, `${project.name}_backup-scratch`]);
    await project.composed(['up', '-d', '--no-deps', 'backup']);
    await healthBecomes('healthy', 60_000);
    assert.deepEqual(
      (await listing()).map(({ id }) => id),
      earlier.map(({ id }) => id),
      'and took no backup for it',
    );
  });

  it('names the network that is missing', async () => {
    const environment =
      readFileSync(`${project.directory}/.env.production`, 'utf8') +
      readFileSync(`${project.directory}/.env.backup`, 'utf8');
    const variables = environment
      .split('\n')
      .filter((line) => line.includes('='))
      .flatMap((line) => ['-e', line]);
    const only = async (network: string): Promise<string> => {
      const { status, stdout } = await docker([
        'run',
        '--rm',
        '--network',
        `${project.name}_${network}`,
        ...variables,
        '-e',
        `BACKUP_S3_SECRET_ACCESS_KEY=${secretKey}`,
        image,
        'doctor',
      ]);
      assert.equal(status, 5, stdout);
      return stdout;
    };
    assert.match(await only('internal_network'), /bucket.*external_network/s);
    assert.match(await only('external_network'), /database.*internal_network/s);
  });

  // The service with other settings; its container is a new one.
  async function reschedule(changes: Readonly<Record<string, string>>): Promise<void> {
    const file = `${project.directory}/.env.backup`;
    const kept = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && changes[line.split('=')[0] ?? ''] === undefined);
    writeFileSync(file, [...kept, ...Object.entries(changes).map(([key, value]) => `${key}=${value}`), ''].join('\n'));
    await project.composed(['up', '-d', '--no-deps', '--force-recreate', 'backup']);
    await sleep(1_000);
  }
});

describe("the compose service beside a Mastodon of its wizard's names", () => {
  let project: MastodonProject;
  before(async () => {
    project = createProject({
      mastodonEnvironment: { DB_NAME: 'postgres', DB_USER: 'postgres' },
      backupEnvironment: { BACKUP_COMPRESSION: 'none' },
    });
    await startGround(project, { megabytes: 2, wizard: true });
  });
  after(async () => project[Symbol.asyncDispose]());

  it('backs up and brings back the database `postgres`, and keeps the one that was there', async () => {
    const backup = async (...args: readonly string[]): Promise<ChildOutput> =>
      project.compose(['run', '--rm', '-T', '--no-deps', 'backup', ...args]);
    const ran = await backup('run');
    assert.equal(ran.status, 0, ran.stderr);
    const rows =
      'select (select count(*)::int from accounts) as accounts, (select count(*)::int from statuses) as statuses';
    const expected = await project.query(rows, 'postgres');
    await project.query('truncate statuses cascade', 'postgres');
    const refused = await backup('restore', 'latest', '--to-database', 'postgres');
    assert.equal(refused.status, 20, refused.stderr);
    assert.match(refused.stderr, /'postgres' is not empty: .*--replace postgres/);
    const restored = await backup('restore', 'latest', '--to-database', 'postgres', '--replace');
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stdout, /into the database postgres .*The former postgres is kept as postgres_before_\w+/s);
    assert.match(restored.stdout, /ok +role: 'postgres'/);
    assert.deepEqual(await project.query(rows, 'postgres'), expected);
    const [aside = ''] = /postgres_before_\w+/.exec(restored.stdout) ?? [];
    assert.deepEqual(await project.query('select from statuses', aside), [], 'the former one is as it was left');
  });
});
