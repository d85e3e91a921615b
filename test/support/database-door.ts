// The line between the program and PostgreSQL: it can be refused, reset, or go silent with both ends believing that it is there.

import { createConnection, createServer, type Socket } from 'node:net';

/** What the line does from now on. */
export type LineState =
  /** Passes everything. */
  | 'open'
  /** Takes no new connection; those that are there go on. */
  | 'refusing'
  /** Carries nothing any more, of old connections and new ones. */
  | 'silent';

/** The line. */
export interface DatabaseDoor extends AsyncDisposable {
  readonly port: number;
  set(state: LineState): void;
  /** Resets every connection. */
  reset(): void;
}

/** A line to `port` of this machine. */
export async function openDatabaseDoor(port: number): Promise<DatabaseDoor> {
  let state: LineState = 'open';
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer({ allowHalfOpen: true }, (outer) => {
    outer.on('error', () => undefined);
    if (state === 'refusing') {
      outer.resetAndDestroy();
      return;
    }
    const inner = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = [outer, inner] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [inner, outer] as const]) {
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
      from.pipe(to);
      if (state === 'silent') silence(from, to);
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The line has no port');
  const reset = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
  };
  return {
    port: address.port,
    set(next) {
      if (next === 'silent') {
        for (const [outer, inner] of pairs) {
          silence(outer, inner);
          silence(inner, outer);
        }
      }
      // What went silent has lost bytes: it can only end.
      if (state === 'silent' && next !== 'silent') reset();
      state = next;
    },
    reset,
    async [Symbol.asyncDispose]() {
      reset();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function silence(from: Socket, to: Socket): void {
  from.unpipe(to);
  from.pause();
}
