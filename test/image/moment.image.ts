// A moment of Mastodon's stock project, as docs/point-in-time-recovery.md types it, while somebody writes on: the database container is
// neither restarted nor stopped for it, and the image has the server that replays.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { dockerOutput, until } from './support/docker.ts';
import { createProject, image, startGround, type MastodonProject } from './support/mastodon-project.ts';

// The major of the stock file, where the image has all servers; else the one that Debian gives it.
const major = process.env['IMAGE_TEST_BASES'] === 'public' ? 14 : 17;
/** Where the wizard puts Mastodon. */
const database = 'postgres';

interface Written {
  readonly text: string;
  /** By the server's clock, after it had confirmed it and before the next. */
  readonly at: string;
}

describe('a moment in the compose project', () => {
  let project: MastodonProject;
  before(async () => {
    project = createProject({
      major,
      mastodonEnvironment: { DB_NAME: database, DB_USER: 'postgres' },
      backupEnvironment: {
        BACKUP_PITR: 'on',
        BACKUP_PITR_UPLOAD_EVERY: '2s',
        BACKUP_SCHEDULE_DRILL: 'off',
        BACKUP_COMPRESSION: 'none',
      },
    });
    await startGround(project, { megabytes: 20, wizard: true });
    await project.composed(['up', '-d', '--no-deps', 'backup']);
  });
  after(async () => project[Symbol.asyncDispose]());

  const status = async (): Promise<{ readonly chains: readonly { readonly restorableFrom: string | null }[] }> => {
    const { stdout, stderr, status: code } = await project.exec(['pitr', 'status', '--json']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Awaited<ReturnType<typeof status>>;
  };
  const facts = async (): Promise<unknown> => {
    const [container] = JSON.parse(await dockerOutput(['inspect', `${project.name}-db-1`])) as {
      Id: string;
      RestartCount: number;
      State: { StartedAt: string; Pid: number };
    }[];
    const [postmaster] = await project.query('select pg_postmaster_start_time()::text as since', database);
    const { StartedAt, Pid } = container?.State ?? {};
    return { id: container?.Id, restarts: container?.RestartCount, startedAt: StartedAt, pid: Pid, ...postmaster };
  };

  it('has the server that replays in its image, and says how large it is', async () => {
    const script = `cd /usr/lib/postgresql && ls -d */bin/postgres && du -sk */bin/postgres */lib ../../share/postgresql/*`;
    const found = await dockerOutput(['run', '--rm', '--entrypoint', 'sh', image, '-c', script]);
    assert.match(found, new RegExp(`^${major}/bin/postgres$`, 'm'));
    const bytes = (await dockerOutput(['image', 'inspect', '-f', '{{.Size}}', image])).trim();
    console.log(`the image: ${Math.round(Number(bytes) / 1e6)} MB; of its servers, in KiB:\n${found}`);
  });

  it('becomes a database beside the one that is written on, and the database container is never restarted', async () => {
    await until('a base backup', {
      withinMs: 180_000,
      ask: async () => (await status()).chains.some(({ restorableFrom }) => restorableFrom !== null),
    });
    const before_ = await facts();
    const writer = new Client({ ...(await project.database('postgres', database)), ssl: false });
    await writer.connect();
    const written: Written[] = [];
    let slowestMs = 0;
    const stop = new AbortController();
    // As Mastodon does, one status after the other; whatever fails here fails the test.
    const writing = (async () => {
      for (let count = 1; !stop.signal.aborted; count += 1) {
        const startedAt = performance.now();
        const text = `status ${count}`;
        await writer.query(
          `insert into statuses (account_id, text, created_at, updated_at)
             select min(id), $1, now(), now() from accounts`,
          [text],
        );
        slowestMs = Math.max(slowestMs, performance.now() - startedAt);
        const { rows } = await writer.query<{ at: string }>(
          "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' as at",
        );
        written.push({ text, at: rows[0]?.at ?? '' });
        await sleep(50);
      }
    })();
    writing.catch(() => undefined);
    try {
      await until('some statuses', { withinMs: 60_000, ask: async () => written.length > 30 });
      const wanted = written.at(-1);
      assert.ok(wanted !== undefined);
      // What somebody should not have done.
      await project.query("delete from statuses where text like 'status %'; delete from media_attachments", database);
      const mediaLeft = await project.query('select count(*)::int as count from media_attachments', database);
      assert.deepEqual(mediaLeft, [{ count: 0 }]);
      await until('statuses after it', { withinMs: 60_000, ask: async () => (written.at(-1)?.at ?? '') > wanted.at });
      const countBefore = written.length;
      // The moment must be stored: something that came after it is.
      const restored = await until('the moment to be stored and restored', {
        withinMs: 180_000,
        ask: async () => {
          const done = await project.exec(['restore', '--at', wanted.at, '--to-database', 'undo']);
          if (done.status === 0) return done;
          assert.match(done.stderr, /after the last transaction that is stored/);
          return undefined;
        },
      });
      console.log(`$ docker compose exec backup mastodon-backup restore --at '${wanted.at}' --to-database undo`);
      console.log(restored.stdout);
      assert.ok(written.length > countBefore, 'somebody wrote on while it was restored');
      const [back] = await project.query(
        `select count(*)::int as count, max(text) filter (where created_at = newest) as newest,
                (select count(*)::int from media_attachments) as media
           from statuses, (select max(created_at) as newest from statuses where text like 'status %') as last
          where text like 'status %'`,
        'undo',
      );
      const index = written.indexOf(wanted);
      assert.deepEqual([back?.['count'], back?.['newest']], [index + 1, wanted.text], 'exactly what was there');
      assert.ok(Number(back?.['media']) > 0, 'with what was removed after it');
    } finally {
      stop.abort();
      try {
        await writing;
      } finally {
        await writer.end();
      }
    }
    console.log(`written meanwhile: ${written.length} statuses, the slowest took ${Math.round(slowestMs)} ms`);
    assert.deepEqual(await facts(), before_, 'the database is the one that was there, and was never restarted');
  });
});
