// A moment of the past, on whichever majors: `replay.test.ts` has one, `replay.majors.ts` the others.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Replayed } from '../../src/pitr/replay.ts';
import { endAllChildren } from '../../src/stream/child.ts';
import { createRemains } from '../../src/stream/remains.ts';
import { followLog } from '../support/log-follower.ts';
import { connectTest } from '../support/mastodon-data.ts';
import { askReplayed, bringBack, takeBase } from '../support/pitr-replay.ts';
import type { ServerMajor } from '../support/postgres-server.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

// A server whose head alone is killed leaves what its backends are at, for as long as they do not look up.
async function assertEndsAtOnce({ server }: Replayed): Promise<void> {
  const client = await connectTest(server.connection('postgres'));
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const busy = client.query('select count(*) from generate_series(1, 1000000000)').catch(() => undefined);
  const pid = Number(rows[0]?.pid);
  try {
    await sleep(200);
    endAllChildren();
    await until('the end of its backend', { seconds: 5, look: async () => !existsSync(`/proc/${pid}`) });
  } finally {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    await busy;
  }
}

/** Declares the tests for each of `majors`. */
export function describeReplay(majors: readonly ServerMajor[]): void {
  for (const major of majors) {
    describe(`a moment of PostgreSQL ${major}`, () => {
      it('comes back exactly: what had been committed by then, and nothing that came after', async () => {
        await using server = await startStockServer(major);
        using folder = temporaryDirectory();
        using scratch = temporaryDirectory();
        chmodSync(scratch.path, 0o711);
        await using follower = followLog(server.outside(), { directory: folder.path, server });
        const { repository } = follower;
        await server.query('create table counters (counter int primary key, at timestamptz)');
        await follower.isFollowing();
        const base = await takeBase(server.outside(), { repository });
        assert.equal(base.server.major, major);
        const marks: { at: string; counter: number }[] = [];
        for (let counter = 1; counter <= 12; counter += 1) {
          await server.query(`insert into counters values (${counter}, clock_timestamp())`);
          await sleep(60);
          const [row] = await server.query(
            "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') as now",
          );
          if (counter % 4 === 0) marks.push({ at: `${String(row?.['now'])}Z`, counter });
          if (counter === 6) await server.query('select pg_switch_wal()');
          await sleep(60);
        }
        await follower.caughtUp();
        for (const { at, counter } of marks.slice(0, 2)) {
          await using back = await bringBack(repository, { at, major, directory: scratch.path });
          const [row] = await askReplayed(
            back,
            'select max(counter) as last, count(*)::int as count from public.counters',
          );
          assert.deepEqual(row, { last: counter, count: counter }, at);
        }
        const remains = createRemains();
        const niceness = Math.min(19, getPriority() + 3);
        const how = { at: 'latest', major, directory: scratch.path, niceness, remains };
        await using latest = await bringBack(repository, how);
        const [row] = await askReplayed(latest, 'select max(counter) as last from public.counters');
        assert.deepEqual(row, { last: 12 });
        const processId = Number.parseInt(readFileSync(`${latest.directory}/data/postmaster.pid`, 'utf8'), 10);
        assert.equal(getPriority(processId), niceness);
        const environment = readFileSync(`/proc/${processId}/environ`, 'utf8').split('\0');
        for (const name of ['HOME', 'PGPASSFILE', 'PGSERVICEFILE', 'PGSYSCONFDIR'])
          assert.ok(
            environment.some((one) => one.startsWith(`${name}=/nonexistent`)),
            `${name} leads to files of the host`,
          );
        assert.match(remains.list().join(), new RegExp(`${latest.directory}': the next restore removes it`));
        await assertEndsAtOnce(latest);
        await assert.rejects(
          bringBack(repository, { at: String(marks[2]?.at), major, directory: scratch.path }),
          /after the last transaction/,
        );
        const early = new Date(base.endedAt.getTime() - 1).toISOString();
        await assert.rejects(
          bringBack(repository, { at: early.replace('T', ' '), major, directory: scratch.path }),
          /the first moment that can be had/,
        );
      });
    });
  }
}
