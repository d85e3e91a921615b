// A session that several ask at once. The driver would keep their statements in a queue of its own, which it warns of on stderr and
// which its next version does not have.

import type { Client } from 'pg';
import { createTurns } from './turns.ts';

type Query = (...args: readonly unknown[]) => unknown;

/** Has the statements of a client wait for each other, whatever comes of them. A conversation by hand is handed on at once. */
export function askOneByOne(client: Client): void {
  const query = client.query.bind(client) as Query;
  const turns = createTurns();
  const asking: Query = (...args) => {
    const [statement] = args;
    if (typeof statement === 'object' && statement !== null && 'submit' in statement) return query(...args);
    return turns.take(async () => query(...args));
  };
  Object.assign(client, { query: asking });
}
