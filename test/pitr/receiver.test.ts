import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { coverage } from '../../src/pitr/coverage.ts';
import { followLog, walFile } from '../support/log-follower.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';
import { describeReceiver, fillSegments, segmentBytes, storedSegment, systemOf } from './receiver-scenario.ts';

const signal = new AbortController().signal;

// `npm run test:pitr` has the other majors.
describeReceiver([15]);

describe('the receiver', () => {
  let server: StockServer;
  before(async () => {
    server = await startStockServer(15);
  });
  after(async () => server[Symbol.asyncDispose]());

  it('goes on after the store was away, without a hole and without holding more than it may', async () => {
    using folder = temporaryDirectory();
    const systemIdentifier = await systemOf(server);
    await using follower = followLog(server.outside(), {
      directory: folder.path,
      server,
      instance: 'outage',
    });
    await follower.caughtUp();
    follower.fail(true);
    const startedAt = process.memoryUsage().rss;
    await fillSegments(server, 8);
    await until('the outage to be told', {
      seconds: 15,
      look: async () => follower.state()?.problem?.includes('store is down'),
    });
    const grown = process.memoryUsage().rss - startedAt;
    assert.ok(grown < 150 * 1024 * 1024, `${grown} bytes more`);
    follower.fail(false);
    await follower.caughtUp();
    const { wal } = await readChain(follower.repository, { systemIdentifier, signal });
    assert.equal(coverage(wal, { timeline: 1, segmentBytes }).length, 1);
  });

  it('goes on where it was after it was ended and started again', async () => {
    using folder = temporaryDirectory();
    const systemIdentifier = await systemOf(server);
    const options = { directory: folder.path, server, instance: 'again' };
    {
      await using first = followLog(server.outside(), options);
      await server.query('create table again as select g as id from generate_series(1, 1000) g');
      await first.caughtUp();
    }
    await fillSegments(server, 2);
    await using second = followLog(server.outside(), options);
    await second.caughtUp();
    const { wal } = await readChain(second.repository, { systemIdentifier, signal });
    assert.equal(coverage(wal, { timeline: 1, segmentBytes }).length, 1);
    const wholes = wal.filter(({ kind }) => kind === 'segment');
    for (const { segment } of wholes.slice(0, 2))
      assert.ok((await storedSegment(second, { systemIdentifier, segment })).equals(walFile(server.data, segment)));
  });

  it('makes no slot for a role that may not limit it, and follows the log all the same', async () => {
    await using other = await startStockServer(17);
    using folder = temporaryDirectory();
    await other.query("create role replicator login replication password 'x'");
    await using follower = followLog(
      { ...other.outside(), user: 'replicator', password: 'x' },
      { directory: folder.path, server: other },
    );
    await other.query('create table t as select g as id from generate_series(1, 1000) g');
    await follower.caughtUp();
    assert.equal(follower.state()?.hold?.kind, 'none');
    const slots = await other.query('select slot_name from pg_replication_slots');
    assert.deepEqual(slots, []);
  });
});
