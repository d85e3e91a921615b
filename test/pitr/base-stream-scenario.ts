// A base backup on whichever majors: `base-stream.test.ts` has one of each framing, `base-stream.majors.ts` the others.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBaseInspector } from '../../src/pitr/backup-manifest.ts';
import { startBaseStream } from '../../src/pitr/base-stream.ts';
import { connectForReplication, identifySystem } from '../../src/pitr/replication-connection.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import type { ServerMajor } from '../support/postgres-server.ts';

const signal = new AbortController().signal;

/** Declares the tests for each of `majors`. */
export function describeBaseStream(majors: readonly ServerMajor[]): void {
  for (const major of majors) {
    describe(`a base backup of PostgreSQL ${major} with the stock pg_hba.conf, from outside`, () => {
      let server: StockServer;
      before(async () => {
        server = await startStockServer(major);
        await server.query('create table t as select g as id, md5(g::text) as words from generate_series(1, 20000) g');
      });
      after(async () => server[Symbol.asyncDispose]());

      it('identifies the server', async () => {
        await using client = await connectForReplication(server.outside(), signal);
        const found = await identifySystem(client, server.outside());
        const [row] = await server.query('select system_identifier::text as id from pg_control_system()');
        assert.equal(found.systemIdentifier, row?.['id']);
        assert.equal(found.timeline, 1);
      });

      it('is a whole tar that is exactly what the manifest in it says', async () => {
        await using client = await connectForReplication(server.outside(), signal);
        const stream = startBaseStream(client, { major, label: "it's" });
        const inspector = createBaseInspector();
        for await (const chunk of stream.bytes) {
          // Slower than the server: what comes meanwhile must not change what is waiting.
          await sleep(1);
          inspector.push(chunk as Buffer);
        }
        const range = await stream.done;
        const { files, fileBytes } = inspector.end();
        assert.ok(files > 500, `${files} files`);
        assert.ok(fileBytes > 20_000_000, `${fileBytes} bytes`);
        assert.equal(range.timeline, 1);
        assert.ok(range.endLsn > range.startLsn);
      });

      it('fails, and never ends well, when its walsender is killed', async () => {
        await using client = await connectForReplication(server.outside(), signal);
        const stream = startBaseStream(client, { major, label: 'killed' });
        const read = (async () => {
          let bytes = 0;
          for await (const chunk of stream.bytes) {
            if (bytes === 0)
              await server.query(
                "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'",
              );
            bytes += (chunk as Buffer).length;
          }
          return bytes;
        })();
        await assert.rejects(read, /base backup failed/);
        await assert.rejects(stream.done, /base backup failed/);
      });

      it('refuses a role that may not replicate, and says what to give it', async () => {
        await using client = await connectForReplication({ ...server.outside(), user: 'mastodon' }, signal).catch(
          (error: unknown) => {
            assert.match(String(error), /replication role|permission denied|REPLICATION/i);
            return { [Symbol.asyncDispose]: async () => undefined, refused: true };
          },
        );
        assert.ok('refused' in client);
      });
    });
  }
}
