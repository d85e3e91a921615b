// What a damaged server says, in the words of PostgreSQL 14 to 18, and what only sounds like it.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { brokeOffAt, isDamage, speaksOfDamage } from '../../src/database/damage.ts';

const damaged = [
  'ERROR:  could not open file "base/16384/16400": No such file or directory',
  'ERROR:  could not open file "base/16384/16400.1" (target block 131072): No such file or directory',
  'ERROR:  could not read block 12 in file "base/16384/16400": read only 0 of 8192 bytes',
  'ERROR:  could not read blocks 12..15 in file "base/16384/16400": Input/output error',
  'ERROR:  could not access status of transaction 3825205248',
  'ERROR:  invalid page in block 3 of relation base/16384/16400',
  'ERROR:  missing chunk number 0 for toast value 16417 in pg_toast_16400',
  'ERROR:  unexpected chunk number 2 (expected 1) for toast value 16417 in pg_toast_16400',
  'ERROR:  index "index_statuses_on_uri" contains unexpected zero page at block 4',
  'ERROR:  compressed pglz data is corrupt',
  'ERROR:  invalid memory alloc request size 18446744073709551613',
  'ERROR:  found xmin 1234 from before relfrozenxid 99999',
  'ERROR:  MultiXactId 1074790400 has not been created yet -- apparent wraparound',
];
for (const text of damaged) {
  it(`'${text.slice(8, 60)}…' is damage`, () => {
    assert.ok(speaksOfDamage(`pg_dump: error: Dumping the contents failed\npg_dump: detail: ${text}`));
    assert.ok(isDamage(new Error(text.slice(8))));
  });
}

for (const text of [
  'ERROR:  could not open file "base/16384/16400": Too many open files in system',
  'ERROR:  invalid memory alloc request size 1073741824',
  'ERROR:  permission denied for table accounts',
  'ERROR:  cache lookup failed for function 16999',
  'ERROR:  canceling statement due to lock timeout',
  'FATAL:  the database system is in recovery mode',
  'could not open file "/var/lib/mastodon-backup/x": No such file or directory',
]) {
  it(`'${text.slice(0, 60)}' is none`, () => assert.equal(speaksOfDamage(text), false));
}

const words = (more: string): string =>
  `pg_dump: error: Dumping the contents of table "statuses" failed: PQgetCopyData() failed.\npg_dump: detail: Error message from server: ${more}server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally`;

it('a server that broke off at a table is told from one that was stopped, or that another session took down', () => {
  assert.equal(brokeOffAt(words(''))?.table, 'statuses');
  assert.equal(brokeOffAt(words('FATAL:  terminating connection due to administrator command\n')), undefined);
  assert.equal(
    brokeOffAt(words('WARNING:  terminating connection because of crash of another server process\n')),
    undefined,
  );
  assert.equal(
    brokeOffAt('pg_dump: error: connection to server failed: server closed the connection unexpectedly'),
    undefined,
  );
});
