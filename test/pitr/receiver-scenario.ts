// The receiver on whichever majors: `receiver.test.ts` has one, `receiver.majors.ts` the others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { coverage, tileSegment } from '../../src/pitr/coverage.ts';
import { decodeWhole } from '../../src/pitr/encoding.ts';
import { slotName } from '../../src/pitr/guard.ts';
import { readAll } from '../../src/snapshots/document-reading.ts';
import { followLog, walFile, type LogFollower } from '../support/log-follower.ts';
import type { ServerMajor } from '../support/postgres-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const signal = new AbortController().signal;
/** Of every server that tests start. */
export const segmentBytes = 16 * 1024 * 1024;

/** Its system identifier. */
export async function systemOf(server: StockServer): Promise<string> {
  const [row] = await server.query('select system_identifier::text as id from pg_control_system()');
  return String(row?.['id']);
}

/** What is stored of a segment, put together. */
export async function storedSegment(
  follower: LogFollower,
  { systemIdentifier, segment }: { systemIdentifier: string; segment: string },
): Promise<Buffer> {
  const { wal } = await readChain(follower.repository, { systemIdentifier, signal });
  const { tiles, bytes } = tileSegment(wal, { segment, segmentBytes });
  const whole = Buffer.alloc(bytes);
  for (const tile of tiles) {
    const stored = await readAll(await follower.repository.store.get(tile.key, { signal }), {
      maxBytes: 2 * segmentBytes,
    });
    const decoded = await decodeWhole(stored, {
      name: tile.key,
      form: tile,
      identities: [],
      bytes: null,
      maxBytes: segmentBytes,
    });
    decoded.copy(whole, tile.kind === 'part' ? tile.from : 0);
  }
  return whole;
}

/** Writes so many segments, with little in each. */
export async function fillSegments(server: StockServer, segments: number): Promise<void> {
  await server.query('create table if not exists filler (id int)');
  for (let at = 0; at < segments; at += 1) {
    await server.query('insert into filler select g from generate_series(1, 2000) g');
    await server.query('select pg_switch_wal()');
  }
}

function postmasterOf(server: StockServer): number {
  return Number.parseInt(readFileSync(path.join(server.data, 'postmaster.pid'), 'utf8'), 10);
}

/** Stops a server as Docker does, and says how long that took, in milliseconds. */
async function stopFast(server: StockServer): Promise<number> {
  const pid = postmasterOf(server);
  const startedAt = performance.now();
  process.kill(pid, 'SIGINT');
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return performance.now() - startedAt;
    }
    // A zombie of ours answers too.
    if (!/^State:\s+[^Z]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return performance.now() - startedAt;
    if (performance.now() - startedAt > 30_000) return Number.POSITIVE_INFINITY;
    await sleep(20);
  }
}

/** Declares the tests for each of `majors`. */
export function describeReceiver(majors: readonly ServerMajor[]): void {
  for (const major of majors) {
    describe(`the receiver on PostgreSQL ${major} with the stock pg_hba.conf, from outside`, () => {
      it('stores the log byte for byte as it is in pg_wal, whole segments and what is new of the last', async () => {
        await using server = await startStockServer(major);
        using folder = temporaryDirectory();
        const systemIdentifier = await systemOf(server);
        await using follower = followLog(server.outside(), { directory: folder.path, server });
        await follower.isFollowing();
        await server.query('create table t as select g as id, md5(g::text) as words from generate_series(1, 3000) g');
        await fillSegments(server, 2);
        await server.query('insert into t select g, md5(g::text) from generate_series(1, 1000) g');
        await follower.caughtUp();
        const { wal } = await readChain(follower.repository, { systemIdentifier, signal });
        const wholes = wal.filter(({ kind }) => kind === 'segment');
        assert.ok(wholes.length >= 2, `${wholes.length} whole segments`);
        for (const { segment } of wholes) {
          assert.equal(wal.filter((piece) => piece.segment === segment).length, 1, 'parts go with the whole segment');
          const stored = await storedSegment(follower, { systemIdentifier, segment });
          assert.ok(stored.equals(walFile(server.data, segment)), segment);
        }
        const ranges = coverage(wal, { timeline: 1, segmentBytes });
        assert.equal(ranges.length, 1, 'no hole');
        const last =
          wal
            .map(({ segment }) => segment)
            .toSorted()
            .at(-1) ?? '';
        const stored = await storedSegment(follower, { systemIdentifier, segment: last });
        assert.ok(stored.length > 0);
        assert.ok(stored.equals(walFile(server.data, last).subarray(0, stored.length)));
      });

      it('limits what the slot may keep before there is one, and the slot follows what is stored', async () => {
        await using server = await startStockServer(major);
        using folder = temporaryDirectory();
        await using follower = followLog(server.outside(), { directory: folder.path, server });
        await follower.isFollowing();
        const [limit] = await server.query('show max_slot_wal_keep_size');
        assert.equal(limit?.['max_slot_wal_keep_size'], '256MB');
        await fillSegments(server, 2);
        await follower.caughtUp();
        await until('the slot to follow', {
          seconds: 15,
          look: async () => {
            const [slot] = await server.query(
              `select restart_lsn >= pg_current_wal_lsn() - 16777216 as close from pg_replication_slots where slot_name = '${slotName('example.social')}'`,
            );
            return slot?.['close'] === true;
          },
        });
      });

      it('keeps no server from stopping, while the store takes everything and while it takes nothing', async () => {
        for (const { isDown, segments } of [
          { isDown: false, segments: 6 },
          // Connected, with what is not stored: a flush position that stays behind would be waited for.
          { isDown: true, segments: 1 },
          // More than is held in memory, so that the receiver has to leave.
          { isDown: true, segments: 6 },
        ]) {
          await using server = await startStockServer(major);
          using folder = temporaryDirectory();
          await using follower = followLog(server.outside(), { directory: folder.path, server });
          await follower.isFollowing();
          await server.query('create table t as select g as id from generate_series(1, 1000) g');
          await follower.caughtUp();
          follower.fail(isDown);
          await fillSegments(server, segments);
          const tookMs = await stopFast(server);
          assert.ok(tookMs < 2_000, `${isDown ? 'down' : 'up'}: ${Math.round(tookMs)} ms`);
          follower.fail(false);
        }
      });
    });
  }
}
