// A moment of the past, on whichever majors: `replay.test.ts` has one, `replay.majors.ts` the others.

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { followLog } from '../support/log-follower.ts';
import { askReplayed, bringBack, takeBase } from '../support/pitr-replay.ts';
import type { ServerMajor } from '../support/postgres-server.ts';
import { startStockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

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
        await using latest = await bringBack(repository, { at: 'latest', major, directory: scratch.path });
        const [row] = await askReplayed(latest, 'select max(counter) as last from public.counters');
        assert.deepEqual(row, { last: 12 });
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
