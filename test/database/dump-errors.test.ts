// What is said of a pg_dump that failed: its own last words, and what to do next.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { dumpError } from '../../src/database/dump-errors.ts';

const connection = {
  host: 'db',
  port: 5432,
  user: 'mastodon',
  password: '',
  database: 'mastodon_production',
  sslMode: 'prefer',
  sslRootCertificate: null,
} as const;

const toServer = 'pg_dump: error: connection to server at "db" (172.18.0.2), port 5432 failed:';

for (const words of [
  `${toServer} Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?`,
  'pg_dump: error: connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: No such file or directory\n\tIs the server running locally and accepting connections on that socket?',
  `${toServer} FATAL:  the database system is starting up`,
  `${toServer} FATAL:  the database system is shutting down`,
  `${toServer} FATAL:  the database system is in recovery mode`,
  `${toServer} FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.`,
  'pg_dump: error: Dumping the contents of table "statuses" failed: PQgetCopyData() failed.\npg_dump: detail: Error message from server: server closed the connection unexpectedly',
])
  it(`a server that is away is to be tried again: '${words.slice(-60)}'`, () => {
    const { hint } = dumpError({ code: 1, signal: null, stderrTail: words }, { connection });
    assert.match(hint ?? '', /then run the backup again\.$/);
  });

it('a server that does not want us is not', () => {
  const words = `${toServer} FATAL:  password authentication failed for user "mastodon"`;
  const { hint } = dumpError({ code: 1, signal: null, stderrTail: words }, { connection });
  assert.match(hint ?? '', /DB_PASS/);
});
