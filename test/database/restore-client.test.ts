// What is told of statements that failed: enough to find them, and nobody's data.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFailureCollector } from '../../src/database/restore-client.ts';

describe('a failure of pg_restore', () => {
  const messageOf = (...lines: readonly string[]): string => {
    const collector = createFailureCollector();
    for (const line of lines) collector.push(line);
    return collector.failures()[0]?.message ?? '';
  };

  it('is told without the row it failed at, which would stand in messages and unencrypted documents', () => {
    const message = messageOf(
      'pg_restore: error: COPY failed for table "users": ERROR:  new row for relation "users" violates check constraint "c"',
      'DETAIL:  Failing row contains (1, alice@example.org, $2a$10$hash).',
      String.raw`CONTEXT:  COPY users, line 1: "1\talice@example.org\t$2a$10$hash"`,
    );
    assert.match(message, /violates check constraint "c" \(the row is not shown\) \(COPY users, line 1\)$/);
    const other = messageOf(
      'pg_restore: error: COPY failed for table "users": ERROR:  value out of range',
      'CONTEXT:  COPY users, line 7, column email: "alice@example.org"',
    );
    assert.match(other, /value out of range \(COPY users, line 7, column email\)$/);
  });

  it('keeps its own statement, also as the last that is kept', () => {
    const collector = createFailureCollector();
    for (let number = 1; number <= 300; number += 1) {
      collector.push(`pg_restore: error: could not execute query: ERROR:  ${number} fails`);
      collector.push(`DETAIL:  Key (${number}) is there.`);
      collector.push(`Command was: SELECT ${number};`);
    }
    const last = collector.failures().at(-1);
    assert.equal(/^(\d+) fails/.exec(last?.message ?? '')?.[1], /^SELECT (\d+);/.exec(last?.statement ?? '')?.[1]);
    assert.doesNotMatch(last?.message ?? '', /300/);
  });
});
