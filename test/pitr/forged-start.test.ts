// A daemon that was ended, and a bucket into which somebody wrote meanwhile who may: log that looks stored is stored all the same, and
// the server is not told before that it may forget it.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { coverage } from '../../src/pitr/coverage.ts';
import { followBase } from '../../src/pitr/plan.ts';
import { formatLsn, parseLsn, segmentName, segmentStart } from '../../src/pitr/lsn.ts';
import { readSegment } from '../../src/pitr/wal-staging.ts';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { walKey, type StoredForm } from '../../src/snapshots/chain-keys.ts';
import { followLog, walFile } from '../support/log-follower.ts';
import { takeBase } from '../support/pitr-replay.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startStockServer } from '../support/stock-server.ts';
import { forge, ours, storedIn } from '../support/stored-chains.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { fillSegments, systemOf } from './receiver-scenario.ts';

const signal = new AbortController().signal;
// The smallest there is: each is stored, forged and read whole.
const segmentBytes = 1024 * 1024;
const frame = { timeline: 1, segmentBytes };
const forms: readonly StoredForm[] = [
  { compression: 'none', encrypted: false },
  { compression: 'zstd', encrypted: false },
];

it('stores what forged objects say is there, after a start that remembers nothing and after one that does', async () => {
  await using server = await startStockServer(15, { segmentMegabytes: 1 });
  const systemIdentifier = await systemOf(server);
  const place = { prefix: '', systemIdentifier };
  for (const remembers of [false, true]) {
    using folder = temporaryDirectory();
    const repository = storedIn(folder.path);
    const options = { directory: folder.path, server, signing: ours };
    let storedTo: bigint;
    let base: Awaited<ReturnType<typeof takeBase>>;
    {
      await using first = followLog(server.outside(), options);
      await first.isFollowing();
      base = await takeBase(server.outside(), { repository });
      await server.query('create table if not exists again (id int)');
      await first.caughtUp();
      storedTo = first.state()?.storedTo ?? 0n;
    }
    const remembered = { systemIdentifier, timeline: 1, followsFrom: segmentStart(storedTo, segmentBytes), storedTo };
    const start = segmentStart(storedTo, segmentBytes);
    const nameAt = (segments: number): string => segmentName(start + BigInt(segments * segmentBytes), frame);
    // What is missing of the segment, and the one that follows, which nobody has written yet.
    const [last] = coverage((await readChain(repository, { systemIdentifier, signal })).wal, frame).slice(-1);
    const part = { from: Number((last?.to ?? 0n) - start), to: segmentBytes };
    await forge(repository, walKey(place, { segment: nameAt(0), part, compression: 'none', encrypted: false }));
    for (const form of forms) {
      if (form.compression === 'zstd')
        await forge(repository, walKey(place, { segment: nameAt(1), part: null, ...form }));
      else await forge(repository, walKey(place, { segment: nameAt(2), part: null, ...form }));
    }
    await server.query('insert into again select g from generate_series(1, 1000) g');
    await fillSegments(server, 3);
    await using second = followLog(server.outside(), { ...options, ...(remembers ? { remembered } : {}) });
    await second.caughtUp();
    const { wal } = await readChain(repository, { systemIdentifier, signal });
    const lineages = [[{ timeline: 1, end: null }]];
    const { segments } = followBase(base, { wal, lineages });
    for (const segment of [0, 1, 2].map(nameAt)) {
      const found = segments.find((one) => one.segment === segment);
      assert.ok(found !== undefined, `nothing is stored of ${segment}`);
      const content = await readSegment(found, { repository, identities: [], segmentBytes, log: quietLog, signal });
      assert.ok(content.equals(walFile(server.data, segment)), segment);
    }
    assert.equal(second.state()?.problem, null);
    assert.ok((second.state()?.followsFrom ?? 0n) <= storedTo, formatLsn(second.state()?.followsFrom ?? 0n));
  }
});

it('makes no base backup whose log is there by its names alone', async () => {
  await using server = await startStockServer(15, { segmentMegabytes: 1 });
  using folder = temporaryDirectory();
  const repository = storedIn(folder.path);
  const place = { prefix: '', systemIdentifier: await systemOf(server) };
  for (let number = 1n; number < 20n; number += 1n) {
    const segment = segmentName(number * BigInt(segmentBytes), frame);
    await forge(repository, walKey(place, { segment, part: null, compression: 'zstd', encrypted: false }));
  }
  await assert.rejects(takeBase(server.outside(), { repository, walWaitMs: 0 }), (error: Error) => {
    const [, from = '', to = ''] =
      /^The log from (\S+) to (\S+), which the base needs, is not stored/.exec(error.message) ?? [];
    assert.ok(
      parseLsn(from) >= BigInt(segmentBytes) && parseLsn(to) <= BigInt(20 * segmentBytes),
      `it is forged: ${error.message}`,
    );
    return true;
  });
});
