// A session that several ask at once. The driver would keep their statements in a queue of its own, which it warns of on stderr and
// which its next version does not have.

import type { Client } from 'pg';

type Query = (...args: readonly unknown[]) => unknown;

/** Has the statements of a client wait for each other, whatever comes of them. A conversation by hand is handed on at once. */
export function askOneByOne(client: Client): void {
  const query = client.query.bind(client) as Query;
  let last: Promise<unknown> = Promise.resolve();
  const asking: Query = (...args) => {
    const [statement] = args;
    if (typeof statement === 'object' && statement !== null && 'submit' in statement) return query(...args);
    const answer = last.then(async () => query(...args));
    last = answer.catch(() => undefined);
    return answer;
  };
  Object.assign(client, { query: asking });
}
