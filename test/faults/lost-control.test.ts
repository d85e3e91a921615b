// The connection that asks the database is cut at every moment between a run's start and its dump: that is a failure of the
// database's, which is tried again, and never an unexpected one.

import assert from 'node:assert/strict';
import { connect as connectSocket, createServer, type AddressInfo } from 'node:net';
import { it } from 'node:test';
import { AppError, describeError, retryOf } from '../../src/errors.ts';
import { openApp } from '../support/app.ts';
import { startStage } from './support.ts';

it('a control connection that is lost before the dump is told as such, whenever it was lost', async () => {
  await using stage = await startStage({ megabytes: 1 });
  // Hangs up on the first connection when it sends its nth message.
  let hangUpAt = 0;
  let connections = 0;
  let hungUp = false;
  const door = createServer((outer) => {
    const isControl = connections === 0;
    connections += 1;
    const inner = connectSocket(stage.server.port, '127.0.0.1');
    let messages = 0;
    outer.on('data', (bytes) => {
      messages += 1;
      if (isControl && messages >= hangUpAt) {
        hungUp = true;
        outer.destroy();
        inner.destroy();
      } else inner.write(bytes);
    });
    inner.on('data', (bytes) => outer.write(bytes));
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ] as const)
      one.on('error', () => undefined).on('close', () => other.destroy());
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  const { port } = door.address() as AddressInfo;
  try {
    const found: string[] = [];
    for (hangUpAt = 3; ; hangUpAt += 1) {
      connections = 0;
      hungUp = false;
      const app = openApp({ ...stage.environment, DB_PORT: String(port), DB_SSLMODE: 'disable', DB_HOST: '127.0.0.1' });
      const signal = new AbortController().signal;
      const request = {
        purpose: { kind: 'by hand', tier: 'daily' },
        wait: false,
        signal,
        onProgress: () => undefined,
      } as const;
      const error: unknown = await app.run(request).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      await app[Symbol.asyncDispose]();
      if (!hungUp) break;
      // Cut where only the locks were still to be let go, the backup is whole.
      if (error === undefined) continue;
      assert.ok(error instanceof AppError, `message ${hangUpAt}: ${describeError(error)}`);
      assert.equal(retryOf(error), 'soon', `message ${hangUpAt}: ${error.message}`);
      found.push(error.message);
      if (hangUpAt > 60) break;
    }
    assert.ok(found.length > 8, found.join('\n'));
  } finally {
    door.close();
  }
});
